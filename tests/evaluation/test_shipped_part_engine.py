"""The shipped part engine: small enough, the same on both runtimes, and it tells covered parts from seen ones."""

from pathlib import Path

import numpy as np
import pytest

from streamreid.config import EngineConfig
from streamreid.reid.bundle import load_bundle
from streamreid.reid.embedder import EngineEmbedder

BUNDLE = Path(__file__).resolve().parent.parent.parent / "engines" / "pab-osnet-small"


@pytest.mark.slow
def test_both_runtimes_agree_and_parts_are_six() -> None:
    bundle = load_bundle(BUNDLE)
    assert bundle.manifest.parts == ("foreground", "head", "torso", "arms", "legs", "feet")
    assert bundle.model.stat().st_size <= 12e6
    crops = np.random.default_rng(0).integers(0, 256, (3, 256, 128, 3)).astype(np.uint8)
    a, b = (
        EngineEmbedder(bundle, EngineConfig(runtime=r, precision="fp32")).embed(crops)
        for r in ("onnxruntime", "openvino")
    )
    assert (a.parts * b.parts).sum(-1).min() > 0.999
    np.testing.assert_allclose(a.visibility, b.visibility, atol=5e-3)
    assert ((a.visibility >= 0) & (a.visibility <= 1)).all()


@pytest.mark.slow
def test_covered_legs_are_less_visible_than_seen_ones(shared: Path) -> None:
    import cv2

    engine = EngineEmbedder(load_bundle(BUNDLE), EngineConfig(precision="fp32"))
    paths = sorted((shared / "data" / "reid" / "cuhk01" / "query").glob("*.jpg"))[:20]
    crops = np.stack([cv2.resize(cv2.imread(str(p)), (128, 256)) for p in paths])
    covered = crops.copy()
    covered[:, 128:] = 110
    seen, hidden = engine.embed(crops).visibility.mean(0), engine.embed(covered).visibility.mean(0)
    assert seen[1:5].min() > 0.5
    assert hidden[4] < 0.5 * seen[4]
    assert hidden[1] > 0.7 * seen[1]


@pytest.mark.slow
def test_the_grader_tells_the_covered_side(shared: Path) -> None:
    import cv2
    import onnxruntime as ort

    from streamreid.datasets.occlusion import SIDES, Occlusion, cover
    from streamreid.evaluation.papers.occlusion_unification import grade

    bundle = load_bundle(BUNDLE)
    graph = ort.InferenceSession(str(bundle.model), providers=["CPUExecutionProvider"])
    paths = sorted((shared / "data" / "reid" / "cuhk01" / "query").glob("*.jpg"))[:12]
    crops = [cv2.resize(cv2.imread(str(p)), (128, 256)) for p in paths]
    patch = np.random.default_rng(0).integers(90, 130, (16, 8, 3)).astype(np.uint8)

    def scores(pictures: list[np.ndarray]) -> np.ndarray:
        images = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32)
        found: np.ndarray = graph.run([bundle.manifest.outputs.extra["occlusion"]], {"images": images})[0]
        return found

    whole = scores(crops)
    np.testing.assert_allclose(whole.sum(1), 1, atol=1e-4)
    assert (grade(whole) == 0).mean() >= 0.75
    for number, side in enumerate(SIDES):
        covered = scores([cover(c, patch, Occlusion(side, 0.5))[0] for c in crops])
        assert (covered.argmax(1) == number).mean() >= 0.75, side
