"""Tracks of all cameras become identities.

Every ``interval`` seconds of capture time the tracks of the last ``window`` seconds are grouped anew, together with one node per older identity, so later
evidence can join or part what earlier evidence decided. Groups then take over the global id that most of their observations had before.
Every change is an event. Work is bounded by the window, memory by ``memory``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamreid.association.clustering import agglomerate
from streamreid.association.evidence import Evidence, Presence, descriptors
from streamreid.config import AssociationConfig
from streamreid.similarity import Calibration, SiteCalibration, part_similarity
from streamreid.types import BoolArray, FloatArray, Identity, IdentityEvent, KnownIdentity, PartFeatures, Tracklet, Tracks

__all__ = ["Associator"]

Key = tuple[str, int]
_CERTAIN = 50.0  # log-odds of what a person has said
_STICKY = 0.5  # log-odds in favour of what was believed before, so that near ties do not flap


@dataclass(slots=True)
class _Person:
    """An identity: its tracks, and the evidence of those that left the window."""

    global_id: int
    last_seen: float
    past: Evidence | None = None
    first_seen: float = np.inf
    cameras: set[str] = field(default_factory=set)
    members: set[Key] = field(default_factory=set)


@dataclass(slots=True)
class _Link:
    global_id: int
    probability: float


class Associator:
    """Identities across cameras.

    Args:
        config: Windows and thresholds.
        calibration: Turns the engine's part similarity into a probability.
        first_id: The first global id to give.
    """

    def __init__(
        self, config: AssociationConfig | None = None, calibration: Calibration | SiteCalibration | None = None, *, first_id: int = 1
    ) -> None:
        self.config = config or AssociationConfig()
        self._calibration = calibration or Calibration()
        self._next_id = first_id
        self.new_id: Callable[[], int] | None = None  # where ids come from that other processes draw as well
        self._tracks: dict[Key, Evidence] = {}
        self._people: dict[int, _Person] = {}
        self._links: dict[Key, _Link] = {}
        self._corrected: dict[Key | int, int] = {}
        self._same: set[tuple[int, int]] = set()
        self._different: set[tuple[int, int]] = set()
        self._last_step: float | None = None
        self._now = -np.inf

    def __repr__(self) -> str:
        return f"Associator(tracks={len(self._tracks)}, identities={len(self._people)})"

    def observe(self, camera: str, time: float, tracks: Tracks, features: PartFeatures, quality: FloatArray) -> None:
        """Take what a tracker reported for one frame.

        Args:
            camera: Name of the camera.
            time: Capture time in seconds.
            tracks: N tracks.
            features: N rows, aligned with ``tracks``.
            quality: ``[N]`` in [0, 1]: how little of the person was hidden, how sure the detector was.
        """
        if len(features) != len(tracks):
            raise ValueError(f"{len(tracks)} tracks but {len(features)} rows of features")
        self._now = max(self._now, time)
        weight = features.visibility * quality[:, None]
        for row, track_id in enumerate(tracks.ids.tolist()):
            key = (camera, track_id)
            evidence = self._tracks.get(key)
            if evidence is None:
                evidence = self._tracks[key] = Evidence([Presence(camera, time, time)])
            evidence.observe(time, features.parts[row], weight[row])

    def step(self, *, force: bool = False) -> list[IdentityEvent]:
        """Group anew if ``interval`` seconds of capture time have passed (or ``force``).

        Returns:
            What changed, in a fixed order.
        """
        due = self._last_step is None or self._now - self._last_step >= self.config.interval
        if not (due or force) or not np.isfinite(self._now):
            return []
        self._last_step = self._now
        events = self._group()
        self._retire()
        return events + self._expire()

    def link(self, camera: str, track_id: int) -> tuple[int, float]:
        """Global id (0 if not decided) and link probability of a track."""
        found = self._links.get((camera, track_id))
        return (found.global_id, found.probability) if found else (0, 0.0)

    def finish(self) -> list[IdentityEvent]:
        """Decide everything that is still open: every track that was ever reported has an identity afterwards."""
        events = self.step(force=True)
        for key in sorted(k for k in self._tracks if k not in self._links):
            events.append(self._begin(key))
        return events

    @property
    def links(self) -> Mapping[Key, tuple[int, float]]:
        """Global id and link probability of every track that is remembered."""
        return {key: (link.global_id, link.probability) for key, link in self._links.items()}

    @property
    def identities(self) -> list[Identity]:
        """All remembered identities, by global id."""
        result = []
        for person in sorted(self._people.values(), key=lambda p: p.global_id):
            probabilities = [self._links[k].probability for k in person.members if k in self._links]
            result.append(Identity(person.global_id, frozenset(person.members), min(probabilities, default=1.0)))
        return result

    @property
    def tracklets(self) -> list[Tracklet]:
        """Every track in the window, as values."""
        return [evidence.tracklet(key[1]) for key, evidence in sorted(self._tracks.items())]

    # ---------------------------------------------------------------- what others know

    def admit(self, known: Sequence[KnownIdentity], *, next_id: int = 1) -> None:
        """Let the identities of an earlier run join the search.

        Args:
            known: They keep their global ids.
            next_id: New ids begin at least here.

        Raises:
            ValueError: A global id is in use already, or its features are of another engine than those before it.
        """
        for item in known:
            if item.global_id in self._people:
                raise ValueError(
                    f"identity {item.global_id} is known already; admit each identity once, before its id is given to somebody else"
                )
            person = _Person(item.global_id, item.last_seen, first_seen=item.first_seen, cameras=set(item.cameras))
            person.past = Evidence.remembered(item)
            self._people[item.global_id] = person
        self._next_id = max(self._next_id, next_id, *(k.global_id + 1 for k in known), 1)

    def known(self) -> list[KnownIdentity]:
        """Everybody who is worth remembering now, by global id: identities of whom something was seen."""
        result = []
        for gid, person in sorted(self._people.items()):
            parts = [e for k in sorted(person.members) if (e := self._tracks.get(k)) is not None] + ([person.past] if person.past else [])
            parts = [e for e in parts if len(e.mass) and e.mass.any()]
            if not parts:
                continue
            total = Evidence([])
            for e in parts:
                total.absorb(e)
            features = descriptors([total])
            quality = np.minimum(features.visibility.max(1), 1.0)
            result.append(
                KnownIdentity(gid, features, quality, min(person.first_seen, person.last_seen), person.last_seen, frozenset(person.cameras))
            )
        return result

    def forget(self, ids: Iterable[int]) -> None:
        """Drop people and all that is known of them; whoever is still in view begins anew as somebody else. Unknown ids are ignored."""
        for gid in ids:
            person = self._people.pop(gid, None)
            for key in [k for k, link in self._links.items() if link.global_id == gid] + sorted(person.members if person else ()):
                self._links.pop(key, None)
                self._tracks.pop(key, None)
            self._corrected = {name: owner for name, owner in self._corrected.items() if gid not in (name, owner)}
            self._same = {pair for pair in self._same if gid not in pair}
            self._different = {pair for pair in self._different if gid not in pair}

    def constrain(self, *, same: Iterable[tuple[int, int]] = (), different: Iterable[tuple[int, int]] = ()) -> None:
        """Take a person's corrections; they hold from the next step on, whatever the evidence says.

        Args:
            same: Pairs of global ids that are one person.
            different: Pairs of global ids that are two people.

        Raises:
            ValueError: An id is unknown, or a pair is said to be both.
        """
        one, two = {_pair(p) for p in same}, {_pair(p) for p in different}
        for pair in sorted(one | two):
            for gid in pair:
                if gid not in self._people:
                    raise ValueError(f"identity {gid} is not known: it never was, has expired, or was merged into another one")
        clash = (one | self._same) & (two | self._different)
        if clash:
            raise ValueError(
                f"identities {sorted(clash)[0]} are said to be the same person and two different people; take one of both back"
            )
        for gid in {g for pair in one | two for g in pair}:
            self._corrected.update(dict.fromkeys([*self._people[gid].members, gid], gid))
        self._same |= one
        self._different |= two

    # ---------------------------------------------------------------- grouping

    def _group(self) -> list[IdentityEvent]:
        keys = sorted(k for k, e in self._tracks.items() if e.observations >= self.config.min_observations)
        if not keys:
            return []
        if not self.config.enabled:
            return [self._begin(k) for k in keys if k not in self._links]
        past = sorted(p.global_id for p in self._people.values() if p.past is not None)
        nodes = [self._tracks[k] for k in keys] + [e for g in past if (e := self._people[g].past) is not None]
        before = np.array([self._links[k].global_id if k in self._links else 0 for k in keys] + past)
        log_odds, common = self._log_odds(nodes, before)
        forbidden = self._forbidden(nodes, len(past))
        self._apply_corrections([*keys, *past], before, log_odds, common, forbidden)
        p = min(max(self.config.probability, 1e-6), 1 - 1e-6)
        labels = agglomerate(log_odds, common, forbidden, threshold=float(np.log(p / (1 - p))))
        probability = _membership(labels, log_odds, common)
        return self._adopt(keys, past, labels, before, probability)

    def _log_odds(self, nodes: list[Evidence], before: np.ndarray) -> tuple[FloatArray, FloatArray]:
        features = descriptors(nodes)
        similarity, common = part_similarity(features, features)
        log_odds = self._calibration.log_odds(similarity)
        known = (before[:, None] == before[None]) & (before > 0)[:, None]
        return np.asarray(log_odds + _STICKY * known, np.float32), common

    def _forbidden(self, nodes: list[Evidence], past: int) -> BoolArray:
        n = len(nodes)
        forbidden = np.zeros((n, n), bool)
        by_camera: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
        for row, node in enumerate(nodes):
            for p in node.presence:
                by_camera[p.camera].append((row, p.start, p.end))
        for seen in by_camera.values():
            rows = np.array([s[0] for s in seen])
            start, end = np.array([s[1] for s in seen]), np.array([s[2] for s in seen])
            both = (start[:, None] <= end[None]) & (start[None] <= end[:, None])
            i, j = np.nonzero(both)
            forbidden[rows[i], rows[j]] = True
        # Older identities were told apart before; only newer tracks may join them.
        forbidden[n - past :, n - past :] = True
        np.fill_diagonal(forbidden, False)
        return forbidden

    def _apply_corrections(
        self, names: Sequence[Key | int], before: np.ndarray, log_odds: FloatArray, weight: FloatArray, forbidden: BoolArray
    ) -> None:
        # The tracks that were meant keep the correction when their identity has become part of the other.
        owner = [self._corrected.get(name, int(gid)) for name, gid in zip(names, before, strict=True)]
        for pairs, said in ((self._same, False), (self._different, True)):
            for one, two in sorted(pairs):
                here = np.outer(np.equal(owner, one), np.equal(owner, two))
                here |= here.T
                forbidden[here] = said
                if not said:
                    log_odds[here], weight[here] = _CERTAIN, 1e3

    def _adopt(
        self, keys: list[Key], past: list[int], labels: np.ndarray, before: np.ndarray, probability: FloatArray
    ) -> list[IdentityEvent]:
        """Give every group the global id that most of its observations had; ids nobody takes over are merged away."""
        claims: dict[tuple[int, int], float] = defaultdict(float)
        for row, label in enumerate(labels.tolist()):
            if before[row]:
                evidence = self._tracks[keys[row]] if row < len(keys) else None
                claims[label, int(before[row])] += evidence.observations if evidence else 1e9
        owner: dict[int, int] = {}
        taken: set[int] = set()
        for (label, gid), _ in sorted(claims.items(), key=lambda c: (-c[1], c[0][1], c[0][0])):
            if label not in owner and gid not in taken:
                owner[label] = gid
                taken.add(gid)
        events: list[IdentityEvent] = []
        for row, key in enumerate(keys):
            label = int(labels[row])
            fresh = label not in owner
            if fresh:
                owner[label] = self._new_person()
            events += self._move(key, owner[label], float(probability[row]), fresh=fresh)
        return events + self._merged_away(events)

    def _move(self, key: Key, gid: int, probability: float, *, fresh: bool) -> list[IdentityEvent]:
        link = self._links.get(key)
        person = self._people[gid]
        person.last_seen = max(person.last_seen, self._tracks[key].end)
        person.first_seen = min(person.first_seen, self._tracks[key].presence[0].start)
        person.cameras.add(key[0])
        person.members.add(key)
        old = link.global_id if link else 0
        self._links[key] = _Link(gid, probability)
        if old == gid:
            return []
        if old:
            self._people[old].members.discard(key)
        kind = "split" if old and self._people[old].members else "new" if fresh and not old else "link"
        return [IdentityEvent(kind, self._now, gid, key[0], key[1], probability, old)]  # type: ignore[arg-type]

    def _merged_away(self, events: list[IdentityEvent]) -> list[IdentityEvent]:
        result = []
        for event in events:
            old = self._people.get(event.other_id)
            if old is not None and not old.members and old.past is None:
                del self._people[event.other_id]
                result.append(IdentityEvent("merge", self._now, event.global_id, probability=event.probability, other_id=event.other_id))
        return result

    # ---------------------------------------------------------------- life cycle

    def _new_person(self) -> int:
        gid = self._next_id if self.new_id is None else self.new_id()
        self._next_id = max(self._next_id, gid + 1)
        self._people[gid] = _Person(gid, self._now)
        return gid

    def _begin(self, key: Key) -> IdentityEvent:
        gid = self._new_person()
        self._move(key, gid, 1.0, fresh=True)
        return IdentityEvent("new", self._now, gid, key[0], key[1])

    def _retire(self) -> None:
        """Tracks that ended before the window hand their evidence to their identity."""
        horizon = self._now - self.config.window
        for key in sorted(k for k, e in self._tracks.items() if e.end < horizon):
            evidence = self._tracks[key]
            if key not in self._links:
                self._begin(key)
            person = self._people[self._links[key].global_id]
            if person.past is None:
                person.past = Evidence([])
            person.past.absorb(evidence)
            del self._tracks[key]
        oldest = min((e.presence[0].start for e in self._tracks.values()), default=self._now)
        for person in self._people.values():
            if person.past is not None and len(person.past.presence) > 1:
                # Only presences that a present track can overlap matter; the last one is kept as the time of the identity.
                last = max(person.past.presence, key=lambda p: p.end)
                person.past.presence = [p for p in person.past.presence if p.end >= oldest or p is last]

    def _expire(self) -> list[IdentityEvent]:
        horizon = self._now - self.config.memory
        gone = sorted(g for g, p in self._people.items() if p.last_seen < horizon and not any(k in self._tracks for k in p.members))
        events = []
        for gid in gone:
            for key in self._people[gid].members:
                self._links.pop(key, None)
            del self._people[gid]
            events.append(IdentityEvent("expire", self._now, gid))
        return events


def _pair(ids: tuple[int, int]) -> tuple[int, int]:
    a, b = ids
    if a == b:
        raise ValueError(f"a correction needs two identities, got {a} twice")
    return (a, b) if a < b else (b, a)


def _membership(labels: np.ndarray, log_odds: FloatArray, weight: FloatArray) -> FloatArray:
    """Probability of each node belonging to its group: the sigmoid of its mean log-odds with the other members; 1 if it is alone."""
    same = (labels[:, None] == labels[None]) & ~np.eye(len(labels), dtype=bool)
    w = weight * same
    mass = w.sum(1)
    mean = np.divide((log_odds * w).sum(1), mass, out=np.full(len(labels), 30.0, np.float32), where=mass > 0)
    result = 1.0 / (1.0 + np.exp(-np.clip(mean, -30, 30)))
    return np.where(same.any(1), result, 1.0).astype(np.float32)
