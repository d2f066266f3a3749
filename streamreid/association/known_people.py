"""People of an earlier run as identities of this one, and identities of this run as people that a later one knows."""

from __future__ import annotations

from collections.abc import Mapping

from streamreid.association.identity_registry import IdentityRegistry, IdentityState
from streamreid.association.track_evidence import Evidence
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.types import KnownIdentity, TrackKey

__all__ = ["known_people", "state_of"]


def state_of(known: KnownIdentity, slots: int) -> IdentityState:
    """Somebody of an earlier run, who counts as confirmed.

    Args:
        known: What is known of them.
        slots: Prototypes kept per part.
    """
    person = IdentityState(
        known.global_id,
        known.last_seen,
        known.first_seen,
        cameras=set(known.cameras),
        confirmed=True,
        name=known.name,
        staff=known.staff,
    )
    person.past = Evidence.remembered(known, slots=slots)
    person.past.prototypes.pack()
    return person


def known_people(book: IdentityRegistry, tracks: Mapping[TrackKey, Evidence], slots: int) -> list[KnownIdentity]:
    """Everybody who is worth remembering, by global id: confirmed identities of whom something was seen.

    Args:
        book: The identities.
        tracks: Evidence of the tracks in the window.
        slots: Prototypes kept per part.
    """
    result = []
    for gid, person in sorted(book.people.items()):
        seen = [e for k in sorted(person.members) if (e := tracks.get(k)) is not None and e.seen > 0]
        seen += [person.past] if person.past is not None and person.past.seen > 0 else []
        if not seen or not person.confirmed:
            continue
        total = seen[0] if len(seen) == 1 else Evidence([], PrototypeSums(slots))
        for item in seen if len(seen) > 1 else ():
            total.absorb(item)
        result.append(total.remember(gid, person.cameras, person.first_seen, person.last_seen))
    return result
