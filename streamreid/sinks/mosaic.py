"""All cameras in one picture: cells of equal size, filled by capture time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from streamreid.sinks.drawing import DrawStyle, Painter, caption, clock_text, draw_text, unit_of
from streamreid.sinks.video_encoder import fit
from streamreid.types import FloatArray, Image, IntArray

__all__ = ["Mosaic", "Shot"]

_GROUND = (24, 20, 18)
"""BGR between the cells."""

_GAP = 4
"""Pixels between cells."""

_BAR = 34
"""Pixels of the line of text below."""

_STUCK = 1.0
"""Seconds by which times may go back before that counts as a clock set back, and that a moment may stay open."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One camera's picture with its people.

    Args:
        camera: Name.
        time: Capture time, seconds.
        image: ``[H, W, 3]`` uint8 BGR; not drawn on.
        boxes: ``[N, 4]`` xyxy in pixels.
        global_ids: ``[N]``, 0 where undecided.
        track_ids: ``[N]``.
        blur_boxes: ``[M, 4]`` what else is blurred.
        names: By global id.
    """

    camera: str
    time: float
    image: Image
    boxes: FloatArray
    global_ids: IntArray
    track_ids: IntArray
    blur_boxes: FloatArray | None = None
    names: Mapping[int, str] = field(default_factory=dict)


def _grid(count: int, aspect: float) -> tuple[int, int]:
    """Columns and rows whose picture comes closest to 16:9 for cells of width / height ``aspect``; empty cells count
    against a grid."""

    def badness(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns * aspect / rows / (16 / 9))) + 0.35 * (columns * rows - count)

    columns = min(range(1, count + 1), key=badness)
    return columns, math.ceil(count / columns)


class Mosaic:
    """Collects the cameras' pictures and yields one common picture per moment.

    Pictures within ``1 / max_fps`` seconds form a moment, so synchronous cameras share one and faster cameras are
    thinned. The cells get the shape that most cameras have; others are letterboxed. A silent camera keeps its last
    picture, dimmed. A camera that joins later gets a cell in a new arrangement.

    Args:
        cameras: In the order of the cells.
        style: What is drawn.
        max_width: Of the whole picture, pixels.
        max_fps: Pictures per second at most.
        silent_after: Seconds of capture time without a picture after which a camera is shown as silent.
    """

    def __init__(
        self,
        cameras: list[str],
        style: DrawStyle | None = None,
        *,
        max_width: int = 1920,
        max_fps: float = 30.0,
        silent_after: float = 3.0,
    ) -> None:
        self.cameras = list(cameras)
        self._style = style
        self._painters = {camera: Painter(style) for camera in cameras}
        self._max_width = max_width
        self._step = 1.0 / max_fps
        self._silent_after = silent_after
        self._moment: dict[str, Shot] = {}
        self._joined: dict[str, float] = {}
        self._start = 0.0
        self._shown: dict[str, float] = {}
        self._people: dict[str, IntArray] = {}
        self._dimmed: set[str] = set()
        self._ended: set[str] = set()
        self._canvas: Image | None = None
        self._cell = (0, 0)
        self._columns = 1

    def add(self, shot: Shot) -> Iterator[tuple[float, Image]]:
        """Take a picture; yields the moment before it, if that is now complete, as (capture time, picture).

        The yielded picture is drawn on later: use it at once or copy it.
        """
        if shot.camera not in self._painters:
            if self._moment:
                yield self._flush()
            self._join(shot.camera)
        newest = (
            self._moment[shot.camera].time if shot.camera in self._moment else self._shown.get(shot.camera, -math.inf)
        )
        set_back = newest - shot.time > _STUCK
        # All clocks may have been set back: then the moment would never end by time alone.
        stuck = not set_back and shot.time - self._joined.get(shot.camera, shot.time) >= _STUCK
        if self._moment and (stuck or shot.time - self._start >= self._step - 1e-3):
            yield self._flush()
        if not self._moment:
            self._start = max(shot.time, self._start) if self._shown and not stuck else shot.time
        if shot.time >= newest or set_back:
            self._moment[shot.camera] = shot
            if set_back or shot.camera not in self._joined:
                self._joined[shot.camera] = shot.time

    def _join(self, camera: str) -> None:
        self.cameras.append(camera)
        self._painters[camera] = Painter(self._style)
        self._canvas = None
        self._dimmed.clear()

    def end(self, camera: str) -> None:
        """This camera will send no more."""
        self._ended.add(camera)

    def finish(self) -> Iterator[tuple[float, Image]]:
        """Yields the picture of the last moment, if one is open."""
        if self._moment:
            yield self._flush()

    def _flush(self) -> tuple[float, Image]:
        canvas = self._canvas if self._canvas is not None else self._layout()
        for camera, shot in self._moment.items():
            self._fill(canvas, camera, shot)
        self._moment, self._joined = {}, {}
        for camera in self.cameras:
            silent = self._start - self._shown.get(camera, self._start) > self._silent_after
            ended = camera in self._ended and self._shown.get(camera, self._start) < self._start
            if (silent or ended) and camera not in self._dimmed:
                self._dim(canvas, camera, "ended" if camera in self._ended else "no signal")
        self._status(canvas)
        return self._start, canvas

    def _layout(self) -> Image:
        shapes = sorted(shot.image.shape[1] / shot.image.shape[0] for shot in self._moment.values())
        aspect = shapes[len(shapes) // 2]
        widest = max(min(shot.image.shape[1], round(shot.image.shape[0] * aspect)) for shot in self._moment.values())
        self._columns, rows = _grid(len(self.cameras), aspect)
        # 1080 lines for 1920 columns: a tall grid of upright cameras would otherwise not fit on a screen.
        by_height = (self._max_width * 9 / 16 - _BAR) / rows * aspect
        width = int(min(widest, (self._max_width - _GAP * (self._columns - 1)) / self._columns, max(by_height, 160)))
        height = max(2, round(width / aspect))
        self._cell = (width, height)
        whole_w = self._columns * width + _GAP * (self._columns - 1)
        whole_h = rows * height + _GAP * (rows - 1) + _BAR
        self._canvas = np.empty((whole_h + whole_h % 2, whole_w + whole_w % 2, 3), np.uint8)
        self._canvas[:] = _GROUND
        for camera in self.cameras:
            area = self._area(self._canvas, camera)
            area[:] = (38, 33, 30)
            size = max(11, round(19 * unit_of(area)))
            draw_text(area, camera, (size // 3, size // 3), size)
            self._centre(area, "no picture yet")
        return self._canvas

    def _area(self, canvas: Image, camera: str) -> Image:
        row, column = divmod(self.cameras.index(camera), self._columns)
        width, height = self._cell
        top, left = row * (height + _GAP), column * (width + _GAP)
        return canvas[top : top + height, left : left + width]

    def _fill(self, canvas: Image, camera: str, shot: Shot) -> None:
        cell, scale, left, top = fit(shot.image, *self._cell, ground=_GROUND)
        corner = np.array([left, top, left, top], np.float32)
        boxes = (shot.boxes * scale + corner).astype(np.float32)
        hidden = None if shot.blur_boxes is None else (shot.blur_boxes * scale + corner).astype(np.float32)
        self._painters[camera].draw(cell, boxes, shot.global_ids, shot.track_ids, hidden, shot.names)
        caption(cell, camera, shot.time)
        self._area(canvas, camera)[:] = cell
        self._shown[camera] = shot.time
        self._people[camera] = shot.global_ids
        self._dimmed.discard(camera)

    def _dim(self, canvas: Image, camera: str, text: str) -> None:
        area = self._area(canvas, camera)
        area[:] = area * 0.35
        self._centre(area, text)
        self._dimmed.add(camera)
        self._people.pop(camera, None)

    def _centre(self, area: Image, text: str) -> None:
        size = max(14, round(30 * unit_of(area)))
        probe = np.zeros((size * 3, size * (len(text) + 2), 3), np.uint8)
        width, height = draw_text(probe, text, (0, 0), size)
        draw_text(area, text, ((area.shape[1] - width) // 2, (area.shape[0] - height) // 2), size)

    def _status(self, canvas: Image) -> None:
        bar = canvas[-_BAR:]
        bar[:] = _GROUND
        per_camera = [np.unique(ids[ids > 0]) for ids in self._people.values()]
        ids, seen_by = np.unique(np.concatenate([*per_camera, np.zeros(0, np.int64)]), return_counts=True)
        draw_text(bar, clock_text(self._start), (8, 8), 16, (235, 235, 235), None)
        shared = int(np.sum(seen_by > 1))
        text = (
            f"{len(ids)} people in view, {shared} of them in several cameras"
            if len(self.cameras) > 1
            else f"{len(ids)} people in view"
        )
        draw_text(bar, text, (canvas.shape[1] // 2 - 4 * len(text), 8), 16, (235, 235, 235), None)
        draw_text(bar, "streamreid  ", (canvas.shape[1], 8), 16, (180, 170, 165), None)
