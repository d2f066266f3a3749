"""Which frames of a recording the detector looks at, and where people are in the others.

The detector is the most expensive stage after start-up, and two frames a tenth of a second apart rarely differ in who
is where. Every fourth frame is always detected. If nobody came or went from one of these to the next, nobody hides
anybody and nobody can be taken for anybody else, the people are carried on in between, on straight lines. Otherwise the
frame in the middle is detected too, and both halves are judged in the same way, until detected frames are no more than
`DOUBTFUL_SECONDS` apart. Somebody who appears is therefore found in the next detected frame, and tracked from the
first one in which a closer look finds them.

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

Detect = Callable[[Sequence[Frame]], list[Detections]]


@dataclass(frozen=True, slots=True, eq=False)
class _CameraState:
    """Frames of a camera so far, and the last of them, which was detected."""

    frames: int
    last: DetectedFrame


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
        edges = sorted(known)
        gaps = list(pairwise(edges))
        closed: list[tuple[int, int, Pairs]] = []
        while gaps:
            open_gaps = []
            for a, b in gaps:
                pairs = pair_up(known[a], known[b], sure=self._sure)
                known[b] = DetectedFrame(known[b].time, known[b].size, known[b].people, pairs.velocity)
                if b - a > 1 and _too_long(known[b].time - known[a].time, doubtful=pairs.doubtful):
                    open_gaps.append((a, b))
                else:
                    closed.append((a, b, pairs))
            self._detect([(a + b) // 2 for a, b in open_gaps], frames, detect, known)
            gaps = [half for a, b in open_gaps for half in ((a, (a + b) // 2), ((a + b) // 2, b))]
        found = {k: seen.people for k, seen in known.items()}
        for a, b, pairs in closed:
            found |= {k: between(known[a], known[b], pairs, frames[k].time) for k in range(a + 1, b)}
        self._cameras[camera] = _CameraState(done + len(frames), known[last])
        return [found[k] for k in range(len(frames))], np.isin(np.arange(len(frames)), list(known))

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


def _too_long(seconds: float, *, doubtful: bool) -> bool:
    """Whether a gap needs another detection. 1e-6 s: times are rounded."""
    return seconds <= 0 or seconds > (DOUBTFUL_SECONDS if doubtful else CALM_SECONDS) + 1e-6
