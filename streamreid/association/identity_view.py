"""What is believed about identities, kept in step with their events: the one place where a merge is applied.

The identity registry decides and emits events; whoever shows, stores or counts identities reads a view, here or in
another process::

    view = IdentityView()
    for event in events:
        view.apply(event)
    view.links  # {(camera, track_id): (global_id, link probability)}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import isfinite

from streamreid.types import IdentityEvent, KnownIdentity, TrackKey

__all__ = ["IdentityEntry", "IdentityView"]


@dataclass(slots=True)
class IdentityEntry:
    """An identity that is still searched.

    Args:
        global_id: Never used for anybody else.
        name: Given by a person; empty if none.
        first_seen: Capture time of the first frame of this run that showed it, seconds; None before that.
        last_seen: Of the newest one.
        last_camera: Where that was.
        cameras: All cameras of this run in which it was seen.
    """

    global_id: int
    name: str = ""
    first_seen: float | None = None
    last_seen: float | None = None
    last_camera: str = ""
    cameras: set[str] = field(default_factory=set)

    def absorb(self, other: IdentityEntry) -> None:
        """Take over what is known of an identity that was merged into this one."""
        self.name = self.name or other.name
        self.cameras |= other.cameras
        if other.first_seen is not None:
            self.first_seen = min(other.first_seen, other.first_seen if self.first_seen is None else self.first_seen)
        if other.last_seen is not None and (self.last_seen is None or other.last_seen > self.last_seen):
            self.last_seen, self.last_camera = other.last_seen, other.last_camera


class IdentityView:
    """Identities as the events so far leave them. Not thread-safe.

    Attributes:
        links: Global id and link probability of every track, as its last event said; also of identities that expired,
            until ``release``.
        entries: Identities of people that are still searched, by global id.
        confirmed: Global ids of confirmed people, also of those that expired, until ``release``.
        unlinked: Global ids that only number a track that was seen too little to be a person.
        begun: Global ids that began in this run.
        names: Names by global id, also of identities that expired, until ``release``.
        staff: Global ids of people of whom a person said that they work here.
    """

    def __init__(self) -> None:
        self.links: dict[TrackKey, tuple[int, float]] = {}
        self.entries: dict[int, IdentityEntry] = {}
        self.confirmed: set[int] = set()
        self.unlinked: set[int] = set()
        self.begun: set[int] = set()
        self.names: dict[int, str] = {}
        self.staff: set[int] = set()
        self._members: dict[int, set[TrackKey]] = {}

    def __repr__(self) -> str:
        return f"IdentityView(identities={len(self.entries)}, tracks={len(self.links)})"

    def apply(self, event: IdentityEvent) -> bool:
        """Follow an event.

        Returns:
            Whether it is about a person, and not only about the number of a track that was seen too little.
        """
        who, summary = event.global_id, event.summary
        if event.track_id:
            self._link((event.camera, event.track_id), who, event.probability)
        if event.kind == "new" and summary is not None and summary.unlinked:
            self.unlinked.add(who)
        if event.kind in ("new", "expire") and who in self.unlinked:
            return False
        if event.kind == "expire":
            self.entries.pop(who, None)
            return True
        if event.kind == "link":
            self.unlinked.discard(who)
        if who not in self.entries:
            self.entries[who] = IdentityEntry(who)
            if event.kind in ("new", "split"):
                self.begun.add(who)
        if event.kind == "merge":
            self._merge(who, event.other_id)
        if event.kind == "confirm":
            self.confirmed.add(who)
        if summary is not None:
            self._rename(who, summary.name)
            if who in self.begun and isfinite(summary.first_seen):  # its first frames came before it was an identity
                self.entries[who].first_seen = summary.first_seen
            (self.staff.add if summary.staff else self.staff.discard)(who)
            if summary.confirmed:  # a part of somebody who is confirmed is, too
                self.confirmed.add(who)
        return True

    def _link(self, key: TrackKey, who: int, probability: float) -> None:
        before = self.links.get(key)
        if before is not None and before[0] != who:
            self._members.get(before[0], set()).discard(key)
        self.links[key] = who, probability
        self._members.setdefault(who, set()).add(key)

    def _merge(self, who: int, other: int) -> None:
        """Everything of ``other`` is now of ``who``."""
        for key in self._members.pop(other, set()):
            self._link(key, who, self.links[key][1])
        gone = self.entries.pop(other, None)
        if gone is not None:
            self.entries[who].absorb(gone)
        if other in self.confirmed:
            self.confirmed.discard(other)
            self.confirmed.add(who)
        if other in self.staff:
            self.staff.discard(other)
            self.staff.add(who)
        name = self.names.pop(other, "")
        if name and who not in self.names:
            self.names[who] = name

    def _rename(self, who: int, name: str) -> None:
        self.entries[who].name = name
        if name:
            self.names[who] = name
        else:
            self.names.pop(who, None)

    def register(self, key: TrackKey) -> bool:
        """Note a track that was seen and has no identity yet; whether it is new."""
        if key in self.links:
            return False
        self.links[key] = (0, 0.0)
        return True

    def admit(self, known: Iterable[KnownIdentity]) -> None:
        """Take in identities of earlier runs, which join the search."""
        for item in known:
            self.entries[item.global_id] = IdentityEntry(item.global_id)
            self.confirmed.add(item.global_id)
            self._rename(item.global_id, item.name)
            if item.staff:
                self.staff.add(item.global_id)

    def observe(self, camera: str, time: float, global_ids: Iterable[int]) -> None:
        """Note who was seen in a frame."""
        for who in global_ids:
            entry = self.entries.get(who)
            if entry is None:
                continue
            if entry.first_seen is None:
                entry.first_seen = time
            entry.last_seen, entry.last_camera = time, camera
            entry.cameras.add(camera)

    def copies(self) -> dict[int, IdentityEntry]:
        """The entries as they are now, for another thread."""
        return {who: replace(entry, cameras=set(entry.cameras)) for who, entry in self.entries.items()}

    def withdraw(self, ids: Iterable[int]) -> None:
        """These identities are no longer known, because a person erased or parted them; tracks keep the number."""
        for who in ids:
            self.entries.pop(who, None)
            self.names.pop(who, None)
            self.confirmed.discard(who)
            self.begun.discard(who)
            self.staff.discard(who)

    def forget(self, ids: Iterable[int]) -> list[TrackKey]:
        """Withdraw people who are to be forgotten; their tracks belong to nobody then.

        Returns:
            These tracks.
        """
        gone = list(ids)
        self.withdraw(gone)
        tracks = sorted(key for who in gone for key in self._members.pop(who, set()))
        for key in tracks:
            self.links[key] = (0, 0.0)
        return tracks

    def release(self, tracks: Iterable[TrackKey]) -> None:
        """Let go of tracks whose identity has expired, and of these identities."""
        for key in tracks:
            who, _ = self.links.pop(key)
            members = self._members.get(who, set())
            members.discard(key)
            if not members:
                self._members.pop(who, None)
            self.confirmed.discard(who)
            self.unlinked.discard(who)
            self.begun.discard(who)
            self.names.pop(who, None)
            self.staff.discard(who)
