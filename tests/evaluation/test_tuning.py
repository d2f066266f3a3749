"""The search: defaults first, the best by training, the same with the same seed; and the table of what may be
searched."""

from __future__ import annotations

import sys

import pytest

from streamreid.config import Config
from streamreid.errors import ConfigError, DataError, MissingExtraError
from streamreid.evaluation.tuning import search
from streamreid.search_space import SEARCH_SPACE, Range

SPACE = (
    Range("tracker.a", 0.0, 1.0),
    Range("tracker.n", 1, 9, step=1),
    Range("tracker.t", 0.1, 100.0, step=0.1, log=True),
)
DEFAULTS = {"tracker.a": 0.9, "tracker.n": 1, "tracker.t": 50.0}


def hill(settings: dict[str, float]) -> float:
    """Best at a = .3, n = 6."""
    return 1 - (settings["tracker.a"] - 0.3) ** 2 - 0.01 * (settings["tracker.n"] - 6) ** 2


@pytest.fixture(autouse=True)
def _optuna() -> None:
    pytest.importorskip("optuna")


def test_it_climbs_and_repeats() -> None:
    one = search(SPACE, DEFAULTS, hill, hill, trials=60, seed=3)
    two = search(SPACE, DEFAULTS, hill, hill, trials=60, seed=3)
    assert one == two
    assert one.default.training == pytest.approx(hill(DEFAULTS))
    assert one.best.training > 0.98 > one.default.training
    assert one.improved
    assert one.trials == 60
    assert [t.training for t in one.ranking] == sorted((t.training for t in one.ranking), reverse=True)
    assert search(SPACE, DEFAULTS, hill, hill, trials=60, seed=4) != one


def test_values_are_rounded_and_inside() -> None:
    tried: list[dict[str, float]] = []
    search(SPACE, DEFAULTS, lambda s: tried.append(s) or hill(s), hill, trials=40, seed=0)
    for settings in tried:
        assert round(settings["tracker.a"], 2) == settings["tracker.a"]
        assert isinstance(settings["tracker.n"], int)
        assert 1 <= settings["tracker.n"] <= 9
        assert 0.1 <= settings["tracker.t"] <= 100
        assert settings["tracker.t"] * 10 == pytest.approx(round(settings["tracker.t"] * 10))


def test_the_best_is_chosen_by_training_and_validation_may_say_no() -> None:
    found = search(SPACE, DEFAULTS, hill, lambda s: -hill(s), trials=30, seed=0)
    assert found.best.training == max(t.training for t in found.ranking)
    assert found.best.validation == pytest.approx(-hill(found.best.settings))
    assert not found.improved


def test_defaults_that_cannot_be_beaten_stay() -> None:
    found = search(SPACE, {**DEFAULTS, "tracker.a": 0.3, "tracker.n": 6}, hill, hill, trials=20, seed=0)
    assert found.best.number == 0
    assert found.best == found.default
    assert not found.improved


def test_settings_that_contradict_each_other_are_counted() -> None:
    def training(settings: dict[str, float]) -> float:
        if settings["tracker.n"] > 4:
            raise ConfigError("no")
        return hill(settings)

    found = search(SPACE, DEFAULTS, training, hill, trials=30, seed=0)
    assert found.refused > 0
    assert found.trials + found.refused == 30
    assert found.best.settings["tracker.n"] <= 4


def test_it_can_be_ended() -> None:
    assert search(SPACE, DEFAULTS, hill, hill, trials=500, seed=0, progress=lambda t, _: t.number < 7).trials == 8
    assert search(SPACE, DEFAULTS, hill, hill, trials=500, seed=0, progress=lambda *_: False).trials == 1


def test_validation_is_looked_at_for_few_only() -> None:
    looked: list[dict[str, float]] = []
    search(SPACE, DEFAULTS, hill, lambda s: looked.append(s) or 0.0, trials=30, seed=0)
    assert len(looked) == 6


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match="at least 2 trials"):
        search(SPACE, DEFAULTS, hill, hill, trials=1)
    with pytest.raises(ConfigError, match="0 settings"):
        search((), {}, hill, hill)
    with pytest.raises(DataError, match=r"tracker\.n = 12 \(1 to 9\)"):
        search(SPACE, {**DEFAULTS, "tracker.n": 12}, hill, hill)


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"streamreid\[tune\]"):
        search(SPACE, DEFAULTS, hill, hill)


@pytest.mark.parametrize("r", SEARCH_SPACE, ids=lambda r: r.key)
def test_every_range_is_of_a_setting_and_holds_its_default(r: Range) -> None:
    section, _, name = r.key.partition(".")
    default = getattr(Config.model_fields[section].default, name)
    assert r.low <= default <= r.high
    assert r.whole == isinstance(default, int)
    for value in (r.low, r.high, r.rounded((r.low + r.high) / 2)):
        Config.from_dict({"cameras": [{"name": "a", "uri": "a"}], section: {name: value}} | _room(r.key, value))


def _room(key: str, value: float) -> dict[str, dict[str, float]]:
    """The low score must not be above the high one."""
    if key == "tracker.high_score":
        return {"tracker": {"high_score": value, "low_score": 0.05}}
    return {}


def test_keys_are_unique() -> None:
    assert len({r.key for r in SEARCH_SPACE}) == len(SEARCH_SPACE)
