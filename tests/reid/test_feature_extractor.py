"""FeatureExtractor gives for pictures what a run gives for the same crops."""

import cv2
import numpy as np
import pytest

from streamreid import FeatureExtractor
from streamreid.cache.reader import read_frames
from streamreid.config import Config
from streamreid.errors import ConfigError, EngineError, SourceError
from streamreid.pipeline import Pipeline
from streamreid.types import PartFeatures

BOXES = [(10, 20, 50, 120), (100, 5, 171, 238), (200, 60, 217, 101)]


def picture(height=240, width=320, seed=0):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (width, height))


@pytest.fixture
def engine(make_bundle):
    return make_bundle().folder


@pytest.fixture
def extract(engine):
    with FeatureExtractor(engine, runtime="onnxruntime", precision="fp32", batch=2) as extractor:
        yield extractor


def same(a, b):
    assert isinstance(a, PartFeatures)
    np.testing.assert_array_equal(a.parts, b.parts)
    np.testing.assert_array_equal(a.visibility, b.visibility)


def test_features_are_those_of_a_run(engine, extract, tmp_path):
    frame = picture()
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "000001.png"), frame)
    rows = [f"1,-1,{a},{b},{c - a},{d - b},0.9,-1,-1,-1\n" for a, b, c, d in BOXES]
    (tmp_path / "frames.txt").write_text("".join(rows))
    settings = {"model": str(engine), "runtime": "onnxruntime", "precision": "fp32", "batch": 2, "min_height": 0}
    config = {
        "cameras": [{"name": "frames", "uri": str(tmp_path / "frames"), "fps": 10}],
        "detector": {"model": f"mot:{tmp_path}"},
        "engine": settings,
    }
    with Pipeline(Config.from_dict(config), cache=tmp_path / "cache") as pipeline:
        assert len(list(pipeline)) == 1
    (stored,) = read_frames(tmp_path / "cache")
    crops = [frame[top:bottom, left:right] for left, top, right, bottom in stored.detections.boxes.astype(int)]
    same(extract(crops), stored.features)


def test_paths_arrays_lists_and_batches_are_one(extract, tmp_path):
    images = [picture(120, 50, 1), picture(80, 40, 2), picture(300, 90, 3)]
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    known = extract(images)
    assert (len(known), known.shape) == (3, (len(extract.parts), extract.dim))
    same(extract([str(paths[0]), images[1], paths[2]]), known)
    same(extract(iter(images)), known)
    same(extract(paths[0]), known[:1])
    same(extract(images[1]), known[1:2])
    same(extract(np.stack([images[0]] * 5)), PartFeatures.concatenate([known[:1]] * 5))
    assert extract([]).shape == known.shape


def test_the_order_of_channels_is_stated(extract, tmp_path):
    image = picture(120, 50)
    known = extract(image)
    same(extract(image[:, :, ::-1], color="rgb"), known)
    assert not np.array_equal(extract(image[:, :, ::-1]).parts, known.parts)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    same(extract(tmp_path / "a.png", color="rgb"), known)
    grey = image[:, :, 0]
    same(extract(grey), extract(np.dstack([grey] * 3)))


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ("gone.jpg", SourceError, "gone.jpg' cannot be read: No such file"),
        (__file__, SourceError, "not a picture"),
        (".", SourceError, "is a folder"),
        (
            [np.zeros((9, 9, 3), np.uint8), np.zeros((3, 256, 128), np.uint8)],
            ValueError,
            r"picture 1: .*\[3, 256, 128\]",
        ),
        (np.zeros((64, 32, 3), np.float32), ValueError, "got float32"),
        (np.zeros((0, 32, 3), np.uint8), ValueError, r"\[0, 32, 3\]"),
        ([None], ValueError, "got NoneType"),
    ],
)
def test_what_is_no_picture_is_named(extract, wrong, error, says):
    with pytest.raises(error, match=says):
        extract(wrong)


def test_wrong_settings_are_named(engine):
    with pytest.raises(ConfigError, match="runtime"):
        FeatureExtractor(engine, runtime="onnx")
    with pytest.raises(ConfigError, match="'none' gives no features"):
        FeatureExtractor("none")
    with pytest.raises(EngineError, match="unknown engine 'pab'"):
        FeatureExtractor("pab")


def test_a_closed_one_says_so(engine):
    with FeatureExtractor(engine) as extract:
        extract(picture())
    with pytest.raises(EngineError, match="is closed"):
        extract(picture())
    extract.close()
