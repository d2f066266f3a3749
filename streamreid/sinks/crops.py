"""Crops of the people in a run, as training data of one's own (`streamreid train` reads the folder as layout
``tracks``).

``crops/RUN/CAMERA/TRACK_FRAME.jpg``, and ``crops/RUN/identities.csv`` with who was who: camera, track, global id,
probability, and the scope in which global ids are unique (the run, ``live`` for runs that go on from each other, or the
gallery). Nothing of an earlier run is overwritten. The pictures show people: written only when asked for.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from streamreid.sinks.base import FinalIdentities, SinkContext, write_failed
from streamreid.sinks.drawing import Blur, blurred
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["CropSink"]

_COLUMNS = ["camera", "track", "global_id", "probability", "scope"]


class CropSink(SinkContext):
    """Writes a picture of every track from time to time.

    Args:
        folder: Folder of all runs' crops.
        cameras: Names.
        every: Seconds between two pictures of a track.
        min_height: Smaller boxes are left out, in pixels.
        live: The run goes on from earlier ones, with global ids that never repeat.
        blur: What is hidden in the pictures, as in films.
        scope: In which global ids are unique, where that is more than this run: of a gallery.
    """

    output = "crops"

    def __init__(
        self,
        folder: Path,
        cameras: list[str],
        *,
        every: float = 1.0,
        min_height: float = 64.0,
        live: bool = False,
        blur: Blur = "none",
        scope: str = "",
    ) -> None:
        self._folder = _next_run(folder)
        self._every, self._min_height, self._blur = every, min_height, blur
        self._scope = scope or ("live" if live else self._folder.name)
        self._last: dict[tuple[str, int], float] = {}
        self._closed = False
        for camera in cameras:
            (self._folder / camera).mkdir(exist_ok=True)
        self._note([_COLUMNS])

    def write(self, result: FrameResult) -> None:
        """Cut out who has not been for a while; frames without a picture (replays) give nothing."""
        frame = result.frame
        if not frame.image.size:
            return
        height, width = frame.image.shape[:2]
        low = np.floor(result.tracks.boxes[:, :2]).astype(int).clip(0)
        high = np.ceil(result.tracks.boxes[:, 2:]).astype(int).clip(0, (width, height))
        for row, track in enumerate(result.tracks.ids.tolist()):
            if result.tracks.rows[row] < 0 or result.tracks.scores[row] <= 0:  # not detected here: it may show anything
                continue
            (left, top), (right, bottom) = low[row], high[row]
            if (
                bottom - top < self._min_height
                or right - left < 8
                or frame.time - self._last.get((frame.camera, track), -np.inf) < self._every
            ):
                continue
            self._last[frame.camera, track] = frame.time
            crop = blurred(frame.image, result.blur_boxes, self._blur, (int(left), int(top), int(right), int(bottom)))
            self._save(self._folder / frame.camera / f"{track:06d}_{frame.index:08d}.jpg", crop)

    def event(self, event: IdentityEvent) -> None:
        """Only final identities count here."""

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """Append the final identities of settled tracks to ``identities.csv``."""
        seen = [(key, value) for key, value in sorted(identities.items()) if key in self._last]
        self._note(
            [[camera, track, who, f"{probability:.4f}", self._scope] for (camera, track), (who, probability) in seen]
        )
        for key, _ in seen:
            del self._last[key]

    def close(self, identities: FinalIdentities) -> None:
        """Append the identities of all tracks that are left."""
        if not self._closed:
            self._closed = True
            self.finalize_tracks(identities)

    def abort(self) -> None:
        """What was written stays; tracks without an identity are not trained on."""
        self._closed = True

    def _save(self, path: Path, crop: np.ndarray) -> None:
        done, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 95])
        assert done
        try:
            path.parent.mkdir(exist_ok=True)  # a camera that came later
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise write_failed(path, error) from error

    def _note(self, rows: Sequence[Sequence[object]]) -> None:
        path = self._folder / "identities.csv"
        try:
            with path.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(rows)
        except OSError as error:
            raise write_failed(path, error) from error


def _next_run(folder: Path) -> Path:
    """A folder that no earlier run has used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(p.name[4:]) for p in folder.glob("run-*") if p.name[4:].isdecimal()), default=0)
        path = folder / f"run-{number:04d}"
        path.mkdir()
    except OSError as error:
        raise write_failed(folder, error) from error
    return path
