from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamreid.errors import DataError
from streamreid.evaluation import Table, read_mot, read_tables, read_truth
from streamreid.evaluation.formats import match_cameras
from streamreid.evaluation.mot import frames_of
from streamreid.sinks import JsonlSink, MotSink, ParquetSink
from streamreid.types import Frame, FrameResult, Tracks


def write_run(folder: Path, parquet: bool) -> None:
    """A run in which track 2 of camera a turns out to be identity 5, and both tracks of camera c are one person."""
    sinks = [MotSink(folder / "mot"), JsonlSink(folder / "results.jsonl", ["a", "b", "empty"])]
    if parquet:
        pytest.importorskip("pyarrow")
        sinks.append(ParquetSink(folder / "results.parquet"))
    for camera, index in (("a", 0), ("b", 0), ("a", 2), ("c", 0)):
        boxes = np.array([[1, 2, 11, 22], [31, 2, 41, 22]], np.float32)
        tracks = Tracks(np.array([1, 2]), boxes, np.array([0.9, 0.5], np.float32), np.arange(2))
        frame = Frame(camera, index, index / 10, np.zeros((48, 64, 3), np.uint8))
        result = FrameResult(frame, tracks, np.array([7, 0]), np.ones(2, np.float32), np.ones((2, 1), np.float32))
        for sink in sinks:
            sink.write(result)
    for sink in sinks:
        sink.close(
            {
                ("a", 1): (7, 1.0),
                ("a", 2): (5, 0.8),
                ("b", 1): (7, 0.9),
                ("b", 2): (6, 1.0),
                ("c", 1): (8, 1.0),
                ("c", 2): (8, 1.0),
            }
        )


@pytest.mark.parametrize("name", ["", "mot", "results.jsonl", "results.parquet"])
def test_all_formats_of_a_run_say_the_same(tmp_path: Path, name: str) -> None:
    write_run(tmp_path, parquet=name.endswith("parquet"))
    who = read_tables(tmp_path / name)
    assert {"a", "b"} <= set(who)
    assert who["a"].frames.tolist() == [1, 1, 3, 3]
    assert who["a"].ids.tolist() == [5, 7, 5, 7]
    assert who["a"].boxes.tolist()[:2] == [[31, 2, 10, 20], [1, 2, 10, 20]]
    assert who["b"].ids.tolist() == [6, 7]
    assert (who["c"].ids.tolist(), who["c"].scores.round(3).tolist()) == ([8], [0.9]), "a person has one box in a frame"
    tracks = read_tables(tmp_path / name, ids="local")
    assert tracks["a"].ids.tolist() == [1, 2, 1, 2]
    assert tracks["c"].ids.tolist() == [1, 2]
    assert np.allclose(tracks["a"].scores, [0.9, 0.5, 0.9, 0.5])


def test_an_unfinished_jsonl_is_read_up_to_its_last_complete_line(tmp_path: Path) -> None:
    write_run(tmp_path, parquet=False)
    text = (tmp_path / "results.jsonl").read_text()
    (tmp_path / "cut.jsonl").write_text(text[: text.index('"identity"') - 5])
    cut = read_tables(tmp_path / "cut.jsonl")
    assert cut["a"].ids.tolist() == [7, 7], "without final identities, what was known then"
    assert len(cut["empty"]) == 0


def test_aicity_text_holds_all_cameras(tmp_path: Path) -> None:
    file = tmp_path / "track1.txt"
    file.write_text("41 7 1 10 20 30 40 -1 -1\n42 7 1 11 21 31 41 -1 -1\n41 7 2 12 20 30 40 -1 -1\n")
    found = read_tables(file)
    assert {name: table.frames.tolist() for name, table in found.items()} == {"41": [1, 2], "42": [1]}
    assert found["42"].boxes.tolist() == [[11, 21, 31, 41]]


def test_mot_text_with_blanks_and_short_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("2 1 1 2 3 4\n\n1,1,1,2,3,4,0\n1,2,1,2,3,4,1,7,0.5\n")
    table = read_mot(file)
    assert table.frames.tolist() == [1, 1, 2]
    assert table.scores.tolist() == [0, 1, 1]
    assert table.classes.tolist() == [1, 7, 1]
    (tmp_path / "none.txt").write_text("")
    assert len(read_mot(tmp_path / "none.txt")) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,0,0,5,5\n1,2,zero,0,5,5\n", r"a\.txt:2: expected numbers"),
        ("1,1,0,0,5\n", r"a\.txt:1: expected at least 6 columns, got 5"),
        ("-1,1,0,0,5,5\n", r"a\.txt:1: frame -1 is not a whole number from 1"),
        ("1,1.5,0,0,5,5\n", r"a\.txt:1: id 1\.5 is not a whole number"),
        ("1,-1,0,0,5,5\n", r"a\.txt:1: id -1 .*detection"),
        ("1,1,0,0,5,5\n\n1,2,0,0,-5,5\n", r"a\.txt:3: box .* negative size"),
        ("1,1,nan,0,5,5\n", r"a\.txt:1: box .* not a number"),
        ("1,1,0,0,5,5\n2,1,0,0,5,5\n1,1,9,9,5,5\n", r"a\.txt:3: id 1 occurs twice in frame 1 \(first at .*a\.txt:1\)"),
    ],
)
def test_malformed_mot_text_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_tables(tmp_path / "a.txt")


@pytest.mark.parametrize("line", ["nonsense", '{"type":"person","camera":"a"}', "[1]", '{"no":"type"}'])
def test_malformed_jsonl_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.jsonl").write_text('{"type":"header","cameras":["a"]}\n' + line + "\n")
    with pytest.raises(DataError, match=r"r\.jsonl:2: not a line of streamreid's results"):
        read_tables(tmp_path / "r.jsonl")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00\x01" * 10)
    with pytest.raises(DataError, match="not a text file"):
        read_mot(tmp_path / "a.txt")
    with pytest.raises(DataError, match="does not exist"):
        read_tables(tmp_path / "missing.txt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="has no results"):
        read_tables(tmp_path / "folder")
    pytest.importorskip("pyarrow")
    (tmp_path / "r.parquet").write_text("no")
    with pytest.raises(DataError, match="not a table of streamreid's results"):
        read_tables(tmp_path / "r.parquet")


def tables(*names: str) -> dict[str, Table]:
    return {name: Table.empty(name + ".txt") for name in names}


def test_truth_finds_its_camera_by_name() -> None:
    assert set(match_cameras(tables("gt_cam001", "gt_cam005_derived"), tables("cam001", "cam005"))) == {
        "cam001",
        "cam005",
    }
    assert set(match_cameras(tables("cam10_gt"), tables("cam1", "cam10"))) == {"cam10"}
    with pytest.raises(DataError, match="write CAMERA=FILE"):
        match_cameras(tables("left"), tables("cam1", "cam2"))
    with pytest.raises(DataError, match="two ground truths"):
        match_cameras(tables("gt_cam1", "cam1_old"), tables("cam1"))


def test_truth_can_be_given_a_name(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1,1,0,0,5,5\n")
    assert set(read_truth([f"door={tmp_path / 'x.txt'}"])) == {"door"}
    with pytest.raises(DataError, match="give each camera once"):
        read_truth([tmp_path / "x.txt", tmp_path / "x.txt"])


def test_length_of_a_sequence(tmp_path: Path) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "gt.txt").write_text("3,1,0,0,5,5\n")
    truth = read_mot(tmp_path / "gt" / "gt.txt")
    assert frames_of(truth) == (1, 3)
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nseqLength=40\n")
    assert frames_of(truth) == (1, 40)
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\n")
    with pytest.raises(DataError, match=r"seqinfo\.ini.*--frames"):
        frames_of(truth)
