from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.errors import DataError
from streamreid.evaluation import Table, evaluate_multicam

pytest.importorskip("trackeval")


def walk(people: list[int], frames: int, shift: float = 0.0) -> Table:
    rows = [(f, p, 30 * p + shift, 200 * p + 3 * f, 20, 50) for f in range(1, frames + 1) for p in people]
    data = np.array(rows, float).reshape(-1, 6)
    return Table.build(data[:, 0], data[:, 1], data[:, 2:6])


def renamed(table: Table, names: dict[int, int]) -> Table:
    return Table.build(table.frames, [names.get(i, i) for i in table.ids.tolist()], table.boxes, table.scores)


TRUTH = {"a": walk([1, 2], 10), "b": walk([1, 2], 10, shift=400)}


def test_the_same_ids_everywhere_are_perfect() -> None:
    found = evaluate_multicam({"a": renamed(TRUTH["a"], {1: 8, 2: 9}), "b": renamed(TRUTH["b"], {1: 8, 2: 9})}, TRUTH)
    assert (found.combined.hota, found.combined.idf1) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (found.combined.steps, found.combined.truth_ids, found.combined.result_ids) == (20, 2, 2)
    assert (found.identities.merge_count, found.identities.split_count) == (0, 0)
    assert (found.identities.shared, found.identities.linked) == (2, 2)


def test_unlinked_cameras_are_perfect_alone_and_half_right_together() -> None:
    found = evaluate_multicam({"a": TRUTH["a"], "b": renamed(TRUTH["b"], {1: 11, 2: 12})}, TRUTH)
    assert {name: s.idf1 for name, s in found.cameras.items()} == {"a": 1.0, "b": 1.0}
    # Each person keeps one of two equally long halves: 10 of 20 boxes.
    assert found.combined.idf1 == pytest.approx(0.5)
    assert found.combined.assa == pytest.approx(0.5)
    assert (found.identities.split_count, found.identities.merge_count) == (2, 0)
    assert (found.identities.shared, found.identities.linked) == (2, 0)


@settings(max_examples=25, deadline=None)
@given(people=st.integers(1, 4), frames=st.integers(1, 10), cameras=st.integers(1, 3))
def test_perfect_results_score_one_however_many_cameras(people: int, frames: int, cameras: int) -> None:
    truth = {f"c{n}": walk(list(range(1, people + 1)), frames, shift=70 * n) for n in range(cameras)}
    found = evaluate_multicam(truth, truth)
    for name in ("hota", "deta", "assa", "loca", "mota", "idf1", "idp", "idr"):
        assert getattr(found.combined, name) == pytest.approx(1.0), name
    assert (found.identities.merge_count, found.identities.split_count) == (0, 0)
    assert found.identities.linked == found.identities.shared == (people if cameras > 1 else 0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2**40), min_size=4, max_size=4, unique=True), st.integers(0, 999))
def test_other_names_for_the_same_ids_change_nothing_across_cameras(names: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    mixed = {}
    for camera, table in TRUTH.items():
        part = table[rng.random(len(table)) < 0.8]
        mixed[camera] = renamed(part, {1: int(rng.integers(1, 4)), 2: 0})
    other = {camera: renamed(table, dict(enumerate(names))) for camera, table in mixed.items()}
    one, two = evaluate_multicam(mixed, TRUTH), evaluate_multicam(other, TRUTH)
    assert one.combined.as_dict() == two.combined.as_dict()
    assert (one.identities.merge_count, one.identities.split_count) == (
        two.identities.merge_count,
        two.identities.split_count,
    )


def test_ids_swapped_after_six_of_ten_frames_in_one_camera_by_hand() -> None:
    # Camera a is right (10 boxes each); in b the ids are right for 6 frames and swapped for 4. The best map keeps 10 +
    # 6 of 20 boxes of each.
    b = TRUTH["b"]
    swapped = Table.build(b.frames, np.where(b.frames > 6, 3 - b.ids, b.ids), b.boxes)
    found = evaluate_multicam({"a": TRUTH["a"], "b": swapped}, TRUTH)
    assert found.combined.idf1 == pytest.approx(16 / 20)
    assert found.cameras["b"].idf1 == pytest.approx(6 / 10)
    # A match on the long side has TPA 16, FNA 4, FPA 4; one on the short side TPA 4, FNA 16, FPA 16.
    assert found.combined.assa == pytest.approx(0.8 * 16 / 24 + 0.2 * 4 / 36)
    assert (found.combined.idsw, found.identities.merge_count, found.identities.split_count) == (2, 2, 2)


def test_everybody_one_person_is_merged() -> None:
    one = {"a": walk([1], 10), "b": renamed(walk([2], 10, shift=400), {2: 1})}
    found = evaluate_multicam(one, {"a": walk([1], 10), "b": walk([2], 10, shift=400)})
    assert (found.identities.merge_count, found.identities.split_count, found.identities.shared) == (1, 0, 0)
    assert found.identities.merges[0].id == 1
    assert found.identities.merges[0].parts == ((1, 10), (2, 10))
    assert found.combined.idf1 == pytest.approx(0.5)


def test_a_few_boxes_in_passing_are_no_merge() -> None:
    truth = {"a": walk([1, 2], 40)}
    ids = np.where((truth["a"].frames == 20), 3 - truth["a"].ids, truth["a"].ids)
    results = {"a": Table.build(truth["a"].frames, ids, truth["a"].boxes)}
    assert evaluate_multicam(results, truth).identities.merge_count == 0


def test_people_who_are_not_annotated_do_not_count_in_a_partial_camera() -> None:
    results = {"a": TRUTH["a"], "b": walk([1, 2, 3], 10, shift=400)}
    assert evaluate_multicam(results, TRUTH).combined.fp == 10
    found = evaluate_multicam(results, TRUTH, partial=["b"])
    assert found.combined.fp == 0
    assert found.removed == {"a": 0, "b": 10}
    with pytest.raises(DataError, match="camera c is not one of a, b"):
        evaluate_multicam(results, TRUTH, partial=["c"])


def test_marked_rows_are_neither_right_nor_wrong() -> None:
    b = TRUTH["b"]
    truth = {"a": TRUTH["a"], "b": Table.build(b.frames, b.ids, b.boxes, np.where(b.ids == 2, 0, 1))}
    found = evaluate_multicam(TRUTH, truth)
    assert (found.combined.fp, found.combined.fn, found.removed["b"]) == (0, 0, 10)
    missing = evaluate_multicam({"a": TRUTH["a"], "b": b[b.ids == 1]}, truth)
    assert (missing.combined.fp, missing.combined.fn) == (0, 0)


def test_cameras_without_truth_are_not_scored_and_the_reverse_is_an_error() -> None:
    assert set(evaluate_multicam({**TRUTH, "c": walk([1], 3)}, TRUTH).cameras) == {"a", "b"}
    with pytest.raises(DataError, match="no results for camera b"):
        evaluate_multicam({"a": TRUTH["a"]}, TRUTH)


def test_the_pets_pair_scores_perfectly_against_itself(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "multicam" / "pets_s2l1"
    files = [folder / "gt_cam001.txt", folder / "gt_cam005_derived.txt"]
    for file, camera in zip(files, ("cam001", "cam005"), strict=True):
        (tmp_path / f"{camera}.txt").write_text(file.read_text())
    found = evaluate_multicam(tmp_path, files, frames=(1, 75), partial=["cam005"])
    assert found.combined.hota == pytest.approx(1.0)
    assert (found.combined.fp, found.combined.fn, found.combined.steps) == (0, 0, 150)
    assert (found.identities.shared, found.identities.linked) == (6, 6)
    assert found.removed["cam005"] == 39, "rows of the truth that are projections only"
