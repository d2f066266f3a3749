"""Frames on their way through tracking: handed on at once, or held back for ``tracker.delay`` seconds so that more is
known of the people in them.

A person may turn out to be somebody lost before they appeared. What is seen of a new track therefore reaches the
association only when its id is final; the delay ends at that very moment, so identities lose nothing by it and no
identity is ever given to an id that vanishes.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from streamreid.features.eight_bits import in_eight_bits
from streamreid.track_update import TrackedFrame, TrackObservation
from streamreid.tracking import FixedLagTracks, Tracker
from streamreid.tracking.fixed_lag import SAME_MOMENT
from streamreid.tracking.tracker import occlusion
from streamreid.types import Detections, FloatArray, Frame, PartFeatures, Tracks

__all__ = ["TrackingStage", "until"]

log = logging.getLogger(__name__)

_MOST_PICTURES = 2 << 30
"""Bytes of pictures of recordings that wait."""


def until(time: float, delay: float) -> float:
    """Latest capture time of the frames of recordings that are released when a frame is about to be tracked.

    Those that have waited for just the delay are not among them: of other cameras, frames of this very moment may still
    come.

    Args:
        time: Capture time of the frame.
        delay: ``tracker.delay``.

    Returns:
        The time; what is later by `SAME_MOMENT` counts too, as in `FixedLagTracks.due`.
    """
    return time - delay - 2 * SAME_MOMENT


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    frame: Frame
    features: PartFeatures
    moment: float
    arrival: float


class TrackingStage:
    """Trackers of all cameras and the frames they have not released yet.

    Recordings are released by the capture time of the newest frame of any camera, so that results stay in the order of
    time. A frame's people are then as its own camera knows them ``tracker.delay`` seconds later, no earlier and no
    later, so that they do not depend on which other cameras there are. Live cameras have clocks and failures of their
    own: each is released by its own newest frame, and one that fell silent after twice the delay. Where a clock was set
    back, times of its camera are taken to go on here, so that its frames stay in order and wait no longer.

    Pictures of recordings wait as long as all that wait take 2 GiB at most; the frames of others are released without.

    Args:
        trackers: By camera; all with the same settings.
        ordered: Whether frames of all cameras come in the order of capture time.
        eight_bits: Whether features that are observed are rounded, see `in_eight_bits`.
        clock: Seconds that pass, for cameras that fell silent.
    """

    def __init__(
        self,
        trackers: Mapping[str, Tracker],
        *,
        ordered: bool,
        eight_bits: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._eight_bits = eight_bits
        self._late: dict[str, FixedLagTracks] = {}
        self._delay = 0.0
        self._ordered = ordered
        self._clock = clock
        self._held: dict[str, deque[_Held]] = {}
        self._young: dict[str, dict[int, list[TrackObservation]]] = {}
        self._newest: dict[str, float] = {}
        self._shift: dict[str, float] = {}
        self._now = -np.inf
        self._picture_bytes = 0
        self._warned = False
        self._ready: list[TrackedFrame] = []
        for name, tracker in trackers.items():
            self.add(name, tracker)

    def add(self, camera: str, tracker: Tracker) -> None:
        """Take in another camera; its tracker has the settings of the others."""
        self._late[camera] = FixedLagTracks(tracker)
        self._delay = max(self._delay, self._late[camera].delay)
        self._held[camera] = deque()
        self._young[camera] = defaultdict(list)

    def remove(self, camera: str) -> list[TrackObservation]:
        """Forget a camera that is gone, with frames that were not released.

        Returns:
            What was still held back of people in it; nothing can change their ids any more.
        """
        self._picture_bytes -= sum(held.frame.image.nbytes for held in self._held.get(camera, ()))
        for kept in (self._late, self._held, self._newest, self._shift):
            kept.pop(camera, None)
        return [item for items in self._young.pop(camera, {}).values() for item in items]

    @property
    def held(self) -> int:
        """Frames that are held back; from any thread."""
        return sum(map(len, list(self._held.values())))

    def __repr__(self) -> str:
        return f"TrackingStage(delay={self._delay}, frames={self.held})"

    def update(
        self,
        frame: Frame,
        detections: Detections,
        features: PartFeatures,
        motion: FloatArray | None = None,
        *,
        detected: bool = True,
    ) -> list[TrackObservation]:
        """Track the people of a camera's next frame.

        Args:
            frame: The frame.
            detections: N people.
            features: N rows; visibility 0 for a person who was not embedded.
            motion: ``[2, 3]`` affine map from pixels of the camera's previous frame, if the camera moves.
            detected: Whether the detector looked at the frame; people who were carried on get score 0.

        Returns:
            What can be said now of people whose ids are final, in this frame and in those before.
        """
        self.advance(frame)
        late = self._late[frame.camera]
        tracks = late.tracker.update(
            detections, features, frame.time, size=frame.size, camera=motion, detected=detected
        )
        of_tracks = _rows(features, tracks.rows)
        seen = _observation(frame, detections, tracks, of_tracks, late.tracker)
        if not detected:  # what was seen of them counts all the same
            tracks = replace(tracks, scores=np.zeros_like(tracks.scores))
            seen = replace(seen, tracks=replace(seen.tracks, scores=np.zeros_like(seen.tracks.scores)))
        if self._eight_bits:
            rounded = PartFeatures(in_eight_bits(seen.features.parts), seen.features.visibility)
            seen = replace(seen, features=rounded)
        if not self._delay:
            self._ready.append(TrackedFrame(frame, tracks, of_tracks.visibility))
            return [seen]
        moment = self._newest[frame.camera] = self._moment(frame)
        late.push(tracks, moment, motion)
        self._held[frame.camera].append(_Held(self._affordable(frame), features, moment, self._clock()))
        return self._final(late.tracker, seen)

    def _affordable(self, frame: Frame) -> Frame:
        """The frame as it waits: without its picture where too many wait."""
        size = frame.image.nbytes
        if not self._ordered or self._picture_bytes + size <= _MOST_PICTURES:
            self._picture_bytes += size
            return frame
        if not self._warned:
            self._warned = True
            log.warning(
                "%.0f GiB of pictures wait because results are delayed by %g s: results of some frames come without "
                "their picture. With --delay 0 none waits",
                _MOST_PICTURES / 2**30,
                self._delay,
            )
        return Frame.without_image(frame.camera, frame.index, frame.time, size=frame.size, clock=frame.clock)

    def advance(self, frame: Frame) -> None:
        """A frame is about to be tracked: frames of recordings that have waited for longer than the delay are released,
        as they are known without it. `update` does that too."""
        self._ordered = self._ordered and frame.time >= self._now
        self._now = max(self._now, frame.time)
        if self._ordered and self._delay:
            self._ready += self._release(dict.fromkeys(self._held, until(frame.time, self._delay)))

    def _moment(self, frame: Frame) -> float:
        """Capture time on a clock of the camera that never goes back."""
        before = self._newest.get(frame.camera, -np.inf)
        moment = frame.time + self._shift.get(frame.camera, 0.0)
        if moment < before:
            self._shift[frame.camera] = before - frame.time
        return max(moment, before)

    def _final(self, tracker: Tracker, seen: TrackObservation) -> list[TrackObservation]:
        """Queue what was seen of ids that may still change; return what is final."""
        young = self._young[seen.camera]
        for new, old in tracker.renamed.items():
            young[old] += [item.renamed(old) for item in young.pop(new, [])]
        final = tracker.ids_are_final(seen.tracks.ids)
        for row in np.flatnonzero(~final):
            young[int(seen.tracks.ids[row])].append(seen.pick(np.array([row])))
        ids = np.fromiter(young, np.int64, len(young))
        waited = [item for i in ids[tracker.ids_are_final(ids)].tolist() for item in young.pop(i)]
        return [*waited, seen.pick(final)]

    def due(self) -> list[TrackedFrame]:
        """Frames whose time has come, each once, in the order of capture time."""
        ready, self._ready = self._ready, []
        if not self._delay or self._ordered:
            return ready
        return ready + self._release({camera: self._until(camera) for camera in self._held})

    def rest(self) -> tuple[list[TrackObservation], list[TrackedFrame]]:
        """Everything still held back, for the end of a run."""
        waited = [item for young in self._young.values() for items in young.values() for item in items]
        for young in self._young.values():
            young.clear()
        return waited, self.due() + self._release(dict.fromkeys(self._held, np.inf))

    def _until(self, camera: str) -> float:
        patience = self._clock() - 2 * self._delay
        silent = [held.moment for held in self._held[camera] if held.arrival <= patience]
        return max([self._newest.get(camera, -np.inf) - self._delay, *silent])

    def _release(self, until: dict[str, float]) -> list[TrackedFrame]:
        due: list[tuple[float, TrackedFrame]] = []
        for camera, moment in until.items():
            for _, tracks in self._late[camera].due(moment):
                held = self._held[camera].popleft()
                self._picture_bytes -= held.frame.image.nbytes
                due.append((held.moment, TrackedFrame(held.frame, tracks, _visibility(held.features, tracks.rows))))
        return [item for _, item in sorted(due, key=lambda pair: (pair[0], pair[1].frame.camera))]


def _observation(
    frame: Frame, people: Detections, tracks: Tracks, features: PartFeatures, tracker: Tracker
) -> TrackObservation:
    found = tracks.rows >= 0
    if np.count_nonzero(found) < len(found):
        tracks, features = tracks[found], features[found]
    hidden = occlusion(people.boxes) if tracker.hidden is None else tracker.hidden
    quality = (1.0 - hidden[tracks.rows]) * tracks.scores
    quality[tracker.doubted(tracks.ids)] = 0
    return TrackObservation(frame.camera, frame.time, tracks, features, quality.astype(np.float32))


def _rows(features: PartFeatures, rows: np.ndarray) -> PartFeatures:
    """Features by row; -1 is a person who was not seen."""
    seen = rows >= 0
    if np.count_nonzero(seen) == len(seen):
        return features[rows]
    result = PartFeatures.unseen(len(rows), *features.shape)
    result.parts[seen] = features.parts[rows[seen]]
    result.visibility[seen] = features.visibility[rows[seen]]
    return result


def _visibility(features: PartFeatures, rows: np.ndarray) -> FloatArray:
    """Visibilities by row; -1 is a person who was not seen."""
    found = rows >= 0
    result = np.zeros((len(rows), features.visibility.shape[1]), np.float32)
    result[found] = features.visibility[rows[found]]
    return result
