"""A look at everything before a run: every camera, the detector, the engine, and what to expect of them together on
this machine."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamreid.cameras.capture_times import mixing_problems
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.cameras.region_of_interest import inside
from streamreid.config import CameraConfig, Config
from streamreid.detection import Detector
from streamreid.errors import StreamReIDError
from streamreid.features.similarity import SiteCalibration
from streamreid.messages.factory import make_brokers
from streamreid.pipeline.detectors import open_detectors
from streamreid.pipeline.ground_plane import load_calibrations
from streamreid.pipeline.plausibility import PlausibilityChecks
from streamreid.pipeline.recordings_again import read_once
from streamreid.reid import Embedder, open_embedder
from streamreid.runs.throughput_forecast import Forecast, forecast
from streamreid.secrets import redact
from streamreid.sources import FrameSource, LiveSource, PrefetchReader, is_live, open_source, with_kinds
from streamreid.sources.kinds import ended_recording
from streamreid.tracking import Tracker
from streamreid.types import Frame

__all__ = ["BrokerCheck", "CameraCheck", "Diagnosis", "ModelCheck", "examine", "examine_camera"]

_KEPT = 40
"""Frames of each camera on which inference is measured, at most."""

_MEMORY = 400e6
"""Bytes of frames of all cameras that are kept."""

_WARM = 3
"""Frames per camera that warm caches up before times are taken."""

_SETTLED = 1.0
"""Seconds after which most people have been looked at as often as newcomers are."""


@dataclass(slots=True)
class CameraCheck:
    """One camera.

    Args:
        name: Its name.
        uri: Its address without password.
        live: Whether its frames are lost when nobody takes them.
        error: Why it cannot be used, or None.
        first_frame: Seconds until the first frame.
        size: Width and height.
        rate: Frames per second that come, after the stride; of files what their time stamps say.
        clock: Where capture times come from.
        delay: Median seconds from capture to arrival, of live cameras.
        people: People per frame.
        warnings: What was met.
    """

    name: str
    uri: str
    live: bool
    error: str | None = None
    first_frame: float | None = None
    size: tuple[int, int] | None = None
    rate: float = 0.0
    clock: str | None = None
    delay: float = 0.0
    people: float = 0.0
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ModelCheck:
    """The detector or the engine.

    Args:
        role: detector or engine.
        name: Which, and on what it runs.
        reading: Of a detector, how it is fed and what its outputs are taken for; None where nothing was to be decided
            (boxes from files, .pt).
        error: Why it cannot be used, or None.
        warnings: What was noticed.
        milliseconds: Per frame, measured on the cameras' pictures while all of them are decoded.
    """

    role: str
    name: str
    reading: str | None = None
    error: str | None = None
    milliseconds: float | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class BrokerCheck:
    """A broker that messages go to.

    Args:
        name: Its key in the YAML: mqtt, kafka, nats, redis, webhook.
        error: Why it takes no messages, or None.
        milliseconds: Until it was connected and logged in.
    """

    name: str
    error: str | None = None
    milliseconds: float | None = None


def check_brokers(config: Config) -> list[BrokerCheck]:
    """Connect to every broker of a configuration, and log in; no message is sent."""
    site = config.messages.site or "doctor"
    checks = []
    try:
        brokers = make_brokers(config.messages, site, trial=True)
    except StreamReIDError as error:  # a client library is missing
        return [BrokerCheck(name, redact(error)) for name in config.messages.brokers]
    for broker in brokers:
        check = BrokerCheck(broker.name)
        began = time.monotonic()
        try:
            broker.open()
            broker.check()
            check.milliseconds = 1000 * (time.monotonic() - began)
        except Exception as error:  # also what no client library documents
            check.error = redact(error)
        finally:
            broker.close()
        checks.append(check)
    return checks


@dataclass(slots=True)
class Diagnosis:
    """Everything that was found.

    Args:
        cameras: One by one.
        models: Detector and engine.
        follow_milliseconds: Tracking per frame.
        brokers: Where messages go.
        expected: What a run will be like; None without a camera or a detector, and where no camera is live.
    """

    cameras: list[CameraCheck]
    models: list[ModelCheck]
    follow_milliseconds: float | None = None
    expected: Forecast | None = None
    brokers: list[BrokerCheck] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether everything can be used."""
        failed = [c.error for c in self.cameras] + [m.error for m in self.models] + [b.error for b in self.brokers]
        return not any(failed)


class _Probe:
    """One camera that is read for the diagnosis, in a thread of its own."""

    def __init__(self, config: CameraConfig) -> None:
        self.check = CameraCheck(config.name, redact(config.uri), is_live(config))
        self.frames: deque[Frame] = deque(maxlen=_KEPT)
        self.share = _MEMORY
        self.config = config
        self.reader: PrefetchReader | None = None
        self._source: FrameSource | None = None
        self._ended = False

    def open(self) -> None:
        """Connect, once, and wait for the first frame."""
        began = time.monotonic()
        try:
            # One attempt: what fails now is to be said now.
            self._source = open_source(self.config.model_copy(update={"reconnect": 0, "paused": False}))
            self.reader = PrefetchReader(self._source, capacity=4, latest=self.check.live)
            frame = self.reader.get(timeout=2 * self.config.connect_timeout + self.config.timeout)
            if frame is None:
                self.check.error = redact(self.reader.error or "gives no frame").removeprefix(
                    f"camera '{self.config.name}': "
                )
                return
            self.check.first_frame = time.monotonic() - began
            self.frames = deque([frame], maxlen=int(np.clip(self.share / frame.image.nbytes, 4, _KEPT)))
        except TimeoutError:
            self.check.error = "gives no frame in time. Check the camera"
        except StreamReIDError as error:
            self.check.error = redact(error).removeprefix(f"camera '{self.config.name}': ")

    def watch(self, seconds: float) -> None:
        """Look at what comes for a while."""
        if self.check.error is not None or self.reader is None:
            return
        deadline = time.monotonic() + seconds
        delays: list[float] = []
        indices: list[int] = []
        times: list[float] = []
        try:
            while (left := deadline - time.monotonic()) > 0 and (self.check.live or len(times) < _KEPT):
                frame = self.reader.get(timeout=left)
                if frame is None:
                    self._ended = True
                    break
                self.frames.append(frame)
                delays.append(time.time() - frame.time)
                indices.append(frame.index)
                times.append(frame.time)
        except TimeoutError:
            pass
        self._conclude(delays, indices, times)

    def _conclude(self, delays: list[float], indices: list[int], times: list[float]) -> None:
        check, newest = self.check, self.frames[-1]
        check.size, check.clock = newest.size, newest.clock
        if len(times) > 1 and times[-1] > times[0]:
            # By frame number: those that were not taken in time came nevertheless. Numbers of recordings may have gaps.
            came = (indices[-1] - indices[0]) / self.config.stride if check.live else len(times) - 1
            check.rate = came / (times[-1] - times[0])
        check.delay = max(0.0, float(np.median(delays))) if delays and check.live else 0.0
        if self.reader is not None and self.reader.error is not None:
            check.error = redact(self.reader.error)
        if self._source is not None:
            check.warnings = [redact(w) for w in self._source.warnings]
        said = ended_recording(self.config) if check.live and self._ended and check.error is None else ""
        if said:
            check.warnings.append(said)
        elif check.live and not times:
            check.error = check.error or "one frame came, then nothing. Check the camera"
        if isinstance(self._source, LiveSource) and self._source.status.corrupt:
            check.warnings.append(f"{self._source.status.corrupt} damaged packets; check the network")

    def close(self) -> None:
        """Close the connection; a read that waits returns."""
        if self.reader is not None:
            self.reader.stop()


def examine_camera(config: CameraConfig, *, seconds: float = 3.0) -> tuple[CameraCheck, Frame | None]:
    """Test one camera alone: whether it can be opened, how large and how frequent its pictures are, how late.

    Args:
        config: The camera.
        seconds: How long to look at it once the first frame is there.

    Returns:
        What was found, and the newest frame; None where there is none.
    """
    (config,) = with_kinds([config])
    probe = _Probe(config)
    probe.open()
    try:
        probe.watch(seconds)
        return probe.check, probe.frames[-1] if probe.frames else None
    finally:
        probe.close()


def examine(
    config: Config, *, seconds: float = 5.0, say: Callable[[str], None] | None = None, serving: bool = False
) -> Diagnosis:
    """Test every camera, the detector and the engine, and predict frame rates and ages.

    Args:
        config: A run's.
        seconds: How long to look at each camera; all at the same time.
        say: Told what is being done.
        serving: Also warn of what `streamreid serve` would refuse and a run of recordings does not.
    """
    tell = say or (lambda _: None)
    config = config.model_copy(update={"cameras": with_kinds(config.cameras)})
    brokers = check_brokers(config) if config.messages.brokers else []
    tell("opening detector and engine")
    detector, embedder, models = _open(config)
    probes = [_Probe(camera) for camera in config.cameras]
    for probe in probes:
        probe.share = _MEMORY / len(probes)
    tell(f"looking at {len(probes)} cameras for {seconds:g} s")
    with ThreadPoolExecutor(max(1, len(probes))) as pool:
        list(pool.map(_Probe.open, probes))
        list(pool.map(lambda p: p.watch(seconds), probes))
        for name, why in mixing_problems(config.cameras, window=config.association.window).items():
            check = next(p.check for p in probes if p.config.name == name)
            check.error = check.error or why
        if serving:
            _warn_of_dates(config, probes)
        if config.association.second_looks:
            _warn_of_one_reading(config, probes)
        diagnosis = Diagnosis([p.check for p in probes], models, brokers=brokers)
        try:
            frames = {p.config.name: list(p.frames) for p in probes if p.frames}
            if detector is not None and embedder is not None and frames:
                tell("measuring inference on their pictures")
                _measure(config, detector, embedder, frames, diagnosis)
        except StreamReIDError as error:
            models[0].error = redact(error)
        finally:
            list(pool.map(_Probe.close, probes))
    return diagnosis


def _warn_of_one_reading(config: Config, probes: list[_Probe]) -> None:
    live = any(is_live(camera) for camera in config.cameras)
    for probe in probes:
        why = "some cameras are live" if live else read_once(probe.config)
        if why:
            probe.check.warnings.append(f"no second looks (association.second_looks): {why}")


def _warn_of_dates(config: Config, probes: list[_Probe]) -> None:
    if not any(is_live(camera) for camera in config.cameras):
        undated = mixing_problems(config.cameras, window=config.association.window, serving=True)
        for probe in probes:
            if probe.config.name in undated:
                probe.check.warnings.append(f"`streamreid serve` refuses it: {undated[probe.config.name]}")


def _open(config: Config) -> tuple[Detector | None, Embedder | None, list[ModelCheck]]:
    detector: Detector | None = None
    embedder: Embedder | None = None
    models = [ModelCheck("detector", config.detector.model), ModelCheck("engine", config.engine.model)]
    try:
        detector = open_detectors(config)
        models[0].name = _described(detector)
        models[0].reading = _reading(detector)
    except StreamReIDError as error:
        models[0].error = redact(error)
    try:
        embedder = open_embedder(config.engine)
        models[1].name = _described(embedder)
    except StreamReIDError as error:
        models[1].error = redact(error)
    return detector, embedder, models


def _reading(detector: Detector) -> str | None:
    decision = getattr(detector, "decision", None)
    return None if decision is None else str(decision)


def _described(model: Any) -> str:
    how = [getattr(model, key) for key in ("runtime", "precision") if isinstance(getattr(model, key, None), str)]
    return f"{model.name} ({' '.join(how)})" if how and how[0] != "none" else str(model.name)


def _measure(
    config: Config, detector: Detector, embedder: Embedder, frames: dict[str, list[Frame]], diagnosis: Diagnosis
) -> None:
    """Take the kept frames through detection, looks and tracking as a run would, frame by frame, and note what each
    takes."""
    scheduler = EmbeddingScheduler(config)
    calibration = SiteCalibration(embedder.calibration)
    trackers = {name: Tracker(config.tracker, calibration) for name in frames}
    rois = {c.name: c.roi for c in config.cameras}
    checks = {c.name: c for c in diagnosis.cameras}
    spent: list[tuple[float, float, float]] = []
    settled: list[bool] = []
    order: Sequence[Frame] = sorted((f for kept in frames.values() for f in kept), key=lambda f: f.time)
    for frame in order[:_WARM]:
        embedder([frame], detector([frame]))
    first_minute = PlausibilityChecks(config.tracker.high_score, embedder.name, load_calibrations(config))
    findings: list[tuple[str, str]] = []
    for frame in order:
        marks = [time.perf_counter()]
        found = detector([frame])[0]
        found = found[inside(found.boxes, rois[frame.camera], frame.size)]
        marks.append(time.perf_counter())
        rows = np.sort(scheduler.due(frame.camera, found, frame.time, frame.size))
        scheduler.record(frame.camera, rows)
        looks = embedder([frame], [found[rows]])[0]
        marks.append(time.perf_counter())
        trackers[frame.camera].update(found[rows], looks, frame.time, size=frame.size)
        marks.append(time.perf_counter())
        spent.append((marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]))
        picture = frame.image if frame.has_image else None
        findings += first_minute.observe(frame.camera, frame.time, found[rows], looks, frame.size, image=picture)
        settled.append(frame.time - frames[frame.camera][0].time >= _SETTLED)
        checks[frame.camera].people += float((found.scores >= config.tracker.high_score).sum()) / len(
            frames[frame.camera]
        )
    for camera, sentence in findings + first_minute.finish(getattr(detector, "best_scores", {})):
        (checks[camera].warnings if camera else diagnosis.models[1].warnings).append(sentence)
    chosen = np.array(spent)[settled] if sum(settled) >= _WARM else np.array(spent)
    detect, embed, follow = (float(v) for v in chosen.mean(axis=0))
    diagnosis.models[0].milliseconds, diagnosis.models[1].milliseconds = 1000 * detect, 1000 * embed
    diagnosis.follow_milliseconds = 1000 * follow
    live = {c.name: c for c in diagnosis.cameras if c.live and not c.error and c.rate > 0}
    if live:
        diagnosis.expected = forecast(
            {name: c.rate for name, c in live.items()},
            {name: c.delay for name, c in live.items()},
            detect + embed,
            turn_seconds=config.live.turn_seconds,
            batch=config.detector.batch,
        )
