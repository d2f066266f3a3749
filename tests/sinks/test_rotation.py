"""Results in pieces: orderly, nothing lost at the change, old ones deleted, gone on with after a restart."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from streamreid.config import OutputConfig, RotateConfig
from streamreid.errors import ConfigError, OutputError
from streamreid.evaluation.formats import read_tables
from streamreid.evaluation.report import read_clocks
from streamreid.pipeline.run_state import read_begin, state_of
from streamreid.replay.camera_passes import read_sightings
from streamreid.runs.result_folder import choose_folder, clear_results
from streamreid.sinks import Sink, open_sinks, rotation
from streamreid.sinks.rotation import RotatingSink
from streamreid.sinks.segments import Segment, list_segments, remove_segment, result_folders, size_of
from streamreid.types import Frame, FrameResult, IdentityEvent, Tracks

DAY = 86_400.0
MIDNIGHT = 20_000 * DAY


def result(camera: str, index: int, ids: list[int], who: list[int], time: float) -> FrameResult:
    n = len(ids)
    boxes = np.array([[10 * i, 20, 10 * i + 5, 60] for i in range(n)], np.float32).reshape(-1, 4)
    tracks = Tracks(np.array(ids, np.int64), boxes, np.full(n, 0.9, np.float32), np.arange(n))
    frame = Frame(camera, index, time, np.full((64, 48, 3), index % 250, np.uint8))
    return FrameResult(
        frame, tracks, np.array(who, np.int64), np.full(n, 0.75, np.float32), np.ones((n, 2), np.float32)
    )


class Run:
    """A run whose time is told it."""

    def __init__(
        self, folder: Path, now: float, rotate: object = "1d", *, steady: bool = False, **output: bool
    ) -> None:
        self.folder, self.now, self.passed = folder, now, 0.0
        self.believed: dict[tuple[str, int], tuple[int, float]] = {}
        settings = OutputConfig.model_validate({"rotate": rotate, **output})
        self.sink = RotatingSink(
            folder,
            settings.rotate,
            lambda path: self._open(settings, path),
            lambda: dict(self.believed),
            lambda: self.now,
            steady=(lambda: self.passed) if steady else None,
        )

    def _open(self, settings: OutputConfig, path: Path) -> list[Sink]:
        return open_sinks(settings, path, ["a"], live=True)

    def frame(self, index: int, ids: list[int], who: list[int], later: float = 0.1) -> bool:
        self.now += later
        self.passed += later
        self.sink.write(result("a", index, ids, who, self.now))
        self.believed |= {("a", i): (g, 0.9) for i, g in zip(ids, who, strict=True)}
        return self.sink.turn()

    def close(self) -> None:
        self.sink.close(self.believed)

    @property
    def numbers(self) -> list[int]:
        return [piece.number for piece in list_segments(self.folder)]


def items(path: Path, kind: str) -> list[dict[str, object]]:
    return [
        item for line in (path / "results.jsonl").read_text().splitlines() if (item := json.loads(line))["type"] == kind
    ]


def test_a_new_piece_at_midnight_and_nothing_is_lost(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    run = Run(tmp_path, MIDNIGHT - 0.45, parquet=True, video=True, mosaic=True)
    turned = [run.frame(i, [1, 2], [1, 2]) for i in range(10)]
    assert turned == [False] * 4 + [True] + [False] * 5
    run.close()
    first, second = result_folders(tmp_path)
    assert [first.name, second.name] == ["000001-20241003T235959Z", "000002-20241004T000000Z"]
    for folder, frames in ((first, range(5)), (second, range(5, 10))):
        assert [p["frame"] for p in items(folder, "person")] == [i for i in frames for _ in range(2)]
        assert [e["complete"] for e in items(folder, "end")] == [True]
        assert len((folder / "mot" / "global" / "a.txt").read_text().splitlines()) == 10
        assert sorted(set(pq.read_table(folder / "results.parquet")["frame"].to_pylist())) == list(frames)
        assert (folder / "videos" / "a.mp4").exists()
        assert (folder / "mosaic.mp4").exists()
        assert not list(folder.rglob("*.part*"))


def test_a_new_piece_when_one_is_large(tmp_path: Path) -> None:
    run = Run(tmp_path, MIDNIGHT, "20KB", mot=False)
    for i in range(400):
        run.sink.next_size = 0.0
        run.frame(i, [1], [1])
    run.close()
    sizes = [size_of(piece.path) for piece in list_segments(tmp_path)]
    assert len(sizes) > 3
    assert all(20_000 <= size < 24_000 for size in sizes[:-1])  # what is written at the end of a piece comes on top
    assert len(read_tables(tmp_path)["a"]) == 400


def test_who_came_in_the_last_moment_of_a_piece_is_known_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    run = Run(tmp_path, MIDNIGHT - 0.15, {"every": "1d", "keep": 0})
    run.sink.write(result("a", 0, [1], [0], run.now))
    run.now += 0.2
    assert run.sink.turn()
    run.believed["a", 1] = (5, 0.9)  # decided in the first moments of the next piece
    now = 104.0
    assert not run.frame(1, [1], [5])
    first = result_folders(tmp_path)[0]
    run.sink.worker.submit(int).result()
    assert not items(first, "end")
    assert run.numbers == [1, 2]  # not deleted before it is finished
    kept = tmp_path / "copy"
    now = 106.0
    run.sink.worker.submit(shutil.copytree, first, kept)
    monkeypatch.setattr(
        rotation,
        "remove_segment",
        lambda piece: (shutil.copytree(piece.path, kept, dirs_exist_ok=True), remove_segment(piece)),
    )
    run.frame(2, [1], [5])
    run.sink.worker.submit(int).result()
    assert (kept / "mot" / "global" / "a.txt").read_text().startswith("1,5,")
    assert len(items(kept, "end")) == 1
    assert run.numbers == [2]
    run.close()


def test_only_so_many_pieces_are_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, MIDNIGHT, {"every": "1d", "keep": 2})
    for i in range(6):
        run.frame(i, [i + 1], [i + 1], later=DAY)
    run.close()
    assert run.numbers == [5, 6, 7]
    assert [p["frame"] for folder in result_folders(tmp_path) for p in items(folder, "person")] == [4, 5]


def test_pieces_are_kept_for_so_long(tmp_path: Path) -> None:
    run = Run(tmp_path, MIDNIGHT, {"size": "1GB", "keep_hours": 1})
    for i in range(50):
        run.frame(i, [1], [1], later=600)
    run.close()
    # A piece may last an hour and stays for one after its end.
    seen = [p["time"] for folder in result_folders(tmp_path) for p in items(folder, "person")]
    assert run.now - 2 * 3600 - 600 <= min(seen) <= run.now - 3600
    assert run.numbers[0] > 1
    newest = run.numbers[-1]
    for path in (piece.path for piece in list_segments(tmp_path)):
        for file in path.rglob("*"):
            os.utime(file, (run.now, run.now))
    later = Run(tmp_path, run.now + 2 * DAY, {"size": "1GB", "keep_hours": 1})  # switched off over a weekend
    later.close()
    assert later.numbers == [newest + 1]


def test_a_clock_that_was_set_back_does_not_keep_old_pieces_for_ever(tmp_path: Path) -> None:
    run = Run(tmp_path, MIDNIGHT + 5000 * DAY, {"every": "1d", "keep_hours": 24})
    run.frame(0, [1], [1])
    run.now = MIDNIGHT
    assert run.frame(1, [1], [1])
    for i in range(2, 5):
        run.frame(i, [1], [1], later=DAY)
    run.close()
    assert 1 not in run.numbers
    assert run.numbers == sorted(run.numbers)


def test_a_clock_that_was_set_forward_deletes_no_pieces_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_LINGER", 0.0)
    monkeypatch.setattr(rotation, "_EXPIRE_SECONDS", 0.0)
    run = Run(tmp_path, MIDNIGHT, {"every": "1h", "keep_hours": 24}, steady=True)
    for i in range(4):
        run.frame(i, [1], [1], later=3600)
    run.sink.worker.submit(int).result()
    for piece in list_segments(tmp_path):
        for file in piece.path.rglob("*"):
            os.utime(file, (piece.start, piece.start))
    run.now += 9 * DAY
    run.frame(4, [1], [1])
    run.sink.worker.submit(int).result()
    run.now -= 9 * DAY
    run.frame(5, [1], [1], later=3600)
    run.close()
    assert [p["frame"] for folder in result_folders(tmp_path) for p in items(folder, "person")] == list(range(6))


def test_a_restart_goes_on_in_the_newest_piece_or_begins_the_next(tmp_path: Path) -> None:
    first = Run(tmp_path, MIDNIGHT)
    first.frame(0, [1], [1])
    first.close()
    again = Run(tmp_path, MIDNIGHT + 3600)
    again.frame(1, [1], [1])
    again.close()
    assert again.numbers == [1]
    assert [p["frame"] for p in items(result_folders(tmp_path)[0], "person")] == [0, 1]
    tomorrow = Run(tmp_path, MIDNIGHT + 2 * DAY)
    tomorrow.close()
    assert tomorrow.numbers == [1, 2]
    without = Run(tmp_path, MIDNIGHT + 9 * DAY, None)  # no longer asked for: goes on in the newest for ever
    without.frame(2, [1], [1], later=3 * DAY)
    without.close()
    assert without.numbers == [1, 2]


def test_what_was_there_before_becomes_the_first_piece(tmp_path: Path) -> None:
    plain = open_sinks(OutputConfig(), tmp_path, ["a"], live=True)
    for sink in plain:
        sink.write(result("a", 0, [1], [1], MIDNIGHT))
        sink.close({("a", 1): (1, 1.0)})
    (tmp_path / "state.json").write_text("{}")
    run = Run(tmp_path, MIDNIGHT + 60)
    run.frame(1, [1], [1])
    run.close()
    assert run.numbers == [0]
    assert len(items(result_folders(tmp_path)[0], "person")) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pieces", "state.json"]
    # Interrupted while it was gathered: the rest follows.
    (result_folders(tmp_path)[0] / "mot").rename(tmp_path / "mot")
    Run(tmp_path, MIDNIGHT + 61).close()
    assert (result_folders(tmp_path)[0] / "mot" / "a.txt").exists()


def test_films_and_deletions_that_were_interrupted_are_brought_to_an_end(tmp_path: Path) -> None:
    for number in (1, 2):
        (Segment.of(tmp_path, number, MIDNIGHT).path / "videos").mkdir(parents=True)
    old = result_folders(tmp_path)[0] / "videos"
    (old / "a.part.mp4").write_bytes(b"film")
    (old / "a.mp4").write_bytes(b"earlier film")
    (old / "a-2.final.mp4").write_bytes(b"half")
    (tmp_path / "pieces" / ".deleting-000000-20240101T000000Z").mkdir()
    Run(tmp_path, MIDNIGHT + 1).close()
    assert sorted(p.name for p in old.iterdir()) == ["a-2.mp4", "a.mp4"]
    assert (old / "a-2.mp4").read_bytes() == b"film"
    assert not list((tmp_path / "pieces").glob(".deleting*"))


def test_readers_take_the_pieces_together_and_the_last_word_counts(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    run = Run(tmp_path, MIDNIGHT - 0.25, parquet=True)
    for i in range(4):
        run.frame(i, [1], [7])
    run.believed["a", 1] = (3, 0.8)  # whom the second piece knows to be somebody else
    run.sink.event(IdentityEvent("merge", run.now, 3, other_id=7))
    run.close()
    table = read_tables(tmp_path)["a"]
    assert table.frames.tolist() == [1, 2, 3, 4]
    assert set(table.ids.tolist()) == {3}
    assert set(read_tables(tmp_path, ids="local")["a"].ids.tolist()) == {1}
    assert [frame for frame, _ in read_clocks(tmp_path)["a"]][-1] == 4
    (sighting,) = read_sightings(tmp_path)
    assert (sighting.person, sighting.end - sighting.start) == (3, pytest.approx(0.3))
    for folder in result_folders(tmp_path):
        (folder / "results.jsonl").unlink()
    believed = read_tables(tmp_path)["a"]  # of MOT text, as it was believed at the end of each piece
    assert believed.frames.tolist() == [1, 2, 3, 4]
    assert set(believed.ids.tolist()) == {3}
    for path in [*tmp_path.rglob("*.txt")]:
        path.unlink()
    for path in [*tmp_path.rglob("mot/global"), *tmp_path.rglob("mot")]:
        path.rmdir()
    assert read_tables(tmp_path, ids="local")["a"].frames.tolist() == [1, 2, 3, 4]
    assert [frame for frame, _ in read_clocks(tmp_path)["a"]][-1] == 4


def test_numbers_go_on_over_pieces_whatever_is_left_of_them(tmp_path: Path) -> None:
    run = Run(tmp_path, MIDNIGHT - 0.15)
    for i in range(5):
        run.frame(i, [10 + i], [20 + i])
    run.close()
    first, _ = result_folders(tmp_path)
    begin = read_begin(tmp_path)
    assert begin is not None
    assert (begin.tracks["a"], begin.frames["a"], begin.global_id) == (15, 5, 25)
    # The state was saved at the end of the first piece; the second began after that.
    state = state_of(begin, size=(first / "results.jsonl").stat().st_size, ended=False, segment=first.name)
    (tmp_path / "state.json").write_text(json.dumps(state | {"global_id": 22, "tracks": {"a": 12}, "frames": {"a": 2}}))
    again = read_begin(tmp_path)
    assert again is not None
    assert (again.tracks["a"], again.frames["a"], again.global_id) == (15, 5, 25)
    # The piece it speaks of was deleted meanwhile.
    (tmp_path / "state.json").write_text(
        json.dumps(state | {"piece": "000000-20200101T000000Z", "results_bytes": 10**9})
    )
    found = read_begin(tmp_path)
    assert found is not None
    assert found.frames["a"] == 5


def test_folders_with_pieces_are_used_and_can_be_cleared(tmp_path: Path) -> None:
    Run(tmp_path, MIDNIGHT).close()
    with pytest.raises(ConfigError, match="already holds results"):
        choose_folder(tmp_path, "x")
    clear_results(tmp_path)
    assert choose_folder(tmp_path, "x") == tmp_path
    assert not (tmp_path / "pieces").exists()


def test_neither_a_piece_that_cannot_be_opened_nor_one_that_cannot_be_finished_ends_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def close(self, identities: object) -> None:
            raise OutputError("disk full")

        def abort(self) -> None: ...

        def write(self, result: FrameResult) -> None: ...

    run = Run(tmp_path, MIDNIGHT)
    run.sink.sinks.sinks.append(Broken())  # type: ignore[arg-type]
    run.frame(0, [1], [1], later=DAY)
    run.frame(1, [1], [1])
    (tmp_path / "pieces" / Segment.of(tmp_path, 3, run.now + DAY).path.name).write_text("in the way")
    run.frame(2, [1], [1], later=DAY)
    assert "a new segment of the results cannot be begun, the old one goes on: cannot write" in caplog.text
    run.sink.abort()
    assert "output 'Broken' is given up, everything else goes on: disk full" in caplog.text
    assert [len(items(folder, "end")) for folder in result_folders(tmp_path)[:2]] == [1, 1]


@pytest.mark.parametrize(
    ("text", "every", "size"),
    [
        ("1d", DAY, None),
        ("90 s", 90, None),
        ("1GB", None, 10**9),
        ("2mib", None, 2**21),
        ("6h, 500MB", 21_600, 500_000_000),
    ],
)
def test_when_to_rotate_in_short(text: str, every: float | None, size: int | None) -> None:
    found = OutputConfig.model_validate({"rotate": text}).rotate
    assert found == RotateConfig(every=every, size=size)


@pytest.mark.parametrize(
    "wrong", ["1 fortnight", "500M", "", {"keep": 3}, {"every": "0s"}, {"size": "1B"}, {"every": "1d", "keep": -1}]
)
def test_wrong_rotations_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="rotate"):
        OutputConfig.model_validate({"rotate": wrong})
