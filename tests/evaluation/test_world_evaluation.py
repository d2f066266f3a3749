"""Ground-plane scores against numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.errors import ConfigError, DataError
from streamreid.evaluation import Positions, evaluate_world, read_positions

pytest.importorskip("trackeval")


def walk(people: int, frames: int, shift: float = 0.0) -> Positions:
    """People on parallel lines five metres apart."""
    rows = np.array([(f, p, 0.5 * f + shift, 5.0 * p) for f in range(1, frames + 1) for p in range(1, people + 1)])
    return Positions.build(rows[:, 0], rows[:, 1], rows[:, 2:])


def renamed(table: Positions, ids: np.ndarray) -> Positions:
    return Positions.build(table.frames, ids, table.points)


def test_exact_positions_are_perfect() -> None:
    found = evaluate_world(walk(3, 8), walk(3, 8))
    for name in ("hota", "deta", "assa", "mota", "idf1"):
        assert getattr(found.scores, name) == pytest.approx(1.0)
    assert found.mean_distance == pytest.approx(0.0)


def test_a_shift_of_half_the_radius() -> None:
    # d = .5, radius 1: similarity 1 - .5/2 = .75, so CLEAR and identity are perfect and HOTA counts thresholds .05 ...
    # .75: 15 of 19.
    found = evaluate_world(walk(2, 10, shift=0.5), walk(2, 10))
    assert (found.scores.mota, found.scores.idf1) == (1.0, 1.0)
    assert found.mean_distance == pytest.approx(0.5)
    assert found.scores.hota == pytest.approx(15 / 19)


@pytest.mark.parametrize(
    ("shift", "radius", "hits"), [(0.99, 1.0, True), (1.01, 1.0, False), (1.01, 1.1, True), (0.3, 0.25, False)]
)
def test_the_radius_is_the_greatest_distance(shift: float, radius: float, hits: bool) -> None:
    found = evaluate_world(walk(1, 10, shift=shift), walk(1, 10), radius=radius)
    assert found.scores.idf1 == float(hits)
    # 10 found, or 10 missed and 10 false
    assert found.scores.mota == (1.0 if hits else -1.0)
    assert np.isnan(found.mean_distance) != hits


def test_swapped_halves_by_hand() -> None:
    # Two people, 10 frames, ids swapped after frame 6: identity keeps 6 of 10 each; two switches.
    truth = walk(2, 10)
    found = evaluate_world(renamed(truth, np.where(truth.frames > 6, 3 - truth.ids, truth.ids)), truth).scores
    assert found.idf1 == pytest.approx(12 / 20)
    assert found.idsw == 2
    assert found.mota == pytest.approx(1 - 2 / 20)
    assert found.assa == pytest.approx(0.6 * 6 / 14 + 0.4 * 4 / 16)


def test_people_who_cross_are_matched_to_the_nearer_one() -> None:
    truth = Positions.build([1, 1], [1, 2], [[0.0, 0.0], [0.8, 0.0]])
    found = evaluate_world(Positions.build([1, 1], [7, 8], [[0.7, 0.0], [0.1, 0.0]]), truth)
    assert (found.scores.mota, found.scores.idf1) == (1.0, 1.0)
    assert found.mean_distance == pytest.approx(0.1)


def test_a_missed_and_a_false_person() -> None:
    truth = walk(2, 10)
    ghost = Positions.build([*truth.frames[2:], 1], [*truth.ids[2:], 9], [*truth.points[2:], [99.0, 99.0]])
    found = evaluate_world(ghost, truth).scores
    assert (found.fn, found.fp) == (2, 1)
    assert found.mota == pytest.approx(1 - 3 / 20)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2**40), min_size=3, max_size=3, unique=True), st.integers(0, 99))
def test_names_do_not_matter(names: list[int], seed: int) -> None:
    truth = walk(3, 8)
    rng = np.random.default_rng(seed)
    noisy = Positions.build(truth.frames, truth.ids, truth.points + rng.normal(0, 0.4, truth.points.shape))
    other = renamed(noisy, np.array([0, *names])[noisy.ids])
    assert evaluate_world(noisy, truth).scores.as_dict() == pytest.approx(evaluate_world(other, truth).scores.as_dict())


def test_aicity_text_is_averaged_over_cameras(tmp_path: Path) -> None:
    file = tmp_path / "track1.txt"
    file.write_text("1 5 3 10 10 20 50 2.0 4.0\n2 5 3 90 10 20 50 3.0 6.0\n2 6 3 70 10 20 50 8.0 8.0\n")
    found = read_positions(file)
    assert (found.frames.tolist(), found.ids.tolist()) == ([3, 3], [5, 6])
    assert found.points.tolist() == [[2.5, 5.0], [8.0, 8.0]]
    assert found.averaged == 1


def test_cmc_text(tmp_path: Path) -> None:
    file = tmp_path / "gt.txt"
    file.write_text(
        "1 1 -1 -1 -1 -1 -1 2.17 0.55 0.82 0.53 0.53 0.82\n2 1 -1 -1 -1 -1 -1 2.28 0.56 0.82 0.53 0.53 0.82\n"
    )
    found = read_positions(file)
    assert found.points.tolist() == [[2.17, 0.55], [2.28, 0.56]]
    assert evaluate_world(file, file).scores.hota == pytest.approx(1.0)


def test_json_lines_with_final_ids(tmp_path: Path) -> None:
    person = {"type": "person", "camera": "a", "frame": 0, "track_id": 3, "global_id": None, "world": [1.0, 2.0]}
    lines = [person, {**person, "camera": "b", "track_id": 4, "global_id": 9}, {**person, "track_id": 5}]
    lines.append({"type": "identity", "global_id": 2, "members": [["a", 3], ["b", 4]]})
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_positions(file)
    assert (found.frames.tolist(), found.ids.tolist(), found.averaged) == ([1], [2], 1), (
        "the track without identity is left out"
    )
    file.write_text(json.dumps({**person, "world": None}) + "\n")
    with pytest.raises(DataError, match='no person line carries "world"'):
        read_positions(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,0,0,5,5,1,-1,-1,-1\n", "columns 8 and 9 are -1 in every row"),
        ("1,1,0,0,5,5,1,2\n", "at least 10 columns"),
        ("1,1,0,0,5,5,1,1,0.5\n", "at least 10 columns"),  # MOT16 and later: class and visibility
        ("1,1,0,0,5,5,1,2,nan,0\n", "gt.txt:1: world coordinates"),
        ("1,1,0,0,5,5,1,2,3,0\n1,1,0,0,5,5,1,4,3,0\n", "gt.txt:2: id 1 occurs twice in frame 1"),
        ("1.5,1,0,0,5,5,1,2,3,0\n", "frame 1.5"),
        ("hello\n", "gt.txt:1: expected numbers"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "gt.txt"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_positions(file)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        evaluate_world(walk(1, 2), walk(1, 2), radius=0)
    with pytest.raises(DataError, match="does not exist"):
        read_positions(tmp_path / "none.txt")
    with pytest.raises(DataError, match="no text file"):
        read_positions(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(DataError, match="Say --frames"):
        evaluate_world(walk(1, 2), tmp_path / "empty.txt")
    assert evaluate_world(walk(1, 2), tmp_path / "empty.txt", frames=(1, 2)).scores.fp == 2


def test_nothing_found() -> None:
    nobody = Positions.build([], [], np.zeros((0, 2)))
    found = evaluate_world(nobody, walk(2, 5))
    assert (found.scores.fn, found.scores.hota) == (10, 0.0)
    assert found.as_dict()["mean_distance"] is None


def test_the_shared_ground_truth_can_be_read(shared: Path) -> None:
    file = shared / "data" / "multicam" / "cmc" / "GT_CMC1_WORLD_CENTROID.txt"
    found = read_positions(file)
    assert len(np.unique(found.ids)) == 3
    moved = Positions.build(found.frames, found.ids + 10, found.points + np.array([0.3, 0.4]))
    result = evaluate_world(moved, file)
    assert (result.scores.mota, result.scores.idf1) == (pytest.approx(1.0), pytest.approx(1.0))
    assert result.mean_distance == pytest.approx(0.5)
    assert read_positions(shared / "data" / "mot" / "PETS09-S2L1" / "gt_frames_1-400.txt").averaged == 0
