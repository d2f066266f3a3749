"""The book of identities: who has which tracks, what is remembered of them, what a person has said about them."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from streamreid.association.track_constraints import TrackConstraints
from streamreid.association.track_evidence import Evidence
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.types import Identity, IdentityEvent, IdentitySummary, TrackKey

__all__ = ["IdentityRegistry", "IdentityState", "Link"]


@dataclass(slots=True)
class IdentityState:
    """An identity: its tracks, and the evidence of those that left the window."""

    global_id: int
    last_seen: float
    first_seen: float = np.inf
    past: Evidence | None = None
    members: set[TrackKey] = field(default_factory=set)
    cameras: set[str] = field(default_factory=set)
    confirmed: bool = False
    name: str = ""
    staff: bool = False

    def summary(self, *, unlinked: bool = False) -> IdentitySummary:
        """What consumers of events are told."""
        cameras = frozenset(self.cameras)
        return IdentitySummary(
            self.first_seen, self.last_seen, cameras, self.confirmed, unlinked, self.name, self.staff
        )


@dataclass(slots=True)
class Link:
    """Which identity a track belongs to, and how probably."""

    global_id: int
    probability: float


class IdentityRegistry:
    """Identities and the links of tracks to them. Every change is an event.

    Args:
        first_id: The first global id to give.
        new_id: Where ids come from that other processes draw as well; None counts on its own.

    Attributes:
        pairs: What people said of pairs of tracks.
    """

    def __init__(self, first_id: int = 1, *, new_id: Callable[[], int] | None = None) -> None:
        self.people: dict[int, IdentityState] = {}
        self.links: dict[TrackKey, Link] = {}
        self.next_id = first_id
        self._new_id = new_id
        self._order: list[tuple[float, int]] = []
        self._retired: deque[tuple[float, TrackKey]] = deque()
        self._anchors: dict[TrackKey, int] = {}
        self._different: set[tuple[int, int]] = set()
        self.pairs = TrackConstraints()

    def __repr__(self) -> str:
        return f"IdentityRegistry(identities={len(self.people)}, tracks={len(self.links)})"

    # ---------------------------------------------------------------- tracks come and go

    def begin(self, now: float) -> int:
        """A new identity; its id."""
        gid = self.reserve()
        self.add(IdentityState(gid, now))
        return gid

    def reserve(self) -> int:
        """An id that was never given."""
        gid = self.next_id if self._new_id is None else self._new_id()
        self.next_id = max(self.next_id, gid + 1)
        return gid

    def move(self, key: TrackKey, gid: int, probability: float, evidence: Evidence, now: float) -> IdentityEvent | None:
        """Link a track to an identity, or say again that it is; the event if that is a change."""
        link, person = self.links.get(key), self.people[gid]
        end = evidence.end
        if end > person.last_seen:
            person.last_seen = end
        if link is not None and link.global_id == gid and key in person.members:
            start = evidence.start
            if start < person.first_seen:
                person.first_seen = start
            link.probability = probability
            return None
        fresh = not person.members and person.past is None
        person.first_seen = min(person.first_seen, evidence.start)
        person.cameras.add(key[0])
        person.members.add(key)
        old = link.global_id if link else 0
        self.links[key] = Link(gid, probability)
        if old == gid:
            return None
        if old in self.people:
            self.people[old].members.discard(key)
            if self.people[old].members:
                return IdentityEvent("split", now, gid, key[0], key[1], probability, old)
        return IdentityEvent("new" if fresh and not old else "link", now, gid, key[0], key[1], probability, old)

    def merged_away(self, events: Iterable[IdentityEvent], now: float) -> list[IdentityEvent]:
        """Close the identities that lost their last track by ``events``."""
        result = []
        for event in events:
            old = self.people.get(event.other_id)
            if old is not None and not old.members and old.past is None:
                self._absorb(old, self.people[event.global_id])
                result.append(
                    IdentityEvent(
                        "merge",
                        now,
                        event.global_id,
                        probability=event.probability,
                        other_id=event.other_id,
                        reasons=event.reasons,
                    )
                )
        return result

    def _absorb(self, old: IdentityState, new: IdentityState) -> None:
        """One identity becomes part of another: whatever is known or was said of it is the other's now."""
        new.first_seen = min(new.first_seen, old.first_seen)
        new.last_seen = max(new.last_seen, old.last_seen)
        new.cameras |= old.cameras
        new.members |= old.members
        new.name = new.name or old.name
        new.staff = new.staff or old.staff
        if old.past is not None:
            new.past = new.past or Evidence([], PrototypeSums(old.past.prototypes.slots))
            new.past.absorb(old.past)
            new.past.prototypes.pack()
        self._anchors = {k: new.global_id if g == old.global_id else g for k, g in self._anchors.items()}
        self._inherit_different(old.global_id, new.global_id)
        del self.people[old.global_id]

    def _inherit_different(self, old: int, new: int) -> None:
        """Whoever was said to be somebody else than ``old`` is somebody else than ``new``, too."""
        self._different |= {_ordered(new, b if a == old else a) for a, b in self._different if old in (a, b)}

    def retire(self, key: TrackKey, evidence: Evidence, slots: int) -> IdentityState:
        """A track leaves the window: its identity remembers what was seen."""
        person = self.people[self.links[key].global_id]
        if person.past is None:
            person.past = Evidence([], PrototypeSums(slots))
        person.past.absorb(evidence)
        person.past.prototypes.pack()
        self._retired.append((evidence.end, key))
        anchor = self._anchors.pop(key, 0)
        if anchor and anchor != person.global_id:
            self._inherit_different(anchor, person.global_id)
        return person

    def expire(
        self, now: float, memory: float, most: int, open_tracks: Mapping[TrackKey, Evidence]
    ) -> list[IdentityEvent]:
        """Forget whom nobody saw for ``memory`` seconds, the longest unseen where there are more than ``most``, and
        links of tracks as old."""
        horizon = now - memory
        while self._retired and self._retired[0][0] < horizon:
            _, key = self._retired.popleft()
            if (
                key not in open_tracks
                and (link := self.links.pop(key, None)) is not None
                and link.global_id in self.people
            ):
                self.people[link.global_id].members.discard(key)
        gone = set(self._unseen(horizon, open_tracks))
        over = len(self.people) - len(gone) - most
        if over > 0:
            over += most // 100  # some more, so that this is not done for every newcomer
            idle = [p for g, p in self.people.items() if g not in gone and not any(k in open_tracks for k in p.members)]
            gone |= {p.global_id for p in sorted(idle, key=lambda p: (p.last_seen, p.global_id))[:over]}
        events = []
        for gid in sorted(gone):
            events.append(IdentityEvent("expire", now, gid, members=tuple(sorted(self.drop(gid)))))
        return events

    def _unseen(self, horizon: float, open_tracks: Mapping[TrackKey, Evidence]) -> list[int]:
        """Identities last seen before ``horizon``; looks only at those that may be, however many there are."""
        found, later = [], []
        while self._order and self._order[0][0] < horizon:
            _, gid = heapq.heappop(self._order)
            person = self.people.get(gid)
            if person is None:
                continue
            if person.last_seen < horizon and not any(k in open_tracks for k in person.members):
                found.append(gid)
            else:
                later.append((max(person.last_seen, horizon), gid))
        for item in later:
            heapq.heappush(self._order, item)
        return found

    def add(self, person: IdentityState) -> None:
        """Register an identity, and queue it by when it was last seen."""
        self.people[person.global_id] = person
        heapq.heappush(self._order, (person.last_seen, person.global_id))

    def drop(self, gid: int) -> set[TrackKey]:
        """Forget an identity, its links and what was said about it; its tracks."""
        person = self.people.pop(gid, None)
        if person is None:
            return set()
        self.pairs.forget(person.members)
        for key in person.members:
            self.links.pop(key, None)
            self._anchors.pop(key, None)
        self._anchors = {k: g for k, g in self._anchors.items() if g != gid}
        self._different = {pair for pair in self._different if gid not in pair}
        return person.members

    # ---------------------------------------------------------------- what a person says

    def correct(
        self, same: Iterable[tuple[int, int]], different: Iterable[tuple[int, int]], now: float
    ) -> list[IdentityEvent]:
        """Join identities, or keep them apart, for good.

        Raises:
            ValueError: An id is unknown, or a pair is said to be both.
        """
        one, two = {_pair(p) for p in same}, {_pair(p) for p in different}
        for gid in sorted({g for pair in one | two for g in pair}):
            if gid not in self.people:
                raise ValueError(
                    f"identity {gid} is not known: it never was, has expired, or was merged into another one"
                )
        clash = sorted(one & (two | self._different))
        if clash:
            raise ValueError(
                f"identities {clash[0]} are said to be the same person and two different people; take one of both back"
            )
        for gid in sorted({g for pair in one | two for g in pair}):
            self._anchors.update(dict.fromkeys(self.people[gid].members, gid))
        self._different |= two
        events: list[IdentityEvent] = []
        into: dict[int, int] = {}
        for keep, gone in sorted(one):
            keep, gone = _root(into, keep), _root(into, gone)
            if keep != gone:
                into[max(keep, gone)] = min(keep, gone)
                events.append(self._join(min(keep, gone), max(keep, gone), now))
        return events

    def _join(self, keep: int, gone: int, now: float) -> IdentityEvent:
        person, old = self.people[keep], self.people[gone]
        for key in old.members:
            self.links[key] = Link(keep, 1.0)
        person.confirmed = person.confirmed or old.confirmed
        self._absorb(old, person)
        members = tuple(sorted(old.members))
        return IdentityEvent("merge", now, keep, other_id=gone, reasons={"correction": 1.0}, members=members)

    def rename(self, gid: int, name: str, now: float) -> IdentityEvent | None:
        """Give an identity a name, or take it back (empty); the event if that is a change. Unknown ids are ignored."""
        person = self.people.get(gid)
        if person is None or person.name == name:
            return None
        person.name = name
        return IdentityEvent("rename", now, gid)

    def tag_staff(self, gid: int, staff: bool, now: float) -> IdentityEvent | None:
        """Say that an identity works there, or take it back; the event if that is a change. Unknown ids are ignored."""
        person = self.people.get(gid)
        if person is None or person.staff == staff:
            return None
        person.staff = staff
        return IdentityEvent("staff", now, gid, reasons={"correction": 1.0})

    def part(self, gid: int, keys: Iterable[TrackKey], new: int, now: float) -> list[IdentityEvent]:
        """Tracks of an identity become another one. What is remembered of either is left to the caller.

        Args:
            gid: The identity.
            keys: Some of its tracks.
            new: An id that nobody has now.
            now: Capture time.
        """
        person = self.people[gid]
        other = IdentityState(new, person.last_seen, confirmed=person.confirmed)
        self.next_id = max(self.next_id, new + 1)
        self.add(other)
        events = []
        for key in sorted(keys):
            person.members.discard(key)
            other.members.add(key)
            other.cameras.add(key[0])
            self.links[key] = Link(new, 1.0)
            events.append(IdentityEvent("split", now, new, *key, 1.0, gid, {"correction": 1.0}))
        return events

    def take_back_different(self, one: int, other: int) -> bool:
        """Two identities may be one person again; whether they were said to be two."""
        pair = _ordered(one, other)
        known = pair in self._different
        self._different.discard(pair)
        return known

    def anchor_to(self, keys: Iterable[TrackKey], gid: int) -> None:
        """A person said that these tracks belong to an identity; 0: nothing is said of them any more."""
        for key in keys:
            if gid:
                self._anchors[key] = gid
            else:
                self._anchors.pop(key, None)

    def owner(self, key: TrackKey) -> int:
        """The identity of a track; 0 if it has none."""
        link = self.links.get(key)
        return link.global_id if link is not None else 0

    @property
    def anchored(self) -> bool:
        """Whether a person said of any track to whom it belongs."""
        return bool(self._anchors)

    def anchor(self, key: TrackKey) -> int:
        """The identity that a person said this track belongs to; 0 if nobody said anything."""
        return self._anchors.get(key, 0)

    @property
    def different(self) -> frozenset[tuple[int, int]]:
        """Pairs of identities that are two people, whatever the evidence says."""
        return frozenset(self._different)

    # ---------------------------------------------------------------- as values

    def identities(self) -> list[Identity]:
        """All remembered identities, by global id."""
        result = []
        for gid, person in sorted(self.people.items()):
            probabilities = [self.links[k].probability for k in person.members if k in self.links]
            result.append(Identity(gid, frozenset(person.members), min(probabilities, default=1.0)))
        return result


def _pair(ids: tuple[int, int]) -> tuple[int, int]:
    a, b = ids
    if a == b:
        raise ValueError(f"a correction needs two identities, got {a} twice")
    return _ordered(a, b)


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _root(into: dict[int, int], gid: int) -> int:
    while gid in into:
        gid = into[gid]
    return gid
