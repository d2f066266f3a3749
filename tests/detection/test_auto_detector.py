"""``detector: auto``: the detector that comes with streamreid, which is Apache-2.0 and needs no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from streamreid import weights, weights_registry
from streamreid.cli import app
from streamreid.config import DetectorConfig
from streamreid.detection import auto_detector as auto
from streamreid.detection import detector_checksum, open_detector
from streamreid.drawn_people import drawn_scene
from streamreid.errors import DetectorError, WeightsError, WeightsUnavailableError
from streamreid.types import Frame


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any fetched file, on which fetching is forbidden."""
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STREAMREID_OFFLINE", "1")
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def test_auto_is_free_to_use_and_here(machine: Path) -> None:
    (w,) = weights.entries(auto.PREFERRED)
    assert w.licence == "Apache-2.0"
    assert auto.auto_detector() == auto.find_auto_detector() == w.path
    assert w.size == w.path.stat().st_size < 4_000_000
    assert detector_checksum(DetectorConfig(model=auto.AUTO)) == w.sha256
    assert [p.name for p in w.path.parent.glob(".*")] == []  # nothing is written beside it


def test_it_finds_people_at_any_size(machine: Path) -> None:
    detector = open_detector(DetectorConfig(model=auto.AUTO, runtime="onnxruntime"))
    assert (detector.name, detector.layout) == ("person-nano", "yolox")  # type: ignore[attr-defined]
    scene = drawn_scene((640, 480))
    found = detector([Frame("a", 0, 0.0, scene.image)])[0]
    assert 3 <= int((found.scores > 0.5).sum()) <= len(scene.boxes)


def test_it_is_yolox_nano_of_one_class(machine: Path, shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    published, made = shared / "data" / "weights" / "yolox_nano.onnx", tmp_path / "made.onnx"
    done = CliRunner().invoke(app, ["detector", "one-class", str(published), "--out", str(made)])
    assert done.exit_code == 0, done.output
    assert weights.sha256_file(made) == weights.entries(auto.PREFERRED)[0].sha256
    image = drawn_scene((640, 480)).image
    both = [
        open_detector(DetectorConfig(model=str(m), size=416, runtime="onnxruntime"))([Frame("a", 0, 0.0, image)])[0]
        for m in (published, made)
    ]
    assert len(both[0].scores) == len(both[1].scores) > 0
    np.testing.assert_allclose(both[0].boxes, both[1].boxes, atol=1.0)  # weights are rounded to float16
    np.testing.assert_allclose(both[0].scores, both[1].scores, atol=0.02)


def test_what_cannot_be_cut_is_refused(tmp_path: Path, shared: Path) -> None:
    pytest.importorskip("onnx")
    other, out = shared / "data" / "weights" / "yolo11n.onnx", tmp_path / "x.onnx"
    for model, options, words in (
        (tmp_path / "none.onnx", [], "no such file"),
        (other, [], "not a YOLOX graph"),
        (shared / "data" / "weights" / "yolox_nano.onnx", ["--class", "80"], "there is no class 80"),
    ):
        done = CliRunner().invoke(app, ["detector", "one-class", str(model), "--out", str(out), *options])
        assert isinstance(done.exception, DetectorError)
        assert words in str(done.exception)
    assert not out.exists()


def test_a_named_detector_is_never_replaced(machine: Path) -> None:
    with pytest.raises(WeightsUnavailableError, match="yolox-nano"):
        open_detector(DetectorConfig(model="yolox-nano"))


def test_a_changed_or_missing_file_says_so(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_registry, "shipped_folder", lambda: tmp_path)
    assert auto.find_auto_detector() is None
    with pytest.raises(WeightsUnavailableError, match="install streamreid again"):
        auto.auto_detector()
    (tmp_path / "person-nano").mkdir()
    (tmp_path / "person-nano" / "person-nano.onnx").write_bytes(b"changed")
    with pytest.raises(WeightsError, match="wrong checksum"):
        auto.auto_detector()
    assert detector_checksum(DetectorConfig(model=auto.AUTO)) is None
