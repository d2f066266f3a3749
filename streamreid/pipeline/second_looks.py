"""Second looks while a run goes on: now and then its doubtful tracks are listed, further pictures of them are had, and
who is who is decided anew. Where the pictures come from is `FurtherPictures`: recordings that are read once more
(:mod:`streamreid.pipeline.recordings_again`) or a cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Protocol

import numpy as np

from streamreid.association import Associator
from streamreid.association.second_looks import DoubtfulPair, FurtherPicture, SecondLookCount, SecondLooks
from streamreid.cameras.statistics import Statistics
from streamreid.config import Config
from streamreid.secrets import redact
from streamreid.track_update import TrackUpdate
from streamreid.types import FloatArray, IdentityEvent, TrackKey

__all__ = ["FurtherPictures", "SecondLookRounds"]

log = logging.getLogger(__name__)

_LATE = 1.0
"""Seconds beyond the delay for which boxes are kept."""

_REASON = "second_looks"
"""Among the reasons of what was decided with further pictures."""


class FurtherPictures(Protocol):
    """Where further pictures of tracks come from."""

    @property
    def lost(self) -> Mapping[str, str]:
        """Cameras of which no more pictures can be had, with the reason."""

    def describe(self, wanted: Sequence[FurtherPicture]) -> Iterator[tuple[FurtherPicture, FloatArray, FloatArray]]:
        """Describe people once more.

        Args:
            wanted: By camera and time. No frame is asked for that comes before one that was asked for earlier.

        Yields:
            What was asked for and could be had, its parts ``[K, D]`` and their visibility ``[K]``.
        """

    def close(self) -> None:
        """Release what is open. Safe to call twice."""


class SecondLookRounds:
    """Takes second looks in rounds, so that what must be remembered does not grow with the length of a recording: in
    each round at what is half a window old, and at the end at the rest.

    Whatever goes wrong is said once, and the run goes on without.

    Args:
        config: ``association.second_looks`` is the budget.
        associator: Decides.
        statistics: Where it is timed and counted.
        pictures: Where further pictures come from; None if there are none.
        why_not: Why there are none.
    """

    def __init__(
        self,
        config: Config,
        associator: Associator,
        statistics: Statistics,
        pictures: FurtherPictures | None,
        why_not: str = "",
    ) -> None:
        self._looks = SecondLooks(config.association.second_looks, min_height=config.engine.min_height)
        self._associator = associator
        self._statistics = statistics
        self._pictures = pictures
        # Boxes of frames from which people may still be reported, because results are delayed.
        self._boxes: dict[tuple[str, float], FloatArray] = {}
        self._waiting = max(config.tracker.lag, config.tracker.rejoin) + _LATE
        self._period = config.association.window / 2
        self._next: float | None = None
        self._said: set[str] = set()
        statistics.second_looks = self.count
        if pictures is None:
            self._give_up(why_not)
        else:
            self._tell_lost(pictures)

    def __repr__(self) -> str:
        return f"SecondLookRounds({self._looks!r})"

    @property
    def count(self) -> SecondLookCount:
        """What was done so far."""
        return self._looks.count

    def observe(self, update: TrackUpdate) -> None:
        """Remember what could be looked at once more: the detector's boxes, as those of tracks are smoothed."""
        if self._pictures is None:
            return
        if update.frame is not None and update.detections is not None:
            self._boxes[update.frame.camera, update.frame.time] = update.detections.boxes
        for seen in update.observations:
            boxes = self._boxes.get((seen.camera, seen.time))
            if boxes is not None and seen.camera not in self._said:
                tracks = replace(seen.tracks, boxes=boxes[seen.tracks.rows])
                self._looks.observe(seen.camera, seen.time, tracks, seen.features, seen.quality)
        if update.frame is not None:
            self._forget_boxes(update.frame.time - self._waiting)

    def _forget_boxes(self, before: float) -> None:
        while self._boxes and (oldest := next(iter(self._boxes)))[1] < before:
            del self._boxes[oldest]

    def due(self, time: float) -> list[IdentityEvent]:
        """A round, if it is time for one.

        Args:
            time: Capture time in seconds.

        Returns:
            What changed.
        """
        if self._pictures is None:
            return []
        if self._next is None:
            self._next = time + 2 * self._period
        if time < self._next:
            return []
        self._next += self._period * (1 + (time - self._next) // self._period)
        return self._decide(time - self._period)

    def finish(self) -> list[IdentityEvent]:
        """The last round, at the end of the run.

        Returns:
            What changed.
        """
        if self._pictures is None:
            return []
        events = self._decide(np.inf)
        self.close()
        log.info(self.count.sentence())
        return events

    def close(self) -> None:
        """Release what is open. Safe to call twice."""
        if self._pictures is not None:
            self._pictures.close()
            self._pictures = None

    def _give_up(self, why: str) -> None:
        self.count.why_not = why
        log.warning("no second looks at doubtful tracks: %s. Everything else goes on", why)
        self.close()

    def _tell_lost(self, pictures: FurtherPictures) -> None:
        for camera, why in pictures.lost.items():
            if camera not in self._said:
                self._said.add(camera)
                log.warning("camera '%s': no second looks at doubtful tracks: %s. Everything else goes on", camera, why)
        self.count.why_not = "; ".join(f"camera '{camera}': {why}" for camera, why in pictures.lost.items())

    def _decide(self, until: float) -> list[IdentityEvent]:
        """Look at doubtful tracks in frames up to a time, and decide with what was seen."""
        with self._statistics.stage("associate"):
            events = self._associator.step(force=True)
            doubts = self._associator.doubts()
            wanted = self._looks.plan(doubts, until=until)
        with self._statistics.stage("embed"):
            looked = self._look(wanted)
        if looked:
            with self._statistics.stage("associate"):
                events += self._decide_anew(doubts, looked)
        self._looks.forget(until=until, kept=self._associator.evidence)
        return events

    def _decide_anew(self, doubts: Sequence[DoubtfulPair], looked: Set[TrackKey]) -> list[IdentityEvent]:
        """Decide with what was seen, and count what became of the doubts."""
        before = {key: gid for key, (gid, _) in self._associator.links.items()}
        events = self._associator.step(force=True)
        after = self._associator.links
        still = {pair.tracks for pair in self._associator.doubts()}
        concerned = [pair.tracks for pair in doubts if looked & set(pair.tracks)]
        self.count.pairs += len(concerned)
        self.count.settled += sum(tracks not in still for tracks in concerned)
        self.count.changed += sum(key in after and after[key][0] != gid for key, gid in before.items())
        return [replace(event, reasons={**event.reasons, _REASON: 1.0}) for event in events]

    def _look(self, wanted: Sequence[FurtherPicture]) -> set[TrackKey]:
        """Have further pictures, and hand on what they show; whom they show."""
        looked: set[TrackKey] = set()
        if self._pictures is None or not wanted:
            return looked
        try:
            for picture, parts, visibility in self._pictures.describe(wanted):
                self.count.crops += 1
                if visibility.any():
                    self._associator.add_features(picture.key, parts, visibility, picture.quality)
                    looked.add(picture.key)
            self._tell_lost(self._pictures)
        except Exception as error:  # what was decided without stands
            self._give_up(f"{type(error).__name__}: {redact(error)}")
        return looked
