"""The commands, tried as a new user would."""

import errno
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from study import __version__
from study.cli.commands import COMMANDS
from study.cli.parsing import parse
from study.config import Config
from study.train.augment import POLICIES
from tests.conftest import ROOT, write_run


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["trian"], ["trian: no such command", "did you mean train?"]),
        (["zzz"], ["zzz: no such command", "train", "explain"]),
        (["train", "--nrm", "layer"], ["--nrm", "did you mean --norm?"]),
        (["train", "--norm", "grop"], ["grop", "group"]),
        (["train", "--lr", "fast"], ["--lr=fast: allowed is a number"]),
        (["train", "--epochs", "2.5"], ["--epochs=2.5: allowed is a whole number"]),
        (["train", "--l1", "-1"], ["l1=-1", "at least 0"]),
        (["train", "--norm", "layer", "--groups", "5"], ["groups=5", "norm=group"]),
        (["train", "--norm", "group", "--groups", "0"], ["groups=0", "at least 1"]),
        (["train", "--threads", "0"], ["--threads=0", "at least 1"]),
        (["train", "--device", "tpu9"], ["device=tpu9", "not available"]),
        (["train", "--device", "meta"], ["device=meta", "allowed are cpu"]),
        (["train", "--device", "cpu:7"], ["device=cpu:7", "allowed are cpu"]),
        (["train", "--lr", "1e300"], ["lr=1e300", "at most 1e30"]),
        (["train", "--lr", "1", "--seed", "2", "--lr=2"], ["--lr: stands 2 times"]),
        (["sweep", str(ROOT / "sweeps/quickstart.yaml"), "--out", "x" * 300], ["x" * 300]),
        (["report", "x" * 300], ["x" * 300]),
        (["train", "--learning-rate", "1"], ["--learning-rate", "did you mean --lr?"]),
        (["sweep"], ["a sweep YAML"]),
        (["sweep", "nothing.yaml"], ["nothing.yaml", "No such file"]),
        (["sweep", "x.yaml", "--search-seed", "-1"], ["--search-seed=-1", "at least 0"]),
        (["rerun", "runs/nothing"], ["runs/nothing", "no run folder"]),
        (["agent", "team/sweep"], ["team/sweep", "ENTITY/PROJECT/SWEEP"]),
        (["agent", "team/project/sweep", "--pack", "0"], ["--pack=0", "at least 1"]),
        (["report", "runs/nothing"], ["runs/nothing", "no such folder"]),
        (["report", ".", "--target", "most"], ["--target=most: allowed is a number"]),
        (["report", ".", "--target", "994"], ["target=994", "at most 100"]),
        (["publish", "runs/nothing"], ["runs/nothing", "no such folder"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command, words, messages, tmp_path):
    done = command(*words)
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    for message in messages:
        assert message in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", ["--version | true", "--help | true", "check | head -1",
                                   "--version >&-", "--version 2>&-"])  # fmt: skip
def test_who_reads_what_is_printed_has_no_part_in_it(words, tmp_path):
    line = f"set -o pipefail; {shlex.quote(sys.executable)} -m study {words}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_what_could_not_be_printed_is_a_failure():
    command = [sys.executable, "-m", "study", "--version"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left on device" in done.stderr


def test_a_folder_that_is_gone_is_told_as_that(tmp_path):
    (tmp_path / "gone").mkdir()
    line = f"cd gone && rmdir ../gone && {shlex.quote(sys.executable)} -m study report x"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "study: the current folder is gone: change to one that exists\n"


def test_a_mistake_in_the_seeds_of_a_rerun_is_told_as_theirs(command, tmp_path):
    path = write_run(tmp_path / "runs/mine/run", Config(dataset="digits")).path
    for words in ("abc", "1.5", "-1", ""):
        done = command("rerun", path, f"--seeds={words}")
        assert done.returncode == 2
        assert done.stderr.startswith(f"study: --seeds={words}: allowed is a whole number at least")


def test_what_is_no_folder_of_a_sweep_is_told_with_what_to_give(command, tmp_path):
    path = write_run(tmp_path / "runs/mine/run", Config(dataset="digits")).path
    (tmp_path / "mine.yaml").write_text("method: grid\n")
    for words, message in (
        (["report", path], f"{path}: is a run itself; give the folder of a sweep"),
        (["report", "mine.yaml"], "mine.yaml: is a sweep file; give the folder of its runs (`study"
         " sweep mine.yaml` trains it, and its runs are then in runs/mine)"),
        (["report", "runs"], "runs: holds sweeps; give one or some of them: runs/mine"),
        (["rerun", "runs/mine"], "runs/mine: is the folder of a sweep; give one run of it, such as"
         " runs/mine/run"),
        (["publish", "mine.yaml"], "mine.yaml: is a sweep file"),
    ):  # fmt: skip
        done = command(*words)
        assert done.returncode == 2 and f"study: {message}" in done.stderr


def test_no_data_and_no_network_is_one_line(command, tmp_path, monkeypatch):
    # A proxy that no one listens at, so that this holds on a machine with a network too.
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # urllib keeps the proxies it first saw
    monkeypatch.setenv("STUDY_DATA", str(tmp_path / "data"))
    done = command("train", "--dataset", "mnist")
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "mnist could not be downloaded" in line and "dataset=digits" in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_train_prints_each_epoch_and_goes_no_further_than_asked(command, tmp_path):
    done = command("train", "--epochs", 2, "--batch-size", 512)
    assert done.returncode == 0, done.stderr
    assert "epoch   2/2" in done.stdout
    [folder] = (tmp_path / "runs/train").iterdir()
    assert str(folder.relative_to(tmp_path)) in done.stdout
    again = command("train", "--epochs", 2, "--batch-size", 512)
    assert again.returncode == 0
    assert "epoch   " not in again.stdout


def test_help_explains_every_setting(study):
    from study.config import FIELDS

    done = study("train", "--help")
    assert done.returncode == 0
    for name in FIELDS:
        assert f"--{name.replace('_', '-')}" in done.stdout
    assert "largest" in done.stdout
    assert all(re.search(rf"\b{name}:", done.stdout) for name in POLICIES)


def test_help_shows_no_option_as_none(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            parse([name, "--help"], COMMANDS)
        words = capsys.readouterr().out
        assert "None" not in words and "(default: )" not in words, name


def test_the_version_is_the_packages(command):
    done = command("--version")
    assert done.returncode == 0 and done.stdout == f"study {__version__}\n"


def imported(code: str) -> set[str]:
    """The modules that a process has which runs this code."""
    ask = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    done = subprocess.run(ask, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_comes_without_torch():
    words = imported("from study.__main__ import main; main(['--help'])")
    assert "explain" in words
    assert not {"torch", "matplotlib", "wandb", "optuna"} & words


def test_a_pull_and_the_check_of_a_sweep_file_come_without_torch():
    """They train nothing, and torch takes most of what a command takes to start."""
    words = imported("from study.sweep import spec; from study.tracking import pull")
    assert "study.sweep.space" in words
    assert not {"torch", "matplotlib", "scipy.stats", "wandb"} & words


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGTERM, 143, "preempted"), (signal.SIGINT, 130, "stopped")],
)
def test_a_sync_ends_by_the_code_of_its_signal(command, monkeypatch, number, code, word):
    from study.tracking import sync

    monkeypatch.setattr(sync, "sync", lambda *_: sync.Outcome(signal=number))
    done = command("sync", "runs/mine")
    line = f"study: {word}; the same command goes on from the last whole epoch\n"
    assert (done.returncode, done.stderr) == (code, line)


def test_check_refuses_an_unknown_data_set(command):
    done = command("check", "--dataset", "mnits")
    assert done.returncode == 2 and "did you mean mnist?" in done.stderr


@pytest.mark.parametrize(
    ("command_name", "how"),
    [("sweep", "goes on from the last whole epoch"), ("pull", "begins again")],
)
def test_an_interrupt_says_what_the_same_command_does(command, monkeypatch, command_name, how):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("study.cli.parsing.parse", lambda *_: interrupted)
    done = command(command_name, "x")
    assert done.returncode == 130 and done.stderr == f"study: stopped; the same command {how}\n"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ESTALE])
def test_an_error_of_the_machine_is_one_line_wherever_it_comes_from(command, monkeypatch, number):
    def fail():
        raise OSError(number, os.strerror(number), "runs/mine")

    monkeypatch.setattr("study.cli.parsing.parse", lambda *_: fail)
    done = command("report", "runs/mine")
    line = f"study: runs/mine: {os.strerror(number)}: mend that and run the command again\n"
    assert (done.returncode, done.stderr) == (1, line)
