"""The command line: a command with its options bound, or one line."""

from typing import Annotated

import pytest
import tyro

from study.cli import parsing
from study.config import Config
from study.errors import UsageError


def train(lr: float = 0.1, epochs: int = 1, online: bool = False) -> int:
    """Train one run.

    Args:
        lr: the learning rate.
    """
    print("called")
    return round(lr * 100) + epochs


def sweep(file: tyro.conf.Positional[str], limit: int | None = None) -> int:
    """Run a sweep."""
    return len(file) + (limit or 0)


def configure(config: Annotated[Config, tyro.conf.arg(name="")]) -> int:
    """Make a configuration."""
    return config.epochs


COMMANDS = {"train": train, "sweep": sweep, "configure": configure}


def test_a_command_is_bound_and_called_later(capsys):
    command = parsing.parse(["train", "--lr", "0.5", "--epochs", "3"], COMMANDS)
    assert capsys.readouterr().out == ""
    assert command() == 53
    assert capsys.readouterr().out == "called\n"
    assert parsing.parse(["sweep", "x.yaml", "--limit", "2"], COMMANDS)() == 8


def test_help_is_printed(capsys):
    with pytest.raises(SystemExit) as stop:
        parsing.parse(["train", "--help"], COMMANDS)
    assert not stop.value.code
    assert "the learning rate." in capsys.readouterr().out


# These pin how tyro words its boxes, which `_one_line` reads. Where a release of tyro changes them,
# the box comes out as it is, and these fail.
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "--lr", "fast"], "--lr=fast: allowed is a number"),
        (["train", "--epochs", "2.5"], "--epochs=2.5: allowed is a whole number"),
        (["trian"], "trian: no such command; did you mean train?"),
        (["zzz"], "zzz: no such command; allowed are train, sweep, configure"),
        (["train", "--lrr", "1"], "Unrecognized options: --lrr, 1; did you mean --lr?"),
        (["train", "--LR", "1"], "Unrecognized options: --LR, 1; did you mean --lr?"),
        (
            ["train", "--learning-rate", "1"],
            "Unrecognized options: --learning-rate, 1; did you mean --lr?",
        ),
        (
            ["train", "--norm_type", "1"],
            "Unrecognized options: --norm_type, 1; study train --help lists the options",
        ),
        (["configure", "--wd", "1"], "Unrecognized options: --wd, 1; did you mean --weight-decay?"),
        (
            ["sweep", "x", "--dry-run"],
            "Unrecognized options: --dry-run; study sweep --help lists the options",
        ),
        (["sweeps", "x.yaml"], "sweeps: no such command; did you mean sweep?"),
        (["--verison"], "--verison: no such option; did you mean --version?"),
    ],
)
def test_what_we_rely_on_in_tyro(arguments, line, capsys):
    with pytest.raises(UsageError) as error:
        parsing.parse(arguments, COMMANDS)
    assert str(error.value) == line
    assert capsys.readouterr() == ("", "")


def test_a_missing_argument_is_named():
    with pytest.raises(UsageError) as error:
        parsing.parse(["sweep"], COMMANDS)
    assert "FILE" in str(error.value).upper() and "\n" not in str(error.value)


def test_a_box_of_dashes_is_read_like_one_of_lines():
    rule = "-" * 40
    box = f"- Parsing error {rule}\n| Unrecognized options: --lrr |\n| {rule} |\n"
    box = box.replace("|", "│") + "│ Perhaps you meant: --lr │\n"
    assert (
        parsing._one_line(box, ["train"], COMMANDS)
        == "Unrecognized options: --lrr; did you mean --lr?"
    )
