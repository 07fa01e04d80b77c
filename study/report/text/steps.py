"""A study in steps, each of which changes something: target, result and finding of each."""

from typing import Any

from study.config import FIELDS, Config
from study.planned import Step
from study.report import stats
from study.report.study import Study
from study.report.text.table import Table
from study.report.variants import TEST, Variant
from study.report.words import ends_in_words, in_cell
from study.values import text

HEADER = (
    "step", "what", "changed", "target", "parameters", "seeds", "last", "best", "last-five minimum",
    "finding",
)  # fmt: skip
NOTE = (
    "Test accuracy in percent, over seeds: at the last epoch, at the best one (chosen on the test"
    " set), and the lowest of the last five epochs of any seed. A seed holds a target that it is at"
    " or above in each of its last five epochs. The interval of a gain is for the two steps alone."
)


def table(study: Study) -> Table | None:
    """Make the table of the steps that the sweep file describes; None where it describes none."""
    plan = study.plan
    if not plan or not plan.step_configs:
        return None
    variants = {variant.config: variant for variant in study.variants}
    rows = []
    before: Config | None = None
    for number, (step, config) in enumerate(zip(plan.steps, plan.step_configs), 1):
        changed = _changed(before, config) if before else ""
        target = "" if step.target is None else f"{step.target:g}"
        known = [str(number), step.words, changed, target]
        variant = variants.get(config)
        previous = variants.get(before) if before else None
        rows.append(known + _result(variant, step, previous, number))
        before = config
    return Table(HEADER, rows, NOTE)


def _changed(before: Config, config: Config) -> str:
    """The settings in which a step differs from the one before it."""

    def value(of: Config, name: str) -> Any:
        return text(getattr(of, name)) if of.has_effect(name) else "none"

    pairs = {name: (value(before, name), value(config, name)) for name in FIELDS}
    return ", ".join(f"{name} {old} to {new}" for name, (old, new) in pairs.items() if old != new)


def _result(
    variant: Variant | None, step: Step, previous: Variant | None, number: int
) -> list[str]:
    """The cells of a step's figures and its finding."""
    if variant is None:
        return ["", "0", "", "", "", "No run of it has finished."]
    lowest = _lowest(variant)
    return [
        f"{variant.parameters['total']:,}",
        str(len(variant.runs)),
        in_cell(variant.last(TEST)),
        f"{variant.last('test_accuracy_best').mean:.2f}",
        f"{min(lowest):.2f}" if lowest else "",
        " ".join([*_target(variant, step), *_gain(variant, previous, number)]),
    ]


def _lowest(variant: Variant) -> list[float]:
    """Each seed's lowest test accuracy in its last five epochs; none where there are not five."""
    if variant.config.epochs < stats.LATE:
        return []
    return [run.summary["test_accuracy_last5_min"] for run in variant.runs]


def _target(variant: Variant, step: Step) -> list[str]:
    """How many seeds hold the step's target to the end."""
    if step.target is None:
        return []
    lowest = _lowest(variant)
    if not lowest:
        return [f"It is too short to hold a target in each of {stats.LATE} epochs."]
    held = sum(value >= step.target - stats.ROUNDING for value in lowest)
    return [f"{held} of {len(lowest)} seeds hold {step.target:g}."]


def _gain(variant: Variant, previous: Variant | None, number: int) -> list[str]:
    """What the step gains on the one before it, paired by seed, with its 95 % interval."""
    if previous is None:
        return []
    gain = stats.difference(variant.values(TEST), previous.values(TEST)).interval
    if gain.n == 0:
        return []
    ends = f" (95 % interval {known})" if (known := ends_in_words(gain)) else ""
    verdict = ": not significant" if gain.low <= 0 <= gain.high else ""
    return [f"{gain.mean:+.2f} points on step {number - 1}{ends}{verdict}."]
