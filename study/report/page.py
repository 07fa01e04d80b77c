"""results.csv, report.md and one self-contained index.html, from run folders."""

import base64
import dataclasses
import io
import os
import shlex
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from study import datasets, files
from study.config import FIELDS, text
from study.report.explain import figures as explained
from study.report.figures import charts, drawing, live, misclassified, weights
from study.report.figures.drawing import SavedFigure
from study.report.text import across_sweeps, findings, published, search
from study.report.variants import Study, Variant, collect, percent
from study.runs import FAILED, FINISHED, STOPPED, Run
from study.train import l1

# results.csv: behind the label and every field of Config but the seed. l1_equivalent: the lambda
# that pulls as much in all under the other l1_reduction.
FIGURES = (
    "parameters", "seeds", "finished", "stopped", "failed",
    "val_accuracy_last_mean", "test_accuracy_last_mean", "test_accuracy_last_low",
    "test_accuracy_last_high", "test_accuracy_best_mean", "test_accuracy_last5_min",
    "train_accuracy_last_mean", "test_loss_last_mean", "seconds_mean", "l1_equivalent",
)  # fmt: skip


def write(
    folder: Path, out: Path, target: float | None = None, others: Sequence[Path] = ()
) -> Path:
    """Write the report of a sweep's folder, beside those of others; the path of its index.html.

    Raises:
        UsageError: nothing to report, or `out` cannot be written.
    """
    study = collect(folder, *others)
    return render(build_report(study, [folder, *others], out, target), out)


def build_report(
    study: Study, folders: Sequence[Path], out: Path, target: float | None = None
) -> dict[str, Any]:
    """Draw a study's figures and write its tables into `out`: what its report shows.

    Raises:
        UsageError: `out` cannot be written.
    """
    files.check_writable(out)
    drawn = _draw(study, out / "figures", target)
    drawing.write_csv(out / "results.csv", *results(study))
    compared = findings.pairs(study)
    drawing.write_csv(out / "pairs.csv", findings.PAIRS, [pair.row() for pair in compared])
    found = search.find(study, out / "figures")
    return _context(study, drawn) | {
        "findings": findings.summarize(study, compared, target),
        "folders": shlex.join(map(str, folders)),
        "found": found,
        "between": _between(study, out),
        "published": _published(study, out / "figures"),
        "explained": _explained(study, out / "figures"),
        "graphs": live.make(study, drawn["compared"] + (found.figures if found else []), target),
        "plotly": live.plotly(),
        "runs": _run_rows(study, out),
    }


def render(report: dict[str, Any], out: Path) -> Path:
    """Write what `tell` told as report.md and index.html; the path of the latter."""
    for template, name in (("page.md.j2", "report.md"), ("page.html.j2", "index.html")):
        body = _render(template, report, out / "figures")
        files.write(out / name, lambda file, b=body: file.write(b.encode()))
    return out / "index.html"


def _draw(study: Study, folder: Path, target: float | None) -> dict[str, list[SavedFigure]]:
    """All figures but the search's: of the variants compared, and of each in detail."""
    compared = [
        charts.final(folder, study),
        charts.comparison(folder, study, "test/accuracy", target),
        charts.comparison(folder, study, "test/loss"),
        charts.tradeoff(folder, study, "parameters", lambda v: v.parameters["total"]),
        charts.tradeoff(folder, study, "seconds", lambda v: v.last("seconds").mean),
        weights.draw(folder, study),
        misclassified.shared(folder, study),
    ]
    drawn = {"compared": [figure for figure in compared if figure]}
    for variant in study.detailed:
        own = [
            charts.train_test(folder, variant),
            *misclassified.draw(folder, variant),
            misclassified.confusion(folder, variant),
        ]
        drawn[variant.label] = [figure for figure in own if figure]
    return drawn


def _between(study: Study, out: Path) -> dict[str, Any] | None:
    """Several sweeps against each other; None for one."""
    matches = across_sweeps.match(study)
    if matches is None:
        return None
    rows = [match.row() for match in matches]
    drawing.write_csv(out / "sweeps.csv", across_sweeps.HEADER, rows)
    return {"sentences": across_sweeps.summarize(study, matches), "matches": matches}


def _published(study: Study, folder: Path) -> dict[str, Any] | None:
    """The published figures that these runs stand beside; None where they stand beside none."""
    found = published.reproduced(study.variants)
    if not found:
        return None
    return {
        "sentences": published.findings(found),
        "header": published.HEADER,
        "rows": published.table(found),
        "note": published.note(found),
        "figure": published.draw(folder, found),
    }


def _explained(study: Study, folder: Path) -> list[SavedFigure]:
    """The normalizations by hand, where the sweep compares some."""
    norms = {run.config.norm for run in study.all} - {"none"}
    return explained.write(folder) if len(norms) > 1 else []


def results(study: Study) -> tuple[list[str], list[list[Any]]]:
    """results.csv: its header, and a row a configuration."""
    fields = [name for name in FIELDS if name != "seed"]
    finished = {variant.label: variant for variant in study.variants}
    rows = []
    for label, group in study.runs.items():
        config = group[0].config
        counts = Counter(run.state for run in group)
        figures_of = _figures(finished.get(label))
        figures_of |= {
            "seeds": len(group),
            "finished": counts[FINISHED],
            "stopped": counts[STOPPED],
            "failed": counts[FAILED],
        }
        settings = [text(getattr(config, name)) for name in fields]
        rows.append([label, *settings, *(figures_of.get(name, "") for name in FIGURES)])
    return ["label", *fields, *FIGURES], rows


def _figures(variant: Variant | None) -> dict[str, Any]:
    """The figures of a variant's finished runs, by results.csv's names; none without any."""
    if variant is None:
        return {}
    last = variant.last("test_accuracy_last")
    row = {
        "parameters": variant.parameters["total"],
        "test_accuracy_last_mean": last.mean,
        "test_accuracy_last_low": last.low,
        "test_accuracy_last_high": last.high,
        "test_accuracy_last5_min": min(r.summary["test_accuracy_last5_min"] for r in variant.runs),
        "seconds_mean": variant.last("seconds").mean,
    }
    for key in ("test_accuracy_best", "train_accuracy_last", "test_loss_last"):
        row[f"{key}_mean"] = variant.last(key).mean
    if variant.config.l1 and datasets.is_known(variant.config.dataset):
        row["l1_equivalent"] = l1.equivalent(variant.config)
    if variant.config.holdout:
        row["val_accuracy_last_mean"] = variant.last("val_accuracy_last").mean
    return row


def _context(study: Study, drawn: dict[str, list[SavedFigure]]) -> dict[str, Any]:
    """What the two templates show."""
    configs = [dataclasses.asdict(run.config) for run in study.all]
    shared = {
        name: text(configs[0][name])
        for name in FIELDS
        if name != "seed" and len({config[name] for config in configs}) == 1
    }
    summaries = [run.summary for variant in study.variants for run in variant.runs]
    return {
        "name": study.name,
        "drawn": drawn,
        "rows": [_table_row(study, variant) for variant in study.variants],
        "best": study.ranked()[0].label,
        "by_validation": study.by_validation,
        "layers": {v.label: v.parameters for v in study.detailed},
        "classes": {v.label: misclassified.by_class(v) for v in study.detailed},
        "shared": shared,
        "states": Counter(run.state for run in study.all),
        "unfinished": [
            (run, run.summary.get("cause", "")) for run in study.all if run.state != FINISHED
        ],
        "duplicates": study.duplicates,
        "provenance": _provenance(summaries),
    }


def _table_row(study: Study, variant: Variant) -> dict[str, Any]:
    row = _figures(variant)
    accuracy = variant.last("test_accuracy_last")
    return {
        "label": variant.label,
        "parameters": f"{row['parameters']:,}",
        "seeds": len(variant.runs),
        "validation": f"{row['val_accuracy_last_mean']:.2f}" if study.by_validation else "",
        "last": percent(accuracy).removesuffix(" %"),
        "best": f"{row['test_accuracy_best_mean']:.2f}",
        "last5": f"{row['test_accuracy_last5_min']:.2f}",
        "train": f"{row['train_accuracy_last_mean']:.2f}",
        "loss": f"{row['test_loss_last_mean']:.4f}",
        "seconds": f"{row['seconds_mean']:.0f}",
    }


def _run_rows(study: Study, out: Path) -> list[dict[str, Any]]:
    """The table of all runs, duplicates too, with links to their folders and their W&B pages."""
    labelled = [(label, run) for label, group in study.runs.items() for run in group]
    labelled += [("a duplicate", run) for run in study.duplicates]
    return [
        {
            "label": label,
            "seed": run.config.seed,
            "state": run.state,
            "epochs": len(run.history),
            "validation": _cell(run, "val_accuracy_last", 2),
            "last": _cell(run, "test_accuracy_last", 2),
            "best": _cell(run, "test_accuracy_best", 2),
            "loss": _cell(run, "test_loss_last", 4),
            "seconds": _cell(run, "seconds", 0),
            "folder": run.path.name,
            "link": urllib.parse.quote(os.path.relpath(run.path.resolve(), out.resolve())),
            "url": _web(run.summary.get("url")),
        }
        for label, run in labelled
    ]


def _cell(run: Run, key: str, digits: int) -> str:
    value = run.summary.get(key)
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) else ""


def _web(url: Any) -> str:
    """An address of the web; any other, such as a script, is left out."""
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""


def _provenance(summaries: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Where the numbers come from: commits, devices and versions, each value that occurred."""

    def seen(values: list[Any]) -> str:
        return ", ".join(sorted({str(value) for value in values if value is not None})) or "unknown"

    versions = defaultdict(list)
    for summary in summaries:
        for package, version in summary.get("versions", {}).items():
            versions[package].append(version)
    return {
        "commit": seen([s.get("git_commit") for s in summaries]),
        "device": seen([s.get("device") for s in summaries]),
        "threads": seen([s.get("threads") for s in summaries]),
        "trained by": seen([f"{s['path']}, {s['pack']} at once" for s in summaries if "path" in s]),
        "training time": f"{sum(s['seconds'] for s in summaries) / 60:.1f} minutes over all runs",
    } | {package: seen(values) for package, values in versions.items()}


def table(report: dict[str, Any], name: str = "variants") -> str:
    """A table of the report in Markdown: its variants, or what was published beside them."""
    return _render(f"{name}.md.j2", report, Path())


def _render(template: str, context: dict[str, Any], folder: Path) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("study.report", "templates"),
        autoescape=template.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )

    def embedded(name: str) -> str:
        picture = io.BytesIO()
        with Image.open(folder / f"{name}.png") as full:
            full.convert("RGB").save(picture, "webp", lossless=True)  # half the size of the png
        return f"data:image/webp;base64,{base64.b64encode(picture.getvalue()).decode()}"

    return environment.get_template(template).render(**context, embedded=embedded)
