"""A whole run: pipeline, sinks, videos, summary. What ``streamreid run`` and every clip of ``streamreid batch`` do."""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreid.config import CameraConfig, Config
from streamreid.errors import ConfigError, OutputError
from streamreid.pipeline.following import Following
from streamreid.secrets import redact
from streamreid.sinks import Sink, open_sinks, render_videos
from streamreid.sources import open_source
from streamreid.types import Frame

__all__ = ["CameraSummary", "Summary", "choose_folder", "run", "write_json"]

log = logging.getLogger(__name__)
Progress = Callable[[Following], None]


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """One camera's row of the end table.

    Args:
        frames: Frames used.
        people: Different identities seen.
        tracks: Tracks reported.
        dropped: Frames of a live camera that were skipped because a newer one was there.
        warnings: What was met and survived.
        error: Why the camera failed, or None.
    """

    frames: int
    people: int
    tracks: int
    dropped: int
    warnings: list[str]
    error: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run found and how fast it was. ``milliseconds`` are per frame and stage; detect/embed overlap with the others, so they don't add up."""

    folder: str
    cameras: dict[str, CameraSummary]
    identities: int
    shared: int
    frames: int
    seconds: float
    frames_per_second: float
    milliseconds: dict[str, float]
    detector: str
    engine: str
    interrupted: bool
    files: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """Cameras that failed."""
        return [name for name, c in self.cameras.items() if c.error is not None]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        cameras = {
            name: {
                "frames": c.frames,
                "people": c.people,
                "tracks": c.tracks,
                "dropped": c.dropped,
                "warnings": c.warnings,
                "error": c.error,
            }
            for name, c in self.cameras.items()
        }
        keys = ("identities", "shared", "frames", "detector", "engine", "interrupted", "files")
        return {
            "schema": 1,
            "cameras": cameras,
            **{k: getattr(self, k) for k in keys},
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(self.frames_per_second, 2),
            "milliseconds_per_frame": {k: round(v, 3) for k, v in self.milliseconds.items()},
        }


def run(pipeline: Following, folder: Path, *, progress: Progress | None = None, rendering: Callable[[str], None] | None = None) -> Summary:
    """Run a pipeline to its end (or until ``pipeline.stop()``), write everything the configuration asks for.

    Args:
        pipeline: Fresh pipeline or replay.
        folder: Results go here; it is made if needed.
        progress: Called after every frame.
        rendering: Called with a sentence when the videos are being drawn.

    Raises:
        SourceError: No camera could be opened.
        OutputError: Results cannot be written.
    """
    output = pipeline.config.output
    live = pipeline.live
    # Videos of files are drawn afterwards, when every correction of an identity is known.
    sinks = open_sinks(output, folder, [c.name for c in pipeline.config.cameras], films=live)
    try:
        for result in pipeline:
            with pipeline.statistics.stage("write"):
                for event in pipeline.drain_events():
                    _each(sinks, lambda s, e=event: s.event(e))  # type: ignore[misc]
                _each(sinks, lambda s, r=result: s.write(r))  # type: ignore[misc]
            if progress is not None:
                progress(pipeline)
        for event in pipeline.drain_events():
            _each(sinks, lambda s, e=event: s.event(e))  # type: ignore[misc]
        _each(sinks, lambda s: s.close(pipeline.identities))
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    if not live and (output.video or output.mosaic):
        if rendering is not None:
            rendering("drawing the videos")
        render_videos(_frames_again(pipeline), folder, output)
    summary = _summarise(pipeline, folder)
    write_json(folder / "summary.json", {**summary.as_dict(), "configuration": _public(pipeline.config)})
    return summary


def _each(sinks: list[Sink], call: Callable[[Sink], None]) -> None:
    for sink in sinks:
        call(sink)


def _frames_again(pipeline: Following) -> dict[str, Callable[[], Iterator[Frame]]]:
    """For each camera, its used frames once more (only those that were processed)."""

    def again(camera: CameraConfig, count: int) -> Iterator[Frame]:
        with open_source(camera) as source:
            for number, frame in enumerate(source, 1):
                yield frame
                if number >= count:
                    return

    counts = pipeline.statistics.cameras
    return {c.name: (lambda c=c: again(c, counts[c.name].frames)) for c in pipeline.config.cameras if counts[c.name].frames}  # type: ignore[misc]


def _summarise(pipeline: Following, folder: Path) -> Summary:
    seen_by: dict[int, set[str]] = defaultdict(set)
    people: dict[str, set[int]] = defaultdict(set)
    for (camera, _), (gid, _) in pipeline.identities.items():
        if gid:
            seen_by[gid].add(camera)
            people[camera].add(gid)
    statistics = pipeline.statistics
    cameras = {
        name: CameraSummary(c.frames, len(people[name]), c.tracks, c.dropped, c.warnings, c.error) for name, c in statistics.cameras.items()
    }
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return Summary(
        folder=str(folder),
        cameras=cameras,
        identities=len(seen_by),
        shared=sum(len(c) > 1 for c in seen_by.values()),
        frames=statistics.frames,
        seconds=statistics.elapsed,
        frames_per_second=statistics.rate,
        milliseconds=statistics.per_frame(),
        detector=pipeline.models[0],
        engine=pipeline.models[1],
        interrupted=pipeline.interrupted,
        files=sorted({*files, "summary.json"}),
    )


def _public(config: Config) -> Any:
    return json.loads(redact(config.model_dump_json()))


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` so that the file is always complete.

    Raises:
        OutputError: It cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}. Free space or choose another folder (--out).") from error


def choose_folder(asked: str | Path | None, name: str, *, overwrite: bool = False) -> Path:
    """Where results go: the folder asked for, else the first free of runs/<name>, runs/<name>-2, ...

    Raises:
        ConfigError: The folder asked for holds results already and ``overwrite`` is false, or is a file.
    """
    if asked is not None:
        folder = Path(asked)
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"'{folder}' is a file; results need a folder (--out)")
        if not overwrite and ((folder / "summary.json").exists() or (folder / "results.jsonl").exists()):
            raise ConfigError(f"'{folder}' already holds results; pass --overwrite to replace them or choose another folder (--out)")
        return folder
    number = 1
    while True:
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if not folder.exists() or overwrite:
            return folder
        number += 1
