"""Part labels from keypoints: poses drawn by hand, BPBReID's files, and the Ultralytics path."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamreid.cli import app
from streamreid.datasets.bodypix import with_halves
from streamreid.datasets.dataset_config import DatasetConfig
from streamreid.datasets.identity_split import read_people
from streamreid.datasets.keypoints import FieldReader, PoseParser, fields_of_pose, scores_of_fields
from streamreid.datasets.labels import LABEL_SIZE, ParserError, class_map, label_path, unusable, write_labels
from streamreid.datasets.part_grouping import FIELD_NAMES, GROUPINGS
from streamreid.errors import DataError, WeightsError


def standing() -> np.ndarray:
    """A person of 128 x 64 pixels, seen from the front; keypoints as COCO orders them."""
    points = {
        "nose": (32, 12),
        "eye": (30, 34, 10),
        "ear": (28, 36, 11),
        "shoulder": (22, 42, 28),
        "elbow": (17, 47, 46),
        "wrist": (16, 48, 62),
        "hip": (26, 38, 64),
        "knee": (26, 38, 90),
        "ankle": (26, 38, 116),
    }
    rows = [(*points.pop("nose"), 0.9)]
    for left, right, y in points.values():  # the person's left is on the right of the picture
        rows += [(right, y, 0.9), (left, y, 0.9)]
    return np.array(rows, np.float32)


def test_a_standing_pose_gives_a_plausible_map() -> None:
    label = class_map(scores_of_fields(fields_of_pose(standing(), (128, 64)), GROUPINGS["five"]))
    at = lambda x, y: GROUPINGS["five"].names[label[y // 2, x // 2] - 1] if label[y // 2, x // 2] else "background"  # noqa: E731
    assert [at(32, 11), at(32, 45), at(48, 55), at(27, 80), at(38, 117), at(4, 4), at(60, 100)] == [
        "head",
        "torso",
        "arms",
        "legs",
        "feet",
        "background",
        "background",
    ]
    assert unusable(label) is None


def test_left_and_right_follow_the_keypoints() -> None:
    label = class_map(scores_of_fields(fields_of_pose(standing(), (128, 64)), GROUPINGS["eight"]))
    names = GROUPINGS["eight"].names
    assert names[label[27, 24] - 1] == "left_arm"
    assert names[label[27, 8] - 1] == "right_arm"
    assert unusable(label, GROUPINGS["eight"]) is None


def test_a_limb_is_one_half_at_its_radius() -> None:
    points = np.zeros((17, 3), np.float32)
    points[13], points[15] = (32, 30, 1), (32, 90, 1)  # left knee, left ankle: 60 pixels of height, radius 4
    field = fields_of_pose(points, (128, 64))[FIELD_NAMES.index("left_ankle-left_knee")]
    row = 30  # y = 61
    distances = np.abs((np.arange(32) + 0.5) * 2 - 32)
    assert field[row].tolist() == pytest.approx((0.5 ** ((distances / 4) ** 2)).tolist(), abs=1e-5)


def test_unsure_keypoints_are_not_drawn() -> None:
    points = standing()
    points[:, 2] = 0.1
    assert not fields_of_pose(points, (128, 64)).any()


def test_background_is_what_no_part_reaches_half_of() -> None:
    fields = np.zeros((36, *LABEL_SIZE), np.float32)
    fields[0, :, :10], fields[11, :, 10:20], fields[22, :, 10:20] = 0.4, 0.6, 0.8
    scores = scores_of_fields(fields, GROUPINGS["five"])
    assert scores[0, 0].tolist() == [1.0] * 10 + [0.0] * 10 + [1.0] * 12
    assert scores[2, 0, 15] == pytest.approx(0.8)  # the torso takes the larger of hip and flank
    assert set(np.unique(class_map(scores))) == {0, 2}


def test_files_of_the_reference_are_read_by_their_names(tmp_path: Path) -> None:
    pictures, fields = tmp_path / "pictures", tmp_path / "masks" / "bounding_box_train"
    pictures.mkdir()
    fields.mkdir(parents=True)
    drawn = fields_of_pose(standing(), (128, 64))[:, 1::2, ::2]
    for number, ending in enumerate((".npy", ".jpg.npy", ".jpg.confidence_fields.npy")):
        cv2.imwrite(str(pictures / f"000{number}_c1_1.jpg"), np.zeros((128, 64, 3), np.uint8))
        np.save(fields / f"000{number}_c1_1{ending}", drawn)
    cv2.imwrite(str(pictures / "0009_c1_1.jpg"), np.zeros((128, 64, 3), np.uint8))
    cv2.imwrite(str(pictures / "0008_c1_1.jpg"), np.zeros((128, 64, 3), np.uint8))
    np.save(fields / "0008_c1_1.npy", drawn[:20])
    report = write_labels(sorted(pictures.iterdir()), tmp_path / "labels", FieldReader(tmp_path / "masks"))
    assert report.written == 3
    assert "no confidence fields" in report.left_out["0009_c1_1.jpg"]
    assert "expected [36, h, w]" in report.left_out["0008_c1_1.jpg"]
    with pytest.raises(DataError, match=r"no \.npy files"):
        FieldReader(tmp_path / "nowhere")


def test_labels_from_the_command_line_keep_subfolders(tmp_path: Path) -> None:
    runner = CliRunner()
    for folder in ("occluded_body_images", "whole_body_images"):  # the same name in both, as in Occluded-REID
        (tmp_path / "pictures" / folder / "001").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "pictures" / folder / "001" / "001_01.tif"), np.zeros((128, 64, 3), np.uint8))
    (tmp_path / "fields").mkdir()
    np.save(tmp_path / "fields" / "001_01.npy", fields_of_pose(standing(), (128, 64)))
    command = ["parse-labels", str(tmp_path / "pictures"), "--out", str(tmp_path / "labels"), "--quiet"]
    done = runner.invoke(app, [*command, "--fields", str(tmp_path / "fields"), "--parts", "eight"])
    assert "2 written" in done.output
    pictures = read_people(
        DatasetConfig(images=str(tmp_path / "pictures"), labels=str(tmp_path / "labels"), layout="occluded_reid"), 0
    )
    assert len({label_path(p.labels, p.path) for p in pictures}) == 2
    assert all(label_path(p.labels, p.path).exists() for p in pictures)
    again = runner.invoke(app, [*command, "--fields", str(tmp_path / "fields"), "--parts", "eight"])
    assert "0 written, 2 kept" in again.output
    for wrong in (["--parts", "eight"], ["--fields", "a", "--pose", "b"]):
        assert "exactly one of" in str(runner.invoke(app, [*command, *wrong]).exception)


def test_the_torso_splits_at_its_middle() -> None:
    heat = np.zeros((24, 10, 4), np.float32)
    heat[12, 2:6], heat[13, 4:8] = (
        0.9,
        0.8,
    )  # rows 2 to 7: mean row (.9 * (2 + 3 + 4 + 5) + .8 * (6 + 7)) / (.9 * 4 + .8 * 2) = 4.42
    halves = with_halves(heat)
    assert halves.shape == (26, 10, 4)
    assert np.flatnonzero(halves[24, :, 0]).tolist() == [2, 3, 4]
    assert np.flatnonzero(halves[25, :, 0]).tolist() == [5, 6, 7]


def test_a_missing_pose_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    with pytest.raises(WeightsError, match=r"yolo11n-pose\.pt"):
        PoseParser(tmp_path / "yolo11n-pose.pt")


@pytest.mark.slow
def test_a_pose_model_of_ultralytics_is_run(tmp_path: Path) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    network = ultralytics.YOLO("yolo11n-pose.yaml", task="pose")  # weights of chance: it finds nobody, or nonsense
    network.save(tmp_path / "pose.pt")
    parser = PoseParser(tmp_path / "pose.pt", GROUPINGS["eight"])
    picture = np.full((128, 64, 3), 127, np.uint8)
    with pytest.raises(ParserError, match="no person"):
        parser(picture)
    nearest = _Answer(
        np.array([[10, 20, 8, 8], [32, 64, 60, 120]], np.float32), np.stack([np.zeros((17, 3), np.float32), standing()])
    )
    parser.model.predict = lambda *_, **__: [nearest]  # type: ignore[method-assign]
    assert unusable(class_map(parser(picture)), GROUPINGS["eight"]) is None


class _Answer:
    """Two people found by a pose model, in the shape of Ultralytics' results."""

    def __init__(self, boxes: np.ndarray, points: np.ndarray) -> None:
        torch = pytest.importorskip("torch")
        self.boxes, self.keypoints = (
            _Boxes(torch.from_numpy(boxes)),
            type("Keypoints", (), {"data": torch.from_numpy(points)})(),
        )


class _Boxes:
    def __init__(self, xywh: "object") -> None:
        self.xywh = xywh

    def __len__(self) -> int:
        return len(self.xywh)  # type: ignore[arg-type]
