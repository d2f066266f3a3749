"""How people look in pictures: boxes, labels and traces coloured by global id, captions, pixelated people.

Boxes and traces come from supervision. Text is ours: supervision's scalable labels convert the whole picture to Pillow
and back, which costs more than everything else together; here each text is rendered once into a small mask and blended
where it belongs.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.config import OutputConfig
from streamreid.types import FloatArray, Image, IntArray

if TYPE_CHECKING:
    import supervision as sv
    from PIL import ImageFont

__all__ = [
    "HEAD_HEIGHT",
    "HEAD_WIDTH",
    "Blur",
    "DrawStyle",
    "Painter",
    "blurred",
    "caption",
    "clock_text",
    "colour_of",
    "draw_text",
    "head_heights",
    "pixelate",
    "style_of",
    "unit_of",
]

Blur = Literal["none", "head", "body"]
_COLOURS = 96
"""Colours before they repeat."""

_SQUARES = 8
"""Squares across a pixelated person."""

_LEAST_SQUARE = 8
"""Pixels of a mosaic square at least: an eighth of somebody 20 pixels wide would be 2.5 pixels, which hide nothing."""

_NAME_LENGTH = 24
"""Characters of a name that a label shows: more would cover the people beside."""

HEAD_HEIGHT, HEAD_WIDTH = 1 / 3, 0.75
"""Where the head ends: the greater of these shares of a box's height and width, with room for bent people."""

_UNDECIDED = (150, 150, 150)
"""BGR of people without a global id."""

_DARK = (24, 20, 18)
"""BGR of dark text and grounds."""

_WHITE = (255, 255, 255)
"""BGR of light text."""


@dataclass(frozen=True, slots=True)
class DrawStyle:
    """What is drawn.

    Args:
        blur: Pixelate nobody, the upper third of each person's box, or the whole box.
        traces: Draw the way of the foot point over the last ``trace_length`` pictures.
        trace_length: Pictures.
        scale: Multiplies line widths and text sizes.
    """

    blur: Blur = "none"
    traces: bool = True
    trace_length: int = 40
    scale: float = 1.0


def style_of(output: OutputConfig) -> DrawStyle:
    """How films are drawn according to the configuration."""
    blur: dict[str, Blur] = {"none": "none", "people": "body", "faces": "head"}
    return DrawStyle(blur=blur[output.blur])


def _rgb(index: int) -> tuple[int, int, int]:
    # Successive ids are a golden angle apart, so people who appear together differ; lightness and saturation alternate
    # for more distinct colours.
    hue = (0.58 + index * 0.61803398875) % 1.0
    light, saturation = ((0.55, 0.90), (0.68, 0.80), (0.46, 0.75))[index % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, light, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


@lru_cache(maxsize=1)
def _palette() -> sv.ColorPalette:
    import supervision as sv  # not at the top: it takes half of a start, and few runs draw

    return sv.ColorPalette([sv.Color(*_UNDECIDED), *(sv.Color(*_rgb(i)) for i in range(_COLOURS))])


def _slots(global_ids: IntArray) -> NDArray[np.int64]:
    return np.where(global_ids > 0, 1 + (global_ids - 1) % _COLOURS, 0).astype(np.int64)


def colour_of(global_id: int) -> tuple[int, int, int]:
    """The BGR colour of a person: the same in every camera and every run; grey for 0 (no identity yet)."""
    colour = _palette().by_idx(int(_slots(np.array([global_id]))[0])).as_bgr()
    return int(colour[0]), int(colour[1]), int(colour[2])


def unit_of(image: Image) -> float:
    """Size of a picture relative to 960 x 720: what line widths and text are scaled by."""
    return max(0.55, float(np.sqrt(image.shape[0] * image.shape[1] / (960 * 720))))


def clock_text(time: float) -> str:
    """A capture time for people to read: date and time (UTC) for live cameras, hours, minutes and seconds for files."""
    if time >= 1e8:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-5] + " UTC"
    tenths = round(abs(time) * 10)
    minutes, hours = tenths // 600 % 60, tenths // 36000
    text = f"{minutes:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"
    return ("-" if time < 0 else "") + (f"{hours}:{text}" if hours else text)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


@lru_cache(maxsize=1024)
def _text_mask(text: str, size: int) -> NDArray[np.float32]:
    from PIL import Image as PilImage
    from PIL import ImageDraw, ImageFont

    font = _font(size)
    ascent = font.getmetrics()[0] if isinstance(font, ImageFont.FreeTypeFont) else size
    width = max(1, round(font.getlength(text)))
    picture = PilImage.new("L", (width, round(ascent * 1.05) + max(1, size // 6)))
    ImageDraw.Draw(picture).text((0, 0), text, fill=255, font=font)
    return np.asarray(picture, np.float32)[..., None] / np.float32(255)


def draw_text(
    image: Image,
    text: str,
    corner: tuple[int, int],
    size: int,
    colour: tuple[int, int, int] = _WHITE,
    ground: tuple[int, int, int] | None = _DARK,
    opacity: float = 0.65,
) -> tuple[int, int]:
    """Draw text on a filled box, moved so that it lies inside the picture.

    Args:
        image: Drawn on in place.
        text: One line.
        corner: Left and top of the box, pixels.
        size: Font size in pixels.
        colour: BGR of the text.
        ground: BGR of the box, None for no box.
        opacity: Of the box, 0 to 1.

    Returns:
        Width and height of the box.
    """
    mask = _text_mask(text, size)
    pad_x, pad_y = (max(2, size // 3), max(1, size // 6)) if ground is not None else (0, 0)
    height, width = mask.shape[0] + 2 * pad_y, mask.shape[1] + 2 * pad_x
    left = int(np.clip(corner[0], 0, max(0, image.shape[1] - width)))
    top = int(np.clip(corner[1], 0, max(0, image.shape[0] - height)))
    area = image[top : top + height, left : left + width]
    if ground is not None:
        area[:] = area * (1 - opacity) + np.array(ground, np.float32) * opacity
    inner = area[pad_y : height - pad_y, pad_x : width - pad_x]
    cover = mask[: inner.shape[0], : inner.shape[1]]
    inner[:] = inner * (1 - cover) + np.array(colour, np.float32) * cover
    return width, height


def _text_on(ground: tuple[int, int, int]) -> tuple[int, int, int]:
    blue, green, red = ground
    return _DARK if 0.114 * blue + 0.587 * green + 0.299 * red > 140 else _WHITE


def caption(image: Image, name: str, time: float) -> None:
    """Write the camera's name into the upper left corner and the capture time into the upper right one."""
    size = max(11, round(19 * unit_of(image)))
    edge = max(3, size // 3)
    draw_text(image, name, (edge, edge), size)
    draw_text(image[:, :-edge], clock_text(time), (image.shape[1], edge), size)


def head_heights(boxes: FloatArray) -> FloatArray:
    """``[N]`` how far down the head reaches in each box ``[N, 4]``, in pixels: see :func:`pixelate`."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.asarray(np.minimum(height, np.maximum(height * HEAD_HEIGHT, width * HEAD_WIDTH)))


def pixelate(image: Image, boxes: FloatArray, part: Blur) -> None:
    """Make people unrecognisable in place: mosaic squares of an eighth of the covered width, of 8 pixels at least.

    Args:
        image: Drawn on in place.
        boxes: ``[N, 4]`` xyxy in pixels.
        part: The upper third of the box, or three quarters of its width if that is more, because legs may be hidden
            ("head"); or all of it ("body").
    """
    if part == "none" or not len(boxes):
        return
    limit = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
    boxes = boxes[np.isfinite(boxes).all(1)]
    if part == "head":
        boxes = boxes.copy()
        boxes[:, 3] = boxes[:, 1] + head_heights(boxes)
    boxes = boxes[np.argsort((boxes[:, 2:] - boxes[:, :2]).prod(1), kind="stable")]  # the coarsest squares come last
    low, high = np.floor(np.clip(boxes[:, :2], 0, limit[:2])), np.ceil(np.clip(boxes[:, 2:], 0, limit[2:]))
    for left, top, right, bottom in np.concatenate([low, high], 1).astype(int).tolist():
        area = image[top:bottom, left:right]
        if area.size:
            side = max(area.shape[1] / _SQUARES, _LEAST_SQUARE)
            squares = max(1, int(area.shape[1] / side)), max(1, int(area.shape[0] / side))
            small = cv2.resize(area, squares, interpolation=cv2.INTER_AREA)
            area[:] = cv2.resize(small, (area.shape[1], area.shape[0]), interpolation=cv2.INTER_LINEAR)


def blurred(image: Image, boxes: FloatArray | None, part: Blur, area: tuple[int, int, int, int] | None = None) -> Image:
    """A picture as it may leave the program. Whatever is written or sent goes through here or through :class:`Painter`.

    Args:
        image: ``[H, W, 3]`` uint8 BGR; not changed.
        boxes: ``[M, 4]`` xyxy in pixels of the picture: ``FrameResult.blur_boxes``.
        part: What is hidden.
        area: Left, top, right, bottom of the part that is wanted; default all.

    Returns:
        A copy.

    Raises:
        ValueError: Something is to be hidden and nobody said where people are.
    """
    left, top, right, bottom = area or (0, 0, image.shape[1], image.shape[0])
    copy = np.ascontiguousarray(image[top:bottom, left:right]).copy()
    if part != "none":
        if boxes is None:
            raise ValueError("people are to be blurred, but nothing says where they are (FrameResult.blur_boxes)")
        pixelate(copy, boxes - np.array([left, top, left, top], np.float32), part)
    return copy


class Painter:
    """Draws the people of one camera; keeps their traces from picture to picture.

    Args:
        style: What is drawn.
    """

    def __init__(self, style: DrawStyle | None = None) -> None:
        self.style = style or DrawStyle()
        self._trace: sv.TraceAnnotator | None = None

    def draw(
        self,
        image: Image,
        boxes: FloatArray,
        global_ids: IntArray,
        track_ids: IntArray | None = None,
        blur_boxes: FloatArray | None = None,
        names: Mapping[int, str] | None = None,
    ) -> Image:
        """Draw on a picture, in place.

        Args:
            image: ``[H, W, 3]`` uint8 BGR, drawn on.
            boxes: ``[N, 4]`` xyxy in pixels of this picture.
            global_ids: ``[N]`` who; 0 is drawn grey and without label.
            track_ids: ``[N]`` whose trace a box goes on; default the global ids.
            blur_boxes: ``[M, 4]`` what else is blurred, besides the people who are drawn.
            names: Names by global id, written behind the number.

        Returns:
            The same picture.
        """
        import supervision as sv

        unit = unit_of(image) * self.style.scale
        thickness = max(1, round(2.4 * unit))
        pixelate(image, boxes if blur_boxes is None else np.concatenate([boxes, blur_boxes]), self.style.blur)
        people = sv.Detections(
            xyxy=boxes.astype(np.float32).reshape(-1, 4),
            class_id=np.zeros(len(boxes), int),
            tracker_id=(global_ids if track_ids is None else track_ids).astype(int),
        )
        slots = _slots(global_ids)
        if self.style.traces:
            if self._trace is None:
                self._trace = sv.TraceAnnotator(
                    _palette(), sv.Position.BOTTOM_CENTER, self.style.trace_length, max(1, thickness - 1)
                )
            image = self._trace.annotate(image, people, custom_color_lookup=slots)
        image = sv.RoundBoxAnnotator(_palette(), thickness, roundness=0.25).annotate(
            image, people, custom_color_lookup=slots
        )
        size = max(11, round(18 * unit))
        for (left, top, _, _), who in zip(boxes.tolist(), global_ids.tolist(), strict=True):
            if who > 0 and np.isfinite(left + top):
                ground = colour_of(who)
                label = f"#{who} {(names or {}).get(who, '')[:_NAME_LENGTH]}".strip()
                height = _text_mask(label, size).shape[0] + 2 * max(1, size // 6)
                draw_text(image, label, (round(left), round(top) - height), size, _text_on(ground), ground, 0.92)
        return image
