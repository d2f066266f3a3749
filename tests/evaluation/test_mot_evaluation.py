from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.errors import DataError, MissingExtraError
from streamreid.evaluation import Table, evaluate_mot
from streamreid.evaluation.preprocessing import ious, matching, remove_uncounted

pytest.importorskip("trackeval")


def walk(people: int, frames: int, seed: int = 0) -> Table:
    """People who walk in lines of their own, always visible."""
    rng = np.random.default_rng(seed)
    rows = [
        (f, p, 30 * p + rng.uniform(0, 2), 200 * p + 3 * f, 20, 50)
        for f in range(1, frames + 1)
        for p in range(1, people + 1)
    ]
    data = np.array(rows, float)
    return Table.build(data[:, 0], data[:, 1], data[:, 2:6])


def renamed(table: Table, ids: np.ndarray) -> Table:
    return Table.build(table.frames, ids, table.boxes, table.scores, table.classes)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("TUD-Campus", {"hota": 0.3914, "deta": 0.4180, "assa": 0.3691, "mota": 0.5265, "idf1": 0.5577, "idsw": 7}),
        ("TUD-Stadtmitte", {"hota": 0.3978, "deta": 0.3923, "assa": 0.4088, "mota": 0.5640, "idf1": 0.6446, "idsw": 7}),
    ],
)
@pytest.mark.parametrize("rules", ["plain", "mot15"])
def test_known_scores(shared: Path, name: str, known: dict[str, float], rules: str) -> None:
    folder = shared / "data" / "mot" / name
    found = evaluate_mot(folder / "motmetrics_test_result.txt", folder / "motmetrics_gt.txt", rules=rules).combined  # type: ignore[arg-type]
    assert {key: round(getattr(found, key), 4) for key in known} == known


def test_several_sequences_are_combined_as_trackeval_does(shared: Path) -> None:
    from streamreid.evaluation import read_mot

    names = ["TUD-Campus", "TUD-Stadtmitte"]
    folders = {name: shared / "data" / "mot" / name for name in names}
    results = {name: read_mot(folder / "motmetrics_test_result.txt") for name, folder in folders.items()}
    truth = {name: read_mot(folder / "motmetrics_gt.txt") for name, folder in folders.items()}
    found = evaluate_mot(results, truth)
    one, two = (found.sequences[name] for name in names)
    assert found.combined.idsw == one.idsw + two.idsw
    assert found.combined.fn == one.fn + two.fn
    boxes = one.truth_boxes + two.truth_boxes
    assert found.combined.mota == pytest.approx((one.mota * one.truth_boxes + two.mota * two.truth_boxes) / boxes)
    right = one.idr * one.truth_boxes + two.idr * two.truth_boxes
    assert found.combined.idf1 == pytest.approx(2 * right / (boxes + one.result_boxes + two.result_boxes))


@settings(max_examples=25, deadline=None)
@given(people=st.integers(1, 5), frames=st.integers(1, 12), seed=st.integers(0, 99))
def test_perfect_results_score_one(people: int, frames: int, seed: int) -> None:
    truth = walk(people, frames, seed)
    found = evaluate_mot(truth, truth).combined
    for name in ("hota", "deta", "assa", "loca", "mota", "motp", "idf1", "idp", "idr"):
        assert getattr(found, name) == pytest.approx(1.0), name
    assert (found.idsw, found.frag, found.fp, found.fn) == (0, 0, 0, 0)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_other_names_for_the_same_ids_change_nothing(data: st.DataObject) -> None:
    truth = walk(4, 10)
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    mixed = truth[rng.random(len(truth)) < 0.9]
    names = data.draw(st.lists(st.integers(0, 2**40), min_size=5, max_size=5, unique=True))
    other = renamed(mixed, np.array(names)[mixed.ids])
    assert evaluate_mot(mixed, truth).combined.as_dict() == evaluate_mot(other, truth).combined.as_dict()


def test_swapped_halves_cost_what_they_must() -> None:
    # Two people, 10 frames; after frame 6 the ids are swapped. The best identity map keeps each id's longer part: 6 of
    # 10 boxes.
    truth = walk(2, 10)
    swapped = renamed(truth, np.where(truth.frames > 6, 3 - truth.ids, truth.ids))
    found = evaluate_mot(swapped, truth).combined
    assert found.idf1 == pytest.approx(2 * 12 / (20 + 20))
    assert found.idsw == 2
    assert found.mota == pytest.approx(1 - 2 / 20)
    assert found.deta == 1.0
    # AssA: a match on the longer part has TPA 6, FNA 4, FPA 4; one on the shorter part TPA 4, FNA 6, FPA 6.
    assert found.assa == pytest.approx(0.6 * 6 / 14 + 0.4 * 4 / 16)


def test_misses_and_false_boxes_are_counted() -> None:
    truth = walk(2, 10)
    ghost = Table.build(range(1, 4), [9] * 3, [[900, 900, 10, 10]] * 3)
    results = Table.build(
        np.r_[truth.frames[4:], ghost.frames],
        np.r_[truth.ids[4:], ghost.ids],
        np.concatenate([truth.boxes[4:], ghost.boxes]),
    )
    found = evaluate_mot(results, truth).combined
    assert (found.fp, found.fn) == (3, 4)
    assert found.mota == pytest.approx(1 - 7 / 20)
    assert found.deta == pytest.approx(16 / 23)


def test_nothing_found_and_nobody_there() -> None:
    truth, nobody = walk(2, 5), Table.empty()
    found = evaluate_mot(nobody, truth).combined
    assert (found.hota, found.idf1, found.fn) == (0.0, 0.0, 10)
    found = evaluate_mot(truth, nobody, frames=(1, 5)).combined
    assert (found.hota, found.fp) == (0.0, 10)
    with pytest.raises(DataError, match="Say --frames"):
        evaluate_mot(truth, nobody)


def test_frames_limit_what_is_scored() -> None:
    truth = walk(2, 10)
    found = evaluate_mot(truth, truth.between(1, 6))
    assert found.combined.hota == pytest.approx(1.0)
    assert found.left_out == {"sequence": 8}
    assert evaluate_mot(truth.between(1, 5), truth, frames=(1, 5)).combined.fn == 0
    assert evaluate_mot(truth.between(1, 5), truth, frames=(4, 8)).combined.fn == 6


def test_plain_rules_do_not_count_marked_people_and_mot15_calls_them_false() -> None:
    truth = walk(2, 10)
    marked = Table.build(truth.frames, truth.ids, truth.boxes, np.where(truth.ids == 2, 0, 1))
    assert evaluate_mot(truth, marked).combined.fp == 0
    assert evaluate_mot(truth, marked, rules="mot15").combined.fp == 10
    assert evaluate_mot(truth, marked).combined.truth_boxes == 10


def test_mot17_rules_remove_what_stands_on_distractors() -> None:
    truth = walk(3, 10)
    classes = np.array([1, 8, 3])[truth.ids - 1]  # pedestrian, distractor, car
    labelled = Table.build(truth.frames, truth.ids, truth.boxes, np.ones(len(truth)), classes)
    found = evaluate_mot(truth, labelled, rules="mot17").combined
    assert (found.truth_boxes, found.fp, found.fn) == (10, 10, 0), (
        "a result on a distractor is removed, one on a car is false"
    )
    assert evaluate_mot(truth, labelled, rules="plain").combined.truth_boxes == 30
    with pytest.raises(DataError, match="class -1 in column 8"):
        evaluate_mot(
            truth, Table.build(truth.frames, truth.ids, truth.boxes, classes=-np.ones(len(truth))), rules="mot17"
        )


def test_mot17_agrees_with_trackeval_on_folders(shared: Path, tmp_path: Path) -> None:
    """The same through TrackEval's own reader and evaluator."""
    import trackeval

    name = "MOT17-04-FRCNN"
    source = shared / "data" / "mot" / "MOT17-mini" / name
    lines = [line.split(",") for line in (source / "gt" / "gt.txt").read_text().split()]
    rng = np.random.default_rng(1)
    people = [x for x in lines if x[7] in ("1", "2", "7", "8") and rng.random() < 0.8]
    text = "".join(
        f"{f},{int(i) + 7 * (int(f) > 4)},{float(a) + 3},{b},{c},{d},1,-1,-1,-1\n" for f, i, a, b, c, d, *_ in people
    )
    (tmp_path / "t" / "ours" / "data").mkdir(parents=True)
    (tmp_path / "t" / "ours" / "data" / f"{name}.txt").write_text(text)
    length = max(int(x[0]) for x in lines)
    settings = {
        "GT_FOLDER": str(source.parent),
        "TRACKERS_FOLDER": str(tmp_path / "t"),
        "SKIP_SPLIT_FOL": True,
        "PRINT_CONFIG": False,
    }
    dataset = trackeval.datasets.MotChallenge2DBox({**settings, "SEQ_INFO": {name: length}, "BENCHMARK": "MOT17"})
    data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("ours", name), "pedestrian")
    found = evaluate_mot(
        tmp_path / "t" / "ours" / "data" / f"{name}.txt", source / "gt" / "gt.txt", rules="mot17", frames=(1, length)
    ).combined
    quiet = {"THRESHOLD": 0.5, "PRINT_CONFIG": False}
    assert found.hota == pytest.approx(trackeval.metrics.HOTA().eval_sequence(data)["HOTA"].mean())
    clear = trackeval.metrics.CLEAR(dict(quiet)).eval_sequence(data)
    assert (found.mota, found.idsw, found.fp, found.fn) == (
        pytest.approx(clear["MOTA"]),
        clear["IDSW"],
        clear["CLR_FP"],
        clear["CLR_FN"],
    )
    assert found.idf1 == pytest.approx(trackeval.metrics.Identity(dict(quiet)).eval_sequence(data)["IDF1"])


def test_matching_is_optimal_and_one_to_one() -> None:
    similarity = np.array([[0.9, 0.8], [0.85, 0.1], [0.3, 0.4]])
    rows, columns = matching(similarity)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_unmatched_results_are_removed_only_when_asked() -> None:
    truth = Table.build([1, 1], [1, 2], [[0, 0, 10, 20], [100, 0, 10, 20]], [1, 0])
    results = Table.build([1, 1, 1], [5, 6, 7], [[0, 1, 10, 20], [100, 1, 10, 20], [300, 0, 10, 20]])
    kept, counted = remove_uncounted(results, truth, (1, 1))
    assert (kept.ids.tolist(), counted.ids.tolist()) == ([5, 7], [1])
    kept, _ = remove_uncounted(results, truth, (1, 1), unmatched=True)
    assert kept.ids.tolist() == [5]


def test_overlap_by_hand() -> None:
    assert ious(np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 10, 10], [20, 20, 5, 5]])).tolist() == [
        [pytest.approx(50 / 150), 0.0]
    ]


def test_missing_trackeval_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'streamreid\[eval\]'"):
        evaluate_mot(walk(1, 2), walk(1, 2))


def test_trackeval_stays_silent(capfd: pytest.CaptureFixture[str]) -> None:
    evaluate_mot(walk(1, 2), walk(1, 2))
    assert capfd.readouterr() == ("", "")
