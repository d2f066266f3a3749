"""Folders of pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import ImageFolderSource
from streamreid.types import Frame


def write(path: Path, value: int, size: tuple[int, int] = (48, 32)) -> None:
    image = np.full((size[1], size[0], 3), value, np.uint8)
    image[::2, ::2] = 255 - value
    ok, data = cv2.imencode(path.suffix, image)
    assert ok
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def read(folder: Path, **settings: object) -> tuple[list[Frame], ImageFolderSource]:
    with ImageFolderSource(CameraConfig(name="cam", uri=str(folder), **settings)) as source:
        return list(source), source


def test_natural_order_and_all_formats(tmp_path: Path) -> None:
    names = ["1.jpg", "2.PNG", "3.bmp", "10.jpeg", "11.webp", "100.tif"]
    for i, name in enumerate(names):
        write(tmp_path / name.lower(), 20 * i)
        (tmp_path / name.lower()).rename(tmp_path / name)
    frames, source = read(tmp_path, fps=25)
    assert [round(float(np.median(f.image)) / 20) for f in frames] == [0, 1, 2, 3, 4, 5]
    assert [f.index for f in frames] == [0, 1, 2, 9, 10, 99]
    np.testing.assert_allclose([f.time for f in frames], np.array([0, 1, 2, 9, 10, 99]) / 25)
    assert {f.clock for f in frames} == {"rate"}
    assert source.expected_frames == 6
    assert source.warnings == ["by their numbers 94 pictures are missing among 6; their time is left free"]


def test_other_files_are_ignored_and_broken_pictures_named(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path / f"{i:03d}.jpg", 30 * i)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._000.jpg").write_bytes(b"resource fork")
    (tmp_path / "sub.jpg").mkdir()
    (tmp_path / "001.jpg").write_bytes(b"no jpeg at all")
    (tmp_path / "002.jpg").write_bytes(b"")
    whole = (tmp_path / "003.jpg").read_bytes()
    (tmp_path / "003.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    frames, source = read(tmp_path, fps=10, offset=5)
    assert [f.index for f in frames] == [0, 4, 5], "pictures keep their numbers"
    np.testing.assert_allclose([f.time for f in frames], [5.0, 5.4, 5.5])
    assert len(source.warnings) == 3
    assert all(
        name in warning for name, warning in zip(["001.jpg", "002.jpg", "003.jpg"], source.warnings, strict=True)
    )


def test_motchallenge_layout_gives_pictures_and_rate(tmp_path: Path) -> None:
    for i in range(1, 4):
        write(tmp_path / "img1" / f"{i:06d}.jpg", 10)
    write(tmp_path / "preview.jpg", 10)
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nname=x\nframeRate=14\n")
    for folder in (tmp_path, tmp_path / "img1"):
        frames, _ = read(folder)
        np.testing.assert_allclose([f.time for f in frames], np.arange(3) / 14)
    frames, _ = read(tmp_path, fps=7)
    assert frames[1].time == pytest.approx(1 / 7)


@pytest.mark.parametrize(
    ("settings", "indices"),
    [
        ({"stride": 3}, [0, 3, 6, 9]),
        ({"start": 0.8}, [8, 9]),
        ({"frames": 2}, [0, 1]),
        ({"repeat": 2, "stride": 6}, [0, 6, 12, 18]),
        ({"repeat": 3, "start": 0.8}, [8, 9, 18, 19, 28, 29]),
    ],
)
def test_choice_of_pictures(tmp_path: Path, settings: dict[str, float], indices: list[int]) -> None:
    for i in range(10):
        write(tmp_path / f"{i}.png", i)
    frames, source = read(tmp_path, fps=10, **settings)
    assert [f.index for f in frames] == indices
    np.testing.assert_allclose([f.time for f in frames], np.array(indices) / 10)
    assert source.expected_frames == len(indices)


def test_size_change_is_noted(tmp_path: Path) -> None:
    write(tmp_path / "1.png", 1)
    write(tmp_path / "2.png", 1, size=(20, 10))
    frames, source = read(tmp_path, fps=25)
    assert [f.size for f in frames] == [(48, 32), (20, 10)]
    assert source.warnings == ["frame size changed from 48x32 to 20x10 at frame 1"]


def test_folders_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pictures"):
        read(tmp_path)
    with pytest.raises(SourceError, match="no such folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"none of its 1 pictures.*bad\.png"):
        read(tmp_path)
    write(tmp_path / "bad.png", 1)
    with pytest.raises(SourceError, match=r"start: 9.*1\.0 s"):
        read(tmp_path, start=9)


def test_one_readable_picture_is_enough(tmp_path: Path) -> None:
    write(tmp_path / "1.png", 1)
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:-20])
    frames, source = read(tmp_path, fps=25)
    assert len(frames) == 1
    assert "2.png" in source.warnings[0]
