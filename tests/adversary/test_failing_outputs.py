"""An output that cannot be written is given up with its reason; the run goes on while one is left."""

import errno
import json
import os
import re
import resource
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.errors import OutputError
from streamreid.runs import run
from streamreid.sinks import JsonlSink, MotSink, RotatingSink, SinkGroup, group
from streamreid.sinks.base import LineFile
from streamreid.sinks.video_encoder import VideoWriter


def _full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _live(config):
    cameras = tuple(c.model_copy(update={"live": True}) for c in config.cameras)
    return config.model_copy(update={"cameras": cameras})


@pytest.fixture
def full_for(monkeypatch):
    """Text files of a kind that can be written no more after some writes."""

    def start(*words, after=3):
        count = {"n": 0}
        write = LineFile.write

        def limited(self, lines):
            if any(word in str(self.path) for word in words):
                count["n"] += 1
                if count["n"] > after:
                    raise OutputError(f"cannot write '{self.path}': No space left on device")
            write(self, lines)

        monkeypatch.setattr(LineFile, "write", limited)

    return start


def test_the_run_goes_on_without_an_output(scene, tmp_path, full_for, caplog):
    full_for("results.jsonl")
    config = scene.config(scene.camera("a", [0, 1]))
    with Pipeline(config) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.frames == 40
    assert list(summary.outputs_failed) == ["jsonl"]
    assert "No space left" in summary.outputs_failed["jsonl"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["outputs_failed"] == summary.outputs_failed
    assert len({line.split(",")[0] for line in (tmp_path / "out" / "mot" / "a.txt").read_text().splitlines()}) >= 38
    assert [r.message for r in caplog.records if "given up" in r.message] != []
    lines = (tmp_path / "out" / "results.jsonl").read_text()
    assert lines.endswith("\n")  # what was written stays readable


def test_the_command_line_says_it_and_its_exit_code_too(call, scene, tmp_path, full_for):
    full_for("results.jsonl")
    video = scene.camera("a", [0])
    code, out, _ = call("run", video, "--detector", f"mot:{scene.boxes}", "--engine", "none", "-o", tmp_path / "out")
    assert code == 2
    assert "output 'jsonl' given up: cannot write" in out


def test_a_run_that_can_write_nothing_stops(scene, tmp_path, full_for):
    full_for("results.jsonl", "mot")
    with (
        Pipeline(scene.config(scene.camera("a", [0, 1]))) as pipeline,
        pytest.raises(OutputError, match="no result can be written any more"),
    ):
        run(pipeline, tmp_path / "out")


@pytest.mark.parametrize("live", [True, False])
def test_films_on_a_full_disk(scene, tmp_path, monkeypatch, live):
    monkeypatch.setattr(VideoWriter, "_open", _full)
    config = scene.config(scene.camera("a", [0]), output={"mosaic": True, "video": True})
    with Pipeline(_live(config) if live else config) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert set(summary.outputs_failed) == ({"video", "mosaic"} if live else {"mosaic"})
    assert summary.frames > 20
    assert (tmp_path / "out" / "results.jsonl").read_text().splitlines()[-1].startswith('{"type":"end","complete":true')


def test_no_film_is_drawn_from_half_a_table(scene, tmp_path, full_for):
    """Where blur is wanted, people who are not in it would be shown."""
    full_for("mot", after=1)
    config = scene.config(scene.camera("a", [0]), output={"mosaic": True, "blur": "people"})
    with Pipeline(config) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert set(summary.outputs_failed) == {"mot", "mosaic"}
    assert not (tmp_path / "out" / "mosaic.mp4").exists()


def test_parquet_and_cache_on_a_full_disk(scene, tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    config = scene.config(scene.camera("a", [0]), output={"parquet": True})
    with Pipeline(config, cache=tmp_path / "cache") as pipeline:
        monkeypatch.setattr(pq, "write_table", _full)
        summary = run(pipeline, tmp_path / "out")
    assert {"parquet", "cache"} <= set(summary.outputs_failed)
    assert summary.frames == 40


@pytest.mark.parametrize("error", [ValueError("bug"), OutputError("full"), KeyError("x")])
def test_a_group_drops_who_fails_and_never_a_listener_alone(error):
    class Broken:
        output = "broken"

        def __init__(self):
            self.calls = 0

        def write(self, result):
            self.calls += 1
            raise error

        event = finalize_tracks = close = write

        def abort(self):
            raise error

    class Counting(Broken):
        output = "counting"

        def write(self, result):
            self.calls += 1

        event = finalize_tracks = close = write

    broken, counting = Broken(), Counting()
    group = SinkGroup([broken, counting])
    for _ in range(3):
        group.write(None)
    assert (broken.calls, counting.calls) == (1, 3)
    assert list(group.failures) == ["broken"]
    with pytest.raises(OutputError, match="broken"):
        SinkGroup([Broken()]).event(None)
    listeners = SinkGroup([Broken()], required=False)
    listeners.write(None)
    listeners.close({})
    assert list(listeners.failures) == ["broken"]


def test_a_new_piece_takes_a_failed_output_up_again(tmp_path, full_for):
    from streamreid.config import RotateConfig

    now = [1_700_000_000.0]
    failures: dict[str, str] = {}
    refuse = [False]

    def sinks(folder):
        if refuse[0]:
            raise OutputError("no space for a new piece")
        return [MotSink(folder / "mot", ["a"], append=True), JsonlSink(folder / "results.jsonl", ["a"], append=True)]

    rotating = RotatingSink(tmp_path, RotateConfig(every=60), sinks, dict, lambda: now[0], failures=failures)
    full_for("results.jsonl", after=0)
    from streamreid.types import IdentityEvent

    rotating.event(IdentityEvent("new", 0.0, 1, "a", 1))
    assert list(failures) == ["jsonl"]
    refuse[0] = True
    now[0] += 61
    assert not rotating.turn()  # goes on in the old piece
    assert set(failures) == {"jsonl", "pieces"}
    refuse[0] = False
    full_for("nothing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LineFile, "write", lambda self, lines: None)
        assert rotating.turn()
    assert failures == {}
    rotating.abort()


def test_state_that_cannot_be_kept_is_said_once_and_tried_again(scene, tmp_path, monkeypatch, caplog):
    from streamreid.runs import result_writer as recording

    write, written, refused = recording.write_json, [], []

    def refusing(path, data):
        written.append(path)
        if 2 <= len(written) <= 3:  # the first is there before any result: a run that cannot write it does not begin
            refused.append(path)
            raise OutputError("no space")
        write(path, data)

    monkeypatch.setattr(recording, "write_json", refusing)
    with Pipeline(_live(scene.config(scene.camera("a", [0], frames=30)))) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert len(refused) == 2
    assert summary.outputs_failed == {}
    assert json.loads((tmp_path / "out" / "state.json").read_text())["ended"]
    assert sum("next run would go on" in r.message for r in caplog.records) == 1


@pytest.mark.wall_time
@pytest.mark.parametrize("pieces", [False, True])
def test_a_live_run_on_a_full_disk_goes_on_and_writes_again_when_there_is_space(
    scene, tmp_path, monkeypatch, caplog, pieces
):
    """Nothing at all can be written for a while: no camera waits, nothing written is lost, no number is given twice."""
    monkeypatch.setattr(group, "RETRY_SECONDS", 0.3)
    write, calls, full = LineFile.write, Counter(), []

    def limited(self, lines):
        calls[self.path.name] += 1
        if sum(calls.values()) > 5:
            full.append(time.monotonic())
            if full[-1] < full[0] + 1.5:
                raise OutputError(f"cannot write '{self.path}': No space left on device")
        write(self, lines)

    monkeypatch.setattr(LineFile, "write", limited)
    output = {"rotate": {"every": "1d"}} if pieces else {}
    config = _live(scene.config(scene.camera("a", [0, 1], frames=40), output=output))
    with Pipeline(config) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.frames > 30
    assert summary.outputs_failed == {}
    folder = next((tmp_path / "out" / "pieces").iterdir()) if pieces else tmp_path / "out"
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [line.get("resumed", False) for line in lines if line["type"] == "header"] == [False, True]
    assert lines[-1]["type"] == "end"
    assert lines[-1]["complete"]
    frames = [line["frame"] for line in lines if line["type"] == "person"]
    assert frames == sorted(frames)
    assert max(np.diff([-1, *frames])) > 5  # the gap; on a busy machine it is at the beginning
    assert "is written again" in caplog.text


@pytest.mark.parametrize("opens", [False, True])
def test_a_live_run_that_can_write_nothing_for_long_stops(monkeypatch, caplog, opens):
    """Whether files can be opened or not."""
    now = [0.0]
    monkeypatch.setattr(group, "monotonic", lambda: now[0])

    class Full:
        output = "mot"

        def write(self, result):
            raise OutputError("no space")

        def abort(self):
            pass

    def full(name):
        if opens:
            return Full()
        raise OutputError("no space")

    somebody = SimpleNamespace(tracks=[1])
    sinks = SinkGroup([Full()], reopen=full)
    for now[0] in (0.0, 3.0, group.RETRY_SECONDS + 1, group.PATIENCE_SECONDS - 1):
        sinks.write(somebody)
    assert sinks.failures == {"mot": "no space"}
    assert len(caplog.records) == 1
    now[0] = group.PATIENCE_SECONDS + group.RETRY_SECONDS
    with pytest.raises(OutputError, match="no result can be written any more"):
        sinks.write(somebody)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit (Linux)")
def test_a_service_that_can_write_nothing_for_a_while(start, film, tmp_path):
    """By a limit on the size of files, as a full disk needs root: answers and cameras go on, and so do the files
    afterwards."""
    boxes = tmp_path / "left.txt"
    boxes.write_text("".join(f"{number},-1,10,20,26,80,0.9,-1,-1,-1\n" for number in range(1, 2_000)))
    camera = {"name": "left", "uri": str(film / "left.mp4"), "live": True, "repeat": 100_000}
    service = start({"cameras": [camera], "detector": {"model": f"mot:{boxes}"}, "engine": {"model": "none"}})
    file = service.results / "results.jsonl"
    _wait(lambda: file.exists() and file.stat().st_size > 3_000)

    def failed():
        return set(re.findall(r'streamreid_output_failed\{output="(\w+)"\} 1', service.get("/metrics").text))

    _, hard = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (1_000, hard))
    _wait(lambda: failed() >= {"jsonl", "mot"})
    before, size = service.frames(), file.stat().st_size
    lines = file.read_bytes()
    _wait(lambda: service.frames() > before + 5)
    assert file.stat().st_size == size
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    _wait(lambda: file.stat().st_size > size and not failed())
    service.stop()
    now = file.read_bytes()
    assert now.startswith(lines)
    frames = [line["frame"] for line in map(json.loads, now.splitlines()) if line["type"] == "person"]
    assert frames == sorted(set(frames))


def _wait(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.1)
