"""The normalizations computed here, against torch's; the spreadsheet's cached values, its formulas
and, where LibreOffice is there, what it makes of them."""

import io
import re
import shutil
import subprocess
import zipfile

import numpy as np
import openpyxl
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from study import __main__ as command
from study.report.explain import examples, figure, workbook
from study.report.figures import drawing
from study.train import norms
from tests.conftest import read_csv

CASES = [(example, norm) for example in examples.EXAMPLES for norm in examples.NORMS]
OFFICE = shutil.which("soffice")
case = pytest.mark.parametrize(
    ("example", "norm"), CASES, ids=[f"{e.name}-{norm}" for e, norm in CASES]
)


@pytest.fixture(scope="module")
def body() -> bytes:
    return workbook.build(examples.EXAMPLES)


def by_torch(example: examples.Example, norm: str, values: np.ndarray) -> torch.nn.Module:
    """Torch's module in float64, after it has seen the values; its output as `.output`."""
    module = norms.build(norm, len(example.gamma), groups=example.groups).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor(example.gamma))
        module.bias.copy_(torch.tensor(example.beta))
        module.output = module(torch.tensor(values)).numpy()
    return module


@case
def test_the_output_is_torchs(example, norm):
    found = examples.normalize(example, norm)
    np.testing.assert_allclose(
        found.output, by_torch(example, norm, example.values).output, atol=1e-12
    )


def test_the_shares_of_two_images_of_four_channels():
    def shares(norm):
        return [str(share) for share in examples.shares(norm, 2, 4, 2)]

    assert shares("batch") == [f"images 1–2, channel {c}" for c in (1, 2, 3, 4)]
    assert shares("layer") == ["image 1, channels 1–4", "image 2, channels 1–4"]
    assert shares("group")[:2] == ["image 1, channels 1–2", "image 1, channels 3–4"]
    assert len(shares("instance")) == 8


class Sheet:
    """A sheet of the workbook, its numbers from `value(row, column)`, rows and columns from 1."""

    def __init__(self, example, value):
        self.example, self.value = example, value
        self.images, self.channels = example.values.shape[:2]

    def block(self, top: int) -> np.ndarray:
        """The values [N, C, 2, 2] of the block whose first row is `top`."""
        rows = [
            [self.value(top + r, 2 + c) for c in range(2 * self.channels)]
            for r in range(2 * self.images)
        ]
        flat = np.array(rows, dtype=float)
        return flat.reshape(self.images, 2, self.channels, 2).transpose(0, 2, 1, 3)

    def check(self, norm: str, values: np.ndarray) -> None:
        """Every number of the sheet against torch's, to 1e-6."""
        example, step = self.example, 2 * self.images + 3
        module = by_torch(example, norm, values)
        np.testing.assert_allclose(self.block(4), values, atol=1e-6)
        np.testing.assert_allclose(self.block(4 + 2 * step), module.output, atol=1e-6)
        unscaled = (module.output - example.beta[:, None, None]) / example.gamma[:, None, None]
        np.testing.assert_allclose(self.block(4 + step), unscaled, atol=1e-6)
        shares = examples.shares(norm, self.images, self.channels, example.groups)
        table = 2 * self.channels + 4
        for k, share in enumerate(shares):
            part = torch.tensor(values[share.slices])
            assert self.value(4 + k, table) == pytest.approx(part.mean().item(), abs=1e-6)
            variance = part.var(correction=0).item()
            assert self.value(4 + k, table + 1) == pytest.approx(variance, abs=1e-6)
        if norm == "batch":
            rows = range(6 + len(shares), 6 + 2 * len(shares))
            running = np.array([[self.value(r, table + j) for j in (0, 1)] for r in rows])
            expected = torch.stack([module.running_mean, module.running_var], 1).numpy()
            np.testing.assert_allclose(running, expected, atol=1e-6)


@case
def test_the_cached_values_are_torchs(body, example, norm):
    book = openpyxl.load_workbook(io.BytesIO(body), data_only=True)
    sheet = book[f"{example.name} {norm}"]
    Sheet(example, lambda r, c: sheet.cell(r, c).value).check(norm, example.values)


@case
def test_the_formulas_follow_a_changed_value(body, example, norm):
    """Evaluated here, without their cached values, after one value was changed."""
    book = openpyxl.load_workbook(io.BytesIO(body))
    book[f"{example.name} values"].cell(10, 2).value = 11
    values = example.values.copy()
    values[0, 0, 0, 0] = 11
    sheet = f"{example.name} {norm}"

    def value(row, column):
        return evaluate(book, sheet, openpyxl.utils.get_column_letter(column) + str(row))

    Sheet(example, value).check(norm, values)


def evaluate(book, sheet: str, place: str):
    """A cell's number: arithmetic, AVERAGE, VARP and SQRT over other cells."""
    content = book[sheet][place].value
    if not isinstance(content, str):
        return content
    functions = {"AVERAGE": np.mean, "VARP": np.var, "SQRT": np.sqrt}

    def named(match: re.Match) -> str:
        where, first, last = (
            match[1] or sheet,
            *(p and p.replace("$", "") for p in match.group(2, 3)),
        )
        if last is None:
            return repr(float(evaluate(book, where, first)))
        cells = [c.coordinate for row in book[where][f"{first}:{last}"] for c in row]
        return repr([float(evaluate(book, where, c)) for c in cells])

    pattern = r"(?:'([^']+)'!)?(\$?[A-Z]+\$?\d+)(?::(\$?[A-Z]+\$?\d+))?"
    return eval(re.sub(pattern, named, content.removeprefix("=")), functions)


@pytest.mark.skipif(OFFICE is None, reason="LibreOffice (soffice) is not installed")
def test_libreoffice_recalculates_to_torchs_values(body, tmp_path):
    """Without cached values, and with one value changed: whatever comes out was calculated."""
    bare = tmp_path / "bare.xlsx"
    with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(bare, "w") as new:
        for name in old.namelist():
            part = re.sub(rb"</f><v>[^<]*</v>", b"</f>", old.read(name))
            if b'<c r="B10"' in part and b"<f>" not in part:  # a sheet of values
                part = re.sub(rb'(<c r="B10"[^>]*><v>)1(</v>)', rb"\g<1>11\2", part)
            new.writestr(name, part)
    words = [OFFICE, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless"]
    words += ["--convert-to", "xlsx", "--outdir", str(tmp_path / "out"), str(bare)]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    book = openpyxl.load_workbook(tmp_path / "out/bare.xlsx", data_only=True)
    for example, norm in CASES:
        values = example.values.copy()
        values[0, 0, 0, 0] = 11
        sheet = book[f"{example.name} {norm}"]
        Sheet(example, lambda r, c, sheet=sheet: sheet.cell(r, c).value).check(norm, values)


def test_the_command_writes_figures_and_the_workbook(body, tmp_path, capsys):
    assert command.main(["explain", "--out", str(tmp_path / "out")]) == 0
    assert "normalization.xlsx" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "normalization.xlsx",
        *(f"normalization_{e}.{kind}" for e in ("4x4", "2x3") for kind in ("png", "pdf", "csv")),
    }
    assert (tmp_path / "out/normalization.xlsx").read_bytes() == body  # the same each time
    rows = read_csv(tmp_path / "out/normalization_2x3.csv")
    assert len(rows) == 4 * 2 * 3 * 4
    shared = {(r["norm"], r["mean"], r["variance"]) for r in rows if r["norm"] == "layer"}
    assert len(shared) == 2


@pytest.mark.parametrize("example", examples.EXAMPLES, ids=lambda example: example.name)
def test_no_text_of_the_figure_covers_another_or_leaves_it(example, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(drawing, "save", lambda figure, *_: kept.append(figure))
    figure.draw(tmp_path, example)
    [saved] = kept
    saved.draw_without_rendering()
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in saved.findobj(Text)
        if text.get_text() and text.get_visible() and text.axes.axison is False
    ]
    boxes = [(words, box) for words, box in boxes if box.width > 1]
    assert len(boxes) > 4 * 2 * example.values.size
    for i, (words, box) in enumerate(boxes):
        assert saved.bbox.x0 <= box.x0 and box.x1 <= saved.bbox.x1, words
        assert saved.bbox.y0 <= box.y0 and box.y1 <= saved.bbox.y1, words
        for other, second in boxes[i + 1 :]:
            assert not box.overlaps(second), (words, other)


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@case
def test_black_text_reads_on_every_colour_and_neighbours_differ_in_grey(example, norm):
    colours = examples.normalize(example, norm).colours
    assert len(set(colours)) == len(colours)
    assert min((luminance(c) + 0.05) / 0.05 for c in colours) > 7  # WCAG AAA
    columns = len({share.channels for share in examples.normalize(example, norm).shares})
    grid = np.array([luminance(c) for c in colours]).reshape(-1, columns)
    assert (abs(np.diff(grid, axis=0)) > 0.04).all() and (abs(np.diff(grid)) > 0.04).all()


def test_the_files_are_drawn_once(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(figure, "EXAMPLES", figure.EXAMPLES[1:])  # the smaller one
    first = figure.write(tmp_path / "one")
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert len(names) == 3 * len(first) + 1

    monkeypatch.setattr(figure, "draw", lambda *_: pytest.fail("drawn again"))
    assert figure.write(tmp_path / "two") == first
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch, quick):
    (tmp_path / "file").touch()
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "file"))
    assert [each.name for each in figure.write(tmp_path / "out")] == [
        "normalization_4x4", "normalization_2x3",
    ]  # fmt: skip
    assert (tmp_path / "out" / figure.WORKBOOK).is_file()
