"""A handheld camera: its motion is taken out of the tracks, stored with the run, and the same in a replay."""

import av
import cv2
import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.cameras.camera_motion import CameraMotionEstimators
from streamreid.errors import DataError
from streamreid.replay import Replay
from streamreid.runs import run
from streamreid.types import Frame


@pytest.fixture(scope="module")
def shaken(tmp_path_factory):
    """A still scene with two people, filmed by a camera that jerks to and fro by more than a person's width: video and
    folder of boxes."""
    folder = tmp_path_factory.mktemp("shaken")
    rng = np.random.default_rng(0)
    world = cv2.GaussianBlur(rng.integers(0, 255, (280, 560, 3), dtype=np.uint8), (0, 0), 4)
    world = cv2.normalize(world, None, 0, 255, cv2.NORM_MINMAX)
    lines = []
    with av.open(str(folder / "hand.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 320, 240, "yuv420p", 4_000_000
        for i in range(30):
            left, top = 100 + 32 * (i % 2) + 2 * i, 10 + 12 * (i % 3)
            image = world[top : top + 240, left : left + 320].copy()
            for k, (x, y) in enumerate(((220, 100), (300, 120))):
                box = x + i - left, y - top, 26, 90
                cv2.rectangle(image, box, (40, 40, 220) if k else (40, 200, 40), -1)
                lines.append(f"{i + 1},-1,{','.join(map(str, box))},0.9,-1,-1,-1")
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    (folder / "boxes").mkdir()
    (folder / "boxes" / "hand.txt").write_text("\n".join(lines) + "\n")
    return folder


def configure(shaken, motion):
    from streamreid.config import Config

    return Config.from_dict(
        {
            "cameras": [{"name": "hand", "uri": str(shaken / "hand.mp4"), "motion": motion}],
            "detector": {"model": f"mot:{shaken / 'boxes'}"},
            "engine": {"model": "none"},
        }
    )


def tracks(config):
    with Pipeline(config) as pipeline:
        return {(r.frame.index, int(i)) for r in pipeline for i in r.tracks.ids}


def test_motion_that_is_taken_out_keeps_the_ids(shaken):
    steady, shaky = tracks(configure(shaken, "flow")), tracks(configure(shaken, "none"))
    assert {i for _, i in steady} == {1, 2}
    assert len(steady) == 2 * 30
    assert len(shaky) < len(steady) or len({i for _, i in shaky}) > 2


def test_motion_is_stored_and_replayed(shaken, tmp_path):
    pytest.importorskip("pyarrow")
    config = configure(shaken, "flow")
    with Pipeline(config, cache=tmp_path / "cache") as pipeline:
        run(pipeline, tmp_path / "run")
    run(Replay(tmp_path / "cache"), tmp_path / "again")
    assert (tmp_path / "again" / "results.jsonl").read_bytes() == (tmp_path / "run" / "results.jsonl").read_bytes()
    with pytest.raises(DataError, match=r"motion: stored with flow, asked for none"):
        Replay(tmp_path / "cache", configure(shaken, "none"))


def test_a_camera_that_stands_still_is_not_looked_at():
    moving = CameraMotionEstimators({"still": "none", "hand": "flow"}.__getitem__)
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    nobody = np.zeros((0, 4), np.float32)
    assert moving(Frame("still", 0, 0.0, image), nobody) is None
    assert moving(Frame.without_image("hand", 0, 0.0, size=(160, 120)), nobody) is None
    np.testing.assert_array_equal(moving(Frame("hand", 1, 0.1, image), nobody), np.eye(2, 3))
