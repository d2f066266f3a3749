"""The tracker of one camera."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field, model_validator

from streamreid._sections import Section, basic, experimental

__all__ = ["TrackerConfig"]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


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
        json_schema_extra=basic(
            "probability", low="Boxes of nobody begin tracks.", high="People who are never seen clearly get no track."
        ),
    )
    confirm_frames: int = Field(default=3, ge=1, description="Observations before a track is reported.")
    confirm_seconds: float = Field(
        default=0.15,
        ge=0,
        description="Time from the first to the last of those observations, at least.",
        json_schema_extra=basic(
            "s",
            low="Short false detections become tracks.",
            high="People are reported late, and short visits not at all.",
        ),
    )
    lost_seconds: float = Field(
        default=15.0,
        ge=0,
        description="How long a lost track may be found again by place and looks.",
        json_schema_extra=basic(
            "s",
            low="Who was hidden for a while comes back with a new id.",
            high="A newcomer may get the id of somebody who left.",
        ),
    )
    exit_seconds: float = Field(
        default=0.5, ge=0, description="The same for one who left through the border of the picture."
    )
    motion_only_seconds: float = Field(
        validation_alias=AliasChoices("motion_only_seconds", "blind_seconds"),
        default=2.0,
        ge=0,
        description="The same by place alone, where no looks are known.",
    )
    delay: float | None = Field(
        default=None,
        ge=0,
        le=60,
        description=(
            "Hand out results so many seconds of capture time later, and better: short gaps are filled, people are "
            "shown from their first moment, and a new track may turn out to be an old one. Pictures wait in memory. "
            "Empty: 1 for recordings, 0 where a camera is live."
        ),
        json_schema_extra=basic(
            "s",
            low="Gaps stay open, and what turns out late cannot be corrected.",
            high="Results come late, and pictures wait in memory.",
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
    second_match_iou: Fraction = Field(
        validation_alias=AliasChoices("second_match_iou", "second_iou"),
        default=0.4,
        description="Least overlap in the second assignment (low scores).",
    )
    overlap_buffer: float = Field(
        default=1.0, ge=0, description="How far boxes are enlarged by the doubt about the motion; 0 is plain overlap."
    )
    height_overlap: bool = Field(
        default=True,
        description="Let boxes of different heights overlap less: people at different depths differ in it.",
        json_schema_extra=experimental(),
    )
    truncation: bool = Field(
        default=True,
        description="Take a box that is suddenly lower or narrower for the visible part of the person.",
        json_schema_extra=experimental(),
    )
    appearance_weight: Fraction = Field(
        default=0.8, description="Weight of looks against overlap in the first assignment; 0 is motion only."
    )
    appearance_gate: Fraction = Field(default=0.05, description="Least probability by looks for a match by overlap.")
    recover_probability: Fraction = Field(
        default=0.8, description="Least probability by looks to find a lost track again without overlap; 1 never does."
    )
    split_probability: Fraction = Field(
        default=0.97,
        description=(
            "A track ends, and a new one goes on in its place, where several looks after it met others are less "
            "probably its person than this; 0 never does."
        ),
    )
    prototypes: int = Field(default=3, ge=1, le=16, description="Views kept per body part of each track.")
    occlusion: bool = Field(
        default=True,
        description="Trust looks less, and learn less, the more of a person somebody nearer hides.",
        json_schema_extra=experimental(),
    )
    static_score: Fraction = Field(
        validation_alias=AliasChoices("static_score", "ghost_score"),
        default=0.6,
        description="A box that never moves is reported from this mean score on; 0 reports all.",
    )
    static_travel: float = Field(
        validation_alias=AliasChoices("static_travel", "ghost_travel"),
        default=0.5,
        ge=0,
        description="From this way on, in body heights, a box has moved.",
    )
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
        if self.rejoin_seconds and self.rejoin_seconds > self.lag:
            delay = "empty" if self.delay is None else self.delay
            raise ValueError(
                f"rejoin_seconds ({self.rejoin_seconds}) must not be above delay ({delay}): what was handed out stays"
            )
        return self

    @property
    def lag(self) -> float:
        """``delay`` in seconds; 0 where it is empty and nobody has found out whether cameras are live."""
        return self.delay or 0.0

    @property
    def rejoin(self) -> float:
        """``rejoin_seconds``, or the delay where it is empty."""
        return self.lag if self.rejoin_seconds is None else self.rejoin_seconds
