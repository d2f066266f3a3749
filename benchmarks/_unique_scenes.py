"""Generated scenes for the benchmark of unique people: doors, people who come back after minutes, passers-by.

No picture of a scene is drawn: people walk as `streamreid synth` has them walk, boxes have the errors of its
detections, and features are those of each person (``_generated_people.py``), covered as the person is at that moment.
Scenes for fitting and for testing share no person.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _generated_people import Looks, bank

from streamreid.boxes import iou_matrix
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.config import Config
from streamreid.pipeline.camera_tracking import CameraTracking
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.frame_faults import FrameFaults
from streamreid.synth import SceneConfig
from streamreid.synth.compositing import Shown
from streamreid.synth.crowd_simulation import Walks, walk
from streamreid.synth.detections import Boxes
from streamreid.synth.scene_layout import MARGIN, FloorArea, View, lay_out
from streamreid.track_update import TrackUpdate
from streamreid.types import Detections, EmbeddedFrame, Frame, PartFeatures


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene of the benchmark.

    Args:
        name: Of its folder.
        source: Folder of pictures that its people come from.
        looks: Whether people beyond the folder's are different ones, look-alikes of the first half, or recoloured.
        config: Of the scene.
    """

    name: str
    source: str
    looks: Looks
    config: SceneConfig


def scene(kind: str, level: str, people: int, cameras: int, seed: int, looks: Looks = "different") -> Scene:
    """Ten minutes of a scene for fitting (``fit``) or testing (``test``)."""
    config = SceneConfig(
        people=people,
        cameras=cameras,
        level=level,  # type: ignore[arg-type]
        seconds=600.0,
        fps=4.0,
        visits=3,
        away=(10.0, 150.0),
        passing=0.2,
        overlap=0.5 if cameras > 2 else 0.0,
        seed=seed,
    )
    name = f"{kind}-{level}-{people}-{cameras}-{seed}" + ("" if looks == "different" else f"-{looks}")
    return Scene(name, {"fit": "cuhk03", "test": "cuhk01"}[kind], looks, config)


_GRID = 4
"""Pixels per cell of the grid on which it is worked out who hides whom."""

_WIDTH = 0.34
"""Width of a person's silhouette as a share of the height."""


class _Camera:
    """What one camera of a scene shows, as boxes: people from far to near before obstacles, without a picture."""

    def __init__(self, view: View, place: FloorArea, walks: Walks) -> None:
        self._view, self._walks, self._place = view, walks, place
        self._obstacles = []
        for one in place.obstacles:
            base = np.array([[*one.centre, 0.0], [*one.centre, one.height]])
            pixels, depth = view.project(base)
            if depth[0] > 0.8:
                wide = one.radius / depth[0] * self._focal()
                self._obstacles.append(
                    (
                        float(depth[0]),
                        pixels[:, 0].mean() - wide,
                        pixels[1, 1],
                        pixels[:, 0].mean() + wide,
                        pixels[0, 1],
                    )
                )

    def _focal(self) -> float:
        return float(np.linalg.norm(self._view.matrix[0, :3] - self._view.size[0] / 2 * self._view.matrix[2, :3]))

    def shown(self, time: float) -> list[Shown]:
        where = self._walks.at(np.array([time]))[0]
        people = np.flatnonzero(np.isfinite(where[:, 0]))
        people = people[self._place.inside(where[people], MARGIN)]
        if not len(people):
            return []
        feet = np.concatenate([where[people], np.zeros((len(people), 1))], 1)
        heads = feet + np.array([0.0, 0.0, 1.0]) * self._walks.heights[people][:, None]
        (below, depth), (above, _) = self._view.project(feet), self._view.project(heads)
        tall = np.linalg.norm(above - below, axis=1)
        wide, high = self._view.size
        found = []
        for row in np.flatnonzero((depth >= 0.8) & (tall >= 12.0)).tolist():
            middle, half = (below[row, 0] + above[row, 0]) / 2, _WIDTH * tall[row] / 2
            full = (middle - half, below[row, 1] - tall[row], middle + half, below[row, 1])
            box = (max(full[0], 0.0), max(full[1], 0.0), min(full[2], float(wide)), min(full[3], float(high)))
            if box[2] - box[0] >= 2 and box[3] - box[1] >= 4:
                found.append((float(depth[row]), int(people[row]), full, box))
        return self._visible(found)

    def _visible(self, found: list[Any]) -> list[Shown]:
        wide, high = self._view.size
        owner = np.full((high // _GRID + 1, wide // _GRID + 1), -1, np.int32)

        def cells(box: Any) -> tuple[slice, slice]:
            x0, y0, x1, y1 = (np.array(box) / _GRID).round().astype(int).tolist()
            return slice(max(y0, 0), max(y1, y0 + 1, 0)), slice(max(x0, 0), max(x1, x0 + 1, 0))

        things = [(d, -2, box, box) for d, *box in self._obstacles] + found
        for _, who, _, box in sorted(things, key=lambda t: -t[0]):
            owner[cells(box)] = who
        result = []
        for _, who, full, box in found:
            rows, columns = cells(box)
            seen = owner[rows, columns] == who
            share = 1.0 if not seen.size else float(seen.mean())
            share *= (box[2] - box[0]) * (box[3] - box[1]) / ((full[2] - full[0]) * (full[3] - full[1]))
            part = box
            if seen.any():
                y, x = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
                part = (
                    max(box[0], (columns.start + x[0]) * _GRID),
                    max(box[1], (rows.start + y[0]) * _GRID),
                    min(box[2], (columns.start + x[-1] + 1) * _GRID),
                    min(box[3], (rows.start + y[-1] + 1) * _GRID),
                )
            result.append(Shown(who, box, part, min(share, 1.0)))
        return result


def _occlusion(one: Shown) -> int:
    """Which of ``OCCLUSIONS`` somebody's picture is like."""
    x0, _, x1, y1 = one.visible_box
    wide, tall = one.box[2] - one.box[0], one.box[3] - one.box[1]
    low, left, right = (one.box[3] - y1) / tall, (x0 - one.box[0]) / wide, (one.box[2] - x1) / wide
    if one.visibility > 0.8:
        return 0
    if low > 0.15:
        return 1 if low < 0.42 else (2 if one.visibility > 0.45 else 4)
    return 3 if max(left, right) > 0.1 or one.visibility <= 0.55 else 1


def _whole(box: tuple[float, float, float, float]) -> tuple[int, ...]:
    return tuple(round(v) for v in box)


class SceneFrames:
    """The embedded frames of a scene, as perception would give them: boxes with a detector's errors, features drawn
    from those of real pictures of each person as the occlusion of the moment leaves them.

    Args:
        config: Of the scene.
        source: See ``bank``.
        setting: Settings of the run, for the schedule of embeddings.
    """

    live = stay = False
    detector_name = "generated"

    def __init__(self, config: SceneConfig, source: dict[str, Any], setting: Config) -> None:
        self._config, self._bank, self._setting = config, source, setting
        self.configs = setting.cameras
        rng = np.random.default_rng(config.seed)
        self._places, self._views = lay_out(config, rng)
        self._walks = walk(config, self._places, rng)
        self._rng = rng
        self.truth: list[tuple[str, float, int, float, tuple[int, ...]]] = []

    def __iter__(self) -> Any:
        scheduler = EmbeddingScheduler(self._setting)
        cameras = [_Camera(v, self._places[v.place], self._walks) for v in self._views]
        boxes = [Boxes(v.size, int(self._rng.integers(2**31)) + i) for i, v in enumerate(self._views)]
        phase = self._rng.uniform(0, 10, self._config.people)
        for index in range(self._config.frames):
            time = index / self._config.fps
            for number, view in enumerate(self._views):
                shown = cameras[number].shown(time)
                self.truth += [
                    (view.name, time, s.person, s.visibility, (*_whole(s.box), *_whole(s.visible_box))) for s in shown
                ]
                found, who = self._detected(boxes[number], shown)
                features = self._features(number, who, phase, time)
                frame = Frame.without_image(view.name, index, time, size=view.size)
                due = scheduler.due(view.name, found, time, view.size)
                embedded = scheduler.record(view.name, due)
                yield EmbeddedFrame(frame, found, features, embedded=embedded)

    def _detected(self, boxes: Boxes, shown: list[Shown]) -> tuple[Detections, list[Shown | None]]:
        rows, who = [], []
        for one in [*shown, None]:  # one at a time, so that it is known whose box each is; false ones come last
            boxes._false_rate = 0.0 if one is not None else 0.2
            found = boxes([] if one is None else [one])
            rows += found
            who += [one] * len(found)
        a = np.array(rows, np.float32).reshape(-1, 5)
        a[:, 2:4] += a[:, :2]
        keep = self._apart(a)
        return Detections.from_arrays(a[keep, :4], a[keep, 4]), [who[i] for i in keep]

    def _apart(self, a: np.ndarray) -> list[int]:
        """What the non-maximum suppression of a detector leaves."""
        keep: list[int] = []
        for i in np.argsort(-a[:, 4]).tolist():
            if not keep or iou_matrix(a[i : i + 1, :4], a[keep, :4]).max() < 0.7:
                keep.append(i)
        return keep

    def _features(self, camera: int, who: list[Shown | None], phase: np.ndarray, time: float) -> PartFeatures:
        bank, rng = self._bank, self._rng
        k, d = bank["parts"].shape[-2:]
        parts, visibility = np.zeros((len(who), k, d), np.float32), np.zeros((len(who), k), np.float32)
        for row, one in enumerate(who):
            if one is None:
                pick = int(rng.integers(len(bank["nobody_parts"])))
                parts[row], visibility[row] = bank["nobody_parts"][pick], bank["nobody_visibility"][pick]
                continue
            own = np.flatnonzero(bank["camera"][one.person] == camera % (1 + bank["camera"][one.person].max()))
            pose = int(own[int(time / 1.7 + phase[one.person]) % len(own)])
            how = _occlusion(one)
            parts[row] = bank["parts"][one.person, pose, how]
            visibility[row] = bank["visibility"][one.person, pose, how]
        parts += rng.normal(0, 0.25 / np.sqrt(d), parts.shape)
        parts /= np.maximum(np.linalg.norm(parts, axis=2, keepdims=True), 1e-9)
        return PartFeatures(parts, visibility)

    def forget(self, camera: str) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


def make(item: Scene, pictures: Path, out: Path, sets: dict[str, Any] | None = None) -> Path:
    """Walk through a scene and keep what perception says of it (``updates.bin``) and who was where (``truth.npz``:
    camera, time, person, share to be seen, whole and visible box in pixels); what is there is kept.

    Args:
        item: The scene.
        pictures: Where people come from.
        out: Where scenes are kept.
        sets: Settings that are not as by default.

    Returns:
        The folder.
    """
    folder = out / item.name
    if (folder / "updates.bin").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    source = bank(item.source, pictures, out, people=item.config.people, looks=item.looks)
    config, engine = settings(item.config.cameras).with_settings(sets or {}), load_engine(out)
    statistics = Statistics({c.name: CameraCount() for c in config.cameras})
    tracking = CameraTracking(config, engine, live=False, statistics=statistics, faults=FrameFaults.counted(statistics))
    frames = SceneFrames(item.config, source, config)
    unfinished = folder / "updates.unfinished"
    with unfinished.open("wb") as file:
        for update in tracking.updates(frames):
            pickle.dump(update.to_bytes(), file)
    cameras = [c for c, *_ in frames.truth]
    values = np.array([row[1:4] for row in frames.truth]).reshape(-1, 3)
    boxes = np.array([row[4] for row in frames.truth], np.int16).reshape(-1, 2, 4)
    np.savez_compressed(
        folder / "truth.npz",
        camera=cameras,
        time=values[:, 0],
        person=values[:, 1].astype(int),
        visibility=values[:, 2],
        boxes=boxes,
    )
    unfinished.rename(folder / "updates.bin")
    return folder


def settings(cameras: int) -> Config:
    """Default settings for so many cameras."""
    names = [f"cam{i + 1:02d}" for i in range(cameras)]
    return Config.model_validate({"cameras": [{"name": name, "uri": f"{name}.mp4"} for name in names]})


def load_engine(out: Path) -> EngineDescription:
    """Of the engine that made the features."""
    engine: EngineDescription = pickle.loads((out / "engine.pickle").read_bytes())
    return engine


def updates(folder: Path) -> Iterator[TrackUpdate]:
    """What perception said of a scene."""
    with (folder / "updates.bin").open("rb") as file:
        while True:
            try:
                yield TrackUpdate.from_bytes(pickle.load(file))
            except EOFError:
                return
