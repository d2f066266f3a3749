"""The settings of identities across cameras; ``config`` hands them on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field, model_validator

from streamreid._sections import Section, basic, experimental
from streamreid.errors import ConfigError
from streamreid.suggestions import nearest

__all__ = [
    "AssociationConfig",
    "LinkConfig",
    "TopologyConfig",
    "TransitConfig",
    "Unification",
    "check_cameras",
    "missing_cameras",
]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Unification = Literal["parts", "graded", "off"]
Normalise = Literal["off", "camera"]


class LinkConfig(Section):
    """From evidence to the log-odds that two tracks are one person: a sum of terms. ``streamreid calibrate`` writes it.

    The defaults were fitted on pairs of tracks of generated people, whom the engine never saw, with a prior of one in
    so many people. The more is known of two tracks, the more alike they look, whoever they are (``common``); people
    seen by one camera look more alike than by two (``other_camera``).
    """

    source: str = Field(default="", description="What it was fitted on.")
    intercept: float = Field(default=-0.6, description="Log-odds where no evidence says anything.")
    exclusion: float = Field(
        default=2.1,
        description=(
            "Added when it is decided who belongs together: most of the others who may be meant turn out to be "
            "somebody else, so who is left is likelier. Chosen on generated people."
        ),
    )
    learn_intercept: bool = Field(
        default=True,
        description=(
            "Let the intercept follow the site while running, so that the probabilities of all pairs of tracks add up "
            "to as many as can be one person; not where `calibrate` has fitted it, nor with calibrated cameras."
        ),
    )
    looks: float = Field(
        default=1.05, ge=0, description="Weight of the log-odds by looks, as the engine's calibration gives them."
    )
    looks_common: float = Field(default=0.0, description="The same times the share of the body that both saw.")
    looks_crops: float = Field(
        default=0.0, description="The same times n / (n + 3), n pictures of the track that was looked at less."
    )
    common: float = Field(default=-3.1, description="Weight of the share of the body that both saw.")
    crops: float = Field(default=0.0, description="Weight of n / (n + 3).")
    quality: float = Field(default=0.0, description="Weight of the lower mean quality of both tracks' pictures.")
    gap: float = Field(default=0.0, description="Weight of log(1 + seconds between both tracks).")
    other_camera: float = Field(default=2.3, description="Added for tracks of two cameras.")
    strangers: float = Field(
        default=0.7,
        ge=0,
        description=(
            "Weight of how much less either looks like people who it is not than most do, in the log-odds by looks; 0 "
            "takes no notice. Chosen on generated people."
        ),
    )
    times: float = Field(
        default=1.0,
        ge=0,
        description=(
            "Weight of what the times of two tracks say, and where they stood at the same time, as it is learnt of "
            "each pair of cameras while running; 0 learns nothing."
        ),
    )
    crowd: float = Field(
        default=-1.0,
        le=0,
        description=(
            "Weight of log(people who may be meant): the more there are, the less likely it is any one of them."
        ),
    )
    place: float = Field(
        default=1.0, ge=0, description="Weight of the log-odds by place, where cameras are calibrated."
    )


class TransitConfig(Section):
    """A way from one camera to another."""

    from_: str = Field(alias="from", description="Camera that people leave.")
    to: str = Field(description="Camera that they reach.")
    min: float = Field(
        default=0.0, ge=0, description="Least time in seconds between leaving one picture and entering the other."
    )
    max: float | None = Field(default=None, ge=0, description="Greatest time in seconds; empty: no limit.")
    both_ways: bool = Field(default=True, description="Whether the way back takes as long.")

    @model_validator(mode="after")
    def _ordered(self) -> TransitConfig:
        if self.max is not None and self.max < self.min:
            raise ValueError(
                f"a way from '{self.from_}' to '{self.to}' cannot take at least {self.min} and at most {self.max} "
                "seconds"
            )
        if self.from_ == self.to:
            raise ValueError(
                f"a way leads from '{self.from_}' to itself; how long people stay away is association.memory"
            )
        return self


class TopologyConfig(Section):
    """The camera graph: who sees the same floor, and which ways there are. ``streamreid learn-topology`` writes it."""

    overlap: tuple[tuple[str, str], ...] = Field(
        default=(), description="Pairs of cameras that see some of the same floor."
    )
    transits: tuple[TransitConfig, ...] = Field(default=(), description="Ways from camera to camera.")
    closed: bool = Field(
        default=True,
        description="There are no other overlaps and ways than those listed; false: nothing is known of the others.",
    )

    @model_validator(mode="after")
    def _sensible(self) -> TopologyConfig:
        for a, b in self.overlap:
            if a == b:
                raise ValueError(f"camera '{a}' is said to overlap itself")
        ways = [(t.from_, t.to) for t in self.transits]
        twice = sorted({w for w in ways if ways.count(w) > 1})
        if twice:
            raise ValueError(f"the way from '{twice[0][0]}' to '{twice[0][1]}' is given more than once")
        return self

    @property
    def cameras(self) -> frozenset[str]:
        """Every camera that is named."""
        return frozenset(c for pair in self.overlap for c in pair) | {c for t in self.transits for c in (t.from_, t.to)}


class AssociationConfig(Section):
    """Identities across cameras. Times in seconds."""

    enabled: bool = Field(
        default=True, description="false gives every track its own global id.", json_schema_extra=basic()
    )
    interval: float = Field(default=0.5, gt=0, description="How often (capture time) tracks are linked anew.")
    window: float = Field(
        default=300.0,
        gt=0,
        description="Tracks that ended longer ago keep their identity but are not regrouped.",
        json_schema_extra=basic(
            "s", low="What is learnt later no longer corrects who is who.", high="Each decision takes longer."
        ),
    )
    memory: float = Field(
        default=3600.0,
        gt=0,
        description="Identities not seen for so long are no longer searched. Until then each takes 6 to 12 KB.",
        json_schema_extra=basic(
            "s", low="Who comes back gets a new identity.", high="More memory, and more people to be confused with."
        ),
    )
    min_observations: int = Field(default=3, ge=1, description="Observations with features before a track is linked.")
    probability: Fraction = Field(
        default=0.5,
        description="Least link probability.",
        json_schema_extra=basic(
            "probability", low="Different people are joined.", high="One person has several identities."
        ),
    )
    confirm_seconds: float = Field(
        default=2.0, ge=0, description="How long an identity must have been seen before it is confirmed."
    )
    confirm_observations: int = Field(
        default=10, ge=1, description="How often an identity must have been seen before it is confirmed."
    )
    prototypes: int = Field(default=3, ge=1, le=16, description="Views kept per body part of each track.")
    visibility: bool = Field(
        default=True,
        description="false takes every part for fully seen (for comparison only).",
        json_schema_extra=experimental(),
    )
    unification: Unification = Field(
        default="parts",
        description=(
            "Compare two tracks only by what both saw (parts), the whole person also only as far as it consists of "
            "the same parts (graded), or by everything (off, for comparison only)."
        ),
        json_schema_extra=experimental(),
    )
    normalise: Normalise = Field(
        default="off",
        description=(
            "Take away what differs between cameras on average, light and viewpoint, before tracks are compared; "
            "learnt from the tracks while running (camera), or not (off). With one camera it changes nothing."
        ),
        json_schema_extra=basic(),
    )
    adaptation: str | None = Field(
        default=None,
        description=(
            "File that `streamreid adapt` wrote for this site and engine; with it what differs between cameras is "
            "taken away as well, whatever `normalise` says."
        ),
    )
    candidates: int = Field(
        default=16, ge=1, le=1000, description="Older identities that a track is compared with closely."
    )
    max_tracks: int = Field(
        default=400, ge=2, description="Most tracks that are regrouped at once; older ones keep their identity."
    )
    max_identities: int = Field(
        default=200_000, ge=1, description="Most identities that are remembered; the longest unseen go first."
    )
    clock: Literal["off", "report", "apply"] = Field(
        default="report",
        description=(
            "Cameras whose clocks disagree: take no notice, tell how much, or correct their times for the association."
        ),
        json_schema_extra=basic(),
    )
    offline: bool = Field(
        default=False,
        description="When a recording has ended, link all its tracks anew, all at once (not for live cameras).",
        json_schema_extra=basic(),
    )
    second_looks: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description=(
            "Recordings are read once more for further pictures of tracks of which it is not sure who they are: at "
            "most so many crops, as a share of those that are embedded anyway. 0 reads them once; beyond 0.25 there is "
            "seldom anything left to look at."
        ),
    )
    link: LinkConfig = Field(
        default=LinkConfig(), description="From evidence to link probability; `streamreid calibrate` fits it to a site."
    )


def check_cameras(config: TopologyConfig, cameras: Collection[str], *, where: str = "") -> None:
    """Compare the names in the graph with those of the cameras.

    Raises:
        ConfigError: A camera is named that there is not; with the nearest name there is.
    """
    if missing := missing_cameras(config, cameras):
        raise ConfigError("\n".join(f"{where}{text}" for text in missing))


def missing_cameras(config: TopologyConfig, cameras: Collection[str]) -> list[str]:
    """A sentence for each name in the graph that no camera has, with the nearest name there is."""
    found = []
    for name in sorted(config.cameras - set(cameras)):
        near = nearest(name, cameras)
        hint = f"did you mean '{near}'?" if near is not None else f"the cameras are {', '.join(sorted(cameras))}"
        found.append(f"topology names the camera '{name}', which there is not; {hint}")
    return found
