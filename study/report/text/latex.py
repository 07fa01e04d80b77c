"""The tables and figures of a report for a paper, in LaTeX with booktabs and graphicx."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from study import escape
from study.labels import slug
from study.report.study import Study
from study.report.text.pairs import Pair
from study.report.text.published import Comparisons
from study.report.variants import TEST
from study.report.words import ends_in_words, format_p, in_cell
from study.values import count

NAME = "tables.tex"
SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "×": r"$\times$",
}  # fmt: skip
MINUS = re.compile(r"(?<![\w.-])-(?=\d)")
PREAMBLE = "% \\usepackage{booktabs}; the tables are as wide as their text.\n"
FIGURES_NAME = "figures.tex"
FIGURES_PREAMBLE = "% \\usepackage{graphicx}; a figure is as wide as both columns of a page.\n"
VARIANTS = ("variant", "parameters", "seeds", "test accuracy (%)")
PAIRS = ("one", "two", "seeds", "difference", "95 % interval", "p")


def tables(
    study: Study,
    pairs: Sequence[Pair],
    published: Comparisons | None,
    one_of_several: bool = False,
) -> str:
    """Return the table of the variants, that of the best beside the others, and that of published
    figures where there are some, all on one data set; `one_of_several`: captions and labels name
    it."""
    [dataset] = study.by_dataset if one_of_several else [""]
    parts = [_variants(study, dataset)]
    best = {family[0] for family in study.distinct_families}
    with_best = [pair for pair in pairs if pair.one in best]
    if with_best:
        parts.append(_pairs(with_best, dataset))
    if published:
        rows = [dict(zip(published.table.header, row)) for row in published.table.rows]
        shown = [name for name in published.table.header if any(row[name] for row in rows)]
        body = [[row[name] for name in shown] for row in rows]
        note = "One published run beside the mean over our seeds with its 95 \\% interval."
        parts.append(_table(shown, body, note, "published", dataset))
    return "\n".join(parts)


def figures(study: Study, drawn: Iterable[tuple[str, str, str]]) -> str:
    """Return each figure, given by name, title and caption, with a caption that can stand alone: it
    says on which data set, network, epochs and seeds, too."""
    configs = [variant.config for variant in study.variants]
    seeds = sorted({len(variant.runs) for variant in study.variants})
    context = ", ".join(
        [
            *dict.fromkeys(config.dataset for config in configs),
            *dict.fromkeys(config.network for config in configs),
            " or ".join(count(n, "epoch") for n in sorted({config.epochs for config in configs})),
            " or ".join(count(n, "seed") for n in seeds),
        ]
    )
    return "\n".join(
        _figure(name, f"{title} ({context}). {caption}") for name, title, caption in drawn
    )


def _figure(name: str, caption: str) -> str:
    return "\n".join(
        [
            r"\begin{figure*}",
            r"\centering",
            rf"\includegraphics[width=\textwidth]{{figures/{name}.pdf}}",
            rf"\caption{{{text(caption)}}}",
            rf"\label{{fig:{slug(name)}}}",
            r"\end{figure*}",
            "",
        ]
    )


def _variants(study: Study, dataset: str) -> str:
    header = list(VARIANTS)
    by_test = study.rank_key == TEST
    if not by_test:
        header.insert(3, study.metric.axis_title())
    rows = []
    for variant in study.order:
        row: list[Any] = [variant.label, f"{variant.parameters['total']:,}", len(variant.runs)]
        if not by_test:
            row.append(in_cell(variant.last(study.rank_key), study.metric))
        rows.append([*row, in_cell(variant.last(TEST))])
    note = "Means over seeds at the last epoch, with the 95 \\% t interval of the mean."
    return _table(header, rows, note, "variants", dataset)


def _pairs(pairs: Iterable[Pair], dataset: str) -> str:
    rows = []
    for pair in pairs:
        interval, p = pair.contrast.interval, pair.contrast.p
        seeds, mean = pair.difference.interval.n, f"{pair.difference.interval.mean:+.2f}"
        rows.append(
            [pair.one.label, pair.two.label, seeds, mean, ends_in_words(interval), format_p(p)]
        )
    note = (
        "The best less each other variant, in points of test accuracy over common seeds. Intervals"
        " and p are for all pairs together."
    )
    return _table(PAIRS, rows, note, "pairs", dataset)


def _table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], note: str, label: str, dataset: str
) -> str:
    """A table of text, numbers right; `note`, which is LaTeX, is its caption. A `dataset` is named
    in the caption and the label."""
    if dataset:
        note, label = f"On {text(dataset)}. {note}", f"{label}-{slug(dataset)}"
    body = [list(row) for row in rows]
    columns = [[row[i] for row in body] for i in range(len(header))]
    align = "".join("r" if all(map(_is_number, column)) else "l" for column in columns)
    lines = [" & ".join(map(text, row)) + r" \\" for row in body]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{note}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(map(text, header)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _is_number(cell: Any) -> bool:
    return bool(re.fullmatch(r"[+-]?[\d,.]*( ± [\d.]+)?", str(cell)))


def text(cell: Any) -> str:
    """Return text as LaTeX that shows it; a negative number with a minus, which no hyphen is."""
    shown = "".join(SPECIAL.get(letter, letter) for letter in escape.printable(cell))
    return MINUS.sub("$-$", shown)
