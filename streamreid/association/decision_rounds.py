"""The rounds in which tracks are given to identities: every track in the window anew, then those that are over, and at
the end of a recording all of them once more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from streamreid.association.identity_registry import IdentityRegistry
from streamreid.association.link_record import LinkRecord
from streamreid.association.offline_clustering import decide_all
from streamreid.association.online_clustering import Decision, OnlineClustering
from streamreid.association.spatial_evidence import SpatialEvidence
from streamreid.association.track_evidence import Evidence
from streamreid.config import AssociationConfig
from streamreid.types import IdentityEvent, TrackKey

__all__ = ["DecisionRounds"]


class DecisionRounds:
    """Groups the tracks in the window, and lets them go when they leave it.

    Args:
        config: Windows and thresholds.
        book: The identities.
        grouping: Decides which tracks are one person.
        tracks: Evidence of the tracks in the window; those that leave it are taken out.
        record: Keeps which tracks may be one person, if that is wanted.
        place: Where people stand, for calibrated cameras.
        keep_all: Keep what was seen of every track, for `reconsider`.

    Attributes:
        archive: Evidence of tracks that left the window, with ``keep_all``.
        admitted: Evidence of identities of earlier runs, as they were.
        unlinked: Global ids that only number a track.
    """

    def __init__(
        self,
        config: AssociationConfig,
        book: IdentityRegistry,
        grouping: OnlineClustering,
        tracks: dict[TrackKey, Evidence],
        *,
        record: LinkRecord | None,
        place: SpatialEvidence | None,
        keep_all: bool,
    ) -> None:
        self._config = config
        self._book = book
        self._grouping = grouping
        self._tracks = tracks
        self._record = record
        self._place = place
        self._keep_all = keep_all
        self._now = 0.0
        self._waiting: list[IdentityEvent] = []
        self.archive: dict[TrackKey, Evidence] = {}
        self.admitted: dict[int, Evidence] = {}
        self.unlinked: set[int] = set()

    def __repr__(self) -> str:
        return f"DecisionRounds(tracks={len(self._tracks)}, unlinked={len(self.unlinked)})"

    def run(self, now: float) -> list[IdentityEvent]:
        """Group anew, and let go of tracks and identities that are over.

        Args:
            now: Capture time in seconds.
        """
        self._now = now
        events, self._waiting = self._waiting, []
        events += self._group()
        events += self._confirm()
        self._retire()
        expired = self._book.expire(now, self._config.memory, self._config.max_identities, self._tracks)
        self._grouping.index.drop(e.global_id for e in expired)
        self.unlinked.difference_update(e.global_id for e in expired)
        if self._record is not None:
            self._record.expire(now - self._config.memory)
            self._record.forget(k for e in expired for k in e.members)
        return events + expired

    def finish(self, now: float) -> list[IdentityEvent]:
        """What is still open after the last round: a number for every track, and all of a recording decided anew."""
        self._now = now
        events = [self._begin_unlinked(key) for key in sorted(k for k in self._tracks if k not in self._book.links)]
        if self._keep_all and self._config.enabled:
            events += self._reconsider() + self._confirm(everybody=True)
        return events

    def retired_evidence(self, key: TrackKey) -> Evidence | None:
        """Evidence of a track that left the window; None where it is not kept."""
        if key in self.archive:
            return self.archive[key]
        return None if self._record is None else self._record.evidence(key)

    def remember(self, ids: Iterable[int]) -> None:
        """Let older identities be searched by what is known of them now."""
        people = [self._book.people[g] for g in ids if g in self._book.people]
        self._grouping.index.put((p.global_id, p.past) for p in people if p.past is not None)

    def forget(self, ids: Iterable[int]) -> None:
        """Drop people and all that is known of them, and of their tracks."""
        gone = sorted(set(ids))
        self._grouping.index.drop(gone)
        self.unlinked.difference_update(gone)
        if self._record is not None:
            self._record.forget(key for key, link in self._book.links.items() if link.global_id in gone)
            self._record.forget_people(gone)
        for gid in gone:
            self.admitted.pop(gid, None)
            for key in self._book.drop(gid):
                self._tracks.pop(key, None)
                self.archive.pop(key, None)

    # ---------------------------------------------------------------- a round

    def _group(self) -> list[IdentityEvent]:
        keys = sorted(k for k, e in self._tracks.items() if e.observations >= self._config.min_observations)
        if not keys:
            return []
        if not self._config.enabled:
            return [self._begin(k) for k in keys if k not in self._book.links]
        tracks = {k: self._tracks[k] for k in keys}
        return self._apply(self._grouping.decide(tracks, self._book), tracks)

    def _apply(self, decided: Decision, tracks: Mapping[TrackKey, Evidence]) -> list[IdentityEvent]:
        events = []
        for key, gid, probability in decided.links:
            gid = gid or decided.fresh(key, lambda: self._book.begin(self._now))
            if tracks[key].observations >= self._config.min_observations:
                self.unlinked.discard(gid)
            event = self._book.move(key, gid, probability, tracks[key], self._now)
            if event is not None:
                events.append(decided.explained(event))
        return events + self._book.merged_away(events, self._now)

    def _confirm(self, *, everybody: bool = False) -> list[IdentityEvent]:
        """Confirm who was seen well enough, of those in the window or of all."""
        events = []
        ids = (
            self._book.people
            if everybody
            else {self._book.links[k].global_id for k in self._tracks if k in self._book.links}
        )
        for gid in sorted(ids):
            person = self._book.people[gid]
            if person.confirmed:
                continue
            seen = [self._tracks[k] for k in person.members if k in self._tracks] + (
                [person.past] if person.past else []
            )
            if not seen:
                continue
            count = sum(e.observations for e in seen)
            seconds = max(e.end for e in seen) - min(e.start for e in seen)
            if count >= self._config.confirm_observations and seconds >= self._config.confirm_seconds:
                person.confirmed = True
                probability = min(
                    (self._book.links[k].probability for k in person.members if k in self._book.links), default=1.0
                )
                reasons = {"observations": float(count), "seconds": float(seconds)}
                events.append(IdentityEvent("confirm", self._now, gid, probability=probability, reasons=reasons))
        return events

    def _begin(self, key: TrackKey) -> IdentityEvent:
        event = self._book.move(key, self._book.begin(self._now), 1.0, self._tracks[key], self._now)
        assert event is not None
        return event

    def _begin_unlinked(self, key: TrackKey) -> IdentityEvent:
        """A number for a track that was seen too little to be a person."""
        event = self._begin(key)
        if self._tracks[key].observations < self._config.min_observations:
            self.unlinked.add(event.global_id)
        return event

    def _retire(self) -> None:
        """Tracks that ended before the window, or that are too many, hand their evidence to their identity."""
        horizon = self._now - self._config.window
        old = sorted((e.end, k) for k, e in self._tracks.items() if e.end < horizon)
        over = len(self._tracks) - len(old) - self._config.max_tracks
        if over > 0:
            idle = sorted(
                (e.end, k) for k, e in self._tracks.items() if horizon <= e.end < self._now - 2 * self._config.interval
            )
            old += idle[:over]
        self._grouping.retire([key for _, key in old], self._book)
        changed: set[int] = set()
        for _, key in old:
            evidence = self._tracks[key]
            if key not in self._book.links:
                self._waiting.append(self._begin_unlinked(key))
            if self._record is not None:
                self._record.take(key, replace(evidence, prototypes=replace(evidence.prototypes)))
            if self._keep_all:
                self.archive[key] = evidence
            changed.add(self._book.retire(key, evidence, self._config.prototypes).global_id)
            del self._tracks[key]
        if old and self._place is not None and not self._keep_all:
            self._place.forget([k for _, k in old])
        self.remember(sorted(changed))
        self._grouping.renew(changed)
        self._trim(changed)

    def _trim(self, changed: set[int]) -> None:
        """Of older presences only those matter that a present track can overlap, and the last one, as the time of the
        identity."""
        oldest = min((e.start for e in self._tracks.values()), default=self._now)
        for gid in sorted(changed):
            past = self._book.people[gid].past
            if past is not None and len(past.presence) > 1:
                last = max(past.presence, key=lambda p: p.end)
                past.presence = [p for p in past.presence if p.end >= oldest or p is last]

    # ---------------------------------------------------------------- the whole recording

    def _reconsider(self) -> list[IdentityEvent]:
        """Link all tracks of the recording anew, with everything that is known of them at its end."""
        tracks = {**self.archive, **self._tracks}
        tracks = {k: e for k, e in tracks.items() if k in self._book.links}
        if not tracks:
            return []
        for gid, person in self._book.people.items():
            person.past = self.admitted.get(gid)
        admitted = {g: e for g, e in self.admitted.items() if g in self._book.people}
        events = self._apply(decide_all(self._grouping, tracks, self._book, admitted), tracks)
        for key in sorted(k for k in tracks if k not in self._tracks):
            self._book.retire(key, tracks[key], self._config.prototypes)
        least = self._config.min_observations
        seen = {self._book.links[k].global_id for k, e in tracks.items() if e.observations >= least} | admitted.keys()
        self.unlinked = {self._book.links[k].global_id for k in tracks} - seen
        return events
