"""The page in a browser: nothing asked of the network, tables and graphs that work, paper."""

import base64
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from study import runs
from study.config import Config
from study.report import page
from tests.report.browser import CHROMIUM, Browser
from tests.report.conftest import curve

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium (Debian: chromium)")

# Waits until all graphs in view are ready; a picture shown in their place would wait for ever.
GRAPHS_READY = """new Promise((done) => {
  const wait = () => [...document.querySelectorAll(".live")].every((place) => place.data)
    ? done(document.querySelectorAll(".live").length) : setTimeout(wait, 50);
  wait();
})"""
LATER = "new Promise((done) => setTimeout(done, 500))"  # past the time of a double click
LABELS = (
    "[...document.querySelectorAll('#variants-table tbody tr')].map((r) => r.cells[0].innerText)"
)


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

    head = "document.querySelector('#variants-table th:nth-child(4) button').click()"
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

    graph = "document.querySelector('[data-graph=test_accuracy]')"
    names = f"{graph}.data.filter((t) => t.showlegend !== false).map((t) => t.name)"
    assert browser.run(names) == ["BN + L1 2.5e-5 (sum)", "LN", "GN"]
    curves = f"{graph}.querySelectorAll('.scatterlayer .trace').length"
    all_curves = browser.run(curves)
    middle = """((box) => [box.x + box.width / 2, box.y + box.height / 2])"""
    toggle = browser.run(
        f"{middle}({graph}.querySelector('.legendtoggle').getBoundingClientRect())"
    )
    browser.click(*toggle)
    assert browser.run(f"{LATER}.then(() => {curves})") < all_curves
    last = f"[...{graph}.querySelectorAll('.scatterlayer .trace path.js-line')].at(-1)"
    x, y = browser.run(f"((box) => [box.right, box.top])({last}.getBoundingClientRect())")
    browser.move(x - 2, y + 2)
    hover = browser.run(f"{LATER}.then(() => {graph}.querySelector('.hoverlayer').textContent)")
    assert re.search(r"(GN|LN)99\.\d+ ± 0\.\d+", hover)

    browser.media(scheme="dark")
    colours = browser.run(
        f"{LATER}.then(() => [getComputedStyle(document.body).color, {graph}.layout.font.color])"
    )
    assert colours == ["rgb(232, 232, 232)", "#e8e8e8"]

    browser.media()
    browser.size(390, 844)
    assert browser.run(f"{LATER}.then(() => document.documentElement.scrollWidth)") <= 390

    browser.media("print")
    printed = base64.b64decode(browser.call("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", printed)) >= 2
    shown = (
        f"getComputedStyle({graph}).display + getComputedStyle({graph}.nextElementSibling).display"
    )
    assert browser.run(shown) == "noneinline"
    assert browser.errors == []
