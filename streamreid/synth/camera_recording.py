"""One camera of a scene: its video and, line by line beside it, the truth and what a detector would say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import av
import numpy as np

from streamreid.errors import OutputError
from streamreid.synth.compositing import Painter, Shown
from streamreid.synth.config import SceneConfig
from streamreid.synth.crowd_simulation import Walks
from streamreid.synth.cutouts import Cutout
from streamreid.synth.detections import Boxes
from streamreid.synth.scene_layout import FloorArea, View
from streamreid.synth.video import Video

__all__ = ["COUNTED", "Film", "Shot", "film"]

COUNTED = 0.1
"""Least visible share of a person who must be found; below it a row of the ground truth has score 0 (neither right nor
wrong)."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """All that one camera's film depends on.

    Args:
        config: The scene.
        view: The camera.
        place: What it looks at.
        walks: Everybody's way.
        looks: Cutouts of those who come by, by their number in the scene.
        seeds: For the pictures, the detections and the lost frames.
        out: Folder of the scene, with ``truth`` and ``detections`` in it.
    """

    config: SceneConfig
    view: View
    place: FloorArea
    walks: Walks
    looks: Mapping[int, Sequence[Cutout]]
    seeds: tuple[int, int, int]
    out: Path


@dataclass(slots=True)
class Film:
    """What was made of one camera.

    Args:
        frames: Pictures.
        lost: Pictures that were lost or fell in the time that the camera was off.
        boxes: Rows of ground truth.
        visibility: Sum of the visible shares of these rows.
        people: Who counts in at least one picture.
    """

    frames: int = 0
    lost: int = 0
    boxes: int = 0
    visibility: float = 0.0
    people: set[int] = field(default_factory=set)


def film(shot: Shot, tick: Callable[[], None] | None = None) -> Film:
    """Make one camera's files; ``tick`` is called after every picture.

    Raises:
        OutputError: They cannot be written.
    """
    name, result = shot.view.name, Film()
    try:
        with (
            Video(shot.out / f"{name}.mp4", shot.view.size, shot.config.fps) as video,
            (shot.out / "truth" / f"{name}.txt").open("w", encoding="utf-8") as truth,
            (shot.out / "visible" / f"{name}.txt").open("w", encoding="utf-8") as visible,
            (shot.out / "detections" / f"{name}.txt").open("w", encoding="utf-8") as found,
        ):
            _roll(shot, video, (truth, visible, found), result, tick)
    except (OSError, av.FFmpegError) as error:
        raise OutputError(
            f"cannot write {name} of the scene to '{shot.out}': {error.strerror or error}. Free space or choose "
            "another folder (--out)"
        ) from error
    return result


def _roll(
    shot: Shot, video: Video, texts: tuple[TextIO, TextIO, TextIO], result: Film, tick: Callable[[], None] | None
) -> None:
    truth, visible, found = texts
    config, view = shot.config, shot.view
    painter = Painter(view, shot.place, shot.walks, shot.looks, lighting=config.lighting, seed=shot.seeds[0])
    boxes, luck = Boxes(view.size, shot.seeds[1]), np.random.default_rng(shot.seeds[2])
    for number in range(config.frames):
        stamp = number / config.fps
        if number and (view.is_off(stamp) or luck.uniform() < config.drop):
            result.lost += 1
        else:
            picture, shown = painter.draw(stamp + view.skew)
            video.write(picture, stamp)
            result.frames += 1
            truth.writelines(_row(result.frames, one, one.box) for one in shown)
            visible.writelines(_row(result.frames, one, one.visible_box) for one in shown if one.visibility > 0)
            found.writelines(
                f"{result.frames},-1,{x:.1f},{y:.1f},{w:.1f},{h:.1f},{score:.3f},-1,-1,-1\n"
                for x, y, w, h, score in boxes(shown)
            )
            result.boxes += len(shown)
            result.visibility += sum(one.visibility for one in shown)
            result.people.update(one.person for one in shown if one.visibility >= COUNTED)
        if tick:
            tick()


def _row(frame: int, one: Shown, box: tuple[float, float, float, float]) -> str:
    x0, y0, x1, y1 = box
    ltwh = f"{x0:g},{y0:g},{x1 - x0:g},{y1 - y0:g}"
    return f"{frame},{one.person + 1},{ltwh},{int(one.visibility >= COUNTED)},1,{one.visibility:.3f}\n"
