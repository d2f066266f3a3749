"""Detector and engine that were opened early are used where they are the configured ones, and only there."""

import pytest

from streamreid.config import Config
from streamreid.errors import DetectorError
from streamreid.pipeline.models import OpeningModels
from streamreid.reid import BlindEmbedder


class Nobody:
    name = fingerprint = "nobody"

    def __call__(self, frames):
        raise NotImplementedError


def configured(*sources, model="mot:boxes", engine="none"):
    return Config.from_sources(*sources, detector={"model": model}, engine={"model": engine})


@pytest.mark.parametrize(
    ("other", "fit"),
    [
        (configured("a.mp4"), True),
        (configured("a.mp4", "b.mp4"), True),  # a camera that was added in an earlier run
        (configured("a.mp4", model="yolo11n"), False),
        (configured("a.mp4", engine="auto"), False),
    ],
)
def test_models_fit_what_they_were_opened_for(other, fit):
    models = OpeningModels(configured("a.mp4"), detector=Nobody(), embedder=BlindEmbedder())
    assert models.fit(other) == fit


def test_cameras_with_boxes_of_their_own_decide_which_detector_is_needed():
    with_pictures = configured("a.mp4", model="yolo11n")
    models = OpeningModels(with_pictures, detector=Nobody(), embedder=BlindEmbedder())
    assert models.fit(with_pictures)
    assert not models.fit(configured("a.mp4", "boxes.txt", model="yolo11n"))


def test_what_cannot_be_opened_is_told_when_it_is_taken(tmp_path):
    models = OpeningModels(configured("a.mp4", model=f"mot:{tmp_path / 'missing'}"), embedder=BlindEmbedder())
    with pytest.raises(DetectorError, match="missing"):
        models.take()
