"""The intercept of the link model follows the site."""

from unittest.mock import Mock

import numpy as np
import pytest
from scipy.optimize import brentq

from streamreid.association import Associator
from streamreid.association.link_fitting import reliability
from streamreid.association.link_intercept import LIMIT, PRIOR, LinkIntercept, intercept_change, some_pairs
from streamreid.association.link_model import sigmoid
from streamreid.association.spatial_evidence import SpatialEvidence
from streamreid.config import AssociationConfig, LinkConfig


def drawn(people, tracks, *, shift, seed=0):
    """Log-odds of all pairs of tracks by a model that is ``shift`` too low, and which are one person. Scores are such
    that the log-odds are exact but for the shift: equal variances, ``gap`` apart."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), tracks)
    one, two = np.triu_indices(len(who), 1)
    same = who[one] == who[two]
    gap = 14.0
    ratio = rng.normal(np.where(same, gap / 2, -gap / 2), np.sqrt(gap))
    prior = np.log(same.mean() / (1 - same.mean()))
    return (ratio + prior - shift).astype(np.float32), same


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("expected", [0.0, 3.0, 40.0])
def test_the_change_solves_its_equation(seed, expected):
    x = np.random.default_rng(seed).normal(-4, 2, 2000)

    def slow(d):
        return sum(1 / (1 + np.exp(-(v + d))) for v in x) + PRIOR * d - expected

    root = brentq(slow, -50, 50, xtol=1e-9)
    found = intercept_change(x.astype(np.float32), expected)
    assert found == pytest.approx(np.clip(root, 0, LIMIT), abs=1e-4)


@pytest.mark.parametrize("shift", [0.0, 0.8, 1.2])
def test_probabilities_become_honest_on_a_site_where_all_are_too_low(shift):
    x, same = drawn(100, 5, shift=shift)
    found = intercept_change(x, float(same.sum()))
    assert found == pytest.approx(shift, abs=0.25)

    def error(change):
        p = sigmoid(x + np.float32(change))
        near = p > 0.05
        return reliability(p[near], same[near]).error

    assert error(found) < 0.05
    if shift:
        assert error(found) < 0.5 * error(0.0)


def test_little_evidence_changes_little():
    assert abs(intercept_change(np.full(3, -3.0, np.float32), 1.0)) < 0.1
    assert intercept_change(np.zeros(0, np.float32), 5.0) == 0.0


def test_the_intercept_is_never_lowered():
    x, same = drawn(60, 4, shift=-1.0)
    assert intercept_change(x, float(same.sum())) == 0.0


def test_the_change_is_bounded():
    assert intercept_change(np.full(1000, -9.0, np.float32), 900.0) == pytest.approx(LIMIT)


def test_a_sample_of_the_pairs_says_the_same():
    x, same = drawn(60, 4, shift=0.7)
    rows = np.random.default_rng(1).permutation(len(x))[: len(x) // 2]
    whole, part = intercept_change(x, float(same.sum())), intercept_change(x[rows], float(same.sum()), len(x))
    assert part == pytest.approx(whole, abs=0.15)


def test_pairs_are_all_or_a_sample_without_repetition():
    one, two, count = some_pairs(50)
    assert (len(one), count) == (50 * 49 // 2, 50 * 49 / 2)
    one, two, count = some_pairs(400, most=1000)
    assert count == 400 * 399 / 2
    assert 950 < len(one) <= 1000
    assert (one < two).all()
    code = one * 400 + two
    assert (np.diff(code) > 0).all()
    assert np.array_equal(code, some_pairs(400, most=1000)[0] * 400 + some_pairs(400, most=1000)[1])
    assert (
        abs(np.corrcoef(np.bincount(one, minlength=400) + np.bincount(two, minlength=400), np.arange(400))[0, 1]) < 0.2
    )


def test_both_counts_have_a_say():
    """One pair in so many people, and what was linked."""
    x, _ = drawn(30, 3, shift=0.0, seed=3)
    made = LinkIntercept()
    made.learn(x, linked=0.05, people=15.0, pairs=float(len(x)))
    assert made.change == pytest.approx(intercept_change(x, len(x) * (0.05 / 15) ** 0.5))
    assert made.change > 0


def test_where_nobody_is_linked_nothing_changes():
    """Cameras of which each sees other people: one pair in so many would be too many."""
    made = LinkIntercept()
    made.learn(np.full(20_000, -7.0, np.float32), linked=0.0, people=200.0, pairs=20_000.0)
    assert made.change == 0.0


def test_the_link_model_is_raised_unless_it_was_fitted_or_places_decide():
    config = AssociationConfig()
    made = Associator(config)
    assert made.link_model == config.link
    made._grouping.intercept.change = 0.4
    assert made.link_model == config.link.model_copy(update={"intercept": config.link.intercept + 0.4})
    fitted = AssociationConfig(link=LinkConfig(source="own tracks"))
    off = AssociationConfig(link=LinkConfig(learn_intercept=False))
    others = Associator(fitted), Associator(off), Associator(config, place=Mock(SpatialEvidence))
    assert [a._grouping.intercept for a in others] == [None] * 3


def test_it_looks_seldom():
    made = LinkIntercept()
    times = [t / 2 for t in range(400) if made.due(t / 2)]
    assert times[:2] == [0.0, 1.0]
    assert max(np.diff(times)) == 10.0
    assert len(times) < 40
