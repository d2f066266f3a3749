"""Boxes read from MOT text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamreid.camera_names import legal_name
from streamreid.config import DetectorConfig
from streamreid.detection import open_detector
from streamreid.errors import DataError, DetectorError
from streamreid.types import Frame


def settings(path: Path, confidence: float = 0.1) -> DetectorConfig:
    return DetectorConfig(model=f"mot:{path}", confidence=confidence)


def frame(camera: str, index: int) -> Frame:
    return Frame(camera, index, 0.0, np.zeros((10, 20, 3), np.uint8))


def test_a_folder_of_cameras_in_either_layout(tmp_path: Path) -> None:
    (tmp_path / "north.txt").write_text("1,-1,10,20,30,40,0.9,-1,-1,-1\n3,-1,1,2,3,4,0.05\n\n1,-1,0,0,5,5,-1\n")
    (tmp_path / "south/det").mkdir(parents=True)
    (tmp_path / "south/det/det.txt").write_text("2 -1 1.5 2.5 3 4\n")
    detector = open_detector(settings(tmp_path))
    found = detector([frame("north", 0), frame("south", 1), frame("north", 2), frame("south", 99)])
    assert found[0].boxes.tolist() == [[10, 20, 40, 60], [0, 0, 5, 5]]
    assert found[0].scores.tolist() == pytest.approx([0.9, 1.0])
    assert found[1].boxes.tolist() == [[1.5, 2.5, 4.5, 6.5]]
    assert [len(f) for f in found] == [2, 1, 0, 0]
    assert [len(f) for f in open_detector(settings(tmp_path, 0.0))([frame("north", 2)])] == [1]


def test_files_are_found_by_the_name_that_the_cameras_name_was_made_of(tmp_path: Path) -> None:
    (tmp_path / "Büro Süd.txt").write_text("1,-1,10,20,30,40,0.9\n")
    (tmp_path / "入口/det").mkdir(parents=True)
    (tmp_path / "入口/det/det.txt").write_text("1,-1,1,2,3,4,0.9\n")
    names = [legal_name(name) for name in ("Büro Süd", "入口")]
    assert [len(f) for f in open_detector(settings(tmp_path))([frame(name, 0) for name in names])] == [1, 1]
    (tmp_path / "Buro Sud.txt").write_text("1,-1,10,20,30,40,0.9\n")
    with pytest.raises(DataError, match=r"Buro Sud.txt, .*could all be meant; call the right one Buro_Sud.txt"):
        open_detector(settings(tmp_path))([frame("Buro_Sud", 0)])
    (tmp_path / "Buro_Sud.txt").write_text("")
    assert [len(f) for f in open_detector(settings(tmp_path))([frame("Buro_Sud", 0)])] == [0]


def test_one_file_is_one_camera(tmp_path: Path) -> None:
    file = tmp_path / "det.txt"
    file.write_text("1,-1,10,20,30,40,0.9\n")
    detector = open_detector(settings(file))
    assert len(detector([frame("any", 0)])[0]) == 1
    with pytest.raises(DataError, match=r"'any'.*'other'.*folder"):
        detector([frame("other", 0)])


def test_margins_become_scores(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1,-1,0,0,5,5,2.5\n1,-1,9,9,5,5,-3\n")
    (found,) = open_detector(settings(tmp_path, 0.0))([frame("a", 0)])
    assert found.scores.tolist() == pytest.approx([1 / (1 + np.exp(-2.5)), 1 / (1 + np.exp(3))])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1,-1,10,20,30", "5 values"),
        ("1,-1,ten,20,30,40,0.9", "not a number"),
        ("1,-1,nan,20,30,40,0.9", "not finite"),
        ("-1,-1,10,20,30,40,0.9", "begin at 1"),
        ("1.5,-1,10,20,30,40,0.9", "whole"),
        ("1,-1,10,20,0,40,0.9", "above 0"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "a.txt").write_text(f"1,-1,0,0,5,5,1\n{line}\n")
    with pytest.raises(DataError, match=rf"a\.txt:2: .*{why}"):
        open_detector(settings(tmp_path))([frame("a", 0)])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="no such file or folder"):
        open_detector(settings(tmp_path / "none"))
    with pytest.raises(DataError, match=r"camera 'east'.*east\.txt.*det\.txt"):
        open_detector(settings(tmp_path))([frame("east", 0)])
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(DataError, match=r"a\.txt"):
        open_detector(settings(tmp_path))([frame("a", 0)])


def test_the_fingerprint_follows_the_boxes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1,-1,0,0,5,5,1\n")
    first = open_detector(settings(tmp_path)).fingerprint
    assert first == open_detector(settings(tmp_path)).fingerprint
    assert first != open_detector(settings(tmp_path, 0.2)).fingerprint
    (tmp_path / "a.txt").write_text("1,-1,0,0,5,6,1\n")
    assert first != open_detector(settings(tmp_path)).fingerprint


def test_real_public_detections(shared: Path) -> None:
    (found,) = open_detector(settings(shared / "data/mot/PETS09-S2L1/det.txt"))([frame("a", 0)])
    assert len(found) == 3
    np.testing.assert_allclose(found.boxes[0], [649.441, 231.502, 693.858, 317.632], atol=1e-2)
