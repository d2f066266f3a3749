"""A search for better settings, judged on recordings that it did not see.

Settings are proposed by the tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", NeurIPS 2011) of Optuna (extra ``tune``), the defaults first. The best is chosen by its training score
alone; its validation score is only looked at afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamreid.errors import ConfigError, DataError, MissingExtraError
from streamreid.search_space import Range

__all__ = ["Trial", "Tuning", "search"]

Settings = dict[str, float]
Score = Callable[[Settings], float]
_SHOWN = 5
"""Best settings that are judged on the validation part: more would be a search of their own."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of settings.

    Args:
        number: In the order of the search; 0 are the defaults.
        settings: Values by key.
        training: Score on the training split.
        validation: Score on the validation split, if it was looked at.
    """

    number: int
    settings: Settings
    training: float
    validation: float | None = None


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a search found.

    Args:
        default: The defaults.
        ranking: The best trials by training score, with their validation scores.
        trials: How many were tried.
        refused: How many were impossible (settings that contradict each other).
    """

    default: Trial
    ranking: tuple[Trial, ...]
    trials: int
    refused: int

    @property
    def best(self) -> Trial:
        """The best by training score."""
        return self.ranking[0]

    @property
    def improved(self) -> bool:
        """Whether the best also beats the defaults on the validation split."""
        assert self.best.validation is not None
        assert self.default.validation is not None
        return self.best.validation > self.default.validation


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", "tune", "Searching settings") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _propose(trial: Any, space: Sequence[Range]) -> Settings:
    ask = {
        True: lambda r: trial.suggest_int(r.key, int(r.low), int(r.high)),
        False: lambda r: trial.suggest_float(r.key, r.low, r.high, log=r.log),
    }
    return {r.key: r.rounded(ask[r.whole](r)) for r in space}


def search(
    space: Sequence[Range],
    defaults: Mapping[str, float],
    training: Score,
    validation: Score,
    *,
    trials: int = 100,
    seed: int = 0,
    progress: Callable[[Trial, float], bool] | None = None,
) -> Tuning:
    """Search settings.

    Args:
        space: What may change.
        defaults: Values to begin with and to beat, one for each key of ``space``.
        training: Score of settings on the training split, the higher the better; a ``ConfigError`` means that they
            contradict each other.
        validation: The same on the validation split. Called for the defaults and the five best only, after the search.
        trials: How many settings are tried, the defaults included.
        seed: Of the search; the same seed and scores give the same result.
        progress: Called after each trial with it and the best score so far; False ends the search.

    Raises:
        ConfigError: Nothing to search, or fewer than two trials.
        DataError: The defaults cannot be scored.
        MissingExtraError: Optuna is not installed.
    """
    if not space or trials < 2:
        raise ConfigError(
            f"a search needs settings to change and at least 2 trials, got {len(space)} settings and {trials} trials"
        )
    optuna = _optuna()
    start = {r.key: int(defaults[r.key]) if r.whole else float(defaults[r.key]) for r in space}
    done = [Trial(0, dict(start), training(start))]
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=10)
    )
    study.add_trial(_known(optuna, space, done[0]))
    refused = 0

    def objective(trial: Any) -> float:
        nonlocal refused
        settings = _propose(trial, space)
        try:
            score = training(settings)
        except ConfigError:
            refused += 1
            raise optuna.TrialPruned from None
        done.append(Trial(trial.number, settings, score))
        if progress is not None and not progress(done[-1], max(t.training for t in done)):
            study.stop()
        return score

    if progress is None or progress(done[0], done[0].training):
        study.optimize(objective, n_trials=trials - 1)
    # Ties go to the earlier trial, so to the defaults before all.
    best = sorted(done, key=lambda t: (-t.training, t.number))[:_SHOWN]
    ranking = tuple(Trial(t.number, t.settings, t.training, validation(t.settings)) for t in best)
    judged = next((t for t in ranking if t.number == 0), None)
    default = judged or Trial(0, done[0].settings, done[0].training, validation(done[0].settings))
    return Tuning(default, ranking, len(done), refused)


def _known(optuna: Any, space: Sequence[Range], trial: Trial) -> Any:
    """The defaults as a trial of the study, so that the search learns from them."""
    d = optuna.distributions
    distributions = {
        r.key: d.IntDistribution(int(r.low), int(r.high)) if r.whole else d.FloatDistribution(r.low, r.high, log=r.log)
        for r in space
    }
    values = trial.settings
    outside = [
        f"{r.key} = {values[r.key]:g} ({r.low:g} to {r.high:g})" for r in space if not r.low <= values[r.key] <= r.high
    ]
    if outside:
        raise DataError(
            f"the search cannot begin with settings outside its ranges: {', '.join(outside)}; change them or leave "
            "them out (--only)"
        )
    return optuna.trial.create_trial(params=values, distributions=distributions, value=trial.training)
