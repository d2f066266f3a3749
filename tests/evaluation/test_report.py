"""Timelines against what was built, and the error browser as a file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.errors import DataError, OutputError
from streamreid.evaluation import Table, evaluate_mot, evaluate_multicam, read_clocks, read_mot, write_report
from streamreid.evaluation.report import clock_knots, packed_runs
from streamreid.evaluation.timelines import Runs, Timelines

pytest.importorskip("trackeval")


def walk(people: list[int], frames: int) -> Table:
    data = np.array(
        [(f, p, 30 * p, 200 * p + 3 * f, 20, 50) for f in range(1, frames + 1) for p in people], float
    ).reshape(-1, 6)
    return Table.build(data[:, 0], data[:, 1], data[:, 2:6])


def renamed(table: Table, ids: np.ndarray) -> Table:
    return Table.build(table.frames, ids, table.boxes)


def rows(runs: Runs) -> list[tuple[int, ...]]:
    return list(
        zip(*(getattr(runs, n).tolist() for n in ("who", "camera", "first", "last", "id", "boxes")), strict=True)
    )


def data_of(path: Path) -> dict:
    return json.loads(re.search(r"^const DATA = (.*);$", path.read_text(), re.M)[1])


def test_a_switch_and_a_gap_by_hand() -> None:
    truth = walk([4], 10)
    results = renamed(truth, np.where(truth.frames > 7, 90, 80))[(truth.frames < 5) | (truth.frames > 6)]
    lines = evaluate_mot(results, truth).timelines["sequence"]
    # covered by 80 in frames 1-4, missed in 5-6, again 80 in 7, then 90
    assert rows(lines.people) == [(4, 0, 1, 4, 80, 4), (4, 0, 5, 6, -1, 2), (4, 0, 7, 7, 80, 1), (4, 0, 8, 10, 90, 3)]
    assert lines.switches.tolist() == [[4, 0, 8, 80, 90]]
    assert [(m.id, m.parts) for m in lines.splits] == [(4, ((80, 5), (90, 3)))]
    assert lines.merges == ()


def test_an_id_that_goes_over_to_another_person_is_a_merge() -> None:
    truth = walk([1, 2], 10)
    results = truth[(truth.ids == 1) == (truth.frames <= 6)]
    lines = evaluate_mot(renamed(results, np.full(len(results), 7)), truth).timelines["sequence"]
    assert [(m.id, m.parts) for m in lines.merges] == [(7, ((1, 6), (2, 4)))]
    assert len(lines.switches) == 0


def test_false_boxes_are_runs_of_their_id() -> None:
    truth = walk([1], 6)
    ghost = Table.build([2, 3, 5], [9] * 3, [[900, 900, 10, 10]] * 3)
    both = Table.build(
        np.r_[truth.frames, ghost.frames], np.r_[truth.ids, ghost.ids], np.concatenate([truth.boxes, ghost.boxes])
    )
    assert rows(evaluate_mot(both, truth).timelines["sequence"].false) == [(9, 0, 2, 3, -1, 2), (9, 0, 5, 5, -1, 1)]


def test_a_truth_of_every_fifth_frame_has_runs() -> None:
    whole = walk([1], 21)
    lines = evaluate_mot(whole, whole[whole.frames % 5 == 1]).timelines["sequence"]
    assert rows(lines.people) == [(1, 0, 1, 21, 1, 5)]


def test_cameras_stay_apart() -> None:
    truth = {"a": walk([1], 5), "b": walk([1], 5)}
    found = evaluate_multicam({"a": walk([1], 5), "b": renamed(walk([1], 5), np.full(5, 3))}, truth)
    assert rows(found.timelines.people) == [(1, 0, 1, 5, 1, 5), (1, 1, 1, 5, 3, 5)]
    assert len(found.timelines.switches) == 0, "another id in another camera is a split, not a switch"
    assert found.timelines.splits == found.identities.splits


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999))
def test_runs_hold_every_box_and_switches_are_those_of_clear(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = walk([1, 2, 3], 15)
    truth = truth[rng.random(len(truth)) < 0.9]
    results = renamed(truth, (truth.ids - 1 + (truth.frames > rng.integers(2, 14)) * rng.integers(0, 3)) % 3 + 1)
    results = results[rng.random(len(truth)) < 0.8]
    found = evaluate_mot(results, truth, frames=(1, 15))
    lines = found.timelines["sequence"]
    assert len(lines.switches) == found.combined.idsw
    assert lines.people.boxes.sum() == len(truth)
    assert lines.people.boxes[lines.people.id == -1].sum() == found.combined.fn
    assert lines.false.boxes.sum() == found.combined.fp


@pytest.mark.parametrize("name", ["TUD-Campus", "TUD-Stadtmitte"])
@pytest.mark.parametrize("rules", ["plain", "mot15"])
def test_switches_of_known_results(shared: Path, name: str, rules: str) -> None:
    folder = shared / "data" / "mot" / name
    found = evaluate_mot(folder / "motmetrics_test_result.txt", folder / "motmetrics_gt.txt", rules=rules)  # type: ignore[arg-type]
    lines = next(iter(found.timelines.values()))
    assert len(lines.switches) == found.combined.idsw == 7
    assert lines.people.boxes[lines.people.id == -1].sum() == found.combined.fn
    assert lines.false.boxes.sum() == found.combined.fp


def test_the_report_holds_everything_and_needs_nothing(tmp_path: Path) -> None:
    truth = {"a": walk([1, 2], 10), "b": walk([1, 2], 10)}
    swapped = renamed(truth["b"], np.where(truth["b"].frames > 6, 3 - truth["b"].ids, truth["b"].ids))
    found = evaluate_multicam({"a": truth["a"], "b": swapped}, truth)
    path = tmp_path / "deep" / "report.html"
    write_report(path, found, title="</script><b>x", fps=10)
    text = path.read_text()
    assert not re.search(r"(src|href)\s*=|@import|url\(|fetch\(|XMLHttp", text), "nothing may be loaded"
    assert "default-src 'none'" in text
    assert text.count("</script>") == 1
    data = data_of(path)
    assert data["title"] == "</script><b>x"
    assert data["scores"]["rows"][-1][0] == "all cameras"
    (group,) = data["groups"]
    assert group["people"][0] == [1, [[0, 1, 9, 1], [1, 1, 5, 1, 1, 3, 2]]], (
        "gap, length - 1, id; again for the run after the swap"
    )
    assert group["switches"] == [[1, 1, 7, 1, 2], [2, 1, 7, 2, 1]]
    assert group["splits"][0] == [1, [[1, 16, [[0, 1, 10], [1, 1, 6]]], [2, 4, [[1, 7, 10]]]]]
    assert group["clocks"] == [[[1, 0.0], [2, 0.1]]] * 2


def test_the_rules_of_mot17_hand_the_ids_of_the_files_through(shared: Path) -> None:
    """Timelines are of what TrackEval's own preprocessing leaves, with the ids of the files."""
    truth = shared / "data" / "mot" / "MOT17-mini" / "MOT17-04-FRCNN" / "gt" / "gt.txt"
    table = read_mot(truth)
    found = evaluate_mot(renamed(table, table.ids + 1000), table, rules="mot17")
    lines = found.timelines["sequence"]
    assert found.combined.fp > 0, "boxes of other classes are results, too"
    assert set(np.unique(lines.people.who)) <= set(np.unique(table.ids[table.classes == 1]))
    assert lines.people.boxes.sum() == found.combined.truth_boxes < len(table)
    assert (lines.people.id - lines.people.who)[lines.people.id >= 0].tolist() == [1000] * int(
        np.sum(lines.people.id >= 0)
    )
    assert lines.false.boxes.sum() == found.combined.fp


def test_sequences_are_groups(tmp_path: Path) -> None:
    truth = {"one": walk([1], 5), "two": walk([1, 2], 7)}
    write_report(tmp_path / "r.html", evaluate_mot(truth, truth), title="t")
    data = data_of(tmp_path / "r.html")
    assert [(g["name"], g["frames"]) for g in data["groups"]] == [("one", [1, 5]), ("two", [1, 7])]
    assert [r[0] for r in data["scores"]["rows"]] == ["one", "two", "combined"]
    assert data["groups"][0]["clocks"] == [None]


def test_times_come_from_json_lines(tmp_path: Path) -> None:
    lines = [
        {"type": "person", "camera": "a", "frame": i, "time": 100 + (i / 10 if i < 50 else 7 + i / 10)}
        for i in (0, 7, 20, 49, 50, 80)
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"type": "pers')
    knots = read_clocks(tmp_path)["a"]
    assert knots == [(1, 100.0), (50, 104.9), (51, 112.0), (81, 115.0)], "a pause of seven seconds keeps its place"
    assert read_clocks(tmp_path / "gt.txt") == {}
    (tmp_path / "results.jsonl").write_text('{"type": "person"}\n')
    with pytest.raises(DataError, match=r"results\.jsonl:1"):
        read_clocks(tmp_path)


def test_times_come_from_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"camera": ["a", "a", "b"], "frame": [0, 10, 3], "time": [1.0, 2.0, 7.5]}),
        tmp_path / "results.parquet",
    )
    assert (
        read_clocks(tmp_path)
        == read_clocks(tmp_path / "results.parquet")
        == {"a": [(1, 1.0), (11, 2.0)], "b": [(4, 7.5)]}
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.001, 5), min_size=1, max_size=60))
def test_knots_keep_every_time(steps: list[float]) -> None:
    points = list(enumerate(np.cumsum(steps).tolist(), 1))
    knots = clock_knots(points)
    frames, times = zip(*knots, strict=True)
    assert np.abs(np.interp([f for f, _ in points], frames, times) - [t for _, t in points]).max() <= 0.021


def test_many_people_for_long_make_no_huge_file(tmp_path: Path) -> None:
    # 300 people x 10,000 frames, each seen for a while, missed now and then: about 40 runs each
    rng = np.random.default_rng(0)
    parts = []
    for person in range(1, 301):
        edges = np.unique(rng.integers(1, 10_000, 40))
        ids = np.where(rng.random(len(edges) - 1) < 0.4, -1, person + rng.integers(0, 3, len(edges) - 1))
        parts.append(
            np.stack(
                [np.full(len(ids), person), np.zeros(len(ids), int), edges[:-1], edges[1:] - 1, ids, np.diff(edges)], 1
            )
        )
    table = np.concatenate(parts)
    truth = walk([1], 3)
    found = evaluate_mot(truth, truth)
    empty = Runs(*np.zeros((6, 0), np.int64))
    lines = Timelines(("cam",), (1, 10_000), Runs(*table.T), empty, np.zeros((0, 5), np.int64))
    found.timelines["sequence"] = lines
    write_report(tmp_path / "r.html", found, title="many", fps=25)
    assert (tmp_path / "r.html").stat().st_size < 500_000
    assert len(packed_runs(lines.people)) == 300


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    truth = walk([1], 3)
    with pytest.raises(OutputError, match="it is a folder"):
        write_report(tmp_path, evaluate_mot(truth, truth), title="t")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(tmp_path / "file" / "r.html", evaluate_mot(truth, truth), title="t")
