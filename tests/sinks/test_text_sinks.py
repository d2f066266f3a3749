from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamreid.config import OutputConfig
from streamreid.errors import MissingExtraError, OutputError
from streamreid.evaluation.world import read_positions
from streamreid.sinks import FinalIdentities, JsonlSink, MotSink, ParquetSink, WorldSink, open_sinks
from streamreid.sinks.base import LineFile, atomic_text
from streamreid.sinks.jsonl import group_identities
from streamreid.sinks.parquet_parts import PartFolder
from streamreid.types import Frame, FrameResult, IdentityEvent, Tracks


def result(camera: str, index: int, ids: list[int], global_ids: list[int], time: float | None = None) -> FrameResult:
    n = len(ids)
    boxes = np.array([[10 * i, 20, 10 * i + 5.25, 60.5] for i in range(n)], np.float32).reshape(-1, 4)
    tracks = Tracks(np.array(ids, np.int64), boxes, np.full(n, 0.876, np.float32), np.arange(n))
    frame = Frame(camera, index, index / 10 if time is None else time, np.zeros((64, 48, 3), np.uint8))
    return FrameResult(
        frame, tracks, np.array(global_ids, np.int64), np.full(n, 0.75, np.float32), np.ones((n, 3), np.float32)
    )


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_mot_text_has_one_based_frames_and_both_kinds_of_ids(tmp_path: Path) -> None:
    sink = MotSink(tmp_path)
    sink.write(result("a", 0, [1, 2], [0, 7]))
    sink.write(result("a", 4, [2], [7]))
    assert lines(tmp_path / "a.txt") == [
        "1,1,0.00,20.00,5.25,40.50,0.88,-1,-1,-1",
        "1,2,10.00,20.00,5.25,40.50,0.88,-1,-1,-1",
        "5,2,0.00,20.00,5.25,40.50,0.88,-1,-1,-1",
    ]
    assert [line.split(",")[:2] for line in lines(tmp_path / "global" / "a.txt")] == [["1", "7"], ["5", "7"]]
    sink.close({("a", 1): (3, 1.0), ("a", 2): (9, 0.8)})
    assert [line.split(",")[:2] for line in lines(tmp_path / "global" / "a.txt")] == [
        ["1", "3"],
        ["1", "9"],
        ["5", "9"],
    ]
    assert [line.split(",", 2)[2] for line in lines(tmp_path / "global" / "a.txt")] == [
        line.split(",", 2)[2] for line in lines(tmp_path / "a.txt")
    ]
    assert sink.without_identity == 0
    assert not list(tmp_path.rglob("*.part"))


def test_mot_has_one_box_of_a_person_in_a_frame(tmp_path: Path) -> None:
    both = result("a", 3, [1, 2, 4], [7, 9, 0])
    both.tracks.scores[:] = [0.0, 0.5, 0.9]  # track 1 is carried on while track 4 begins
    with MotSink(tmp_path) as sink:
        sink.write(result("a", 2, [1, 2], [7, 9]))
        sink.write(both)
        sink.write(result("a", 4, [4], [0]))
        sink.close({("a", 1): (7, 1.0), ("a", 2): (9, 1.0), ("a", 4): (7, 1.0)})
    seen = [line.split(",") for line in lines(tmp_path / "global" / "a.txt")]
    assert [(row[0], row[1], row[6]) for row in seen] == [
        ("3", "7", "0.88"),
        ("3", "9", "0.88"),
        ("4", "7", "0.90"),
        ("4", "9", "0.50"),
        ("5", "7", "0.88"),
    ]


def test_mot_and_parquet_say_where_people_stand(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    placed = replace(result("a", 0, [1, 2], [0, 7]), world=np.array([[1.25, -3], [np.nan, np.nan]], np.float32))
    with MotSink(tmp_path / "mot") as text, ParquetSink(tmp_path / "r.parquet") as table:
        for sink in (text, table):
            sink.write(placed)
            sink.write(result("b", 0, [1], [7]))  # not calibrated
            sink.close({("a", 1): (3, 1.0), ("a", 2): (7, 1.0), ("b", 1): (7, 1.0)})
    for folder in ("mot", "mot/global"):
        assert [line.split(",", 7)[7] for line in lines(tmp_path / folder / "a.txt")] == ["1.250,-3.000,0", "-1,-1,-1"]
        assert [line.split(",", 7)[7] for line in lines(tmp_path / folder / "b.txt")] == ["-1,-1,-1"]
    rows = pq.read_table(tmp_path / "r.parquet").to_pydict()
    assert (rows["world_x"], rows["world_y"]) == ([1.25, None, None], [-3.0, None, None])
    found = read_positions(tmp_path / "mot" / "global" / "a.txt")
    assert (found.ids.tolist(), found.points.tolist()) == ([3], [[1.25, -3.0]])


def test_parts_of_an_earlier_version_are_joined(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    folder = PartFolder(tmp_path / "t.parquet", pa)
    for n in range(60):
        folder.add(pa.table({"frame": [n]} if n < 30 else {"frame": [n], "world_x": [0.5]}))
    folder.merge()
    assert len(folder.files()) == 1
    assert pq.read_table(folder.files()[0])["world_x"].to_pylist() == [None] * 30 + [0.5] * 30


def test_mot_counts_lines_without_final_identity(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = MotSink(tmp_path)
    sink.write(result("a", 0, [1, 2], [5, 6]))
    sink.close({("a", 1): (5, 1.0), ("b", 2): (6, 1.0)})
    sink.close({})  # a second close changes nothing
    assert [line.split(",")[1] for line in lines(tmp_path / "global" / "a.txt")] == ["5"]
    assert sink.without_identity == 1
    assert "1 lines have no final identity" in caplog.text


def test_mot_makes_empty_files_for_cameras_in_which_nobody_was(tmp_path: Path) -> None:
    sink = MotSink(tmp_path, ["a", "b"])
    sink.write(result("a", 0, [], []))
    sink.close({})
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.txt")) == [
        "a.txt",
        "b.txt",
        "global/a.txt",
        "global/b.txt",
    ]
    assert all(not p.read_text() for p in tmp_path.rglob("*.txt"))


def test_leaving_the_block_without_close_keeps_what_was_known(tmp_path: Path) -> None:
    with MotSink(tmp_path) as sink:
        sink.write(result("a", 0, [1], [5]))
    assert [line.split(",")[1] for line in lines(tmp_path / "global" / "a.txt")] == ["5"]


def test_ways_on_the_ground_as_they_happen(tmp_path: Path) -> None:
    now = 0.0
    sink = WorldSink(tmp_path / "world.txt", clock=lambda: now)

    def see(camera: str, time: float, who: list[int], places: list[tuple[float, float]] | None) -> None:
        seen = result(camera, 0, list(range(1, len(who) + 1)), who, time)
        sink.write(replace(seen, world=None if places is None else np.array(places, np.float32)))

    see("a", 1_000_000.0, [1, 0, 2], [(1, 2), (5, 5), (np.nan, 0)])  # nobody without an id or a place
    see("b", 1_000_000.02, [1], [(3, 2)])
    see("c", 1_000_000.0, [9], None)  # not calibrated
    assert not (tmp_path / "world.txt").read_text()
    now = 1.0
    see("b", 1_000_001.0, [1], [(4, 2)])
    assert lines(tmp_path / "world.txt") == ["10000001,1,-1,-1,-1,-1,1,2.000,2.000,0"]
    see("late", 1_000_000.0, [1, 4], [(9, 9), (7, 7)])  # its clock is behind: nobody is placed twice
    sink.close({})
    sink.close({})
    assert [line.split(",")[:2] for line in lines(tmp_path / "world.txt")[1:]] == [["10000001", "4"], ["10000011", "1"]]
    with open(tmp_path / "world.txt", "a") as file:
        file.write("10000012,1,-1,-")  # killed
    sink = WorldSink(tmp_path / "world.txt", clock=lambda: now)
    see("a", 1_000_002.0, [1], [(5, 2)])
    sink.abort()
    found = read_positions(tmp_path / "world.txt")
    assert found.frames.tolist() == [10000001, 10000001, 10000011, 10000021]
    assert found.points[-1].tolist() == [5, 2]


def test_jsonl_follows_its_schema(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    sink = JsonlSink(path, ["a", "b"])
    sink.write(result("a", 3, [1, 2], [0, 7], time=1700000000.1234567))
    sink.write(result("b", 0, [], []))
    sink.event(IdentityEvent("link", 0.3, 7, "a", 2, 0.75, 0))
    sink.event(IdentityEvent("merge", 0.4, 7, other_id=8, reasons={"looks": 2.34567, "part torso": 0.8}))
    sink.close({("a", 1): (4, 1.0), ("a", 2): (7, 0.75), ("b", 9): (7, 0.5)})
    found = [json.loads(line) for line in lines(path)]
    assert [item["type"] for item in found] == [
        "header",
        "person",
        "person",
        "event",
        "event",
        "identity",
        "identity",
        "end",
    ]
    header, one, two, link, merge, first, second, end = found
    assert (header["schema"], header["cameras"], set(header["clocks"])) == (
        1,
        ["a", "b"],
        {"pts", "rtcp", "arrival", "rate"},
    )
    assert one == {
        **{
            "type": "person",
            "camera": "a",
            "frame": 3,
            "time": 1700000000.123457,
            "clock": "pts",
            "box": [0.0, 20.0, 5.25, 40.5],
            "score": 0.876,
        },
        **{"track_id": 1, "global_id": None, "link_probability": None, "visibility": [1.0, 1.0, 1.0]},
    }
    assert (two["global_id"], two["link_probability"]) == (7, 0.75)
    assert link == {
        "type": "event",
        "kind": "link",
        "time": 0.3,
        "global_id": 7,
        "camera": "a",
        "track_id": 2,
        "probability": 0.75,
        "other_id": None,
    }
    assert (merge["camera"], merge["track_id"], merge["other_id"]) == (None, None, 8)
    assert merge["reasons"] == {"looks": 2.3457, "part torso": 0.8}
    assert first == {"type": "identity", "global_id": 4, "members": [["a", 1]], "probability": 1.0, "confirmed": False}
    assert second == {
        "type": "identity",
        "global_id": 7,
        "members": [["a", 2], ["b", 9]],
        "probability": 0.5,
        "confirmed": False,
    }
    assert end["complete"] is True
    assert end["frames"] == {"a": 1, "b": 1}
    assert (end["people"], end["events"], end["tracks"], end["identities"]) == (2, 2, 3, 2)


def test_jsonl_of_a_failed_run_says_so(tmp_path: Path) -> None:
    with JsonlSink(tmp_path / "r.jsonl") as sink:
        sink.write(result("a", 0, [1], [5]))
    end = json.loads(lines(tmp_path / "r.jsonl")[-1])
    assert (end["type"], end["complete"], end["people"]) == ("end", False, 1)


def test_identities_are_grouped_with_their_least_probability() -> None:
    grouped = group_identities({("b", 1): (2, 0.9), ("a", 5): (2, 0.6), ("a", 1): (1, 1.0)})
    assert grouped == [(1, [("a", 1)], 1.0), (2, [("a", 5), ("b", 1)], 0.6)]


def rows_of(folder: Path) -> int:
    pq = pytest.importorskip("pyarrow.parquet")
    while True:
        try:
            return sum(pq.read_metadata(p).num_rows for p in folder.glob("part-*.parquet"))
        except FileNotFoundError:  # parts were just joined to one
            time.sleep(0.001)


def test_parquet_is_merged_with_final_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("streamreid.sinks.parquet._ROWS", 3)
    sink = ParquetSink(tmp_path / "r.parquet")
    for index in range(4):
        sink.write(result("a", index, [1, 2], [0, 7]))
    # What came a second ago can be read while the run goes on.
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and rows_of(tmp_path / "r.parquet.parts") < 8:
        time.sleep(0.05)
    assert pq.read_table(tmp_path / "r.parquet.parts").num_rows == 8
    sink.write(result("b", 0, [2], [5]))
    sink.close({("a", 1): (3, 1.0), ("a", 2): (7, 1.0)})
    assert not (tmp_path / "r.parquet.parts").exists()
    table = pq.read_table(tmp_path / "r.parquet").to_pydict()
    assert table["camera"] == ["a"] * 8 + ["b"]
    assert table["global_id"] == [None, 7] * 4 + [5]
    assert table["link_probability"] == [None, 0.75] * 4 + [0.75]
    assert table["final_global_id"] == [3, 7] * 4 + [None]
    assert table["visibility"][0] == [1.0, 1.0, 1.0]
    assert (table["frame"][2], table["left"][1], table["width"][1]) == (1, 10.0, 5.25)


def test_parquet_without_close_leaves_readable_parts(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    with ParquetSink(tmp_path / "r.parquet") as sink:
        sink.write(result("a", 0, [1], [5]))
    assert pq.read_table(tmp_path / "r.parquet.parts")["final_global_id"].to_pylist() == [None]


def test_parquet_of_an_empty_run_is_an_empty_table(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    sink = ParquetSink(tmp_path / "r.parquet")
    sink.close({})
    assert pq.read_table(tmp_path / "r.parquet").num_rows == 0


def test_parquet_names_the_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'streamreid\[parquet\]'"):
        ParquetSink(tmp_path / "r.parquet")


def test_open_sinks_follows_the_configuration(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    sinks = open_sinks(OutputConfig(mot=True, jsonl=True, parquet=True, video=True, mosaic=True), tmp_path, ["a"])
    assert [type(s).__name__ for s in sinks] == ["MotSink", "JsonlSink", "ParquetSink", "VideoSink", "MosaicSink"]
    for sink in sinks:
        sink.close({})
    again = open_sinks(OutputConfig(mot=False, jsonl=False, mosaic=True), tmp_path / "second", ["a"], films=False)
    assert [type(s).__name__ for s in again] == ["MotSink"], "films of recordings are drawn from the MOT text"
    again[0].abort()


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match=r"cannot write '.*taken"):
        open_sinks(OutputConfig(), tmp_path / "taken", ["a"])
    with pytest.raises(OutputError, match="choose another folder"), atomic_text(tmp_path / "taken" / "x"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_output_error() -> None:
    file = LineFile(Path("/dev/full"))
    with pytest.raises(OutputError, match="No space left on device"):
        file.write("line\n")


@pytest.mark.skipif(not hasattr(os, "RLIMIT_FSIZE") and sys.platform != "linux", reason="needs a limit on file size")
def test_a_write_that_fails_half_way_is_taken_back(tmp_path: Path) -> None:
    code = f"""
        import resource, signal
        from pathlib import Path
        from streamreid.errors import OutputError
        from streamreid.sinks.base import LineFile
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        file = LineFile(Path({str(tmp_path / "x.txt")!r}))
        try:
            while True:
                file.write("0123456789" * 7 + "\\n")
        except OutputError:
            print("refused")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    text = (tmp_path / "x.txt").read_text()
    assert len(text) == 14 * 71
    assert text.endswith("\n")


def test_a_killed_process_leaves_complete_lines(tmp_path: Path) -> None:
    code = f"""
        import sys, time
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        from test_text_sinks import result
        from streamreid.sinks import JsonlSink, MotSink
        sinks = [MotSink({str(tmp_path)!r}), JsonlSink({str(tmp_path / "r.jsonl")!r})]
        for index in range(50):
            for sink in sinks:
                sink.write(result("a", index, [1, 2], [5, 6]))
        print("ready", flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    assert len(lines(tmp_path / "a.txt")) == 100
    assert len(lines(tmp_path / "global" / "a.txt")) == 100
    assert len([json.loads(line) for line in lines(tmp_path / "r.jsonl")]) == 101


def test_a_folder_of_parts_stays_a_folder_of_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("streamreid.sinks.parquet_parts._MANY", 4)
    folder = PartFolder(tmp_path / "parts", pa)
    for number in range(23):
        folder.add(pa.table({"n": [number]}))
        folder.merge()
    assert [p.name[5:26] for p in folder.files()] == [
        "0000000000-0000000015",
        "0000000016-0000000019",
        *(f"{n:010d}-{n:010d}" for n in (20, 21, 22)),
    ]
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == [p.name for p in folder.files()]
    # Killed after a merged part was written and before what is in it was removed.
    (tmp_path / "parts" / "part-0000000003-0000000003.parquet").write_bytes(folder.files()[-1].read_bytes())
    (tmp_path / "parts" / ".part-0000000023-0000000023.parquet.part").write_bytes(b"half")
    again = PartFolder(tmp_path / "parts", pa)
    again.add(pa.table({"n": [23]}))
    assert sorted(pq.read_table(tmp_path / "parts")["n"].to_pylist()) == list(range(24))


def test_a_live_run_started_again_adds_to_every_file(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    output = OutputConfig(mot=True, jsonl=True, parquet=True)
    for run in range(2):
        sinks = open_sinks(output, tmp_path, ["a"], live=True)
        for sink in sinks:
            sink.write(result("a", run, [run + 1], [run + 5]))
        for sink in sinks:
            sink.close({("a", run + 1): (run + 15, 1.0)})
        if run == 0:
            with open(tmp_path / "results.jsonl", "a") as killed:
                killed.write('{"type":"person","came')
    kinds = [json.loads(line)["type"] for line in lines(tmp_path / "results.jsonl")]
    assert kinds.count("header") == 2
    assert kinds.count("person") == 2
    assert [line.split(",")[:2] for line in lines(tmp_path / "mot" / "a.txt")] == [["1", "1"], ["2", "2"]]
    assert [line.split(",")[:2] for line in lines(tmp_path / "mot" / "global" / "a.txt")] == [["1", "15"], ["2", "16"]]
    assert pq.read_table(tmp_path / "results.parquet")["track_id"].to_pylist() == [1, 2]


def test_settled_tracks_keep_the_identity_they_were_written_with(tmp_path: Path) -> None:
    for sink in (MotSink(tmp_path / "mot", ["a"]), JsonlSink(tmp_path / "r.jsonl", ["a"])):
        sink.write(result("a", 0, [1, 2], [0, 7]))
        sink.write(result("a", 1, [1, 2], [5, 7]))
        sink.finalize_tracks({("a", 2): (7, 0.9)})
        sink.close({("a", 1): (5, 1.0)})
    assert [line.split(",")[:2] for line in lines(tmp_path / "mot" / "global" / "a.txt")] == [
        ["1", "5"],
        ["1", "7"],
        ["2", "5"],
        ["2", "7"],
    ]
    identities = [json.loads(line) for line in lines(tmp_path / "r.jsonl") if '"identity"' in line]
    assert [(i["global_id"], i["members"]) for i in identities] == [(7, [["a", 2]]), (5, [["a", 1]])]
    assert json.loads(lines(tmp_path / "r.jsonl")[-1])["identities"] == 2


def test_json_lines_of_a_camera_with_an_awkward_name_stay_one_per_person(tmp_path: Path) -> None:
    name = 'yard"},{"type":"x\n},{'
    with JsonlSink(tmp_path / "results.jsonl") as sink:
        sink.write(result(name, 0, [1, 2, 3], [4, 0, 5]))
        sink.close({})
    people = [json.loads(line) for line in lines(tmp_path / "results.jsonl")][1:4]
    assert [p["camera"] for p in people] == [name] * 3
    assert [p["track_id"] for p in people] == [1, 2, 3]
    assert [p["global_id"] for p in people] == [4, None, 5]


def test_a_live_table_says_who_it_was_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    believed: dict[tuple[str, int], tuple[int, float]] = {}
    monkeypatch.setattr("streamreid.sinks.parquet._SECONDS", 0.01)
    monkeypatch.setattr("streamreid.sinks.parquet_parts._MANY", 3)
    path = tmp_path / "r.parquet"
    sink = ParquetSink(path, append=True, believed=lambda: believed)  # type: ignore[arg-type, return-value]
    for number in range(4):
        sink.write(result("a", number, [1, 2], [0, 5]))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not path.exists() or rows_of(path) < 2 * (number + 1)):
            time.sleep(0.01)
    rows = pq.read_table(path).to_pydict()
    assert set(zip(rows["track_id"], rows["final_global_id"], strict=True)) == {(1, None), (2, 5)}
    believed.update({("a", 1): (3, 1.0), ("a", 2): (4, 1.0)})
    sink.write(result("a", 4, [1, 2], [3, 4]))
    sink.close(FinalIdentities({("a", 1): (3, 1.0), ("a", 2): (3, 1.0)}))
    rows = pq.read_table(path).to_pydict()
    assert rows["final_global_id"] == [3] * 10
    assert rows["global_id"] == [None, 5] * 4 + [3, 4]
    again = ParquetSink(path, append=True)  # a later run, whose tracks have other ids
    again.write(result("a", 9, [7], [8]))
    again.close(FinalIdentities({("a", 7): (9, 1.0)}))
    assert pq.read_table(path)["final_global_id"].to_pylist() == [3] * 10 + [9]


def test_blocks_hold_the_bytes_that_frames_one_by_one_do(tmp_path: Path) -> None:
    """Also with names, places, nobody, events in between and cameras in turns."""
    rng = np.random.default_rng(3)
    results = []
    for index in range(60):
        count = index % 4
        tracks = Tracks(
            np.arange(1, count + 1),
            rng.uniform(0, 900, (count, 4)).astype(np.float32),
            rng.uniform(0, 1, count).astype(np.float32),
            np.arange(count),
        )
        world = rng.normal(0, 30, (count, 2)).astype(np.float32)
        world[:1] = np.nan
        results.append(
            FrameResult(
                Frame("ab"[index % 2], index, index / 7, np.zeros((4, 4, 3), np.uint8)),
                tracks,
                rng.integers(0, 3, count),
                rng.uniform(0, 1, count).astype(np.float32),
                rng.uniform(0, 1, (count, 2)).astype(np.float32),
                world if index % 3 else None,
                names={2: 'Anna},{"type":"person",'},
            )
        )
    for name, seconds in (("single", 0.0), ("blocks", 1e9)):
        sinks = [
            JsonlSink(tmp_path / name / "results.jsonl", ["a"], block_seconds=seconds),
            MotSink(tmp_path / name, ["a"], block_seconds=seconds),
        ]
        for index, frame in enumerate(results):
            for sink in sinks:
                sink.write(frame)
                if index % 25 == 24:
                    sink.event(IdentityEvent("new", index / 7, 1, "a", 1))
        for sink in sinks:
            sink.close(FinalIdentities({("a", 1): (2, 0.5), ("b", 1): (1, 1.0)}))
    single, blocks = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("single", "blocks")
    )
    assert len(single) == 5
    assert single == blocks


def test_a_run_that_fails_loses_no_block(tmp_path: Path) -> None:
    sinks = [JsonlSink(tmp_path / "r.jsonl", block_seconds=1e9), MotSink(tmp_path / "mot", block_seconds=1e9)]
    for index in range(3):
        for sink in sinks:
            sink.write(result("a", index, [1], [1]))
    for sink in sinks:
        sink.abort()
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["header", "person", "person", "person", "end"]
    assert len((tmp_path / "mot" / "a.txt").read_text().splitlines()) == 3


def test_people_are_written_though_nobody_comes_after_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block ends with its time, also where the picture stays empty from then on."""
    now = 0.0
    monkeypatch.setattr("streamreid.sinks.result_block.time.monotonic", lambda: now)
    sinks = [JsonlSink(tmp_path / "r.jsonl", block_seconds=0.25), MotSink(tmp_path / "mot", block_seconds=0.25)]

    def write(index: int, ids: list[int]) -> tuple[int, int]:
        for sink in sinks:
            sink.write(result("a", index, ids, ids))
        people = (tmp_path / "r.jsonl").read_text().count('"type":"person"')
        return people, (tmp_path / "mot" / "a.txt").read_text().count("\n")

    assert write(0, [1]) == (1, 1)  # the first one at once
    now = 0.1
    assert write(1, [1]) == (1, 1)
    assert write(2, []) == (1, 1)
    now = 0.3
    assert write(3, []) == (2, 2)
    for sink in sinks:
        sink.close(FinalIdentities({("a", 1): (1, 1.0)}))
