"""Log-odds of pairs of trajectories, kept from question to question, are those of a comparison from scratch."""

from __future__ import annotations

import numpy as np
import pytest

from streamreid.ground.trajectory_similarity import BIN, TrajectorySimilarity
from streamreid.types import TrackKey

Places = dict[int, tuple[float, float, int]]


def expected(one: TrackKey, a: Places, other: TrackKey, b: Places) -> float:
    """The log-odds of two tracks, moment by moment as their definition has it."""
    common = sorted(a.keys() & b.keys())
    if common and one[0] != other[0]:
        total = 0.0
        for moment in common:
            (x, y, n), (u, v, m) = a[moment], b[moment]
            gap = min(np.hypot(x - u, y - v), 3.0)
            value = np.log(100.0 / (2 * np.pi * 0.35**2)) - gap**2 / (2 * 0.35**2)
            if n > 0 and m > 0:
                value = 4.0 if n == m else min(value, -2.0)
            else:
                value = min(max(value, -8.0), 3.0)
            total += value
        return float(np.clip(total / len(common) * min(0.5 + len(common) * BIN, 6.0), -30.0, 20.0))
    if max(a) > min(b) and max(b) > min(a):
        return 0.0
    (s, (x, y, n)), (t, (u, v, m)) = (max(a.items()), min(b.items()))
    if min(b) < max(a):
        (s, (x, y, n)), (t, (u, v, m)) = (min(a.items()), max(b.items()))
    if n == m and n > 0:
        return 6.0
    return -30.0 if np.hypot(x - u, y - v) > 1.5 + 4.0 * (abs(t - s) * BIN + BIN) else 0.0


def table(known: dict[TrackKey, Places], a: list[TrackKey], b: list[TrackKey]) -> np.ndarray:
    return np.array(
        [[0.0 if i == j or not {i, j} <= known.keys() else expected(i, known[i], j, known[j]) for j in b] for i in a]
    ).reshape(len(a), len(b))


@pytest.mark.parametrize("seed", range(12))
def test_what_is_kept_equals_a_comparison_from_scratch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    most = int(rng.integers(3, 12))
    kept, known = TrajectorySimilarity(most), dict[TrackKey, Places]()
    people, shift, number = rng.uniform(-3, 3, (4, 2)), [0, 0, 0], 0
    for now in range(60):
        people += rng.normal(0, 0.4, people.shape)
        if rng.random() < 0.1:
            shift[int(rng.integers(3))] = int(rng.integers(-4, 5))  # a clock is put right: moments in another order
        for camera in range(3):
            for who in range(4):
                if rng.random() < 0.3:
                    continue
                number += int(rng.random() < 0.1)
                key = f"c{camera}", 100 * who + number // 8
                x, y = (people[who] + rng.normal(0, 0.2, 2)).tolist()
                moment = now // 2 + shift[camera] - int(rng.integers(0, 2))
                places = known.setdefault(key, {})
                place = x, y, int(rng.choice([0, who + 1, 1]))
                kept.put(key, moment, place)
                places[moment] = place
                if len(places) > most:
                    del places[next(iter(places))]
        if rng.random() < 0.2:
            gone = [key for key in known if rng.random() < 0.15]
            kept.forget(gone)
            for key in gone:
                del known[key]
        if rng.random() < 0.05:
            kept.forget_numbers({"c1"})
            for key, places in known.items():
                if key[0] == "c1":
                    known[key] = {moment: (x, y, 0) for moment, (x, y, _) in places.items()}
        if rng.random() < 0.5:
            every = [*sorted(known), ("c2", 9999)]  # the last has no place
            a = [key for key in every if rng.random() < 0.8]
            b = [key for key in every if rng.random() < 0.8]
            np.testing.assert_allclose(kept.log_odds(a, b), table(known, a, b), rtol=1e-5, atol=1e-5)
    assert kept.log_odds([], []).shape == (0, 0)


def crowd(kept: TrajectorySimilarity, now: int, life: int = 20, window: int = 60) -> list[TrackKey]:
    """Eight people before two cameras, whose tracks break every ``life`` moments; the tracks of the window."""
    for camera in ("a", "b"):
        for who in range(8):
            kept.put((camera, 8 * ((now + 2 * who) // life) + who), now, (2.0 * who, 0.1 * now, who + 1))
    begin = max(now - window, 0)
    oldest = [8 * ((begin + 2 * who) // life) + who for who in range(8)]
    newest = [8 * ((now + 2 * who) // life) + who for who in range(8)]
    return [
        (c, n) for c in ("a", "b") for one, last in zip(oldest, newest, strict=True) for n in range(one, last + 1, 8)
    ]


def test_what_is_compared_and_kept_does_not_grow_with_the_run() -> None:
    kept, last = TrajectorySimilarity(240), list[TrackKey]()
    compared = []
    for now in range(600):
        keys = crowd(kept, now)
        kept.forget(set(last) - set(keys))
        before = kept.compared
        kept.log_odds(keys, keys)
        compared.append(kept.compared - before)
        last = keys
    assert sum(compared[500:]) <= 1.05 * sum(compared[200:300])
    # Only the 16 tracks that were seen, with each other, and each new track once with all of the window.
    assert np.median(compared) <= 2 * 16 * 16
    assert len(kept) == len(last)


def test_a_question_without_news_compares_nothing() -> None:
    kept = TrajectorySimilarity(240)
    for now in range(50):
        keys = crowd(kept, now)
    one = kept.log_odds(keys, keys)
    before = kept.compared
    np.testing.assert_array_equal(kept.log_odds(keys, keys), one)
    assert kept.compared == before


def test_a_question_about_a_few_tracks_costs_the_next_one_nothing() -> None:
    kept = TrajectorySimilarity(10)
    keys = [(f"c{n % 3}", n) for n in range(12)]
    for moment in range(4):
        for n, key in enumerate(keys):
            kept.put(key, moment, (float(n), 0.1 * moment, n // 3))
    first = kept.log_odds(keys, keys)
    compared = kept.compared
    few = kept.log_odds(keys[:1], keys[1:3])
    assert (few == first[:1, 1:3]).all()
    assert (kept.log_odds(keys, keys) == first).all()
    assert kept.compared == compared
    for _ in range(20):
        kept.log_odds(keys[:2], keys[:2])
    assert set(kept._slots) == set(keys[:2])  # sums of others are not kept for ever
