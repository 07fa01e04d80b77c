"""How variants look in all figures of a study: a colour, dashes and a marker each."""

from dataclasses import dataclass, replace
from typing import Any

import matplotlib
from matplotlib.colors import to_hex

from study.report.study import Study
from study.report.variants import Variant

# Okabe & Ito's colours, which colour-blind readers tell apart; yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777")
# Lighter ones of the same hue, for lines and words on a dark page.
ON_DARK = ("#4AA8E0", "#F28B4B", "#2FC79B", "#E3A3C6", "#8CCBF0", "#F2BE4F", "#B0B0B0")
# Of ordered values, each end of the scale left out that its page hides.
_SCALE = matplotlib.colormaps["plasma"]
SHADES = tuple(to_hex(_SCALE(0.7 * i / 27)).upper() for i in range(28))
SHADES_ON_DARK = tuple(to_hex(_SCALE(0.4 + 0.6 * i / 27)).upper() for i in range(28))
PALETTE = dict(zip((*COLOURS, *SHADES), (*ON_DARK, *SHADES_ON_DARK)))
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
# Of svg, in units of a pixel, the marks around the origin.
SVG_DASHES = {"-": "", "--": "6 3", "-.": "6 2 1.5 2", ":": "1.5 2.5"}
SVG_MARKERS = {
    "o": "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0",
    "s": "M-4,-4h8v8h-8z",
    "^": "M0,-5L5,4H-5z",
    "D": "M0,-5.5L5.5,0L0,5.5L-5.5,0z",
    "v": "M0,5L5,-4H-5z",
    "P": "M-1.8,-5h3.6v3.2h3.2v3.6h-3.2v3.2h-3.6v-3.2h-3.2v-3.6h3.2z",
    "X": "M-5,-2.5L-2.5,-5L0,-2.5L2.5,-5L5,-2.5L2.5,0L5,2.5L2.5,5L0,2.5L-2.5,5L-5,2.5L-2.5,0z",
    "p": "M0,-5L4.8,-1.5L2.9,4.2H-2.9L-4.8,-1.5z",
}
PLOTLY_DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
PLOTLY_MARKERS = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down",
    "P": "cross", "X": "x", "p": "pentagon",
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """Colour, dashes and marker in matplotlib's terms; `dash` and `symbol` are plotly's, `path`
    and `dasharray` svg's."""

    colour: str
    dashes: str
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """The arguments of matplotlib's `plot`."""
        return {"color": self.colour, "linestyle": self.dashes}

    @property
    def dash(self) -> str:
        return PLOTLY_DASHES[self.dashes]

    @property
    def symbol(self) -> str:
        return PLOTLY_MARKERS[self.marker]

    @property
    def dasharray(self) -> str:
        return SVG_DASHES[self.dashes]

    @property
    def path(self) -> str:
        return SVG_MARKERS[self.marker]

    @property
    def on_dark(self) -> str:
        """The colour on a dark page."""
        return PALETTE.get(self.colour, self.colour)


# Of the variants without a look of their own.
GREY = Style("#A6A6A6", "-", "o")


def nth(i: int) -> Style:
    """The i-th look: 28 differ in colour or dashes, so that lines without markers differ too."""
    return Style(COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)], MARKERS[i % len(MARKERS)])


def ordered(n: int) -> list[Style]:
    """Looks of up to as many ordered values as there are shades, these spread over the scale."""
    places = [round(i * (len(SHADES) - 1) / max(n - 1, 1)) for i in range(n)]
    looks = map(nth, range(n))
    return [replace(look, colour=SHADES[place]) for look, place in zip(looks, places)]


def of(study: Study, variant: Variant) -> Style:
    """The look of a variant: by the order of the settings, so that it stays while ranks change."""
    if variant not in study.shown:
        return GREY
    return nth([each for each in study.variants if each in study.shown].index(variant))
