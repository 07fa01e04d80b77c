import os

import pytest
import yaml

from study.config import Config
from study.errors import UsageError
from study.sweep import spec
from study.train import loop
from tests.conftest import SWEEPS, tiny

GRID = """
method: grid
metric: {name: test/accuracy, goal: maximize}
parameters:
  norm: {values: [batch, layer]}
  lr: {value: 0.1}
  seed: {values: [1, 2]}
"""

EARLY = "method: grid\nearly_terminate: {type: hyperband}"


@pytest.fixture
def written(tmp_path):
    def write(body: str):
        path = tmp_path / "mine.yaml"
        path.write_text(body)
        return path

    return write


def test_a_grid_is_the_product_in_the_files_order(written):
    sweep = spec.read(written(GRID))
    assert sweep.name == "mine"
    assert [(c.norm, c.seed) for c in sweep.configs] == [
        ("batch", 1), ("batch", 2), ("layer", 1), ("layer", 2),
    ]  # fmt: skip
    assert {c.lr for c in sweep.configs} == {0.1}


def test_settings_replace_parameters(written):
    sweep = spec.read(written(GRID), ["seed=3", "norm=group,none", "epochs=1"])
    assert [(c.norm, c.seed, c.epochs) for c in sweep.configs] == [
        ("group", 3, 1),
        ("none", 3, 1),
    ]


def test_what_is_replaced_need_not_fit_the_method(written):
    """Neither is anything there to draw in what the command line makes constant."""
    body = GRID.replace("lr: {value: 0.1}", "lr: {min: 0.1, max: 0.2}")
    assert {c.lr for c in spec.read(written(body), ["lr=0.3"]).configs} == {0.3}
    body = "method: random\nrun_cap: 2\nparameters:\n  lr: {value: 0.1}\n"
    assert spec.read(written(body), ["lr=0.1,0.2"]).varying
    with pytest.raises(UsageError, match="there is nothing to draw"):
        spec.read(written(body.replace("value: 0.1", "values: [0.1, 0.2]")), ["lr=0.1"])


@pytest.mark.parametrize(
    "line",
    [
        "kind: sweep",
        "apiVersion: wandb/v1",
        "controller: {type: cloud}",
        "program: ./study/sweep/agent.py",
        "program: study/sweep/agent.py\ncommand: []",
    ],
)
def test_what_wandb_takes_for_its_default_is_taken(written, line):
    assert len(spec.read(written(f"{line}\n{GRID}")).configs) == 4


@pytest.mark.parametrize("line", ["", 'command: ["${env}", "${program}"]\n', "command: []\n"])
def test_a_file_that_starts_nothing_under_wandbs_agent_is_refused_before_it_goes_there(line):
    content = yaml.safe_load(line + GRID)
    with pytest.raises(UsageError, match="program: is missing"):
        spec.check_for_agents(content)
    spec.check_for_agents(content | {"program": spec.PROGRAM})
    spec.check_for_agents(content | {"command": ["python", "-m", spec.MODULE]})


def test_steps_need_one_parameter_that_varies_since_wandb_keeps_no_order_of_several(written):
    lines = "".join(f"  step {i}: x\n" for i in range(1, 5))
    body = f"description: |\n{lines}{GRID}"
    body = body.replace("seed: {values: [1, 2]}", "dropout: {values: [0.0, 0.1]}")
    with pytest.raises(UsageError, match="description: has 4 steps; allowed is one for each value"):
        spec.read(written(body))


def test_a_rerun_goes_where_the_run_is_on_wandb(written):
    sweep = spec.read(written(f"entity: team\nproject: norms\n{GRID}"))
    assert (sweep.entity, sweep.project) == ("team", "norms")
    again = spec.rerun(sweep.configs[0], "again", "1,2", [], "team/norms")
    assert (again.entity, again.project) == ("team", "norms")
    offline = spec.rerun(sweep.configs[0], "again", "1,2", [], "norms")
    assert (offline.entity, offline.project) == ("", "norms")
    assert spec.rerun(sweep.configs[0], "again", "1,2", []).project == "study"


def test_equal_configurations_are_one(written):
    body = GRID.replace("[1, 2]", "[1, 1.0]").replace(
        "lr: {value: 0.1}", "groups: {values: [2, 4]}"
    )
    assert len(spec.read(written(body)).configs) == 2


def test_the_far_tail_of_a_normal_is_no_reason_to_refuse(written):
    body = "method: random\nrun_cap: 5\nparameters:\n  schedule: {value: step}\n"
    body += "  gamma: {distribution: normal, mu: 0.5, sigma: 0.15}\n"
    gammas = [config.gamma for config in spec.read(written(body)).configs]
    assert len(gammas) > 150 and all(0 < gamma <= 1 for gamma in gammas)


def test_run_cap_caps(written):
    assert len(spec.read(written(GRID + "run_cap: 3\n")).configs) == 3
    one = spec.read(written(GRID + "run_cap: 1\n"))
    assert str(one) == "grid, 1 configuration"


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ("norm:", "nrm:", ["nrm", "did you mean norm?"]),
        ("{value: 0.1}", "{value: 1e-1}", ["parameters.lr.value='1e-1'", "write 1.0e-1"]),
        ("{value: 0.1}", "0.1", ["parameters.lr", "write `value: 0.1`"]),
        ("{value: 0.1}", "{value: -0.1}", ["parameters.lr.value=-0.1", "above 0"]),
        ("{value: 0.1}", "{min: 0.1, max: 1}", ["parameters.lr", "a grid needs value"]),
        ("[1, 2]", "[]", ["parameters.seed.values=[]", "at least one value"]),
        ("[1, 2]", "3", ["parameters.seed.values=3", "list"]),
        ("method: grid", "method: custom", ["method=custom", "bayes"]),
        ("method: grid", "method: bayes", ["test/accuracy", "val/accuracy", "holdout"]),
        ("test/accuracy", "val/accuracy", ["val/accuracy", "holdout above 0"]),
        ("goal: maximize", "goal: maximize, target: high", ["metric.target='high'", "a number"]),
        ("goal: maximize", "goal: maximize, impute: best", ["metric.impute=best", "worst"]),
        ("goal: maximize", "goal: maximize, gaol: minimize", ["metric.gaol", "did you mean goal?"]),
        ("method: grid", "", ["method: is missing", "bayes"]),
        ("method: grid", "metod: grid", ["metod", "did you mean method?"]),
        ("test/accuracy", "test_accuracy", ["metric.name=test_accuracy", "test/accuracy"]),
        ("goal: maximize", "goal: most", ["metric.goal=most", "maximize"]),
        ("parameters:", "parameters: [", ["line 6, column 3", "not valid YAML"]),
        ("lr: {value: 0.1}", "norm: {value: group}", ["line 6", "norm stands twice"]),
        ("method: grid", "method: grid\nrun_cap: 0", ["run_cap=0", "at least 1"]),
        ("method: grid", "method: grid\nscheduler: {engine: optuna}", ["scheduler"]),
        ("method: grid", EARLY, ["early_terminate", "min_iter"]),
        ("method: grid", EARLY.replace("}", ", min_iter: 0}"), ["early_terminate.min_iter=0"]),
        ("method: grid", EARLY.replace("}", ", min_iter: 1, eta: 1}"), ["eta=1", "above 1"]),
        ("method: grid", EARLY.replace("}", ", max_iter: 2, s: 2}"), ["max_iter=2", "eta=3"]),
        ("method: grid", EARLY.replace("}", ", min_iter: 1, bands: 1}"), ["bands", "min_iter"]),
        ("method: grid", EARLY.replace("}", ", min_iter: 1}"), ["test/accuracy", "test images"]),
        ("method: grid", EARLY.replace("}", ", min_iter: 1, eta: 2.0e+9}"), ["test/accuracy"]),
        ("method: grid", "method: grid\nproject: {{name}}", ["line 3", "not valid YAML"]),
        ("method: grid", "method: grid\ndescription: 2024-02-30", ["day is out of range"]),
        (
            "lr: {value: 0.1}",
            f"lr: {{value: 1{400 * '0'}}}",
            ["lr.value=1000", "is a number"],
        ),
        ("method: grid", "method: grid\nproject: [a]", ["project=['a'] (a list): allowed is text"]),
        ("method: grid", "method: grid\ncontroller: {type: local}", ["controller="]),
        (
            "{name: test/accuracy, goal: maximize}",
            "test/accuracy",
            ["write metric: {name: test/accuracy, goal: maximize}"],
        ),
        ("method: grid", "method: grid\ncommand: 5", ["command=5", "write command: ["]),
        ("method: grid", "method: grid\ncommand: {a: b}", ["command=", "write command: ["]),
        ("lr:", "1:", ["parameters.1: no such setting"]),
        ("lr:", "on:", ["parameters.True: no such setting"]),
        ("lr:", "2024-02-03:", ["parameters.2024-02-03: no such setting"]),
        ("{value: 0.1}", "{value: 0.1, 1: 2}", ["parameters.lr.1"]),
        ("lr: {value: 0.1}", "variant: {values: ['norm=layer']}", ["norm", "beside it"]),
        ("lr: {value: 0.1}", "variant: {values: ['l1=-1']}", ["l1=-1", "at least 0"]),
        ("lr: {value: 0.1}", "norm_affine: {value: element}", ["norm_affine=element"]),
    ],
)
def test_a_wrong_sweep_is_refused_with_file_and_line(written, old, new, messages):
    assert old in GRID
    with pytest.raises(UsageError) as error:
        spec.read(written(GRID.replace(old, new)))
    message = str(error.value)
    assert all("mine.yaml: " in line for line in message.splitlines())
    for words in messages:
        assert words in message


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("{name: test/accuracy}", "is minimized, since W&B does so where goal is left out"),
        ("{name: test/loss, goal: maximize}", "is maximized; to look for the lowest"),
        ("{name: test/loss}", ""),
        ("{name: test/accuracy, goal: maximize}", ""),
    ],
)
def test_a_goal_against_the_metrics_sense_is_warned_of(written, caplog, metric, words):
    spec.read(written(GRID.replace("{name: test/accuracy, goal: maximize}", metric)))
    assert words in caplog.text and bool(words) == bool(caplog.text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: " + "[" * 5000, "nested too deeply"),
        ("method: " + "[" * 60 + "]" * 60, "nested too deeply"),
        ("&a\nmethod: *a\nparameters: *a\n", "nested too deeply|too many values"),
        ("seed: 0x" + "f" * 9000, "a whole number of 36,000 bits"),
        ("\n".join(["a0: &a0 [1]"] + [
            f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 11)
        ]), "too many values; allowed are 100,000"),
    ],
    ids=["deep", "rather deep", "in itself", "long number", "aliases of aliases"],
)  # fmt: skip
def test_a_file_of_more_than_a_sweep_can_have_is_refused(tmp_path, text, message):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        spec.read(tmp_path / "odd.yaml")


def test_a_file_whose_name_is_no_text_is_refused(written, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.yaml")
    written("").rename(path)
    with pytest.raises(UsageError, match="a sweep's name must be text"):
        spec.read(path)


def test_an_empty_file_and_a_binary_one_are_refused(written, tmp_path):
    with pytest.raises(UsageError, match="is no sweep"):
        spec.read(written(""))
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UsageError, match="no text file"):
        spec.read(tmp_path / "picture.yaml")


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_runs_by_wandbs_agent_and_by_ours(path, tmp_path):
    """That W&B's schema allows it, `make test-schema` checks."""
    content = yaml.safe_load(path.read_text())
    assert content["program"] == "study/sweep/agent.py"
    assert content["command"] == ["${env}", "${interpreter}", "-m", "study.sweep.agent"]
    configs = spec.read(path).configs
    assert configs and len(set(configs)) == len(configs)
    run = loop.train(tiny(configs[-1]), tmp_path)
    assert run.done


def test_the_quickstart_needs_no_download():
    [quickstart] = [path for path in SWEEPS if path.stem == "quickstart"]
    configs = spec.read(quickstart).configs
    assert {config.dataset for config in configs} == {Config().dataset} == {"digits"}
    assert len(configs) == 9
