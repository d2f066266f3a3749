"""The section of one camera: where its frames come from, and how they are used."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, field_validator

from streamreid._sections import Section, as_text, basic
from streamreid.addresses import check_address
from streamreid.camera_names import LONGEST_NAME, NAME_PATTERN, legal_name
from streamreid.config.calibration import CalibrationConfig
from streamreid.config.camera_checks import FARTHEST_PIXEL, LATEST, MOST_FRAMES, checked_uri, checked_wait
from streamreid.secrets import redact, remember_address

__all__ = ["CameraConfig"]

Pixels = Annotated[int, Field(ge=1, le=65_535)]


def _legal(name: Any) -> Any:
    if isinstance(name, str) and name and len(name) <= LONGEST_NAME and not re.match(NAME_PATTERN, name):
        raise ValueError(
            "names are made of the letters A to Z, digits, '_', '.' and '-', and begin with a letter or digit: "
            f"{legal_name(name)}"
        )
    return name


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
        json_schema_extra=basic(),
    )
    uri: Annotated[str, BeforeValidator(as_text)] = Field(
        description=(
            "Video file, folder of images, rtsp:// or http(s):// address, or webcam number. Relative paths start at "
            "the YAML's folder."
        ),
        validation_alias=AliasChoices("uri", "source"),
        min_length=1,
        json_schema_extra=basic(),
    )
    roi: tuple[tuple[float, float], ...] | None = Field(
        default=None,
        max_length=1000,
        description=(
            "Region of interest: polygon of [x, y] corners in pixels, or in fractions of the frame if all are <= 1. "
            "People whose foot point is outside are ignored."
        ),
        json_schema_extra=basic("pixels, or fractions of the frame"),
    )
    motion: Literal["none", "flow", "ecc"] = Field(
        default="none",
        description=(
            "How the motion of a handheld, panning or flying camera is taken out of the tracks: flow follows corners, "
            "ecc (slower) compares whole pictures; none: the camera stands still."
        ),
        json_schema_extra=basic(),
    )
    stride: int = Field(
        default=1,
        ge=1,
        le=MOST_FRAMES,
        description="Use every n-th frame.",
        validation_alias=AliasChoices("stride", "vid_stride"),
        json_schema_extra=basic(
            "frames",
            low="Frames that are not needed cost time; about 10 frames per second are enough for people who walk.",
            high="People move so far between two frames that tracks break and swap ids.",
        ),
    )
    offset: float = Field(
        default=0.0,
        ge=-LATEST,
        le=LATEST,
        description="Seconds added to the capture times of a file: when it began on the common clock.",
        json_schema_extra=basic(
            "s",
            low="Times of this camera come too early: people are linked who cannot have walked so fast.",
            high="Times come too late, with the same effect.",
        ),
    )
    start_time: datetime | None = Field(
        default=None,
        description=(
            "Date and time at which a recording begins (2026-11-29T10:00:00; UTC, unless it ends in an offset as "
            "+01:00). Its capture times are dates then."
        ),
        json_schema_extra=basic(),
    )
    fps: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Frame rate where the source has no time stamps (image folders, raw streams).",
        json_schema_extra=basic(
            "frames/s",
            low="Times stretch: people seem slow, and gaps long.",
            high="Times shrink: people seem too fast to be linked.",
        ),
    )
    size: tuple[Pixels, Pixels] | None = Field(
        default=None, description="Width and height of the pictures, where the source is only a text file of boxes."
    )
    start: float = Field(default=0.0, ge=0, le=LATEST, description="Seconds of a file to skip at its beginning.")
    frames: int | None = Field(default=None, ge=1, le=MOST_FRAMES, description="Stop after so many used frames.")
    repeat: int = Field(
        default=1,
        ge=1,
        le=MOST_FRAMES,
        description="Play a file so many times; times and frame numbers go on, over what 'start' skips each time too.",
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
        default="tcp",
        description="How an RTSP camera sends: udp loses packets where the network does, tcp is late.",
        json_schema_extra=basic(),
    )
    stream: int | None = Field(
        default=None,
        ge=0,
        description=(
            "Which video stream of a file or address that holds several, counted from 0; empty: the one marked as "
            "default, of these the largest, never a cover picture or thumbnail."
        ),
    )
    deinterlace: Literal["auto", "on", "off"] = Field(
        default="auto",
        description=(
            "Interlaced video: auto makes progressive pictures of what the codec or the container calls interlaced (a "
            "live camera then is one picture later); on does so with every picture, for video that is interlaced "
            "without saying so; off leaves both moments in one picture, with combed edges."
        ),
        json_schema_extra=basic(),
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
        json_schema_extra=basic(),
    )

    calibration: CalibrationConfig | None = Field(
        default=None,
        description=(
            "Where pixels lie on the ground: a file, a matrix or points. All calibrated cameras share one world."
        ),
        json_schema_extra=basic(),
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
