"""Who is at which place now: people, not tracks.

A person who is shown by two cameras, or by a second track after the first was lost, is there once. Until it is decided
who a track is, the track is a person of its own, and joins the one it turns out to be without an event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from streamreid.types import TrackKey

__all__ = ["Person", "Presence", "Presences"]

Person = int
"""Global id; below 0 for a track of which it is not decided yet who it is."""


@dataclass(slots=True, eq=False)
class Presence:
    """A person's stay at a place.

    Args:
        place: Name of the place.
        person: Who.
        start: Capture time of its beginning.
        since: The same by the clock of the site, which does not jump.
        entered: Whether it began at the boundary.
        tracks: Whose visits go on.
        camera: Where the person was shown last.
        track_id: In that camera.
        told: Whether its beginning was told.
        empty_since: Site time from which no track shows the person; None while one does.
        marks: What was told of it already (rules, loitering).
    """

    place: str
    person: Person
    start: float
    since: float
    entered: bool
    tracks: set[TrackKey] = field(default_factory=set)
    camera: str = ""
    track_id: int = 0
    told: bool = False
    empty_since: float | None = None
    marks: set[object] = field(default_factory=set)

    @property
    def global_id(self) -> int:
        """Who, 0 if that is not decided."""
        return max(self.person, 0)


class Presences:
    """The stays of all people at all places."""

    def __init__(self) -> None:
        self._at: dict[str, dict[Person, Presence]] = defaultdict(dict)
        self._person: dict[TrackKey, Person] = {}
        self._unknown = 0

    def at(self, place: str) -> dict[Person, Presence]:
        """Stays at a place by person, told or not."""
        return self._at[place]

    def occupancy(self, place: str) -> int:
        """People at a place whose coming was told."""
        return sum(presence.told for presence in self._at[place].values()) if place in self._at else 0

    def __iter__(self) -> Iterator[Presence]:
        for people in list(self._at.values()):
            yield from list(people.values())

    def person(self, key: TrackKey) -> Person:
        """Who a track is, as believed now."""
        found = self._person.get(key)
        if found is None:
            self._unknown -= 1
            found = self._person[key] = self._unknown
        return found

    def forget(self, key: TrackKey) -> None:
        """A track that is over."""
        self._person.pop(key, None)

    def open(self, place: str, key: TrackKey, start: float, since: float, *, entered: bool) -> Presence:
        """A track begins to show its person at a place."""
        person = self.person(key)
        presence = self._at[place].get(person)
        if presence is None:
            presence = self._at[place][person] = Presence(place, person, start, since, entered)
        presence.tracks.add(key)
        presence.camera, presence.track_id, presence.empty_since = *key, None
        return presence

    def close(self, place: str, key: TrackKey, clock: float) -> Presence | None:
        """A track shows its person at a place no more.

        Returns:
            The stay, where no other track shows the person there; the caller decides whether it is over.
        """
        presence = self._at[place].get(self.person(key))
        if presence is None or key not in presence.tracks:
            return None
        presence.tracks.discard(key)
        presence.camera, presence.track_id = key
        if presence.tracks:
            return None
        presence.empty_since = clock
        return presence

    def end(self, presence: Presence) -> None:
        """A stay is over."""
        self._at[presence.place].pop(presence.person, None)

    def rename(self, key: TrackKey, person: Person, joined: Callable[[Presence], None]) -> None:
        """A track turns out to be somebody else.

        Args:
            key: The track.
            person: Who it is.
            joined: Called with stays that were told and are one with another that was told, too.
        """
        before = self.person(key)
        if before == person:
            return
        self._person[key] = person
        for place in [place for place, people in self._at.items() if before in people]:
            presence = self._at[place][before]
            if key in presence.tracks and len(presence.tracks) > 1:  # the others stay who they were
                presence.tracks.discard(key)
                self._add(
                    Presence(place, person, presence.start, presence.since, presence.entered, {key}, *key), joined
                )
            elif key in presence.tracks or (not presence.tracks and (presence.camera, presence.track_id) == key):
                self._move(presence, person, joined)

    def merge(self, other: Person, person: Person, joined: Callable[[Presence], None]) -> None:
        """Two people are one."""
        for key in [key for key, who in self._person.items() if who == other]:
            self._person[key] = person
        for place in [place for place, people in self._at.items() if other in people]:
            self._move(self._at[place][other], person, joined)

    def _move(self, presence: Presence, person: Person, joined: Callable[[Presence], None]) -> None:
        del self._at[presence.place][presence.person]
        presence.person = person
        self._add(presence, joined)

    def _add(self, presence: Presence, joined: Callable[[Presence], None]) -> None:
        """Take a stay in, or make it one with that of the same person."""
        known = self._at[presence.place].get(presence.person)
        if known is None:
            self._at[presence.place][presence.person] = presence
            return
        if presence.since < known.since:
            known.start, known.since, known.entered = presence.start, presence.since, presence.entered
        known.tracks |= presence.tracks
        known.marks |= presence.marks
        if known.tracks:
            known.empty_since = None
        both = known.told and presence.told
        known.told = known.told or presence.told
        if both:
            joined(known)
