"""What a run remembers and is reminded of: the only place where association and gallery meet.

At the start the identities of the gallery join the search, so that who comes back gets the old id. While the run goes
on, what is known of confirmed identities is written beside it, newcomers are looked up among those who are not in the
search, and corrections and erasures by others take effect.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamreid.association import Associator
from streamreid.association.identity_view import IdentityView
from streamreid.config import Config
from streamreid.errors import GalleryError
from streamreid.features.colour_sums import ColourSums
from streamreid.features.part_colours import ColourArray
from streamreid.gallery import (
    BackgroundWriter,
    Batch,
    HourlyCount,
    TrackRecord,
)
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.gallery_corrections import GalleryCorrections
from streamreid.pipeline.gallery_learning import GalleryLearning
from streamreid.pipeline.gallery_recall import GalleryRecall
from streamreid.pipeline.run_gallery import RunGallery
from streamreid.pipeline.track_crops import TrackCrops
from streamreid.sinks import draw_style
from streamreid.track_update import TrackObservation
from streamreid.types import FloatArray, Frame, IdentityEvent, KnownIdentity, TrackKey

__all__ = ["GallerySummary", "GallerySync"]

log = logging.getLogger(__name__)

_STEP = 5.0  # capture seconds after which something is handed to the writer, whatever the wall clock says
_GROWN = 1.25
"""Growth of the number of embeddings from which a stored track is written again."""

_MOST_TRACKS = 50_000
"""Tracks waiting for a decision; bounds memory in runs without end."""

_CALIBRATION_SECONDS = 60.0
"""Seconds between looks at the site's link calibration."""


@dataclass(frozen=True, slots=True)
class GallerySummary:
    """A gallery's part in a run.

    Args:
        store: Where it is.
        returned: People seen in this run who were known before.
        problem: Why something could not be stored when the run ended; empty if all was.
        lost: Appearances and events that were never stored, because the store was away for too long or at the end.
    """

    store: str
    returned: int
    problem: str
    lost: int = 0


class GallerySync:
    """A gallery beside a run. All methods but ``close`` are called by the thread that follows people.

    Args:
        config: Of the run.
        opened: The gallery, which is closed with this.
        associator: Gets the known identities; it draws its ids from the gallery.
        view: What is believed about identities.
        engine: Which made the features.
        clock: UTC seconds.
    """

    def __init__(
        self,
        config: Config,
        opened: RunGallery,
        associator: Associator,
        view: IdentityView,
        engine: EngineDescription,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config.gallery
        self._least_observations = config.association.min_observations
        self._associator = associator
        self._calibration = opened.calibration
        self.store, self._search, self._ids = opened.store, opened.search, opened.ids
        self.recall = GalleryRecall(
            self.store,
            self._search,
            associator,
            view,
            recall=config.gallery.recall,
            hours=config.gallery.recall_hours,
            clock=clock,
        )
        self._learning = GalleryLearning(self.store, associator, engine, [c.name for c in config.cameras])
        self._learning.begin()
        self._confirmed_late: set[int] = set()
        self.run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(clock()))}-{uuid.uuid4().hex[:8]}"
        self.corrections = GalleryCorrections(
            self.store,
            self.run,
            made=self.recall.made,
            pair=self.recall.said,
            let_go=self._drop_waiting,
            flush=self.collect,
        )
        self._next_calibration = time.monotonic() + _CALIBRATION_SECONDS
        self.writer = BackgroundWriter(
            self.store, self._search, opened.retention, seconds=config.gallery.commit_seconds, chore=self._chores
        )
        self._tracks: dict[TrackKey, TrackRecord] = {}
        self._looks: dict[TrackKey, int] = {}
        self.crops = TrackCrops(draw_style(config.output).blur)
        self._colours = ColourSums(_MOST_TRACKS)
        self._batch = Batch(self.run)
        self.held_events: list[IdentityEvent] = []
        self._returned: set[int] = set()
        self._begun = self._closed = self._newcomer = False
        self._next_wall = self._next_capture = -np.inf

    def __repr__(self) -> str:
        return f"GallerySync({self.store!r}, {self.recall!r})"

    @property
    def problem(self) -> str:
        """Why something is not stored at the moment; empty if all is."""
        return self.writer.problem

    @property
    def waiting(self) -> int:
        """Appearances and events that are not stored yet."""
        return self.writer.waiting

    @property
    def lost(self) -> int:
        """Appearances and events that will never be stored."""
        return self.writer.lost

    def summary(self) -> GallerySummary:
        """What became of it so far."""
        return GallerySummary(self.store.address, len(self._returned), self.problem, self.lost)

    # ------------------------------------------------------------ reminded

    def before(self, now: float) -> None:
        """Before a frame is followed: admit whom the gallery knows, apply what others changed.

        Args:
            now: Capture time of the frame.
        """
        if not self._begun:
            self._begun = True
            self.recall.begin(now)
            return
        self.recall.at(now)
        self._take_changes()

    def _take_changes(self) -> None:
        kinds: dict[int, set[str]] = {}
        for change in self.writer.drain():
            kinds.setdefault(change.identity, set()).add(change.kind)
        if kinds:
            self._guarded(lambda: self._apply(kinds))

    def _apply(self, kinds: dict[int, set[str]]) -> None:
        in_view = {self._associator.link(*key)[0] for key in self._associator.evidence}
        dropped = self.recall.apply(kinds, in_view)
        if dropped:
            self._drop_waiting(dropped)

    def _drop_waiting(self, dropped: Iterable[int]) -> None:
        """Let go of what waits to be stored of people."""
        dropped = set(dropped)
        for key in [k for k, a in self._tracks.items() if a.global_id in dropped]:
            self._let_go(key)
        self._batch.events = [e for e in self._batch.events if e.global_id not in dropped and e.other_id not in dropped]
        self.held_events = [e for e in self.held_events if e.global_id not in dropped and e.other_id not in dropped]

    def _let_go(self, key: TrackKey) -> None:
        self._batch.discard(key)
        for held in (self._tracks, self._looks):
            held.pop(key, None)
        self.crops.discard(key)
        self._colours.discard(key)

    # ------------------------------------------------------------ remember

    def note(self, events: Iterable[IdentityEvent]) -> None:
        """Take what the association decided, after the view has followed it."""
        # Names and who is staff come from the gallery.
        mine = [event for event in events if event.kind not in ("rename", "staff") and self.recall.concerns(event)]
        self.held_events += mine
        self._newcomer |= any(e.kind == "new" for e in mine)
        self._returned |= {e.global_id for e in mine if e.kind == "link" and e.global_id in self.recall.returning}

    def after(
        self, frame: Frame, observations: Iterable[TrackObservation], blur_boxes: FloatArray | None = None
    ) -> None:
        """After a frame was followed: keep pictures if wanted, look newcomers up, hand to the writer what is new.

        Args:
            frame: The frame.
            observations: What was seen of people with final track ids.
            blur_boxes: ``[M, 4]`` what is hidden in pictures, if ``output.blur`` hides anything.
        """
        if self._config.crops and frame.has_image:
            self.crops.take(frame, observations, blur_boxes)
        due = time.monotonic() >= self._next_wall or frame.time >= self._next_capture
        if due or self._newcomer:
            self._newcomer = False
            self._guarded(lambda: self.recall.recall(self._least_observations))
        if due:
            self._next_capture = frame.time + _STEP
            self.collect()

    def take_colours(self, camera: str, ids: Sequence[int], colours: ColourArray | None) -> None:
        """What people of a frame wear: ``colours [N, 4, 4]`` by track id; None where nobody was looked at."""
        if colours is not None:
            self._colours.add(camera, ids, colours)

    def idle(self) -> None:
        """While no camera gives anything: what was seen last is stored, and what others changed takes effect."""
        if self._begun and time.monotonic() >= self._next_wall:
            self._take_changes()
            self.collect()

    def collect(self, *, over: bool = False) -> None:
        """Hand what is known of confirmed identities to the writer.

        Args:
            over: The run is over: who else the last tracks may be is handed on, too.
        """
        self._next_wall = time.monotonic() + self._config.commit_seconds / 2
        for key, evidence in self._associator.evidence.items():
            who, probability = self._associator.link(*key)
            if not who or not self._confirmed(who) or not evidence.looks:
                continue
            before = self._tracks.pop(key, None)
            self._tracks[key] = TrackRecord(
                self.run,
                key[0],
                key[1],
                who,
                evidence.start,
                evidence.end,
                round(float(probability), 2),
                evidence.observations,
            )
            if self._tracks[key] == before:
                continue  # writing it again would prolong its retention
            self._batch.track_records[key] = self._tracks[key]
            if key not in self._looks or evidence.looks >= _GROWN * self._looks[key]:
                self._looks[key] = evidence.looks
                self._keep_prototypes(key, evidence.remember(who, [key[0]], evidence.start, evidence.end))
            picture = self.crops.jpeg(key)
            if picture is not None:
                self._batch.crops[key] = picture
            colours = self._colours.mean(key)
            if colours is not None:
                self._batch.colours[key] = colours.tobytes()
        # What was not handed on while the track was in the window never will be.
        self.crops.keep_only(self._associator.evidence)
        for key in self._colours:
            if key not in self._associator.evidence:
                self._colours.discard(key)
        self._follow_events()
        self._batch.links.update(self._associator.fresh_links(over=over))
        self._learning.note(over=over)
        while len(self._tracks) > _MOST_TRACKS:
            self._let_go(next(iter(self._tracks)))
        batch, self._batch = self._batch, Batch(self.run)
        self.writer.put(batch)

    def put_counts(self, counts: Mapping[tuple[str, float], HourlyCount]) -> None:
        """Store counts by place and hour; from any thread."""
        self.writer.put(Batch(self.run, counts=dict(counts)))

    def _confirmed(self, who: int) -> bool:
        return who in self.recall.confirmed or who in self._confirmed_late

    def _keep_prototypes(self, key: TrackKey, known: KnownIdentity) -> None:
        quality = known.quality * known.prototypes.visibility.max(1, initial=0.0)
        rows = np.flatnonzero(quality >= self._config.min_quality)
        if len(rows):
            self._batch.prototypes[key] = known.prototypes[rows], quality[rows].astype(np.float32)

    def _follow_events(self) -> None:
        """Events wait until the identity they concern is confirmed; tracks that left the window follow them."""
        waiting, inside = [], self.recall.inside
        for event in self.held_events:
            if not self._confirmed(event.global_id):
                if event.global_id in inside:  # else it was merged or has expired, and is never confirmed
                    waiting.append(event)
                continue
            self._batch.events.append(event)
            key = (event.camera, event.track_id)
            if event.track_id and key in self._tracks and self._tracks[key].global_id != event.global_id:
                moved = replace(
                    self._tracks[key], global_id=event.global_id, probability=round(float(event.probability), 2)
                )
                self._tracks[key] = self._batch.track_records[key] = moved
        self.held_events = waiting[-_MOST_TRACKS:]

    # ------------------------------------------------------------ chores

    def _chores(self) -> None:
        """By the writing thread, now and then."""
        self._ids.fetch()
        self.corrections.carry_out_waiting()
        if time.monotonic() >= self._next_calibration:
            self._next_calibration = time.monotonic() + _CALIBRATION_SECONDS
            self._keep_calibration()

    def _keep_calibration(self) -> None:
        self.store.set_calibration(self._calibration.calibration)
        self._learning.keep()

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except GalleryError as error:
            log.error("%s The run goes on without.", error)

    def _confirm_late(self) -> None:
        """Who was seen often enough, but not yet for long enough when the run ends, is remembered too: they may be the
        first to be seen again."""
        least = self._associator.config.confirm_observations
        for key, evidence in self._associator.evidence.items():
            who = self._associator.link(*key)[0]
            if who and evidence.observations >= least:
                self._confirmed_late.add(who)

    def close(self) -> str:
        """Write what is still to be written and release the gallery. Returns why that failed; empty if it did not. Safe
        to call twice."""
        if self._closed:
            return self.problem
        self._closed = True
        self._confirm_late()
        self.collect(over=True)
        problem = self.writer.close()
        self.corrections.carry_out_waiting()
        self._guarded(self._keep_calibration)
        self._guarded(self._ids.give_back)
        self._search.close()
        self.store.close()
        return problem
