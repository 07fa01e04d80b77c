"""The settings of the variants of several sweeps, whose labels say what differs in each alone."""

from dataclasses import dataclass

from study.config import text
from study.report.axis import varying
from study.report.variants import Study


@dataclass(frozen=True)
class SettingsTable:
    """Rows of text under a header: a row a variant, a column a setting that varies."""

    header: list[str]
    rows: list[list[str]]


def table(study: Study) -> SettingsTable | None:
    """Make the table; None of one sweep, whose labels say it all. A setting without effect on a
    variant is an empty cell."""
    if len(study.sweeps) < 2:
        return None
    axes = varying(study)
    rows = [
        [str(study.number(variant)), variant.label]
        + [
            text(getattr(variant.config, axis.name)) if variant.config.has_effect(axis.name) else ""
            for axis in axes
        ]
        for variant in study.order
    ]
    return SettingsTable(["#", "variant", *(axis.title for axis in axes)], rows)
