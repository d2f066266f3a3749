"""Pictures of a run once more, never with more to be seen than the run was allowed to show.

Two sources are tried: a film that the run drew, in which everybody is hidden already who was to be, and the recording.
People in a recording are hidden as the configuration says; who has to be is found by the run's own detector, in the
way of films that are drawn after a run. Where neither is at hand it is said why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np

from streamreid.config import CameraConfig, Config, EngineConfig, OutputConfig
from streamreid.errors import DataError, SourceError
from streamreid.media import ffmpeg_name
from streamreid.pipeline import Pipeline
from streamreid.reports.track_boxes import TrackBoxes
from streamreid.runs.finished_run import FinishedRun
from streamreid.sinks.drawing import blurred, style_of
from streamreid.sinks.film_times import FilmTimes, film_camera, read_film_times
from streamreid.sinks.segments import result_folders
from streamreid.sources import open_source
from streamreid.sources.kinds import is_box_file, is_live, is_remote
from streamreid.types import FloatArray, Image

__all__ = ["BlurName", "CameraPictures", "Period", "Picture", "stricter"]

BlurName = Literal["none", "people", "faces"]
Period = tuple[float, float]
"""From when to when, capture times in seconds."""

_STRICTNESS: tuple[BlurName, ...] = ("none", "faces", "people")

_LEAD = 10.0
"""Seconds of a recording before a period from which it is followed who has to be hidden: longer than the mask
remembers anybody."""

_TOGETHER = 60.0
"""Seconds between two periods up to which a recording is followed through."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture as it may be shown.

    Args:
        period: Which of the periods asked for it belongs to, from 0.
        time: Capture time in seconds.
        image: ``[H, W, 3]`` uint8 BGR.
        drawn: Whether boxes of people are in it already.
    """

    period: int
    time: float
    image: Image
    drawn: bool


def stricter(one: BlurName, other: BlurName) -> BlurName:
    """The setting that hides more."""
    return max(one, other, key=_STRICTNESS.index)


class CameraPictures:
    """Gives pictures of the cameras of a run.

    Args:
        run: The run.
        sources: Cameras and settings where the run left none, or its recordings were moved: a camera counts by its
            name.
        blur: Hide more than the run did; less is not possible.

    Attributes:
        config: Of the run, or ``sources``; None where neither is known.

    Raises:
        DataError: The run left a configuration that cannot be read, and there are no ``sources``.
    """

    def __init__(self, run: FinishedRun, *, sources: Config | None = None, blur: BlurName = "none") -> None:
        self.run = run
        known = run.config if sources is None or run.summary is not None else None
        self._settings = self.config = known or sources
        self._cameras: Mapping[str, CameraConfig] = {
            camera.name: camera for config in (known, sources) if config is not None for camera in config.cameras
        }
        self.blur: BlurName = blur
        for config in (known, sources):
            self.blur = self.blur if config is None else stricter(self.blur, config.output.blur)
        drawn_as: BlurName = "none" if known is None else known.output.blur
        self._films_do = stricter(blur, drawn_as) == drawn_as

    def read(self, camera: str, periods: Sequence[Period], boxes: TrackBoxes | None = None) -> Iterator[Picture]:
        """The pictures of some periods, in the order of capture time.

        Args:
            camera: Name of the camera.
            periods: Rising, without overlap.
            boxes: Where the tracks of the camera were, to be hidden where people are.

        Raises:
            DataError: There is neither a film nor a recording that may be shown; the message says why.
            SourceError: The recording cannot be read.
        """
        films = self.films(camera)
        recording, why = self._recording(camera)
        if films and self._films_do and (recording is None or self.blur != "none"):
            yield from _from_films(films, periods)
        elif recording is not None:
            yield from self._from_recording(recording, periods, boxes)
        else:
            raise DataError(why)

    def films(self, camera: str) -> list[tuple[Path, FilmTimes]]:
        """The films of a camera whose times are known, by their beginning."""
        found = []
        for folder in result_folders(self.run.path):
            for path in (folder / "videos").glob("*.mp4"):
                if film_camera(path, self.run.cameras) == camera:
                    times = read_film_times(path)
                    if times is not None:
                        found.append((path, times))
        return sorted(found, key=lambda film: (film[1].start, film[0]))

    def _recording(self, camera: str) -> tuple[CameraConfig | None, str]:
        """The recording of a camera, or why there is none that may be shown."""
        config = self._cameras.get(camera)
        if self._settings is None:
            return None, (
                f"camera '{camera}': the run has no film of it with times, and no summary.json that says where its "
                "recording is and who is to be hidden (the run was killed, or goes on); name its YAML file (--sources)"
            )
        if config is None:
            return None, f"camera '{camera}': nothing says where its recording is; name its YAML file (--sources)"
        if is_live(config):
            return None, (
                f"camera '{camera}' was live, and the run kept no film of it with times: set output.video in the next "
                "run"
            )
        if is_box_file(config):
            return None, f"camera '{camera}' had boxes and no pictures"
        if is_remote(config.uri):
            return config, ""
        path = _located(Path(config.uri), self.run.path)
        if path is None:
            return None, (
                f"camera '{camera}': its recording '{config.uri}' is not there; start in the folder where the run was "
                "started, or name a YAML file with its place (--sources)"
            )
        return config.model_copy(update={"uri": str(path)}), ""

    def _from_recording(
        self, camera: CameraConfig, periods: Sequence[Period], boxes: TrackBoxes | None
    ) -> Iterator[Picture]:
        for group in _groups(periods):
            first, last = periods[group[0]][0], periods[group[-1]][1]
            part = _from(camera, first)
            masks = None if self.blur == "none" else self._masks(part, first, last)
            with open_source(part) as source:
                for frame in source:
                    if frame.time > last:
                        break
                    number = next((n for n in group if periods[n][0] <= frame.time <= periods[n][1]), None)
                    if number is None or (masks is not None and frame.index not in masks):
                        continue
                    image = frame.image
                    if masks is not None:
                        hidden = [masks[frame.index]] + ([] if boxes is None else [boxes.at(frame.time).boxes])
                        style = style_of(OutputConfig(blur=self.blur))
                        image = blurred(image, np.concatenate(hidden), style.blur)
                    yield Picture(number, frame.time, image, drawn=False)

    def _masks(self, camera: CameraConfig, first: float, last: float) -> dict[int, FloatArray]:
        """What is to be hidden in the frames of a period, by their index."""
        assert self._settings is not None
        settings = Config(
            cameras=(camera.model_copy(update={"calibration": None}),),
            detector=self._settings.detector,
            tracker=self._settings.tracker,
            engine=EngineConfig(model="none"),
            output=OutputConfig(blur=self.blur),
        )
        ahead = settings.tracker.lost_seconds
        found: dict[int, FloatArray] = {}
        times: dict[int, float] = {}
        with Pipeline(settings) as pipeline:
            pipeline.masks.record_to(lambda _, moment: found.__setitem__(moment.index, moment.boxes), ahead=ahead)
            for result in pipeline:
                times[result.frame.index] = result.frame.time
                if result.frame.time > last + ahead:
                    pipeline.stop()
        return {index: area for index, area in found.items() if first <= times.get(index, first - 1) <= last}


def _from(camera: CameraConfig, time: float) -> CameraConfig:
    """The camera from a while before a moment on; frames keep their numbers."""
    if camera.frames is not None or camera.stride > 1:  # these count from where it starts
        return camera
    return camera.model_copy(update={"start": max(camera.start, time - camera.begin - _LEAD)})


def _groups(periods: Sequence[Period]) -> Iterator[list[int]]:
    """Periods that lie close together."""
    group: list[int] = []
    for number, (start, _) in enumerate(periods):
        if group and start - periods[group[-1]][1] > _TOGETHER:
            yield group
            group = []
        group.append(number)
    if group:
        yield group


def _located(path: Path, folder: Path) -> Path | None:
    """A recording whose path may have been relative to the folder in which the run was started."""
    return next((found for base in (Path(), *folder.resolve().parents) if (found := base / path).exists()), None)


def _from_films(films: Sequence[tuple[Path, FilmTimes]], periods: Sequence[Period]) -> Iterator[Picture]:
    for number, (start, end) in enumerate(periods):
        for path, times in films:
            for first, last in times.intervals(start, end):
                for film, image in _film_pictures(path, first, last):
                    yield Picture(number, times.captured(film), image, drawn=True)


def _film_pictures(path: Path, first: float, last: float) -> Iterator[tuple[float, Image]]:
    """Pictures of a film between two moments, with their seconds in it; of one that is being written, up to where it
    is."""
    try:
        with av.open(ffmpeg_name(path)) as container:
            stream = container.streams.video[0]
            if first > 0 and stream.time_base is not None:
                container.seek(int(first / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if frame.time is None or frame.time < first - 1e-4:
                    continue
                if frame.time > last + 1e-4:
                    return
                yield float(frame.time), np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except av.error.EOFError:
        return
    except (OSError, av.FFmpegError) as error:
        raise SourceError(f"cannot read the film '{path}': {error}") from error
