"""Features of a known engine: right values for any batch, mix of cameras and bad boxes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.reid import BlindEmbedder, Bundle, Calibration, Embedder, EngineEmbedder, write_bundle
from streamreid.types import Detections, Frame

RUNTIMES = ["openvino", "onnxruntime"]


def settings(**values: object) -> EngineConfig:
    return EngineConfig.model_validate({"precision": "fp32", "min_height": 0, **values})


def expected(crop: np.ndarray, parts: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The tiny engine of conftest.py in numpy."""
    rng = np.random.default_rng(5)
    weights, visible = (
        rng.normal(size=(3, parts * dim)).astype(np.float32),
        rng.normal(size=(3, parts)).astype(np.float32),
    )
    small = cv2.resize(crop, (32, 64), interpolation=cv2.INTER_LINEAR)[..., ::-1].astype(np.float64)
    mean = (small * [0.01, 0.02, 0.03] + [-0.5, 0.1, 0.0]).mean(axis=(0, 1))
    features = (mean @ weights).reshape(parts, dim)
    return features / np.linalg.norm(features, axis=1, keepdims=True), 1 / (1 + np.exp(-(mean @ visible)))


def crowd(count: int, seed: int = 0) -> tuple[list[Frame], list[Detections]]:
    """``count`` people over three cameras of different sizes."""
    rng = np.random.default_rng(seed)
    frames, detections = [], []
    for number, (w, h) in enumerate([(320, 240), (200, 300), (640, 360)]):
        image = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (w, h), interpolation=cv2.INTER_NEAREST)
        frames.append(Frame(f"c{number}", 0, 0.0, image))
        mine = len(range(number, count, 3))
        corner = rng.uniform(0, [w / 2, h / 2], (mine, 2))
        detections.append(
            Detections.from_arrays(np.concatenate([corner, corner + rng.uniform(20, 100, (mine, 2))], axis=1))
        )
    return frames, detections


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("count", [0, 1, 33])
def test_values_for_any_batch(make_bundle, runtime: str, count: int) -> None:
    embedder = EngineEmbedder(make_bundle(), settings(runtime=runtime, batch=8))
    assert isinstance(embedder, Embedder)
    assert (embedder.parts, embedder.dim) == (("foreground", "head", "legs"), 16)
    assert embedder.calibration == Calibration(8.0, -4.0, "test")
    frames, detections = crowd(count)
    results = embedder(frames, detections)
    assert [len(r) for r in results] == [len(d) for d in detections]
    for frame, found, features in zip(frames, detections, results, strict=True):
        assert features.shape == (3, 16)
        for row, box in enumerate(found.boxes):
            x1, y1, x2, y2 = np.rint(np.clip(box, 0, [*frame.size, *frame.size])).astype(int)
            parts, visibility = expected(frame.image[y1:y2, x1:x2], 3, 16)
            np.testing.assert_allclose(features.parts[row], parts, atol=1e-4)
            np.testing.assert_allclose(features.visibility[row], visibility, atol=1e-4)


@pytest.mark.parametrize("form", ["flat", "map"])
def test_a_global_model_is_one_part_that_is_always_visible(make_bundle, form: str) -> None:
    embedder = EngineEmbedder(make_bundle(parts=1, form=form), settings())
    frames, detections = crowd(5)
    for features in embedder(frames, detections):
        assert features.shape == (1, 16)
        np.testing.assert_allclose(np.linalg.norm(features.parts, axis=2), 1, atol=1e-5)
        assert (features.visibility == 1).all()


def test_boxes_that_cannot_be_looked_at_have_visibility_0(make_bundle) -> None:
    embedder = EngineEmbedder(make_bundle(), settings(min_height=30))
    (frame, *_), _ = crowd(0)
    boxes = [
        [10, 10, 50, 90],
        [np.nan, 0, 9, 9],
        [400, 10, 500, 90],
        [10, 10, 50, 30],
        [5, 5, 5, 99],
        [20, 20, 60, 120],
    ]
    (features,) = embedder([frame], [Detections.from_arrays(boxes)])
    assert (features.visibility.max(axis=1) > 0).tolist() == [True, False, False, False, False, True]
    assert (np.abs(features.parts[1:5]) == 0).all()
    (alone,) = embedder([frame], [Detections.from_arrays(boxes[5:])])
    np.testing.assert_allclose(features.parts[5], alone.parts[0], atol=1e-5)


def test_both_runtimes_agree(make_bundle) -> None:
    bundle = make_bundle()
    a, b = (EngineEmbedder(bundle, settings(runtime=r))(*crowd(20)) for r in RUNTIMES)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x.parts, y.parts, atol=1e-5)
        np.testing.assert_allclose(x.visibility, y.visibility, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_weights_stored_as_float16(make_bundle, engine_graph, tmp_path, runtime: str) -> None:
    full = make_bundle()
    half = write_bundle(
        tmp_path / "half", full.manifest, {"model.onnx": engine_graph(tmp_path / "half.onnx", half=True)}
    )
    assert half.fingerprint != full.fingerprint
    a, b = (EngineEmbedder(bundle, settings(runtime=runtime))(*crowd(6)) for bundle in (full, half))
    for x, y in zip(a, b, strict=True):
        assert ((x.parts * y.parts).sum(axis=2) > 0.999).all()


def test_a_feature_that_is_not_a_number_is_not_visible(make_bundle, engine_graph, tmp_path) -> None:
    import onnx
    from onnx import helper

    model = onnx.load(engine_graph(tmp_path / "x.onnx"))
    # 0 / 0 where the picture is black and the bias is 0
    model.graph.node[-3].output[0] = "plain"
    model.graph.node.insert(len(model.graph.node) - 2, helper.make_node("Div", ["plain", "plain"], ["features"]))
    onnx.save(model, tmp_path / "x.onnx")
    good = make_bundle()
    plain = good.manifest.model_copy(update={"input": good.manifest.input.model_copy(update={"bias": (0.0, 0.0, 0.0)})})
    embedder = EngineEmbedder(
        write_bundle(tmp_path / "nan", plain, {"model.onnx": tmp_path / "x.onnx"}), settings(runtime="onnxruntime")
    )
    features = embedder.embed(np.stack([np.zeros((64, 32, 3), np.uint8), np.full((64, 32, 3), 99, np.uint8)]))
    assert np.isfinite(features.parts).all()
    assert (features.visibility[0] == 0).all()
    assert (features.visibility[1] > 0).all()


class TestWrongPromises:
    def test_dimension(self, make_bundle) -> None:
        good = make_bundle()
        wrong = Bundle(good.folder, good.manifest.model_copy(update={"dim": 17}))
        with pytest.raises(EngineError, match=r"gave \[1, 3, 16\].*promises 3 parts of 17 values"):
            EngineEmbedder(wrong, settings())

    def test_output_name(self, make_bundle) -> None:
        bundle = make_bundle(outputs={"parts": "embedding", "visibility": "visibility"})
        with pytest.raises(EngineError, match=r"no output 'embedding'; it has: features, visibility"):
            EngineEmbedder(bundle, settings())

    def test_visibility(self, make_bundle) -> None:
        bundle = make_bundle(outputs={"parts": "features", "visibility": "features"})
        with pytest.raises(EngineError, match="visibility output gave"):
            EngineEmbedder(bundle, settings())

    @pytest.mark.parametrize("runtime", RUNTIMES)
    def test_size(self, make_bundle, runtime: str) -> None:
        bundle = make_bundle(input={"height": 32, "width": 32, "color": "rgb", "scale": (1, 1, 1), "bias": (0, 0, 0)})
        with pytest.raises(EngineError, match=r"model\.onnx.*\[1, 3, 32, 32\]"):
            EngineEmbedder(bundle, settings(runtime=runtime))


def test_blind() -> None:
    embedder = BlindEmbedder()
    assert isinstance(embedder, Embedder)
    frames, detections = crowd(7)
    for found, features in zip(detections, embedder(frames, detections), strict=True):
        assert len(features) == len(found)
        assert (features.visibility == 0).all()
    assert embedder.calibration.probability([0.0, 0.9]).tolist() == [0.5, 0.5]


def test_calibration_is_the_logistic_function() -> None:
    calibration = Calibration(10.0, -5.0)
    np.testing.assert_allclose(calibration.probability([[0.5, 0.6]]), [[0.5, 1 / (1 + np.exp(-1.0))]])
    assert Calibration(1e6, 0.0).probability([-1.0, 1.0]).tolist() == pytest.approx([0.0, 1.0])
