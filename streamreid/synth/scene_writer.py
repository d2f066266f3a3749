"""From people to a folder with videos and everything that is true about them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import ConfigError, OutputError
from streamreid.synth.camera_recording import Film, Shot
from streamreid.synth.config import SceneConfig
from streamreid.synth.crowd_simulation import Walks, walk
from streamreid.synth.cutouts import Cutout, Person
from streamreid.synth.process_pool import film_all
from streamreid.synth.scene_layout import MARGIN, FloorArea, View, lay_out

__all__ = ["Report", "record"]

_AT_ONCE = 256  # frames


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


def record(
    config: SceneConfig,
    people: Sequence[Person],
    out: Path,
    *,
    processes: int = 1,
    tick: Callable[[], None] | None = None,
    describe: Callable[[int], Any] | None = None,
) -> Report:
    """Make a scene.

    Writes ``<camera>.mp4``, ``cams.yaml``, ``truth/<camera>.txt`` (MOT text with visibility; ids mean the same person
    in all cameras), ``visible/<camera>.txt`` (the same with the box around what can be seen of each person),
    ``world.txt`` (where everybody in view of a working camera stands, MOT text with x, y, z in columns 8 to 10),
    ``detections/<camera>.txt``, ``calibration/<camera>.txt`` (3x4 matrices) and ``scene.json``.

    Args:
        config: The scene.
        people: ``config.people`` of them.
        out: An existing folder; files of these names in it are replaced.
        processes: Cameras drawn at once. The scene does not depend on it.
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

    def shot(number: int) -> Shot:
        view = views[number]
        visitors = walks.visitors(places[view.place]).tolist()
        looks = {n: pictures_for(people[n], number, config.cameras) for n in visitors}
        return Shot(config, view, places[view.place], walks, looks, tuple(seeds[number]), out)

    try:
        for folder in ("truth", "visible", "detections", "calibration"):
            (out / folder).mkdir(exist_ok=True)
        with (out / "world.txt").open("w", encoding="utf-8") as file:
            _write_world(file, config, places, views, walks)
        films = film_all(shot, len(views), processes, tick)
        _write_cameras(out, views)
        names = [p.number if describe is None else describe(p.number) for p in people]
        (out / "scene.json").write_text(
            json.dumps(_scene(config, places, views, films, names), indent=1) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise OutputError(f"cannot write the scene to '{out}': {error.strerror or error}") from error
    return _report(config, views, films)


def pictures_for(person: Person, number: int, count: int) -> list[Cutout]:
    """Cutouts of a person for one camera of the scene: those of one camera of the folder.

    Cameras of the scene that share a camera of the folder share out its pictures, so that nobody is recognised by the
    very same picture.

    Args:
        person: With cutouts by camera of the folder.
        number: Of the camera of the scene.
        count: How many cameras the scene has.
    """
    cameras = sorted(person.cutouts)
    own = number % len(cameras)
    pictures = person.cutouts[cameras[own]]
    sharing = len(range(own, count, len(cameras)))
    rank = number // len(cameras)
    return pictures[rank::sharing] or [pictures[rank % len(pictures)]]


def _write_cameras(out: Path, views: list[View]) -> None:
    lines = [
        "# Made by `streamreid synth`. Exact boxes instead of a detector: --detector mot:<this folder>/detections",
        "cameras:",
    ]
    for view in views:
        matrix = "".join(" ".join(f"{value:.10g}" for value in row) + "\n" for row in view.matrix)
        (out / "calibration" / f"{view.name}.txt").write_text(matrix, encoding="utf-8")
        lines += [
            f"  - name: {view.name}",
            f"    uri: {view.name}.mp4",
            f"    calibration: calibration/{view.name}.txt",
        ]
    (out / "cams.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_world(file: TextIO, config: SceneConfig, places: list[FloorArea], views: list[View], walks: Walks) -> None:
    for start in range(0, config.frames, _AT_ONCE):
        times = np.arange(start, min(start + _AT_ONCE, config.frames)) / config.fps
        where = walks.at(times)
        rows, people = np.nonzero(np.isfinite(where[..., 0]))
        points = where[rows, people]
        seen = _in_view(times[rows], points, walks.heights[people], places, views)
        for row, person, (x, y) in zip(rows[seen].tolist(), people[seen].tolist(), points[seen].tolist(), strict=True):
            file.write(f"{start + row + 1},{person + 1},-1,-1,-1,-1,1,{x:.3f},{y:.3f},0\n")


def _in_view(
    times: NDArray[Any], where: NDArray[Any], heights: NDArray[Any], places: list[FloorArea], views: list[View]
) -> NDArray[np.bool_]:
    """Who ``[N]`` has the middle of the body in the picture of a camera that works at that time."""
    seen = np.zeros(len(where), bool)
    middle = np.concatenate([where, heights[:, None] / 2], 1)
    for view in views:
        near = np.flatnonzero(places[view.place].inside(where, MARGIN))
        stamps = times[near] - view.skew
        begin, end = view.offline or (np.inf, np.inf)
        pixels, depth = view.project(middle[near])
        with np.errstate(invalid="ignore"):
            inside = (pixels >= 0).all(1) & (pixels < view.size).all(1) & (depth > 0.8)
        seen[near] |= inside & ~((stamps >= begin) & (stamps < end))
    return seen


def _scene(
    config: SceneConfig, places: list[FloorArea], views: list[View], films: list[Film], people: list[Any]
) -> dict[str, Any]:
    return {
        "schema": 1,
        "config": config.model_dump(),
        "duration": config.duration,
        "people": {str(i + 1): name for i, name in enumerate(people)},
        "places": [
            {
                "centre": p.centre.tolist(),
                "obstacles": [
                    {"centre": o.centre.tolist(), "radius": o.radius, "height": o.height} for o in p.obstacles
                ],
            }
            for p in places
        ],
        "cameras": {
            v.name: {
                "place": v.place,
                "position": v.position.tolist(),
                "skew": v.skew,
                "offline": v.offline,
                "lost_frames": f.lost,
            }
            for v, f in zip(views, films, strict=True)
        },
    }


def _report(config: SceneConfig, views: list[View], films: list[Film]) -> Report:
    boxes = sum(f.boxes for f in films)
    seen = Counter(person for f in films for person in f.people)
    return Report(
        frames={v.name: f.frames for v, f in zip(views, films, strict=True)},
        boxes=boxes,
        visibility=sum(f.visibility for f in films) / max(boxes, 1),
        occupancy=boxes / max(sum(f.frames for f in films), 1),
        shared=sum(cameras > 1 for cameras in seen.values()),
        duration=config.duration,
    )
