"""The normalizations as a spreadsheet of live formulas."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import xlsxwriter
from xlsxwriter.utility import xl_range_abs as area
from xlsxwriter.utility import xl_rowcol_to_cell as cell

from study.report.explain.examples import (
    EPSILON,
    MOMENTUM,
    NORMS,
    Example,
    Normalized,
    counted,
    normalize,
)

ABOUT = (
    "Batch, layer, group and instance normalization, worked by hand.",
    "",
    "Every number on the sheets of the norms is a formula: change a value, a gamma, a beta or the"
    " epsilon on a sheet called `values`, and all four norms follow.",
    "Values of one colour share one mean and one variance. The variance divides by n, not n - 1.",
    "Then gamma and beta of the value's channel scale and shift, in every norm alike.",
    "BatchNorm keeps running statistics for evaluation, starting from mean 0 and variance 1;"
    " only there the variance divides by n - 1.",
)
DIGITS = ("General", "0.0000", "0.0000")
LEFT = 1  # the first column of values; the labels stand before it


def build(examples: Sequence[Example]) -> bytes:
    """Build the spreadsheet: a sheet of values for each example and one for each norm on it.

    Its numbers are live formulas, each with its value for what does not recalculate (a preview, a
    program that reads cells).
    """
    body = io.BytesIO()
    with xlsxwriter.Workbook(body, {"in_memory": True}) as book:
        book.set_properties({"title": ABOUT[0], "created": datetime(2000, 1, 1)})
        styles = _Styles(book)
        about = book.add_worksheet("about")
        about.set_column(0, 0, 110)
        for row, line in enumerate(ABOUT):
            about.write(row, 0, line, styles(bold=not row, text_wrap=True))
        for example in examples:
            source = _Values(book, styles, example)
            for norm in NORMS:
                _norm_sheet(book, styles, example, norm, source)
    return body.getvalue()


class _Styles:
    """The workbook's formats, each made once."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self.book = book
        self.made: dict[Any, Any] = {}

    def __call__(self, **properties: Any) -> Any:
        key = tuple(sorted(properties.items()))
        if key not in self.made:
            self.made[key] = self.book.add_format(properties)
        return self.made[key]


class _Values:
    """The sheet of an example's values, gamma, beta and epsilon, to which formulas refer."""

    GAMMA, BETA, EPSILON, MOMENTUM, TOP = 3, 4, 5, 6, 9  # rows

    def __init__(self, book: xlsxwriter.Workbook, styles: _Styles, example: Example) -> None:
        self.name = f"{example.name} values"
        sheet = book.add_worksheet(self.name)
        sheet.set_column(0, 0, 22)
        sheet.write(0, 0, f"{example.title}: change what is blue", styles(bold=True))
        given = styles(font_color="#0000C0", border=1)
        _channel_heads(sheet, styles, self.GAMMA - 1, len(example.gamma))
        for row, label, values in (
            (self.GAMMA, "gamma", example.gamma),
            (self.BETA, "beta", example.beta),
        ):
            sheet.write(row, 0, label)
            for c, value in enumerate(values):
                sheet.write_number(row, LEFT + 2 * c, value, given)
        for row, label, value in (
            (self.EPSILON, "epsilon", EPSILON),
            (self.MOMENTUM, "momentum (BatchNorm)", MOMENTUM),
        ):
            sheet.write(row, 0, label)
            sheet.write_number(row, LEFT, value, given)
        _channel_heads(sheet, styles, self.TOP - 1, len(example.gamma))
        for index, value in np.ndenumerate(example.values):
            sheet.write_number(*_row_column(self.TOP, index), value, given)
        _image_heads(sheet, self.TOP, len(example.values))

    def at(self, row: int, column: int = LEFT) -> str:
        return f"'{self.name}'!{cell(row, column, True, True)}"


def _row_column(top: int, index: tuple[int, ...]) -> tuple[int, int]:
    """Row and column of a value in a block: images down, channels across, no gaps between."""
    image, channel, row, column = index
    return top + 2 * image + row, LEFT + 2 * channel + column


def _channel_heads(sheet: Any, styles: _Styles, row: int, channels: int) -> None:
    for c in range(channels):
        sheet.merge_range(
            row, LEFT + 2 * c, row, LEFT + 2 * c + 1, f"channel {c + 1}", styles(align="center")
        )


def _image_heads(sheet: Any, top: int, images: int) -> None:
    for i in range(images):
        sheet.write(top + 2 * i, 0, f"image {i + 1}")


def _norm_sheet(
    book: xlsxwriter.Workbook, styles: _Styles, example: Example, norm: str, source: _Values
) -> None:
    """Write the sheet of a norm: values, the means and variances of shares, outputs."""
    result = normalize(example, norm)
    images, channels = example.values.shape[:2]
    sheet = book.add_worksheet(f"{example.name} {norm}")
    sheet.set_landscape()
    sheet.fit_to_pages(1, 1)
    sheet.set_column(0, 0, 22)
    title = f"{example.name_of(norm)}: mean and variance {NORMS[norm][1]}"
    sheet.write(0, 0, title, styles(bold=True))
    tops = [3 + block * (2 * images + 3) for block in range(3)]
    titles = ("value", "(value - mean) / sqrt(variance + epsilon)", "gamma × that + beta")
    for top, title in zip(tops, titles):
        sheet.write(top - 2, 0, title, styles(italic=True))
        _channel_heads(sheet, styles, top - 1, channels)
        _image_heads(sheet, top, images)
    table = LEFT + 2 * channels + 1
    _share_table(sheet, styles, tops[0], table, result)
    for index, value in np.ndenumerate(example.values):
        k, channel = int(result.share_of[index]), LEFT + 2 * index[1]
        x, normal = (cell(*_row_column(top, index)) for top in tops[:2])
        mean, variance = (cell(tops[0] + k, table + 1 + j, True, True) for j in (0, 1))
        from_source = source.at(*_row_column(source.TOP, index))
        gamma, beta = source.at(source.GAMMA, channel), source.at(source.BETA, channel)
        formulas = (
            f"={from_source}",
            f"=({x}-{mean})/SQRT({variance}+{source.at(source.EPSILON)})",
            f"={gamma}*{normal}+{beta}",
        )
        cached = (value, result.normalized[index], result.output[index])
        for top, formula, number, digits in zip(tops, formulas, cached, DIGITS):
            style = _cell_style(styles, result.share_of, index, result.colours[k], digits)
            sheet.write_formula(*_row_column(top, index), formula, style, number)
    if norm == "batch":
        _running(sheet, tops[0] + len(result.shares) + 2, table, result, source, tops[0], images)


def _share_table(sheet: Any, styles: _Styles, top: int, column: int, result: Normalized) -> None:
    """Write a line a share of the values from row `top` on: its name, its mean, its variance."""
    sheet.set_column(column, column, 24)
    sheet.set_column(column + 1, column + 2, 12)
    for j, title in enumerate(("shared by", "mean", "variance")):
        sheet.write(top - 1, column + j, title, styles(bold=True))
    for k, (share, colour) in enumerate(zip(result.shares, result.colours)):
        first = _row_column(top, (share.images.start, share.channels.start, 0, 0))
        last = _row_column(top, (share.images[-1], share.channels[-1], 1, 1))
        cells, style = area(*first, *last), {"bg_color": colour, "border": 1}
        sheet.write(top + k, column, str(share), styles(**style))
        precise = styles(**style, num_format="0.000000")
        sheet.write_formula(top + k, column + 1, f"=AVERAGE({cells})", precise, result.mean[k])
        sheet.write_formula(top + k, column + 2, f"=VARP({cells})", precise, result.variance[k])


def _running(
    sheet: Any, row: int, table: int, result: Normalized, source: _Values, shares: int, images: int
) -> None:
    """Write BatchNorm's running mean and variance after this batch (torch.nn.BatchNorm2d)."""
    n = images * 4
    momentum = source.at(source.MOMENTUM)
    sheet.write(row - 1, table, "running, after this batch")
    for k, share in enumerate(result.shares):
        sheet.write(row + k, table, counted("channel", share.channels))
        mean, variance = (cell(shares + k, table + j) for j in (1, 2))
        sheet.write_formula(
            row + k, table + 1, f"=(1-{momentum})*0+{momentum}*{mean}", None,
            MOMENTUM * result.mean[k],
        )  # fmt: skip
        sheet.write_formula(
            row + k, table + 2, f"=(1-{momentum})*1+{momentum}*{variance}*{n}/{n - 1}", None,
            1 - MOMENTUM + MOMENTUM * result.variance[k] * n / (n - 1),
        )  # fmt: skip


def _cell_style(
    styles: _Styles, share_of: np.ndarray, index: tuple[int, ...], colour: str, digits: str
) -> Any:
    """A format: the share's colour, thin lines between cells and thick ones between shares."""
    images, channels, height, width = share_of.shape
    flat = share_of.transpose(0, 2, 1, 3).reshape(images * height, channels * width)
    flat = np.pad(flat, 1, constant_values=-1)  # no share is beside the outer ones
    row, column = 1 + index[0] * height + index[2], 1 + index[1] * width + index[3]
    beside = {
        "top": flat[row - 1, column], "bottom": flat[row + 1, column],
        "left": flat[row, column - 1], "right": flat[row, column + 1],
    }  # fmt: skip
    lines = {side: 1 if share == flat[row, column] else 2 for side, share in beside.items()}
    return styles(bg_color=colour, num_format=digits, **lines)
