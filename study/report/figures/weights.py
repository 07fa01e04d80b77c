"""What the L1 lambda does to the weights: their sizes, and the share of them near zero."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study import runs
from study.errors import describe
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure, SideLabel
from study.report.figures.styles import Style
from study.report.study import Study
from study.values import count, number

log = logging.getLogger(__name__)

NEAR = 1e-3  # a weight below this counts as near zero
MOST = 10  # lambdas drawn, spread evenly over all
BINS = np.logspace(-8, 1, 73)
HEADER = ("l1", "runs", "weights", "share_near_zero", "size", "share_at_most")


def draw(folder: Path, study: Study) -> SavedFigure | None:
    """Draw the distribution of |w| under each L1 lambda.

    None where fewer than two lambdas left weights; runs pulled from W&B have none.
    """
    files = _files_by_lambda(study)
    if len({l1 for _, l1 in files}) < 2:
        return None
    keys = sorted(files)
    chosen = [keys[i] for i in sorted({*np.linspace(0, len(keys) - 1, MOST).round().astype(int)})]
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**drawing.WIDE)
        axes = figure.subplots()
        labels, rows = [], []
        for i, (reduction, l1) in enumerate(chosen):
            found = np.concatenate([sizes(path) for path in files[reduction, l1]])
            found = found.clip(BINS[0], BINS[-1])
            if not len(found):
                continue
            words = f"L1 {number(float(f'{l1:.4g}'))}"
            name = f"{reduction}, {words}" if reduction else words
            near = float((found < NEAR).mean())
            at_most = np.searchsorted(np.sort(found), BINS[1:], side="right") / len(found)
            text = f"{name}\n{near:.0%} below {number(NEAR)}"
            labels.append(_draw_line(axes, styles.nth(i), at_most, text))
            shared = [name, len(files[reduction, l1]), len(found), near]
            rows += [[*shared, *point] for point in zip(BINS[1:], at_most)]
        axes.axvline(NEAR, color="0.5", linestyle=":", linewidth=1)
        drawing.set_logarithmic(axes, "x")
        axes.set(xlabel="size of a weight", ylabel="weights at most so large (%)")
        axes.set_ylim(0, 100)
        drawing.draw_side_labels(axes, labels)
        drawing.save(figure, folder, "weights", HEADER, rows)
    return SavedFigure(
        "weights",
        "The weights under each L1 lambda",
        "The share of all weights and biases that are at most so large, over all runs with that"
        f" lambda, whatever their other settings are ({_counts(files, chosen)} each). Dotted: below"
        f" {number(NEAR)} a weight counts as near zero."
        + (f" {len(chosen)} of {len(keys)} lambdas." if len(chosen) < len(keys) else ""),
    )


def _draw_line(axes: Axes, look: Style, at_most: np.ndarray, text: str) -> SideLabel:
    """Draw the share of weights that are at most so large; return its label, at the median."""
    middles = np.sqrt(BINS[1:] * BINS[:-1])
    axes.plot(middles, 100 * at_most, **look.line)
    half = max(0.5, at_most[0])
    median = 10 ** np.interp(half, at_most, np.log10(middles))
    return SideLabel(text, look.colour, median, 100 * half)


def _counts(files: Mapping[tuple[str, float], Sequence[Path]], chosen: Sequence[Any]) -> str:
    least, *_, most = sorted(len(files[key]) for key in chosen)
    return count(most, "run") if least == most else f"{least} to {most} runs"


def _files_by_lambda(study: Study) -> dict[tuple[str, float], list[Path]]:
    """(how L1 is reduced, where both ways are used; lambda) -> files of weights."""
    reductions = {v.config.l1_reduction for v in study.variants if v.config.l1}
    files: dict[tuple[str, float], list[Path]] = {}
    for variant in study.variants:
        config = variant.config
        reduction = config.l1_reduction if len(reductions) > 1 and config.l1 else ""
        paths = [run.path / runs.WEIGHTS for run in variant.runs if run.has(runs.WEIGHTS)]
        if paths:
            files.setdefault((reduction, config.l1), []).extend(paths)
    return files


def sizes(path: Path) -> np.ndarray:
    """|w| of all parameters in a file of weights, without BatchNorm's running statistics.

    Empty where the file is damaged, which is no reason to leave the run out: all else of it is not.
    """
    import torch  # lazily: its import takes longer than a figure

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = [
            tensor.float().abs().ravel().numpy()
            for name, tensor in state.items()
            if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        ]
        return np.concatenate(found)
    except Exception as error:  # of bytes that are anything torch raises anything
        log.warning("%s: is damaged (%s): not in the figure of the weights", path, describe(error))
        return np.empty(0, np.float32)
