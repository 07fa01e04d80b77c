"""What a report lacks: planned runs that have not ended, and run folders that cannot be read."""

from study.planned import Plan
from study.report.study import Study
from study.report.text.findings import Finding
from study.report.words import listed
from study.values import count


def findings(study: Study, counted: bool = False) -> list[Finding]:
    """A sentence for each sweep that is not whole, and one on folders that cannot be read.

    counted: whether the report says elsewhere how many of all planned runs have ended.
    """
    counted = counted and len(study.plans) == 1
    sentences = [
        _describe_missing(study, sweep, plan, counted) for sweep, plan in study.plans.items()
    ]
    if study.unread:
        causes = [
            f"{left[0]}{f' and {len(left) - 1} more' * (len(left) > 1)} ({why})"
            for why, left in study.unread_by_cause.items()
        ]
        folders = count(len(study.unread), "run folder")
        sentences.append(f"Not read, and in no count or mean: {folders}: {listed(causes)}.")
    return [Finding(sentence, "results.csv") for sentence in sentences if sentence]


def _describe_missing(study: Study, sweep: str, plan: Plan, counted: bool) -> str:
    """How many of a sweep's planned runs have ended, unless that is `counted` elsewhere, and which
    variants lack some; empty where all have, or a search has reached its target."""
    planned = {label: len(configs) for label, configs in study.planned[sweep].items()}
    runs = {label: study.runs.get(label, []) for label in planned}
    ended = {label: sum(run.done for run in group) for label, group in runs.items()}
    done, whose = sum(ended.values()), f" of {sweep}" if len(study.plans) > 1 else ""
    if plan.method != "grid":
        histories = [run.history for group in runs.values() for run in group]
        has_ended = plan.run_cap is None or done >= plan.run_cap or plan.reaches_target(histories)
        if has_ended or counted:
            return ""
        return f"{done:,} of at most {plan.run_cap:,} planned runs{whose} have ended."
    lacking = [
        f"{label} has {ended[label] or 'none'} of {planned[label]}"
        for label in planned
        if ended[label] < planned[label]
    ]
    if not lacking:
        return ""
    if counted:
        return f"Of their planned runs, {listed(lacking)}."
    total = sum(planned.values())
    return f"{done:,} of {total:,} planned runs{whose} have ended: {listed(lacking)}."
