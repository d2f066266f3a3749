"""Files and folders whose names are ordinary elsewhere: other scripts, blanks, colons, numbers, endings of
camcorders."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from streamreid.camera_names import NAME_PATTERN, camera_name, file_name, legal_name
from streamreid.config import CameraConfig, Config, load_config
from streamreid.errors import ConfigError
from streamreid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES, webcam_number
from streamreid.runs.batch import find_recordings, survey
from streamreid.sources import ImageFolderSource, VideoFileSource, is_live, open_source

NAMES = {
    "Büro Süd.mp4": "Buro_Sud",
    "入口.mp4": "RuKou",
    "Caméra 1.mp4": "Camera_1",
    "2026-11-29T10:00:00.mp4": "2026-11-29T10_00_00",
    "cam1:main.mp4": "cam1_main",
    "10:15.mp4": "10_15",
}


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        *((Path(name).stem, legal) for name, legal in NAMES.items()),
        ("Eingang Straße", "Eingang_Strasse"),
        ("вход", "vkhod"),
        ("hall", "hall"),
        ("__a__", "a"),
        ("...", "camera"),
        ("", "camera"),
    ],
)
def test_legal_names(text: str, legal: str) -> None:
    assert legal_name(text) == legal
    assert re.match(NAME_PATTERN, legal)


def test_names_are_legal_unique_and_the_same_in_every_run() -> None:
    texts = ["\ue000", "\ue001", "a" * 300, "a" * 301, "入口", "入口 ", "é", "e"]
    rounds = []
    for _ in range(2):
        taken: list[str] = []
        rounds.append([camera_name(f"{text}.mp4", taken) for text in texts])
    assert rounds[0] == rounds[1]
    assert len(set(rounds[0])) == len(texts)
    for name in rounds[0]:
        assert CameraConfig(name=name, uri="x").name == name


def test_own_names_are_shown_where_they_say_more() -> None:
    assert file_name("RuKou", "videos/入口.mp4") == "入口.mp4"
    assert file_name("hall", "videos/hall.mp4") is None
    assert file_name("10.0.0.7", "rtsp://user:hunter2@10.0.0.7/1") is None
    assert file_name("webcam0", "0") is None


@pytest.fixture
def recordings(scene) -> Path:
    """One short video under all names, and its boxes under the names that cameras get."""
    plain = scene.camera("plain", [0, 1], frames=6)
    for name, legal in NAMES.items():
        shutil.copy(plain, scene.folder / name)
        shutil.copy(scene.boxes / "plain.txt", scene.boxes / f"{legal}.txt")
    plain.unlink()
    return scene.folder


def test_every_name_is_read_by_run(
    recordings: Path, scene, call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # In the folder itself, where nothing but the colon's left side stands before it.
    monkeypatch.chdir(recordings)
    out = tmp_path / "29.11. 10:15"
    code, text, err = call(
        "run", *NAMES, "--detector", f"mot:{scene.boxes}", "--engine", "none", "--out", out, "--mosaic"
    )
    assert code == 0, err
    cameras = json.loads((out / "summary.json").read_text())["cameras"]
    assert {name: camera["frames"] for name, camera in cameras.items()} == dict.fromkeys(NAMES.values(), 6)
    assert {camera["source"]: name for name, camera in cameras.items()} == NAMES
    assert (out / "mosaic.mp4").stat().st_size > 1000
    assert all((out / "mot" / f"{legal}.txt").exists() for legal in NAMES.values())
    for name in ("Büro Süd.mp4", "入口.mp4", "cam1:main.mp4"):
        assert name in text


def test_relative_results_with_a_colon(recordings: Path, scene, call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recordings)
    boxes = f"mot:{scene.boxes}"
    code, _, err = call(
        "run",
        "10:15.mp4",
        "--detector",
        boxes,
        "--engine",
        "none",
        "--out",
        "a:b",
        "--video",
        "--set",
        "cameras.live=true",
    )
    assert code == 0, err
    assert (recordings / "a:b" / "videos" / "10_15.mp4").exists()


def test_batch_and_doctor_find_names_too(
    recordings: Path, scene, call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(recordings)
    models = ["--detector", f"mot:{scene.boxes}", "--engine", "none"]
    code, text, err = call("batch", ".", "--out", tmp_path / "out", *models)
    assert code == 0, err
    assert "6 recordings: 6 done" in text
    done = json.loads((tmp_path / "out" / "batch.json").read_text())
    assert {r["file"]: r["name"] for r in done["recordings"]} == NAMES
    assert "6 skipped" in call("batch", ".", "--out", tmp_path / "out", *models)[1], (
        "names are the same in the next run"
    )
    code, text, err = call("doctor", "Büro Süd.mp4", "入口.mp4", "--seconds", "1", *models)
    assert code == 0, err
    assert "Buro_Sud" in text
    assert "入口.mp4" in text


def test_folders_with_a_cameras_file(recordings: Path) -> None:
    inside = recordings / "Büro"
    inside.mkdir()
    (recordings / "10:15.mp4").rename(inside / "10:15.mp4")
    (inside / "cams.yaml").write_text(
        "cameras:\n  - uri: '10:15.mp4'\n  - {name: door, uri: ../入口.mp4}\n  - uri: ../入口.mp4\n"
    )
    config = load_config(inside / "cams.yaml")
    assert [camera.name for camera in config.cameras] == ["10_15", "door", "RuKou"]
    with open_source(config.cameras[0]) as source:
        assert len(list(source)) == 6
    (recording,) = [r for r in find_recordings([recordings]) if len(r.cameras) == 3]
    assert recording.name == "Buro"


def test_an_illegal_name_in_a_cameras_file_is_refused_with_a_legal_one(tmp_path: Path) -> None:
    (tmp_path / "cams.yaml").write_text("cameras:\n  - {name: Büro Süd, uri: a.mp4}\n")
    with pytest.raises(ConfigError, match="Buro_Sud"):
        load_config(tmp_path / "cams.yaml")


def test_a_name_left_out_never_takes_one_that_is_given() -> None:
    config = Config.from_dict({"cameras": [{"uri": "a/hall.mp4"}, {"name": "hall", "uri": "b.mp4"}]})
    assert [camera.name for camera in config.cameras] == ["hall-2", "hall"]


# ---------------------------------------------------------------- numbers


def test_a_folder_whose_name_is_a_number(make_pictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_pictures(tmp_path / "0007")
    monkeypatch.chdir(tmp_path)
    assert (webcam_number("0007"), webcam_number("7"), webcam_number("x")) == (None, 7, None)
    make_pictures(tmp_path / "20261129")
    assert isinstance(open_source(CameraConfig(name="a", uri="20261129", fps=2)), ImageFolderSource)
    camera = CameraConfig(name="a", uri="0007", fps=2)
    assert not is_live(camera)
    assert isinstance(open_source(camera), ImageFolderSource)
    assert camera_name("0007", []) == "0007"
    assert is_live(CameraConfig(name="a", uri="7"))
    (tmp_path / "sub").mkdir()
    make_pictures(tmp_path / "sub" / "0008")
    (tmp_path / "sub" / "cams.yaml").write_text("cameras:\n  - {name: a, uri: '0008'}\n  - {name: b, uri: 3}\n")
    first, second = load_config(tmp_path / "sub" / "cams.yaml").cameras
    assert Path(first.uri) == tmp_path / "sub" / "0008"
    assert second.uri == "3"


@pytest.fixture
def make_pictures():
    import cv2
    import numpy as np

    def make(folder: Path) -> None:
        folder.mkdir()
        for number in range(3):
            cv2.imwrite(str(folder / f"{number:06d}.png"), np.full((24, 32, 3), 80 * number, np.uint8))

    return make


# ---------------------------------------------------------------- endings


def test_endings_in_any_case_are_videos_everywhere(scene, tmp_path: Path) -> None:
    video = scene.camera("a", [0], frames=3)
    folder = tmp_path / "camcorder"
    folder.mkdir()
    endings = [".MTS", ".VOB", ".asf", ".mxf", ".Mp4", ".m2t", ".DAV", ".dv"]
    for ending in endings:
        shutil.copy(video, folder / f"x{ending[1:]}{ending}")  # FFmpeg looks at what is inside
    (folder / "notes.txt").write_text("no video")
    (folder / ".hidden.mp4").write_bytes(b"resource fork")
    found, left = survey([folder])
    assert {Path(r.cameras[0].uri).suffix for r in found} == set(endings)
    assert [item.path.name for item in left] == ["notes.txt"]
    for recording in found:
        with VideoFileSource(recording.cameras[0]) as source:
            assert len(list(source)) == 3


def test_batch_names_what_it_leaves_out(scene, call, tmp_path: Path) -> None:
    scene.camera("one", [0], frames=4)
    (scene.folder / "minutes.docx").write_bytes(b"x")
    (scene.folder / "cams.yaml").write_text("cameras: []\n")
    (scene.folder / "empty").mkdir()
    (scene.folder / "pair").mkdir()
    scene.camera("west", [0], frames=4).rename(scene.folder / "pair" / "west.mp4")
    (scene.folder / "pair" / "._west.mp4").write_bytes(b"resource fork")
    (scene.folder / "pair" / "west.xyz").write_bytes(b"x")
    out = tmp_path / "out"
    code, text, err = call("batch", scene.folder, "--out", out, "--detector", f"mot:{scene.boxes}", "--engine", "none")
    assert code == 0, err
    left = {
        Path(item["path"]).name: item["reason"] for item in json.loads((out / "batch.json").read_text())["left_out"]
    }
    assert left.keys() == {"minutes.docx", "cams.yaml", "empty", "west.xyz", "boxes"}
    for name in left:
        assert name in text.replace("\n", "")


def test_suffixes_are_lower_case_and_apart() -> None:
    assert all(s == s.lower() and s.startswith(".") for s in VIDEO_SUFFIXES | PICTURE_SUFFIXES)
    assert not VIDEO_SUFFIXES & PICTURE_SUFFIXES
