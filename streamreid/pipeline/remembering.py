"""What a run remembers and is reminded of: the only place where association and gallery meet.

At the start the identities of the gallery join the search, so that who comes back gets the old id. While the run goes on, what is known of confirmed
identities is written beside it, newcomers are looked up among those who are not in the search, and corrections and erasures by others take effect.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from streamreid.association import Associator
from streamreid.config import Config
from streamreid.errors import ConfigError, GalleryError
from streamreid.gallery import (
    Appearance,
    BackgroundWriter,
    Batch,
    EngineStamp,
    GallerySearch,
    GalleryStore,
    IdentityRecord,
    open_gallery,
    retention_of,
)
from streamreid.pipeline.holding import Observation
from streamreid.reid import Embedder
from streamreid.similarity import Calibration, SiteCalibration
from streamreid.types import Frame, IdentityEvent, Image, KnownIdentity, PartFeatures

__all__ = ["Remembering", "stamp_of"]

log = logging.getLogger(__name__)
Key = tuple[str, int]

_BLOCK = 1000  # ids taken at a time
_STEP = 5.0  # capture seconds after which something is handed to the writer, whatever the wall clock says
_GROWN = 1.25
_MOST_TRACKS = 50_000
_AT_ONCE = 2000  # identities admitted at the start; others are looked up when somebody new appears
_CANDIDATES = 3
_CALIBRATION_SECONDS = 60.0
_CROP = (128, 256)


def stamp_of(embedder: Embedder) -> EngineStamp:
    """What a gallery notes of an engine."""
    return EngineStamp(embedder.name, embedder.fingerprint, len(embedder.parts), embedder.dim)


class _Ids:
    """Global ids from blocks that were taken from the store for this process; the next one is taken before the last one is used up."""

    def __init__(self, store: GalleryStore, least: int) -> None:
        self._store = store
        self._next = self._end = 0
        self._least = least
        self._ahead: tuple[int, int] | None = None
        self._fetching = threading.Lock()
        self.fetch()

    def __call__(self) -> int:
        if self._next >= self._end:
            if self._ahead is None:
                self.fetch()
            assert self._ahead is not None
            (self._next, self._end), self._ahead = self._ahead, None
        self._next += 1
        return self._next - 1

    def fetch(self) -> None:
        """Take a block if less than half of one is left."""
        with self._fetching:
            if self._ahead is None and self._end - self._next < _BLOCK // 2:
                first = self._store.reserve_ids(_BLOCK, least=self._least)
                self._ahead = (first, first + _BLOCK)

    def give_back(self) -> None:
        """Unused ids can be used by the next run."""
        if self._ahead is not None:
            self._store.return_ids(*self._ahead)
        self._store.return_ids(self._next, self._end)


class Remembering:
    """A gallery beside a run. All methods but ``close`` are called by the thread that follows people.

    Args:
        config: Of the run; ``gallery.store`` is given.
        stamp: The engine of the features.
        associator: Gets the known identities.
        calibration: From similarity to probability.
        first_id: No new id is below.
        clock: UTC seconds.

    Raises:
        GalleryError: The gallery cannot be opened.
        EngineMismatchError: It holds features of another engine.
        ConfigError: There is no engine.
    """

    def __init__(
        self,
        config: Config,
        stamp: EngineStamp,
        associator: Associator,
        calibration: Calibration | SiteCalibration,
        *,
        first_id: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config.gallery
        if stamp.fingerprint == "none":
            raise ConfigError("a gallery remembers what people look like, and this run has no ReID engine (engine.model is 'none')")
        self._associator = associator
        self._clock = clock
        self._least_observations = config.association.min_observations
        self._memory = config.association.memory
        self.store = open_gallery(config.gallery)
        try:
            self.store.claim(stamp)
            self.store.set_retention(retention_of(config.gallery))
            self.store.expire()
            self._ids = _Ids(self.store, first_id)
            folder = getattr(self.store, "path", None)
            self._search = GallerySearch(
                self.store,
                calibration,
                index_from=config.gallery.index_from,
                folder=None if folder is None else Path(folder).absolute().parent,
            )
        except BaseException:
            self.store.close()
            raise
        associator.new_id = self._ids
        self.run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(clock()))}-{uuid.uuid4().hex[:8]}"
        self._calibration = calibration
        self._next_calibration = time.monotonic() + _CALIBRATION_SECONDS
        self._writer = BackgroundWriter(
            self.store, self._search, retention_of(config.gallery), seconds=config.gallery.commit_seconds, chore=self._chores
        )
        self._inside: set[int] = set()
        self._outside: set[int] = set()
        self._confirmed: set[int] = set()
        self._mine: set[int] = set()
        self._tracks: dict[Key, Appearance] = {}
        self._looks: dict[Key, int] = {}
        self._asked: dict[Key, int] = {}
        self._crops: dict[Key, tuple[float, bytes]] = {}
        self._batch = Batch(self.run)
        self._held: list[IdentityEvent] = []
        self._said: set[tuple[str, int, int]] = set()
        self._now: float | None = None
        self._next_wall = self._next_capture = -np.inf
        self._closed = False

    def __repr__(self) -> str:
        return f"Remembering({self.store!r}, known={len(self._inside)}, outside={len(self._outside)})"

    @property
    def problem(self) -> str:
        """Why something is not stored at the moment; empty if all is."""
        return self._writer.problem

    # ------------------------------------------------------------ reminded

    def before(self, now: float) -> None:
        """Before a frame is followed: admit whom the gallery knows, apply what others changed.

        Args:
            now: Capture time of the frame.
        """
        first, self._now = self._now is None, max(now, self._now if self._now is not None else now)
        if first:
            people = sorted(self._search.people())
            recent = sorted(self.store.identities(people), key=lambda r: (-r.stored, r.global_id))
            inside = [r.global_id for r in recent if self._clock() - r.stored <= 0.9 * self._memory][:_AT_ONCE]
            self._outside = set(people)
            self._admit(inside)
            return
        changes = self._writer.drain()
        if not changes:
            return
        kinds: dict[int, set[str]] = {}
        for change in changes:
            kinds.setdefault(change.identity, set()).add(change.kind)
        self._asked.clear()
        self._apply(kinds)

    def _apply(self, kinds: Mapping[int, set[str]]) -> None:
        there = self._search.people()
        gone = {who for who, what in kinds.items() if "forget" in what or (what & {"expire", "evict"} and who not in there)}
        seen = {a.global_id for a in self._tracks.values()} & {self._associator.link(*key)[0] for key in self._associator.evidence}
        self._drop({who for who in gone if "forget" in kinds[who] or who not in seen})
        for who in gone:
            self._outside.discard(who)
        self._outside |= {who for who in kinds if who in there and who not in self._inside}
        parted = {who for who, what in kinds.items() if "split" in what and who not in gone}
        if parted:
            self._drop(parted & self._inside)
            self._admit(sorted(parted & there))
        if any(what & {"merge", "constraint", "split"} for what in kinds.values()):
            self._respect()

    def _drop(self, people: set[int]) -> None:
        self._associator.forget(sorted(people & self._inside))
        for key in [k for k, a in self._tracks.items() if a.global_id in people]:
            for held in (
                self._tracks,
                self._looks,
                self._asked,
                self._crops,
                self._batch.appearances,
                self._batch.views,
                self._batch.crops,
            ):
                held.pop(key, None)
        self._batch.events = [e for e in self._batch.events if e.global_id not in people and e.other_id not in people]
        for known in (self._inside, self._confirmed, self._mine):
            known -= people

    def _admit(self, people: Sequence[int]) -> None:
        """Let remembered people join the search of the association, as last seen as long ago as they were."""
        people = [p for p in people if p not in self._inside]
        if not people or self._now is None:
            return
        records = {r.global_id: r for r in self.store.identities(people)}
        views: dict[int, list[tuple[np.ndarray, np.ndarray, float]]] = {}
        for block in self.store.prototypes(ids=people):
            for row, who in enumerate(block.global_ids.tolist()):
                views.setdefault(who, []).append((block.features.parts[row], block.features.visibility[row], float(block.quality[row])))
        known = [self._known(records[who], mine) for who, mine in sorted(views.items()) if who in records]
        self._associator.admit(known)
        admitted = {k.global_id for k in known}
        self._inside |= admitted
        self._confirmed |= admitted
        self._outside -= admitted
        self._respect()

    def _known(self, record: IdentityRecord, views: list[tuple[np.ndarray, np.ndarray, float]]) -> KnownIdentity:
        assert self._now is not None
        # Capture times of files begin anew with every run, so what counts is how long ago somebody was stored; nobody is so old that they expire at once.
        ago = min(max(self._clock() - record.stored, 0.01), 0.95 * self._memory)
        last = self._now - ago
        first = last - max(record.last_seen - record.first_seen, 0.0)
        features = PartFeatures(np.stack([v[0] for v in views]), np.stack([v[1] for v in views]))
        return KnownIdentity(record.global_id, features, np.array([v[2] for v in views], np.float32), first, last, record.cameras)

    def _respect(self) -> None:
        """Tell the association what people have said about identities that it knows."""
        for c in self.store.constraints():
            mark = (c.kind, c.one, c.other)
            if mark in self._said or c.one not in self._inside or c.other not in self._inside:
                continue
            try:
                pair = [(c.one, c.other)]
                self._associator.constrain(same=pair if c.kind == "same" else (), different=pair if c.kind == "different" else ())
                self._said.add(mark)
            except ValueError as error:
                log.warning("a correction in gallery '%s' cannot be respected: %s", self.store.address, error)

    def _recall(self) -> None:
        """Look newcomers up among those who are remembered but not in the search; of two new ids of one person the older one stays."""
        if not self._outside:
            return
        found: set[int] = set()
        for key, evidence in self._associator.evidence.items():
            who, _ = self._associator.link(*key)
            if evidence.observations < self._least_observations or not evidence.seen or (who and who not in self._mine):
                continue
            if self._asked.get(key, 0) * 2 > evidence.looks:
                continue
            self._asked[key] = evidence.looks
            features = evidence.tracklet(key[1]).features
            for match in self._search.search(features, _CANDIDATES, among=self._outside):
                if match.probability >= self._config.recall and (not who or match.global_id < who):
                    found.add(match.global_id)
        self._admit(sorted(found))

    # ------------------------------------------------------------ remember

    def note(self, events: Iterable[IdentityEvent]) -> None:
        """Take what the association decided."""
        for event in events:
            who = event.global_id
            if event.kind == "expire":
                self._inside.discard(who)
                if who in self._search.people():
                    self._outside.add(who)
                if who not in self._mine:
                    continue
                self._mine.discard(who)
            else:
                if event.kind in ("new", "split") and who not in self._inside:
                    self._mine.add(who)
                self._inside.add(who)
            if event.kind == "merge":
                self._inside.discard(event.other_id)
                self._mine.discard(event.other_id)
            if event.kind == "confirm":
                self._confirmed.add(who)
            self._held.append(event)

    def after(self, frame: Frame, observations: Iterable[Observation]) -> None:
        """After a frame was followed: keep pictures if wanted, look newcomers up, hand to the writer what is new.

        Args:
            frame: The frame.
            observations: What was seen of people with final track ids.
        """
        if self._config.crops and frame.has_image:
            self._keep_crops(frame, observations)
        wall = time.monotonic()
        newcomer = any(e.kind == "new" for e in self._held)
        if newcomer or wall >= self._next_wall or frame.time >= self._next_capture:
            self._guarded(self._recall)
        if wall >= self._next_wall or frame.time >= self._next_capture:
            self._next_wall = wall + self._config.commit_seconds / 2
            self._next_capture = frame.time + _STEP
            self.collect()

    def _chores(self) -> None:
        """By the writing thread, now and then."""
        self._ids.fetch()
        now = time.monotonic()
        if now >= self._next_calibration:
            self._next_calibration = now + _CALIBRATION_SECONDS
            self._keep_calibration()

    def _keep_calibration(self) -> None:
        found = self._calibration
        self.store.set_calibration(found.calibration if isinstance(found, SiteCalibration) else found)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except GalleryError as error:
            log.error("%s The run goes on without.", error)

    def collect(self) -> None:
        """Hand what is known of confirmed identities to the writer."""
        for key, evidence in self._associator.evidence.items():
            who, probability = self._associator.link(*key)
            if not who or who not in self._confirmed or not evidence.looks:
                continue
            before = self._tracks.pop(key, None)
            self._tracks[key] = Appearance(
                self.run, key[0], key[1], who, evidence.start, evidence.end, round(float(probability), 2), evidence.observations
            )
            if self._tracks[key] == before:
                continue  # writing it again would prolong its retention
            self._batch.appearances[key] = self._tracks[key]
            if evidence.looks >= _GROWN * self._looks.get(key, 0) or key not in self._looks:
                self._looks[key] = evidence.looks
                self._keep_views(key, evidence.remember(who, [key[0]], evidence.start, evidence.end))
            if key in self._crops:
                self._batch.crops[key] = self._crops[key][1]
        self._move_older()
        while len(self._tracks) > _MOST_TRACKS:
            oldest = next(iter(self._tracks))
            for held in (self._tracks, self._looks, self._asked, self._crops):
                held.pop(oldest, None)
        batch, self._batch = self._batch, Batch(self.run)
        self._writer.put(batch)

    def _keep_views(self, key: Key, known: KnownIdentity) -> None:
        quality = known.quality * known.prototypes.visibility.max(1, initial=0.0)
        rows = np.flatnonzero(quality >= self._config.min_quality)
        if len(rows):
            self._batch.views[key] = known.prototypes[rows], quality[rows].astype(np.float32)

    def _move_older(self) -> None:
        """Events wait until the identity they concern is confirmed; tracks that left the window follow them."""
        waiting = []
        for event in self._held:
            if event.global_id not in self._confirmed:
                waiting.append(event)
                continue
            self._batch.events.append(event)
            key = (event.camera, event.track_id)
            if event.track_id and key in self._tracks and self._tracks[key].global_id != event.global_id:
                a = self._tracks[key]
                self._tracks[key] = self._batch.appearances[key] = Appearance(
                    a.run, a.camera, a.track_id, event.global_id, a.start, a.end, round(float(event.probability), 4), a.observations
                )
        self._held = waiting[-_MOST_TRACKS:]

    def _keep_crops(self, frame: Frame, observations: Iterable[Observation]) -> None:
        for seen in observations:
            if (seen.camera, seen.time) != (frame.camera, frame.time):
                continue
            for row, track_id in enumerate(seen.tracks.ids.tolist()):
                key, quality = (seen.camera, track_id), float(seen.quality[row])
                if quality > 1.1 * self._crops.get(key, (0.0, b""))[0] + 0.01:
                    picture = _jpeg(frame.image, seen.tracks.boxes[row])
                    if picture:
                        self._crops[key] = quality, picture

    def close(self) -> str:
        """Write what is still to be written and release the gallery. Returns why that failed; empty if it did not. Safe to call twice."""
        if self._closed:
            return self.problem
        self._closed = True
        self.collect()
        problem = self._writer.close()
        self._guarded(self._keep_calibration)
        self._guarded(self._ids.give_back)
        self._search.close()
        self.store.close()
        return problem


def _jpeg(image: Image, box: np.ndarray) -> bytes:
    """A person cut out, at most 128 x 256 pixels; empty if nothing is inside the picture."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = np.clip(np.rint(box), 0, [width, height, width, height]).astype(int).tolist()
    if x1 - x0 < 2 or y1 - y0 < 2:
        return b""
    crop = image[y0:y1, x0:x1]
    scale = min(_CROP[0] / crop.shape[1], _CROP[1] / crop.shape[0], 1.0)
    if scale < 1:
        crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return bytes(data) if done else b""
