"""The scripts of sweeps/launch, without a cluster. test_slurm.py runs them on a real one."""

import os
import shutil
import signal
import subprocess

import pytest
import yaml

from tests.conftest import ROOT
from tests.machines import terminate_all

LAUNCH = ROOT / "sweeps/launch"
COMMAND = """
trap 'echo told; sleep 0.2; echo ended; exit 7' TERM
echo begun
while true; do sleep 0.05; done
"""


@pytest.fixture
def start(tmp_path):
    """Start sweeps/launch/requeue on a machine whose scontrol only prints its words."""
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho scontrol $*\n")
    (tmp_path / "scontrol").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "12"}

    def run(*words: str, **variables: str) -> subprocess.Popen:
        command, variables = [LAUNCH / "requeue", *words], environment | variables
        return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)

    return run


@pytest.mark.parametrize(
    ("number", "code", "last"),
    [(signal.SIGUSR1, 0, "scontrol requeue 12"), (signal.SIGTERM, 143, "ended")],
)
def test_a_job_ends_its_command_first_and_is_queued_again_near_its_limit(number, code, last, start):
    process = start("bash", "-c", COMMAND)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    lines = output.splitlines()
    assert lines[:2] == ["told", "ended"] and lines[-1] == last
    assert process.returncode == code


def test_a_job_of_an_array_queues_itself_alone(start):
    """The last one has the id of the array."""
    array = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    process = start("bash", "-c", COMMAND, **array)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=30)
    assert output.splitlines()[-1] == "scontrol requeue 12_3"


def test_a_job_ends_as_its_command_does(start):
    process = start("bash", "-c", "exit 3")
    process.communicate(timeout=30)
    assert process.returncode == 3


def write_program(path, body):
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def agents(tmp_path):
    """Start sweeps/launch/agents with stand-ins for `study` and for `wandb`, whose bodies these are
    in sh."""
    launch, programs = tmp_path / "sweeps/launch", tmp_path / ".venv/bin"
    for folder in (launch, programs, tmp_path / "runs/id"):
        folder.mkdir(parents=True)
    (launch / "agents").symlink_to(LAUNCH / "agents")

    def run(gpus: str, study: str, wandb: str, per_gpu: str = "1") -> subprocess.Popen:
        for name, body in (("study", study), ("wandb", wandb)):
            write_program(programs / name, body)
        command = [launch / "agents", "team/project/id", gpus, per_gpu]
        environment = {k: v for k, v in os.environ.items() if k != "STUDY_RUNS"} | {"STAGGER": "0"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    return run


def test_what_agents_say_after_a_signal_to_every_process_is_printed(agents):
    """As Slurm and systemd send it: to what labels the lines, too."""
    process = agents("2", "true", COMMAND)
    assert process.stdout.readline() == "[gpu 2] begun\n"
    terminate_all(process.pid)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 143 and output.endswith("[gpu 2] ended\n")


@pytest.mark.parametrize(("agent", "sync", "code"), [(0, 0, 0), (3, 0, 3), (0, 1, 1)])
def test_agents_end_with_any_failure_and_sync_on_their_gpus(agent, sync, code, agents):
    """That of an agent that is not the last, and that of the sync after them."""
    study = f"[ $1 = check ] || {{ echo study $* on $CUDA_VISIBLE_DEVICES; exit {sync}; }}"
    process = agents("2,3", study, f"[ $CUDA_VISIBLE_DEVICES = 3 ] || exit {agent}")
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (code, "study sync runs/id on 2,3\n")


@pytest.mark.parametrize("gpus", ["MIG-GPU-a/1/0,3", " MIG-GPU-a/1/0 3", "MIG-GPU-a/1/0,,3,"])
def test_any_name_of_a_gpu_labels_its_agents(gpus, agents):
    output, _ = agents(gpus, "true", "echo begun", per_gpu="2").communicate(timeout=30)
    assert sorted(output.splitlines()) == ["[gpu 3] begun"] * 2 + ["[gpu MIG-GPU-a/1/0] begun"] * 2


@pytest.mark.parametrize(
    ("words", "stagger", "message"),
    [(("sweeps/quickstart.yaml",), "0", "SWEEP=sweeps/quickstart.yaml: allowed is ENTITY/PROJ"),
     (("sweeps/published/eva8_s5.yaml",), "0", "SWEEP=sweeps/published/eva8_s5.yaml: allowed"),
     (("id",), "0", "SWEEP=id: allowed is ENTITY/PROJECT/ID, as make sweep prints it"),
     ((), "0", "SWEEP=: allowed is ENTITY/PROJECT/ID"),
     (("a/b/c", ","), "0", "GPUS=,: allowed are GPUs with commas between, such as 0,1"),
     (("a/b/c", "0", "0"), "0", "PER_GPU=0: allowed is a whole number from 1 to 99"),
     (("a/b/c", "0", "two"), "0", "PER_GPU=two: allowed is a whole number"),
     (("a/b/c", "0", "1"), "soon", "STAGGER=soon: allowed are seconds")],
)  # fmt: skip
def test_agents_that_cannot_be_are_refused(words, stagger, message):
    """Where none starts, none fails: the exit code would be 0."""
    environment = os.environ | {"STAGGER": stagger}
    command = [LAUNCH / "agents", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith(f"agents: {message}") and len(done.stderr.splitlines()) == 1


@pytest.fixture
def make(tmp_path):
    """Run `make` in a folder with a space in its name, where programs print what they are given;
    its log, to which stderr goes, has a line already."""
    checkout = tmp_path / "check out"
    programs, launch = checkout / ".venv/bin", checkout / "sweeps/launch"
    for folder in (programs, launch):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", checkout)
    for path in (programs / "python", programs / "wandb", launch / "agents"):
        write_program(path, f"printf '%s: ' {path.name}; printf '<%s>' \"$@\"; echo")
    (checkout / "pyproject.toml").touch()
    (checkout / ".venv/installed").touch()
    log = tmp_path / "log"
    log.write_text("earlier\n")

    def run(*words: str) -> tuple[str, str]:
        command = ["make", "--no-print-directory", *words]
        with log.open("a") as errors:
            done = subprocess.run(
                command, cwd=checkout, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert done.returncode == 0
        return done.stdout, log.read_text()

    return run


def test_make_sweep_keeps_the_log_that_it_is_sent_to(make):
    _, log = make("sweep", "SWEEP=my sweep.yaml")
    assert log == "earlier\nwandb: <sweep><my sweep.yaml>\n"


def test_make_agents_takes_an_empty_word_for_none(make):
    """As of a machine without a GPU: the number of agents must not become its GPU."""
    printed, _ = make("agents", "SWEEP=a/b/c", "GPUS=", "PER_GPU=4")
    assert printed == "agents: <a/b/c><><4>\n"


def test_agents_of_an_array_start_one_after_another(tmp_path):
    """By any time that `sleep` takes."""
    launch = tmp_path / "sweeps/launch"
    launch.mkdir(parents=True)
    write_program(launch / "requeue", 'echo "$@"')
    write_program(tmp_path / "sleep", 'echo sleep "$@"')
    variables = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_ARRAY_TASK_ID": "2", "STAGGER": "0.5"}
    environment = os.environ | variables | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)

    def run(**more: str) -> subprocess.CompletedProcess:
        command = ["bash", LAUNCH / "slurm.sh"]
        return subprocess.run(command, env=environment | more, capture_output=True, text=True)

    agents = "sweeps/launch/agents a/b/c 0\n"
    assert run(SWEEP="a/b/c").stdout == "sleep 0.5\nsleep 0.5\n" + agents
    assert "SWEEP: allowed is ENTITY/PROJECT/ID" in run().stderr


@pytest.mark.parametrize("script", ["slurm.sh", "slurm_offline.sh"])
def test_a_job_has_a_signal_of_its_own_near_its_limit(script):
    """To its shell alone (B:), which tells its command; Slurm starts it again (--requeue)."""
    options = {
        line.removeprefix("#SBATCH ")
        for line in (LAUNCH / script).read_text().splitlines()
        if line.startswith("#SBATCH ")
    }
    assert {"--requeue", "--signal=B:USR1@90", "--open-mode=append"} <= options


def test_the_launch_files_parse():
    task = yaml.safe_load((LAUNCH / "spot.yaml").read_text())
    assert task["resources"]["use_spot"] is True
    assert "make agents" in task["run"]
    for script in ("agents", "requeue", "slurm.sh", "slurm_offline.sh"):
        subprocess.run(["bash", "-n", LAUNCH / script], check=True)


def test_skypilot_takes_the_spot_file():
    sky = pytest.importorskip("sky", reason="SkyPilot is not installed")
    task = yaml.safe_load((LAUNCH / "spot.yaml").read_text())
    secrets = [("WANDB_API_KEY", "x")]
    made = sky.Task.from_yaml_config(task, [("SWEEP", "e/p/id")], secrets)
    assert {next(iter(r.accelerators)) for r in made.resources} == {"L4", "A10G", "T4"}
    assert all(r.use_spot for r in made.resources) and made.envs == {"SWEEP": "e/p/id"}
