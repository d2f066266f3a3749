"""A value that no code expected costs a frame, or a camera, and never the run."""

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.cameras.camera_motion import CameraMotionEstimators
from streamreid.errors import EngineError, SourceError
from streamreid.pipeline.frame_faults import REASON
from streamreid.runs import run
from streamreid.types import Detections

ERRORS = [
    ValueError("cannot reshape"),
    KeyError("left"),
    ZeroDivisionError("division by zero"),
    MemoryError(),
    IndexError("out of range"),
]


class Boxes:
    """A detector that raises for some frames of camera 'bad', and finds one person in all others."""

    name = fingerprint = "boxes"

    def __init__(self, error, frames):
        self.error, self.frames = error, frames

    def __call__(self, frames):
        for frame in frames:
            if frame.camera == "bad" and frame.index in self.frames and frame.image[0, 0, 0] != 114:
                raise self.error
        return [Detections.from_arrays([[10 + 2 * f.index, 30, 42 + 2 * f.index, 120]], [0.9]) for f in frames]


@pytest.fixture
def config(scene):
    return scene.config(scene.camera("bad", [0]), scene.camera("good", [0]))


@pytest.mark.parametrize("error", ERRORS)
def test_one_bad_frame_is_passed_over(config, tmp_path, error):
    with Pipeline(config, detector=Boxes(error, {7, 20})) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.failed == []
    assert summary.cameras["bad"].frames == 38
    assert summary.cameras["bad"].drops == {REASON: 2}
    assert summary.cameras["good"].frames == 40
    assert summary.cameras["good"].drops == {}


def test_frames_that_keep_failing_end_their_camera_with_the_reason(config, tmp_path):
    with Pipeline(config, detector=Boxes(ValueError("cannot reshape"), range(10, 40))) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.failed == ["bad"]
    assert "ValueError: cannot reshape" in summary.cameras["bad"].error
    assert "frames failed one after the other" in summary.cameras["bad"].error
    assert summary.cameras["bad"].frames == 10
    assert summary.cameras["good"].frames == 40


def test_the_other_camera_has_the_results_that_it_has_alone(config, tmp_path):
    for name, frames in (("with", {3, 4, 15}), ("without", set())):
        with Pipeline(config, detector=Boxes(ValueError("x"), frames)) as pipeline:
            run(pipeline, tmp_path / name)
    assert (tmp_path / "with" / "mot" / "good.txt").read_text() == (
        tmp_path / "without" / "mot" / "good.txt"
    ).read_text()


@pytest.mark.parametrize("stage", ["roi", "motion", "embed", "track", "observe", "result"])
def test_every_stage_of_a_camera(config, colours, tmp_path, monkeypatch, stage):
    """What fails for one camera only, wherever that is."""
    pipeline = Pipeline(config, detector=Boxes(None, ()), embedder=colours)

    def failing(function, bad):
        def call(*args, **options):
            if bad(*args):
                raise ValueError(f"no code expected this in {stage}")
            return function(*args, **options)

        return call

    def of_frame(frame, *_):
        return frame.camera == "bad"

    if stage == "roi":
        monkeypatch.setattr(pipeline.cameras, "roi", failing(pipeline.cameras.roi, lambda name: name == "bad"))
    elif stage == "motion":
        monkeypatch.setattr(
            CameraMotionEstimators,
            "__call__",
            failing(CameraMotionEstimators.__call__, lambda _, frame, *__: of_frame(frame)),
        )
    elif stage == "embed":
        monkeypatch.setattr(
            pipeline.perception,
            "embedder",
            failing(colours, lambda frames, _: any(f.camera == "bad" and f.image[0, 0, 0] != 114 for f in frames)),
        )
    elif stage == "track":
        tracker = pipeline.tracking.trackers["bad"]
        monkeypatch.setattr(tracker, "update", failing(tracker.update, lambda *_: True))
    elif stage == "observe":
        associator = pipeline.site.associator
        monkeypatch.setattr(associator, "observe", failing(associator.observe, lambda camera, *_: camera == "bad"))
    else:
        associator = pipeline.site.associator
        monkeypatch.setattr(associator, "link", failing(associator.link, lambda camera, _: camera == "bad"))
    with pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.cameras["good"].frames == 40
    assert summary.cameras["good"].error is None
    assert summary.failed == ["bad"]
    assert stage in summary.cameras["bad"].error


def test_models_that_fail_on_everything_blame_no_camera(config, tmp_path):
    class Broken(Boxes):
        def __call__(self, frames):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with (
        Pipeline(config, detector=Broken(None, ())) as pipeline,
        pytest.raises(EngineError, match=r"any picture.*illegal memory"),
    ):
        run(pipeline, tmp_path / "out")


@pytest.mark.parametrize(
    "box", [[np.nan] * 4, [1e30, -1e30, 1e38, 1e30], [50, 50, 50, 50], [60, 60, 10, 10], [-5e3, -5e3, 5e4, 5e4]]
)
def test_boxes_that_are_none(config, colours, tmp_path, box):
    class Odd(Boxes):
        def __call__(self, frames):
            found = super().__call__(frames)
            return [
                Detections.from_arrays([*d.boxes.tolist(), box], [0.9, 0.9]) if f.camera == "bad" else d
                for f, d in zip(frames, found, strict=True)
            ]

    with Pipeline(
        config.model_copy(update={"output": config.output}), detector=Odd(None, ()), embedder=colours
    ) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.cameras["good"].frames == 40


def test_a_camera_that_decodes_into_nonsense_fails_alone(config, tmp_path, monkeypatch):
    from streamreid.sources import video

    read = video.VideoFileSource.__iter__

    def broken(self):
        for frame in read(self):
            if self.camera == "bad" and frame.index == 5:
                raise ValueError("buffer size must be a multiple of element size")
            yield frame

    monkeypatch.setattr(video.VideoFileSource, "__iter__", broken)
    with Pipeline(config, detector=Boxes(None, ())) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.cameras["bad"].frames == 5
    assert "buffer size" in summary.cameras["bad"].error
    assert summary.cameras["good"].frames == 40


def test_a_run_whose_only_camera_fails_says_why(scene, tmp_path):
    config = scene.config(scene.camera("bad", [0]))
    with (
        Pipeline(config, detector=Boxes(ValueError("x"), range(40))) as pipeline,
        pytest.raises(SourceError, match="ValueError: x"),
    ):
        run(pipeline, tmp_path / "out")
