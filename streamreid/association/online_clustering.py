"""One decision: which tracks of the window, and which older identities, are one person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from streamreid.association.agglomerative_clustering import Labels
from streamreid.association.all_pairs_weighing import AllPairsWeighing
from streamreid.association.camera_normalisation import CameraMeans
from streamreid.association.identity_registry import IdentityRegistry
from streamreid.association.learnt_places import LearntPlaces
from streamreid.association.link_intercept import LinkIntercept, some_pairs
from streamreid.association.link_model import explain, link_log_odds, sigmoid
from streamreid.association.older_evidence import OlderEvidence
from streamreid.association.older_identities import OlderIdentities
from streamreid.association.pair_graph import PairGraph
from streamreid.association.pair_weighing import PairWeighing
from streamreid.association.second_looks import DoubtfulPair
from streamreid.association.similarity_cache import SimilarityCache, sides
from streamreid.association.site_adaptation import AnyCalibration, SiteAdaptation
from streamreid.association.spatial_evidence import SpatialEvidence
from streamreid.association.stranger_levels import StrangerLevels
from streamreid.association.time_relations import SurePairs, TimeRelations
from streamreid.association.topology import CameraGraph, Presences
from streamreid.association.track_evidence import Evidence
from streamreid.association.track_graph import Graph
from streamreid.association.track_similarity import compare
from streamreid.config import AssociationConfig, LinkConfig
from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.types import FloatArray, IdentityEvent, IntArray, TrackKey

__all__ = ["Decision", "OnlineClustering", "owners"]

_SURE = 2.0
"""Log-odds without times from which a pair says how the times of one person's tracks relate."""


@dataclass(slots=True, eq=False)
class Decision:
    """Who belongs to whom.

    Args:
        links: For each track the global id (0: of a new group) and the link probability.
        group: Number of the group of each track.
        explain: The reasons for a track's place.
    """

    links: list[tuple[TrackKey, int, float]]
    group: dict[TrackKey, int]
    explain: Callable[[TrackKey], dict[str, float]]
    _begun: dict[int, int] = field(default_factory=dict)

    def fresh(self, key: TrackKey, begin: Callable[[], int]) -> int:
        """The id of a new group: one per group."""
        group = self.group[key]
        if group not in self._begun:
            self._begun[group] = begin()
        return self._begun[group]

    def explained(self, event: IdentityEvent) -> IdentityEvent:
        """The event with its reasons."""
        return replace(event, reasons=self.explain((event.camera, event.track_id)))


class OnlineClustering:
    """Compares, constrains and clusters.

    Args:
        config: Windows and thresholds.
        calibration: Turns the engine's part similarity into log-odds.
        graph: What the camera graph forbids.
        place: Where people stand.
        parts: Names of the engine's parts.
        adaptation: What was learnt of the site before.

    Attributes:
        weighed: Pairs that were weighed for the last decision.
        means: How the cameras differ.
        times: How the times of one person's tracks relate, as learnt.
        places: Where tracks stood, as learnt; None where cameras are calibrated.
        index: Finds older identities.
        all_pairs: Weighs every pair of some tracks and identities.
        intercept: How probable links are here on average, as learnt; None where it is not.
        adaptation: As given.
    """

    def __init__(
        self,
        config: AssociationConfig,
        calibration: Calibration | SiteCalibration,
        graph: CameraGraph,
        place: SpatialEvidence | None = None,
        parts: Sequence[str] = (),
        adaptation: SiteAdaptation | None = None,
    ) -> None:
        self.config = config
        self.adaptation = adaptation
        self._calibration: AnyCalibration = calibration
        self._graph, self._place, self._parts = graph, place, parts
        self.means = CameraMeans(enabled=config.normalise == "camera")
        if adaptation is not None:
            self._calibration = adaptation.calibrated(calibration)
            self.means = CameraMeans(adapt=adaptation.apply)
            self.means.begin(adaptation.means)
        self._pairs = SimilarityCache(config.unification, self.means)
        self._older = OlderIdentities(config, self._calibration, self.means)
        self._held = OlderEvidence(place)
        self.index = self._older.index
        self._levels = StrangerLevels()
        self.places = LearntPlaces() if place is None and config.link.times else None
        self.times = TimeRelations(self.places)
        self.intercept = LinkIntercept() if self._learns_intercept else None
        self.all_pairs = AllPairsWeighing(
            config, lambda: self.link, self._calibration, self.means, self.times, graph, place
        )
        self.weighed = 0

    def decide(self, tracks: Mapping[TrackKey, Evidence], book: IdentityRegistry) -> Decision:
        """Group the tracks of the window.

        Args:
            tracks: Those that were seen often enough.
            book: The identities so far; it is not changed.
        """
        nodes = self._nodes(tracks, book)
        p = min(max(self.config.probability, 1e-6), 1 - 1e-6)
        threshold = float(np.log(p / (1 - p)))
        graph = nodes.weigh(nodes.candidates(threshold))
        groups = graph.groups(threshold)
        missing = graph.missing(groups)
        if len(missing):
            graph = graph.joined(nodes.weigh(missing))
        labels, probability = graph.agglomerate(groups, threshold)
        self._held.decided(graph)
        self._learn_times(nodes, graph, labels)
        self._learn_intercept(nodes, labels)
        owner = owners(labels, graph, tracks)
        self.weighed = len(graph.code)
        group = labels.tolist()
        gids = [owner.get(label, 0) for label in group[: len(graph.keys)]]
        row_of = {key: row for row, key in enumerate(graph.keys)}
        return Decision(
            list(zip(graph.keys, gids, probability.tolist(), strict=True)),
            dict(zip(graph.keys, group, strict=False)),
            lambda key: self.reasons(graph, labels, row_of[key], tracks, book),
        )

    def doubts(
        self, tracks: Mapping[TrackKey, Evidence], book: IdentityRegistry, between: tuple[float, float]
    ) -> list[DoubtfulPair]:
        """Pairs of these tracks, and of tracks with older identities, of which it is not sure whether they are one
        person.

        Args:
            tracks: Those that were seen often enough, as they were decided on.
            book: The identities so far.
            between: Link probabilities.
        """
        low, high = (float(np.log(p / (1 - p))) for p in between)
        nodes = self._nodes(tracks, book)
        graph = nodes.weigh(nodes.candidates(low))
        one, two = graph.ends
        unsure = (graph.log_odds > low) & (graph.log_odds < high) & (graph.weight > 0) & ~graph.forbidden
        keys = graph.keys
        return [
            DoubtfulPair((keys[i], keys[j]) if j < len(keys) else (keys[i],), probability)
            for i, j, probability in zip(
                one[unsure].tolist(), two[unsure].tolist(), sigmoid(graph.log_odds[unsure]).tolist(), strict=True
            )
        ]

    # ---------------------------------------------------------------- the graph

    def _nodes(self, tracks: Mapping[TrackKey, Evidence], book: IdentityRegistry) -> PairWeighing:
        """The tracks, and the older identities that they may be."""
        keys = sorted(tracks)
        stale = self._pairs.refresh(tracks)
        self._older.refresh(keys, stale, tracks, book)
        links = [book.links.get(k) for k in keys]
        own = {link.global_id for link in links if link is not None and book.people[link.global_id].past is not None}
        own |= {g for k in book.pairs.partners(keys) if (g := book.owner(k)) and book.people[g].past is not None}
        past = sorted(own | {g for k in keys for g in self._older.near.get(k, ()) if g in book.people})
        nodes = [tracks[k] for k in keys] + [e for g in past if (e := book.people[g].past) is not None]
        place = self._held.begin(keys)
        before = np.array([link.global_id if link else 0 for link in links] + past, np.int64)
        return PairWeighing(
            keys,
            past,
            before,
            Presences.of([n.presence for n in nodes], first=len(keys)),
            sides(nodes),
            self._crowd(before[: len(keys)], len(nodes)),
            self._pairs,
            self._older.near,
            self._strangers(keys, stale, before),
            self.times,
            place,
            self._held,
            self.link,
            self._calibration,
            self._graph,
            book,
        )

    def _strangers(self, keys: list[TrackKey], stale: list[TrackKey], before: IntArray) -> FloatArray:
        """``[T, 2]`` how much more than most the tracks look like strangers."""
        if not self.config.link.strangers:
            return np.zeros((len(keys), 2), np.float32)
        row = {key: number for number, key in enumerate(keys)}
        cameras = {camera: number for number, camera in enumerate(sorted({c for c, _ in keys}))}
        similarity, common = self._pairs.table
        return self._levels.refresh(
            similarity,
            common,
            self._pairs.slots(keys),
            changed=np.array([row[key] for key in stale], np.intp),
            identity=before[: len(keys)],
            camera=np.array([cameras[c] for c, _ in keys], np.int64),
        )

    def _learn_times(self, nodes: PairWeighing, graph: PairGraph, labels: Labels) -> None:
        """Learn from the tracks of the window how the times of two tracks of one person relate."""
        start, end = nodes.spans
        now = float(end.max(initial=-np.inf))
        if not self.config.link.times or not self.times.due(now):
            return
        one, two = graph.ends
        looks = graph.log_odds - np.float32(self.config.link.times) * graph.terms["times"]
        kept = (labels[one] == labels[two]) & (two < len(nodes.keys)) & (looks >= _SURE) & ~graph.forbidden
        sure = SurePairs(one[kept], two[kept], sigmoid(looks[kept]))
        self.times.learn(now, nodes.keys, start, end, sure)

    @property
    def _learns_intercept(self) -> bool:
        """Whether the intercept follows the site: not where it was fitted to the site, nor where places decide."""
        link = self.config.link
        return link.learn_intercept and not link.source and self._place is None

    @property
    def link(self) -> LinkConfig:
        """The link model as it is on this site."""
        link = self.config.link
        if self.intercept is None or not self.intercept.change:
            return link
        return link.model_copy(update={"intercept": link.intercept + self.intercept.change})

    def _learn_intercept(self, nodes: PairWeighing, labels: Labels) -> None:
        """Learn from the tracks of the window how probable links are on average."""
        now = float(nodes.spans[1].max(initial=-np.inf))
        if self.intercept is None or len(nodes.keys) < 2 or not self.intercept.due(now):
            return
        one, two, count = some_pairs(len(nodes.keys))
        found = nodes.weigh(one * len(nodes) + two)
        may = ~found.forbidden & (found.terms["common"] > 0)
        log_odds = link_log_odds(self.config.link, {name: term[may] for name, term in found.terms.items()})
        if len(log_odds):
            linked = float((labels[one] == labels[two])[may].mean())
            self.intercept.learn(log_odds, linked, float(nodes.crowd[0]), count * len(log_odds) / len(one))

    def _crowd(self, before: np.ndarray, count: int) -> FloatArray:
        """``[N]``: how many people may be meant, those in the window, or for older identities all that are
        remembered."""
        known = before.tolist()
        here = max(len(set(known) - {0}) + known.count(0), 1)
        crowd = np.full(count, float(here), np.float32)
        crowd[len(before) :] = max(here, len(self.index))
        return crowd

    def renew(self, ids: Iterable[int]) -> None:
        """More is known of these older identities than before: tracks of theirs are compared with them anew."""
        self._older.renew(ids)

    def retire(self, keys: Collection[TrackKey], book: IdentityRegistry) -> None:
        """Tracks leave the window, after the decision in which they took part and before their places are forgotten."""
        self._held.retire(keys, book)

    # ---------------------------------------------------------------- reasons

    def reasons(
        self,
        graph: Graph | PairGraph,
        labels: Labels,
        row: int,
        tracks: Mapping[TrackKey, Evidence],
        book: IdentityRegistry,
    ) -> dict[str, float]:
        """Why a track is where it is: terms on average over the others of its group, and how alike which part is to the
        nearest of them."""
        others = np.flatnonzero((labels == labels[row]) & (np.arange(len(labels)) != row))
        weight, log_odds, terms = graph.evidence(row, others)
        known = weight > 0
        if not known.any():
            return {}
        result = explain(self.link, {name: term[known] for name, term in terms.items()})
        nearest = int(others[known][log_odds[known].argmax()])
        if nearest < len(graph.keys):
            evidence = tracks[graph.keys[nearest]]
        else:
            evidence = book.people[graph.past[nearest - len(graph.keys)]].past or Evidence([])
        mine = tracks[graph.keys[row]]
        if not mine.prototypes.mass.size or not evidence.prototypes.mass.size:
            return result
        a, b = self.means.stack([mine]), self.means.stack([evidence])
        found = compare(a, b, self.config.unification)
        both = (a.visibility[0] > 0.05) & (b.visibility[0] > 0.05)
        names = self._parts if len(self._parts) == len(both) else [str(k) for k in range(len(both))]
        return result | {f"part {names[k]}": float(found.parts[k, 0, 0]) for k in np.flatnonzero(both).tolist()}


def owners(labels: Labels, graph: Graph | PairGraph, tracks: Mapping[TrackKey, Evidence]) -> dict[int, int]:
    """Which group takes over which global id: the one in which it had most observations."""
    claims: dict[tuple[int, int], float] = defaultdict(float)
    label_of, before, count = labels.tolist(), graph.before.tolist(), len(graph.keys)
    for key, label, gid in zip(graph.keys, label_of, before, strict=False):
        if gid:
            claims[label, gid] += tracks[key].observations
    groups, claimed = set(label_of[:count]), set(before[:count])
    for label, gid in zip(label_of[count:], before[count:], strict=True):
        if label in groups or gid in claimed:  # the others are alone, and nobody else claims them
            claims[label, gid] += 1e9
    owner: dict[int, int] = {}
    taken: set[int] = set()
    for (label, gid), _ in sorted(claims.items(), key=lambda c: (-c[1], c[0][1], c[0][0])):
        if label not in owner and gid not in taken:
            owner[label] = gid
            taken.add(gid)
    return owner
