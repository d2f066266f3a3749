"""What a cache says about itself: which detector, engine, settings and files its features come from, and whether they
still fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from streamreid._sections import Strict
from streamreid._version import __version__
from streamreid.config import Config, DetectorConfig
from streamreid.detection import Detector, detector_checksum
from streamreid.errors import DataError, EngineMismatchError
from streamreid.features.similarity import Calibration
from streamreid.reid import Embedder, engine_fingerprint
from streamreid.secrets import redact, redact_data

__all__ = [
    "MANIFEST",
    "Manifest",
    "check_fits",
    "check_models",
    "check_sources",
    "describe",
    "read_manifest",
    "same_inputs",
    "same_schedule",
]

MANIFEST = "manifest.json"
_CAMERA_INPUTS = ("roi", "motion", "stride", "offset", "start_time", "fps", "start", "frames", "repeat", "live")
# How many go through a model at once, and whose features are used. The last is an earlier name of the one before.
_NO_INPUTS = {"batch", "embedding_interval", "look_interval"}


class DetectorMark(Strict):
    """``fingerprint`` covers file, settings, runtime and precision; ``checksum`` the file alone (null if the detector
    was given in code)."""

    name: str
    fingerprint: str
    checksum: str | None


class CalibrationMark(Strict):
    """See ``Calibration``."""

    slope: float
    intercept: float
    source: str
    impostor_mean: float | None = None
    impostor_deviation: float | None = None


class EngineMark(Strict):
    """``named`` tells whether the configuration names this engine (false: given in code)."""

    name: str
    fingerprint: str
    named: bool
    parts: tuple[str, ...]
    dim: int = Field(ge=1)
    calibration: CalibrationMark


class CameraMark(Strict):
    """``parts``: frames in each file part-00000.parquet, part-00001.parquet, ...; ``bytes``: size of the source (null:
    live or a folder)."""

    bytes: int | None
    parts: tuple[int, ...] = ()
    error: str | None = None


class Manifest(Strict):
    """What ``manifest.json`` says: which models, settings and files a cache was made with."""

    schema_: Literal[2, 3, 4] = Field(
        default=4,
        alias="schema",
        description="3: parts say whose features the run used. 4: features are bytes instead of lists.",
    )
    streamreid: str
    complete: bool = False
    settings: str = Field(description="Hash of every setting that changes detections or features.")
    config: dict[str, Any]
    detector: DetectorMark
    engine: EngineMark
    cameras: dict[str, CameraMark]

    @property
    def calibration(self) -> Calibration:
        """From similarity to probability, as the engine had it."""
        return Calibration(**self.engine.calibration.model_dump())

    @property
    def frames(self) -> int:
        """Stored frames of all cameras."""
        return sum(sum(camera.parts) for camera in self.cameras.values())

    @property
    def key(self) -> str:
        """Hash that every part carries, so that parts of different caches are not mixed."""
        names = [
            self.settings,
            self.detector.fingerprint,
            self.engine.fingerprint,
            *(f"{n} {c.bytes}" for n, c in self.cameras.items()),
        ]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _inputs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that change detections or features, of a configuration as JSON. Where a source lies does not; how it is
    read does."""
    data: dict[str, Any] = {
        name: {k: v for k, v in config[name].items() if k not in _NO_INPUTS} for name in ("detector", "engine")
    }
    if data["detector"].get("classes", 0) is None:  # what earlier caches store as [0]
        data["detector"]["classes"] = [0]
    data["cameras"] = {
        camera["name"]: {k: camera[k] for k in _CAMERA_INPUTS if k in camera and (k != "start_time" or camera[k])}
        for camera in config["cameras"]
    }
    return data


def same_schedule(manifest: Manifest, asked: Config) -> bool:
    """Whether the settings that decide who is embedded when are those of the stored run, so that its choice can be
    taken from the cache."""
    stored = Config.stored(manifest.config, where=MANIFEST)
    return (stored.tracker.high_score, stored.engine.embedding_interval, stored.engine.feature_bits) == (
        asked.tracker.high_score,
        asked.engine.embedding_interval,
        asked.engine.feature_bits,
    )


def _hash(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _size(uri: str) -> int | None:
    path = Path(uri)
    return path.stat().st_size if path.is_file() else None


def describe(config: Config, detector: Detector, embedder: Embedder, own: DetectorConfig | None) -> Manifest:
    """The manifest of a run that begins.

    Args:
        config: Of the run.
        detector: As opened.
        embedder: As opened.
        own: The detector's configuration; None if the detector was given in code, so that its file is unknown.
    """
    stored = redact_data(json.loads(config.model_dump_json()))
    return Manifest(
        streamreid=__version__,
        settings=_hash(_inputs(stored)),
        config=stored,
        detector=DetectorMark(
            name=detector.name,
            fingerprint=detector.fingerprint,
            checksum=None if own is None else detector_checksum(own),
        ),
        engine=EngineMark(
            name=embedder.name,
            fingerprint=embedder.fingerprint,
            named=engine_fingerprint(config.engine.model, embedder.name) == embedder.fingerprint,
            parts=embedder.parts,
            dim=embedder.dim,
            calibration=CalibrationMark(**asdict(embedder.calibration)),
        ),
        cameras={camera.name: CameraMark(bytes=_size(camera.uri)) for camera in config.cameras},
    )


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``.

    Raises:
        DataError: There is none, it is damaged, or it was edited.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"'{folder}' is no cache: it has no {MANIFEST}. Make one with: streamreid run ... --cache {folder}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"'{path}' is damaged or of another version of streamreid: {'.'.join(map(str, first['loc'])) or 'file'}: "
            f"{first['msg']}. Store the run again with --cache"
        ) from None
    config = Config.stored(manifest.config, where=str(path))
    # The stored values are hashed, not today's reading of them: settings that came later must not make older caches
    # useless.
    if _hash(_inputs(manifest.config)) != manifest.settings or set(manifest.cameras) != {
        c.name for c in config.cameras
    }:
        raise DataError(
            f"'{path}': the settings in it are not those of its hash, so it was changed by hand. Store the run again "
            "with --cache"
        )
    return manifest


def same_inputs(stored: Mapping[str, Any], asked: Config) -> list[str]:
    """What is asked for but was stored otherwise, one sentence each: "detector.size: stored with 640, asked for 960".

    Args:
        stored: The manifest's configuration. Settings that it does not know are not compared.
        asked: The configuration to replay with.
    """
    one, two = _inputs(stored), _inputs(asked.model_dump(mode="json"))
    for side in (one, two):
        side["detector"].pop("model")  # models are compared by their checksums
        side["engine"].pop("model")
        side["engine"].pop("feature_bits", None)  # features are stored as the engine gives them, and rounded later
    if two["detector"].get("size") == "auto":  # no size is asked for, so that of the stored boxes is right
        one["detector"].pop("size", None)
    cameras = [
        f"cameras.{name}: {'not stored' if name in two['cameras'] else 'not asked for'}"
        for name in one["cameras"].keys() ^ two["cameras"].keys()
    ]
    return [*sorted(cameras), *(f"{name}: stored with {a}, asked for {b}" for name, a, b in _differences("", one, two))]


def _differences(name: str, one: Any, two: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        found = [_differences(f"{name}.{key}".lstrip("."), one[key], two[key]) for key in one if key in two]
        return [item for items in found for item in items]
    return [] if one == two else [(name, one, two)]


def check_models(folder: Path, manifest: Manifest, asked: Config) -> None:
    """Detector and engine that are asked for must be those of the cache. What is not on this machine cannot be compared
    and need not be there.

    Raises:
        EngineMismatchError: Another engine, or the engine has changed since.
        DataError: Another detector, or its file has changed since.
    """
    stored = Config.stored(manifest.config, where=str(folder / MANIFEST))
    advice = (
        "Store the run again with --cache, or replay without asking for it (stored with detector "
        f"{manifest.detector.name}, engine {manifest.engine.name})"
    )
    if manifest.engine.named or asked.engine.model != stored.engine.model:
        own = manifest.engine.name if asked.engine.model == stored.engine.model else None
        found = engine_fingerprint(asked.engine.model, own)
        if found is None and asked.engine.model != stored.engine.model:
            raise EngineMismatchError(
                f"cache '{folder}': there is no engine '{asked.engine.model}' to compare with the stored one. {advice}"
            )
        if found is not None and found != manifest.engine.fingerprint:
            raise EngineMismatchError(
                f"cache '{folder}': its features are of engine '{manifest.engine.name}' "
                f"({manifest.engine.fingerprint[:16]}), but engine '{asked.engine.model}' is now {found[:16]}; "
                f"features of different engines cannot be compared. {advice}"
            )
    changed = asked.detector.model != stored.detector.model
    if manifest.detector.checksum is None and not changed:
        return
    found = detector_checksum(asked.detector)
    if (found is None and changed) or (found is not None and found != manifest.detector.checksum):
        raise DataError(
            f"cache '{folder}': its boxes are of detector '{manifest.detector.name}' (checksum "
            f"{str(manifest.detector.checksum)[:16]}), but detector '{asked.detector.model}' is now "
            f"{(found or 'not on this machine')[:19]}. {advice}"
        )


def check_fits(folder: Path, manifest: Manifest, asked: Config) -> None:
    """The cache must hold what a run with this configuration would compute.

    Raises:
        DataError: A setting that changes detections differs, or the detector.
        EngineMismatchError: The engine differs.
    """
    different = same_inputs(manifest.config, asked)
    if different:
        raise DataError(
            f"cache '{folder}' was stored with other settings, so a replay would not be that run:\n  "
            + "\n  ".join(different)
            + (
                "\nOnly tracker, association and output settings can be changed in a replay; for others store the run "
                "again with --cache"
            )
        )
    check_models(folder, manifest, asked)


def check_sources(
    manifest: Manifest, asked: Config, so: str = "no video can be drawn. Leave out --video and --mosaic"
) -> None:
    """Where pictures are wanted, the sources must be there and as long as they were.

    Args:
        manifest: Of the cache.
        asked: The configuration that names the sources.
        so: What cannot be done without, and what to do.

    Raises:
        DataError: One is missing or has changed.
    """
    for camera in asked.cameras:
        size = manifest.cameras[camera.name].bytes
        if size is None and Path(camera.uri).is_dir():
            continue
        if size is None or _size(camera.uri) != size:
            reason = (
                "is live, or a folder that is gone"
                if size is None
                else f"has changed or is gone (stored: {size} bytes, now: {_size(camera.uri)})"
            )
            raise DataError(
                f"camera '{camera.name}': a cache has no pictures, and the source {redact(camera.uri)} {reason}, so "
                f"{so}"
            )
