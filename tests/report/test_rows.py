"""The rows of variants and of runs, as text."""

import dataclasses
import os

from study import runs
from study.config import Config
from study.report import grouping, rows
from tests.report.conftest import curve, run


def test_the_row_of_a_variant_has_its_mean_parameters_and_place(made, tmp_path):
    for seed, last in ((1, 99.0), (2, 99.2)):
        made(Config(seed=seed), curve(last))
        made(Config(norm="layer", seed=seed), curve(last + 0.5, 3))
    study = grouping.collect(tmp_path / "runs/mine")
    layer, batch = (rows.variant_row(study, variant) for variant in study.order)
    assert (layer.label, layer.number, layer.seeds) == ("LN", 1, 2)
    assert layer.last == layer.chosen == "99.60 ± 1.27" and layer.train == "98.60"
    assert layer.last5 == "" and batch.last5 == "98.80"  # of three epochs there is no such minimum
    assert int(layer.parameters.replace(",", "")) > 0


def test_a_run_has_links_to_its_folder_and_to_the_web_alone(tmp_path):
    addresses = ["javascript:alert(1)", "https://wandb.ai/me/run", None]
    made = [run(Config(), 99.0, seed, url=url) for seed, url in enumerate(addresses, 1)]
    again = run(Config(), 98.0, 1)
    failed = run(Config(norm="group"), 20.0, 1, runs.FAILED)
    study = grouping.gather({"mine": [*made, again, failed]})
    found = rows.run_rows(study, tmp_path / "report")
    assert [row.url for row in found] == ["", "https://wandb.ai/me/run", "", "", ""]
    assert [row.label for row in found] == ["BN", "BN", "BN", "GN", "a duplicate"]
    assert (found[0].last, found[-1].last, found[3].state) == ("99.00", "98.00", runs.FAILED)
    assert found[0].link.endswith(f"nowhere/{found[0].folder}")


def test_a_folder_whose_name_is_no_text_has_an_address_all_the_same(tmp_path):
    one = run(Config(), 99.0, 1)
    odd = dataclasses.replace(one, path=tmp_path / os.fsdecode(b"caf\xe9") / one.path.name)
    [row] = rows.run_rows(grouping.gather({"mine": [odd]}), tmp_path)
    assert row.link == f"caf%E9/{one.path.name}"


def test_a_figure_that_a_run_lacks_is_an_empty_cell(tmp_path):
    bare = run(Config(), 99.0, 1)
    bare.summary.pop("test_loss_last")
    [row] = rows.run_rows(grouping.gather({"mine": [bare]}), tmp_path)
    assert (row.loss, row.seconds, row.last) == ("", "300", "99.00")
