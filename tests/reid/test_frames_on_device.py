"""A runtime that cuts people out of frames by itself gets frames and boxes, and gives what the CPU path gives."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from streamreid.config import EngineConfig
from streamreid.reid import EngineEmbedder
from streamreid.runtimes import load_runtime
from streamreid.types import Detections, Frame


class OnDevice:
    """A CPU runtime that does the cutting itself and remembers what it was asked."""

    def __init__(self, inner, size: tuple[int, int], able: bool) -> None:
        self._inner, self._size, self.takes_frames = inner, size, able
        self.name, self.precision, self.metadata = inner.name, inner.precision, inner.metadata
        self.inputs, self.outputs = inner.inputs, inner.outputs
        self.asked: list[int] = []

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._inner(batch)

    def from_frames(self, frames: Sequence[np.ndarray], which: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
        self.asked.append(len(boxes))
        crops = [
            cv2.resize(frames[n][y1:y2, x1:x2], self._size[::-1])
            for n, (x1, y1, x2, y2) in zip(which, boxes, strict=True)
        ]
        return self._inner(np.stack(crops))


@pytest.mark.parametrize("able", [True, False])
def test_frames_go_to_the_device_where_it_takes_them(make_bundle, able: bool) -> None:
    bundle = make_bundle()
    form = bundle.manifest.input
    inner = load_runtime(bundle.model, runtime="onnxruntime", precision="fp32", image=form.image())
    config = EngineConfig(batch=4, min_height=10)
    runtime = OnDevice(inner, (form.height, form.width), able)
    on_device, on_cpu = EngineEmbedder(bundle, config, runtime=runtime), EngineEmbedder(bundle, config, runtime=inner)
    rng = np.random.default_rng(0)
    frames = [Frame(str(i), 0, 0.0, rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)) for i in range(3)]
    corner = rng.uniform(-20, 90, (3, 5, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (3, 5, 2))], 2)
    boxes[1, 2] = np.nan
    found = [Detections.from_arrays(b) for b in boxes]
    for a, b in zip(on_device(frames, found), on_cpu(frames, found), strict=True):
        np.testing.assert_allclose(a.parts, b.parts, atol=1e-5)
        np.testing.assert_allclose(a.visibility, b.visibility, atol=1e-5)
    assert bool(runtime.asked) == able
    assert all(count <= 4 for count in runtime.asked)
    assert on_device(frames, [Detections.empty()] * 3)[0].parts.shape == (0, 3, 16)
