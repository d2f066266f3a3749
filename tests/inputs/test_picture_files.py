"""Folders of pictures as people have them: data behind the end of the picture, two pictures in one file, odd
formats."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from streamreid.config import CameraConfig
from streamreid.sources import ImageFolderSource
from streamreid.types import Frame


def picture(size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """A left half in blue, a right half in green and red with a gradient, so that turns and colours can be told."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 200
    image[:, width // 2 :, 1] = 180
    image[:, width // 2 :, 2] = np.linspace(0, 120, height, dtype=np.uint8)[:, None]
    return image


def encoded(ending: str, image: np.ndarray | None = None, *options: int) -> bytes:
    return cv2.imencode(ending, picture() if image is None else image, options)[1].tobytes()


def read(folder: Path) -> tuple[list[Frame], list[str]]:
    with ImageFolderSource(CameraConfig(name="cam", uri=str(folder), fps=10)) as source:
        return list(source), list(source.warnings)


PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
RESTARTS = (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)


@pytest.mark.parametrize(
    ("ending", "options"),
    [(".jpg", ()), (".jpg", PROGRESSIVE), (".jpg", RESTARTS), (".png", ())],
    ids=["jpeg", "progressive", "restarts", "png"],
)
@pytest.mark.parametrize("kind", ["video", "vendor", "zeros", "jpeg"])
def test_what_stands_behind_the_end_does_not_matter(
    tmp_path: Path, ending: str, options: tuple[int, ...], kind: str
) -> None:
    whole = encoded(ending, None, *options)
    for number in range(30):
        chance = random.Random(number)
        tail = {
            "video": b"\0\0\0\x18ftypmp42" + chance.randbytes(30_000),
            "vendor": chance.randbytes(4096) + b"\xff\xda",  # looks like the beginning of a scan
            "zeros": bytes(200),
            "jpeg": encoded(".jpg", picture((32, 24)))[:-2],  # a second picture, itself cut off
        }[kind]
        (tmp_path / f"{number:06d}{ending}").write_bytes(whole + tail)
    frames, warnings = read(tmp_path)
    assert [f.index for f in frames] == list(range(30))
    assert warnings == []
    assert all(np.abs(f.image.astype(int) - picture()).mean() < 6 for f in frames)


@pytest.mark.parametrize(("ending", "options"), [(".jpg", ()), (".jpg", PROGRESSIVE), (".jpg", RESTARTS), (".png", ())])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_pictures_that_are_cut_off_are_still_skipped(
    tmp_path: Path, ending: str, options: tuple[int, ...], share: float
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 96, 3), np.uint8)
    whole = encoded(ending, noise, *options)
    (tmp_path / f"a{ending}").write_bytes(whole)
    (tmp_path / f"b{ending}").write_bytes(whole[: int(len(whole) * share)])
    frames, warnings = read(tmp_path)
    assert [f.index for f in frames] == [0]
    assert len(warnings) == 1


def test_the_end_mark_of_a_thumbnail_is_not_that_of_the_picture(tmp_path: Path) -> None:
    whole = encoded(".jpg")
    thumbnail = encoded(".jpg", picture((16, 12)))
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    (tmp_path / "a.jpg").write_bytes(whole[:2] + segment + whole[2:])
    (tmp_path / "b.jpg").write_bytes((whole[:2] + segment + whole[2:])[: 2 + len(segment) + len(whole) // 2])
    frames, warnings = read(tmp_path)
    assert [f.index for f in frames] == [0]
    assert warnings == ["skipped b.jpg: the picture is cut off"]


def test_odd_formats(tmp_path: Path) -> None:
    image = picture()
    rgb = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying; turned a quarter clockwise to be seen
    lying = Image.fromarray(cv2.cvtColor(cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE), cv2.COLOR_BGR2RGB))
    lying.save(tmp_path / "01.jpg", exif=exif, quality=95)
    cv2.imwrite(str(tmp_path / "02.png"), image.astype(np.uint16) * 257)
    rgb.convert("CMYK").save(tmp_path / "03.jpg", quality=95)
    cv2.imwrite(str(tmp_path / "04.png"), cv2.cvtColor(image, cv2.COLOR_BGR2BGRA))
    rgb.quantize(256).save(tmp_path / "05.png")
    (tmp_path / "06.JPG").write_bytes(encoded(".jpg"))
    (tmp_path / "07.Jpeg").write_bytes(encoded(".jpg"))
    (tmp_path / "08.jfif").write_bytes(encoded(".jpg"))
    cv2.imwrite(str(tmp_path / "09.tif"), image)
    cv2.imwrite(str(tmp_path / "10.webp"), image)
    frames, warnings = read(tmp_path)
    assert warnings == []
    assert len(frames) == 10
    for frame in frames:
        assert frame.size == (96, 64)
        assert np.abs(frame.image.astype(int) - image).mean() < 8, frame.index
