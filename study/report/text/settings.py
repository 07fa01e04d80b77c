"""The settings of the variants of several sweeps, whose labels say what differs in each alone."""

from study.config import FIELDS
from study.report.axis import title_of, varying
from study.report.study import Study
from study.report.text.table import Table
from study.values import text


def table(study: Study) -> Table | None:
    """Make the table, a row a variant and a column a setting that varies; None of one sweep, whose
    labels say it all. A setting without effect on a variant is an empty cell."""
    if len(study.sweeps) < 2:
        return None
    varied = {name for axis in varying(study) for name in axis.names}
    names = [name for name in FIELDS if name in varied]
    rows = [
        [str(study.number(variant)), variant.label]
        + [
            text(getattr(variant.config, name)) if variant.config.has_effect(name) else ""
            for name in names
        ]
        for variant in study.order
    ]
    return Table(["#", "variant", *map(title_of, names)], rows)
