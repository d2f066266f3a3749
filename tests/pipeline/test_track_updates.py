"""The seam between perception and the site: what crosses it can be sent as bytes and gives the same results there."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.errors import DataError
from streamreid.features.eight_bits import in_eight_bits
from streamreid.pipeline import Site
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.replay import Replay
from streamreid.track_update import TrackedFrame, TrackObservation, TrackUpdate
from streamreid.types import Detections, Frame, PartFeatures, Tracks

SITE = """
import json, struct, sys
from dataclasses import asdict
from streamreid.config import Config
from streamreid.features.similarity import Calibration
from streamreid.pipeline import Site
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.track_update import TrackUpdate

given = json.loads(sys.stdin.buffer.readline())
engine = EngineDescription(**given["engine"] | {"calibration": Calibration(**given["engine"]["calibration"])})
site = Site(Config.from_dict(given["config"]), engine)
rows = []
while size := sys.stdin.buffer.read(4):
    update = TrackUpdate.from_bytes(sys.stdin.buffer.read(struct.unpack("<I", size)[0]))
    for r in site.process(update):
        who = [a.tolist() for a in (r.tracks.ids, r.global_ids, r.probabilities)]
        rows.append([r.frame.camera, r.frame.index, *who])
plain = lambda x: sorted(x) if isinstance(x, frozenset) else float(x)
events = [json.dumps(asdict(e), default=plain) for e in site.drain_events()]
found = sorted(map(str, site.identities.items()))
print(json.dumps([rows, events, found]))
"""
"""A process with the site alone: no camera, no detector, no engine, no picture."""


def plain(value):
    """For JSON; sets have an order that differs from process to process."""
    return sorted(value) if isinstance(value, frozenset) else float(value)


def listed(results):
    return [
        [r.frame.camera, r.frame.index, r.tracks.ids.tolist(), r.global_ids.tolist(), r.probabilities.tolist()]
        for r in results
    ]


@pytest.fixture
def recording(scene):
    """Two cameras, three people, one who is in both."""
    return scene.config(scene.camera("left", [0, 1]), scene.camera("right", [1, 2]), tracker={"delay": 0.3})


def test_a_site_in_another_process_gives_the_same_ids_probabilities_and_events(recording, colours):
    updates = []
    with Pipeline(recording, embedder=colours) as pipeline:
        pipeline = replace_observers(pipeline, updates)
        results = listed(pipeline)
    events = [json.dumps(asdict(e), default=plain) for e in pipeline.drain_events()]
    identities = sorted(map(str, pipeline.identities.items()))
    assert len({who for who, _ in pipeline.identities.values()}) == 3
    engine = {**engine_values(EngineDescription.of(colours))}
    lines = [json.dumps({"config": recording.model_dump(mode="json"), "engine": engine}).encode() + b"\n"]
    lines += [part for data in updates for part in (len(data).to_bytes(4, "little"), data)]
    done = subprocess.run([sys.executable, "-c", SITE], input=b"".join(lines), capture_output=True, check=True)
    assert json.loads(done.stdout) == [results, events, identities]


def replace_observers(pipeline, updates):
    """The same run, with its updates written down as bytes."""
    from streamreid.pipeline import Run

    return Run(
        pipeline.perception,
        pipeline.tracking,
        pipeline.site,
        observers=[lambda update: updates.append(update.to_bytes())],
    )


def engine_values(engine):
    calibration = {k: getattr(engine.calibration, k) for k in engine.calibration.__slots__}
    return {
        "name": engine.name,
        "fingerprint": engine.fingerprint,
        "parts": engine.parts,
        "dim": engine.dim,
        "calibration": calibration,
    }


def test_an_update_comes_back_as_it_was_without_pictures(scene, colours, tmp_path):
    pytest.importorskip("pyarrow")
    config = scene.config(scene.camera("left", [0, 1]), output={"blur": "people"}, tracker={"delay": 0.5})
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        list(pipeline)
    updates = []
    list(Replay(tmp_path / "cache", observers=[updates.append]))
    assert updates[-1].last
    assert any(update.observations for update in updates)
    for update in updates:
        again = TrackUpdate.from_bytes(update.to_bytes())
        assert repr(again) == repr(update)
        assert (again.impostors, again.removed, again.last) == (update.impostors, update.removed, update.last)
        for one, other in zip(update.observations, again.observations, strict=True):
            assert (one.camera, one.time) == (other.camera, other.time)
            for name in ("ids", "boxes", "scores", "rows"):
                np.testing.assert_array_equal(getattr(one.tracks, name), getattr(other.tracks, name), strict=True)
            np.testing.assert_array_equal(one.features.parts, other.features.parts, strict=True)
            np.testing.assert_array_equal(one.features.visibility, other.features.visibility, strict=True)
            np.testing.assert_array_equal(one.quality, other.quality, strict=True)
        for one, other in zip(update.released, again.released, strict=True):
            assert not other.frame.has_image
            assert (one.frame.camera, one.frame.index, one.frame.time) == (
                other.frame.camera,
                other.frame.index,
                other.frame.time,
            )
            assert (one.frame.size, one.frame.clock) == (other.frame.size, other.frame.clock)
            np.testing.assert_array_equal(one.visibility, other.visibility, strict=True)
            np.testing.assert_array_equal(one.blur_boxes, other.blur_boxes, strict=True)


def test_a_site_without_the_last_update_knows_what_it_was_given(recording, colours):
    updates = []
    with Pipeline(recording, embedder=colours) as pipeline:
        list(replace_observers(pipeline, updates))
    site = Site(recording, EngineDescription.of(colours))
    frames = [r.frame for data in updates[: len(updates) // 2] for r in site.process(TrackUpdate.from_bytes(data))]
    assert frames
    assert site.identities
    assert site.statistics.frames == len(frames)


def entry(data, at, new):
    """An update with other bytes in the entry of its first array."""
    begin = 4 + 7 + int.from_bytes(data[5:9], "little") + at
    return data[:begin] + new + data[begin + len(new) :]


def test_what_is_sent_twice_is_written_once():
    """Ten people who are tracked and not embedded: boxes and names stand there once, and nothing of their looks."""
    corner = np.arange(20, dtype=np.float32).reshape(10, 2)
    boxes, scores = np.concatenate([corner, corner + 50], 1), np.full(10, 0.9, np.float32)
    tracks = Tracks(np.arange(1, 11), boxes, scores, np.arange(10))
    frame = Frame.without_image("a-camera-with-a-long-name", 7, 1000.7, size=(1920, 1080))
    unseen = PartFeatures.unseen(10, 6, 256)
    quality = np.linspace(0, 1, 10, dtype=np.float32)
    update = TrackUpdate(
        frame,
        Detections(boxes, scores, np.zeros(10, np.int64)),
        (TrackObservation(frame.camera, frame.time, tracks, unseen, quality),),
        (TrackedFrame(frame, tracks, unseen.visibility),),
    )
    data = update.to_bytes()
    assert len(data) < 700
    assert data.count(frame.camera.encode()) == 1
    again = TrackUpdate.from_bytes(data)
    (seen,), (released,) = again.observations, again.released
    assert (seen.camera, seen.time, released.frame.index) == (frame.camera, frame.time, 7)
    np.testing.assert_array_equal(released.tracks.boxes, boxes, strict=True)
    np.testing.assert_array_equal(seen.tracks.ids, tracks.ids, strict=True)
    np.testing.assert_array_equal(released.visibility, unseen.visibility, strict=True)
    seen.tracks.boxes[:] = 0  # each array is one of its own
    np.testing.assert_array_equal(released.tracks.boxes, boxes)
    one = replace(update, observations=(replace(update.observations[0], camera="another"),))
    assert TrackUpdate.from_bytes(one.to_bytes()).observations[0].camera == "another"


def test_features_of_eight_bits_take_a_byte_for_each_value():
    looks = np.random.default_rng(0).standard_normal((2, 6, 256)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=2, keepdims=True)
    sizes = []
    for parts in (looks, in_eight_bits(looks)):
        features = PartFeatures(
            np.concatenate([parts, np.zeros_like(parts)]), np.repeat([[1.0], [0.0]], 2, 0).repeat(6, 1)
        )
        tracks = Tracks(np.arange(1, 5), np.ones((4, 4), np.float32), np.ones(4, np.float32), np.arange(4))
        seen = TrackObservation("a", 1.0, tracks, features, np.ones(4, np.float32))
        data = TrackUpdate(observations=(seen,)).to_bytes()
        (again,) = TrackUpdate.from_bytes(data).observations
        assert again.features.parts.tobytes() == features.parts.tobytes()
        sizes.append(len(data))
    assert sizes[0] - sizes[1] == 3 * looks.size


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda d: b"JPEG" + d[4:], "begin with b'JPEG'"),
        (lambda d: d[:-3], "damaged"),
        (lambda d: d + b"more", "damaged"),
        (lambda d: d[:4] + b"\x09" + d[5:], "version 9, expected 4"),
        (lambda d: entry(d, 0, b"\x77"), "damaged"),  # a type that there is not
        (lambda d: entry(d, 2, b"\x50\x00"), "damaged"),  # the same as an array that is not there
        (lambda d: entry(d, 4, b"\xff" * 12), "damaged"),  # larger than any memory
        (lambda d: b"", "begin with b''"),
    ],
)
def test_bytes_that_are_no_update_are_refused(recording, colours, damage, what):
    updates = []
    with Pipeline(recording, embedder=colours) as pipeline:
        list(replace_observers(pipeline, updates))
    data = max(updates, key=len)
    with pytest.raises(DataError, match=what):
        TrackUpdate.from_bytes(damage(data))


def test_pictures_are_not_sent(recording, colours):
    sizes = []
    with Pipeline(recording, embedder=colours) as pipeline:
        run = replace_observers(pipeline, sizes)
        pixels = next(iter(run)).frame.image.size
    assert max(map(len, sizes)) < pixels / 10
    assert replace(TrackUpdate(), last=True).to_bytes() != TrackUpdate().to_bytes()


def test_a_predicted_box_gives_way_to_the_track_in_which_the_person_goes_on(scene, colours):
    """Track 1 is lost and predicted; 2 and 3 are detected. 3 is the same person as 1, and nobody is at two places."""
    nothing = np.zeros((40, 100, 3), np.uint8)

    def shown(global_ids, rows):
        tracks = Tracks(
            np.array([1, 2, 3]),
            np.float32([[0, 0, 10, 30], [50, 0, 60, 30], [90, 0, 99, 30]]),
            np.float32([0, 0.9, 0.8]),
            np.array(rows),
        )
        frame = TrackedFrame(Frame("left", 0, 0.0, nothing), tracks, np.ones((3, 6), np.float32))
        kept = frame.one_box_each(np.array(global_ids))
        return [1, 2, 3] if kept is None else frame[kept].tracks.ids.tolist()

    assert shown([7, 8, 7], [-1, 0, 1]) == [2, 3]
    assert shown([7, 7, 8], [-1, -1, 1]) == [2, 3]  # both predicted: the newest
    assert shown([0, 0, 8], [-1, -1, 1]) == [1, 2, 3]  # undecided tracks are nobody in particular
    assert shown([7, 7, 8], [0, 1, -1]) == [1, 2, 3]  # never a detected one

    config = scene.config(scene.camera("left", [0]))
    site = Site(
        config, EngineDescription(colours.name, colours.fingerprint, colours.parts, colours.dim, colours.calibration)
    )
    site.associator.link = lambda camera, track: (7, 0.9)
    boxes = np.float32([[0, 0, 10, 30], [50, 0, 60, 30]])
    tracks = Tracks(np.array([1, 2]), boxes, np.float32([0, 0.9]), np.array([-1, 0]))
    frame = Frame("left", 0, 0.0, nothing)
    released = TrackedFrame(frame, tracks, np.ones((2, len(colours.parts)), np.float32))
    update = TrackUpdate(frame=frame, detections=Detections.empty(), released=(released,))
    (result,) = site.process(update)
    assert (result.tracks.ids.tolist(), result.global_ids.tolist()) == ([2], [7])
    assert len(result.visibility) == len(result.probabilities) == 1
