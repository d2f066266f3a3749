"""Results held back by ``tracker.delay``: the same frames in the same order, better people in them, nothing lost at the
end."""

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.cameras.resolved import resolved
from streamreid.config import Config, TrackerConfig
from streamreid.errors import ConfigError
from streamreid.features.similarity import Calibration
from streamreid.pipeline.tracking_stage import TrackingStage
from streamreid.replay import Replay
from streamreid.runs import run
from streamreid.tracking import Tracker
from streamreid.types import Detections, Frame, PartFeatures

CALIBRATION = Calibration(slope=12.0, intercept=-6.0, source="test")


def delayed(config, delay):
    return config.model_copy(update={"tracker": config.tracker.model_copy(update={"delay": delay})})


def follow(config, embedder):
    with Pipeline(config, embedder=embedder) as pipeline:
        return list(pipeline), pipeline


def holding(delay, *cameras, ordered=True, clock=lambda: 0.0):
    trackers = {name: Tracker(TrackerConfig(delay=delay), CALIBRATION) for name in cameras}
    return TrackingStage(trackers, ordered=ordered, clock=clock)


def walk(hold, camera, times, x0=100.0, look=(1.0, 0.0), boxes=None):
    """A person walks past; returns what was observed and released, by call."""
    steps = []
    for i, time in enumerate(times):
        there = boxes is None or boxes(time)
        box = [[x0 + 20 * time, 100, x0 + 40 + 20 * time, 200]] if there else np.zeros((0, 4))
        looks = (
            PartFeatures(np.array([[look]], np.float32), np.ones((1, 1), np.float32))
            if there
            else PartFeatures.unseen(0, 1, 2)
        )
        frame = Frame.without_image(camera, i, time, size=(1000, 400))
        observed = hold.update(frame, Detections.from_arrays(box), looks)
        steps.append((observed, hold.due()))
    return steps


def test_the_same_frames_in_order_with_gaps_filled_and_beginnings_shown(scene, colours):
    videos = scene.camera("left", [0, 1, 2], hole=range(15, 20)), scene.camera("right", [2, 0, 3], rate=7)
    config = scene.config(*videos)
    plain, _ = follow(delayed(config, 0.0), colours)
    late, pipeline = follow(delayed(config, 1.0), colours)
    assert [(r.frame.camera, r.frame.index) for r in late] == [(r.frame.camera, r.frame.index) for r in plain]
    assert all(r.frame.has_image for r in late)
    left = [r for r in late if r.frame.camera == "left"]
    assert [len(r.tracks) for r in left] == [3] * len(left)
    assert sum(len(r.tracks) < 3 for r in plain if r.frame.camera == "left") > 2
    assert (left[0].tracks.rows >= 0).all()
    assert (left[0].visibility == 1).all()
    assert (left[17].visibility == 0).all()
    assert pipeline.statistics.frames == len(late)
    assert pipeline.statistics.cameras["left"].tracks == 3


def test_identities_are_those_known_when_a_frame_is_released(scene, colours):
    config = scene.config(scene.camera("left", [0, 1]))
    plain, _ = follow(delayed(config, 0.0), colours)
    late, pipeline = follow(delayed(config, 1.5), colours)
    assert (plain[2].global_ids == 0).all()
    assert all((r.global_ids > 0).all() and len(r.tracks) == 2 for r in late)
    assert {g for g, _ in pipeline.identities.values()} == {int(g) for r in late for g in r.global_ids}


def test_every_event_is_there_and_names_only_tracks_in_the_results(scene, colours, tmp_path):
    config = delayed(scene.config(scene.camera("left", [0, 1]), scene.camera("right", [1, 2])), 1.0)
    with Pipeline(config, embedder=colours) as pipeline:
        events, shown = [], set()
        for result in pipeline:
            events += pipeline.drain_events()
            shown |= {(result.frame.camera, int(i)) for i in result.tracks.ids}
        events += pipeline.drain_events()
    assert {(e.camera, e.track_id) for e in events if e.track_id} == shown
    assert [e.time for e in events] == sorted(e.time for e in events)
    assert set(pipeline.identities) == shown


def test_a_stopped_run_hands_out_what_it_holds(scene, colours):
    config = delayed(scene.config(scene.camera("left", [0], frames=60)), 2.0)
    indices = []
    with Pipeline(config, embedder=colours) as pipeline:
        for result in pipeline:
            indices.append(result.frame.index)
            if len(indices) == 5:
                pipeline.stop()
    assert indices == list(range(len(indices)))
    assert len(indices) >= 25


def test_replay_and_films_of_delayed_results(scene, colours, tmp_path):
    pytest.importorskip("pyarrow")
    config = delayed(
        scene.config(scene.camera("left", [0, 1]), scene.camera("right", [1, 2]), output={"video": True}), 1.0
    )
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        run(pipeline, tmp_path / "run")
    run(Replay(tmp_path / "cache"), tmp_path / "again")
    for name in ("results.jsonl", "mot/left.txt", "mot/global/right.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    assert (tmp_path / "run" / "mot" / "left.txt").read_text().startswith("1,1,")
    assert (tmp_path / "run" / "videos" / "left.mp4").stat().st_size > 0


def test_a_person_found_to_be_an_old_one_is_never_given_a_second_identity():
    """Unseen by looks when they come back, so that the new track is reported first and recognised later."""
    hold = holding(1.5, "a")
    times = np.arange(0, 8, 0.1).tolist()
    first = walk(hold, "a", times[:20])
    first += walk(hold, "a", times[20:40], boxes=lambda t: False)
    dark = []
    for i, time in enumerate(times[40:]):
        box = [[250 + 20 * time, 100, 290 + 20 * time, 200]]
        looks = PartFeatures(np.array([[[1.0, 0.0]]], np.float32), np.full((1, 1), float(i >= 6), np.float32))
        observed = hold.update(
            Frame.without_image("a", 40 + i, time, size=(1000, 400)), Detections.from_arrays(box), looks
        )
        dark.append((observed, hold.due()))
    waited, rest = hold.rest()
    observed = [item for step in (*first, *dark) for item in step[0]] + waited
    released = [item for step in (*first, *dark) for item in step[1]] + rest
    assert {int(i) for item in observed for i in item.tracks.ids} == {1}
    assert {int(i) for item in released for i in item.tracks.ids} == {1}
    seen = [item.time for item in observed if len(item.tracks)]
    assert len(seen) == len(set(seen))
    assert len(released) == len(times)


def test_a_recording_is_released_by_the_newest_frame_of_any_camera():
    hold = holding(1.0, "fast", "ended")
    walk(hold, "ended", [0.0, 0.1, 0.2])
    steps = walk(hold, "fast", np.arange(0.3, 1.5, 0.1).tolist())
    released = [item for _, due in steps for item in due]
    assert [item.frame.camera for item in released[:3]] == ["ended"] * 3
    times = [item.frame.time for item in released]
    assert times == sorted(times)
    assert max(times) == pytest.approx(0.3)  # of 0.4 and a second later, "ended" might still have had a frame


def test_a_live_camera_with_a_wrong_clock_takes_no_delay_from_the_others():
    now = [0.0]
    hold = holding(1.0, "right", "wrong", ordered=False, clock=lambda: now[0])
    walk(hold, "right", [0.0, 0.1, 0.2])
    assert all(item.frame.camera == "wrong" for _, due in walk(hold, "wrong", [7200.0, 7200.1]) for item in due)
    now[0] = 2.5  # "right" has sent nothing for more than twice the delay
    released = [item.frame for _, due in walk(hold, "wrong", [7202.5]) for item in due]
    assert [f.time for f in released if f.camera == "right"] == [0.0, 0.1, 0.2]


def test_nothing_is_lost_when_time_goes_back():
    hold = holding(0.5, "a", "b")
    count = 0
    for camera, times in (("a", [5.0, 5.1, 5.2]), ("b", [1.0, 1.1]), ("a", [0.1, 0.2, 9.0])):
        count += sum(len(due) for _, due in walk(hold, camera, times))
    _, rest = hold.rest()
    assert count + len(rest) == 8


@pytest.mark.parametrize(
    ("cameras", "given", "serving", "delay"),
    [
        (["a.mp4", "b.mp4"], None, False, 1.0),
        (["a.mp4", "b.mp4"], 0.0, False, 0.0),
        (["a.mp4", "b.mp4"], 2.5, False, 2.5),
        (["a.mp4"], None, True, 0.0),
        (["a.mp4", "rtsp://camera/1"], None, False, 0.0),
        (["rtsp://camera/1"], 2.5, False, 2.5),
        ([], None, False, 0.0),
    ],
)
def test_results_of_recordings_alone_come_later_where_nothing_else_is_said(cameras, given, serving, delay):
    config = Config.from_sources(*(cameras or ["a.mp4"]), tracker={"delay": given})
    if not cameras:
        config = config.model_copy(update={"cameras": ()})
    assert resolved(config, serving=serving).tracker.delay == delay
    assert config.tracker.delay == given


def test_a_cache_keeps_the_delay_that_its_run_had(scene, colours, tmp_path):
    config = scene.config(scene.camera("left", [0, 1], hole=range(15, 20)))
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        stored = [r.tracks.boxes.tolist() for r in pipeline]
    with Replay(tmp_path / "cache") as replay:
        assert replay.config.tracker.delay == 1.0
        assert [r.tracks.boxes.tolist() for r in replay] == stored
    at_once, _ = follow(delayed(config, 0.0), colours)
    assert sum(map(len, stored)) > sum(len(r.tracks) for r in at_once)


def test_pictures_that_wait_are_bounded(monkeypatch, caplog):
    picture = np.zeros((20, 30, 3), np.uint8)
    monkeypatch.setattr("streamreid.pipeline.tracking_stage._MOST_PICTURES", 3 * picture.nbytes)
    stage = TrackingStage({"a": Tracker(TrackerConfig(delay=1.0))}, ordered=True)
    released = []
    for number in range(20):  # five frames of a second wait
        frame = Frame("a", number, number / 5, picture)
        stage.update(frame, Detections.empty(), PartFeatures.unseen(0, 1, 2))
        released += stage.due()
    released += stage.rest()[1]
    assert [item.frame.index for item in released] == list(range(20))
    assert all(item.frame.size == (30, 20) for item in released)
    assert 8 <= sum(item.frame.has_image for item in released) < 20
    assert caplog.text.count("pictures wait") == 1


def test_rejoining_for_longer_than_the_delay_is_refused():
    assert TrackerConfig(delay=2.0).rejoin == 2.0
    assert TrackerConfig(delay=2.0, rejoin_seconds=0.5).rejoin == 0.5
    with pytest.raises(ConfigError, match="rejoin_seconds"):
        Config.from_dict({"cameras": [{"name": "a", "uri": "a.mp4"}], "tracker": {"delay": 1.0, "rejoin_seconds": 2.0}})


@pytest.mark.parametrize("by", [-3600.0, -0.3, 3600.0])
def test_a_live_camera_whose_clock_is_set_is_released_in_order_and_no_later(by):
    now = [0.0]
    hold = holding(1.0, "a", ordered=False, clock=lambda: now[0])
    released, waiting = [], []
    for number in range(60):
        now[0] = number / 10
        observed = hold.update(
            Frame.without_image("a", number, 1000.0 + now[0] + (by if number >= 30 else 0.0), size=(1000, 400)),
            Detections.from_arrays([[100 + number, 100, 140 + number, 200]]),
            PartFeatures(np.ones((1, 1, 2), np.float32), np.ones((1, 1), np.float32)),
        )
        assert len(observed) > 0
        released += [item.frame.index for item in hold.due()]
        waiting.append(number + 1 - len(released))
    assert max(waiting) <= 14  # a second, and the three tenths that come twice
    assert released == list(range(len(released)))
    assert [item.frame.index for item in hold.rest()[1]] == list(range(len(released), 60))
