"""Clocks that are right are not called wrong, wrong ones are found, and the error bar means what it says."""

import numpy as np
import pytest

from streamreid.clocks.clock_evidence import double_centred, estimate_offset

OFFSETS = np.arange(-100, 101) * 0.2


def noise(rng, tracks=40, smooth=8):
    """Gains of tracks that say nothing: as smooth over offsets as people are slow."""
    values = rng.normal(size=(tracks, len(OFFSETS) + smooth))
    return np.stack([np.convolve(row, np.ones(smooth), "valid")[: len(OFFSETS)] for row in values])


def test_noise_says_nothing():
    rng = np.random.default_rng(0)
    assert sum(estimate_offset(noise(rng), OFFSETS, floor=0.05) is not None for _ in range(300)) == 0


@pytest.mark.parametrize("true", [0.0, 0.5, -3.1, 7.9])
def test_the_error_bar_covers_the_truth(true):
    rng, inside, said = np.random.default_rng(1), 0, 0
    for _ in range(60):
        gains = noise(rng) + 12.0 * np.exp(-((OFFSETS - true - rng.normal(0, 0.3, (40, 1))) ** 2) / 0.3)
        found = estimate_offset(gains, OFFSETS, floor=0.05)
        if found is not None:
            said += 1
            inside += abs(found.seconds - true) <= 1.96 * found.error
    assert said >= (30 if true == 0.5 else 50)  # near right clocks it takes more to be sure
    assert inside >= 0.88 * said  # 95 of 100 are stated; 60 draws may be that far below


def test_few_tracks_or_one_half_alone_say_nothing():
    rng = np.random.default_rng(2)
    peak = np.exp(-((OFFSETS - 3.0) ** 2))
    assert estimate_offset(noise(rng, 6) + 20 * peak, OFFSETS, floor=0.05) is None
    gains = noise(rng)
    gains[0::2] += 20 * peak  # the other half knows nothing of it
    assert estimate_offset(gains, OFFSETS, floor=0.05) is None


def test_a_crowded_moment_or_a_busy_place_is_no_evidence():
    rng = np.random.default_rng(3)
    moments = np.arange(30)[:, None] + np.arange(-20, 21)[None]
    costs = rng.uniform(0, 1, (30, 1)) + rng.uniform(0, 1, 90)[moments + 20]
    assert np.abs(double_centred(costs, moments)).max() < 0.5 * np.abs(costs - costs.mean()).max()
    costs[rng.uniform(size=costs.shape) < 0.3] = np.nan
    assert (double_centred(costs, moments)[np.isnan(costs)] == 0).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fifteen_seconds_of_a_crowd_with_right_clocks_are_not_warned_of(crowds, seed):
    scene = crowds.Scene(seed, 15.0, people=25, cameras=4, rate=4.0, lanes=seed == 1, moving=(0.3, 0.6, 0.9)[seed])
    assert [o for o in crowds.watched(scene) if o.wrong] == []


def test_wrong_clocks_of_a_crowd_are_found(crowds):
    scene = crowds.Scene(5, 40.0, people=25, cameras=4, rate=4.0, skew={1: 0.6, 3: -5.0})
    found = {o.camera: o for o in crowds.watched(scene)}
    assert {name for name, o in found.items() if o.wrong} == {"c2", "c4"}
    for name, true in (("c2", 0.6), ("c4", -5.0)):
        assert found[name].seconds == pytest.approx(true, abs=0.15)
        assert abs(found[name].seconds - true) < 3 * found[name].spread
