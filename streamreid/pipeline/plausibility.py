"""What can be noticed in the first minute of a run, said in one sentence each, once.

A detector that finds nobody, an engine to which strangers look alike, and a calibration by which nobody has a human's
height give results without any error, only wrong ones. Each is judged as soon as enough was seen, at the latest after a
minute of capture time or at the end; nothing is judged twice. An empty scene looks like a detector that finds nobody:
the sentence says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from streamreid.features.similarity import part_similarity
from streamreid.ground.body_model import body_boxes
from streamreid.ground.camera_model import GroundCamera
from streamreid.pipeline.movement import MovementWitness
from streamreid.types import Detections, FloatArray, Image, PartFeatures

__all__ = ["PlausibilityChecks"]

_NOBODY_SECONDS = 30.0
"""Capture seconds without anybody after which it is said: in most scenes somebody has come by, and half of the minute
is left to act."""

_SOMEBODY_FRAMES = 10
"""Frames with somebody from which a detector is known to find people; fewer may be a thing that was mistaken once."""

_RARELY = 0.02
"""Share of frames with somebody below which it hardly finds anybody, where something moves nearly all the time."""

_MOVING_SHARE = 0.3
"""Share of comparisons in which something moved from which an empty scene is improbable."""

_LEAST_FRAMES = 5
"""Frames from which the end of a short recording is judged."""

_LAST_SECONDS = 60.0
"""Seconds of capture time after which each question is answered with what there is."""

_PAIRS = 60
"""Pairs of people seen at one time from which the engine is judged."""

_LEAST_PAIRS = 15
"""Pairs of strangers from which the similarity of strangers is judged."""

_ALIKE = 0.9
"""Part similarity (a cosine) of different people: .2 to .7 for engines that tell people apart, .97 and more where the
input is prepared wrongly."""

_ALIKE_SHARE = 0.9
"""Share of pairs above: a group in uniforms is alike, but not with everybody else."""

_BOXES = 40
"""Boxes after which the heights are judged."""

_LEAST_BOXES = 15
"""Boxes below which heights are not judged."""

_HEIGHTS = (1.1, 2.4)
"""Metres that a standing person's box may be tall: children and raised arms included, and a tenth of error in the
calibration."""

_HUMAN_SHARE = 0.2
"""Share of boxes with a human's height below which a calibration is wrong: a right one gives .9 and more, with many
people who sit still .3."""

_REFERENCE = 1.7
"""Metres: a common height of adults, against which boxes are measured."""

_USUAL_HEIGHTS = (0.5, 100.0)
"""Metres above the ground at which cameras hang."""
_UNITS = (0.001, 0.01, 0.3048, 1 / 0.3048, 100.0, 1000.0)
"""What a wrong unit is wrong by: millimetres, centimetres or feet that are taken for metres, or the other way round."""


@dataclass(slots=True)
class _Camera:
    began: float
    last: float
    frames: int = 0
    people: int = 0
    frames_with_people: int = 0
    heights: list[float] = field(default_factory=list)
    feet_in_the_sky: int = 0
    people_said: bool = False
    heights_said: bool = False


class PlausibilityChecks:
    """Judges detector, engine and calibrations by what the first minute shows.

    Args:
        high_score: Score from which a detection counts as a person.
        engine: Name of the engine, for the sentence; "none" is not judged.
        cameras: Those that are calibrated.
    """

    def __init__(self, high_score: float, engine: str, cameras: Mapping[str, GroundCamera] | None = None) -> None:
        self._high_score, self._engine = high_score, engine
        self._calibrated = dict(cameras or {})
        self._cameras: dict[str, _Camera] = {}
        self._similarities: list[float] = []
        self._crowd = 0
        self._engine_done = engine == "none"
        self._movement = MovementWitness()

    def observe(
        self,
        camera: str,
        time: float,
        detections: Detections,
        features: PartFeatures,
        size: tuple[int, int],
        *,
        best_score: float | None = None,
        image: Image | None = None,
    ) -> list[tuple[str, str]]:
        """Take a frame.

        Args:
            camera: Name of the camera.
            time: Capture time in seconds.
            detections: N people of any score.
            features: N rows; visibility 0 where somebody was not embedded.
            size: Width and height of the frame in pixels.
            best_score: The best score of a person so far in this camera, also of those below the detector's threshold;
                None if not known.
            image: The frame's picture: whether something moves in it tells an empty scene from a blind detector.

        Returns:
            What is to be said: camera ('' for the engine) and sentence.
        """
        state = self._cameras.setdefault(camera, _Camera(time, time))
        if state.people_said and state.heights_said and self._engine_done:
            return []
        state.frames, state.last = state.frames + 1, max(state.last, time)
        people = detections.scores >= self._high_score
        state.people += int(people.sum())
        state.frames_with_people += bool(people.any())
        found: list[tuple[str, str]] = []
        if not state.people_said:
            if image is not None and image.size:
                self._movement.observe(camera, time, image)
            if state.frames_with_people >= _SOMEBODY_FRAMES or state.last - state.began >= _NOBODY_SECONDS:
                found += self._nobody(camera, state, best_score)
        if not state.heights_said:
            self._measure(camera, state, detections.boxes[people], size)
            if len(state.heights) + state.feet_in_the_sky >= _BOXES or state.last - state.began >= _LAST_SECONDS:
                found += self._heights(camera, state)
        if not self._engine_done:
            self._compare(features, detections.boxes)
            if len(self._similarities) >= _PAIRS or state.last - state.began >= _LAST_SECONDS:
                found += self._alike()
        return found

    def finish(self, best_scores: Mapping[str, float] | None = None) -> list[tuple[str, str]]:
        """What a recording that ended before the minute shows."""
        found = []
        for camera, state in self._cameras.items():
            found += self._nobody(camera, state, (best_scores or {}).get(camera))
            found += self._heights(camera, state)
        return found + self._alike()

    # ------------------------------------------------------------ detector

    def _nobody(self, camera: str, state: _Camera, best: float | None) -> list[tuple[str, str]]:
        if state.people_said or state.frames < _LEAST_FRAMES:
            return []
        state.people_said = True
        moved, compared = self._movement.seen(camera)
        moving = compared >= _LEAST_FRAMES and moved >= _MOVING_SHARE * compared
        # Most of the people there are missed only where there is something to miss.
        if state.frames_with_people and not (moving and state.frames_with_people < _RARELY * state.frames):
            return []
        many = f"{state.frames} frames ({state.last - state.began:.0f} s)"
        who = (
            f"somebody was found in only {state.frames_with_people} of its first {many}"
            if state.people
            else f"nobody was found in its first {many}"
        )
        scores = (
            ""
            if best is None
            else f"; the best score was {best:.2f}, and people count from {self._high_score:g} (tracker.high_score)"
        )
        advice = (
            "try another one (`streamreid detector bench` compares them on a clip), or a larger detector.size, and "
            "check roi"
        )
        if moving:
            return [
                (
                    camera,
                    f"{who}, although something moves in {moved / compared:.0%} of them{scores}. If these are people, "
                    f"this detector does not find them: {advice}",
                )
            ]
        still = ", and nothing moves in them" if compared >= _LEAST_FRAMES and not moved else ""
        return [
            (
                camera,
                f"{who}{still}{scores}. If the scene was empty, all is well; if people are to be seen in it, this "
                f"detector does not find them: {advice}",
            )
        ]

    # ------------------------------------------------------------ engine

    def _compare(self, features: PartFeatures, boxes: FloatArray) -> None:
        """Similarities of people who are seen at one time: they are different people. Boxes that touch may be two of
        one person."""
        rows = np.flatnonzero(features.visibility.any(1))
        if len(rows) < 3:
            return
        seen = PartFeatures(features.parts[rows], features.visibility[rows])
        similarity, common = part_similarity(seen, seen)
        x0, y0, x1, y1 = boxes[rows].T
        apart = (np.minimum(x1[:, None], x1) <= np.maximum(x0[:, None], x0)) | (
            np.minimum(y1[:, None], y1) <= np.maximum(y0[:, None], y0)
        )
        self._similarities += similarity[np.triu(apart & (common > 0), 1)].tolist()[:_PAIRS]

    def _alike(self) -> list[tuple[str, str]]:
        if self._engine_done or len(self._similarities) < _LEAST_PAIRS:
            return []
        self._engine_done = True
        values = np.array(self._similarities)
        self._similarities = []
        if np.mean(values >= _ALIKE) < _ALIKE_SHARE:
            return []
        return [
            (
                "",
                f"engine '{self._engine}' hardly tells people apart: of {len(values)} pairs of people seen at the "
                f"same time, {np.mean(values >= _ALIKE):.0%} have a similarity of {_ALIKE:g} or more (median "
                f"{np.median(values):.2f}). Its input is probably prepared wrongly (colour order, mean and deviation, "
                "range): import it again with another --preset, or use another engine",
            )
        ]

    # ------------------------------------------------------------ calibration

    def _measure(self, camera: str, state: _Camera, boxes: FloatArray, size: tuple[int, int]) -> None:
        """Heights by the calibration of people whose whole body is in the picture: their box against that of somebody
        of 1.7 m on the same spot."""
        view = self._calibrated.get(camera)
        if view is None:
            state.heights_said = True
            return
        view = self._calibrated[camera] = view.scaled(size)
        view, unit = _metric(view)
        whole = boxes[(boxes[:, 1] > 0.02 * size[1]) & (boxes[:, 3] < 0.98 * size[1])].astype(np.float64)
        if not len(whole):
            return
        points = view.to_plane(np.stack([(whole[:, 0] + whole[:, 2]) / 2, whole[:, 3]], 1))
        known = np.isfinite(points).all(1)
        state.feet_in_the_sky += int((~known).sum())
        expected = body_boxes(view, np.concatenate([points[known], np.full((int(known.sum()), 1), _REFERENCE)], 1))
        height = expected[:, 3] - expected[:, 1]
        good = np.isfinite(height) & (height > 1e-6)
        state.heights += (unit * _REFERENCE * (whole[known, 3] - whole[known, 1])[good] / height[good]).tolist()

    def _heights(self, camera: str, state: _Camera) -> list[tuple[str, str]]:
        total = len(state.heights) + state.feet_in_the_sky
        if state.heights_said or total < _LEAST_BOXES:
            return []
        state.heights_said = True
        heights = np.array(state.heights)
        state.heights = []
        human = int(((heights >= _HEIGHTS[0]) & (heights <= _HEIGHTS[1])).sum())
        if human >= _HUMAN_SHARE * total:
            return []
        if state.feet_in_the_sky > 0.5 * total:
            what = f"{state.feet_in_the_sky} of {total} people stand above the horizon"
            advice = (
                "check its direction (calibration: maps: ground-to-pixels or pixels-to-ground) and that it belongs to "
                "this camera"
            )
        else:
            middle = float(np.median(heights))
            what = f"{total - human} of {total} people have no human's height (median {middle:.3g} m)"
            unit = next((u for u in _UNITS if _HEIGHTS[0] <= middle * u <= _HEIGHTS[1]), None)
            advice = "check its unit, and that it belongs to this camera and lens"
            if unit is not None:
                advice = (
                    f"with {unit:.4g} times its unit (calibration: unit) people would be {middle * unit:.2f} m tall"
                )
        return [
            (
                camera,
                f"its calibration is probably wrong: by it, {what}; {advice}. Places on the ground cannot be trusted "
                "until then",
            )
        ]


def _metric(view: GroundCamera) -> tuple[GroundCamera, float]:
    """The camera in units in which it hangs at a usual height, and metres per such unit: 1 where the calibration is in
    metres."""
    high = float(view.position[2])
    if _USUAL_HEIGHTS[0] <= high <= _USUAL_HEIGHTS[1]:
        return view, 1.0
    unit = high / 4.0
    return replace(
        GroundCamera.from_matrix(view.name, view.matrix @ np.diag([unit, unit, unit, 1.0])),
        lens=view.lens,
        size=view.size,
    ), unit
