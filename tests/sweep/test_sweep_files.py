"""Sweep files as others write them: what is accepted, and all that is told of the others."""

import pytest

from study.errors import UsageError
from study.sweep import spec
from study.sweep.sweep import Sweep

NAMES = (
    "dataset, network, norm, groups, norm_affine, dropout, l1, l1_reduction, optimizer,"
    " weight_decay, lr, momentum, nesterov, schedule, step_size, gamma, epochs, batch_size,"
    " augment, label_smoothing, ema, holdout, seed, precision, max_parameters"
)
KEYS = (
    "apiVersion, command, description, early_terminate, entity, kind, method, metric, name,"
    " parameters, program, project, run_cap, settings"
)
METRICS = "train/loss, train/accuracy, val/loss, val/accuracy, test/loss, test/accuracy"
PROGRAM = (
    "program=train.py: study sweep trains its own networks and starts no script;"
    " write program: study/sweep/agent.py"
)
NESTED = (
    "nested parameters are not supported; write them flat, each directly below the sweep's"
    " `parameters`"
)
TEXT = "is text, not a number"
WHOLE = "allowed is a whole number at least 1"
EARLY = "method: random\nmetric: {name: train/loss}\nparameters: {lr: {min: 0.1, max: 1.0}}\n"
EARLY += "early_terminate: {type: hyperband, %s}\n"


def grid(parameters: str) -> str:
    return f"method: grid\nparameters: {{{parameters}}}\n"


def search(parameters: str) -> str:
    return f"method: random\nparameters: {{{parameters}, seed: {{values: [1, 2]}}}}\n"


def read(tmp_path, body: str) -> Sweep:
    (tmp_path / "mine.yaml").write_text(body)
    return spec.read(tmp_path / "mine.yaml")


def faults(tmp_path, body: str) -> list[str]:
    with pytest.raises(UsageError) as error:
        read(tmp_path, body)
    place = f"{tmp_path / 'mine.yaml'}: "
    lines = str(error.value).splitlines()
    assert all(line.startswith(place) for line in lines)
    return [line.removeprefix(place) for line in lines]


def wrong_name(name: str, meant: str) -> tuple[str, list[str]]:
    hint = f"parameters.{name}: no such setting; did you mean {meant}?"
    return grid(f"{name}: {{value: {'batch' if meant == 'norm' else 1}}}"), [hint]


# A kind of fault -> files with it, and every line that is told.
FAULTS: dict[str, list[tuple[str, list[str]]]] = {
    "several": [
        (
            "method: gird\nmetrc: 1\nrun_cap: 0\nparameters:\n  lr: {value: -1}\n"
            "  norm: {values: [batch, grop, bach]}\n  l1: {values: [x]}\n",
            [
                "metrc: not supported by study sweep; did you mean metric?",
                "method=gird: allowed are grid, random, bayes (did you mean grid?)",
                "parameters.lr.value=-1: allowed is a number above 0 and at most 1e30",
                "parameters.norm.values[1]=grop: allowed are batch, layer, group, instance, none"
                " (did you mean group?)",
                "parameters.norm.values[2]=bach: allowed are batch, layer, group, instance, none"
                " (did you mean batch?)",
                f"parameters.l1.values[0]='x': {TEXT}",
                f"run_cap=0: {WHOLE}",
            ],
        ),
        (
            grid("lr: {value: 0}, norm_affine: {value: element}"),
            [
                "parameters.lr.value=0: allowed is a number above 0 and at most 1e30",
                "norm_affine=element: needs norm=layer, not norm=batch (allowed here: channel,"
                " none)",
            ],
        ),
        (
            "method: bayes\nmetric: {name: loss, goal: max, target: '9'}\nparameters:\n"
            "  lr: {min: 1.0, max: 0.5}\n",
            [
                "parameters.lr.min=1: must be below max=0.5",
                f"metric.name=loss: allowed are {METRICS} (did you mean val/loss?)",
                "metric.goal=max: allowed are minimize, maximize (did you mean maximize?)",
                f"metric.target='9': {TEXT}; write 9 without quotes",
            ],
        ),
        (
            EARLY % "min_iter: '2', eta: 1, strict: 1, bands: 3",
            [
                "early_terminate.bands: allowed are type, min_iter, max_iter, s, eta, strict",
                "early_terminate.eta=1: allowed is a number above 1",
                "early_terminate.strict=1 (a whole number): allowed are true and false",
                f"early_terminate.min_iter='2' (text): {WHOLE}; write 2 without quotes",
            ],
        ),
        (
            grid("variant: {values: [norm=layer groups=5, norm=layer norm_affine=elment]}"),
            [
                "parameters.variant.values[1]: variant='norm=layer norm_affine=elment':"
                " norm_affine=elment: allowed are channel, element, none (did you mean element?)"
            ],
        ),
    ],
    "path of a bound": [
        (
            search(f"{name}: {{distribution: {kind}, {given}}}"),
            [f"parameters.{name}.{key}={value!r}: {TEXT}; YAML reads {value} as text: write"
             f" {write}"],
        )
        for name, kind, given, key, value, write in [
            ("weight_decay", "uniform", "min: 1e-6, max: 0.1", "min", "1e-6", "1.0e-6"),
            ("weight_decay", "log_uniform_values", "min: 0.1, max: 1e1", "max", "1e1", "1.0e+1"),
            ("l1", "q_uniform", "min: 0, max: 1, q: 1e-1", "q", "1e-1", "1.0e-1"),
            ("dropout", "normal", "mu: 1e-1, sigma: 0.1", "mu", "1e-1", "1.0e-1"),
            ("gamma", "beta", "a: 1E0, b: 2", "a", "1E0", "1.0e+0"),
        ]
    ] + [
        (
            search("dropout: {min: 0.0, max: 1.5}"),
            ["parameters.dropout.max=1.5: allowed is a number at least 0 and below 1"],
        ),
        (
            search("groups: {min: 0, max: 0.5}"),
            ["parameters.groups.distribution=uniform: groups is whole; use int_uniform or"
             " q_uniform"],
        ),
        (
            search("groups: {min: 0, max: 4}"),
            ["parameters.groups.min=0: allowed is a whole number at least 1"],
        ),
        (
            search("dropout: {distribution: log_uniform, min: -3, max: 2}"),
            ["parameters.dropout: exp(max)=7.389: allowed is a number at least 0 and"
             " below 1"],
        ),
        (
            grid("l1: {distribution: uniform, min: 1e-6, max: 1e-1}"),
            [
                "parameters.l1.distribution=uniform: a grid needs value, values, int_uniform or"
                " q_uniform",
                f"parameters.l1.min='1e-6': {TEXT}; YAML reads 1e-6 as text: write 1.0e-6",
                f"parameters.l1.max='1e-1': {TEXT}; YAML reads 1e-1 as text: write 1.0e-1",
            ],
        ),
    ],
    "variant": [
        (grid(f"variant: {{values: ['norm=layer', {text!r}]}}"), [
            f"parameters.variant.values[1]: variant={text!r}: {fault}" for fault in told])
        for text, told in [
            ("l1", ["'l1': write a setting as name=value"]),
            ("norm=batch l1", ["'l1': write a setting as name=value"]),
            ("nrm=batch wd=1", ["nrm: no such setting; did you mean norm?",
                                "wd: no such setting; did you mean weight_decay?"]),
            ("norm=layer norm=batch", ["norm stands in it twice"]),
            ("lr=fast l1=-1", ["lr=fast: allowed is a number above 0 and at most 1e30",
                               "l1=-1: allowed is a number at least 0"]),
        ]
    ] + [
        (grid("variant: {values: [3]}"), [
            "parameters.variant.values[0]: variant=3 (a whole number): write a text such as"
            " 'norm=group groups=5'"]),
        (grid("variant: {values: [norm=group, norm=layer groups=5]}"), [
            "variant='norm=layer groups=5': groups=5: has no effect unless norm=group; leave it"
            " out (default 4)"]),
    ],
    "name": [
        *(wrong_name(*pair) for pair in [
            ("learning_rate", "lr"), ("learn_rate", "lr"),
            ("train_batch", "batch_size"), ("batchsize", "batch_size"), ("wd", "weight_decay"),
            ("bs", "batch_size"), ("norm_type", "norm"), ("num_groups", "groups"),
            ("lambda", "l1"), ("Learning-Rate", "lr"), ("epoch", "epochs"),
            ("num_epochs", "epochs"), ("random_seed", "seed"), ("nrm", "norm"),
        ]),
        (grid("fc_layer_size: {value: 1}"),
         [f"parameters.fc_layer_size: no such setting; allowed are {NAMES}"]),
        (grid("wd: {values: [1e-4]}"), [
            "parameters.wd: no such setting; did you mean weight_decay?",
            f"parameters.wd.values[0]='1e-4': {TEXT}; YAML reads 1e-4 as text: write 1.0e-4"]),
    ],
    "nested": [
        (grid("optimizer.lr: {value: 1}"),
         ["parameters.optimizer.lr: no such setting; write it flat: lr"]),
        (grid("model.num_groups: {value: 2}"),
         ["parameters.model.num_groups: no such setting; write it flat: groups"]),
        (grid("optimizer: {parameters: {lr: {value: 1}}}"),
         [f"parameters.optimizer.parameters: {NESTED}"]),
        (grid("a: {parameters: {b: {parameters: {lr: {value: 0}, wd: {value: 1}}}}}"), [
            f"parameters.a.parameters: {NESTED}",
            f"parameters.a.parameters.b.parameters: {NESTED}",
            "parameters.a.parameters.b.parameters.lr.value=0: allowed is a number above 0 and at"
            " most 1e30",
            "parameters.a.parameters.b.parameters.wd: no such setting; did you mean"
            " weight_decay?"]),
    ],
    "program": [
        ("program: train.py\n" + grid("lr: {value: 1}"), [PROGRAM]),
        ('command: ["${env}", python, train.py, "${args}"]\n' + grid("lr: {value: 1}"), [
            "command=['${env}', 'python', 'train.py', '${args}']: starts another program than"
            ' study/sweep/agent.py; write command: ["${env}", "${interpreter}", "-m",'
            ' "study.sweep.agent"]']),
    ],
    "refused by W&B": [
        (grid("norm: {values: [batch, layer], probabilities: [0.5, 0.5]}"),
         ["parameters.norm.probabilities: mean nothing in a grid; leave them out"]),
        *((f"method: {method}\n{metric}parameters: {{lr: {{value: 0.1}}, seed: {{values: [1]}}}}",
           [f"method={method}: there is nothing to draw, each parameter has one value; give one"
            " of them a range or values, or take method: grid"])
          for method, metric in [("random", ""), ("bayes", "metric: {name: train/loss}\n")]),
        (search("norm: {values: [batch, layer], probabilities: [0.5, 0.6]}"),
         ["parameters.norm.probabilities=[0.5, 0.6]: add up to 1.1, allowed is 1"]),
        (EARLY % "max_iter: 9", ["early_terminate: max_iter needs s beside it"]),
    ],
    "number as text": [
        (grid(f"{name}: {{value: {word}}}"),
         [f"parameters.{name}.value={word!r}: is text, not {kind}; YAML reads {word} as text:"
          f" write {write}"])
        for name, kind, word, write in [
            ("lr", "a number", "1e5", "1.0e+5"), ("lr", "a number", "1.5e3", "1.5e+3"),
            ("lr", "a number", "1e+2", "1.0e+2"), ("l1", "a number", "5E-4", "5.0e-4"),
            ("epochs", "a whole number", "1e1", "1.0e+1"),
        ]
    ],
    "type": [
        *((grid("lr: {value: 1}") + f"run_cap: {given}\n", [f"run_cap={told}"])
          for given, told in [
              ("10.0", f"10.0 (a float): {WHOLE}; write 10"),
              ("'10'", f"'10' (text): {WHOLE}; write 10 without quotes"),
              ("true", f"true (a boolean): {WHOLE}"), ("2.5", f"2.5 (a float): {WHOLE}"),
          ]),
        *((grid(f"{name}: {{value: {given}}}"), [f"parameters.{name}.value={told}"])
          for name, given, told in [
              ("nesterov", "'True'", "'True' (text): allowed are true and false; write true"
               " without quotes"),
              ("nesterov", "1", "1 (a whole number): allowed are true and false"),
              ("epochs", "null", "null (no value): allowed is a whole number at least 1 and at"
               " most 10000"),
              ("lr", "'0.1'", f"'0.1': {TEXT}; write 0.1 without quotes"),
              ("lr", "[0.1]", "[0.1] (a list): allowed is a number above 0 and at most 1e30; for"
               " several values write `values: [0.1]`"),
              ("norm", "off", "false (a boolean): allowed are batch, layer, group, instance,"
               " none (did you mean none?)"),
          ]),
    ],
}  # fmt: skip


def cases(kinds: dict) -> list:
    return [pytest.param(*c, id=f"{kind} {i}") for kind, cs in kinds.items()
            for i, c in enumerate(cs)]  # fmt: skip


@pytest.mark.parametrize(("body", "told"), cases(FAULTS))
def test_all_faults_of_a_file_are_told_each_with_its_place(body, told, tmp_path):
    assert faults(tmp_path, body) == told


# As W&B does -> files, and something of the sweep.
ACCEPTED: dict[str, list[tuple[str, str]]] = {
    "hyperband": [
        (EARLY % "min_iter: 2, s: 3", "sweep.hyperband.brackets[:3] == (2, 6, 18)"),
        (EARLY % "min_iter: 2, max_iter: 27, s: 2", "sweep.hyperband.brackets == (3, 9)"),
        (EARLY % "max_iter: 27, s: 5000000000", "sweep.hyperband.brackets == (1, 3, 9)"),
        (EARLY % "max_iter: 27, s: 800, eta: 3", "sweep.hyperband.brackets == (1, 3, 9)"),
        (EARLY % "max_iter: 81, s: 800, eta: 3.0", "sweep.hyperband.brackets == (1, 3, 9, 27)"),
    ],
    "range of a grid": [
        (grid("groups: {min: 2, max: 4}, norm: {value: group}"),
         "[c.groups for c in sweep.configs] == [2, 3, 4]"),
        (grid("seed: {distribution: int_uniform, min: 1, max: 3}"),
         "[c.seed for c in sweep.configs] == [1, 2, 3]"),
        (grid("l1: {distribution: q_uniform, min: 0.1, max: 0.5, q: 0.1}"),
         "[c.l1 for c in sweep.configs] == [0.1, 0.2, 0.3, 0.4]"),
        (grid("epochs: {distribution: q_uniform, min: 5, max: 8}"),
         "[c.epochs for c in sweep.configs] == [5, 6, 7]"),
    ],
    "open end": [
        (search("lr: {min: 0, max: 0.1}"), "all(0 < c.lr <= 0.1 for c in sweep.configs)"),
        (search("lr: {distribution: uniform, min: 0, max: 0.1}"), "len(sweep.configs) > 100"),
        (search("momentum: {min: 0.9, max: 0.99999}"),
         "all(0.9 <= c.momentum <= 0.99999 for c in sweep.configs)"),
        (search("dropout: {min: 0.0, max: 1.0}"), "all(c.dropout < 1 for c in sweep.configs)"),
    ],
    "sum of probabilities": [
        (search("norm: {values: [batch, layer, none], probabilities: [.33333, .33333, .33333]}"),
         "len({c.norm for c in sweep.configs}) == 3"),
        (search("norm: {values: [batch, layer], probabilities: [0.3, 0.69999]}"),
         "len({c.norm for c in sweep.configs}) == 2"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("body", "holds"), cases(ACCEPTED))
def test_what_wandb_accepts_is_accepted(body, holds, tmp_path):
    assert eval(holds, {"sweep": read(tmp_path, body)})


# Files in the shapes of W&B's examples and of others' repositories, whole.
EXAMPLES: list[tuple[str, list[str]]] = [
    (
        """
program: train.py
method: random
metric: {goal: minimize, name: loss}
parameters:
  batch_size: {distribution: q_log_uniform_values, max: 256, min: 32, q: 8}
  dropout: {values: [0.3, 0.4, 0.5]}
  epochs: {value: 1}
  fc_layer_size: {values: [128, 256, 512]}
  learning_rate: {distribution: uniform, max: 0.1, min: 0}
  optimizer: {values: [adam, sgd]}
""",
        [
            PROGRAM,
            f"parameters.fc_layer_size: no such setting; allowed are {NAMES}",
            "parameters.learning_rate: no such setting; did you mean lr?",
            "parameters.optimizer.values[0]=adam: allowed are sgd, adamw (did you mean adamw?)",
            f"metric.name=loss: allowed are {METRICS} (did you mean val/loss?)",
        ],
    ),
    (
        """
program: train.py
method: random
metric: {name: val/loss, goal: minimize}
parameters:
  optimizer:
    parameters:
      learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}
      momentum: {value: 0.9}
""",
        [
            PROGRAM,
            f"parameters.optimizer.parameters: {NESTED}",
            "parameters.optimizer.parameters.learning_rate: no such setting; did you mean lr?",
            f"parameters.optimizer.parameters.learning_rate.min='1e-5': {TEXT}; YAML reads 1e-5"
            " as text: write 1.0e-5",
            f"parameters.optimizer.parameters.learning_rate.max='1e-1': {TEXT}; YAML reads 1e-1"
            " as text: write 1.0e-1",
        ],
    ),
    (
        """
program: train.py
project: sweeps
entity: team
description: a search
method: bayes
metric: {name: val_acc, goal: maximize}
early_terminate: {type: hyperband, max_iter: 27, s: 2}
controller: {type: local}
parameters:
  lr: {distribution: log_normal, mu: -5, sigma: 1}
  nesterov: {values: [true, false]}
""",
        [
            PROGRAM,
            "controller={'type': 'local'}: not supported by study sweep, which searches itself, as"
            " the W&B server does online; leave it out",
            f"metric.name=val_acc: allowed are {METRICS} (did you mean val/accuracy?)",
        ],
    ),
    (
        """
command: ["${env}", python3, "${program}", "${args}"]
method: grid
parameters:
  lr: {values: [1e-3, 0.01, 1]}
  bs: {values: [64, 128]}
  norm_type: {values: [BatchNorm, null]}
""",
        [
            f"parameters.lr.values[0]='1e-3': {TEXT}; YAML reads 1e-3 as text: write 1.0e-3",
            "parameters.bs: no such setting; did you mean batch_size?",
            "parameters.norm_type: no such setting; did you mean norm?",
            "parameters.norm_type.values[0]=BatchNorm: allowed are batch, layer, group, instance,"
            " none (did you mean batch?)",
            "parameters.norm_type.values[1]=null (no value): allowed are batch, layer, group,"
            " instance, none (did you mean none?)",
        ],
    ),
    (
        """
job: team/project/job:latest
method: bayes
metric: {name: val/loss, goal: min}
run_cap: "20"
scheduler: {resource: local-process}
parameters:
  learning_rate: {min: 0.001, max: 0.1}
""",
        [
            f"job: not supported by study sweep; allowed are {KEYS}",
            f"scheduler: not supported by study sweep; allowed are {KEYS}",
            "parameters.learning_rate: no such setting; did you mean lr?",
            "metric.goal=min: allowed are minimize, maximize (did you mean minimize?)",
            f"run_cap='20' (text): {WHOLE}; write 20 without quotes",
        ],
    ),
    (
        """
method: grid
lr: {values: [0.1, 0.2]}
parameters:
  epochs: 5
  seed: [1, 2, 3]
  l1: {vals: [0.1]}
""",
        [
            "lr: stands beside parameters; indent it, so that it stands below",
            "parameters.epochs=5: write `value: 5` below it",
            "parameters.seed=[1, 2, 3]: write `values: [...]` below it",
            "parameters.l1: needs value, values, or min and max; vals: did you mean values?",
        ],
    ),
    (
        """
program: train.py
method: grid
parameters:
  model.learning_rate: {values: [1.0e-4]}
  trainer.max_epochs: {value: 10}
  data.batch_size: {values: [32]}
""",
        [
            PROGRAM,
            "parameters.model.learning_rate: no such setting; write it flat: lr",
            "parameters.trainer.max_epochs: no such setting; write it flat: epochs",
            "parameters.data.batch_size: no such setting; write it flat: batch_size",
        ],
    ),
    (
        """
program: train.py
method: bayes
parameters:
  dropout: {min: 0, max: 0.5}
  norm: {values: [None, batch]}
  seed: {values: [1, 2.0, "3"]}
""",
        [
            PROGRAM,
            "parameters.norm.values[0]=None: allowed are batch, layer, group, instance, none (did"
            " you mean none?)",
            "parameters.seed.values[2]='3': is text, not a whole number; write 3 without quotes",
            "method=bayes: needs a metric (name and goal)",
        ],
    ),
    (
        """
name: mixed
method: random
metric: {name: val/accuracy, goal: maximize}
parameters:
  lr: {distribution: inv_log_uniform_values, min: 0.001, max: 1}
  label_smoothing: {distribution: beta, a: 2, b: 5}
  holdout: {values: [100, 0]}
""",
        ["metric.name=val/accuracy: needs the setting holdout above 0"],
    ),
    (
        """
program: train.py
method: grid
metric: {name: test/accuracy, goal: maximize}
early_terminate: {type: envelope}
parameters:
  model: {values: [mnist_7684]}
""",
        [
            PROGRAM,
            "parameters.model: no such setting; did you mean network?",
            "early_terminate.type=envelope: allowed are hyperband",
            "metric.name=test/accuracy: early_terminate would choose on the test images; give a"
            " holdout and take val/accuracy",
        ],
    ),
]


@pytest.mark.parametrize(("body", "told"), EXAMPLES)
def test_the_examples_of_others_are_told_all_that_is_to_be_changed(body, told, tmp_path):
    assert faults(tmp_path, body) == told
