"""Ultralytics models: the real package where it is installed, and what is said where it is not."""

from __future__ import annotations

import builtins
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from streamreid.config import DetectorConfig
from streamreid.detection import open_detector
from streamreid.errors import DetectorError, MissingExtraError
from streamreid.types import Frame

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs the extra 'ultralytics'"
)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.pt").write_bytes(b"weights")
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "ultralytics":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"m\.pt needs the package 'ultralytics'.*streamreid\[ultralytics\]"):
        open_detector(DetectorConfig(model=str(tmp_path / "m.pt")))


@needs_package
def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"weights")
    with pytest.raises(DetectorError, match=r"m\.pt: Ultralytics cannot load it"):
        open_detector(DetectorConfig(model=str(tmp_path / "m.pt")))


@needs_package
@pytest.mark.slow
def test_boxes_do_not_depend_on_the_company(tmp_path: Path) -> None:
    import torch
    from ultralytics import YOLO

    torch.manual_seed(0)
    model = YOLO("yolo11n.yaml", verbose=False)
    model.save(str(tmp_path / "m.pt"))
    detector = open_detector(
        DetectorConfig(model=str(tmp_path / "m.pt"), confidence=0.0, size=64, classes=tuple(range(80)), batch=2)
    )
    rng = np.random.default_rng(0)
    sizes = [(64, 48), (48, 64), (64, 48), (64, 48)]
    frames = [Frame(f"c{i}", 0, 0.0, rng.integers(0, 255, (h, w, 3), dtype=np.uint8)) for i, (w, h) in enumerate(sizes)]
    together = detector(frames)
    assert sum(len(d) for d in together) > 0
    for frame, found in zip(frames, together, strict=True):
        (alone,) = detector([frame])
        assert len(alone) == len(found)
        np.testing.assert_allclose(np.sort(found.boxes, axis=0), np.sort(alone.boxes, axis=0), atol=0.5)
        assert (found.boxes <= [*frame.size, *frame.size]).all()
    assert len(detector.fingerprint) == 64
