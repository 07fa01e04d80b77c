"""What training took: the time and memory of each variant's runs, as far as they recorded it."""

import numpy as np

from study.report.study import Study
from study.report.text.table import Table
from study.report.variants import Variant

HEADER = (
    "#", "variant", "seconds a run", "slowest epoch", "median epoch", "its processor seconds",
    "images a second", "peak memory (MB)", "device",
)  # fmt: skip
NOTE = (
    "Means over seeds, in seconds; of memory the most: of the GPU, else of the process, which may"
    " have trained other runs before. Times are beside whatever else the machine did; those of the"
    " processor are a run's own, an epoch's median."
)


def table(study: Study) -> Table:
    """Make the table, a row a variant; what a run did not record is an empty cell."""
    return Table(HEADER, [_row(study, variant) for variant in study.order], NOTE)


def _row(study: Study, variant: Variant) -> list[str]:
    epochs = _epochs(variant, "seconds")
    processor = _epochs(variant, "cpu_seconds")
    devices = {str(run.summary["device"]) for run in variant.runs if run.summary.get("device")}
    memory = [*variant.values("peak_memory_mb").values()]
    return [
        str(study.number(variant)),
        variant.label,
        _mean(variant, "seconds", 1),
        f"{max(epochs):.2f}" if epochs else "",
        f"{np.median(epochs):.2f}" if epochs else "",
        f"{np.median(processor):.2f}" if processor else "",
        _mean(variant, "images_per_second", 0),
        f"{max(memory):,.0f}" if memory else "",
        "; ".join(sorted(devices)),
    ]


def _epochs(variant: Variant, key: str) -> list[float]:
    return [row[key] for run in variant.runs for row in run.history if key in row]


def _mean(variant: Variant, key: str, digits: int) -> str:
    values = [*variant.values(key).values()]
    return f"{np.mean(values):,.{digits}f}" if values else ""
