"""Annotated video while the run goes on: one film per camera, or all cameras in one."""

from __future__ import annotations

import logging
from pathlib import Path

from streamreid.errors import OutputError
from streamreid.sinks.base import FinalIdentities, SinkContext
from streamreid.sinks.drawing import DrawStyle, Painter, caption
from streamreid.sinks.mosaic import Mosaic, Shot
from streamreid.sinks.video_encoder import VideoWriter, Worker
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["MosaicSink", "VideoSink", "shot_of"]

_log = logging.getLogger(__name__)


def shot_of(result: FrameResult) -> Shot:
    """A frame's result as a picture to draw."""
    frame, tracks = result.frame, result.tracks
    return Shot(
        frame.camera,
        frame.time,
        frame.image,
        tracks.boxes,
        result.global_ids,
        tracks.ids,
        result.blur_boxes,
        result.names,
    )


class _Film(SinkContext):
    """A sink that draws and encodes in its own thread, so that the pipeline only hands over references."""

    def __init__(self, name: str, drop: bool, length: int) -> None:
        self._worker: Worker[FrameResult] = Worker(self._draw, name=name, length=length, drop=drop)
        self._closed = False

    @property
    def dropped(self) -> int:
        """Pictures left out because encoding could not keep up."""
        return self._worker.dropped

    def _draw(self, result: FrameResult) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def write(self, result: FrameResult) -> None:
        """Hand over one frame; it is drawn and encoded in another thread."""
        self._worker.put(result)

    def event(self, event: IdentityEvent) -> None:
        """Ignore events: nothing of them is drawn."""

    def close(self, identities: FinalIdentities) -> None:
        """Finish the film. It shows the ids known at each moment; ``render_videos`` draws the final ones."""
        if self._closed:
            return
        self._closed = True
        try:
            self._worker.finish()
        finally:
            self._finish()

    def abort(self) -> None:
        """Finish the film with what was drawn."""
        try:
            self.close(FinalIdentities())
        except OutputError as error:  # the run has already failed for a reason of its own
            _log.warning("%s", error)


class VideoSink(_Film):
    """Writes ``<folder>/<camera>.mp4`` with boxes, global ids and traces.

    Args:
        folder: Where the films go.
        style: What is drawn.
        drop: Leave pictures out when encoding cannot keep up (live); otherwise wait.
        length: Pictures that may wait.
        live: Keep the films of earlier runs (see ``VideoWriter``).
    """

    output = "video"

    def __init__(
        self,
        folder: Path | str,
        style: DrawStyle | None = None,
        *,
        drop: bool = True,
        length: int = 32,
        live: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self._live = live
        self._style = style or DrawStyle()
        self._films: dict[str, tuple[Painter, VideoWriter]] = {}
        super().__init__("annotated videos", drop, length)

    def _draw(self, result: FrameResult) -> None:
        shot = shot_of(result)
        if shot.camera not in self._films:
            self._films[shot.camera] = (
                Painter(self._style),
                VideoWriter(self.folder / f"{shot.camera}.mp4", live=self._live, times=True),
            )
        painter, writer = self._films[shot.camera]
        image = painter.draw(
            shot.image.copy(), shot.boxes, shot.global_ids, shot.track_ids, shot.blur_boxes, shot.names
        )
        caption(image, shot.camera, shot.time)
        writer.write(image, shot.time)

    def _finish(self) -> None:
        errors = []
        for _, writer in self._films.values():
            try:
                writer.close()
            except OutputError as error:
                errors.append(error)
        if errors:
            raise errors[0]


class MosaicSink(_Film):
    """Writes one film of all cameras.

    Args:
        path: The .mp4 file.
        cameras: In the order of the cells.
        style: What is drawn.
        drop: Leave pictures out when encoding cannot keep up (live); otherwise wait.
        length: Pictures that may wait.
        max_width: Of the film, pixels.
        live: Keep the films of earlier runs (see ``VideoWriter``).
    """

    output = "mosaic"

    def __init__(
        self,
        path: Path | str,
        cameras: list[str],
        style: DrawStyle | None = None,
        *,
        drop: bool = True,
        length: int = 64,
        max_width: int = 1920,
        live: bool = False,
    ) -> None:
        self._mosaic = Mosaic(cameras, style, max_width=max_width)
        self._writer = VideoWriter(path, live=live, times=True)
        super().__init__("mosaic video", drop, length)

    def _draw(self, result: FrameResult) -> None:
        for time, image in self._mosaic.add(shot_of(result)):
            self._writer.write(image, time)

    def _finish(self) -> None:
        try:
            for time, image in self._mosaic.finish():
                self._writer.write(image, time)
        finally:
            self._writer.close()
