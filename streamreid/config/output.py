"""The settings of what is written; ``config`` hands them on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from streamreid._sections import Section, basic
from streamreid.errors import ConfigError

__all__ = ["Blur", "OutputConfig", "RotateConfig", "as_blur", "as_bytes", "duration"]

Blur = Literal["none", "people", "faces"]
"""What is made unrecognisable in pictures: nothing, whole people, or the upper third of each."""

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_NUMBER = re.compile(r"\s*\d+(?:\.\d+)?\s*")
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def _quantity(text: str, units: Mapping[str, float], example: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f"write a number and a unit ({', '.join(units)}), for example {example}")
    return float(match[1]) * units[match[2]]


def _as_seconds(value: Any) -> Any:
    return _quantity(value, _SECONDS, "1d") if isinstance(value, str) else value


def duration(text: str | float, what: str = "duration") -> float:
    """Seconds of a time as people write it: ``90``, ``30m``, ``1h``, ``1d``.

    Raises:
        ConfigError: It is not a positive time; ``what`` is named.
    """
    try:
        seconds = float(text) if not isinstance(text, str) or _NUMBER.fullmatch(text) else _as_seconds(text)
    except ValueError as error:
        raise ConfigError(f"{what} {text!r}: {error}") from None
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ConfigError(f"{what} {text!r}: give a positive time, for example 1h")
    return float(seconds)


def as_bytes(value: Any) -> Any:
    """A size with its unit (``1GB``) in bytes; anything else as it is."""
    return round(_quantity(value.upper(), _BYTES, "1GB")) if isinstance(value, str) else value


def as_blur(value: Any) -> Any:
    """What is blurred, where a switch is understood too."""
    return {True: "people", False: "none"}[value] if isinstance(value, bool) else value


class RotateConfig(Section):
    """When the results of a live run go on in a new segment, and which segments are kept. A text alone is ``every`` or
    ``size``, or both: "1d, 1GB"."""

    every: Annotated[float, BeforeValidator(_as_seconds)] | None = Field(
        default=None,
        ge=1,
        description="A new segment at multiples of this time (UTC), in seconds or as 30m, 6h, 1d: 1d is midnight.",
        json_schema_extra=basic(
            "s", low="Many small folders.", high="Segments grow large, and the last one is lost if its disk fails."
        ),
    )
    size: Annotated[int, BeforeValidator(as_bytes)] | None = Field(
        default=None,
        ge=1000,
        description="A new segment when all files of one are larger, in bytes or as 500MB, 1GB.",
        json_schema_extra=basic("bytes", low="Many small folders.", high="Segments grow large."),
    )
    keep: int | None = Field(
        default=None,
        ge=0,
        description="How many segments are kept besides the one that is written; older ones are deleted. Empty: all.",
        json_schema_extra=basic(
            "segments", low="Results are deleted before somebody has read them.", high="The disk fills up."
        ),
    )
    keep_hours: float | None = Field(
        default=None,
        gt=0,
        description=(
            "A segment that ended so long ago is deleted; no segment then lasts longer than that. Empty: never."
        ),
        json_schema_extra=basic(
            "h",
            low="Results are deleted before somebody has read them.",
            high="The disk fills up, and personal data is kept longer than needed.",
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        short: dict[str, str] = {}
        for part in value.split(","):
            match = _QUANTITY.fullmatch(part)
            is_size = match is not None and match[2].upper() in _BYTES
            short["size" if is_size else "every"] = part
        return short

    @model_validator(mode="after")
    def _says_when(self) -> RotateConfig:
        if self.every is None and self.size is None:
            raise ValueError("say when a new segment begins: every: 1d, or size: 1GB")
        return self

    @property
    def longest(self) -> float | None:
        """Seconds after which a new segment begins at the latest."""
        limits = [s for s in (self.every, self.keep_hours and 3600 * self.keep_hours) if s is not None]
        return min(limits, default=None)


class OutputConfig(Section):
    """What is written, and where."""

    dir: str | None = Field(
        default=None,
        description="Folder of the results; default runs/<name of the configuration>.",
        json_schema_extra=basic(),
    )
    mot: bool = Field(
        default=True,
        description="MOTChallenge text per camera, with local and with global ids.",
        json_schema_extra=basic(),
    )
    jsonl: bool = Field(
        default=True,
        description="JSON lines: every person in every frame, and every identity event.",
        json_schema_extra=basic(),
    )
    parquet: bool = Field(default=False, description="The same table as Parquet.", json_schema_extra=basic())
    video: bool = Field(default=False, description="Annotated video per camera.", json_schema_extra=basic())
    mosaic: bool = Field(
        default=False, description="One annotated video of all cameras side by side.", json_schema_extra=basic()
    )
    blur: Annotated[Blur, BeforeValidator(as_blur)] = Field(
        default="none",
        description=(
            "Make people unrecognisable in every picture that is written (films, crops, pictures in the gallery): "
            "'people' the whole box (also: true), 'faces' its upper third. Hidden is whatever may be a person: boxes "
            "of any score, also outside the region of interest, lost tracks where they are expected, and, in films of "
            "recordings, everybody also a second before they were found."
        ),
        json_schema_extra=basic(),
    )
    rotate: RotateConfig | None = Field(
        default=None,
        description=(
            "Results of live runs in segments, folders pieces/NUMBER-TIME: when a new one begins, and which are kept. "
            "Empty: one segment for ever."
        ),
        json_schema_extra=basic(),
    )
    crops: bool = Field(
        default=False,
        description="Pictures of every track, to train an engine on (they show people).",
        json_schema_extra=basic(),
    )
    part_colours: bool = Field(
        default=True,
        description=(
            "Keep the mean colours of head, torso, legs and feet of every track (colours.jsonl), with which the page "
            "draws a figure of whom no picture is stored. Never where blur is 'people'."
        ),
    )
    crops_every: float = Field(default=1.0, ge=0, description="Seconds between two pictures of a track.")
    crops_min_height: float = Field(default=64.0, ge=0, description="Smaller people are not cut out (pixels).")
