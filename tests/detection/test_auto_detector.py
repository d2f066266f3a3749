"""``detector: auto``: the Apache-2.0 detector, or the named alternative with a word about its licence."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from streamreid import weights
from streamreid.config import DetectorConfig
from streamreid.detection import auto_detector as auto
from streamreid.detection import detector_checksum, open_detector
from streamreid.detection.profiles import PLAIN_SCORES, ScoreScale
from streamreid.errors import WeightsError, WeightsUnavailableError


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any file, on which fetching reaches nothing."""
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


class Origin:
    """Where names can be fetched from."""

    def __init__(self, *names: str) -> None:
        self.names, self.asked = names, list[str]()

    def __call__(self, name: str) -> Path:
        self.asked.append(name)
        if name not in self.names:
            raise WeightsUnavailableError(f"1 file is missing and cannot be fetched: {name}.org: no route\n  more")
        return Path(f"{name}.onnx")


def test_auto_is_free_to_use() -> None:
    (w,) = weights.entries(auto.PREFERRED)
    assert w.licence == "Apache-2.0"


def test_the_alternative_is_said_in_one_line(machine: Path, caplog: pytest.LogCaptureFixture) -> None:
    origin = Origin("yolo11n")
    assert auto.auto_detector(origin) == Path("yolo11n.onnx")
    assert origin.asked == ["yolox-nano", "yolo11n"]
    (line,) = caplog.messages
    for word in ("yolox-nano (Apache-2.0)", "yolox-nano.org: no route", "yolo11n", "AGPL-3.0", "--detector yolox-nano"):
        assert word in line
    assert "\n" not in line


def test_nothing_is_said_where_it_can_be_fetched(machine: Path, caplog: pytest.LogCaptureFixture) -> None:
    origin = Origin("yolox-nano", "yolo11n")
    assert auto.auto_detector(origin) == Path("yolox-nano.onnx")
    assert origin.asked == ["yolox-nano"]
    assert not caplog.messages


def test_neither_names_both(machine: Path) -> None:
    with pytest.raises(WeightsUnavailableError, match=r"(?s)yolox-nano\.org.*yolo11n\.org"):
        auto.auto_detector(Origin())


def test_a_failed_fetch_is_not_repeated_at_every_start(
    machine: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known = machine / "yolo11n.onnx"
    monkeypatch.setattr(weights, "find", lambda name: known if name == "yolo11n" else None)
    origin = Origin()
    assert auto.auto_detector(origin) == auto.auto_detector(origin) == known
    assert origin.asked == ["yolox-nano"]
    assert len(caplog.messages) == 2  # it is said every time
    (marker,) = machine.glob(".*.failed")
    os.utime(marker, (0, time.time() - 7200))
    assert auto.auto_detector(Origin("yolox-nano")) == Path("yolox-nano.onnx")
    assert not marker.exists()


def test_a_named_detector_is_never_replaced(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREID_OFFLINE", "1")
    with pytest.raises(WeightsUnavailableError, match="yolox-nano"):
        open_detector(DetectorConfig(model="yolox-nano"))
    with pytest.raises(WeightsUnavailableError, match=r"(?s)yolox-nano.*yolo11n"):
        open_detector(DetectorConfig(model=auto.AUTO))
    assert not list(machine.glob(".*.failed"))  # nothing was tried


def test_a_changed_file_is_no_reason_for_another_detector(machine: Path) -> None:
    (machine / "yolox_nano.onnx").write_bytes(b"changed")
    with pytest.raises(WeightsError, match="wrong checksum"):
        auto.auto_detector(Origin("yolo11n"))
    assert detector_checksum(DetectorConfig(model=auto.AUTO)) is None


def test_the_real_files(machine: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREID_OFFLINE", "1")
    for name, file in (("yolo11n", "yolo11n.onnx"), ("yolox-nano", "yolox_nano.onnx")):
        (machine / file).symlink_to(shared / "data" / "weights" / file)
        assert detector_checksum(DetectorConfig(model=auto.AUTO)) == weights.entries(name)[0].sha256
        assert open_detector(DetectorConfig(model=auto.AUTO)).name == Path(file).stem


@pytest.mark.parametrize("scale", [PLAIN_SCORES, ScoreScale(1.3, -0.8)])
def test_scores_go_there_and_back(scale: ScoreScale) -> None:
    import numpy as np

    scores = np.array([0.02, 0.1, 0.5, 0.9, 0.999], np.float32)
    common = scale(scores)
    assert (np.diff(common) > 0).all()
    assert [scale.raw(float(s)) for s in common] == pytest.approx(scores.tolist(), rel=1e-3)
    assert (scale.raw(0.0), scale.raw(1.0)) == (0.0, 1.0)
