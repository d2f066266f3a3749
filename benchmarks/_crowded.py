"""Generated people in front of real cameras, for benchmarks of load: detector and engine do all their work on real
pictures, and give people who are not in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _generated_looks import crowd

from streamreid.features.similarity import Calibration
from streamreid.types import Detections, FloatArray, Frame, PartFeatures

__all__ = ["Crowd", "CrowdDetector", "CrowdEmbedder"]

SCORE = 0.9
NOISE = 0.03
"""Of each value of a look; two looks at one person then have a cosine of .8."""


class Crowd:
    """People of every camera, each of whom strolls around a place of their own.

    Args:
        people: In view of each camera at any time.
        parts: Of their looks.
        dim: Values per part.
        seed: Of what is drawn.
    """

    def __init__(self, people: int, parts: int, dim: int, seed: int = 0) -> None:
        self.people, self.parts, self.dim, self._seed = people, parts, dim, seed
        self._cameras: dict[str, tuple[FloatArray, FloatArray]] = {}
        self._rng = np.random.default_rng(seed)

    def _of(self, camera: str) -> tuple[FloatArray, FloatArray]:
        """Where they stroll ``[P, 5]`` (centre, phases, height, as shares), and looks ``[P, K, D]``."""
        if camera not in self._cameras:
            rng = np.random.default_rng([self._seed, len(self._cameras)])
            side = max(1, int(np.ceil(np.sqrt(self.people))))
            spots = np.stack(np.divmod(np.arange(self.people), side), 1)[:, ::-1] / side + 0.5 / side
            # The more there are, the smaller they are: nobody hides anybody, so that only their number grows.
            rest = rng.uniform(size=(self.people, 3)) * [2 * np.pi, 2 * np.pi, 0.2 / side] + [0, 0, 0.75 / side]
            places = np.concatenate([spots, rest], 1).astype(np.float32)
            self._cameras[camera] = places, crowd(self.people, rng, self.parts, self.dim)
        return self._cameras[camera]

    def boxes(self, frame: Frame) -> FloatArray:
        """``[P, 4]`` where they are in a frame."""
        places, _ = self._of(frame.camera)
        stroll = 0.05 / max(1.0, np.sqrt(self.people))
        centre = places[:, :2] + stroll * np.sin(places[:, 2:4] + 0.5 * frame.time)
        half = np.stack([places[:, 4] / 6, places[:, 4] / 2], 1)
        boxes = np.concatenate([centre - half, centre + half], 1).clip(0, 1)
        return np.asarray(boxes * np.tile(frame.size, 2), np.float32)

    def looks(self, frame: Frame, boxes: FloatArray) -> FloatArray:
        """``[N, K, D]`` looks at the people in some of the boxes."""
        _, looks = self._of(frame.camera)
        apart = np.abs(boxes[:, None] - self.boxes(frame)[None]).sum(2)
        seen = looks[apart.argmin(1)] + NOISE * self._rng.standard_normal(
            (len(boxes), self.parts, self.dim), np.float32
        )
        return np.asarray(seen / np.linalg.norm(seen, axis=2, keepdims=True), np.float32)


class CrowdDetector:
    """Looks with a real detector, and finds the crowd.

    Args:
        detector: The real one; None only finds the crowd.
        people: Who is found.
    """

    def __init__(self, detector: Any, people: Crowd) -> None:
        self.name, self.fingerprint = "generated people", f"generated {people.people}"
        self._detector, self._people = detector, people

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        if self._detector is not None:
            self._detector(frames)
        boxes = [self._people.boxes(frame) for frame in frames]
        return [Detections(b, np.full(len(b), SCORE, np.float32), np.zeros(len(b), np.int64)) for b in boxes]


class CrowdEmbedder:
    """Runs a real engine on the crowd's boxes, and gives the crowd's looks.

    Args:
        embedder: The real one; None only gives the looks.
        people: Whose.
    """

    def __init__(self, embedder: Any, people: Crowd) -> None:
        self.name = self.fingerprint = "generated people"
        self.parts, self.dim = tuple(f"part{k}" for k in range(people.parts)), people.dim
        self.calibration = Calibration(20.0, -7.0)
        self._embedder, self._people = embedder, people

    def prepare(self) -> None:
        """As the real one does."""
        if self._embedder is not None and hasattr(self._embedder, "prepare"):
            self._embedder.prepare()

    def __call__(self, frames: Sequence[Frame], detections: Sequence[Detections]) -> list[PartFeatures]:
        if self._embedder is not None:
            self._embedder(frames, detections)
        found = []
        for frame, people in zip(frames, detections, strict=True):
            looks = self._people.looks(frame, people.boxes) if len(people) else np.zeros((0, len(self.parts), self.dim))
            found.append(
                PartFeatures(np.asarray(looks, np.float32), np.ones((len(people), len(self.parts)), np.float32))
            )
        return found
