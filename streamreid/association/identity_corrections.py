"""What people correct while a run goes on: names, who is whom, who is forgotten.

A correction changes the registry at once and anchors the tracks concerned, so that every later grouping, online or of
the whole recording, keeps to it. Its events wait until they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from streamreid.association.identity_registry import IdentityRegistry, IdentityState
from streamreid.association.identity_search import IdentityIndex
from streamreid.association.track_evidence import Evidence
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.types import IdentityEvent, TrackKey

__all__ = ["IdentityCorrections", "RememberedIdentity"]


@dataclass(frozen=True, slots=True, eq=False)
class RememberedIdentity:
    """An identity as it was before a correction, to undo it.

    Args:
        state: A copy.
        retired: Its tracks whose evidence was in ``state.past``.
        anchors: What was said of its tracks.
        different: Pairs of identities that were said to be two.
    """

    state: IdentityState
    retired: frozenset[TrackKey]
    anchors: Mapping[TrackKey, int]
    different: frozenset[tuple[int, int]]


class IdentityCorrections:
    """Changes identities as a person says.

    Args:
        book: The identities.
        index: Where older identities are searched.
        tracks: Evidence of the tracks in the window.
        retired: Evidence of a track that has left it; None where it is not kept any more.
        slots: Prototypes kept per part.
        now: Capture time, seconds.
    """

    def __init__(
        self,
        book: IdentityRegistry,
        index: IdentityIndex,
        tracks: Mapping[TrackKey, Evidence],
        *,
        retired: Callable[[TrackKey], Evidence | None],
        slots: int,
        now: Callable[[], float],
    ) -> None:
        self._book = book
        self._index = index
        self._tracks = tracks
        self._retired = retired
        self._slots = slots
        self._clock = now
        self._waiting: list[IdentityEvent] = []

    @property
    def _now(self) -> float:
        now = self._clock()
        return now if np.isfinite(now) else 0.0

    def drain(self) -> list[IdentityEvent]:
        """Events of corrections since the last call."""
        events, self._waiting = self._waiting, []
        return events

    # ---------------------------------------------------------------- what is said

    def constrain(self, *, same: Iterable[tuple[int, int]] = (), different: Iterable[tuple[int, int]] = ()) -> None:
        """Identities are one person, or two; see ``Associator.constrain``."""
        events = self._book.correct(same, different, self._now)
        self._waiting += events
        self._index.drop(e.other_id for e in events)
        self._remember(e.global_id for e in events)

    def rename(self, global_id: int, name: str) -> None:
        """Give a name; see ``Associator.rename``."""
        event = self._book.rename(global_id, name, self._now)
        self._waiting += [event] if event is not None else []

    def tag_staff(self, global_id: int, staff: bool = True) -> None:
        """Say that somebody works here, or take it back. Unknown ids are ignored."""
        event = self._book.tag_staff(global_id, staff, self._now)
        self._waiting += [event] if event is not None else []

    def separate(self, one: int, other: int) -> None:
        """Two identities are two people, whatever the evidence says.

        Raises:
            ValueError: An id is unknown, or they are one.
        """
        self.constrain(different=[(one, other)])
        now = self._now
        self._waiting.append(
            IdentityEvent("different", now, one, probability=0.0, other_id=other, reasons={"correction": 1.0})
        )

    def take_back_different(self, one: int, other: int) -> None:
        """Two identities may be one person again."""
        if self._book.take_back_different(one, other) and one in self._book.people:
            reasons = {"correction": 1.0}
            self._waiting.append(IdentityEvent("different", self._now, one, other_id=other, reasons=reasons))

    def say(self, one: TrackKey, other: TrackKey, *, same: bool | None) -> None:
        """Two tracks are one person, or two people; None: that is not said any more. Both may be unknown yet.

        Raises:
            ValueError: This contradicts what was said of other tracks.
        """
        if same is None:
            self._book.pairs.take_back(one, other)
        else:
            self._book.pairs.say(one, other, same=same)

    def split(self, global_id: int, keys: Iterable[TrackKey], new: int) -> None:
        """Some tracks of an identity are another person, for good.

        Args:
            global_id: The identity.
            keys: Tracks of it; at least one stays.
            new: A global id that was never given.

        Raises:
            ValueError: The identity is unknown, or the tracks are not its, all of its, or none.
        """
        person, wanted = self._person(global_id), set(keys)
        if not wanted or not wanted <= person.members:
            strange = ", ".join(f"{camera}/{track}" for camera, track in sorted(wanted - person.members))
            raise ValueError(
                f"identity {global_id} does not have the tracks to split off: {strange or 'none is given'}"
            )
        if wanted == person.members and person.past is None:
            raise ValueError(f"these are all tracks of identity {global_id}; leave at least one")
        book = self._book
        self._waiting += book.part(global_id, wanted, new, self._now)
        book.anchor_to(person.members, global_id)
        book.anchor_to(wanted, new)
        book.correct((), [(global_id, new)], self._now)
        other = book.people[new]
        mine, theirs = self._sum(person), self._sum(other)
        if mine is not None:  # else views of the other person stay among those of this one
            person.past = mine.past
        other.past = None if theirs is None else theirs.past
        for state in (person, other):
            self._date(state)
        self._index.drop([global_id])
        self._remember([global_id, new])

    # ---------------------------------------------------------------- and taken back

    def remembered(self, global_id: int) -> RememberedIdentity:
        """An identity as it is now.

        Raises:
            ValueError: It is unknown.
        """
        person = self._person(global_id)
        state = replace(
            person, past=_copy(person.past, self._slots), members=set(person.members), cameras=set(person.cameras)
        )
        anchors = {key: self._book.anchor(key) for key in person.members}
        retired = frozenset(person.members - self._tracks.keys())
        return RememberedIdentity(state, retired, anchors, self._book.different)

    def unmerge(self, keep: RememberedIdentity, gone: RememberedIdentity) -> None:
        """Undo a merge: ``gone`` gets its number, its tracks and what was known of it back.

        Raises:
            ValueError: The identity that it became part of is not known any more.
        """
        book, who, back = self._book, keep.state.global_id, gone.state.global_id
        person = self._person(who)
        keys = {key for key in gone.state.members if book.owner(key) == who}
        events = book.part(who, keys, back, self._now)
        self._waiting += events or [IdentityEvent("split", self._now, back, other_id=who, reasons={"correction": 1.0})]
        other = book.people[back]
        for state, before in ((person, keep), (other, gone)):
            state.past = _copy(before.state.past, self._slots)
            self._absorb(state, sorted(state.members - before.retired - self._tracks.keys()))
            state.cameras = set(before.state.cameras) | {camera for camera, _ in state.members}
            state.name, state.staff = before.state.name, before.state.staff
            state.confirmed = before.state.confirmed
            for key in state.members & before.anchors.keys():
                book.anchor_to([key], before.anchors[key])
        self._take_back_pairs(gone.state.members, same=True)
        other.first_seen, other.last_seen = gone.state.first_seen, gone.state.last_seen
        for pair in keep.different:
            if back in pair:
                inherited = (who, pair[0] if pair[1] == back else pair[1])
                if tuple(sorted(inherited)) not in keep.different:
                    book.take_back_different(*inherited)
        self._index.drop([who])
        self._remember([who, back])

    def unsplit(self, before: RememberedIdentity, new: int) -> None:
        """Undo a split: identity ``new`` is part of the one that it was split off.

        Raises:
            ValueError: One of them is not known any more.
        """
        who = before.state.global_id
        person, other = self._person(who), self._person(new)
        kept = person.name, person.staff
        self._book.take_back_different(who, new)
        self._take_back_pairs(other.members, same=False)
        self.constrain(same=[(who, new)])
        merged = self._book.people[min(who, new)]
        merged.name, merged.staff = kept[0] or other.name, kept[1] or other.staff
        self._book.anchor_to(merged.members, 0)
        for key, anchor in before.anchors.items():
            if anchor and key in merged.members:
                self._book.anchor_to([key], anchor)

    def forget(self, ids: Iterable[int]) -> None:
        """Tell that people were forgotten: they are not searched any more, and of what was said of them nothing is
        kept. Called after they were dropped."""
        gone = set(ids)
        reasons = {"correction": 1.0}
        self._waiting = [e for e in self._waiting if e.global_id not in gone and e.other_id not in gone]
        self._waiting += [IdentityEvent("expire", self._now, gid, reasons=reasons) for gid in sorted(gone)]

    # ---------------------------------------------------------------- what is remembered of them

    def _person(self, global_id: int) -> IdentityState:
        person = self._book.people.get(global_id)
        if person is None:
            raise ValueError(
                f"identity {global_id} is not known: it never was, has expired, or was merged into another one"
            )
        return person

    def _take_back_pairs(self, tracks: set[TrackKey], *, same: bool) -> None:
        """What was said of pairs of one of these tracks and another one, and led to what is undone now."""
        for (one, other), said in list(self._book.pairs.pairs.items()):
            if said == same and (one in tracks) != (other in tracks):
                self._book.pairs.take_back(one, other)

    def _sum(self, person: IdentityState) -> IdentityState | None:
        """A state with the evidence of the retired tracks of a person; None where that of one is not kept any more."""
        found = IdentityState(person.global_id, person.last_seen)
        keys = sorted(person.members - self._tracks.keys())
        if any(self._retired(key) is None for key in keys) or (person.past is not None and not keys):
            return None if person.past is not None else found
        self._absorb(found, keys)
        return found

    def _absorb(self, person: IdentityState, keys: Iterable[TrackKey]) -> None:
        for key in keys:
            evidence = self._retired(key)
            if evidence is None:
                continue
            if person.past is None:
                person.past = Evidence([], PrototypeSums(self._slots))
            person.past.absorb(evidence)
        if person.past is not None:
            person.past.prototypes.pack()

    def _date(self, person: IdentityState) -> None:
        """When it was first and last seen, by its tracks; as it is where they are not all at hand."""
        found = [self._tracks.get(key) or self._retired(key) for key in person.members]
        known = [evidence for evidence in found if evidence is not None]
        if known and len(known) == len(found):
            person.first_seen = min(e.start for e in known)
            person.last_seen = max(e.end for e in known)
        if person.past is None or len(known) == len(found):
            person.cameras = {camera for camera, _ in person.members}

    def _remember(self, ids: Iterable[int]) -> None:
        people = [self._book.people[g] for g in ids if g in self._book.people]
        self._index.put((p.global_id, p.past) for p in people if p.past is not None)


def _copy(past: Evidence | None, slots: int) -> Evidence | None:
    if past is None:
        return None
    copied = Evidence([], PrototypeSums(slots))
    copied.absorb(past)
    copied.prototypes.pack()
    return copied
