"""The YAML a user writes, as strict models: every key is known, every value has a range, every mistake is named with
its line.

``load_config`` reads a file, ``streamreid config schema`` prints the JSON schema, ``streamreid config check`` only
looks. Secrets come from the environment (``${CAM1_PASSWORD}``); ``redact`` removes them from everything that is printed
or written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from streamreid._association_settings import AssociationConfig, LinkConfig, TopologyConfig, check_cameras
from streamreid._calibration_settings import CalibrationConfig, GroundConfig
from streamreid._camera_checks import FARTHEST_PIXEL, LATEST, MOST_FRAMES, checked_uri, checked_wait
from streamreid._model_settings import DetectorConfig, EngineConfig, Precision, RuntimeChoice, RuntimeName
from streamreid._output_settings import OutputConfig, RotateConfig
from streamreid._sections import Section
from streamreid._settings_changes import change_settings
from streamreid._token import checked_token
from streamreid._yaml import read_yaml, validate
from streamreid.addresses import check_address
from streamreid.camera_names import LONGEST_NAME, NAME_PATTERN, camera_name, legal_name
from streamreid.errors import ConfigError
from streamreid.secrets import redact, remember_address

__all__ = [
    "AssociationConfig",
    "CalibrationConfig",
    "CameraConfig",
    "Config",
    "DetectorConfig",
    "EngineConfig",
    "GalleryConfig",
    "GroundConfig",
    "LinkConfig",
    "LiveConfig",
    "OutputConfig",
    "Precision",
    "RotateConfig",
    "RuntimeChoice",
    "RuntimeName",
    "ServerConfig",
    "TopologyConfig",
    "TrackerConfig",
    "load_config",
]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Pixels = Annotated[int, Field(ge=1, le=65_535)]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _legal(name: Any) -> Any:
    if isinstance(name, str) and name and len(name) <= LONGEST_NAME and not re.match(NAME_PATTERN, name):
        raise ValueError(
            "names are made of the letters A to Z, digits, '_', '.' and '-', and begin with a letter or digit: "
            f"{legal_name(name)}"
        )
    return name


def _as_word(value: Any) -> Any:
    # To YAML, on and off are truth values.
    return ("off", "on")[value] if isinstance(value, bool) else value


def _without_name(schema: dict[str, Any]) -> None:
    """In a file a camera's name may be left out: it is made before the camera is checked."""
    schema["required"] = [key for key in schema["required"] if key != "name"]


class CameraConfig(Section):
    """One camera: where its pictures come from and which of them are used."""

    model_config = ConfigDict(json_schema_extra=_without_name)

    name: Annotated[str, BeforeValidator(_legal)] = Field(
        description=(
            "Name in results and messages; unique. Where it is left out, it is made of the file's or folder's name."
        ),
        pattern=NAME_PATTERN,
        max_length=LONGEST_NAME,
    )
    uri: Annotated[str, BeforeValidator(_as_text)] = Field(
        description=(
            "Video file, folder of images, rtsp:// or http(s):// address, or webcam number. Relative paths start at "
            "the YAML's folder."
        ),
        validation_alias=AliasChoices("uri", "source"),
        min_length=1,
    )
    roi: tuple[tuple[float, float], ...] | None = Field(
        default=None,
        max_length=1000,
        description=(
            "Region of interest: polygon of [x, y] corners in pixels, or in fractions of the frame if all are <= 1. "
            "People whose foot point is outside are ignored."
        ),
    )
    motion: Literal["none", "flow", "ecc"] = Field(
        default="none",
        description=(
            "How the motion of a handheld, panning or flying camera is taken out of the tracks: flow follows corners, "
            "ecc (slower) compares whole pictures; none: the camera stands still."
        ),
    )
    stride: int = Field(
        default=1,
        ge=1,
        le=MOST_FRAMES,
        description="Use every n-th frame.",
        validation_alias=AliasChoices("stride", "vid_stride"),
    )
    offset: float = Field(
        default=0.0,
        ge=-LATEST,
        le=LATEST,
        description="Seconds added to the capture times of a file: when it began on the common clock.",
    )
    start_time: datetime | None = Field(
        default=None,
        description=(
            "Date and time at which a recording begins (2026-11-29T10:00:00; UTC, unless it ends in an offset as "
            "+01:00). Its capture times are dates then."
        ),
    )
    fps: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Frame rate where the source has no time stamps (image folders, raw streams).",
    )
    size: tuple[Pixels, Pixels] | None = Field(
        default=None, description="Width and height of the pictures, where the source is only a text file of boxes."
    )
    start: float = Field(default=0.0, ge=0, le=LATEST, description="Seconds of a file to skip at its beginning.")
    frames: int | None = Field(default=None, ge=1, le=MOST_FRAMES, description="Stop after so many used frames.")
    repeat: int = Field(
        default=1, ge=1, le=MOST_FRAMES, description="Play a file so many times; times and frame numbers go on."
    )
    timeout: float = Field(default=10.0, gt=0, description="Seconds without data after which a stream counts as lost.")
    connect_timeout: float = Field(default=5.0, gt=0, description="Seconds to wait for a stream to open.")
    reconnect: int | None = Field(
        default=None,
        ge=0,
        le=MOST_FRAMES,
        description=(
            "Attempts in a row to open a stream or webcam that cannot be opened or was lost, before the camera counts "
            "as failed; empty: for ever, 0: none."
        ),
    )
    reconnect_seconds: float = Field(default=2.0, gt=0, description="Longest wait between two such attempts.")
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="How an RTSP camera sends: udp loses packets where the network does, tcp is late."
    )
    stream: int | None = Field(
        default=None,
        ge=0,
        description=(
            "Which video stream of a file or address that holds several, counted from 0; empty: the one marked as "
            "default, of these the largest, never a cover picture or thumbnail."
        ),
    )
    deinterlace: Annotated[Literal["auto", "on", "off"], BeforeValidator(_as_word)] = Field(
        default="auto",
        description=(
            "Interlaced video: auto makes progressive pictures of what the codec or the container calls interlaced (a "
            "live camera then is one picture later); on does so with every picture, for video that is interlaced "
            "without saying so; off leaves both moments in one picture, with combed edges."
        ),
    )
    low_delay: bool = Field(
        default=True,
        description=(
            "Hand out an RTSP camera's H.264 or H.265 picture when its last piece has come; false waits for the next "
            "picture to begin, as FFmpeg does."
        ),
    )
    paused: bool = Field(default=False, description="Do not read this camera for the time being.")
    live: bool | None = Field(
        default=None,
        description=(
            "true: play a recording at its own speed, as if it were a camera; false: read every frame, as of a "
            "recording. Empty: files, folders, and what has an end by HTTP are recordings, other addresses and "
            "webcams are cameras."
        ),
    )

    calibration: CalibrationConfig | None = Field(
        default=None,
        description=(
            "Where pixels lie on the ground: a file, a matrix or points. All calibrated cameras share one world."
        ),
    )

    @field_validator("uri")
    @classmethod
    def _address(cls, uri: str) -> str:
        remember_address(uri)
        return checked_uri(check_address(uri))

    @field_validator("timeout", "connect_timeout", "reconnect_seconds")
    @classmethod
    def _in_seconds(cls, seconds: float) -> float:
        return checked_wait(seconds)

    @field_validator("roi")
    @classmethod
    def _polygon(cls, roi: tuple[tuple[float, float], ...] | None) -> tuple[tuple[float, float], ...] | None:
        if roi is not None and len(roi) < 3:
            raise ValueError(f"a region of interest needs at least 3 corners, got {len(roi)}")
        if roi is not None and max(abs(v) for corner in roi for v in corner) > FARTHEST_PIXEL:
            raise ValueError(f"corners are pixels, or fractions of the frame; none is beyond {FARTHEST_PIXEL}")
        return roi

    @field_validator("start_time")
    @classmethod
    def _utc(cls, start: datetime | None) -> datetime | None:
        return start.replace(tzinfo=timezone.utc) if start is not None and start.tzinfo is None else start

    @property
    def begin(self) -> float:
        """Capture time of a recording's first picture in seconds: UTC where it has a ``start_time``, else on the common
        clock of the recordings."""
        return self.offset + (self.start_time.timestamp() if self.start_time is not None else 0.0)

    def __repr__(self) -> str:
        return f"CameraConfig(name={self.name!r}, uri={redact(self.uri)!r})"

    __str__ = __repr__


class TrackerConfig(Section):
    """Tracks inside one camera. Scores in [0, 1], times in seconds."""

    high_score: Fraction = Field(
        default=0.5,
        description="Boxes from this score on are assigned first.",
        validation_alias=AliasChoices("high_score", "track_high_thresh"),
    )
    low_score: Fraction = Field(
        default=0.1,
        description="Boxes from this score on get a second chance with tracks that found none.",
        validation_alias=AliasChoices("low_score", "track_low_thresh"),
    )
    new_score: Fraction = Field(
        default=0.5,
        description="Boxes from this score on may begin a track.",
        validation_alias=AliasChoices("new_score", "new_track_thresh"),
    )
    confirm_frames: int = Field(default=3, ge=1, description="Observations before a track is reported.")
    confirm_seconds: float = Field(
        default=0.15, ge=0, description="Time from the first to the last of those observations, at least."
    )
    lost_seconds: float = Field(
        default=15.0, ge=0, description="How long a lost track may be found again by place and looks."
    )
    exit_seconds: float = Field(
        default=0.5, ge=0, description="The same for one who left through the border of the picture."
    )
    blind_seconds: float = Field(default=2.0, ge=0, description="The same by place alone, where no looks are known.")
    delay: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description=(
            "Hand out results so many seconds of capture time later, and better: short gaps are filled, people are "
            "shown from their first moment, and a new track may turn out to be an old one. Pictures wait in memory."
        ),
    )
    rejoin_seconds: float | None = Field(
        default=None,
        ge=0,
        description="How long a new track may still turn out to be a lost one; empty: as long as results are delayed.",
    )
    coast_seconds: float = Field(
        default=0.2,
        ge=0,
        description="How long a person missed by the detector is reported where motion predicts them.",
    )
    match_iou: Fraction = Field(
        default=0.1, description="Least overlap of predicted and detected box in the first assignment."
    )
    second_iou: Fraction = Field(default=0.4, description="Least overlap in the second assignment (low scores).")
    overlap_buffer: float = Field(
        default=1.0, ge=0, description="How far boxes are enlarged by the doubt about the motion; 0 is plain overlap."
    )
    height_overlap: bool = Field(
        default=True,
        description="Let boxes of different heights overlap less: people at different depths differ in it.",
    )
    truncation: bool = Field(
        default=True, description="Take a box that is suddenly lower or narrower for the visible part of the person."
    )
    appearance_weight: Fraction = Field(
        default=0.8, description="Weight of looks against overlap in the first assignment; 0 is motion only."
    )
    appearance_gate: Fraction = Field(default=0.05, description="Least probability by looks for a match by overlap.")
    recover_probability: Fraction = Field(
        default=0.8, description="Least probability by looks to find a lost track again without overlap; 1 never does."
    )
    prototypes: int = Field(default=3, ge=1, le=16, description="Views kept per body part of each track.")
    occlusion: bool = Field(
        default=True, description="Trust looks less, and learn less, the more of a person somebody nearer hides."
    )
    ghost_score: Fraction = Field(
        default=0.6, description="A box that never moves is reported from this mean score on; 0 reports all."
    )
    ghost_travel: float = Field(default=0.5, ge=0, description="From this way on, in body heights, a box has moved.")
    duplicate_iou: Fraction = Field(
        default=0.7, description="A box that overlaps a tracked one by more begins no track."
    )
    duplicate_cover: Fraction = Field(
        default=0.8,
        description="A box that lies to this share inside a tracked one and looks like its owner begins no track.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> TrackerConfig:
        if self.low_score > self.high_score:
            raise ValueError(f"low_score ({self.low_score}) must not be above high_score ({self.high_score})")
        if (self.rejoin_seconds or 0.0) > self.delay:
            raise ValueError(
                f"rejoin_seconds ({self.rejoin_seconds}) must not be above delay ({self.delay}): what was handed out "
                "stays"
            )
        return self

    @property
    def rejoin(self) -> float:
        """``rejoin_seconds``, or the delay where it is empty."""
        return self.delay if self.rejoin_seconds is None else self.rejoin_seconds


class LiveConfig(Section):
    """How live cameras are treated."""

    turn_seconds: float = Field(
        default=0.05,
        gt=0,
        le=10,
        description=(
            "Frames of so many cameras are looked at together as take about so long; less is fresher. If more comes "
            "than can be followed, cameras take turns."
        ),
    )
    append: bool = Field(
        default=True,
        description=(
            "Go on in a folder that holds results of an earlier live run: files are added to, ids and frame numbers "
            "go on. false: such a folder is refused."
        ),
    )
    watch: bool = Field(
        default=True,
        description=(
            "Follow changes of the cameras file while running: cameras are added, removed and changed as it says."
        ),
    )


class ServerConfig(Section):
    """The HTTP interface of a live run (extra `server`)."""

    listen: Annotated[str | None, BeforeValidator(_as_text)] = Field(
        default=None,
        description="[HOST:]PORT; without a host only this machine is served. Empty: no server.",
        pattern=r"^(([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):)?[0-9]{1,5}$",
    )
    token: SecretStr | None = Field(
        default=None,
        description=(
            "Who asks must send it ('Authorization: Bearer TOKEN'); needed where other machines are served. Take it "
            "from the environment: ${STREAMREID_TOKEN}."
        ),
    )
    keep_changes: bool = Field(
        default=True,
        description=(
            "Keep cameras that are added, removed, paused or changed by HTTP (in cameras.json of the results folder) "
            "when the run is started again there. The cameras file is never written; where it was edited since, it "
            "counts."
        ),
    )

    @field_validator("token")
    @classmethod
    def _usable(cls, token: SecretStr | None) -> SecretStr | None:
        return None if token is None else SecretStr(checked_token(token.get_secret_value()))


class GalleryConfig(Section):
    """Identities that outlive a run. Off unless ``store`` is given: embeddings are personal data."""

    store: str | None = Field(
        default=None,
        description=(
            "SQLite file or postgresql:// address in which identities are remembered; empty: nothing outlives the run."
        ),
        min_length=1,
    )
    retention_hours: float | None = Field(
        default=24.0,
        gt=0,
        description="What was recorded is erased after so many hours; null keeps it until a cap evicts it.",
    )
    camera_retention_hours: dict[str, float] = Field(
        default_factory=dict, description="The same for single cameras, by name."
    )
    prototypes: int = Field(default=8, ge=1, le=64, description="Views kept per identity.")
    min_quality: Fraction = Field(
        default=0.2, description="Views of which less was seen, or seen less well, are not kept."
    )
    max_identities: int = Field(default=20_000, ge=1, description="Identities kept; the least useful go first.")
    max_prototypes: int = Field(default=100_000, ge=1, description="Views kept over all identities.")
    max_appearances: int = Field(
        default=500_000, ge=1, description="Appearances (tracks) kept over all identities; the oldest go first."
    )
    max_events: int = Field(default=200_000, ge=0, description="Identity events kept.")
    recall: Fraction = Field(
        default=0.2, description="Least probability by looks for somebody remembered to be considered for a newcomer."
    )
    commit_seconds: float = Field(default=1.0, gt=0, le=1, description="Longest time until something seen is on disk.")
    crops: bool = Field(
        default=False, description="Also keep the best picture of each appearance; off: no picture is ever stored."
    )
    private: bool = Field(
        default=True,
        description=(
            "Only the owner can read the gallery's file, backups, exports and caches (0600; folders that are made for "
            "them 0700). false: whoever the umask says."
        ),
    )
    encryption: bool = Field(
        default=False, description="Encrypt features, names and pictures in the store (AES-256-GCM)."
    )
    key_variable: str = Field(
        default="STREAMREID_GALLERY_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the key.",
    )
    index_from: int = Field(
        default=200_000,
        ge=1,
        description="From so many views on, searches take candidates from an approximate index (extra: index).",
    )

    @field_validator("store")
    @classmethod
    def _address(cls, store: str | None) -> str | None:
        if store is None:
            return None
        remember_address(store)
        return check_address(store)

    @field_validator("camera_retention_hours")
    @classmethod
    def _positive(cls, hours: dict[str, float]) -> dict[str, float]:
        wrong = sorted(name for name, value in hours.items() if not value > 0)
        if wrong:
            raise ValueError(f"hours must be above 0, for: {', '.join(wrong)}")
        return hours

    def __repr__(self) -> str:
        return f"GalleryConfig(store={redact(self.store)!r}, retention_hours={self.retention_hours})"

    __str__ = __repr__


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
    output: OutputConfig = OutputConfig()

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

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, where: str = "configuration") -> Config:
        """Check a dictionary.

        Raises:
            ConfigError: Names every wrong key (with the nearest right one) and value.
        """
        return validate(cls, data, where=where)

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
        return type(self).from_dict(change_settings(self.model_dump(), changes), where=where)


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
    path = Path(path)
    data, lines = read_yaml(path)
    if isinstance(data, dict) and isinstance(data.get("cameras"), dict):
        raise ConfigError(f"{path}:{lines.get(('cameras',), 1)}: 'cameras' is a list; begin each camera with '- name:'")
    config = validate(Config, data, where=str(path), lines=lines)
    if config.topology is not None:
        check_cameras(
            config.topology, [c.name for c in config.cameras], where=f"{path}:{lines.get(('topology',), 1)}: "
        )
    cameras = tuple(_resolved(c, path.parent) for c in config.cameras)
    return config.model_copy(update={"cameras": cameras})


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
