"""Evidence for every pair of some tracks and identities, as matrices: where all are to be compared, as at the end of a
recording, and not only the pairs that can matter (see ``pair_weighing``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from streamreid.association.camera_normalisation import CameraMeans
from streamreid.association.link_model import link_log_odds, link_terms
from streamreid.association.pair_weighing import LATE
from streamreid.association.similarity_cache import sides
from streamreid.association.site_adaptation import AnyCalibration
from streamreid.association.spatial_evidence import SpatialEvidence
from streamreid.association.stranger_levels import all_levels
from streamreid.association.time_relations import TimeRelations
from streamreid.association.topology import CameraGraph, Presences
from streamreid.association.track_evidence import Evidence
from streamreid.association.track_graph import Graph, square
from streamreid.association.track_similarity import Comparison, compare
from streamreid.config import AssociationConfig, LinkConfig
from streamreid.types import BoolArray, FloatArray, IntArray, TrackKey

__all__ = ["AllPairsWeighing"]


class AllPairsWeighing:
    """Weighs all pairs.

    Args:
        config: Windows and thresholds.
        link: The link model as it is on this site now.
        calibration: Turns the engine's part similarity into log-odds.
        means: How the cameras differ.
        times: How the times of one person's tracks relate.
        graph: What the camera graph forbids.
        place: Where people stand.
    """

    def __init__(
        self,
        config: AssociationConfig,
        link: Callable[[], LinkConfig],
        calibration: AnyCalibration,
        means: CameraMeans,
        times: TimeRelations,
        graph: CameraGraph,
        place: SpatialEvidence | None,
    ) -> None:
        self._config = config
        self._link = link
        self._calibration = calibration
        self._means = means
        self._times = times
        self._graph = graph
        self._place = place

    def weigh(
        self,
        keys: list[TrackKey],
        past: list[int],
        nodes: list[Evidence],
        found: Comparison,
        place: FloatArray | None,
        *,
        crowd: FloatArray | float,
        strangers: FloatArray | float = 0.0,
        times: FloatArray | float = 0.0,
    ) -> Graph:
        """The graph of N nodes by evidence alone; see ``link_terms``. Older identities were told apart before: only
        tracks may join them, so pairs of them are forbidden and need no evidence.

        Args:
            keys: The T tracks.
            past: The N - T older identities.
            nodes: What is known of each.
            found: Comparison ``[T, N]`` of tracks with nodes.
            place: ``[T, N]`` log-odds by place; None says nothing.
            crowd: ``[N]`` or one number: how many people each node is one of.
            strangers: ``[T, N]`` log-odds by strangers; see ``link_terms``.
            times: ``[T, N]`` log-odds by times.
        """
        tracks = len(keys)
        seen = Presences.of([n.presence for n in nodes], first=tracks)
        gap, other = seen.gaps()
        both = sides(nodes)
        terms = link_terms(
            found,
            self._calibration.log_odds(found.similarity),
            both[:tracks],
            both,
            gap=gap,
            other=other,
            strangers=strangers,
            times=times,
            crowd=crowd,
            place=place,
        )
        everything = Presences.of([n.presence for n in nodes])
        late, never = self._ways(seen, everything)
        return Graph(
            keys,
            past,
            terms,
            square(self._log_odds(terms) + late, 0.0),
            square(_known(found.common, place), 0.0),
            square(never, True),
            np.zeros(len(nodes), np.int64),
            everything.size,
        )

    def beside_looks(
        self, keys: list[TrackKey], nodes: list[Evidence], found: Comparison, before: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """What strangers and times say of every pair of many nodes, each worked out anew.

        Args:
            keys: The T tracks that the first nodes are, or begin with.
            nodes: What is known of each of N nodes.
            found: Comparison ``[T, N]`` of tracks with nodes.
            before: ``[N]`` global id so far.

        Returns:
            ``[T, N]`` each, see ``link_terms``; ``times`` is 0 where a node is more than one track.
        """
        count = len(keys)
        seen = Presences.of([n.presence for n in nodes], first=count)
        other = seen.gaps()[1].astype(np.intp)
        square = slice(0, count)
        level = np.zeros((len(nodes), 2), np.float32)
        level[:count] = all_levels(
            found.similarity[:, square], found.common[:, square], before[:count], other[:, square] == 0
        )
        row = np.arange(len(nodes))
        strangers = level[row[:count, None], other] + level[row[None], other]
        at_zero, at_one = self._calibration.log_odds(np.array([0.0, 1.0], np.float32)).tolist()
        strangers *= np.float32(-(at_one - at_zero) / 2)
        times = np.zeros_like(strangers)
        if seen.rows == count and count:
            one, two = np.divmod(np.arange(count * count), count)
            said = self._times.log_odds(keys, seen.start[:count], seen.end[:count], one, two)
            times[:, square] = said.reshape(count, count)
        return strangers, times

    def between(
        self,
        tracks: tuple[Sequence[TrackKey], Sequence[Evidence]],
        others: tuple[Sequence[TrackKey], Sequence[Evidence]],
    ) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Compare tracks with other tracks, by evidence alone and without the prior of one in so many people.

        Args:
            tracks: N keys, and what is known of each.
            others: M of them.

        Returns:
            ``[N, M]`` log-odds that both are one person, how much of both was seen (0: nothing can be said), and
            whether they cannot be.
        """
        n, nodes = len(tracks[0]), [*tracks[1], *others[1]]
        found = compare(
            self._means.stack(list(tracks[1])), self._means.stack(list(others[1])), self._config.unification
        )
        place = None if self._place is None else self._place.log_odds(list(tracks[0]), list(others[0]))
        seen = Presences.of([node.presence for node in nodes], first=n)
        gap, other = seen.gaps()
        both, looks = sides(nodes), self._calibration.log_odds(found.similarity)
        terms = link_terms(found, looks, both[:n], both[n:], gap=gap[:, n:], other=other[:, n:], crowd=1.0, place=place)
        late, never = self._ways(seen, Presences.of([node.presence for node in nodes]))
        return self._log_odds(terms) + late[:, n:], _known(found.common, place), never[:, n:]

    def by_place(self, keys: list[TrackKey], count: int) -> FloatArray | None:
        """``[T, N]`` log-odds by place of the tracks with all nodes; None where no camera is calibrated."""
        if self._place is None:
            return None
        place = np.zeros((len(keys), count), np.float32)
        place[:, : len(keys)] = self._place.log_odds(keys, keys)
        np.fill_diagonal(place, 0.0)
        return place

    def _log_odds(self, terms: Mapping[str, FloatArray]) -> FloatArray:
        """What the terms say when it is decided who belongs together."""
        return link_log_odds(self._link(), terms) + np.float32(self._config.link.exclusion)

    def _ways(self, seen: Presences, everything: Presences) -> tuple[FloatArray, BoolArray]:
        """``[T, N]`` what the camera graph adds to the log-odds, and who cannot be one person; ``seen`` are the tracks
        against ``everything``."""
        never = seen.simultaneous()
        count = len(never)
        if self._graph.config is None:
            return np.zeros(never.shape, np.float32), never
        late = np.float32(LATE) * self._graph.late(everything)[:count]
        return late.astype(np.float32), never | self._graph.impossible(everything)[:count]


def _known(common: FloatArray, place: FloatArray | None) -> FloatArray:
    """How much of both was seen, or how surely places say something."""
    return common if place is None else np.maximum(common, (np.abs(place) > 0.1).astype(np.float32))
