"""Second looks: further pictures of those tracks of which it is not sure who they are.

A run embeds a person now and then, and mostly that is enough. Where a pair of tracks is neither surely one person nor
surely two, more pictures of both make the evidence firmer. While frames pass, a few of those in which nobody was
embedded are remembered of every track: only when and where, no picture. Once some time is over, the doubtful pairs are
listed, and of their tracks as many pictures are asked for as the budget allows, the most doubtful first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from streamreid.types import FloatArray, PartFeatures, TrackKey, Tracks

__all__ = ["DOUBT", "DoubtfulPair", "FurtherPicture", "SecondLookCount", "SecondLooks"]

DOUBT = (0.2, 0.8)
"""Link probabilities between which a pair is in doubt."""

PICTURES = 4
"""Most further pictures of a track at a time. More make every track look more like every other, as their mean loses
noise, and the calibration was made for tracks of a few pictures."""

CLEAR = 0.5
"""Least quality of a further picture: of a person who is half hidden a track has enough."""

_SLOTS = 16
"""Least stretches of a track's time of each of which the best picture is remembered, once it has so many frames; at
most twice as many."""

_TALL = 128.0
"""Height in pixels from which a person is as well seen as by more."""


@dataclass(frozen=True, slots=True)
class FurtherPicture:
    """A picture that can be had once more.

    Args:
        camera: Name of the camera.
        track_id: Whom it shows.
        time: Capture time of the frame, in seconds.
        box: xyxy in pixels.
        quality: In [0, 1]: how little of the person was hidden, how sure the detector was.
        row: Of the person among the detections of the frame.
    """

    camera: str
    track_id: int
    time: float
    box: tuple[float, float, float, float]
    quality: float
    row: int

    @property
    def key(self) -> TrackKey:
        """Camera and track id."""
        return self.camera, self.track_id

    @property
    def worth(self) -> float:
        """How well it shows the person."""
        return self.quality * min((self.box[3] - self.box[1]) / _TALL, 1.0)


@dataclass(frozen=True, slots=True)
class DoubtfulPair:
    """Tracks that may be one person or two.

    Args:
        tracks: Two tracks, or one that may be an older identity.
        probability: That they are one, in [0, 1].
    """

    tracks: tuple[TrackKey, ...]
    probability: float


@dataclass(slots=True)
class SecondLookCount:
    """What second looks did in a run.

    Args:
        embedded: Crops that were embedded anyway.
        pairs: Pairs of tracks that were in doubt.
        settled: Of these, how many are not any more.
        crops: Crops that were embedded for them.
        changed: Tracks that belong to another identity since.
        why_not: Why some recordings, or all, were not read once more; empty if they were.
    """

    embedded: int = 0
    pairs: int = 0
    settled: int = 0
    crops: int = 0
    changed: int = 0
    why_not: str = ""

    def sentence(self) -> str:
        """What was done."""
        return (
            f"second looks: {self.crops} crops more than {self.embedded}; of {self.pairs} pairs of tracks in doubt "
            f"{self.settled} are so no longer, and {self.changed} tracks have another identity"
        )


@dataclass(slots=True, eq=False)
class _Remembered:
    """The best picture of each stretch of a track's time; stretches double where there are too many."""

    stretch: int = 1
    taken: int = 0
    best: list[FurtherPicture] = field(default_factory=list)

    def add(self, picture: FurtherPicture) -> None:
        if self.taken % self.stretch == 0:
            self.best.append(picture)
        elif picture.worth > self.best[-1].worth:
            self.best[-1] = picture
        self.taken += 1
        if len(self.best) == 2 * _SLOTS and self.taken % self.stretch == 0:
            pairs = zip(self.best[::2], self.best[1::2], strict=True)
            self.best = [max(pair, key=lambda p: p.worth) for pair in pairs]
            self.stretch *= 2

    def until(self, time: float) -> list[FurtherPicture]:
        return [p for p in self.best if p.time <= time]

    def forget(self, time: float) -> None:
        """Pictures up to a time cannot be had any more; the stretch that is being filled begins anew."""
        self.best = [p for p in self.best if p.time > time]
        if not self.best:
            self.taken, self.stretch = 0, 1


class SecondLooks:
    """Remembers which pictures of tracks could be had once more, and says which are worth it.

    Example:
        >>> import numpy as np
        >>> from streamreid import PartFeatures, Tracks
        >>> looks = SecondLooks(share=0.5)
        >>> box, one = np.array([[10, 20, 60, 170]], np.float32), np.ones(1, np.float32)
        >>> seen = PartFeatures(np.ones((1, 1, 1), np.float32), np.ones((1, 1), np.float32))
        >>> for frame in range(10):  # only every fifth is embedded
        ...     features = PartFeatures.unseen(1) if frame % 5 else seen
        ...     looks.observe("hall", frame / 10, Tracks(np.array([1]), box, one, np.array([0])), features, one)
        >>> wanted = looks.plan([DoubtfulPair((("hall", 1),), 0.6)], until=np.inf)
        >>> [picture.time for picture in wanted]  # half as many as were embedded
        [0.1]

    Args:
        share: Most further crops, as a share of those that are embedded anyway.
        min_height: Least height in pixels of a person who can be embedded.

    Attributes:
        count: What was done so far.
    """

    def __init__(self, share: float, *, min_height: float = 0.0) -> None:
        self._share = share
        self._least = max(min_height, 1.0)
        self._pictures: dict[TrackKey, _Remembered] = {}
        self.count = SecondLookCount()

    def __repr__(self) -> str:
        return f"SecondLooks(share={self._share:g}, tracks={len(self._pictures)}, crops={self.count.crops})"

    @property
    def budget(self) -> int:
        """Crops that may be embedded now."""
        return int(self._share * self.count.embedded + 1e-9) - self.count.crops

    def observe(self, camera: str, time: float, tracks: Tracks, features: PartFeatures, quality: FloatArray) -> None:
        """Take what a tracker reported for one frame; see :meth:`Associator.observe`."""
        embedded = features.visibility.any(1)
        self.count.embedded += int(np.count_nonzero(embedded))
        boxes = tracks.boxes
        usable = ~embedded & (quality >= CLEAR) & np.isfinite(boxes).all(1) & (boxes[:, 3] - boxes[:, 1] >= self._least)
        for row in np.flatnonzero(usable).tolist():
            track_id, box = int(tracks.ids[row]), tuple(boxes[row].tolist())
            picture = FurtherPicture(camera, track_id, time, box, float(quality[row]), int(tracks.rows[row]))
            self._pictures.setdefault((camera, track_id), _Remembered()).add(picture)

    def plan(self, doubts: Iterable[DoubtfulPair], *, until: float) -> list[FurtherPicture]:
        """The pictures that are worth it, by camera and time: of the most doubtful pairs first, of each track spread
        over its time, as many as the budget allows.

        Args:
            doubts: Pairs of tracks.
            until: Capture time of the last frame that may be asked for.
        """
        left, wanted, known = self.budget, [], set()
        for pair in sorted(doubts, key=lambda pair: (abs(pair.probability - 0.5), pair.tracks)):
            for key in pair.tracks:
                if key in known or key not in self._pictures:
                    continue
                known.add(key)
                found = spread(self._pictures[key].until(until), min(PICTURES, left))
                left -= len(found)
                wanted += found
        return sorted(wanted, key=lambda p: (p.camera, p.time, p.track_id))

    def forget(self, *, until: float, kept: Mapping[TrackKey, object]) -> None:
        """Drop pictures up to a time, and those of tracks that are not kept."""
        for remembered in self._pictures.values():
            remembered.forget(until)
        self._pictures = {key: found for key, found in self._pictures.items() if found.best and key in kept}


def spread(pictures: Sequence[FurtherPicture], most: int) -> list[FurtherPicture]:
    """At most so many of a track's pictures: its frames are cut into as many stretches, and of each the best is
    taken."""
    if most <= 0:
        return []
    if len(pictures) <= most:
        return list(pictures)
    edges = np.linspace(0, len(pictures), most + 1).round().astype(int).tolist()
    return [max(pictures[a:b], key=lambda p: p.worth) for a, b in pairwise(edges)]
