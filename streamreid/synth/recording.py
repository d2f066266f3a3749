"""From people to a folder with videos and everything that is true about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from streamreid.errors import ConfigError, OutputError
from streamreid.synth.config import SceneConfig
from streamreid.synth.cutouts import Cutout, Person
from streamreid.synth.detections import Boxes
from streamreid.synth.painting import Painter, Shown
from streamreid.synth.places import MARGIN, Place, View, lay_out
from streamreid.synth.walking import Walks, walk
from streamreid.types import Image

__all__ = ["COUNTED", "Report", "record"]

COUNTED = 0.1
"""Least visible share of a person who must be found; below it a row of the ground truth has score 0 (neither right nor wrong)."""

_CLOCK = 90_000


@dataclass(frozen=True, slots=True)
class Report:
    """What was made.

    Args:
        frames: Pictures per camera.
        boxes: Rows of ground truth of all cameras.
        visibility: Mean visible share over these rows.
        occupancy: Mean number of people in a picture.
        shared: People seen by more than one camera.
        duration: Seconds of the scene.
    """

    frames: dict[str, int]
    boxes: int
    visibility: float
    occupancy: float
    shared: int
    duration: float


@dataclass(slots=True)
class _Log:
    frames: int = 0
    truth: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    visibility: float = 0.0
    people: set[int] = field(default_factory=set)
    dropped: list[int] = field(default_factory=list)


def record(
    config: SceneConfig,
    people: Sequence[Person],
    out: Path,
    *,
    threads: int = 2,
    tick: Callable[[], None] | None = None,
    describe: Callable[[int], Any] | None = None,
) -> Report:
    """Make a scene.

    Writes ``<camera>.mp4``, ``cams.yaml``, ``truth/<camera>.txt`` (MOT text with visibility; ids mean the same person in all cameras), ``world.txt``
    (where everybody in view of a working camera stands, MOT text with x, y, z in columns 8 to 10), ``detections/<camera>.txt``,
    ``calibration/<camera>.txt`` (3x4 matrices) and ``scene.json``.

    Args:
        config: The scene.
        people: ``config.people`` of them.
        out: An existing folder.
        threads: Cameras drawn at once.
        tick: Called after every picture.
        describe: What ``scene.json`` says of the person with a number; default the number itself.

    Raises:
        ConfigError: Not as many people.
        OutputError: Something cannot be written.
    """
    if len(people) != config.people:
        raise ConfigError(f"the scene has {config.people} people, but {len(people)} were given")
    rng = np.random.default_rng(config.seed)
    places, views = lay_out(config, rng)
    walks = walk(config, places, rng)
    seeds = rng.integers(0, 2**31, (len(views), 3)).tolist()
    looks = [_looks(people, number, len(views)) for number in range(len(views))]

    def one(number: int) -> _Log:
        view = views[number]
        painter = Painter(view, places[view.place], walks, looks[number], lighting=config.lighting, seed=seeds[number][0])
        boxes = Boxes(view.size, seeds[number][1])
        return _film(config, view, painter, boxes, out / f"{view.name}.mp4", np.random.default_rng(seeds[number][2]), tick)

    with ThreadPoolExecutor(max(1, threads)) as executor:
        logs = list(executor.map(one, range(len(views))))
    try:
        _write(out, config, views, logs)
        (out / "world.txt").write_text(_world(config, places, views, walks), encoding="utf-8")
        names = [p.number if describe is None else describe(p.number) for p in people]
        (out / "scene.json").write_text(json.dumps(_scene(config, places, views, logs, names), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write the scene to '{out}': {error.strerror or error}") from error
    return _report(config, views, logs)


def _looks(people: Sequence[Person], number: int, count: int) -> list[list[Cutout]]:
    """Cutouts of everybody for one camera of the scene: those of one camera of the folder.

    Cameras of the scene that share a camera of the folder share out its pictures, so that nobody is recognised by the very same picture.
    """
    cameras = sorted({c for p in people for c in p.cutouts})
    own = cameras[number % len(cameras)]
    sharing = list(range(number % len(cameras), count, len(cameras)))
    rank = sharing.index(number)
    result = []
    for person in people:
        pictures = person.cutouts.get(own) or [c for cutouts in person.cutouts.values() for c in cutouts]
        result.append(pictures[rank :: len(sharing)] or [pictures[rank % len(pictures)]])
    return result


def _film(
    config: SceneConfig, view: View, painter: Painter, boxes: Boxes, path: Path, rng: np.random.Generator, tick: Callable[[], None] | None
) -> _Log:
    log = _Log()
    try:
        with _Video(path, view.size, config.fps) as video:
            for number in range(round(config.duration * config.fps)):
                stamp = number / config.fps
                off = view.offline is not None and view.offline[0] <= stamp < view.offline[1]
                if number and (off or rng.uniform() < config.drop):
                    log.dropped.append(number)
                else:
                    image, shown = painter.draw(stamp + view.skew)
                    video.write(image, stamp)
                    log.frames += 1
                    _note(log, shown, boxes(shown))
                if tick:
                    tick()
    except (OSError, av.FFmpegError) as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}. Free space or choose another folder (--out)") from error
    return log


def _note(log: _Log, shown: list[Shown], found: list[tuple[float, float, float, float, float]]) -> None:
    for one in shown:
        x0, y0, x1, y1 = one.box
        counted = int(one.visibility >= COUNTED)
        log.truth.append(f"{log.frames},{one.person + 1},{x0:g},{y0:g},{x1 - x0:g},{y1 - y0:g},{counted},1,{one.visibility:.3f}")
        log.visibility += one.visibility
        if counted:
            log.people.add(one.person)
    log.found += [f"{log.frames},-1,{x:.1f},{y:.1f},{w:.1f},{h:.1f},{score:.3f},-1,-1,-1" for x, y, w, h, score in found]


class _Video:
    """An MP4 file whose frames carry their own times."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        self._container: Any = av.open(str(path), "w", format="mp4")
        x264 = "libx264" in av.codecs_available
        stream: Any = self._container.add_stream("libx264" if x264 else "mpeg4", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        stream.codec_context.gop_size = 50
        stream.codec_context.max_b_frames = 0
        stream.codec_context.thread_count = 1
        if x264:
            stream.options = {"preset": "superfast", "crf": "22"}
        else:
            stream.bit_rate = 4_000_000
        self._stream = stream

    def __enter__(self) -> _Video:
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()

    def write(self, image: Image, time: float) -> None:
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = round(time * _CLOCK), Fraction(1, _CLOCK)
        self._container.mux(self._stream.encode(frame))


def _write(out: Path, config: SceneConfig, views: list[View], logs: list[_Log]) -> None:
    for folder in ("truth", "detections", "calibration"):
        (out / folder).mkdir(exist_ok=True)
    lines = ["# Made by `streamreid synth`. Exact boxes instead of a detector: --detector mot:<this folder>/detections", "cameras:"]
    for view, log in zip(views, logs, strict=True):
        for folder, rows in (("truth", log.truth), ("detections", log.found)):
            (out / folder / f"{view.name}.txt").write_text("".join(row + "\n" for row in rows), encoding="utf-8")
        matrix = "".join(" ".join(f"{value:.10g}" for value in row) + "\n" for row in view.matrix)
        (out / "calibration" / f"{view.name}.txt").write_text(matrix, encoding="utf-8")
        lines += [f"  - name: {view.name}", f"    uri: {view.name}.mp4", f"    calibration: calibration/{view.name}.txt"]
    (out / "cams.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _world(config: SceneConfig, places: list[Place], views: list[View], walks: Walks) -> str:
    rows = []
    for number in range(round(config.duration * config.fps)):
        time = number / config.fps
        where = walks.at(time)
        for person in np.flatnonzero(_in_view(time, where, walks.heights, places, views)).tolist():
            x, y = where[person]
            rows.append(f"{number + 1},{person + 1},-1,-1,-1,-1,1,{x:.3f},{y:.3f},0\n")
    return "".join(rows)


def _in_view(time: float, where: NDArray[Any], heights: NDArray[Any], places: list[Place], views: list[View]) -> NDArray[np.bool_]:
    """Who has the middle of the body in the picture of a camera that works at this time."""
    seen = np.zeros(len(where), bool)
    middle = np.concatenate([where, heights[:, None] / 2], 1)
    for view in views:
        stamp = time - view.skew
        if view.offline is not None and view.offline[0] <= stamp < view.offline[1]:
            continue
        pixels, depth = view.project(middle)
        with np.errstate(invalid="ignore"):
            inside = (pixels >= 0).all(1) & (pixels < view.size).all(1) & (depth > 0.8) & places[view.place].inside(where, MARGIN)
        seen |= inside
    return seen


def _scene(config: SceneConfig, places: list[Place], views: list[View], logs: list[_Log], people: list[Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "config": config.model_dump(),
        "duration": config.duration,
        "people": {str(i + 1): name for i, name in enumerate(people)},
        "places": [
            {
                "centre": p.centre.tolist(),
                "obstacles": [{"centre": o.centre.tolist(), "radius": o.radius, "height": o.height} for o in p.obstacles],
            }
            for p in places
        ],
        "cameras": {
            v.name: {
                "place": v.place,
                "position": v.position.tolist(),
                "skew": v.skew,
                "offline": v.offline,
                "lost_frames": len(log.dropped),
            }
            for v, log in zip(views, logs, strict=True)
        },
    }


def _report(config: SceneConfig, views: list[View], logs: list[_Log]) -> Report:
    boxes = sum(len(log.truth) for log in logs)
    seen = [p for log in logs for p in log.people]
    return Report(
        frames={v.name: log.frames for v, log in zip(views, logs, strict=True)},
        boxes=boxes,
        visibility=sum(log.visibility for log in logs) / max(boxes, 1),
        occupancy=boxes / max(sum(log.frames for log in logs), 1),
        shared=sum(seen.count(p) > 1 for p in set(seen)),
        duration=config.duration,
    )
