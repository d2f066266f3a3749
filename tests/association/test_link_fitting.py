"""Fitting the link model, and measuring how honest it is."""

import numpy as np
import pytest

from streamreid.association.link_fitting import Pairs, doubt, fit_link, join_pairs, probabilities, reliability
from streamreid.association.link_model import TERMS
from streamreid.association.pair_sampling import Look, labelled_pairs, own_pairs, track_fragments
from streamreid.config import LinkConfig
from streamreid.errors import DataError
from streamreid.features.similarity import Calibration

CALIBRATION = Calibration(slope=12.0, intercept=-6.0)
PLAIN = LinkConfig(looks=1.0, intercept=0.0, common=0.0, other_camera=0.0)


def drawn(n, seed, slope=0.7, intercept=-1.5, common=0.0):
    """Pairs whose truth is drawn from a known model."""
    rng = np.random.default_rng(seed)
    terms = {name: np.zeros(n, np.float32) for name in TERMS}
    terms["looks"] = rng.normal(0, 4, n).astype(np.float32)
    terms["common"] = rng.uniform(0, 1, n).astype(np.float32)
    p = 1 / (1 + np.exp(-(slope * terms["looks"] + common * terms["common"] + intercept)))
    return Pairs(terms, rng.uniform(size=n) < p, np.ones(n, np.float32))


def test_the_model_that_made_the_pairs_is_found_and_is_honest_on_others():
    made = fit_link(drawn(20_000, 0, common=1.0), LinkConfig(), ("looks", "common", "intercept"), source="test")
    assert made.looks == pytest.approx(0.7, abs=0.05)
    assert made.intercept == pytest.approx(-1.5, abs=0.15)
    assert made.common == pytest.approx(1.0, abs=0.2)
    assert (made.place, made.source) == (1.0, "test")
    other = drawn(20_000, 1, common=1.0)
    assert reliability(probabilities(made, other), other.same).error < 0.02
    assert reliability(probabilities(LinkConfig(), other), other.same).error > 0.05


def test_evidence_is_never_turned_around():
    pairs = drawn(2000, 2, slope=-1.0)
    made = fit_link(pairs, LinkConfig(), ("looks", "intercept"))
    assert made.looks == 0.0
    assert made.intercept != 0.0


def test_little_data_stays_near_what_was_there():
    few = drawn(60, 3)
    free = ("looks", "intercept")
    loose, tight = (fit_link(few, PLAIN, free, ridge=r) for r in (0.01, 1e4))
    assert abs(tight.looks - 1.0) < abs(loose.looks - 1.0)
    assert tight.looks == pytest.approx(1.0, abs=0.05)


def test_wrong_labels_of_likely_pairs_count_little():
    pairs = drawn(5000, 5)
    wrong = Pairs(
        pairs.terms, pairs.same & (np.arange(5000) % 10 > 0), pairs.weight
    )  # every tenth pair of one person is said to be two
    model = LinkConfig(looks=0.7, intercept=-1.5, common=0.0, other_camera=0.0)
    free = ("looks", "intercept")
    fooled, wary = fit_link(wrong, model, free), fit_link(doubt(wrong, model, 0.1), model, free)
    assert abs(wary.looks - 0.7) < abs(fooled.looks - 0.7)
    assert doubt(pairs, model, 0.1).weight[pairs.same].min() == 1.0


def test_too_little_is_refused_with_what_to_do():
    with pytest.raises(DataError, match="0 pairs of one person and 0 of two people, 10 of each are needed"):
        fit_link(join_pairs([]), LinkConfig())


def test_reliability_by_hand():
    said = np.array([0.05, 0.05, 0.95, 0.95], np.float32)
    found = reliability(said, np.array([False, True, True, True]), bins=10)
    assert found.error == pytest.approx((2 * 0.45 + 2 * 0.05) / 4, abs=1e-6)
    assert found.count[0] == 2
    assert found.true[9] == 1.0
    assert reliability(np.array([1.0], np.float32), np.array([True])).error == 0.0


def tracks():
    """Three people side by side in one camera, one of them in a second camera later."""
    rng = np.random.default_rng(4)
    made = {}
    for key, axis, start in ((("a", 1), 0, 0.0), (("a", 2), 1, 0.0), (("a", 3), 2, 50.0), (("b", 1), 0, 20.0)):
        looks = []
        for i in range(20):
            p = np.eye(8, dtype=np.float32)[[axis]] + 0.05 * rng.normal(size=(1, 8)).astype(np.float32)
            looks.append(Look(start + i, p / np.linalg.norm(p), np.ones(1, np.float32), 1.0))
        made[key] = looks
    return made, {k: (v[0].time, v[-1].time) for k, v in made.items()}


def test_pairs_that_need_no_ground_truth():
    looks, spans = tracks()
    made = track_fragments(looks)
    pairs = own_pairs(made, spans, CALIBRATION)
    # Pieces of each of the four tracks, and of the two that one camera saw at the same time; nothing is said of a/1 and
    # b/1.
    assert pairs.weight[pairs.same].sum() == pytest.approx(4.0)
    assert pairs.weight[~pairs.same].sum() == pytest.approx(1.0)
    assert pairs.terms["looks"][pairs.same].min() > pairs.terms["looks"][~pairs.same].max()
    assert (pairs.terms["other_camera"] == 0).all()


def test_pairs_with_ground_truth():
    looks, _ = tracks()
    pairs = labelled_pairs(track_fragments(looks), {("a", 1): 7, ("b", 1): 7, ("a", 3): 9}, CALIBRATION)
    assert pairs.weight[pairs.same].sum() == pytest.approx(1.0)
    assert pairs.weight[~pairs.same].sum() == pytest.approx(2.0)
    assert (pairs.terms["other_camera"][pairs.same] == 1).all()


def test_a_track_seen_once_gives_one_piece():
    looks, _ = tracks()
    assert len(track_fragments({("a", 1): looks["a", 1][:1]})) == 1
    assert len(own_pairs([], {}, CALIBRATION)) == 0
