"""The load of the processor and the memory over a run, as far as runs recorded them."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure
from study.report.study import Study
from study.report.variants import Variant

HEADER = ("label", "epoch", "load", "memory_mb")


def draw(folder: Path, study: Study) -> SavedFigure | None:
    """Draw both by epoch; None where no variant with a look of its own has two epochs of them."""
    known = {variant: curves for variant in study.shown if (curves := _curves(variant))}
    if not known:
        return None
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(9.5, 3.4), layout="constrained")
        load_axes, memory_axes = figure.subplots(1, 2)
        rows: list[list[Any]] = []
        for variant, (load, memory) in known.items():
            look = styles.of(study, variant)
            load_axes.plot(variant.epochs, load, label=variant.label, **look.line)
            memory_axes.plot(variant.epochs, memory, **look.line)
            rows += [[variant.label, *point] for point in zip(variant.epochs, load, memory)]
        load_axes.set(xlabel="epoch", ylabel="load (% of a core)")
        memory_axes.set(xlabel="epoch", ylabel="memory (MB)")
        load_axes.set_ylim(0, 1.05 * max(100, *(load.max() for load, _ in known.values())))
        memory_axes.set_ylim(bottom=0)
        for axes in (load_axes, memory_axes):
            drawing.set_integer_ticks(axes)
        drawing.draw_legend(figure)
        drawing.save(figure, folder, "usage", HEADER, rows)
    return SavedFigure(
        "usage",
        "Load and memory by epoch",
        "Means over seeds. Load: processor seconds of a run's process by seconds of the clock; of a"
        " run with one thread, what is missing to 100 % other work took, or it waited for a GPU."
        " Memory: of the GPU, else of the process.",
    )


def _curves(variant: Variant) -> tuple[np.ndarray, np.ndarray] | None:
    """Load in percent and memory in MB, each [epochs]; None where they were not recorded."""
    seconds, processor, memory = (
        variant.curves(name).mean(axis=0) for name in ("seconds", "cpu_seconds", "memory_mb")
    )
    if len(variant.epochs) < 2 or not np.isfinite([*processor, *memory]).all():
        return None
    return 100 * processor / seconds, memory
