"""A second pass over recordings: films that show who was who as known at the end.

While a run goes on, a person may carry an id that is revised later. Recordings can be read again, so their films are
drawn afterwards from the final results; the pictures come in as an argument, because reading them is the business of
another room.
"""

from __future__ import annotations

import heapq
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

import numpy as np

from streamreid.config import OutputConfig
from streamreid.errors import DataError, OutputError, SourceError
from streamreid.sinks.base import LineFile, ltwh
from streamreid.sinks.drawing import DrawStyle, Painter, caption, style_of
from streamreid.sinks.mosaic import Mosaic, Shot
from streamreid.sinks.video_encoder import VideoWriter
from streamreid.types import FloatArray, Frame, Image, IntArray

__all__ = ["MaskFiles", "render_videos"]

_log = logging.getLogger(__name__)


class _Rows:
    """Reads a MOT text file along with the frames; only the current frame is held in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = enumerate(self._open(), start=1)
        self._next = self._read()

    def _open(self) -> Iterator[str]:
        if self._path.is_file():
            with open(self._path, encoding="utf-8") as file:
                yield from file

    def _read(self) -> tuple[int, list[float]] | None:
        for number, line in self._lines:
            try:
                frame, *rest = line.split(",")[:6]
                left, top, width, height = (float(value) for value in rest[1:])
                return int(frame), [float(int(rest[0])), left, top, left + width, top + height]
            except ValueError as error:
                raise DataError(
                    f"{self._path}:{number}: expected 'frame,id,left,top,width,height,...', got {line.strip()!r}"
                ) from error
        return None

    def at(self, frame: int) -> tuple[FloatArray, IntArray]:
        """Boxes and ids of a frame (from 1); frames must be asked for in rising order."""
        rows = []
        while self._next is not None and self._next[0] <= frame:
            if self._next[0] == frame:
                rows.append(self._next[1])
            self._next = self._read()
        table = np.array(rows, np.float64).reshape(-1, 5)
        return table[:, 1:].astype(np.float32), table[:, 0].astype(np.int64)


class MaskFiles:
    """What is to be blurred in films that are drawn after the run: ``<camera>.txt`` with a line
    ``frame,0,left,top,width,height`` per box.

    The folder is removed when the block is left.

    Args:
        folder: Made when the first box comes; what an earlier run left there is removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, LineFile] = {}
        self._error: OutputError | None = None

    def __enter__(self) -> MaskFiles:
        shutil.rmtree(self.folder, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OutputError):
            self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, camera: str, index: int, boxes: FloatArray) -> None:
        """Take a frame's boxes ``[M, 4]``; frames of a camera come in rising order. An error is told by :meth:`close`,
        so that the run goes on."""
        if self._error is not None:
            return
        try:
            if camera not in self._files:
                self._files[camera] = LineFile(self.folder / f"{camera}.txt")
            self._write(camera, index, boxes)
        except OutputError as error:
            self._error = error

    def _write(self, camera: str, index: int, boxes: FloatArray) -> None:
        self._files[camera].write(
            "".join(f"{index + 1},0,{x:.1f},{y:.1f},{w:.1f},{h:.1f}\n" for x, y, w, h in ltwh(boxes).tolist())
        )

    def close(self) -> None:
        """Finish writing; the files can be read.

        Raises:
            OutputError: Not everything could be written: films drawn without it would show people.
        """
        for file in self._files.values():
            file.close()
        if self._error is not None:
            raise self._error


def render_videos(
    sources: Mapping[str, Callable[[], Iterable[Frame]]],
    folder: Path | str,
    output: OutputConfig,
    *,
    style: DrawStyle | None = None,
    masks: Path | None = None,
    progress: Callable[[Frame], None] | None = None,
    names: Mapping[int, str] | None = None,
) -> list[Path]:
    """Draw final identities into films, by capture time over all cameras.

    Args:
        sources: Per camera, a function that gives its pictures in order, as in the run that made the results.
        folder: Folder of the results: ``mot/global/<camera>.txt`` is read (a missing file means nobody was there),
            ``videos/<camera>.mp4`` and ``mosaic.mp4`` are written.
        output: Which films are wanted, and whether people are blurred.
        names: Names by global id, written behind the number.
        style: What is drawn, instead of what ``output`` says.
        masks: Folder with what is to be blurred, from :class:`MaskFiles`. Without it only people who are in the results
            are blurred.
        progress: Called after each frame.

    Returns:
        The films that were written.

    Raises:
        OutputError: A film cannot be written, or the results have no MOT text with global ids.
        DataError: A results file is malformed.
    """
    folder, cameras = Path(folder), list(sources)
    final = folder / "mot" / "global"
    if not final.is_dir():
        raise OutputError(
            f"videos with final identities are drawn from '{final}', which is not there. Set output.mot: true."
        )
    style = style or style_of(output)
    with ExitStack() as stack:
        films: dict[str, VideoWriter] = {}
        for name, path in _targets(folder, cameras, output):
            films[name] = VideoWriter(path, threads=0, times=True)
            stack.callback(films[name].close)
        mosaic = Mosaic(cameras, style) if "" in films else None
        opened = {camera: _until_error(camera, opener, mosaic) for camera, opener in sources.items()}
        painters = {camera: Painter(style) for camera in films if camera}
        rows = {camera: _Rows(final / f"{camera}.txt") for camera in cameras}
        hidden = {} if masks is None else {camera: _Rows(masks / f"{camera}.txt") for camera in cameras}
        for time, frame in heapq.merge(*opened.values(), key=lambda item: item[0]):
            boxes, ids = rows[frame.camera].at(frame.index + 1)
            blur = hidden[frame.camera].at(frame.index + 1)[0] if hidden else None
            if mosaic is not None:
                _write_all(
                    films[""], mosaic.add(Shot(frame.camera, time, frame.image, boxes, ids, ids, blur, names or {}))
                )
            if frame.camera in painters:
                image = painters[frame.camera].draw(frame.image.copy(), boxes, ids, None, blur, names)
                caption(image, frame.camera, time)
                films[frame.camera].write(image, time)
            if progress is not None:
                progress(frame)
        if mosaic is not None:
            _write_all(films[""], mosaic.finish())
    return [film.path for film in films.values() if film.frames]


def _until_error(
    camera: str, opener: Callable[[], Iterable[Frame]], mosaic: Mosaic | None
) -> Iterator[tuple[float, Frame]]:
    # A source that breaks here broke in the first pass as well, where it was reported; its film ends there.
    try:
        for frame in opener():
            yield frame.time, frame
    except SourceError as error:
        _log.debug("%s: %s", camera, error)
    if mosaic is not None:
        mosaic.end(camera)


def _write_all(film: VideoWriter, pictures: Iterable[tuple[float, Image]]) -> None:
    for time, image in pictures:
        film.write(image, time)


def _targets(folder: Path, cameras: list[str], output: OutputConfig) -> list[tuple[str, Path]]:
    """Film files by camera; the mosaic has the empty name, which no camera can have."""
    targets = [("", folder / "mosaic.mp4")] if output.mosaic else []
    if output.video:
        targets += [(camera, folder / "videos" / f"{camera}.mp4") for camera in cameras]
    return targets
