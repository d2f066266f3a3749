"""A scene's folder: old results stay until new ones are complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamreid.errors import ConfigError, OutputError
from streamreid.synth import check_folder, fresh_scene


def scene(folder: Path, *cameras: str, text: str = "old") -> None:
    for name in cameras:
        (folder / f"{name}.mp4").write_text(text)
    (folder / "truth").mkdir()
    (folder / "truth" / "a.txt").write_text(text)
    (folder / "scene.json").write_text(json.dumps({"cameras": dict.fromkeys(cameras)}))
    (folder / "cams.yaml").write_text(text)


def names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    scene(tmp_path / "out", "cam01", "cam02")
    return tmp_path / "out"


def test_a_new_folder_appears_complete(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with fresh_scene(out, overwrite=False) as folder:
        scene(folder, "cam01")
        assert not (out / "cams.yaml").exists()
    assert names(out) == {"cam01.mp4", "truth/a.txt", "scene.json", "cams.yaml"}
    assert not (out / ".unfinished").exists()


def test_a_scene_is_replaced_as_a_whole(old: Path) -> None:
    (old / "mine.txt").write_text("mine")
    with fresh_scene(old, overwrite=True) as folder:
        scene(folder, "cam01", text="new")
    assert names(old) == {"cam01.mp4", "truth/a.txt", "scene.json", "cams.yaml", "mine.txt"}
    assert (old / "truth" / "a.txt").read_text() == "new"


def make_and_break(out: Path) -> None:
    with fresh_scene(out, overwrite=True) as folder:
        scene(folder, "cam01")
        raise RuntimeError


def test_what_fails_changes_nothing(old: Path, tmp_path: Path) -> None:
    before = names(old)
    for out in (old, tmp_path / "new"):
        with pytest.raises(RuntimeError):
            make_and_break(out)
    assert names(old) == before
    assert (old / "cam01.mp4").read_text() == "old"
    assert not (tmp_path / "new").exists()


def test_what_a_killed_program_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "cam07.mp4").write_text("half")
    with fresh_scene(tmp_path, overwrite=False) as folder:
        scene(folder, "cam01")
    assert "cam07.mp4" not in names(tmp_path)
    assert "cam01.mp4" in names(tmp_path)


def make_while_others_write(out: Path) -> None:
    with fresh_scene(out, overwrite=True) as folder:
        scene(folder, "cam01")
        (out / "cam01.mp4").write_text("mine")


def test_what_came_in_between_stays(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not empty"):
        make_while_others_write(tmp_path)
    assert names(tmp_path) == {"cam01.mp4"}
    assert (tmp_path / "cam01.mp4").read_text() == "mine"


@pytest.mark.parametrize("about", ["", "[]", '{"cameras": 3}', "{"])
def test_a_list_of_cameras_alone_is_no_scene(old: Path, about: str) -> None:
    (old / "scene.json").write_text(about)
    with pytest.raises(ConfigError, match="holds no scene"):
        check_folder(old, overwrite=True)


def test_no_folder_to_be_had(old: Path) -> None:
    with pytest.raises(ConfigError, match="is a file"):
        check_folder(old / "cams.yaml", overwrite=True)
    with pytest.raises(OutputError, match="cannot write to"), fresh_scene(old / "cams.yaml" / "below", overwrite=False):
        raise AssertionError
