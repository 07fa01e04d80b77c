"""The rows of a report's tables of variants and of runs, as text."""

import os
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.report import results
from study.report.figures import styles
from study.report.figures.styles import Style
from study.report.study import Study
from study.report.variants import TEST, Variant
from study.report.words import in_cell
from study.runs import Run


@dataclass(frozen=True)
class VariantRow:
    """A variant in the table of variants, as text; chosen: the metric that ranks the variants;
    number: its place among them, by which the graphs name it; look: there too."""

    number: int
    look: Style
    label: str
    parameters: str
    seeds: int
    chosen: str
    last: str
    best: str
    last5: str
    train: str
    loss: str
    seconds: str


@dataclass(frozen=True)
class RunRow:
    """A run in the table of runs, as text, with the addresses of its folder and its W&B page;
    chosen: see VariantRow."""

    label: str
    seed: int
    state: str
    epochs: int
    chosen: str
    last: str
    best: str
    loss: str
    seconds: str
    folder: str
    link: str
    url: str


def variant_row(study: Study, variant: Variant) -> VariantRow:
    """Return the row of a variant."""
    figures = results.figures_of(variant)
    chosen = in_cell(variant.last(study.rank_key), study.metric)
    last5 = figures.get("test_accuracy_last5_min")
    return VariantRow(
        number=study.number(variant),
        look=styles.of(study, variant),
        label=variant.label,
        parameters=f"{figures['parameters']:,}",
        seeds=len(variant.runs),
        chosen=chosen,
        last=in_cell(variant.last(TEST)),
        best=f"{figures['test_accuracy_best_mean']:.2f}",
        last5=f"{last5:.2f}" if last5 is not None else "",
        train=f"{figures['train_accuracy_last_mean']:.2f}",
        loss=f"{figures['test_loss_last_mean']:.4f}",
        seconds=f"{figures['seconds_mean'] / variant.config.epochs:.1f}",
    )


def run_rows(study: Study, folder: Path) -> list[RunRow]:
    """All runs, duplicates too, with links from the report's folder."""
    labels = dict.fromkeys([variant.label for variant in study.order] + list(study.runs))
    labelled = [(label, run) for label in labels for run in study.runs[label]]
    labelled += [("a duplicate", run) for run in study.duplicates]
    return [
        RunRow(
            label=label,
            seed=run.config.seed,
            state=run.state,
            epochs=len(run.history),
            chosen=_cell(run, study.rank_key, study.metric.digits),
            last=_cell(run, TEST, 2),
            best=_cell(run, "test_accuracy_best", 2),
            loss=_cell(run, "test_loss_last", 4),
            seconds=_cell(run, "seconds", 0),
            folder=run.path.name,
            link=urllib.parse.quote(
                os.fsencode(os.path.relpath(run.path.resolve(), folder.resolve()))
            ),
            url=_web_address(run.summary.get("url")),
        )
        for label, run in labelled
    ]


def _cell(run: Run, key: str, digits: int) -> str:
    value = run.summary.get(key)
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) else ""


def _web_address(url: Any) -> str:
    """An address of the web; any other, such as a script, is left out."""
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""
