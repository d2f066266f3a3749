"""A look at everything before a run: every camera, the detector, the engine, and what to expect of them together on
this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamreid.cameras.capture_times import mixing_problems
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.cameras.region_of_interest import inside
from streamreid.config import Config, MessagesConfig
from streamreid.detection import Detector
from streamreid.errors import ConfigError, StreamReIDError
from streamreid.features.similarity import SiteCalibration
from streamreid.messages.factory import make_brokers
from streamreid.pipeline.detectors import open_detectors
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.ground_plane import check_calibration, load_calibrations
from streamreid.pipeline.known_adaptation import known_adaptation
from streamreid.pipeline.plausibility import PlausibilityChecks
from streamreid.pipeline.recordings_again import read_once
from streamreid.reid import Embedder, open_embedder
from streamreid.runs.camera_check import MEMORY, CameraCheck, CameraProbe
from streamreid.runs.throughput_forecast import Forecast, forecast
from streamreid.secrets import redact
from streamreid.sources import is_live, with_kinds
from streamreid.tracking import Tracker
from streamreid.types import Frame

__all__ = ["BrokerCheck", "Diagnosis", "ModelCheck", "examine"]

_WARM = 3
"""Frames per camera that warm caches up before times are taken."""

_SETTLED = 1.0
"""Seconds after which most people have been looked at as often as newcomers are."""


@dataclass(slots=True)
class ModelCheck:
    """The detector or the engine, or what its features are adapted with.

    Args:
        role: detector, engine or adaptation.
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
    return [_check_broker(config.messages, name) for name in config.messages.brokers]


def _check_broker(config: MessagesConfig, name: str) -> BrokerCheck:
    check = BrokerCheck(name)
    others = {other: None for other in config.brokers if other != name}
    try:
        (broker,) = make_brokers(config.model_copy(update=others), config.site or "doctor", trial=True)
    except StreamReIDError as error:  # its client library is missing
        check.error = redact(error)
        return check
    began = time.monotonic()
    try:
        broker.open()
        broker.check()
        check.milliseconds = 1000 * (time.monotonic() - began)
    except Exception as error:  # also what no client library documents
        check.error = redact(error)
    finally:
        broker.close()
    return check


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
    probes = [CameraProbe(camera) for camera in config.cameras]
    for probe in probes:
        probe.share = MEMORY / len(probes)
    tell(f"looking at {len(probes)} cameras for {seconds:g} s")
    with ThreadPoolExecutor(max(1, len(probes))) as pool:
        list(pool.map(CameraProbe.open, probes))
        list(pool.map(lambda p: p.watch(seconds), probes))
        for name, why in mixing_problems(config.cameras, window=config.association.window).items():
            check = next(p.check for p in probes if p.config.name == name)
            check.error = check.error or why
        config = _without_wrong_calibrations(config, probes)
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
            list(pool.map(CameraProbe.close, probes))
    return diagnosis


def _without_wrong_calibrations(config: Config, probes: list[CameraProbe]) -> Config:
    """The configuration with calibrations that can be used; of the others their cameras tell."""
    usable = []
    for camera, probe in zip(config.cameras, probes, strict=True):
        try:
            check_calibration(camera)
            usable.append(camera)
        except ConfigError as error:
            usable.append(camera.model_copy(update={"calibration": None}))
            probe.check.error = probe.check.error or redact(error).removeprefix(f"camera '{camera.name}': ")
    return config.model_copy(update={"cameras": tuple(usable)})


def _warn_of_one_reading(config: Config, probes: list[CameraProbe]) -> None:
    live = any(is_live(camera) for camera in config.cameras)
    for probe in probes:
        why = "some cameras are live" if live else read_once(probe.config)
        if why:
            probe.check.warnings.append(f"no second looks (association.second_looks): {why}")


def _warn_of_dates(config: Config, probes: list[CameraProbe]) -> None:
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
        models[0].error = _without_name(redact(error), config.detector.model)
    try:
        embedder = open_embedder(config.engine)
        models[1].name = _described(embedder)
    except StreamReIDError as error:
        models[1].error = _without_name(redact(error), config.engine.model)
    if config.association.adaptation is not None and embedder is not None:
        models.append(_adaptation(config, config.association.adaptation, embedder))
    return detector, embedder, models


def _adaptation(config: Config, file: str, embedder: Embedder) -> ModelCheck:
    """What the features are adapted with (``association.adaptation``)."""
    check = ModelCheck("adaptation", file)
    try:
        known_adaptation(config, EngineDescription.of(embedder))
    except StreamReIDError as error:
        check.error = redact(error).removeprefix("association.adaptation: ")
    return check


def _without_name(error: str, model: str) -> str:
    """A model's error where role and name are said before it."""
    return re.sub(rf"^((detector|engine)( bundle)? '?{re.escape(model)}'?: )+", "", error)


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
