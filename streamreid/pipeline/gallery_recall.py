"""Whom a run is reminded of: remembered people join the search of the association, corrections and erasures by others
take effect in it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from streamreid.association import Associator
from streamreid.association.identity_view import IdentityView
from streamreid.gallery import Gallery, GallerySearch, IdentityRecord, choose_prototypes
from streamreid.types import FloatArray, IdentityEvent, KnownIdentity, PartFeatures, TrackKey

__all__ = ["GalleryRecall"]

log = logging.getLogger(__name__)

_AT_ONCE = 2000  # identities admitted at the start; others are looked up when somebody new appears
_CANDIDATES = 3
"""Remembered people that join the search of the association per track."""

_OLDEST = 0.9  # of the association's memory: nobody is admitted only to expire at once


class GalleryRecall:
    """Knows which identities the association knows (inside), and who else is remembered (outside).

    Args:
        store: The gallery.
        search: Over its views.
        associator: Gets identities, corrections and names.
        view: What is believed about identities; those in it are inside.
        recall: Least probability by looks for somebody outside to be admitted for a newcomer.
        hours: Who was stored longer ago is not admitted for their looks; None: however long ago.
        clock: UTC seconds.
    """

    def __init__(
        self,
        store: Gallery,
        search: GallerySearch,
        associator: Associator,
        view: IdentityView,
        *,
        recall: float,
        hours: float | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._search = search
        self._associator = associator
        self._recall = recall
        self._oldest = np.inf if hours is None else 3600.0 * hours
        self._clock = clock
        self._now = 0.0
        self._view = view
        self.outside: set[int] = set()
        self.returning: set[int] = set()
        self._news: set[int] = set()
        self._asked: dict[TrackKey, int] = {}
        self._said: set[tuple[str, int, int]] = set()
        self._own: Counter[tuple[int, str]] = Counter()
        self._own_pairs: set[frozenset[int]] = set()

    def __repr__(self) -> str:
        return f"GalleryRecall(inside={len(self.inside)}, outside={len(self.outside)})"

    @property
    def inside(self) -> set[int]:
        """Global ids of identities that the association knows."""
        return set(self._view.entries)

    @property
    def confirmed(self) -> set[int]:
        """Global ids of confirmed people."""
        return self._view.confirmed

    @property
    def _memory(self) -> float:
        return self._associator.config.memory

    def begin(self, now: float) -> None:
        """Admit those who were seen last.

        Args:
            now: Capture time of the first frame.
        """
        self._now = now
        people = self._search.people()
        recent = sorted(self._store.identities(sorted(people)), key=lambda r: (-r.stored, r.global_id))
        self.outside = people
        oldest = min(_OLDEST * self._memory, self._oldest)
        self.admit([r.global_id for r in recent if self._clock() - r.stored <= oldest][:_AT_ONCE])

    def at(self, now: float) -> None:
        """Tell that capture time has reached ``now``, in seconds."""
        self._now = max(self._now, now)

    def concerns(self, event: IdentityEvent) -> bool:
        """Whether an event, which the view has followed, concerns this run, not only somebody who was admitted and
        never seen. An identity that expired is looked up in the gallery from now on."""
        if event.kind != "expire":
            return True
        if self._search.knows(event.global_id):
            self.outside.add(event.global_id)
        return event.global_id in self._view.begun

    # ------------------------------------------------------------ what others changed

    def made(self, changes: Iterable[tuple[int, str]]) -> None:
        """Tell that this run itself changes the gallery: it follows these changes already."""
        self._own.update(changes)

    def said(self, one: int, other: int) -> None:
        """Tell that people correct in this run itself whether two identities are one: what the gallery says of them,
        perhaps later, is no news."""
        self._own_pairs.add(frozenset((one, other)))

    def _of_others(self, kinds: Mapping[int, set[str]]) -> dict[int, set[str]]:
        left = {}
        for who, what in kinds.items():
            own = {kind for kind in what if self._own[who, kind]}
            for kind in own:
                del self._own[who, kind]
            if what - own:
                left[who] = what - own
        return left

    def apply(self, kinds: Mapping[int, set[str]], in_view: Collection[int]) -> set[int]:
        """Let changes of the gallery take effect.

        Args:
            kinds: What happened to whom.
            in_view: Who is seen now; they do not expire.

        Returns:
            Who is to be dropped everywhere.
        """
        kinds = self._of_others(kinds)
        there, inside = self._search.people(), self.inside
        gone = {
            who for who, what in kinds.items() if "forget" in what or (what & {"expire", "evict"} and who not in there)
        }
        dropped = {who for who in gone if "forget" in kinds[who] or who not in in_view}
        self.outside -= gone
        news = {who for who in kinds if who in there and who not in inside}
        self.outside |= news
        self._news |= news
        parted = {who for who, what in kinds.items() if "split" in what and who not in gone and who in there}
        self.drop(dropped | (parted & inside))
        self.admit(sorted(parted))
        if any(what & {"merge", "constraint", "split"} for what in kinds.values()):
            self._respect()
        self._rename({who for who, what in kinds.items() if what & {"rename", "merge"}} & self.inside)
        return dropped | parted

    def _rename(self, people: set[int]) -> None:
        """Tell the association the names that people gave."""
        for record in self._store.identities(sorted(people)) if people else ():
            self._associator.rename(record.global_id, record.name)
            self._associator.corrections.tag_staff(record.global_id, record.staff)

    def drop(self, people: set[int]) -> None:
        """Let the association forget people."""
        self._associator.forget(sorted(people & self.inside))
        self._view.withdraw(people)

    def admit(self, people: Sequence[int]) -> None:
        """Let remembered people join the search of the association, as last seen as long ago as they were."""
        people = [p for p in people if p not in self._view.entries]
        if not people:
            return
        records = {r.global_id: r for r in self._store.identities(people)}
        views: dict[int, list[tuple[FloatArray, FloatArray, float]]] = {}
        for block in self._store.prototypes(ids=people):
            for row, who in enumerate(block.global_ids.tolist()):
                views.setdefault(who, []).append(
                    (block.features.parts[row], block.features.visibility[row], float(block.quality[row]))
                )
        known = [self._known(records[who], mine) for who, mine in sorted(views.items()) if who in records]
        self._associator.admit(known)
        admitted = {k.global_id for k in known}
        self._view.admit(known)
        self.returning |= admitted - self._view.begun
        self.outside -= admitted
        self._news -= admitted
        self._respect()

    def _known(self, record: IdentityRecord, views: Sequence[tuple[FloatArray, FloatArray, float]]) -> KnownIdentity:
        # Capture times of files begin anew with every run, so what counts is how long ago somebody was stored.
        ago = min(max(self._clock() - record.stored, 0.01), _OLDEST * self._memory)
        last = self._now - ago
        features = PartFeatures(np.stack([v[0] for v in views]), np.stack([v[1] for v in views]))
        quality = np.array([v[2] for v in views], np.float32)
        first = last - max(record.last_seen - record.first_seen, 0.0)
        # No more views than the association keeps of anybody: each one costs time at every step.
        best = choose_prototypes(features, quality, self._associator.config.prototypes)
        return KnownIdentity(
            record.global_id, features[best], quality[best], first, last, record.cameras, record.name, record.staff
        )

    def _respect(self) -> None:
        """Tell the association what people have said about identities that it knows."""
        inside, said = self._view.entries, self._store.constraints()
        known = {(c.kind, c.one, c.other) for c in said}
        for kind, one, other in self._said - known:
            self._said.discard((kind, one, other))
            if kind == "different":
                self._associator.corrections.take_back_different(one, other)
        for c in said:
            mark = (c.kind, c.one, c.other)
            if mark in self._said or c.one not in inside or c.other not in inside:
                continue
            if frozenset((c.one, c.other)) in self._own_pairs:
                continue
            self._said.add(mark)
            pair = [(c.one, c.other)]
            try:
                self._associator.constrain(
                    same=pair if c.kind == "same" else (), different=pair if c.kind == "different" else ()
                )
            except ValueError as error:
                log.warning("a correction in gallery '%s' cannot be respected: %s", self._store.address, error)

    # ------------------------------------------------------------ newcomers

    def _lately(self, people: set[int]) -> list[int]:
        """Those who were stored so lately that they still wear what they wore, sorted."""
        if np.isinf(self._oldest):
            return sorted(people)
        now = self._clock()
        return [r.global_id for r in self._store.identities(sorted(people)) if now - r.stored <= self._oldest]

    def recall(self, least_observations: int) -> None:
        """Look newcomers up among those outside: once they were seen a little, again when they were seen twice as
        often, and among whom others added.

        Of two new ids of one person, given by two processes, the older one stays.
        """
        news, self._news = self._news & self.outside, set()
        if not self.outside:
            return
        found: set[int] = set()
        inside = self.inside
        for key, evidence in self._associator.evidence.items():
            who, _ = self._associator.link(*key)
            if evidence.observations < least_observations or not evidence.seen or (who and who not in self._view.begun):
                continue
            due = evidence.looks >= 2 * self._asked.get(key, 0)
            if not due and not news:
                continue
            features = evidence.tracklet(key[1]).features
            if due:
                self._asked[key] = evidence.looks
                matches = self._search.search(features, _CANDIDATES, without=inside)
            else:
                matches = self._search.search(features, _CANDIDATES, among=news)
            found.update(
                m.global_id for m in matches if m.probability >= self._recall and (not who or m.global_id < who)
            )
        self.admit(self._lately(found & self.outside))
        gone = [k for k in self._asked if k not in self._associator.evidence]
        for key in gone:
            del self._asked[key]
