"""A detector built into a bundle finds the reference's boxes and is used like any other detector."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.compiling.build import BuildOptions
from streamreid.config import DetectorConfig
from streamreid.detection import detector_checksum, open_detector
from streamreid.detection.bundle import load_detector_bundle
from streamreid.detection.detector_build import build_detector, compare_boxes, detector_frames, verify_detector
from streamreid.errors import DataError, DetectorError, EngineError
from streamreid.types import Detections, Frame

SAME = Detections.from_arrays([[0, 0, 10, 20], [30, 0, 40, 20]])


@pytest.mark.parametrize(
    ("found", "score"),
    [
        (SAME, 1.0),
        (SAME[::-1], 1.0),
        (Detections.from_arrays([[0, 0, 10, 21], [30, 0, 40, 20]]), 1.0),
        (SAME[:1], 2 / 3),
        (Detections.from_arrays([[0, 0, 10, 20], [0, 0, 10, 20]]), 0.5),  # one box may match once
        (Detections.from_arrays([[0, 10, 10, 30]]), 0.0),
        (Detections.empty(), 0.0),
    ],
)
def test_agreement_of_boxes(found, score):
    assert compare_boxes([SAME], [found]) == pytest.approx(score)
    assert compare_boxes([Detections.empty()], [Detections.empty()]) == 1.0


@pytest.fixture(scope="module")
def original(shared: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("detector") / "out"
    return build_detector(
        str(shared / "data" / "weights" / "yolo11n.onnx"), out, BuildOptions("onnxruntime", "fp32", 2), size=160
    )


class TestBundle:
    @pytest.fixture
    def built(self, original, shared: Path, tmp_path: Path):
        shutil.copytree(original[0].folder, tmp_path / "copy")
        return shared / "data" / "weights" / "yolo11n.onnx", load_detector_bundle(tmp_path / "copy"), original[1]

    def test_it_is_used_like_the_model(self, built, shared: Path):
        model, bundle, record = built
        assert record.parity.passed
        assert record.parity.batches == (1, 2, 3)
        assert bundle.manifest.metadata["task"] == "detect"
        config = DetectorConfig(model=str(bundle.folder), size=320, runtime="onnxruntime", precision="fp32")
        image = cv2.imread(str(next((shared / "data" / "mot" / "MOT17-mini").rglob("*.jpg"))))
        frame = Frame("a", 0, 0.0, np.asarray(image, np.uint8))
        detector = open_detector(config)
        assert detector.name == "yolo11n"
        (found,) = detector([frame])
        (wanted,) = open_detector(config.model_copy(update={"model": str(model)}))([frame])
        assert len(found) > 0
        np.testing.assert_array_equal(found.boxes, wanted.boxes)
        assert detector_checksum(config) == detector_checksum(config.model_copy(update={"model": str(model)}))

    def test_damage_is_named(self, built):
        _, bundle, _ = built
        bundle.model.write_bytes(bundle.model.read_bytes()[:-10])
        with pytest.raises(DetectorError, match=r"'model\.onnx' is not the file that bundle\.json describes"):
            open_detector(DetectorConfig(model=str(bundle.folder)))
        assert detector_checksum(DetectorConfig(model=str(bundle.folder))) is None

    def test_a_swapped_graph_with_a_right_checksum_is_found(self, built):
        _, bundle, record = built
        file = bundle.folder / "bundle.json"
        content = json.loads(file.read_text())
        content["builds"][record.key]["weights"] = "0" * 64
        file.write_text(json.dumps(content))
        with pytest.raises(DetectorError, match="was compiled from another graph than the one beside it"):
            verify_detector(load_detector_bundle(bundle.folder), record.key)

    def test_what_was_not_built(self, built):
        with pytest.raises(EngineError, match="holds no 'openvino/bf16'; it holds: onnxruntime/fp32"):
            verify_detector(built[1], "openvino/bf16")


def test_what_is_no_bundle(tmp_path: Path):
    with pytest.raises(DetectorError, match=r"no bundle\.json in it; build one with: streamreid build-engine"):
        open_detector(DetectorConfig(model=str(tmp_path)))
    (tmp_path / "bundle.json").write_text('{"kind": "reid"}')
    with pytest.raises(DetectorError, match="kind"):
        load_detector_bundle(tmp_path)
    (tmp_path / "m.pt").write_bytes(b"x")
    with pytest.raises(DetectorError, match="export it to ONNX first"):
        build_detector(str(tmp_path / "m.pt"), tmp_path / "out", BuildOptions("onnxruntime", "fp32"))


def test_frames_of_a_folder(tmp_path: Path):
    with pytest.raises(DataError, match="no readable picture"):
        detector_frames(tmp_path)
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((20, 30, 3), number, np.uint8))
    assert [int(f.image[0, 0, 0]) for f in detector_frames(tmp_path, most=3)] == [0, 2, 4]
