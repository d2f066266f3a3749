"""Live runs: newest frames in turn, cameras that come and go, runs that are started again."""

import json
import logging
import threading
import time
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid._folders import FolderLock
from streamreid.cameras.batch_scheduler import BatchScheduler
from streamreid.cameras.config_watcher import CameraConfigWatcher
from streamreid.config import CalibrationConfig, CameraConfig, RotateConfig
from streamreid.errors import ConfigError, OutputError, SourceError
from streamreid.evaluation.world import read_positions
from streamreid.pipeline.run_state import read_begin
from streamreid.runs import run
from streamreid.runs.result_folder import choose_folder, clear_results
from streamreid.runs.throughput_forecast import forecast
from streamreid.types import Detections, Frame


def live(config, **changes):
    """The cameras of a configuration played as live ones, for long."""
    cameras = tuple(c.model_copy(update={"live": True, "repeat": 50, **changes}) for c in config.cameras)
    return config.model_copy(update={"cameras": cameras})


class Slow:
    """A detector that takes its time and finds nobody."""

    name = fingerprint = "slow"

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, frames):
        time.sleep(self.seconds * len(frames))
        return [Detections.empty() for _ in frames]


def stop_after(pipeline, seconds):
    timer = threading.Timer(seconds, pipeline.stop)
    timer.start()
    return timer


@pytest.mark.wall_time
def test_overload_drops_frames_evenly_and_ages_do_not_grow(scene, colours):
    config = live(
        scene.config(
            scene.camera("a", [0], frames=100), scene.camera("b", [0], frames=100), scene.camera("c", [0], frames=100)
        )
    )
    ages = []
    with Pipeline(config, detector=Slow(0.08), embedder=colours) as pipeline:
        timer = stop_after(pipeline, 5)
        for result in pipeline:
            ages.append(time.time() - result.frame.time)
        timer.cancel()
        counts = pipeline.statistics.cameras
    frames = [c.frames for c in counts.values()]
    # Thirty frames a second come, about twelve can be looked at.
    assert sum(frames) < 80
    assert max(frames) - min(frames) <= 3
    assert all(c.drops["newer frame"] > 10 for c in counts.values())
    half = len(ages) // 2
    assert np.percentile(ages[half:], 90) < 2 * np.percentile(ages[:half], 90) + 0.2
    assert counts["a"].ages.whole().p50 == pytest.approx(np.median(ages), rel=0.5)
    assert pipeline.statistics.load > 1.2
    assert pipeline.statistics.bottleneck == "detect"


def test_files_keep_every_frame_however_slow_inference_is(scene, colours):
    config = scene.config(scene.camera("a", [0], frames=15), scene.camera("b", [0], frames=12))
    with Pipeline(config, detector=Slow(0.02), embedder=colours) as pipeline:
        assert len(list(pipeline)) == 27
        assert [c.dropped for c in pipeline.statistics.cameras.values()] == [0, 0]
        assert pipeline.statistics.cameras["a"].ages.whole() is None


def test_recordings_are_not_joined_by_cameras(scene, colours):
    with Pipeline(scene.config(scene.camera("a", [0], frames=5)), embedder=colours) as pipeline:
        other = CameraConfig(name="b", uri="rtsp://127.0.0.1:9/1")
        for act in (
            lambda: pipeline.cameras.add(other),
            lambda: pipeline.cameras.remove("a"),
            lambda: pipeline.cameras.pause("a"),
        ):
            with pytest.raises(ConfigError, match="reads recordings"):
                act()
        assert len(list(pipeline)) == 5


@pytest.mark.wall_time
def test_a_live_run_waits_without_spinning(scene, colours, faults):
    looks = 0
    with faults.MuteCamera() as mute:
        config = scene.config(scene.camera("a", [0]))
        camera = CameraConfig(name="mute", uri=f"rtsp://127.0.0.1:{mute.port}/1", connect_timeout=2)
        config = config.model_copy(update={"cameras": (camera,)})
        with Pipeline(config, detector=Slow(0), embedder=colours) as pipeline:
            poll = pipeline.cameras.poll

            def counted():
                nonlocal looks
                looks += 1
                return poll()

            pipeline.cameras.poll = counted
            ticks = []
            timer = stop_after(pipeline, 1.5)
            list(pipeline.results(idle=lambda: ticks.append(time.monotonic())))
            timer.join()
    assert len(ticks) >= 2
    assert looks < 40


def test_cameras_come_and_go_and_their_ids_go_on(scene, colours):
    left, right = scene.camera("left", [0, 1], frames=60), scene.camera("right", [1, 0], frames=60)
    config = live(scene.config(left))
    results = []
    with Pipeline(config, embedder=colours) as pipeline:
        cameras = pipeline.cameras
        told = []
        cameras.subscribe(lambda name, what, why: told.append((name, what)))
        other = config.cameras[0].model_copy(update={"name": "right", "uri": str(right)})

        def change():
            def wait(name, count):
                target = pipeline.statistics.cameras[name].frames + count
                while pipeline.statistics.cameras[name].frames < target:
                    time.sleep(0.01)

            wait("left", 8)
            cameras.add(other)
            wait("right", 8)
            with pytest.raises(ConfigError, match="already"):
                cameras.add(other)
            cameras.pause("left")
            wait("right", 5)
            cameras.resume("left")
            wait("left", 8)
            with pytest.raises(ConfigError, match="no camera 'nobody'; cameras: left, right"):
                cameras.remove("nobody")
            cameras.remove("right")
            wait("left", 5)
            with pytest.raises(SourceError, match="gone"):
                cameras.change(config.cameras[0].model_copy(update={"uri": "gone.mp4"}))
            pipeline.stop()

        changer = threading.Thread(target=change)
        changer.start()
        results = list(pipeline)
        changer.join(10)
        assert not changer.is_alive()
        assert pipeline.failed == {}  # what cannot be opened changes nothing
        assert [(c.name, c.uri) for c in pipeline.cameras.configs] == [("left", config.cameras[0].uri)]
    for name in ("left", "right"):
        numbers = [r.frame.index for r in results if r.frame.camera == name]
        assert numbers == sorted(set(numbers))
    assert {("right", "added"), ("left", "paused"), ("right", "removed")} <= set(told)
    assert ("left", "failed") not in told


def test_a_recording_beside_a_live_camera_loses_no_frame(scene, colours):
    config = scene.config(scene.camera("gate", [0]), scene.camera("hall", [1], frames=20))
    gate, hall = config.cameras
    begin = datetime.now(tz=timezone.utc) - timedelta(seconds=5)
    hall = hall.model_copy(update={"start_time": begin})
    config = config.model_copy(update={"cameras": (gate.model_copy(update={"live": True}), hall)})
    with Pipeline(config, embedder=colours) as pipeline:
        picture = np.zeros((240, 320, 3), np.uint8)
        first = [Frame(name, 0, begin.timestamp(), picture) for name in ("gate", "hall")]
        assert pipeline.perception._warm_up(first) == first[1:]
        numbers = [r.frame.index for r in pipeline if r.frame.camera == "hall"]
    assert numbers == list(range(20))
    assert pipeline.statistics.cameras["hall"].dropped == 0


def test_a_run_started_again_goes_on_with_new_ids(scene, colours, tmp_path):
    config = live(scene.config(scene.camera("a", [0, 1], frames=20)), repeat=1)
    folder = tmp_path / "out"
    for number in range(3):
        begin = read_begin(folder)
        assert (begin is None) == (number == 0)
        with Pipeline(config, embedder=colours, begin=begin) as pipeline:
            run(pipeline, folder)
        if number == 0:
            # Killed: the state is a second old, the last line half written.
            state = json.loads((folder / "state.json").read_text())
            size = (folder / "results.jsonl").stat().st_size
            (folder / "state.json").write_text(
                json.dumps({**state, "global_id": 1, "tracks": {}, "frames": {}, "results_bytes": 0})
            )
            with open(folder / "results.jsonl", "a") as file:
                file.write('{"type":"person","camera":"a","fra')
            assert read_begin(folder).global_id == state["global_id"]
            assert size < (folder / "results.jsonl").stat().st_size
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines].count("header") == 3
    people = [line for line in lines if line["type"] == "person"]
    starts = [i for i, line in enumerate(lines) if line["type"] == "header"]
    runs = [
        [line for line in lines[a:b] if line["type"] == "person"]
        for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]
    for key in ("track_id", "global_id", "frame"):
        seen = [{line[key] for line in part if line[key] is not None} for part in runs]
        assert not seen[0] & seen[1]
        assert not (seen[0] | seen[1]) & seen[2]
    text = (folder / "mot" / "a.txt").read_text().splitlines()
    assert len(text) == len(people)
    assert len((folder / "mot" / "global" / "a.txt").read_text().splitlines()) == len(people)


def test_folders_of_live_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = choose_folder(None, "cams", append=True)
    first.mkdir(parents=True)
    (first / "state.json").write_text("{}")
    assert choose_folder(None, "cams", append=True) == first
    assert choose_folder(None, "cams") == first.with_name("cams-2")
    with pytest.raises(ConfigError, match="already holds results"):
        choose_folder(first, "cams")
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    (recordings / "results.jsonl").write_text("")
    with pytest.raises(ConfigError, match="already holds results"):
        choose_folder(recordings, "cams", append=True)
    (recordings / "notes.txt").write_text("mine")
    clear_results(recordings)
    assert [p.name for p in recordings.iterdir()] == ["notes.txt"]


def test_two_runs_never_write_to_one_folder(tmp_path):
    with FolderLock(tmp_path), pytest.raises(OutputError, match="another run is writing"), FolderLock(tmp_path):
        pass
    with FolderLock(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_a_damaged_state_without_results_is_said(tmp_path):
    from streamreid.errors import DataError

    (tmp_path / "state.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_begin(tmp_path)
    (tmp_path / "state.json").write_text(
        json.dumps(
            {"runs": 1, "global_id": 5, "tracks": {"a": 7}, "frames": {"a": 9}, "results_bytes": 0, "ended": False}
        )
    )
    begin = read_begin(tmp_path)
    assert begin.global_id > 5 + 100  # there are no lines to look the last second's ids up in
    assert begin.tracks["a"] > 7 + 100


def test_the_watched_file_is_followed_and_mistakes_change_nothing(scene, colours, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("streamreid"), "propagate", True)
    left, right = scene.camera("left", [0]), scene.camera("right", [1])
    path = tmp_path / "cams.yaml"

    def write(*cameras):
        path.write_text(
            "cameras:\n"
            + "".join(f"  - {{name: {n}, uri: {u}, live: true, repeat: 50{more}}}\n" for n, u, more in cameras)
        )

    write(("left", left, ""))
    config = live(scene.config(left))
    with Pipeline(config, embedder=colours) as pipeline, caplog.at_level("WARNING"):
        file = CameraConfigWatcher(path, pipeline.cameras, seconds=0.05)
        names = lambda: [c.name for c in pipeline.cameras.configs]  # noqa: E731
        pipeline.cameras.add(config.cameras[0].model_copy(update={"name": "by-http"}))
        write(("left", left, ", stride: 2"), ("right", right, ""))
        file.reload_if_changed()
        assert sorted(names()) == ["by-http", "left", "right"]
        assert next(c.stride for c in pipeline.cameras.configs if c.name == "left") == 2
        path.write_text("cameras: [{nam: left}]\n")
        file.reload_if_changed()
        assert sorted(names()) == ["by-http", "left", "right"]
        assert "has a mistake" in caplog.text
        write(("right", right, ", paused: true"))
        file.reload_if_changed()
        assert sorted(names()) == ["by-http", "right"]
        assert pipeline.statistics.cameras["right"].paused
        write(("right", tmp_path / "missing.mp4", ""))
        file.reload_if_changed()
        assert "camera 'right' failed" in caplog.text
        path.unlink()
        file.reload_if_changed()
        assert sorted(names()) == ["by-http", "right"]


def test_turns_are_fair_and_batches_as_large_as_time_allows():
    turns = BatchScheduler(0.1, 8)
    assert turns.batch == 8
    for _ in range(50):
        turns.record_inference(2, 0.08)
    assert turns.batch == 2
    served = [turns.choose(["a", "b", "c"]) for _ in range(3)]
    assert sorted(name for batch in served for name in batch) == ["a", "a", "b", "b", "c", "c"]
    for _ in range(50):
        turns.record_inference(1, 1.0)
    assert turns.batch == 1


def test_crops_are_limited_under_overload_only():
    turns = BatchScheduler(0.1, 8)
    rows = np.array([4, 0, 5, 1])  # the most urgent first
    turns.record_embedding(2, 0.08, 4, 0.08)  # detection takes 40 ms a frame, embedding 20 ms a person
    assert turns.limit_crops(rows).tolist() == rows.tolist()
    turns.overloaded = True
    assert turns.limit_crops(rows).tolist() == [4, 0]
    assert turns.limit_crops(rows[:1]).tolist() == [4]
    turns.record_embedding(50, 0.0, 0, 0.0)
    assert len(turns.limit_crops(rows)) >= 1


def test_overload_is_said_when_it_lasts_and_when_it_ends(monkeypatch, caplog):
    now = 0.0
    monkeypatch.setattr("streamreid.cameras.batch_scheduler.monotonic", lambda: now)
    monkeypatch.setattr(logging.getLogger("streamreid"), "propagate", True)
    turns, frames = BatchScheduler(0.1, 8), 0
    turns.record_inference(1, 0.1)
    with caplog.at_level("WARNING"):
        for rate in (20, 4):
            for _ in range(12):
                now += 2.5
                frames += round(2.5 * rate)
                turns.record_arrivals({"a": frames}, bottleneck="detect")
    assert [r.getMessage().split(":")[0] for r in caplog.records] == ["overload", "no longer overloaded"]
    assert "20 frames/s come, about 10 can be followed" in caplog.records[0].getMessage()
    assert "bottleneck: detect" in caplog.records[0].getMessage()
    assert turns.load == pytest.approx(0.4)


@pytest.mark.parametrize(("cost", "least", "most"), [(0.01, 9.5, 10.1), (0.05, 4.5, 5.5)])
def test_forecast_of_four_cameras(cost, least, most):
    names = "abcd"
    found = forecast(dict.fromkeys(names, 10.0), dict.fromkeys(names, 0.02), cost, turn_seconds=0.1, batch=8)
    assert found.load == pytest.approx(40 * cost)
    for name in names:
        assert least < found.cameras[name].rate < most
        assert 0.02 + cost <= found.cameras[name].age.p50 < found.cameras[name].age.p99 < 0.5
    assert forecast({"a": 0.0}, {"a": 0.0}, cost, turn_seconds=0.1, batch=8).cameras["a"].age is None


def test_settled_people_leave_memory_and_are_told_once(scene, colours, monkeypatch):
    monkeypatch.setattr("streamreid.pipeline.site._MANY_TRACKS", 4)
    video = scene.camera("a", [0, 1, 2], frames=70, rate=20, hole=range(10, 50))
    config = live(
        scene.config(video, association={"window": 0.3, "memory": 0.5}, tracker={"lost_seconds": 0.2}), repeat=1
    )
    settled = {}
    with Pipeline(config, embedder=colours) as pipeline:
        for _ in pipeline:
            found = pipeline.drain_settled()
            assert not set(found) & set(settled)
            settled.update(found)
        left = pipeline.identities
    assert settled
    assert all(who for who, _ in settled.values())
    assert not set(settled) & set(left)
    assert sum(c.tracks for c in pipeline.statistics.cameras.values()) == len(settled) + len(left)
    assert pipeline.statistics.settled == len({who for who, _ in settled.values()})


def test_a_frame_of_a_camera_that_is_gone_is_followed_all_the_same(scene, colours):
    with Pipeline(live(scene.config(scene.camera("a", [0]))), embedder=colours) as pipeline:
        frame = Frame("unknown", 0, 1.0, np.zeros((10, 10, 3), np.uint8))
        assert pipeline.cameras.roi(frame.camera) is None


@pytest.mark.wall_time
def test_live_calibrated_cameras_say_where_people_stand_also_in_pieces(scene, colours, tmp_path):
    floor = CalibrationConfig(matrix=((0.02, 0, 0), (0, 0.02, 0), (0, 0, 1)), maps="pixels-to-ground")
    config = live(
        scene.config(scene.camera("a", [0, 1], frames=100), scene.camera("b", [0, 1], frames=100)), calibration=floor
    )

    def follow(rotate):
        output = config.output.model_copy(update={"rotate": rotate})
        with Pipeline(
            config.model_copy(update={"output": output}), embedder=colours, begin=read_begin(tmp_path / "out")
        ) as pipeline:
            timer = stop_after(pipeline, 3)
            run(pipeline, tmp_path / "out")
            timer.cancel()

    follow(None)
    before = (tmp_path / "out" / "world.txt").read_text()
    assert len(before.splitlines()) > 20
    follow(RotateConfig(every=1))
    pieces = sorted((tmp_path / "out" / "pieces").iterdir())
    assert (pieces[0] / "world.txt").read_text().startswith(before)
    found = read_positions(tmp_path / "out")
    assert all(
        read_positions(piece / "world.txt").averaged == 0 for piece in pieces[:-1]
    )  # one line per person and moment
    assert len(found) > 1.5 * len(before.splitlines())
    assert abs(found.frames[-1] / 10 - time.time()) < 20
    assert ((found.points > 0) & (found.points < 7)).all()
