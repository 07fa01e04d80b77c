"""A Report: everything that the report of a study shows, built from its runs.

To add a figure, write its module in figures/ and add a line to one of the lists of figures here.
"""

import dataclasses
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study import files
from study.labels import slug
from study.report import effects, progress, results, rows
from study.report.axis import varying
from study.report.effects import Effects
from study.report.explain import figure as explained
from study.report.figures import (
    best_so_far,
    confusion,
    curves,
    drawing,
    final,
    importance,
    live,
    misclassified,
    parallel,
    rendering,
    response,
    sparsity,
    tradeoff,
    train_test,
    usage,
    weights,
)
from study.report.figures import effects as effects_figure
from study.report.figures import published as published_figure
from study.report.figures.drawing import SavedFigure
from study.report.parts import FIGURES, Comparison, Detail, Report
from study.report.study import Study
from study.report.text import (
    across_sweeps,
    card,
    classes,
    cost,
    findings,
    latex,
    missing,
    pairs,
    published,
    search,
    settings,
    steps,
)
from study.report.text import effects as effects_text
from study.report.text.findings import Finding
from study.report.text.pairs import Pair
from study.report.text.search import Search
from study.report.variants import TEST, Variant
from study.runs import FINISHED
from study.values import text

CURVES = ("test/accuracy", "test/loss", "train/accuracy", "train/loss")  # drawn of every study


def build_report(
    study: Study,
    folders: Sequence[Path],
    folder: Path,
    target: float | None = None,
    best_epoch: bool = False,
) -> Report:
    """Build the report of the study in run `folders`; its figures and tables go into `folder`.

    target: a test accuracy in percent to draw a line at, by default the one that the study's sweep
    file sets. best_epoch: whether to draw the mistakes of the best epochs, too.

    Raises:
        UsageError: `folder` cannot be written.
    """
    files.check_writable(folder)
    norms = _norm_figures(folder / FIGURES, study)
    how_far = progress.read(folders, [*study.all, *study.duplicates])
    parts = study.by_dataset
    paired = {dataset: pairs.compare(part) for dataset, part in parts.items()}
    comparisons = []
    for dataset, part in parts.items():
        place = slug(dataset) if len(parts) > 1 else ""
        # A search's cap is for all its data sets together.
        lacking = missing.findings(part, counted=not how_far.is_done or len(parts) > 1)
        made = _compare(part, paired[dataset], lacking, folder, place, target, best_epoch)
        comparisons.append(made.in_folder(place) if place else made)
    _write_tables(folder, study, paired, comparisons)
    report = Report(
        name=study.name,
        progress=None if how_far.is_done else how_far,
        tried=card.tried(study),
        command=f"study report {shlex.join(map(str, folders))}",
        comparisons=comparisons,
        norms=norms,
        states=Counter(run.state for run in study.all),
        unfinished=[run for run in study.all if run.state != FINISHED],
        duplicates=study.duplicates,
        unread=study.unread_by_cause,
        provenance=_provenance(study),
    )
    rendering.finish_pngs()
    return report


def _compare(
    study: Study,
    paired: list[Pair],
    lacking: list[Finding],
    folder: Path,
    place: str,
    target: float | None,
    best_epoch: bool,
) -> Comparison:
    """Compare the variants on one data set; the figures go to a `place` among the report's."""
    target = study.target if target is None else target
    figures = folder / FIGURES / place
    reproduced = published.reproduced(study.variants)
    compared = _compared_figures(figures, study, target)
    found = search.summarize(study)
    grid = effects.analyse(study)
    searched = _search_figures(figures, study, found, grid)
    [dataset] = study.by_dataset
    return Comparison(
        dataset=dataset,
        study=study,
        chosen_by="" if study.rank_key == TEST else study.metric.title,
        cards=card.cards(study, paired),
        findings=findings.summarize(study, paired, target, lacking, grid),
        forest=final.forest(study),
        variants=[rows.variant_row(study, variant) for variant in study.order],
        settings=settings.table(study),
        steps=steps.table(study),
        compared=compared,
        across_sweeps=across_sweeps.compare(study),
        published=published.compare(reproduced),
        published_figures=_drawn(published_figure.draw(figures, reproduced)),
        search=found,
        effects=effects_text.table(grid, study.metric),
        search_figures=searched,
        details=[_detail(figures, study, variant, best_epoch) for variant in study.detailed],
        runs=rows.run_rows(study, folder),
        shared=_shared_settings(study),
        cost=cost.table(study),
        graphs=live.build(study, compared + searched, target),
        groupings=live.groupings(study),
    )


def _write_tables(
    folder: Path,
    study: Study,
    paired: Mapping[str, list[Pair]],
    comparisons: Sequence[Comparison],
) -> None:
    """Write the tables of a report, those of all data sets together: results.csv, pairs.csv,
    tables.tex and figures.tex, and of several sweeps sweeps.csv."""
    drawing.write_csv(folder / "results.csv", results.HEADER, results.rows(study))
    each_pair = [pair.row() for group in paired.values() for pair in group]
    drawing.write_csv(folder / "pairs.csv", pairs.HEADER, each_pair)
    compared = [each.across_sweeps for each in comparisons if each.across_sweeps]
    if compared:
        matches = [match.row() for each in compared for match in each.matches]
        drawing.write_csv(folder / "sweeps.csv", across_sweeps.HEADER, matches)
    else:
        (folder / "sweeps.csv").unlink(missing_ok=True)  # of an older report
    tables = [
        latex.tables(each.study, paired[each.dataset], each.published, len(comparisons) > 1)
        for each in comparisons
    ]
    files.write_text(folder / latex.NAME, latex.PREAMBLE + "\n".join(tables))
    figures = [
        latex.figures(
            each.study,
            ((f.name, f.title, f.caption) for group in each.figures.values() for f in group),
        )
        for each in comparisons
    ]
    files.write_text(folder / latex.FIGURES_NAME, latex.FIGURES_PREAMBLE + "\n".join(figures))


def _compared_figures(folder: Path, study: Study, target: float | None) -> list[SavedFigure]:
    """Draw the figures that compare the variants, in the order of the report."""
    metrics = [study.metric.name] * (study.metric.name not in CURVES) + [*CURVES]
    return _drawn(
        final.draw(folder, study),
        *(curves.draw(folder, study, each, target) for each in metrics if study.has_curves),
        tradeoff.draw(folder, study),
        weights.draw(folder, study),
        misclassified.draw_shared(folder, study),
        usage.draw(folder, study),
    )


def _search_figures(
    folder: Path, study: Study, found: Search | None, grid: Effects | None
) -> list[SavedFigure]:
    """Draw how accuracy depends on the settings that vary, and how a search went."""
    if len(study.variants) < 2:
        return []
    varied = varying(study)
    figures = [effects_figure.draw(folder, study, grid)]
    for axis in varied:
        if axis.numeric:
            figures.append(response.draw(folder, study, axis, varied))
            figures.append(sparsity.draw(folder, study, axis, varied))
    if len(study.variants) >= search.SEVERAL:
        if len(varied) > 1:
            if grid is None:  # else the analysis of variance says it, which knows the seeds
                figures.append(importance.draw(folder, study, varied))
            figures += parallel.draw(folder, study, varied)
        if found:
            figures.append(best_so_far.draw(folder, study))
    return _drawn(*figures)


def _detail(folder: Path, study: Study, variant: Variant, best_epoch: bool) -> Detail:
    """Draw the figures of a variant by itself."""
    figures = _drawn(
        train_test.draw(folder, variant) if len(variant.epochs) > 1 else None,
        *misclassified.draw(folder, variant),
        confusion.draw(folder, variant),
        misclassified.draw_at_best(folder, variant) if best_epoch else None,
        confusion.draw_at_best(folder, variant) if best_epoch else None,
    )
    return Detail(
        study.number(variant), variant.label, figures, classes.table(variant), variant.parameters
    )


def _norm_figures(folder: Path, study: Study) -> list[SavedFigure]:
    """Draw the normalizations by hand, where the study compares some."""
    norms = {run.config.norm for run in study.all} - {"none"}
    return explained.write(folder) if len(norms) > 1 else []


def _drawn(*figures: SavedFigure | None) -> list[SavedFigure]:
    """The figures without those that had nothing to show."""
    return [figure for figure in figures if figure]


def _shared_settings(study: Study) -> dict[str, str]:
    configs = [dataclasses.asdict(run.config) for run in study.all]
    values = {name: {config[name] for config in configs} for name in results.SETTINGS}
    return {name: text(*several) for name, several in values.items() if len(several) == 1}


def _provenance(study: Study) -> dict[str, str]:
    """Where the numbers come from: commits, devices and versions, each value that occurs."""

    def listed(values: list[Any]) -> str:
        known = sorted({str(value) for value in values if value is not None})
        return ", ".join(known) or "unknown"

    summaries = [run.summary for variant in study.variants for run in variant.runs]
    versions = defaultdict(list)
    for summary in summaries:
        for package, version in summary.get("versions", {}).items():
            versions[package].append(version)
    minutes = sum(summary["seconds"] for summary in summaries) / 60
    paths = [
        f"{s['path']}, {s['pack']} at once" if "pack" in s else s["path"]
        for s in summaries
        if s.get("path")
    ]
    return {
        "commit": listed([summary.get("git_commit") for summary in summaries]),
        "device": listed([summary.get("device") for summary in summaries]),
        "threads": listed([summary.get("threads") for summary in summaries]),
        "trained by": listed(paths),
        "training time": f"{minutes:.1f} minutes over the finished runs",
    } | {package: listed(values) for package, values in versions.items()}
