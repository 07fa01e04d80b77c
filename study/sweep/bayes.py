"""What a Bayesian search tries next, by the Gaussian process of Optuna."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.sweep.parameter import UNIT
from study.sweep.sweep import Sweep
from study.sweep.trials import FAILED, direction

STARTUP = 10  # random samples before the Gaussian process has something to learn from
# It likes to try the very ends. Those of a density are infinite, or what no setting allows.
INNER = FloatDistribution(0.001, 0.999)
MOST_WHOLE = 10_000  # whole numbers of a range, which Optuna lists all

Params = Mapping[str, Any]  # internal values by parameter, as Optuna sees them (parameter.py)


def suggest(
    sweep: Sweep,
    observations: Iterable[tuple[Params, float]],
    in_flight: Iterable[Params],
    seed: int,
) -> dict[str, Any]:
    """Return what the Gaussian process tries next.

    observations: the parameters and value of each trained run; in_flight: the parameters of those
    in training, which the acquisition function (q-batch log expected improvement) allows for.
    Source: Optuna's GPSampler; Ament et al., 2023 (arXiv 2310.20708).
    """
    given = {p.name: p.distribution for p in sweep.varying}
    distributions = {name: _as_seen(each) for name, each in given.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=0)
    study = optuna.create_study(direction=direction(sweep.maximizes), sampler=sampler)
    study.add_trials(
        create_trial(params=_seen(params, given), distributions=distributions, value=value)
        for params, value in observations
    )
    study.add_trials(
        create_trial(
            params=_seen(params, given), distributions=distributions, state=TrialState.RUNNING
        )
        for params in in_flight
    )
    tried = study.ask(distributions).params
    return {
        name: round(value) if isinstance(given[name], IntDistribution) else value
        for name, value in tried.items()
    }


def _as_seen(given: BaseDistribution) -> BaseDistribution:
    """Return the distribution that the Gaussian process works with."""
    if given is UNIT:
        return INNER
    if isinstance(given, IntDistribution) and given.high - given.low >= MOST_WHOLE:
        return FloatDistribution(given.low, given.high)
    return given


def _seen(params: Params, given: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Return internal values within the distributions that the Gaussian process works with."""
    return {
        name: min(max(value, INNER.low), INNER.high) if given[name] is UNIT else value
        for name, value in params.items()
    }


def observe(
    trials: Iterable[FrozenTrial], maximize: bool
) -> tuple[list[tuple[Params, float]], list[Params]]:
    """Return the observations and the parameters in flight, in the order of their samples.

    A failed run counts as the worst of the values observed.
    """
    observed: dict[int, tuple[Params, float]] = {}
    failed: dict[int, Params] = {}
    in_flight: dict[int, Params] = {}
    for trial in trials:
        sample, why = trial.user_attrs["draw"], trial.user_attrs.get("why")
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            observed[sample] = trial.params, trial.value
        elif trial.state == TrialState.RUNNING:
            in_flight[sample] = trial.params
        elif why == FAILED:
            failed[sample] = trial.params
    if observed:
        worst = min if maximize else max
        value = worst(value for _, value in observed.values())
        only_failed = failed.keys() - observed.keys() - in_flight.keys()
        observed |= {sample: (failed[sample], value) for sample in only_failed}
    return [observed[s] for s in sorted(observed)], [in_flight[s] for s in sorted(in_flight)]
