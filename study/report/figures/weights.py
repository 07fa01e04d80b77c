"""What the L1 lambda does to the weights: their sizes, and the share of them near zero."""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from study import runs
from study.config import number
from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.variants import Study, Variant

NEAR = 1e-3  # a weight below this counts as near zero
MOST = 10  # lambdas drawn, spread evenly over all that there are
BINS = np.logspace(-8, 1, 73)


def draw(folder: Path, study: Study) -> SavedFigure | None:
    """The distribution of |w| under each L1 lambda. None where fewer than two lambdas left weights
    in run folders; runs pulled from W&B have none."""
    found: dict[tuple[str, float], list[Path]] = {}
    for variant in study.variants:
        files = [run.path / runs.WEIGHTS for run in variant.runs if run.has(runs.WEIGHTS)]
        if files:
            found.setdefault((_group(variant, study), variant.config.l1), []).extend(files)
    if len({l1 for _, l1 in found}) < 2:
        return None
    keys = sorted(found)
    drawn = [keys[i] for i in sorted({*np.linspace(0, len(keys) - 1, MOST).round().astype(int)})]
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**drawing.WIDE)
        axes = figure.subplots()
        sides, rows = [], []
        middle = np.sqrt(BINS[1:] * BINS[:-1])
        for i, key in enumerate(drawn):
            kept = [_sizes(path) for path in found[key]]
            values = np.clip(np.concatenate(kept), BINS[0], BINS[-1])
            below = np.searchsorted(np.sort(values), BINS[1:], side="right") / len(values)
            near = float((values < NEAR).mean())
            name = ", ".join(
                word for word in (key[0], f"L1 {number(float(f'{key[1]:.4g}'))}") if word
            )
            colour, dash = drawing.line(i)
            axes.plot(middle, 100 * below, color=colour, linestyle=dash)
            place = middle[np.argmin(abs(below - 0.5))]
            words = f"{name}\n{near:.0%} below {number(NEAR)}"
            sides.append(drawing.Side(words, colour, place, 50))
            rows += [[name, len(kept), len(values), near, *p] for p in zip(BINS[1:], below)]
        axes.axvline(NEAR, color="0.5", linestyle=":", linewidth=1)
        axes.set(xscale="log", xlabel="size of a weight", ylabel="weights at most so large (%)")
        axes.set_ylim(0, 100)
        drawing.side_labels(axes, sides)
        header = ["l1", "runs", "weights", "share_near_zero", "size", "share_at_most"]
        drawing.save(figure, folder, "weights", header, rows)
    return SavedFigure(
        "weights",
        "The weights under each L1 lambda",
        "The share of all weights and biases that are at most so large, over the seeds. Dotted:"
        f" below {number(NEAR)} a weight counts as near zero."
        + (f" {len(drawn)} of {len(keys)} lambdas." if len(drawn) < len(keys) else ""),
    )


def _group(variant: Variant, study: Study) -> str:
    """What else the lambdas are compared within: the way L1 is reduced, where both are used."""
    ways = {v.config.l1_reduction for v in study.variants if v.config.l1}
    return variant.config.l1_reduction if len(ways) > 1 and variant.config.l1 else ""


def _sizes(path: Path) -> np.ndarray:
    """|w| of all parameters in a weights file, without the running statistics of BatchNorm."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return np.concatenate(
        [
            tensor.float().abs().ravel().numpy()
            for name, tensor in state.items()
            if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        ]
    )
