"""The figures of a whole run, for the end table and ``summary.json``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamreid.association.second_looks import SecondLookCount
from streamreid.camera_names import file_name
from streamreid.cameras.statistics import CameraCount
from streamreid.clocks.clock_offsets import ClockOffset
from streamreid.errors import DataError
from streamreid.pipeline.run import Run
from streamreid.secrets import redact
from streamreid.sinks.film_times import film_camera, read_film_times
from streamreid.sinks.segments import PIECES, list_segments, result_folders

if TYPE_CHECKING:
    from streamreid.messages.deliveries import DeliveryState
    from streamreid.pipeline.gallery_sync import GallerySummary

__all__ = ["CameraSummary", "Summary", "summarise"]


@dataclass(frozen=True, slots=True)
class LiveSummary:
    """What only live cameras have.

    Args:
        age: How old frames were when their results came: p50, p95, p99 in seconds; None without a frame.
        reconnects: How often the camera came back after it was lost.
        drift_ppm: By how much its clock runs slower than this machine's, None if not known.
        clock_jumps: How often its clock jumped.
    """

    age: dict[str, float] | None
    reconnects: int
    drift_ppm: float | None
    clock_jumps: int

    @classmethod
    def of(cls, count: CameraCount) -> LiveSummary | None:
        """From a camera's figures; None for files."""
        if not count.live:
            return None
        ages, status = count.ages.whole(), count.status
        return cls(
            age=None if ages is None else ages.as_dict(),
            reconnects=0 if status is None else status.reconnects,
            drift_ppm=None if status is None or status.drift is None else round(status.drift, 1),
            clock_jumps=0 if status is None else status.jumps,
        )


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """One camera's row of the end table.

    Args:
        frames: Frames used.
        people: Different people seen.
        tracks: Tracks reported.
        drops: Frames of a live camera that were skipped, by reason.
        clocks: Frames by the clock of their capture time.
        warnings: What was met and survived.
        error: Why the camera failed, or None.
        live: Figures of a live camera.
        source: Its file, folder or address, without password; None if it is known no more.
        file: What its file or folder is called, where that says more than the camera's name.
        confirmed: Confirmed people among those seen.
        unlinked: Tracks that belong to nobody: they were seen too little.
        size: Width and height of its first frame.
        times: Capture times of its first and last frame.
        detected: Frames that the detector looked at.
    """

    frames: int
    people: int
    tracks: int
    drops: dict[str, int]
    clocks: dict[str, int]
    warnings: list[str]
    error: str | None
    live: LiveSummary | None = None
    source: str | None = None
    file: str | None = None
    confirmed: int = 0
    unlinked: int = 0
    size: tuple[int, int] | None = None
    times: tuple[float, float] | None = None
    detected: int = 0

    @property
    def dropped(self) -> int:
        """Frames skipped, for all reasons."""
        return sum(self.drops.values())

    def as_dict(self) -> dict[str, Any]:
        """The same figures as plain values, for JSON."""
        values: dict[str, Any] = {
            "source": self.source,
            "frame_size": None if self.size is None else list(self.size),
            "first_time": None if self.times is None else round(self.times[0], 6),
            "last_time": None if self.times is None else round(self.times[1], 6),
            "frames": self.frames,
            "frames_detected": self.detected,
            "people": self.people,
            "confirmed": self.confirmed,
            "unlinked_tracks": self.unlinked,
            "tracks": self.tracks,
            "dropped": self.dropped,
            "dropped_by_reason": self.drops,
            "clocks": self.clocks,
            "warnings": self.warnings,
            "error": self.error,
        }
        if self.live is not None:
            values |= {
                "age_seconds": self.live.age,
                "reconnects": self.live.reconnects,
                "drift_ppm": self.live.drift_ppm,
                "clock_jumps": self.live.clock_jumps,
            }
        return values


@dataclass(frozen=True, slots=True)
class FilmSummary:
    """A film of the run.

    Args:
        file: In the folder of the results.
        camera: Its camera; None for a mosaic.
        start: Capture time of its first picture in seconds; the times beside the film (``.times.csv``) say where gaps
            were shortened.
    """

    file: str
    camera: str | None
    start: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run found and how fast it was. ``milliseconds`` are per frame and stage; detect/embed overlap with the
    others, so they don't add up.

    ``load`` is how many seconds of inference one second of live frames needed at the end, ``bottleneck`` the stage that
    limited the rate. ``identities`` is how many people there were, ``confirmed`` how many of them were seen well
    enough, ``unlinked_tracks`` how many tracks are nobody. ``outputs_failed`` says why outputs were given up, by their
    name (mot, jsonl, parquet, crops, video, mosaic, world, cache, state, summary). ``films`` says when the pictures of
    its films were captured, ``messages`` how the messages got to each broker, ``second_looks`` what became of doubtful
    tracks; None without ``association.second_looks``.
    """

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
    load: float = 0.0
    bottleneck: str | None = None
    gallery: GallerySummary | None = None
    clocks: list[ClockOffset] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    outputs_failed: dict[str, str] = field(default_factory=dict)
    confirmed: int = 0
    unlinked_tracks: int = 0
    films: list[FilmSummary] = field(default_factory=list)
    messages: list[DeliveryState] = field(default_factory=list)
    second_looks: SecondLookCount | None = None

    @property
    def failed(self) -> list[str]:
        """Names of the cameras that ended with an error."""
        return [name for name, c in self.cameras.items() if c.error is not None]

    def as_dict(self) -> dict[str, Any]:
        """The same figures as plain values, for JSON."""
        cameras = {name: c.as_dict() for name, c in self.cameras.items()}
        keys = (
            "identities",
            "confirmed",
            "unlinked_tracks",
            "shared",
            "frames",
            "detector",
            "engine",
            "interrupted",
            "files",
        )
        return {
            "schema": 1,
            "cameras": cameras,
            **{k: getattr(self, k) for k in keys},
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(self.frames_per_second, 2),
            "milliseconds_per_frame": {k: round(v, 3) for k, v in self.milliseconds.items()},
            "load": round(self.load, 3),
            "bottleneck": self.bottleneck,
            "clock_offsets": [{**asdict(c), "wrong": c.wrong} for c in self.clocks],
            "outputs_failed": self.outputs_failed,
            "warnings": self.warnings,
            "gallery": None if self.gallery is None else asdict(self.gallery),
            "second_looks": None if self.second_looks is None else asdict(self.second_looks),
            "films": [asdict(film) for film in self.films],
            "messages": {state.broker: state.as_dict() for state in self.messages},
        }


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder; of results in segments, which may be many, the folders of the segments."""
    segments = [segment.path for segment in list_segments(folder)]
    yield from segments
    for path in folder.iterdir():
        if path.name == PIECES and segments:
            continue
        inner = path.rglob("*") if path.is_dir() else [path]
        yield from (p for p in inner if p.is_file() and not p.name.startswith("."))


def _films(folder: Path, cameras: Collection[str]) -> list[FilmSummary]:
    """The films of a run, in the order of their beginnings; those without times, of older versions, are left out."""
    found = []
    for part in result_folders(folder):
        for film in [*(part / "videos").glob("*.mp4"), *part.glob("mosaic*.mp4")]:
            with suppress(DataError):
                times = read_film_times(film)
                camera = film_camera(film, cameras) if film.parent != part else None
                if times is not None:
                    found.append(FilmSummary(str(film.relative_to(folder)), camera, round(times.start, 6)))
    return sorted(found, key=lambda film: (film.start, film.file))


def summarise(pipeline: Run, folder: Path) -> Summary:
    """The figures of a run that is over; ``folder`` holds its results."""
    seen_by: dict[int, set[str]] = defaultdict(set)
    people: dict[str, set[int]] = defaultdict(set)
    unlinked: Counter[str] = Counter()
    identities = pipeline.identities
    who = identities.people
    for (camera, _), (gid, _) in identities.items():
        if gid in who:
            seen_by[gid].add(camera)
            people[camera].add(gid)
        else:
            unlinked[camera] += 1
    statistics = pipeline.statistics
    uris = {camera.name: camera.uri for camera in pipeline.camera_configs}
    total = identities.count() + statistics.settled_people
    cameras = {
        name: CameraSummary(
            c.frames,
            len(people[name]),
            c.tracks,
            dict(c.drops),
            {str(name): number for name, number in c.clocks.items()},
            [*c.warnings, *c.findings],
            c.error,
            LiveSummary.of(c),
            redact(uris[name]) if name in uris else None,
            file_name(name, uris[name]) if name in uris else None,
            len(people[name] & identities.confirmed),
            unlinked[name],
            c.size,
            None if c.first_time is None or c.last_time is None else (c.first_time, c.last_time),
            c.detected,
        )
        for name, c in statistics.cameras.items()
    }
    files = sorted(str(p.relative_to(folder)) for p in _files(folder))
    return Summary(
        folder=str(folder),
        cameras=cameras,
        identities=total.identities,
        confirmed=total.confirmed,
        unlinked_tracks=total.unlinked_tracks,
        shared=sum(len(c) > 1 for c in seen_by.values()),
        frames=statistics.frames,
        seconds=statistics.elapsed,
        frames_per_second=statistics.rate,
        milliseconds=statistics.per_frame(),
        detector=pipeline.models[0],
        engine=pipeline.models[1],
        interrupted=pipeline.interrupted,
        files=sorted({*files, "summary.json"}),
        load=statistics.load,
        bottleneck=statistics.bottleneck,
        gallery=None if pipeline.memory is None else pipeline.memory.summary(),
        clocks=pipeline.clocks.offsets,
        warnings=list(statistics.findings),
        outputs_failed=dict(statistics.outputs),
        films=_films(folder, list(uris)),
        messages=list(statistics.deliveries),
        second_looks=statistics.second_looks,
    )
