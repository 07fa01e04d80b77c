"""The page in a browser: nothing asked of the network, tables and graphs that work, paper."""

import base64
import itertools
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from study import runs
from study.config import Config
from study.report import page
from study.report.figures import styles
from tests.report.browser import CHROMIUM, Browser
from tests.report.conftest import curve

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium (Debian: chromium)")

# Waits until all graphs in view are ready; a picture shown in their place would wait for ever.
GRAPHS_READY = """new Promise((done) => {
  const wait = () => [...document.querySelectorAll(".live")].every((place) => place.data)
    ? done(document.querySelectorAll(".live").length) : setTimeout(wait, 50);
  wait();
})"""
# Waits, at most for 20 s, until the graphs have followed a change of the window's width.
GRAPHS_FIT = """new Promise((done) => {
  const fit = (place) => place.querySelector(".main-svg").clientWidth <= place.clientWidth;
  const wait = (left) => left && ![...document.querySelectorAll(".live.ready")].every(fit)
    ? setTimeout(wait, 100, left - 1) : setTimeout(done, 300);
  setTimeout(wait, 300, 200);
})"""
OPEN_ALL = "document.querySelectorAll('details').forEach((folded) => { folded.open = true; })"
LATER = "new Promise((done) => setTimeout(done, 500))"  # past the time of a double click
LABELS = (
    "[...document.querySelectorAll('#variants-table tbody tr')].map((r) => r.cells[0].innerText)"
)


def press_enter(browser, selector: str) -> None:
    browser.run(f"document.querySelector({selector!r}).focus()")
    enter = {"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, **enter)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def opened(browser, made, tmp_path, quick):
    """The page of three variants over two seeds, a failed run among them, opened from its file."""
    for seed, (bn, ln, gn) in enumerate([(99.4, 99.2, 99.41), (99.38, 99.24, 99.35)], 1):
        made(Config(l1=2.5e-5, seed=seed), curve(bn))
        made(Config(norm="layer", seed=seed), curve(ln), url="https://wandb.ai/a/b/runs/1")
        made(Config(norm="group", groups=5, seed=seed), curve(gn), url="javascript:alert(1)")
    cause = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)>"
    made(Config(seed=1), curve(50.0), runs.FAILED, name="<img src=x>", cause=cause)
    index = page.write(tmp_path / "runs/mine", tmp_path / "reports/mine", target=99.4)
    browser.size(1280, 20_000)
    browser.media()
    browser.errors.clear()
    browser.requests.clear()
    browser.open(index.as_uri())
    return index


def test_the_page_works_in_a_browser(browser, opened):
    browser.run(OPEN_ALL)
    assert browser.run(GRAPHS_READY) == 4  # accuracy and loss by epoch, of test and training
    address = opened.as_uri()
    assert {url for url in browser.requests if not url.startswith("data:")} == {address}
    assert browser.errors == []
    assert browser.run("document.title") == "mine"  # what a run wrote was not run
    assert browser.run("document.querySelectorAll('img[src=x]').length") == 0
    links = browser.run("[...document.querySelectorAll('#runs-table a')].map((a) => a.href)")
    assert sum(link.startswith("https://wandb.ai/") for link in links) == 2
    assert not any(link.startswith("javascript:") for link in links)
    folders = [link for link in links if link.startswith("file:")]
    assert len(folders) == 7
    assert all(Path(unquote(link.removeprefix("file://"))).is_dir() for link in folders)

    head = "document.querySelector('#variants-table th:nth-child(5) button').click()"
    browser.run(head)
    assert browser.run(LABELS) == ["LN", "GN", "BN + L1 2.5e-5 (sum)"]  # 99.22, 99.38, 99.39
    browser.run(head)
    assert browser.run(LABELS)[0] == "BN + L1 2.5e-5 (sum)"
    browser.run("""{
      const field = document.querySelector("[data-filters=runs-table]");
      field.value = "ln 99.24";
      field.dispatchEvent(new Event("input"));
    }""")
    visible = (
        "[...document.querySelectorAll('#runs-table tbody tr')].filter((r) => !r.hidden).length"
    )
    assert browser.run(visible) == 1
    browser.run(f"{FILTER}('runs-table', '')")

    graph = "document.querySelector('[data-graph=test_accuracy]')"
    names = f"{graph}.data.filter((t) => t.mode === 'lines+markers').map((t) => t.name)"
    assert browser.run(names) == ["BN + L1 2.5e-5 (sum)", "GN", "LN"]  # the best first
    shown = f"[...new Set({graph}.data.map((t) => t.name))]"
    labels = f"[...{graph}.querySelectorAll('.annotation')].map((a) => a.textContent)"
    assert browser.run(labels) == [
        "target 99.4",
        "1  99.39 ± 0.13",
        "2  99.38 ± 0.38",
        "3  99.22 ± 0.25",
    ]
    legend = "document.querySelector('.legend [data-variant=GN]')"
    browser.run(f"{legend}.click()")
    assert browser.run(f"{LATER}.then(() => {shown})") == ["BN + L1 2.5e-5 (sum)", "LN"]
    assert len(browser.run(labels)) == 3 and browser.run(f"{legend}.ariaPressed") == "false"
    browser.run(f"{legend}.dispatchEvent(new MouseEvent('dblclick'))")
    assert browser.run(f"{LATER}.then(() => {shown})") == ["GN"]
    last = f"[...{graph}.querySelectorAll('.scatterlayer .trace path.js-line')].at(-1)"
    x, y = browser.run(f"((box) => [box.right, box.top])({last}.getBoundingClientRect())")
    browser.move(x - 1, y + 2)
    hover = browser.run(f"{LATER}.then(() => {graph}.querySelector('.hoverlayer').textContent)")
    assert re.search(r"GNepoch 1099\.38 ± 0\.3\d+ %", hover)

    press_enter(browser, ".legend [data-all=on]")
    assert browser.run(f"{LATER}.then(() => {shown}.length)") == 3
    press_enter(browser, ".legend [data-all=off]")
    press_enter(browser, ".legend [data-variant=LN]")
    assert browser.run(f"{LATER}.then(() => {shown})") == ["LN"]

    browser.media(scheme="dark")
    colours = browser.run(
        f"{LATER}.then(() => [getComputedStyle(document.body).color, {graph}.layout.font.color])"
    )
    assert colours == ["rgb(232, 232, 232)", "#e8e8e8"]

    browser.media()
    browser.size(390, 844)
    assert browser.run(f"{GRAPHS_FIT}.then(() => document.documentElement.scrollWidth)") <= 390

    browser.media("print")
    browser.size(717, 1000)  # of A4 between its margins
    assert browser.run(f"{LATER}.then(() => document.documentElement.scrollWidth)") <= 717
    printed = base64.b64decode(browser.call("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", printed)) >= 2
    shown = (
        f"getComputedStyle({graph}).display + getComputedStyle({graph}.nextElementSibling).display"
    )
    assert browser.run(shown) == "noneinline"
    assert browser.errors == []


# Sets options of the graphs as a user does, and waits for them.
SET = """((values) => {
  const fields = document.querySelector(".options").elements;
  for (const [name, value] of Object.entries(values)) {
    const field = fields[name];
    if (field.type === "checkbox") field.checked = value; else field.value = value;
  }
  fields.by.dispatchEvent(new Event("input", { bubbles: true }));
  return new Promise((done) => setTimeout(done, 500));
})"""
FILTER = """((table, words) => {
  const field = document.querySelector(`[data-filters=${table}]`);
  field.value = words;
  field.dispatchEvent(new Event("input"));
  return new Promise((done) => setTimeout(done, 700));
})"""


def test_the_graphs_are_coloured_smoothed_and_filtered(browser, made, tmp_path, quick):
    lasts = {("batch", 0.0): 98.0, ("batch", 0.1): 97.0, ("layer", 0.0): 96.0, ("layer", 0.1): 95.0}
    lasts[("group", 0.2)] = 94.0
    for (norm, dropout), last in lasts.items():
        for seed in (1, 2):
            made(Config(norm=norm, dropout=dropout, seed=seed), curve(last + seed / 10))
    index = page.write(tmp_path / "runs/mine", tmp_path / "out")
    browser.media()
    browser.size(1280, 20_000)
    browser.errors.clear()
    browser.open(index.as_uri())
    browser.run(OPEN_ALL)
    browser.run(GRAPHS_READY)
    graph = "document.querySelector('[data-graph=test_accuracy]')"
    means = f"{graph}.data.filter((t) => t.meta === 'mean' && t.mode !== 'lines')"
    lines = f"{means}.map((t) => [t.name, t.line.color, t.y.at(-1)])"
    before = browser.run(lines)
    assert [name for name, *_ in before] == [
        "BN", "BN, dropout 0.1", "LN", "LN, dropout 0.1", "GN, dropout 0.2",
    ]  # fmt: skip
    titles = "[...document.querySelectorAll('.options [name=by] option')].map((o) => o.text)"
    assert browser.run(titles) == ["variant", "norm", "dropout"]

    together = "document.querySelector('.options').elements.together.disabled"
    assert browser.run(together)  # each variant has a line already
    browser.run(f"{SET}({{ by: 0 }})")
    assert not browser.run(together)
    coloured = browser.run(lines)
    blue, orange, green = "#0072B2", "#D55E00", "#009E73"
    assert [colour for _, colour, _ in coloured] == [blue, blue, orange, orange, green]
    assert browser.run("document.querySelector('.key').textContent") == "● batch● layer● group"
    swatch = "document.querySelector('.legend [data-variant=\"LN, dropout 0.1\"] .look')"
    assert browser.run(f"getComputedStyle({swatch}).color") == "rgb(213, 94, 0)"

    browser.run(f"{SET}({{ by: 1, together: true }})")
    [none, some, alone] = browser.run(lines)
    assert [none[1], alone[1]] == [styles.SHADES[0], styles.SHADES[-1]]  # in the order of a scale
    assert (none[0], some[0], alone[0]) == ("0", "0.1", "0.2")
    assert none[2] == pytest.approx(97.15) and some[2] == pytest.approx(96.15)
    labels = f"[...{graph}.querySelectorAll('.annotation')].map((a) => a.textContent)"
    assert browser.run(labels) == ["0  97.15", "0.1  96.15", "0.2  94.15"]

    browser.run(f"{SET}({{ by: '', together: false, smooth: 2, x: true, y: true }})")
    assert browser.run(f"{means}[0].hovertemplate[4]").endswith(
        "<br>smoothed: 97.85<extra></extra>"
    )
    assert browser.run("document.querySelector('.options output').textContent") == "over 5 epochs"
    assert browser.run(labels)[0].startswith("1  98.15")  # the value itself
    axes = f"[{graph}.layout.xaxis.type, {graph}.layout.yaxis.type, {graph}.layout.yaxis.range]"
    across, upwards, (low, high) = browser.run(axes)
    assert across == upwards == "log" and 1.9 < low < high < 2.1
    assert not browser.run(FAULTS)

    browser.run(f"{SET}({{ smooth: 0, x: false, y: false }})")
    assert browser.run(lines) == before
    browser.run(f"{FILTER}('runs-table', 'ln')")
    assert [name for name, *_ in browser.run(lines)] == ["LN", "LN, dropout 0.1"]
    every = "[...document.querySelectorAll('.legend [data-variant]')]"
    left = f"{every}.filter((b) => b.checkVisibility())"
    assert browser.run(f"new Set({left}.map((b) => b.dataset.variant)).size") == 2
    points = "document.querySelector('[data-graph=response_dropout]').data.flatMap((t) => t.y)"
    assert max(value for value in browser.run(points) if value is not None) < 97
    browser.run(f"{FILTER}('runs-table', '')")
    assert browser.run(lines) == before
    browser.media(scheme="dark")
    filters = """["parallel_coordinates", "response_dropout"].map((name) => getComputedStyle(
      document.querySelector(`a[href="figures/${name}.png"] img`)).filter)"""
    as_it_is, inverted = browser.run(filters)  # the darker the better, on any page
    assert as_it_is == "none" and "invert" in inverted
    assert browser.errors == []


# Of the graphs of responses: the height of the axes, the words that are cut or under the tool bar.
RESPONSES = """[...document.querySelectorAll("[data-graph^=response]")].map((place) => {
  const box = (each) => each.getBoundingClientRect(), bar = box(place.querySelector(".modebar"));
  const words = [...place.querySelectorAll(".g-ytitle, .g-xtitle, .xtick, .legendtext")];
  const hidden = words.filter((each) => {
    const { left, right, top, bottom } = box(each), frame = box(place);
    const under = right > bar.left && left < bar.right && bottom > bar.top && top < bar.bottom;
    return under || top < frame.top || bottom > frame.bottom || left < frame.left;
  });
  const axes = place.querySelector(".plotclip rect").height.baseVal.value;
  return [axes, hidden.map((each) => each.textContent)];
})"""


def test_a_phone_has_room_for_graphs_beside_legends_and_for_names(browser, made, tmp_path, quick):
    settings = itertools.product(("batch", "layer", "group"), (0.0, 0.05, 0.1), (0.05, 0.1))
    for i, (norm, dropout, lr) in enumerate(settings):
        made(Config(norm=norm, dropout=dropout, lr=lr, holdout=100), curve(98.0 + i / 50))
    index = page.write(tmp_path / "runs/mine", tmp_path / "out")
    browser.media()
    for width in (390, 1280):
        browser.size(width, 20_000)
        browser.open(index.as_uri())
        browser.run(OPEN_ALL)
        browser.run(GRAPHS_READY)
        [(height, hidden)] = browser.run(f"{LATER}.then(() => {RESPONSES})")
        assert height > 220 and not hidden, f"at {width} pixels: {height}, {hidden}"
        name = "document.querySelector('.forest .name').getBoundingClientRect().width"
        assert browser.run(name) > 0.2 * width


def test_smoothing_leaves_lines_in_their_graph_and_their_ends(browser, opened):
    values = [20.0, 98.0, 99.5, 98.2, 99.6, None, 98.4, 60.0, 98.6, 98.8, 98.7]
    found = browser.run(f"smoothed({json.dumps(values)}, 3)")  # two seeds, a gap between them
    assert found == [20.0, 98.0, 98.2, 99.5, 99.6, None, 98.4, 98.4, 98.6, 98.7, 98.7]
    rising = [10.0, 90.0, 98.0, 99.0, 99.2]
    assert browser.run(f"smoothed({rising}, 8)") == rising
    browser.run(OPEN_ALL)
    browser.run(GRAPHS_READY)
    seeds = (
        "document.querySelector('.live').data.filter((t) => t.meta === 'spread').map((t) => t.y)"
    )
    before = browser.run(seeds)
    browser.run(f"{SET}({{ smooth: 8 }})")
    assert browser.run(seeds) == [browser.run(f"smoothed({json.dumps(y)}, 8)") for y in before]
    browser.run(f"{SET}({{ smooth: 0 }})")
    assert browser.run(seeds) == before


def test_labels_beyond_the_axis_are_in_the_order_of_their_values(browser, opened):
    labels = "[99.5, 20, 40, 30, 99.0].map((y) => ({ x: 1, y, text: String(y) }))"
    place = "annotate(LABELS, [98, 100], 300, false).map((a) => [a.text, a.y * 150 - 14700 - a.ay])"
    found = browser.run(place.replace("LABELS", labels))
    upwards = [text for text, _ in sorted(found, key=lambda each: each[1])]
    assert upwards == ["20", "30", "40", "99", "99.5"]
    assert min(height for _, height in found) > 0


def test_a_command_is_copied_from_a_file_and_by_the_keyboard(browser, opened):
    browser.run(OPEN_ALL)
    browser.run(GRAPHS_READY)
    at = "code.command + button"
    button = f"document.querySelector('{at}')"
    assert browser.run(f"{button}.ariaLabel") == "copy the command"
    browser.run("navigator.clipboard.writeText = (text) => { window.kept = text; }")
    press_enter(browser, at)
    assert browser.run(f"{LATER}.then(() => kept)").startswith("study report ")
    assert browser.run(f"{button}.nextElementSibling.textContent") == "copied"
    browser.run("navigator.clipboard.writeText = () => Promise.reject(); window.kept = ''")
    browser.run("document.addEventListener('copy', () => { kept = String(getSelection()); })")
    browser.run(f"{button}.click()")
    assert browser.run(f"{LATER}.then(() => kept)").startswith("study report ")


# The words that cover others, and those that leave the window or their graph; each a few letters.
FAULTS = """(() => {
  const words = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || parent.closest("script, style") || !parent.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const text = node.data.trim().slice(0, 30), scroller = parent.closest(".wide");
    const inside = scroller ? scroller.getBoundingClientRect() : null;
    for (const { left, right, top, bottom } of range.getClientRects()) {
      const box = { left, right, top, bottom };
      if (inside) { // what a table that moves hides
        box.right = Math.min(right, inside.right);
        box.bottom = Math.min(bottom, inside.bottom);
      }
      if (box.left < box.right && box.top < box.bottom) words.push({ box, node, text });
    }
  }
  const faults = [];
  words.forEach((a, i) => {
    for (const b of words.slice(i + 1)) {
      const width = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
      const height = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
      if (a.node !== b.node && width > 2 && height > 4) faults.push(`${a.text} over ${b.text}`);
    }
    const place = a.node.parentElement.closest(".live");
    const right = place ? place.getBoundingClientRect().right : innerWidth;
    if (a.box.right > right + 2 || a.box.left < 0) faults.push(`${a.text} is cut`);
  });
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) faults.push(`the page is ${wide} wide`);
  return [...new Set(faults)].slice(0, 20);
})()"""


def quickstart(made) -> None:
    for seed, (bn, ln, gn) in enumerate([(98.3, 95.3, 98.6), (98.9, 95.8, 98.6)], 1):
        made(Config(l1=2.5e-5, seed=seed), curve(bn))
        made(Config(norm="layer", seed=seed), curve(ln))
        made(Config(norm="group", groups=5, seed=seed), curve(gn))


def eight_of_one_epoch(made, sweep: str = "mine") -> None:
    settings = itertools.product(("batch", "layer"), (0.0, 0.05), (0.05, 0.1))
    for i, (norm, dropout, lr) in enumerate(settings):
        for seed in (1, 2):
            config = Config(norm=norm, dropout=dropout, lr=lr, epochs=1, seed=seed)
            made(config, [30.0 + 5 * i + 9 * seed], sweep=sweep)


def three_sweeps(made) -> None:
    quickstart(made)
    eight_of_one_epoch(made, "grid8")
    for groups in (2, 5, 10):
        made(Config(norm="group", groups=groups, epochs=3), [80.0, 90.0, 93.0], sweep="groups")


def two_data_sets(made) -> None:
    quickstart(made)
    for norm, last in (("batch", 99.3), ("layer", 99.2)):
        for seed in (1, 2):
            config = Config(dataset="mnist", norm=norm, l1=1e-3, l1_reduction="mean", seed=seed)
            made(config, curve(last + seed / 50), sweep="eva6_s6_l1l2")


def thirty(made) -> None:
    for i in range(30):
        norm = ("batch", "layer", "instance")[i % 3]
        made(Config(norm=norm, l1=1e-5 * (i // 3), seed=1), curve(99.0 - 0.05 * i))


def half_finished(made) -> None:
    quickstart(made)
    made(
        Config(l1=2.5e-5, seed=3),
        curve(50.0),
        runs.FAILED,
        cause="RuntimeError: out of memory " * 9,
    )
    made(Config(norm="layer", seed=3), curve(70.0)[:4], runs.RUNNING)
    made(Config(norm="instance", seed=1), curve(80.0)[:4], runs.STOPPED)


@pytest.mark.parametrize(
    "case",
    [quickstart, eight_of_one_epoch, three_sweeps, two_data_sets, thirty, half_finished],
)
def test_no_words_cover_others_or_are_cut(case, browser, made, tmp_path, quick):
    case(made)
    if case != quickstart:  # fewer pictures, which have no words
        for path in tmp_path.glob("runs/*/*/*"):
            if path.name in (runs.MISCLASSIFIED, runs.CONFUSION):
                path.unlink()
    folder = tmp_path / "runs"
    others = [path for path in sorted(folder.iterdir()) if path.name != "mine"]
    first, *others = [folder / "mine", *others] if (folder / "mine").is_dir() else others
    index = page.write(first, tmp_path / "out", target=99.0, compared_with=others)
    browser.media()
    browser.size(1280, 30_000)  # all is in view
    browser.open(index.as_uri())
    browser.run(OPEN_ALL)
    browser.run(GRAPHS_READY)
    for width in (1280, 390):
        browser.size(width, 30_000)
        faults = browser.run(f"{GRAPHS_FIT}.then(() => {FAULTS})")
        assert not faults, f"at {width} pixels: {'; '.join(faults)}"
