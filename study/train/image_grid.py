"""A grid of images with words above each."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from study.runs import Misclassified

GRID = 10  # images drawn in misclassified.png


def draw_misclassified(wrong: Misclassified, classes: Sequence[str], title: str) -> Figure:
    """The ten most confident mistakes, five by two, each with prediction, target and confidence."""
    columns, tile, words = GRID // 2, 0.94, 0.36  # of a picture's pitch: its side, its heading
    figure = Figure(figsize=(8, 4.6))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: ten would take most of the time
    axes.axis("off")
    for i, (pixels, target, predicted, confidence) in enumerate(
        zip(wrong.pixels[:GRID], wrong.target, wrong.predicted, wrong.confidence)
    ):
        x, y = i % columns, (i // columns) * (1 + words) + words
        grey = pixels.shape[0] == 1
        picture = pixels[0] if grey else pixels.transpose(1, 2, 0)
        extent = (x, x + tile, y + tile, y)
        axes.imshow(picture, "gray" if grey else None, extent=extent, vmin=0, vmax=255)
        told = f"predicted {classes[predicted]}\ntarget {classes[target]}, {confidence:.0%} sure"
        axes.text(x + tile / 2, y - 0.04, told, fontsize=8, ha="center", va="bottom")
    axes.set(xlim=(-0.03, columns - 0.03), ylim=(2 * (1 + words), -0.2))
    axes.text(columns / 2 - 0.03, -0.06, title, fontsize=11, ha="center", va="center")
    return figure
