"""Which frames of a recording the detector looks at, and where people are in the others.

The detector is the most expensive stage after start-up, and two frames a tenth of a second apart rarely differ in who
is where. Every fourth frame is always detected. If nobody came or went from one of these to the next, nobody hides
anybody and nobody can be taken for anybody else, the people are carried on in between, on straight lines. Otherwise the
frame in the middle is detected too, and both halves are judged in the same way, until detected frames are no more than
`DOUBTFUL_SECONDS` apart. Where somebody came out from behind somebody else, or went there, it goes on until the last
frame before and the first one after are known: in these few frames the tracker tells one from the other.

Where people hide behind each other or behind things all the time, the detector finds many of them in one frame and not
in the next: what is skipped is lost, and the people carried on are the wrong ones. There every frame is detected. How
many come, go, or change their score from one fourth frame to the next, over the last seconds, tells such scenes apart,
whatever was detected in between.

A recording can be looked at ahead, which is why people between two detected frames are known better than a prediction.
The choice depends on boxes and capture times only: it is the same on every machine, beside whatever else runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streamreid.cameras.detection_pairs import DetectedFrame, Pairs, between, pair_up
from streamreid.config import Config
from streamreid.sources import is_live
from streamreid.types import BoolArray, Detections, Frame

__all__ = ["CALM_SECONDS", "DOUBTFUL_SECONDS", "LOOKAHEAD", "STEP", "DetectionScheduler"]

STEP = 4
"""Frames from one that is always detected to the next."""

LOOKAHEAD = 2 * STEP
"""Frames that are looked at together. Not ``detector.batch``: results must not depend on how many frames the detector
takes at once."""

CALM_SECONDS = 0.4
"""Seconds between detected frames at most: half a body height at a brisk walk, within which pairs are still sure."""

DOUBTFUL_SECONDS = 0.2
"""The same where people come, go or meet; at five frames a second every frame is then detected."""

RESTLESS = 0.18
"""Share of unsteady people (see :class:`Pairs`) from which every frame is detected. Means of scenes: .10 and .12 where
people walk in the open, .20 to .32 and .27 to .37 at medium and heavy occlusion."""

_UNREST_SECONDS = 5.0
"""Time over which that share is averaged: longer than one person needs to pass another, shorter than crowds form."""

_FIRST_UNREST = 2 * RESTLESS
"""What is assumed of a camera of which nothing was seen; it counts as much as the people of one gap."""

Detect = Callable[[Sequence[Frame]], list[Detections]]


@dataclass(frozen=True, slots=True)
class _Unrest:
    """Mean unrest of a camera over the last seconds, and over how many gaps it was taken."""

    share: float = _FIRST_UNREST
    gaps: int = 1

    def after(self, unrest: float, seconds: float) -> _Unrest:
        """With another gap."""
        if np.isnan(unrest):
            return self
        gaps = self.gaps + 1
        weight = max(1.0 / gaps, seconds / (seconds + _UNREST_SECONDS))
        return _Unrest(self.share + weight * (unrest - self.share), gaps)


@dataclass(frozen=True, slots=True, eq=False)
class _CameraState:
    """Frames of a camera so far, the last of them, which was detected, and unrest."""

    frames: int
    last: DetectedFrame
    unrest: _Unrest


class DetectionScheduler:
    """Finds the people of all frames of recordings, and lets the detector look at some.

    Args:
        sure: Score from which a detection is somebody: ``tracker.high_score``.
    """

    def __init__(self, sure: float) -> None:
        self._sure = sure
        self._cameras: dict[str, _CameraState] = {}

    @classmethod
    def of(cls, config: Config) -> DetectionScheduler | None:
        """None where every frame is detected: as asked, where cameras are live, where boxes come from files, and where
        people are blurred, so that nobody is shown who appears between two detected frames."""
        live = any(is_live(camera) for camera in config.cameras)
        blurred = {config.output.blur, config.page_blur} != {"none"}
        if config.detector.schedule == "every" or live or blurred or config.detector.model.startswith("mot:"):
            return None
        return cls(config.tracker.high_score)

    def find(self, frames: Sequence[Frame], detect: Detect) -> tuple[list[Detections], BoolArray]:
        """People of consecutive frames of one camera.

        Args:
            frames: At least one; the last one is always detected.
            detect: The detector.

        Returns:
            The people of each frame, and ``[N]`` which frames were detected.
        """
        camera = frames[0].camera
        state = self._cameras.get(camera)
        known: dict[int, DetectedFrame] = {} if state is None else {-1: state.last}
        done = 0 if state is None else state.frames
        last = len(frames) - 1
        fixed = [k for k in range(len(frames)) if (done + k + 1) % STEP == 0 or k == last or not (known or k)]
        self._detect(fixed, frames, detect, known)
        unrest = _Unrest() if state is None else state.unrest
        gaps, closed, restless = [], [], list[int]()
        for a, b in list(pairwise(sorted(known))):
            pairs = self._pair_up(a, b, known)
            unrest = unrest.after(pairs.unrest, known[b].time - known[a].time)
            if unrest.share >= RESTLESS:
                restless += range(a + 1, b)
            else:
                gaps.append((a, b, pairs))
        while gaps or restless:
            still_open = []
            for a, b, pairs in gaps:
                if b - a > 1 and _too_long(known[b].time - known[a].time, pairs):
                    still_open.append((a, b))
                else:
                    closed.append((a, b, pairs))
            # In one call, which keeps all cores busy.
            self._detect([*restless, *((a + b) // 2 for a, b in still_open)], frames, detect, known)
            restless = []
            halves = [half for a, b in still_open for half in ((a, (a + b) // 2), ((a + b) // 2, b))]
            gaps = [(a, b, self._pair_up(a, b, known)) for a, b in halves]
        found = {k: seen.people for k, seen in known.items()}
        for a, b, pairs in closed:
            found |= {k: between(known[a], known[b], pairs, frames[k].time) for k in range(a + 1, b)}
        self._cameras[camera] = _CameraState(done + len(frames), known[last], unrest)
        return [found[k] for k in range(len(frames))], np.isin(np.arange(len(frames)), list(known))

    def _pair_up(self, a: int, b: int, known: dict[int, DetectedFrame]) -> Pairs:
        """Pair the people of two detected frames; from then on velocities in the later one are known."""
        pairs = pair_up(known[a], known[b], sure=self._sure)
        known[b] = DetectedFrame(known[b].time, known[b].size, known[b].people, pairs.velocity)
        return pairs

    @staticmethod
    def _detect(rows: list[int], frames: Sequence[Frame], detect: Detect, known: dict[int, DetectedFrame]) -> None:
        if rows:
            chosen = [frames[k] for k in rows]
            for k, frame, people in zip(rows, chosen, detect(chosen), strict=True):
                known[k] = DetectedFrame.first(frame.time, frame.size, people)

    def checkpoint(self) -> dict[str, _CameraState]:
        """The state before a batch, for :meth:`restore` should it fail."""
        return dict(self._cameras)

    def restore(self, checkpoint: dict[str, _CameraState]) -> None:
        """Return to a checkpoint: what was found since did not happen."""
        self._cameras = dict(checkpoint)

    def forget(self, camera: str) -> None:
        """Drop a camera; should it come back, it begins anew."""
        self._cameras.pop(camera, None)


def _too_long(seconds: float, pairs: Pairs) -> bool:
    """Whether a gap needs another detection. 1e-6 s: times are rounded."""
    return pairs.emerged or seconds <= 0 or seconds > (DOUBTFUL_SECONDS if pairs.doubtful else CALM_SECONDS) + 1e-6
