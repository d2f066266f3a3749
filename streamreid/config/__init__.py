"""The YAML a user writes, as strict models: every key is known, every value has a range, every mistake is named with
its line.

``load_config`` reads a file, ``streamreid config schema`` prints the JSON schema, ``streamreid config check`` only
looks. Secrets come from the environment (``${CAM1_PASSWORD}``); ``redact`` removes them from everything that is printed
or written.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from streamreid._sections import Section, level_of
from streamreid._yaml import Lines, Location, find_mistakes, in_words, read_yaml, validate
from streamreid.camera_names import camera_name
from streamreid.config.association import AssociationConfig, LinkConfig, TopologyConfig, missing_cameras
from streamreid.config.calibration import CalibrationConfig, GroundConfig
from streamreid.config.camera import CameraConfig
from streamreid.config.certificates import find_certificates
from streamreid.config.changes import change_settings, with_present_names
from streamreid.config.cluster import ClusterConfig, PlacementRule
from streamreid.config.gallery import GalleryConfig
from streamreid.config.live import LiveConfig, ServerConfig
from streamreid.config.messages import MessagesConfig
from streamreid.config.models import DetectorConfig, EngineConfig, Precision, RuntimeChoice, RuntimeName
from streamreid.config.output import Blur, OutputConfig, RotateConfig
from streamreid.config.place_checks import contradictions
from streamreid.config.places import AlertConfig, LineConfig, ZoneConfig
from streamreid.config.tracker import TrackerConfig
from streamreid.errors import ConfigError
from streamreid.secrets import HIDDEN

__all__ = [
    "AlertConfig",
    "AssociationConfig",
    "CalibrationConfig",
    "CameraConfig",
    "ClusterConfig",
    "Config",
    "DetectorConfig",
    "EngineConfig",
    "GalleryConfig",
    "GroundConfig",
    "LineConfig",
    "LinkConfig",
    "LiveConfig",
    "MessagesConfig",
    "OutputConfig",
    "PlacementRule",
    "Precision",
    "Reading",
    "RotateConfig",
    "RuntimeChoice",
    "RuntimeName",
    "ServerConfig",
    "TopologyConfig",
    "TrackerConfig",
    "ZoneConfig",
    "load_config",
    "read_config",
]


log = logging.getLogger(__name__)


class Config(Section):
    """A whole run: its cameras and every setting, checked.

    Example:
        >>> from streamreid import Config
        >>> config = Config.from_sources("entrance.mp4", "hall.mp4")
        >>> config.with_settings({"tracker.delay": 2, "cameras.stride": 3}).tracker.delay
        2.0
        >>> config.with_settings({"tracker.dealy": 2})
        Traceback (most recent call last):
        streamreid.errors.ConfigError: settings: unknown key 'tracker.dealy'; did you mean 'delay'?
    """

    cameras: tuple[CameraConfig, ...] = Field(min_length=1, description="The cameras.")
    detector: DetectorConfig = DetectorConfig()
    engine: EngineConfig = EngineConfig()
    tracker: TrackerConfig = TrackerConfig()
    association: AssociationConfig = AssociationConfig()
    ground: GroundConfig = GroundConfig()
    gallery: GalleryConfig = GalleryConfig()
    topology: TopologyConfig | None = Field(
        default=None, description="The camera graph; empty: nothing is known of it."
    )
    live: LiveConfig = LiveConfig()
    server: ServerConfig = ServerConfig()
    cluster: ClusterConfig = ClusterConfig()
    output: OutputConfig = OutputConfig()
    zones: tuple[ZoneConfig, ...] = Field(default=(), max_length=1000, description="Where people are counted.")
    lines: tuple[LineConfig, ...] = Field(default=(), max_length=1000, description="What people cross.")
    alerts: tuple[AlertConfig, ...] = Field(default=(), max_length=1000, description="What is told when it happens.")
    messages: MessagesConfig = MessagesConfig()

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        cameras = data.get("cameras") if isinstance(data, dict) else None
        if not isinstance(cameras, list | tuple):
            return data
        taken = [str(camera["name"]) for camera in cameras if isinstance(camera, dict) and "name" in camera]
        named = []
        for camera in cameras:
            uri = camera.get("uri", camera.get("source")) if isinstance(camera, dict) and "name" not in camera else None
            named.append(camera if uri is None else {"name": camera_name(str(uri), taken), **camera})
        return {**data, "cameras": named}

    @field_validator("cameras")
    @classmethod
    def _unique(cls, cameras: tuple[CameraConfig, ...]) -> tuple[CameraConfig, ...]:
        names = [c.name for c in cameras]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ValueError(f"camera names must be unique; used more than once: {', '.join(twice)}")
        return cameras

    def contradictions(self) -> Iterable[tuple[Location, str]]:
        """Zones, lines and alerts that do not fit the rest, and brokers without an address."""
        yield from contradictions(self.cameras, self.zones, self.lines, self.alerts, calibration=self.ground.enabled)
        for location, text in self.messages.contradictions():
            yield ("messages", *location), text

    @property
    def page_blur(self) -> Blur:
        """What is made unrecognisable in pictures of the page (``server.blur``), as far as there is one."""
        if self.server.listen is None or not self.server.page:
            return "none"
        return self.server.blur or self.output.blur

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, where: str = "configuration") -> Config:
        """Check a dictionary.

        Raises:
            ConfigError: Names every wrong key (with the nearest right one) and value.
        """
        return validate(cls, data, where=where)

    @classmethod
    def stored(cls, data: dict[str, Any], *, where: str = "configuration") -> Config:
        """Check a configuration that results keep without its secrets. ``messages`` and ``server`` are left out
        where a secret is missing in them: what remains of an address may be none. Features of runs that do not say how
        many bits they had were not rounded.

        Raises:
            ConfigError: As `from_dict`.
        """
        lacking = {name for name in ("messages", "server") if HIDDEN in str(data.get(name))}
        kept = {name: section for name, section in data.items() if name not in lacking}
        if isinstance(engine := data.get("engine"), dict):
            kept["engine"] = {"feature_bits": 32, **engine}
        return cls.from_dict(kept, where=where)

    @classmethod
    def from_sources(cls, *sources: str | Path, **sections: Any) -> Config:
        """A configuration for some sources, which are named after their files.

        Args:
            sources: Videos, folders of pictures, addresses or webcam numbers.
            sections: Those of the YAML: ``tracker={"delay": 2}``.

        Raises:
            ConfigError: No source, or a wrong key or value.
        """
        if not sources:
            raise ConfigError("no source given: pass at least one video, folder of images, address or webcam number")
        names: list[str] = []
        cameras = [{"name": camera_name(str(s), names), "uri": str(s)} for s in sources]
        return cls.from_dict({"cameras": cameras, **sections})

    def with_settings(self, changes: Mapping[str, Any], *, where: str = "settings") -> Config:
        """A copy with single settings changed, checked as a whole.

        Args:
            changes: Value by dotted key: ``{"tracker.delay": 2, "output.rotate.keep": 7}``. ``cameras.stride`` is the
                stride of every camera.
            where: Where they come from, for messages.

        Raises:
            ConfigError: An unknown key (the nearest known one is named), a value out of range, or settings that
                contradict each other.
        """
        return type(self).from_dict(
            change_settings(self.model_dump(), with_present_names(type(self), changes)), where=where
        )


def load_config(path: str | Path) -> Config:
    """Read and check a YAML file; relative camera paths are resolved against its folder.

    Example:
        >>> from pathlib import Path
        >>> from streamreid import load_config
        >>> written = Path("cams.yaml").write_text("cameras: [{name: hall, uri: hall.mp4}]")
        >>> load_config("cams.yaml").cameras[0].name
        'hall'

    Args:
        path: The file.

    Raises:
        ConfigError: The file is missing, is not YAML, names an unset environment variable, or has a wrong key or value
            (line and nearest right key given).
    """
    reading = read_config(path)
    if reading.mistakes or reading.config is None:
        raise ConfigError(in_words(reading.mistakes, str(path)))
    _warn_of_experiments(reading.config, str(path))
    return reading.config


@dataclass(frozen=True, slots=True)
class Reading:
    """A cameras file, as far as it can be understood.

    Args:
        config: Its paths are resolved. Sections with mistakes have their defaults, cameras with mistakes are left out
            (where none is left, one stands in for them); None where not even that can be said.
        mistakes: One sentence each, with line and key.
        cameras: Which item of the file's list each of the cameras is; empty where one stands in for them.
        wrong: Names of the sections that hold mistakes.
        lines: Where each key stands.
    """

    config: Config | None
    mistakes: tuple[str, ...]
    cameras: tuple[int, ...]
    wrong: frozenset[str]
    lines: Lines


def read_config(path: str | Path) -> Reading:
    """Read a YAML file and note every mistake in it, also beside others.

    Args:
        path: The file.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not hold sections.
    """
    path = Path(path)
    data, lines = read_yaml(path)
    if isinstance(data, dict) and isinstance(data.get("cameras"), dict):
        raise ConfigError(f"{path}:{lines.get(('cameras',), 1)}: 'cameras' is a list; begin each camera with '- name:'")
    config, mistakes, locations = find_mistakes(Config, data, where=str(path), lines=lines)
    locations += [location for location in lines.unknown if location]
    wrong = frozenset(str(location[0]) for location in locations if location)
    kept = tuple(range(len(config.cameras))) if config is not None else ()
    if locations:
        rest, kept = _what_is_right(data, locations)
        config, left, _ = find_mistakes(Config, rest, where=str(path), lines=lines)
        if config is not None and not wrong & _OF_PLACES:
            mistakes += left
    if config is None:
        return Reading(None, tuple(mistakes), (), wrong, lines)
    if config.topology is not None and not wrong & {"topology", "cameras"}:
        missing = missing_cameras(config.topology, [c.name for c in config.cameras])
        mistakes += [f"{path}:{lines.get(('topology',), 1)}: {text}" for text in missing]
    messages, unusable = find_certificates(config.messages, path, lines)
    changes = {
        "cameras": tuple(_resolved(c, path.parent) for c in config.cameras),
        "messages": messages,
        "association": adaptation_beside(config.association, path),
    }
    return Reading(config.model_copy(update=changes), (*mistakes, *unusable), kept, wrong, lines)


_OF_PLACES = frozenset({"cameras", "zones", "lines", "alerts", "ground", "messages"})
"""Sections that are compared with one another: where one of them is wrong, nothing can be said of the others."""


def _what_is_right(data: dict[str, Any], wrong: Sequence[Location]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The sections without mistakes, and the cameras without mistakes, with their numbers in the list."""
    sections = {location[0] for location in wrong if location}
    rest = {name: section for name, section in data.items() if name not in sections}
    if "cameras" in rest:
        return rest, tuple(range(len(rest["cameras"])))
    cameras = data.get("cameras")
    items = {location[1] for location in wrong if location[:1] == ("cameras",) and len(location) > 1}
    cameras = cameras if isinstance(cameras, list) and items else []
    kept = tuple(i for i in range(len(cameras)) if i not in items)
    rest["cameras"] = [cameras[i] for i in kept] if kept else [{"name": "any", "uri": "any"}]
    return rest, kept


def adaptation_beside(section: AssociationConfig, path: Path) -> AssociationConfig:
    """The section with the adaptation's path resolved against the folder of the YAML file ``path``."""
    if section.adaptation is None:
        return section
    return section.model_copy(update={"adaptation": _resolve(section.adaptation, path.parent)})


def _warn_of_experiments(config: Config, where: str) -> None:
    for name, section in config:
        if isinstance(section, Section):
            fields = type(section).model_fields
            for key in sorted(section.model_fields_set):
                value = getattr(section, key)
                if level_of(fields[key].json_schema_extra) == "experimental" and value != fields[key].default:
                    log.warning(
                        "%s: %s.%s is for comparisons only; it may change or go with any version", where, name, key
                    )


def _resolved(camera: CameraConfig, folder: Path) -> CameraConfig:
    update: dict[str, Any] = {"uri": _resolve(camera.uri, folder)}
    if camera.calibration is not None and camera.calibration.file is not None:
        files = {
            n: _resolve(f, folder) for n in ("file", "intrinsics") if (f := getattr(camera.calibration, n)) is not None
        }
        update["calibration"] = camera.calibration.model_copy(update=files)
    return camera.model_copy(update=update)


def _resolve(uri: str, folder: Path) -> str:
    if "://" in uri or (uri.isdigit() and not (folder / uri).exists()):
        return uri
    path = Path(uri).expanduser()
    return str(path if path.is_absolute() else folder / path)
