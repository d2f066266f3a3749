"""Figures for Prometheus, read from the run when somebody asks: counting them costs the pipeline nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from streamreid._threads import Thread
from streamreid.cameras.latency_histogram import Histogram
from streamreid.cameras.statistics import CameraCount
from streamreid.messages.deliveries import DeliveryState
from streamreid.pipeline import Pipeline
from streamreid.secrets import redact
from streamreid.serving.live_places import LivePlaces
from streamreid.serving.resources import state_of

__all__ = ["GalleryCount", "Metrics"]

log = logging.getLogger(__name__)

_STATES = ("connecting", "connected", "stalled", "lost", "failed", "ended", "paused", "removed", "reading")
_GALLERY_SECONDS = 10.0
"""A gallery is counted no more often, however often somebody asks."""

_PATIENCE_SECONDS = 0.5
"""How long an answer waits for the gallery's."""

_CLOCKS = ("rtcp", "pts", "arrival", "rate")


class Metrics(Collector):
    """All metrics of a run.

    Args:
        pipeline: The run.
        places: Who is at which place; None leaves these gauges out.
    """

    def __init__(self, pipeline: Pipeline, places: LivePlaces | None = None) -> None:
        self._pipeline = pipeline
        self._places = places
        self._gallery_count = None if pipeline.memory is None else GalleryCount(pipeline.memory.store.stats)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return bytes(generate_latest(self._registry))

    def describe(self) -> Iterator[Metric]:
        """Nothing: names are known when they are collected."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Everything as it is now."""
        self._pipeline.cameras.refresh_statistics()
        counts = dict(self._pipeline.statistics.cameras)
        yield from _frames(counts)
        yield from _states(counts)
        yield from self._stages()
        yield from self._people()
        if self._places is not None:
            yield from _at_places(self._places)
        failed = GaugeMetricFamily(
            "streamreid_output_failed", "1 for an output of the run that was given up.", labels=["output"]
        )
        for name in sorted(dict(self._pipeline.statistics.outputs)):
            failed.add_metric([name], 1.0)
        yield failed
        yield from _messages(self._pipeline.statistics.deliveries)

    def _stages(self) -> Iterator[Metric]:
        s = self._pipeline.statistics
        stages = HistogramMetricFamily(
            "streamreid_stage_seconds", "Time per batch (detect, embed) or frame, by stage.", labels=["stage"]
        )
        for name, histogram in s.histograms.items():
            stages.add_metric([name], _buckets(histogram), histogram.total)
        yield stages
        busy = GaugeMetricFamily(
            "streamreid_stage_busy_ratio", "Share of the last ten seconds a stage took.", labels=["stage"]
        )
        worst = GaugeMetricFamily(
            "streamreid_stage_bottleneck", "1 for the stage that limits the rate.", labels=["stage"]
        )
        bottleneck = s.bottleneck
        for name, share in s.busy().items():
            busy.add_metric([name], share)
            worst.add_metric([name], float(name == bottleneck))
        yield busy
        yield worst
        yield GaugeMetricFamily(
            "streamreid_load_ratio",
            "Seconds of inference that one second of live frames needs; above 1, frames are dropped.",
            s.load,
        )
        yield GaugeMetricFamily(
            "streamreid_overloaded",
            "1 while cameras give only a share of their frames.",
            float(self._pipeline.cameras.turns.overloaded),
        )

    def _people(self) -> Iterator[Metric]:
        now = self._pipeline.identities.count()
        yield GaugeMetricFamily("streamreid_identities", "People who are remembered.", now.identities)
        yield GaugeMetricFamily(
            "streamreid_identities_confirmed",
            "Those among them who were seen well enough to be confirmed.",
            now.confirmed,
        )
        yield GaugeMetricFamily(
            "streamreid_tracks_unlinked",
            "Tracks that belong to nobody: they were seen too little.",
            now.unlinked_tracks,
        )
        yield CounterMetricFamily(
            "streamreid_identities_settled", "People who are no longer remembered.", self._pipeline.statistics.settled
        )
        yield from self._gallery()
        detector, engine = self._pipeline.models
        yield InfoMetricFamily(
            "streamreid_engine", "What finds and describes people.", {"detector": detector, "engine": engine}
        )

    def _gallery(self) -> Iterator[Metric]:
        memory = self._pipeline.memory
        if memory is None:
            return
        if self._gallery_count is None:  # the gallery came after the server
            self._gallery_count = GalleryCount(memory.store.stats)
        size, reachable = self._gallery_count()
        yield GaugeMetricFamily(
            "streamreid_gallery_reachable",
            "0 while the gallery does not answer; its size is then the last known one.",
            float(reachable),
        )
        if size is not None:
            yield GaugeMetricFamily("streamreid_gallery_size", "People in the gallery.", size)
        yield GaugeMetricFamily(
            "streamreid_gallery_waiting", "Appearances and events that are not stored yet.", memory.waiting
        )
        yield CounterMetricFamily(
            "streamreid_gallery_lost", "Appearances and events that were never stored.", memory.lost
        )
        yield GaugeMetricFamily(
            "streamreid_gallery_failing", "1 while nothing can be stored.", float(bool(memory.problem))
        )


class GalleryCount:
    """How many people are in a gallery, asked in a thread of its own now and then: a database that is away or hangs
    never holds up who asks here.

    Args:
        stats: Asks the store.
        every: Seconds between two questions.
    """

    def __init__(self, stats: Callable[[], dict[str, Any]], *, every: float = _GALLERY_SECONDS) -> None:
        self._stats = stats
        self._every = every
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._asked = -every
        self._size: int | None = None
        self._answered = False

    def __call__(self) -> tuple[int | None, bool]:
        """The last known number, and whether the gallery answers."""
        with self._lock:
            now = time.monotonic()
            thread = self._asking
            if (thread is None or not thread.is_alive()) and now - self._asked >= self._every:
                self._asked = now
                thread = self._asking = Thread(target=self._ask, name="gallery-count", daemon=True)
                thread.start()
        if thread is not None:
            thread.join(_PATIENCE_SECONDS)
        hangs = thread is not None and thread.is_alive()
        return self._size, self._answered and not hangs

    def _ask(self) -> None:
        try:
            self._size, self._answered = int(str(self._stats()["identities"])), True
        except Exception as error:
            if self._answered or self._size is None:
                log.warning("the gallery does not answer: %s", redact(error))
            self._answered = False


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    total, result = 0, []
    for bound, count in zip((*(str(b) for b in histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        result.append((bound, float(total)))
    return result


def _frames(counts: dict[str, CameraCount]) -> Iterator[Metric]:
    frames = CounterMetricFamily("streamreid_frames", "Frames with a result.", labels=["camera"])
    detected = CounterMetricFamily(
        "streamreid_frames_detected", "Frames that the detector looked at.", labels=["camera"]
    )
    drops = CounterMetricFamily(
        "streamreid_frames_dropped", "Frames of live cameras without a result.", labels=["camera", "reason"]
    )
    clocks = CounterMetricFamily(
        "streamreid_frames_by_clock", "Frames by the clock of their capture time.", labels=["camera", "clock"]
    )
    tracks = CounterMetricFamily("streamreid_tracks", "Tracks reported.", labels=["camera"])
    ages = HistogramMetricFamily(
        "streamreid_frame_age_seconds", "How old live frames were when their result came.", labels=["camera"]
    )
    recent = GaugeMetricFamily(
        "streamreid_frame_age_recent_seconds", "The same of the last 600 frames.", labels=["camera", "quantile"]
    )
    for name, count in counts.items():
        frames.add_metric([name], count.frames)
        detected.add_metric([name], count.detected)
        tracks.add_metric([name], count.tracks)
        for reason, number in count.drops.items():
            drops.add_metric([name, reason], number)
        for clock in _CLOCKS:
            clocks.add_metric([name, clock], count.clocks.get(clock, 0))  # type: ignore[call-overload]
        if not count.live:
            continue
        histogram = count.ages.histogram()
        ages.add_metric([name], _buckets(histogram), histogram.total)
        quantiles = count.ages.recent()
        if quantiles is not None:
            for label, value in (("0.5", quantiles.p50), ("0.95", quantiles.p95), ("0.99", quantiles.p99)):
                recent.add_metric([name, label], value)
    yield from (frames, drops, clocks, tracks, ages, recent)


def _at_places(places: LivePlaces) -> Iterator[Metric]:
    occupancy = GaugeMetricFamily("streamreid_zone_occupancy", "People in a zone now.", labels=["zone"])
    crossings = CounterMetricFamily(
        "streamreid_line_crossings", "Times a line was crossed.", labels=["line", "direction"]
    )
    for state in places.zones():
        if state["kind"] == "zone":
            occupancy.add_metric([state["name"]], state["occupancy"])
        elif state["kind"] == "line":
            crossings.add_metric([state["name"], "in"], state["entries"])
            crossings.add_metric([state["name"], "out"], state["exits"])
    yield from (occupancy, crossings)
    about = "Different people at a place in the last hour"
    for name, column, text in (
        ("streamreid_unique_people", "unique", f"{about}."),
        ("streamreid_unique_people_low", "unique_low", f"{about}: lower end of the 90 % interval."),
        ("streamreid_unique_people_high", "unique_high", f"{about}: upper end of the 90 % interval."),
    ):
        family = GaugeMetricFamily(name, text, labels=["place"])
        for row in places.recent():
            if row[column] is not None:
                family.add_metric([row["place"]], row[column])
        yield family


def _states(counts: dict[str, CameraCount]) -> Iterator[Metric]:
    states = GaugeMetricFamily("streamreid_camera_state", "1 for the state a camera is in.", labels=["camera", "state"])
    reconnects = CounterMetricFamily("streamreid_reconnects", "How often a camera came back.", labels=["camera"])
    corrupt = CounterMetricFamily("streamreid_corrupt_packets", "Damaged packets.", labels=["camera"])
    jumps = CounterMetricFamily("streamreid_clock_jumps", "How often a camera's clock jumped.", labels=["camera"])
    drift = GaugeMetricFamily("streamreid_clock_drift_ppm", "How much slower a camera's clock runs.", labels=["camera"])
    for name, count in counts.items():
        now = state_of(count)
        for state in _STATES:
            states.add_metric([name, state], float(state == now))
        if count.status is not None:
            reconnects.add_metric([name], count.status.reconnects)
            corrupt.add_metric([name], count.status.corrupt)
            jumps.add_metric([name], count.status.jumps)
            if count.status.drift is not None:
                drift.add_metric([name], count.status.drift)
    yield from (states, reconnects, corrupt, jumps, drift)


def _messages(states: list[DeliveryState]) -> Iterator[Metric]:
    """How messages get to each broker."""
    if not states:
        return
    connected = GaugeMetricFamily(
        "streamreid_messages_connected", "1 while a broker takes messages.", labels=["broker"]
    )
    waiting = GaugeMetricFamily(
        "streamreid_messages_waiting", "Messages in the outbox that a broker does not have.", labels=["broker"]
    )
    oldest = GaugeMetricFamily(
        "streamreid_messages_oldest_seconds", "How long the oldest of these has waited.", labels=["broker"]
    )
    delivered = CounterMetricFamily(
        "streamreid_messages_delivered", "Messages that a broker confirmed.", labels=["broker"]
    )
    failures = CounterMetricFamily(
        "streamreid_messages_failures", "Failed attempts to connect or send.", labels=["broker"]
    )
    lost = CounterMetricFamily(
        "streamreid_messages_lost",
        "Messages that a broker never gets: given_up (outbox full, too old), refused by it, unstored (disk full).",
        labels=["broker", "reason"],
    )
    for state in states:
        connected.add_metric([state.broker], float(state.connected))
        waiting.add_metric([state.broker], state.waiting)
        oldest.add_metric([state.broker], state.oldest_seconds)
        delivered.add_metric([state.broker], state.delivered)
        failures.add_metric([state.broker], state.failures)
        for reason in ("given_up", "refused", "unstored"):
            lost.add_metric([state.broker, reason], getattr(state, reason))
    yield from (connected, waiting, oldest, delivered, failures, lost)
