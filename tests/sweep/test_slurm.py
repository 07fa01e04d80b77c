"""The Slurm scripts on a real Slurm of one node, which this test starts (Debian's slurm-wlm).

Slurm signals every process of a job that is requeued: shell, agents, their children, and wandb's
service.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from study import sweep_folder
from tests.conftest import ROOT
from tests.machines import Machine, epochs, sweep_text

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol")
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1,requeue_delay=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        os.getuid() != 0 or not all(shutil.which(name) for name in PROGRAMS),
        reason="needs root and Debian's slurm-wlm",
    ),
]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]


@pytest.fixture
def slurm(tmp_path):
    """A cluster of one node; a function that runs its commands and returns what they print."""
    folder = tmp_path / "slurm"
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    config = CONFIG.format(host=host, folder=folder, ports=free_ports(2), cpus=os.cpu_count())
    (folder / "slurm.conf").write_text(config)
    inherited = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}
    environment = inherited | {"SLURM_CONF": str(folder / "slurm.conf")}

    def run(*words, cwd: Path = folder, **variables: str) -> str:
        command, variables = [*map(str, words)], environment | variables
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=variables)
        assert done.returncode == 0, done
        return done.stdout

    daemons = []
    try:
        for name in ("slurmctld", "slurmd"):
            with open(folder / f"{name}.out", "w") as output:
                daemons.append(
                    subprocess.Popen([name, "-D"], env=environment, stdout=output, stderr=output)
                )
            time.sleep(1)
        wait(lambda: "idle" in run("sinfo", "-h", "-o", "%T"), 30)
        yield run
    finally:
        with contextlib.suppress(Exception):
            run("scancel", "--signal=KILL", "--user", "root")
            run("scancel", "--user", "root")
            time.sleep(1)
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(30)


def wait(happened, timeout: float):
    end = time.monotonic() + timeout
    while not (found := happened()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)
    return found


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like a checkout."""
    (tmp_path / "checkout/sweeps").mkdir(parents=True)
    (tmp_path / "checkout/sweeps/launch").symlink_to(ROOT / "sweeps/launch")
    (tmp_path / "checkout/.venv").symlink_to(Path(sys.prefix))
    return tmp_path / "checkout"


def submit(slurm, machine, script: str, *words, limit: str = "10", **variables: str) -> str:
    """Submit an array of two; the job's id."""
    options = ["--parsable", "--array=0-1", "--gres=none", "--cpus-per-task=1", f"--time={limit}"]
    path = machine.home / "sweeps/launch" / script
    exported = machine.environment | {"STAGGER": "1"} | variables
    options += [f"--output={machine.home}/%A_%a.out"]
    return slurm("sbatch", *options, path, *words, cwd=machine.home, **exported).strip()


def is_over(slurm) -> bool:
    return not slurm("squeue", "-h")


def output(machine) -> str:
    return "\n".join(path.read_text() for path in machine.home.glob("*.out"))


def test_requeued_agents_train_each_configuration_once(slurm, server, checkout):
    """One job is requeued as soon as both have opened a run, the other in the middle of one.

    Not as soon as one has: the other's agent may then have been assigned a run that no process of
    ours has begun to open, and W&B assigns it to nobody else.
    """
    machine = Machine(server, checkout)
    text = sweep_text(epochs=8, batch_size=64, dropout=0.1, seed=[1, 2])
    sweep = server.add_sweep(text)
    job = submit(slurm, machine, "slurm.sh", SWEEP=sweep.path)
    found = sweep.runs
    server.wait_for(lambda: len(found) == 2, 120)
    slurm("scontrol", "requeue", f"{job}_0")
    server.wait_for(lambda: any(run.rows for run in found.values()), 120)
    slurm("scontrol", "requeue", f"{job}_1")
    wait(lambda: is_over(slurm), 240)
    assert sorted(run.config["seed"] for run in found.values()) == [1, 2]
    for run in found.values():
        assert run.state == "finished" and epochs(run) == list(range(1, 9)), output(machine)
    assert sum(run.starts for run in found.values()) > 2, output(machine)


def test_a_requeued_job_goes_on_with_an_offline_sweep(slurm, server, checkout):
    """Two jobs share the folder. In the middle of a run, one is requeued, and one gets the signal
    that Slurm sends near the time limit."""
    machine = Machine(server, checkout)
    (checkout / "mine.yaml").write_text(sweep_text(epochs=8, batch_size=64, seed=[1, 2, 3]))
    job = submit(slurm, machine, "slurm_offline.sh", "mine.yaml", "--workers", "1")
    wait(lambda: len(list(checkout.glob("runs/mine/*/checkpoint.pt"))) == 2, 120)
    slurm("scontrol", "requeue", f"{job}_0")
    slurm("scancel", "--batch", "--signal=USR1", f"{job}_1")
    wait(lambda: is_over(slurm), 240)
    found = sweep_folder.find(checkout / "runs/mine")
    assert [run.config.seed for run in found] == [1, 2, 3], output(machine)
    for run in found:
        assert run.state == "finished" and len(run.history) == 8, output(machine)
    assert not server.requests
