"""Who may be who among the tracks that a gallery remembers of all runs, for counts with intervals over any time.

Tracks of one run were compared with each other by that run, and with the people who were known before it. What was
said of a person holds for each of the tracks that this person had until then, so tracks of different runs are
connected, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamreid.gallery import Gallery, TrackRecord
from streamreid.gallery.records import GalleryCorrection, LinkTable
from streamreid.places.link_graph import link_graph
from streamreid.places.partition_sampling import PartitionSamples, sample_partitions
from streamreid.places.records import TrackSpan
from streamreid.sinks import FinalIdentities
from streamreid.types import Float64Array, IntArray, TrackKey

__all__ = ["MOST_SAMPLED", "GalleryLinks"]

MOST_SAMPLED = 20_000
"""Tracks of a period for which there is an interval: as many as of a run."""

_Pairs = tuple[IntArray, Float64Array, NDArray[np.bool_], Float64Array]
"""Pairs of tracks, log-odds, whether they are of two cameras, and weight; see ``link_graph``."""

_MOST_PAIRS = 2_000_000
"""Pairs of tracks that are looked at, about 300 bytes each; the least likely ones are left out."""

_SAID = 14.0
"""Log-odds of tracks that a person said are one: the greatest that evidence is known of."""


@dataclass(frozen=True, slots=True, eq=False)
class GalleryLinks:
    """What a gallery knows of who may be who.

    Args:
        records: Track records by row id.
        links: Which of them may be one person.
        said: For each merge that a person made the row ids that joined the others of their identity.
        different: Pairs of global ids of which a person said that they are two people.
    """

    records: Mapping[int, TrackRecord]
    links: LinkTable
    said: tuple[frozenset[int], ...] = ()
    different: tuple[tuple[int, int], ...] = ()
    _kept: dict[frozenset[TrackKey], PartitionSamples] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, store: Gallery) -> GalleryLinks:
        """Everything that a gallery knows."""
        different = [(c.one, c.other) for c in store.constraints() if c.kind == "different"]
        return cls(store.track_records(), store.links(), _merged(store.corrections()), tuple(different))

    def compared(self, tracks: Iterable[TrackKey]) -> int:
        """How many of some tracks were compared with others."""
        return sum(row in self.links.compared for _, row in tracks)

    def samples(
        self, tracks: Collection[TrackKey], identities: FinalIdentities, spans: Iterable[TrackSpan]
    ) -> PartitionSamples | None:
        """Samples of who may be who; the newest are kept.

        Args:
            tracks: Camera and row id, those of a period: whoever was not there does not change how many were.
            identities: Who is who, by camera and row id.
            spans: When tracks were seen.

        Returns:
            None of more than ``MOST_SAMPLED`` tracks, and where none of them was compared with others.
        """
        there = frozenset(tracks)
        if len(there) > MOST_SAMPLED or (there and not self.compared(there)):
            return None
        if there not in self._kept:
            self._kept.clear()
            self._kept[there] = self._sampled(there, identities, [s for s in spans if s.key in there])
        return self._kept[there]

    def _sampled(
        self, there: frozenset[TrackKey], identities: FinalIdentities, spans: Sequence[TrackSpan]
    ) -> PartitionSamples:
        keys = sorted(there, key=lambda key: key[1])
        rows = np.array([row for _, row in keys], np.int64)
        person = np.array([identities.get(key, (0, 0.0))[0] for key in keys], np.int64)
        within = self._of_tracks(rows)
        across = self._of_people(keys, rows, person)
        said = self._said(rows, person)
        pairs, log_odds, other, weight = (np.concatenate(parts) for parts in zip(within, across, said, strict=True))
        camera = np.array([camera for camera, _ in keys], object)
        mine = np.arange(len(pairs)) < len(within[0])
        if len(pairs):
            other = np.where(mine, camera[pairs[:, 0]] != camera[pairs[:, 1]], other)
        graph, start = link_graph(
            keys,
            pairs,
            log_odds,
            FinalIdentities({key: identities[key] for key in keys if key in identities}, unlinked=identities.unlinked),
            spans,
            runs={key: self.records[key[1]].run for key in keys},
            other_camera=other,
            different=self.different,
            weight=weight,
            with_known=np.repeat([False, True, False], [len(within[0]), len(across[0]), len(said[0])]),
        )
        return sample_partitions(graph, start)

    def _of_tracks(self, rows: IntArray) -> _Pairs:
        """Pairs of tracks that their run compared, as numbers of ``rows``."""
        pairs, log_odds = self.links.tracks, self.links.track_log_odds
        found, there = _numbers(rows, pairs)
        keep = there.all(1)
        count = int(keep.sum())
        return found[keep], log_odds[keep], np.zeros(count, bool), np.ones(count)

    def _of_people(self, keys: Collection[TrackKey], rows: IntArray, person: IntArray) -> _Pairs:
        """Pairs of a track with each track that a person had before its run, who was compared with it. They are one
        comparison, and speak against one person once."""
        theirs: dict[int, list[int]] = defaultdict(list)
        for at, who in enumerate(person.tolist()):
            theirs[who].append(at)
        run = np.unique([self.records[row].run for row in rows.tolist()], return_inverse=True)[1].ravel()
        camera = np.unique([camera for camera, _ in keys], return_inverse=True)[1].ravel()
        order = np.argsort(-self.links.people_log_odds, kind="stable")
        number, there = _numbers(rows, self.links.people[order, 0])
        pairs, other = [np.zeros((0, 2), np.int64)], [np.zeros(0, bool)]
        log_odds, weight = [np.zeros(0)], [np.zeros(0)]
        left = _MOST_PAIRS
        for at, who, odds in zip(
            number[there].tolist(),
            self.links.people[order[there], 1].tolist(),
            self.links.people_log_odds[order[there]].tolist(),
            strict=True,
        ):
            before = np.array(theirs.get(who, ()), np.int64)
            before = before[(run[before] != run[at]) & (rows[before] < rows[at])]
            left -= len(before)
            if left < 0:
                break
            if len(before):
                pairs.append(np.stack([before, np.full(len(before), at)], 1))
                log_odds.append(np.full(len(before), odds))
                other.append(np.full(len(before), camera[at] not in camera[before]))
                weight.append(np.full(len(before), 1.0 / len(before)))
        return np.concatenate(pairs), np.concatenate(log_odds), np.concatenate(other), np.concatenate(weight)

    def _said(self, rows: IntArray, person: IntArray) -> _Pairs:
        """Pairs of tracks that a person said are one."""
        pairs = [np.zeros((0, 2), np.int64)]
        for joined in self.said:
            numbers, known = _numbers(rows, np.array(sorted(joined), np.int64))
            for at in numbers[known].tolist():
                others = np.flatnonzero((person == person[at]) & ~np.isin(rows, sorted(joined)))
                pairs.append(np.sort(np.stack([others, np.full(len(others), at)], 1), 1))
        found = np.concatenate(pairs)
        return found, np.full(len(found), _SAID), np.zeros(len(found), bool), np.ones(len(found))


def _numbers(rows: IntArray, wanted: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """Where row ids are in ``rows``, which ascend, and whether they are there."""
    at = np.minimum(np.searchsorted(rows, wanted), max(len(rows) - 1, 0))
    return at, (rows[at] == wanted) if len(rows) else np.zeros(wanted.shape, bool)


def _merged(corrections: Iterable[GalleryCorrection]) -> tuple[frozenset[int], ...]:
    merges = [c for c in corrections if c.kind == "merge" and not c.undone]
    return tuple(frozenset(int(row) for row in c.detail.get("rows", ())) for c in merges)
