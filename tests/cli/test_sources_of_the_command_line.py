"""What a user may write where a source is expected."""

import json

import pytest


@pytest.fixture
def cams(scene):
    scene.camera("left", [0, 1])
    path = scene.folder / "cams.yaml"
    path.write_text(
        f"cameras:\n  - {{name: left, uri: left.mp4}}\ndetector: {{model: 'mot:{scene.boxes}'}}\nengine: {{model: "
        f"none}}\n"
    )
    return path


def test_a_yaml_file_alone_is_a_cameras_file(call, cams, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("run", cams, "-q")
    assert code == 0, err
    assert json.loads((tmp_path / "runs" / "cams" / "summary.json").read_text())["cameras"]["left"]["frames"] == 40


def test_a_yaml_file_among_videos_is_a_mistake(call, cams, scene):
    code, _, err = call("run", cams, scene.folder / "left.mp4")
    assert code == 2
    assert "is a cameras file" in err


def test_a_folder_of_videos_points_to_batch(call, scene, tmp_path):
    scene.camera("a", [0])
    code, _, err = call("run", scene.folder, "-o", tmp_path / "out")
    assert code == 2
    assert f"streamreid batch {scene.folder}" in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_boxes_instead_of_pictures(call, tmp_path):
    rows = [f"{frame},{person},{100 * person + 2 * frame},50,40,100,0.9" for frame in range(1, 31) for person in (1, 2)]
    (tmp_path / "gate.txt").write_text("\n".join(rows))
    (tmp_path / "cams.yaml").write_text("cameras:\n  - {name: gate, uri: gate.txt, fps: 10, size: [640, 480]}\n")
    code, _, err = call("run", tmp_path / "cams.yaml", "--engine", "none", "-q", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["frames"], summary["cameras"]["gate"]["tracks"]) == (30, 2)


def test_boxes_beside_pictures(scene, colours, tmp_path):
    from streamreid import Pipeline
    from streamreid.config import CameraConfig, DetectorConfig
    from streamreid.detection import BoxFileDetector, MotFileDetector
    from streamreid.runs import run

    (tmp_path / "gate.txt").write_text("\n".join(f"{frame},1,{2 * frame},50,40,100,0.9" for frame in range(1, 31)))
    config = scene.config(scene.camera("a", [0]))
    gate = CameraConfig(name="gate", uri=str(tmp_path / "gate.txt"), fps=10, size=(640, 480))
    config = config.model_copy(update={"cameras": (*config.cameras, gate)})
    detector = BoxFileDetector(
        {"gate": tmp_path / "gate.txt"}, DetectorConfig(), MotFileDetector(scene.boxes, DetectorConfig())
    )
    with Pipeline(config, detector=detector, embedder=colours, cache=None) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert {name: (c.frames, c.tracks) for name, c in summary.cameras.items()} == {"a": (40, 1), "gate": (30, 1)}


def test_a_detector_of_pictures_says_that_there_are_none(tmp_path):
    from streamreid.detection.base import check_pictures
    from streamreid.errors import DetectorError
    from streamreid.types import Frame

    with pytest.raises(DetectorError, match="'gate' has boxes but no pictures"):
        check_pictures([Frame.without_image("gate", 0, 0.0, size=(640, 480))])


def test_a_box_in_either_spelling():
    from streamreid.cli._gallery import parse_box
    from streamreid.errors import ConfigError

    assert parse_box("120,40,60,170") == parse_box(None, "120,40,180,210") == (120, 40, 180, 210)
    assert parse_box(None) is None
    for ltwh, corners, message in [
        ("1,2,3,4", "1,2,3,4", "give one"),
        ("1,2,0,4", None, "above 0"),
        ("1,2,nan,4", None, "above 0"),
        ("1,2,3", None, "LEFT,TOP,WIDTH,HEIGHT"),
        (None, "120,40,60,170", "--box-ltwh 120,40,60,170"),
    ]:
        with pytest.raises(ConfigError, match=message):
            parse_box(ltwh, corners)
