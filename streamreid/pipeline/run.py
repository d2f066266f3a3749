"""One run: perception feeds the site, in one process. What live runs, recordings and replays share; they differ only in
where embedded frames come from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar

from streamreid.cameras.statistics import Statistics
from streamreid.config import CameraConfig, Config
from streamreid.errors import SourceError
from streamreid.pipeline.clock_monitor import ClockMonitor
from streamreid.pipeline.live_corrections import LiveCorrections
from streamreid.pipeline.perception import EmbeddedFrames
from streamreid.pipeline.privacy_mask import PrivacyMasks
from streamreid.pipeline.run_state import RunState
from streamreid.pipeline.site import Site
from streamreid.places.monitor import PlaceMonitor
from streamreid.places.records import PlaceEvent
from streamreid.sinks import FinalIdentities, PeopleCount
from streamreid.track_update import TrackUpdate
from streamreid.types import EmbeddedFrame, FrameResult, IdentityEvent, Tracklet

if TYPE_CHECKING:
    from streamreid.ground.ground_evidence import GroundEvidence
    from streamreid.pipeline.gallery_sync import GallerySync

__all__ = ["Run", "TrackUpdates"]

_Self = TypeVar("_Self", bound="Run")


class TrackUpdates(Protocol):
    """Where the track updates of a run come from: trackers (`CameraTracking`), or workers that send them
    (:class:`streamreid.cluster.site_service.ReceivedUpdates`)."""

    @property
    def masks(self) -> PrivacyMasks:
        """What is to be blurred in pictures that leave the program."""

    def updates(self, frames: Iterable[EmbeddedFrame | None]) -> Iterator[TrackUpdate]:
        """All updates in the order in which the site takes them, the last one with ``last``."""


class Run:
    """Turns embedded frames into results. Iterate once; ``stop`` ends the iteration early.

    Args:
        perception: Gives embedded frames: cameras or a cache.
        tracking: Makes track updates of them.
        site: Makes results of these.
        observers: Called with every track update before the site takes it.
    """

    def __init__(
        self,
        perception: EmbeddedFrames,
        tracking: TrackUpdates,
        site: Site,
        *,
        observers: Sequence[Callable[[TrackUpdate], None]] = (),
    ) -> None:
        self.perception = perception
        self.tracking = tracking
        self.site = site
        self.interrupted = False
        self._observers = tuple(observers)
        self._used = False

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[FrameResult]:
        return self.results()

    def results(self, *, idle: Callable[[], None] = lambda: None) -> Iterator[FrameResult]:
        """The results of all frames, once.

        Args:
            idle: Called about twice a second while live cameras give nothing.

        Raises:
            SourceError: No camera gave a frame.
        """
        if self._used:
            raise RuntimeError(f"a {type(self).__name__} runs once: make a new one")
        self._used = True
        statistics = self.statistics
        statistics.started = time.perf_counter()
        try:
            self.require_camera()
            for update in self.tracking.updates(self.perception):
                for observer in self._observers:
                    observer(update)
                for camera in update.removed:
                    self.perception.forget(camera)
                results = self.site.process(update)
                if not results and update.frame is None:
                    idle()
                yield from results
            if not statistics.frames:
                self.require_camera("no frame was followed, because every camera failed")
        finally:
            statistics.ended = time.perf_counter()
            self.close()

    def stop(self) -> None:
        """End the iteration after the frames in work; for signal handlers and other threads."""
        self.interrupted = True
        self.perception.stop()

    def close(self) -> None:
        """Release cameras, threads, cache and gallery. Safe to call twice."""
        self.perception.close()
        self.site.close()

    def require_camera(self, what: str = "no camera could be opened") -> None:
        """Nothing where one camera or more can still give frames, or some may come.

        Raises:
            SourceError: All failed; the message says why.
        """
        failed = self.failed
        if len(failed) == sum(not c.removed for c in self.statistics.cameras.values()) and not self.perception.stay:
            reasons = set(failed.values())
            if len(failed) > 1 and len(reasons) == 1:  # one cause, such as the detector, and no fault of any camera
                failed = {f"all {len(failed)} cameras": reasons.pop()}
            raise SourceError(f"{what}:\n" + "\n".join(f"  {name}: {why}" for name, why in failed.items()))

    # ---------------------------------------------------------------- the cameras' half

    @property
    def camera_configs(self) -> Sequence[CameraConfig]:
        """The cameras as they are now."""
        return self.perception.configs

    @property
    def live(self) -> bool:
        """Whether any camera is live, so that only its newest frame counts and no picture can be had again."""
        return self.perception.live

    @property
    def masks(self) -> PrivacyMasks:
        """What is to be blurred in pictures that leave the program."""
        return self.tracking.masks

    @property
    def failed(self) -> dict[str, str]:
        """Cameras that failed, with the reason."""
        return {name: c.error for name, c in self.statistics.cameras.items() if c.error is not None}

    # ---------------------------------------------------------------- the people's half

    @property
    def config(self) -> Config:
        """Cameras, as they were at the start, and settings."""
        return self.site.config

    @property
    def models(self) -> tuple[str, str]:
        """Names of detector and engine."""
        return self.perception.detector_name, self.site.engine.name

    @property
    def statistics(self) -> Statistics:
        """Frames, drops, ages and seconds so far."""
        return self.site.statistics

    @property
    def begin(self) -> RunState:
        """Where the ids of an earlier run ended."""
        return self.site.begin

    @property
    def memory(self) -> GallerySync | None:
        """The gallery beside this run, if there is one."""
        return self.site.gallery

    @property
    def corrections(self) -> LiveCorrections:
        """Takes what people correct: names, who is whom, who is forgotten; from any thread."""
        return self.site.corrections

    @property
    def ground(self) -> GroundEvidence | None:
        """Where people stand, if cameras are calibrated."""
        return self.site.ground

    @property
    def clocks(self) -> ClockMonitor:
        """Whether the cameras' clocks agree."""
        return self.site.clocks

    @property
    def identities(self) -> FinalIdentities:
        """``{(camera, track_id): (global_id, link probability)}`` as believed now, of every track of the run but those
        that are settled.

        May be asked from any thread."""
        return self.site.identities

    @property
    def people_count(self) -> PeopleCount:
        """People, confirmed people and unlinked tracks of the run so far, with those that are no longer listed in
        ``identities``."""
        return self.site.people_count

    @property
    def people(self) -> int:
        """How many people are remembered, so that who comes back is known."""
        return self.site.associator.people

    @property
    def tracklets(self) -> list[Tracklet]:
        """The tracks of the association window (the last five minutes by default) with their part features."""
        return self.site.tracklets

    def drain_events(self) -> list[IdentityEvent]:
        """Identity events since the last call."""
        return self.site.drain_events()

    @property
    def places(self) -> PlaceMonitor:
        """Who is at which zone, who crossed which line, and the records of it so far."""
        return self.site.places

    def drain_place_events(self) -> list[PlaceEvent]:
        """What happened at zones and lines since the last call."""
        return self.site.drain_place_events()

    def drain_settled(self) -> FinalIdentities:
        """Tracks of identities that are no longer searched, once: in runs without end they leave ``identities``, so
        that memory does not grow."""
        return self.site.drain_settled()
