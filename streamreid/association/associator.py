"""Tracks of all cameras become identities.

Every ``interval`` seconds of capture time the tracks of the last ``window`` seconds are grouped anew, together with the
few older identities that each may be, so later evidence can join or part what earlier evidence decided. Groups then
take over the global id that most of their observations had before. Every change is an event. Work is bounded by the
window and the number of candidates, memory by ``memory`` and ``max_identities``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from streamreid.association.camera_normalisation import CameraMeans
from streamreid.association.decision_rounds import DecisionRounds
from streamreid.association.identity_corrections import IdentityCorrections
from streamreid.association.identity_registry import IdentityRegistry
from streamreid.association.known_people import known_people, state_of
from streamreid.association.learnt_cameras import LearntCameras
from streamreid.association.link_record import LinkRecord, TrackLinks
from streamreid.association.online_clustering import OnlineClustering
from streamreid.association.second_looks import DOUBT, DoubtfulPair
from streamreid.association.site_adaptation import SiteAdaptation
from streamreid.association.spatial_evidence import SpatialEvidence
from streamreid.association.topology import CameraGraph
from streamreid.association.track_evidence import Evidence, Presence
from streamreid.clocks.clock_jumps import ClockJumpFilter
from streamreid.config import AssociationConfig, LinkConfig
from streamreid.errors import EngineMismatchError
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.types import (
    FloatArray,
    Identity,
    IdentityEvent,
    KnownIdentity,
    PartFeatures,
    PossibleLinks,
    TrackKey,
    Tracklet,
    Tracks,
)

__all__ = ["Associator"]


class Associator:
    """Identities across cameras.

    Example:
        >>> import numpy as np
        >>> from streamreid import Associator, PartFeatures, Tracks
        >>> from streamreid.features.similarity import Calibration
        >>> associator = Associator(calibration=Calibration(slope=20, intercept=-12))
        >>> anna = PartFeatures(np.eye(8, dtype=np.float32)[:1, None], np.ones((1, 1), np.float32))
        >>> one, box = np.ones(1, np.float32), np.array([[10, 20, 60, 170]], np.float32)
        >>> for second in range(5):  # track 1 of the hall ends, then track 7 begins in the yard
        ...     camera, track = ("hall", 1) if second < 2 else ("yard", 7)
        ...     for frame in range(5):
        ...         tracks = Tracks(np.array([track]), box, one, np.array([0]))
        ...         associator.observe(camera, second + frame / 5, tracks, anna, quality=one)
        ...         events = associator.step()
        >>> associator.link("hall", 1)[0] == associator.link("yard", 7)[0]
        True

    Args:
        config: Windows and thresholds.
        calibration: Turns the engine's part similarity into a probability.
        first_id: The first global id to give.
        graph: What the camera graph forbids.
        place: Where people stand, for calibrated cameras.
        parts: Names of the engine's parts, for the reasons of events.
        keep_all: Keep what was seen of every track until ``finish``, which then links them all anew, all at once. For
            recordings: memory grows with the number of tracks.
        new_id: Where ids come from that other processes draw as well; None counts on its own.
        keep_links: Keep which tracks may be one person, for counts with intervals (``pair_links``): 9 KB for each of
            the newest two thousand tracks.
        adaptation: What was learnt of the site before; see ``association.adaptation``.

    Attributes:
        corrections: Changes identities as a person says.
    """

    def __init__(
        self,
        config: AssociationConfig | None = None,
        calibration: Calibration | SiteCalibration | None = None,
        *,
        first_id: int = 1,
        graph: CameraGraph | None = None,
        place: SpatialEvidence | None = None,
        parts: Sequence[str] = (),
        keep_all: bool = False,
        new_id: Callable[[], int] | None = None,
        keep_links: bool = False,
        adaptation: SiteAdaptation | None = None,
    ) -> None:
        self.config = config or AssociationConfig()
        self._book = IdentityRegistry(first_id, new_id=new_id)
        self._tracks: dict[TrackKey, Evidence] = {}
        self._place = place
        self._grouping = OnlineClustering(
            self.config, calibration or Calibration(), graph or CameraGraph(None), place, parts, adaptation
        )
        self._record = LinkRecord(self._grouping) if keep_links else None
        self._shape: tuple[int, int] | None = None
        self._times = ClockJumpFilter()
        self._last_step = -np.inf
        self._rounds = DecisionRounds(
            self.config, self._book, self._grouping, self._tracks, record=self._record, place=place, keep_all=keep_all
        )
        self.corrections = IdentityCorrections(
            self._book,
            self._grouping.index,
            self._tracks,
            retired=self._rounds.retired_evidence,
            slots=self.config.prototypes,
            now=lambda: self._times.now,
        )

    def __repr__(self) -> str:
        return f"Associator(tracks={len(self._tracks)}, identities={len(self._book.people)})"

    # ---------------------------------------------------------------- evidence in, decisions out

    def observe(
        self,
        camera: str,
        time: float,
        tracks: Tracks,
        features: PartFeatures,
        quality: FloatArray,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Take what a tracker reported for one frame.

        Args:
            camera: Name of the camera.
            time: Capture time in seconds.
            tracks: N tracks.
            features: N rows, aligned with ``tracks``.
            quality: ``[N]`` in [0, 1]: how little of the person was hidden, how sure the detector was.
            size: Width and height of the picture; needed where places count.

        Raises:
            ValueError: Arrays of different lengths, or one track twice in a frame.
            EngineMismatchError: Features of another engine than those before.
        """
        ids = tracks.ids.tolist()
        if len(features) != len(ids):
            raise ValueError(f"{len(ids)} tracks but {len(features)} rows of features")
        if len(set(ids)) < len(ids):
            raise ValueError(
                f"camera '{camera}' at {time:.3f} s: a track is reported twice in one frame; ids: {sorted(ids)}"
            )
        self._check_shape(features)
        time = self._times.take(camera, time)
        visibility = weight = features.visibility
        looked = [False] * len(ids)
        if np.count_nonzero(visibility):  # else nobody was embedded
            if not self.config.visibility:
                visibility = np.repeat(visibility.any(1, keepdims=True), visibility.shape[1], 1).astype(np.float32)
            weight = visibility * quality[:, None]
            looked = np.logical_or.reduce(weight, 1).tolist()
        for row, track_id in enumerate(ids):
            key = (camera, track_id)
            evidence = self._tracks.get(key)
            if evidence is None:
                evidence = self._tracks[key] = Evidence(
                    [Presence(camera, time, time)], PrototypeSums(self.config.prototypes)
                )
            if looked[row]:
                evidence.observe(time, features.parts[row], weight[row], float(quality[row]))
            else:
                evidence.glimpse(time)
        if self._place is not None and size is not None:
            self._place.observe_tracks(camera, time, tracks, size)
        if self._grouping.places is not None:
            self._grouping.places.observe(camera, time, tracks, size)

    def _check_shape(self, features: PartFeatures) -> None:
        if not np.count_nonzero(features.visibility):
            return
        if self._shape is None:
            self._shape = features.shape
        if features.shape != self._shape:
            raise EngineMismatchError(
                f"identities are known by {self._shape[0]} parts of {self._shape[1]} values, the new features have "
                f"{features.shape[0]} of {features.shape[1]}. Use the engine they were made with, or begin without "
                "the identities of the earlier run"
            )

    def step(self, *, force: bool = False) -> list[IdentityEvent]:
        """Group anew if ``interval`` seconds of capture time have passed (or ``force``).

        Returns:
            What changed, in a fixed order.
        """
        now = self._times.now
        due = now - self._last_step >= self.config.interval
        if not (due or force) or not np.isfinite(now):
            return []
        self._last_step = now
        return self._summed_up(self.corrections.drain() + self._rounds.run(now))

    def doubts(self) -> list[DoubtfulPair]:
        """Pairs of tracks in the window, and of tracks with older identities, of which it is not sure whether they are
        one person."""
        tracks = {k: e for k, e in self._tracks.items() if k in self._book.links}
        tracks = {k: e for k, e in tracks.items() if e.observations >= self.config.min_observations}
        return self._grouping.doubts(tracks, self._book, DOUBT) if tracks and self.config.enabled else []

    def add_features(self, key: TrackKey, parts: FloatArray, visibility: FloatArray, quality: float) -> None:
        """Take one more picture of a track in the window, from a frame that was observed; others are ignored. The next
        step decides with it.

        Args:
            key: Camera and track id.
            parts: ``[K, D]`` L2-normalised.
            visibility: ``[K]`` in [0, 1].
            quality: Of the picture, in [0, 1].
        """
        evidence = self._tracks.get(key)
        if evidence is None:
            return
        if not self.config.visibility:
            visibility = np.full(len(visibility), float(visibility.any()), np.float32)
        evidence.add_features(parts, visibility * np.float32(quality), quality)

    def finish(self) -> list[IdentityEvent]:
        """Decide everything that is still open: every track that was ever reported has a global id afterwards. Ids of
        tracks that were seen less than ``min_observations`` times and are linked to nobody are ``unlinked``: they
        number a track, not a person."""
        now = self._times.now
        events = self.corrections.drain() + self._rounds.run(now) if np.isfinite(now) else []
        return self._summed_up(events + self._rounds.finish(now))

    def _summed_up(self, events: list[IdentityEvent]) -> list[IdentityEvent]:
        """Events with what is known of their identities now."""
        summaries = {
            gid: self._book.people[gid].summary(unlinked=gid in self._rounds.unlinked)
            for gid in {e.global_id for e in events}
            if gid in self._book.people
        }
        return [replace(e, summary=summaries.get(e.global_id)) for e in events]

    # ---------------------------------------------------------------- what is believed

    def link(self, camera: str, track_id: int) -> tuple[int, float]:
        """Global id (0 if not decided) and link probability of a track."""
        found = self._book.links.get((camera, track_id))
        return (found.global_id, found.probability) if found else (0, 0.0)

    @property
    def links(self) -> Mapping[TrackKey, tuple[int, float]]:
        """Global id and link probability of every track that is remembered."""
        return {key: (link.global_id, link.probability) for key, link in self._book.links.items()}

    def pair_links(self) -> TrackLinks:
        """Which tracks may be one person, for counts; of the newest twenty thousand tracks. Nothing without
        ``keep_links``."""
        record = LinkRecord(self._grouping) if self._record is None else self._record
        return record.links({} if self._record is None else self._tracks)

    def fresh_links(self, *, over: bool = False) -> Mapping[TrackKey, PossibleLinks]:
        """Which earlier tracks, and which people of earlier runs, tracks may be: of those that left the window since
        the last call. Nothing without ``keep_links``.

        Args:
            over: The run is over, and tracks in the window are wanted as well.
        """
        return {} if self._record is None else self._record.fresh(self._tracks if over else None)

    @property
    def identities(self) -> list[Identity]:
        """All remembered identities, by global id."""
        return self._book.identities()

    @property
    def unlinked(self) -> frozenset[int]:
        """Global ids that only number a track: it was seen less than ``min_observations`` times, and nothing else
        belongs to it."""
        return frozenset(self._rounds.unlinked)

    @property
    def confirmed(self) -> frozenset[int]:
        """Global ids of people who were seen well enough to be confirmed, in this run or an earlier one."""
        return frozenset([gid for gid, person in self._book.people.items() if person.confirmed])

    @property
    def people(self) -> int:
        """How many identities are remembered."""
        return len(self._book.people)

    @property
    def tracklets(self) -> list[Tracklet]:
        """Every track in the window, as values."""
        return [evidence.tracklet(key[1]) for key, evidence in sorted(self._tracks.items())]

    @property
    def means(self) -> CameraMeans:
        """How the cameras differ."""
        return self._grouping.means

    def learnt(self, engine: str) -> LearntCameras:
        """What was learnt of how the cameras relate, by features of an engine."""
        return LearntCameras.of(engine, self._grouping.times, self._grouping.places)

    def begin(self, learnt: LearntCameras) -> None:
        """Begin with what an earlier run learnt of how the cameras relate, before anything is observed."""
        if self.config.link.times:
            learnt.begin(self._grouping.times, self._grouping.places)

    @property
    def link_model(self) -> LinkConfig:
        """The link model as it is on this site."""
        return self._grouping.link

    @property
    def adaptation(self) -> SiteAdaptation | None:
        """What was learnt of the site before."""
        return self._grouping.adaptation

    @property
    def evidence(self) -> Mapping[TrackKey, Evidence]:
        """All that is known of every track in the window."""
        return self._tracks

    # ---------------------------------------------------------------- what others know

    def admit(self, known: Sequence[KnownIdentity]) -> None:
        """Let the identities of an earlier run join the search.

        Args:
            known: They keep their global ids and count as confirmed; new ids begin after the greatest.

        Raises:
            ValueError: A global id is in use already.
            EngineMismatchError: Features of another engine than those before.
        """
        ids = [k.global_id for k in known]
        twice = sorted({g for g in ids if g in self._book.people} | {g for g, n in Counter(ids).items() if n > 1})
        if twice:
            raise ValueError(
                f"identity {twice[0]} is known already; admit each identity once, before its id is given to somebody "
                "else"
            )
        for item in known:
            self._check_shape(item.prototypes)
        self._grouping.index.reserve([item.prototypes for item in known])
        slots = self.config.prototypes
        for item in known:
            person = state_of(item, slots)
            assert person.past is not None
            self._grouping.index.keep(item.global_id, person.past)
            self._book.add(person)
            if self.config.offline:
                self._rounds.admitted[item.global_id] = Evidence.remembered(item, slots=slots)
            if self._record is not None:
                self._record.remember(item.global_id, Evidence.remembered(item, slots=slots))
        self._rounds.remember(ids)
        self._book.next_id = max(self._book.next_id, max(ids, default=0) + 1)

    def known(self) -> list[KnownIdentity]:
        """Everybody who is worth remembering now, by global id: confirmed identities of whom something was seen."""
        return known_people(self._book, self._tracks, self.config.prototypes)

    def forget(self, ids: Iterable[int]) -> None:
        """Drop people and all that is known of them; whoever is still in view begins anew as somebody else. Unknown ids
        are ignored."""
        self._rounds.forget(ids)

    @property
    def separated(self) -> frozenset[tuple[int, int]]:
        """Pairs of global ids that people said are two, the smaller first."""
        return self._book.different

    def constrain(self, *, same: Iterable[tuple[int, int]] = (), different: Iterable[tuple[int, int]] = ()) -> None:
        """Take a person's corrections; they hold from now on, whatever the evidence says. Their events come with the
        next step.

        Args:
            same: Pairs of global ids that are one person.
            different: Pairs of global ids that are two people.

        Raises:
            ValueError: An id is unknown, or a pair is said to be both.
        """
        self.corrections.constrain(same=same, different=different)

    def rename(self, global_id: int, name: str) -> None:
        """Give an identity a name, or take it back (empty). The event comes with the next step; unknown ids are
        ignored."""
        self.corrections.rename(global_id, name)

    def corrected(self) -> list[IdentityEvent]:
        """Events of corrections since the last step, for who does not want to wait for the next."""
        return self._summed_up(self.corrections.drain())

    def knows(self, global_id: int) -> bool:
        """Whether an identity is searched."""
        return global_id in self._book.people

    def span(self, key: TrackKey) -> tuple[float, float] | None:
        """First and last capture time of a track in seconds; None where they are not kept any more."""
        evidence = self._tracks.get(key) or self._rounds.retired_evidence(key)
        return None if evidence is None else (evidence.start, evidence.end)

    def new_id(self) -> int:
        """A global id that was never given, for a person who is split off; it is nobody's until then."""
        return self._book.reserve()
