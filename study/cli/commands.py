"""The commands, each with its options. `study --help` lists them.

Each imports what it needs, so that help comes at once. To add a command, write its function here
and name it in COMMANDS.
"""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from study import output, values
from study.config import Config
from study.errors import UsageError
from study.labels import labels
from study.runs import Run

if TYPE_CHECKING:
    from study.tracking.marks import Mode

# Options that may be left out: tyro would show their type and default as `{None}|INT` and `None`.
# Their help says what holds then, where that is not plain.
OptionalInt = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
OptionalFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]
OptionalText = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
OptionalPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
Paths = Annotated[
    tuple[Path, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="PATH ...", help_behavior_hint=""),
]
OptionalPaths = Annotated[
    tuple[Path, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="[PATH ...]", help_behavior_hint=""),
]
SweepPath = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SWEEP")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="")]
Replacements = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...", help_behavior_hint="")
]
FlatConfig = Annotated[Config, tyro.conf.arg(name="")]  # --norm rather than --config.norm


def check(
    sweeps: OptionalPaths = (),
    dataset: Names = (),
    online: bool = False,
) -> int:
    """Check the device, memory, disk, data sets and W&B login; exit 1 with the remedy.

    Args:
        sweeps: sweep YAMLs whose settings, networks and data sets are checked, too.
        dataset: data sets that must be there, own:NAME too; the others are downloaded where they
            are missing.
        online: also ask for a W&B login.
    """
    from study.cli import check as checks

    return checks.run(sweeps, dataset, online)


def train(
    config: FlatConfig,
    out: OptionalPath = None,
    device: OptionalText = None,
    threads: int = 1,
) -> int:
    """Train one run. The same command again resumes it, or finds it done.

    Args:
        out: the run's folder (default: below runs/train).
        device: cpu, cuda, cuda:1, mps (default: the best there is).
        threads: threads on a CPU; results repeat to the bit for the same number only.
    """
    from study import runs
    from study.cli.progress import ProgressBar
    from study.train import pack_runs

    _check_at_least_one(threads=threads)
    out = out or Path("runs/train") / runs.name(config)
    output.show(f"{labels([config])[config.without_seed()]}: {config.network} on {config.dataset}")
    with ProgressBar(config) as progress:
        run = pack_runs.train_one(config, out, device=device, threads=threads, callback=progress)
    output.show(f"{_describe(run)}  {run.path}")
    return 0


def sweep(
    file: tyro.conf.Positional[Path],
    out: Path = Path("runs"),
    workers: OptionalInt = None,
    pack: OptionalInt = None,
    set: Replacements = (),
    limit: OptionalInt = None,
    device: OptionalText = None,
    threads: int = 1,
    search_seed: int = 0,
    storage: OptionalText = None,
    online: bool = False,
) -> int:
    """Run a W&B sweep YAML on this machine, without account or network. Only what is missing is
    trained, so the same command again resumes, reruns failed runs, and extends. Several commands,
    on machines that share the folder or a database, work through one sweep together.

    Args:
        file: a sweep YAML, such as sweeps/quickstart.yaml.
        out: where the sweep's folder is made.
        workers: processes side by side (default: one a core, two a CUDA GPU, of a bayes sweep one).
        pack: runs that each process trains at once (default: 1; on CUDA 64, of a bayes search at
            most 10).
        set: parameters to replace, all in one --set, such as epochs=5 seed=1,2,3.
        limit: train at most so many runs now.
        device: cpu, cuda, cuda:1, mps (default: the best there is; all GPUs).
        threads: threads of each run on a CPU.
        search_seed: of a random or bayes sweep: the same seed draws the same configurations.
        storage: URL of a database that machines without a common folder share.
        online: log the runs to the W&B server, those already trained too.
    """
    from study.cli import outcome
    from study.sweep import local, spec

    _check_at_least_one(workers=workers, pack=pack, limit=limit, threads=threads)
    if search_seed < 0:
        raise UsageError(f"--search-seed={search_seed}: allowed is a whole number at least 0")
    checked = spec.read(file, set)
    output.show(f"{file}: {checked}")
    folder = out / checked.name
    done = local.run(
        checked,
        folder,
        workers=workers,
        pack=pack,
        limit=limit,
        device=device,
        threads=threads,
        mode="online" if online else "offline",
        search_seed=search_seed,
        storage=storage,
    )
    return outcome.report(folder, done)


def rerun(
    run: tyro.conf.Positional[Path],
    seeds: str = "1,2,3,4,5",
    set: Replacements = (),
    out: Path = Path("runs"),
    workers: OptionalInt = None,
    device: OptionalText = None,
    threads: int = 1,
    online: bool = False,
) -> int:
    """Train a run's configuration again over seeds, into a folder of its own (NAME-again). What a
    search chose by one seed may be best by luck.

    Args:
        run: the run's folder, such as runs/l1_fine/batch_s1_0123456789.
        seeds: the seeds, with commas between.
        set: settings to replace, such as holdout=0.
        out: where the folder of the runs is made.
        workers: processes side by side (default: one a core, two a CUDA GPU).
        device: cpu, cuda, cuda:1, mps (default: the best there is; all GPUs).
        threads: threads of each run on a CPU.
        online: log the runs to the W&B server, into the project of the run.
    """
    from study import runs
    from study.cli import outcome
    from study.sweep import local, spec
    from study.tracking import marks

    _check_at_least_one(workers=workers, threads=threads)
    chosen = runs.read(run)
    if any(word.partition("=")[0] == "seed" for word in set):
        raise UsageError("--set seed: allowed is --seeds, which takes a rerun's seeds")
    place = marks.address(chosen).rpartition("/")[0]
    checked = spec.rerun(chosen.config, f"{run.resolve().parent.name}-again", seeds, set, place)
    mode: Mode = "online" if online else "offline"
    folder = out / checked.name
    done = local.run(checked, folder, workers=workers, device=device, threads=threads, mode=mode)
    return outcome.report(folder, done)


def report(
    runs: Paths,
    out: OptionalPath = None,
    target: OptionalFloat = None,
    best_epoch: bool = False,
    watch: bool = False,
    serve: bool = False,
) -> int:
    """Report what the runs of a sweep mean: figures, results.csv, report.md and one index.html.

    Args:
        runs: the sweep's folder, such as runs/quickstart; several are compared.
        out: where the report goes (default: reports/NAME, or reports/NAME-NAME).
        target: test accuracy in percent to draw a line at, such as 99.4 (default: what the sweep
            file's description sets).
        best_epoch: draw the mistakes of each run's best epoch, too, as published studies do.
        watch: write it again as runs end, until all that are planned have.
        serve: do so until Ctrl-C, and serve the page to browsers on this machine, where it keeps
            itself up to date.
    """
    from study.report.figures import rendering

    _check_percent(target)
    if not runs:
        raise UsageError("report: give the folder of a sweep, such as runs/quickstart")
    out = out or Path("reports") / "-".join(folder.resolve().name for folder in runs)
    with rendering.side_by_side():  # whose processes start while these are imported
        from study.report import page

        if watch or serve:
            return _watch(runs, out, target, best_epoch, serve)
        index = page.write(
            runs[0], out, target=target, compared_with=runs[1:], best_epoch=best_epoch
        )
        output.show(index)  # it can be opened; the pdfs follow
    return 0


def _watch(
    runs: tuple[Path, ...], out: Path, target: float | None, best_epoch: bool, serve: bool
) -> int:
    """Write a report again as runs end, and perhaps serve it."""
    import contextlib
    import time

    from study.report import serve as serving
    from study.report.watch import Watch

    watch = Watch(runs, out, target, best_epoch)
    with serving.serve(watch) if serve else contextlib.nullcontext(watch.index) as address:
        output.show(f"{address}  (Ctrl-C ends)")
        try:
            for progress in watch.run(until_done=not serve):
                output.show(f"{time.strftime('%H:%M:%S')}  {progress.words}")
        except KeyboardInterrupt:
            return output.end(f"stopped; {watch.index} is as of the last look", 130)
    return 0


def agent(
    sweep: SweepPath,
    pack: int = 8,
    count: OptionalInt = None,
    device: OptionalText = None,
    threads: int = 1,
) -> int:
    """Train what the W&B server of a sweep suggests, several runs at once in this process. `wandb
    agent SWEEP` trains them one after another.

    Args:
        sweep: ENTITY/PROJECT/SWEEP, as `wandb sweep` prints it.
        pack: runs at most that are suggested, then trained, at once.
        count: end after so many runs (default: with the sweep).
        device: cpu, cuda, cuda:1, mps (default: the best there is).
        threads: threads on a CPU.
    """
    from study.tracking import pack_agent

    _check_at_least_one(pack=pack, count=count, threads=threads)
    outcome = pack_agent.run(sweep, pack, count, device, threads)
    output.show(
        f"{sweep}: {values.count(outcome.trained, 'run')} trained"
        f" ({outcome.stopped} stopped by the server), {len(outcome.failed)} failed"
    )
    if outcome.signal:
        return _end_by(outcome.signal, "preempted: another agent goes on with its runs")
    return 1 if outcome.failed else 0


def sync(
    folders: Paths,
    failed: bool = False,
    device: OptionalText = None,
    threads: int = 1,
) -> int:
    """Complete W&B runs from the run folders on this machine: upload what the server lacks, and
    train runs that were killed to their end.

    Args:
        folders: folders of sweeps, such as runs/NAME, or of single runs.
        failed: train runs that failed, too, from their last whole epoch: once the cause is mended,
            such as too little memory.
        device: cpu, cuda, cuda:1, mps (default: the best there is).
        threads: threads on a CPU.
    """
    from study.tracking import sync as syncing

    _check_at_least_one(threads=threads)
    if not folders:
        raise UsageError("sync: give the folder of a sweep, such as runs/quickstart, or of a run")
    outcome = syncing.sync(folders, device, threads, failed)
    for word, group in {"left": outcome.left, "skipped": outcome.skipped}.items():
        for run, why in group.items():
            output.show(f"{word}: {run}: {why}", sys.stderr)
    output.show(
        f"{values.count(outcome.uploaded, 'run')} uploaded, {outcome.continued} trained to their"
        f" end, {outcome.complete} were complete, {len(outcome.left)} left"
        + (f", {len(outcome.skipped)} skipped" if outcome.skipped else "")
    )
    if outcome.signal:
        message = "preempted; the same command goes on from the last whole epoch"
        return _end_by(outcome.signal, message)
    return 1 if outcome.left else 0


def pull(sweep: SweepPath, out: Path = Path("runs")) -> int:
    """Make run folders of a W&B sweep's runs; again, fetch only what has changed.

    Args:
        sweep: ENTITY/PROJECT/SWEEP, as `wandb sweep` prints it.
        out: where the sweep's folder is made.
    """
    from study import planned
    from study.sweep import spec
    from study.tracking import pull as pulling

    pulled = pulling.pull(sweep, out)
    try:
        planned.write(pulled.folder, spec.parse(pulled.sweep, pulled.folder.name).plan())
    except UsageError as error:
        output.show(f"what the sweep has planned is not known here: {error}", sys.stderr)
    for run, why in pulled.refused.items():
        output.show(f"left out: {run}: {why}", sys.stderr)
    for line in pulled.skipped + pulled.set_aside:
        output.show(line, sys.stderr)
    output.show(
        f"{pulled.folder}: {values.count(pulled.fetched, 'run')} fetched,"
        f" {pulled.unchanged} unchanged"
        + (f", {len(pulled.refused)} left out" if pulled.refused else "")
        + (
            f"; {pulled.duplicates} of a configuration that another has"
            if pulled.duplicates
            else ""
        )
    )
    return 1 if pulled.cut_off else 0


def publish(
    runs: tyro.conf.Positional[Path],
    out: OptionalPath = None,
    target: OptionalFloat = None,
    project: OptionalText = None,
) -> int:
    """Publish a sweep's report on W&B, as a Report and a saved workspace; again, the same ones are
    updated. Runs that W&B does not have yet are uploaded first.

    Args:
        runs: the sweep's folder, such as runs/quickstart.
        out: where the report goes on this machine (default: reports/NAME).
        target: test accuracy in percent to draw a line at, such as 99.4 (default: what the sweep
            file's description sets).
        project: ENTITY/PROJECT on W&B (default: where the runs are).
    """
    from study.tracking import publish as publishing

    _check_percent(target)
    out = out or Path("reports") / runs.resolve().name
    published = publishing.publish(runs, out, target, project)
    if published.uploaded:
        output.show(f"{runs}: {values.count(published.uploaded, 'run')} uploaded")
    output.show(published.report)
    output.show(published.workspace)
    return 0


def explain(out: Path = Path("reports/explain")) -> int:
    """Explain batch, layer, group and instance norm by an example: figures and a spreadsheet.

    Args:
        out: where the figures and normalization.xlsx go.
    """
    from study.report.explain import figure as explaining

    for figure in explaining.write(out):
        output.show(out / f"{figure.name}.png")
    output.show(out / explaining.WORKBOOK)
    return 0


def _end_by(received: int, message: str) -> int:
    """End a command that a signal has ended; what it had begun is handed back, or saved."""
    from study.tracking import assigned

    if received == signal.SIGINT:
        raise KeyboardInterrupt
    return output.end(message, assigned.PREEMPTED)


def _check_at_least_one(**options: int | None) -> None:
    for name, value in options.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name}={value}: allowed is a whole number at least 1")


def _check_percent(target: float | None) -> None:
    if target is not None and not 0 <= target <= 100:
        raise UsageError(f"target={target:g}: allowed is a number at least 0 and at most 100")


def _describe(run: Run) -> str:
    summary = run.summary
    return (
        f"{run.state}  test accuracy {summary['test_accuracy_last']:.2f}"
        f" (best {summary['test_accuracy_best']:.2f}), {summary['parameters']:,} parameters"
    )


COMMANDS = {
    command.__name__: command
    for command in (check, train, sweep, rerun, agent, sync, pull, report, publish, explain)
}
