"""The people of a run that is over: who they are, and where and when each was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from streamreid.errors import DataError, UnknownIdentity
from streamreid.types import TrackKey

__all__ = ["Appearance", "FinishedIdentity", "Identities", "IdentityNotFound"]


class IdentityNotFound(DataError, UnknownIdentity, KeyError):
    """A run has no identity of that number or name."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Appearance:
    """From when to when one camera saw a person: one track.

    Args:
        camera: Name of the camera.
        track_id: In that camera.
        start: Capture time of the first frame, seconds.
        end: Capture time of the last frame, seconds.
        observations: Frames that show the person.
        probability: Probability in [0, 1] that the track is this person.
    """

    camera: str
    track_id: int
    start: float
    end: float
    observations: int
    probability: float

    @property
    def key(self) -> TrackKey:
        """Camera and track id."""
        return self.camera, self.track_id


@dataclass(frozen=True, slots=True)
class FinishedIdentity:
    """A person of a run.

    Args:
        global_id: The number of the identity.
        appearances: By their start, in all cameras.
        confirmed: Whether the person was seen well enough to be confirmed.
        name: What a person called them; empty if nobody did.
        staff: Whether a person said that they work there.
    """

    global_id: int
    appearances: tuple[Appearance, ...]
    confirmed: bool = False
    name: str = ""
    staff: bool = False

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that saw the person, in the order of their first appearances."""
        return tuple(dict.fromkeys(appearance.camera for appearance in self.appearances))

    @property
    def start(self) -> float:
        """Capture time of the first frame, seconds."""
        return self.appearances[0].start

    @property
    def end(self) -> float:
        """Capture time of the last frame, seconds."""
        return max(appearance.end for appearance in self.appearances)

    @property
    def probability(self) -> float:
        """Probability in [0, 1] that all appearances are one person: the least of theirs."""
        return min(appearance.probability for appearance in self.appearances)

    @property
    def label(self) -> str:
        """``#3 Anna``."""
        return f"#{self.global_id} {self.name}".strip()


class Identities(Mapping[int, FinishedIdentity]):
    """The people of a run by global id. A number that became part of another one gives that one.

    Args:
        people: By global id.
        current: Who a global id is now.
    """

    def __init__(self, people: Mapping[int, FinishedIdentity], current: Callable[[int], int]) -> None:
        self._people, self._current = dict(people), current

    def __getitem__(self, global_id: int) -> FinishedIdentity:
        """The person of that number.

        Raises:
            IdentityNotFound: There is none; a ``KeyError``, too.
        """
        who = self._current(global_id)
        if who not in self._people:
            known = [str(number) for number in sorted(self._people)]
            some = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
            raise IdentityNotFound(f"the run has no identity {global_id}; it has {some or 'none'}")
        return self._people[who]

    def __iter__(self) -> Iterator[int]:
        return iter(self._people)

    def __len__(self) -> int:
        return len(self._people)

    def __repr__(self) -> str:
        return f"Identities({sorted(self._people)})"

    def named(self, name: str) -> FinishedIdentity:
        """The person of that name.

        Raises:
            IdentityNotFound: Nobody is called so, or several people are.
        """
        found = [person for person in self._people.values() if person.name.casefold() == name.casefold()]
        if len(found) == 1:
            return found[0]
        if found:
            numbers = ", ".join(str(person.global_id) for person in found)
            raise IdentityNotFound(f"several identities are called '{name}': {numbers}; say which by its number")
        known = ", ".join(sorted({person.name for person in self._people.values() if person.name}))
        raise IdentityNotFound(f"the run has no identity called '{name}'; names: {known or 'none'}")
