"""What a sweep chooses by: the metric of its file."""

import logging
from collections.abc import Mapping
from typing import Any

from study.errors import Faults, UsageError
from study.fields import check_number
from study.metrics import METRICS, Metric
from study.values import nearest, one_of, quoted, text

log = logging.getLogger(__name__)

GOALS = ("minimize", "maximize")


def parse(given: Any) -> Metric | None:
    """Check the `metric` of a sweep's file; None where it has none.

    Raises:
        UsageError: something in it is not allowed, a line for each fault.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        meant = given if given in METRICS else "val/accuracy"
        raise UsageError(
            f"metric={quoted(given)}: allowed are its name and goal; write metric: {{name: {meant},"
            f" goal: {Metric.named(meant).goal}}}"
        )
    given = dict(given)
    name, asked = given.pop("name", None), given.pop("goal", None)
    goal = GOALS[0] if asked is None else asked  # as with W&B
    target = given.pop("target", None)
    faults = Faults()
    if name not in METRICS:
        faults.add(one_of("metric.name", name, METRICS))
    if goal not in GOALS:
        faults.add(one_of("metric.goal", goal, GOALS, {"min": GOALS[0], "max": GOALS[1]}))
    if target is not None:
        faults.attempt(check_number, "metric.target", target)
    for key, only in (("impute", "worst"), ("impute_while_running", "false")):
        value = given.pop(key, only)
        if text(value) != only:
            faults.add(f"metric.{key}={text(value)}: study sweep allows {only}")
    for key in given:
        faults.add(f"metric.{key}: {nearest(key, ('name', 'goal', 'target'))}")
    faults.check()
    metric = Metric(name, goal == "maximize", target)
    if metric.maximize != metric.is_accuracy:
        log.warning(
            "metric.name=%s: is %sd%s; to look for the %s, write goal: %s",
            name, goal, "" if asked else ", since W&B does so where goal is left out",
            *(("highest", "maximize") if metric.is_accuracy else ("lowest", "minimize")),
        )  # fmt: skip
    return metric


def check(method: str | None, metric: Metric | None, content: Mapping[str, Any]) -> None:
    """Check what a sweep's file chooses by.

    Raises:
        UsageError: it would choose by the test images, or has nothing to choose by.
    """
    early = content.get("early_terminate") is not None
    chooses = "early_terminate" if early else f"method={method}"
    if content.get("metric") is None and (method == "bayes" or early):
        raise UsageError(f"{chooses}: needs a metric (name and goal)")
    if metric and metric.name.startswith("test/") and (method in ("random", "bayes") or early):
        raise UsageError(
            f"metric.name={metric.name}: {chooses} would choose on the test images;"
            f" give a holdout and take {metric.name.replace('test/', 'val/')}"
        )
