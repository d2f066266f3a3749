"""The sections ``zones``, ``lines`` and ``alerts``: where people are counted, and what is told of it."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, field_validator, model_validator

from streamreid._sections import Section, advanced, as_text, basic
from streamreid.config.alert_rules import AlertRule, composed, parse_rule, parse_seconds
from streamreid.config.camera_checks import FARTHEST_PIXEL

__all__ = ["AlertConfig", "Anchor", "LineConfig", "Point", "ZoneConfig"]

Point = tuple[float, float]
Anchor = Literal["feet", "center", "body"]

LONGEST_PLACE_NAME = 64
MOST_CORNERS = 200
"""Of a polygon: what is drawn by hand has fewer, and the cost of a frame grows with them."""

_LEAST_AREA = 1e-12
_ALMOST_FRACTIONS = 2.0
"""A polygon whose corners all lie below this, and not all below 1, is meant in fractions: nobody draws a zone of two
pixels."""

_PUNCTUATION = frozenset("_ .-")
"""What names of places hold beside letters and digits of any script: nothing that means something in topics,
subjects, pages or rules."""


def _as_seconds(value: Any) -> Any:
    return parse_seconds(value) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_as_seconds), Field(ge=0, le=86_400)]


def _is_place_name(text: str) -> bool:
    kinds = [unicodedata.category(c)[0] for c in text]
    return (
        bool(text)
        and (kinds[0] in "LN" or text[0] == "_")
        and text[-1] != " "
        and all(kind in "LMN" or c in _PUNCTUATION for kind, c in zip(kinds, text, strict=True))
    )


def _as_place_name(value: Any) -> Any:
    value = as_text(value)
    if isinstance(value, str):
        value = composed(value)
        if not _is_place_name(value):
            raise ValueError(
                "names of places are made of letters, digits, '_', '.', '-' and blanks between them, and begin with "
                "a letter, a digit or '_'"
            )
    if value == "everywhere":
        raise ValueError("'everywhere' is the whole site already; choose another name")
    return value


PlaceName = Annotated[str, BeforeValidator(_as_place_name), Field(min_length=1, max_length=LONGEST_PLACE_NAME)]


def _check_pixels(points: tuple[Point, ...], what: str) -> None:
    """Raises ValueError where corners are neither pixels nor fractions."""
    values = [v for point in points for v in point]
    if max(map(abs, values)) > FARTHEST_PIXEL:
        raise ValueError(f"corners are pixels, or fractions of the frame; none is beyond {FARTHEST_PIXEL}")
    if 1.0 < max(values) <= _ALMOST_FRACTIONS:
        raise ValueError(
            f"a {what} is given in pixels, or in fractions of the frame if all values are <= 1; {max(values):g} is "
            "beyond the frame"
        )
    if max(values) <= 1.0 and min(values) < -1.0:
        raise ValueError(f"{min(values):g} is neither a fraction of the frame nor, beside {max(values):g}, a pixel")


def _check_in_picture(points: tuple[Point, ...]) -> None:
    """Raises ValueError where a polygon lies wholly to the left of or above the picture."""
    for axis, side in ((0, "to the left of"), (1, "above")):
        if max(point[axis] for point in points) <= 0:
            raise ValueError(f"nobody can ever be there: the polygon lies {side} the picture, which begins at 0")


def _side(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _within(a: Point, b: Point, c: Point) -> bool:
    """Whether c, on the line through a and b, lies between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether two segments have a point in common."""
    one, two, three, four = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    if (one > 0) != (two > 0) and (three > 0) != (four > 0) and 0 not in (one, two, three, four):
        return True
    return (
        (one == 0 and _within(a, b, c))
        or (two == 0 and _within(a, b, d))
        or (three == 0 and _within(c, d, a))
        or (four == 0 and _within(c, d, b))
    )


def _checked_polygon(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The corners without a last one that repeats the first.

    Raises:
        ValueError: They enclose no area: too few, on one line, or an outline that crosses itself.
    """
    if len(points) > 1 and points[0] == points[-1]:
        points = points[:-1]
    if len(set(points)) < 3:
        raise ValueError(f"a polygon needs at least 3 different corners, got {len(set(points))}")
    twice = next((point for i, point in enumerate(points) if point in points[:i]), None)
    if twice is not None:
        raise ValueError(f"the polygon goes through {list(twice)} twice; give every corner once, in order")
    n = len(points)
    for i in range(n):
        for j in range(i + 2, n - (i == 0)):
            a, b, c, d = points[i], points[i + 1], points[j], points[(j + 1) % n]
            if _meet(a, b, c, d):
                raise ValueError(
                    f"the polygon crosses itself: its side from {list(a)} to {list(b)} meets the one from {list(c)} "
                    f"to {list(d)}; give the corners in the order of the outline"
                )
    area = sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(points, (*points[1:], points[0]), strict=True))
    if abs(area) < _LEAST_AREA:
        raise ValueError("the polygon has no area: its corners lie on one line")
    return points


class ZoneConfig(Section):
    """An area in which people are counted: a polygon in a camera's picture, or on the ground. Zones of one name in
    several cameras are one place."""

    name: PlaceName = Field(
        description="Name of the place; the same in every camera that shows it.", json_schema_extra=basic()
    )
    camera: str | None = Field(
        default=None,
        description="The camera whose picture the polygon is drawn in. Empty: all calibrated cameras ('ground').",
        json_schema_extra=basic(),
    )
    polygon: tuple[Point, ...] | None = Field(
        default=None,
        max_length=MOST_CORNERS,
        description=(
            "Corners [x, y] in order around the zone, in pixels, or in fractions of the frame if all values are <= 1."
        ),
        json_schema_extra=basic("pixels, or fractions of the frame"),
    )
    ground: tuple[Point, ...] | None = Field(
        default=None,
        max_length=MOST_CORNERS,
        description="Corners [x, y] on the ground instead, of calibrated cameras.",
        json_schema_extra=basic("m"),
    )
    anchor: Anchor = Field(
        default="feet",
        description=(
            "What of a person must be inside: feet (where they are hidden, the place that the body's height says), "
            "center (the middle of the box), body (at least half of the box)."
        ),
    )
    inertia: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="So many frames in a row must show a person inside, or outside again, before that counts.",
        json_schema_extra=advanced(
            "frames",
            low="Who stands on the boundary comes and goes with every trembling of the box.",
            high="Short visits are missed, and events come late.",
        ),
    )
    loitering_time: Seconds = Field(
        default=0.0,
        description="Seconds after which a stay is loitering, also as 2m; 0: never.",
        json_schema_extra=basic("s", low="Everybody loiters.", high="Nobody does."),
    )
    lost_seconds: Seconds = Field(
        default=5.0,
        description="Who is lost inside of the zone still counts as inside for so long.",
        json_schema_extra=advanced(
            "s",
            low="Who is hidden for a moment leaves and comes again.",
            high="Who went unseen (through a door, say) is counted as inside for too long.",
        ),
    )
    occupancy: int = Field(
        default=1,
        ge=1,
        le=100_000,
        description="Events occupancy_reached and occupancy_ended are told where so many people are inside.",
        json_schema_extra=basic(
            "people", low="A few people in a large place are told again and again.", high="A full place is never told."
        ),
    )
    queue: bool = Field(
        default=False, description="People in the zone wait in line: its queue is counted.", json_schema_extra=basic()
    )
    min_people: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Counts of fewer people than this are withheld; 0: none.",
        json_schema_extra=basic(
            "people", low="Counts of one or two people may say who they were.", high="Quiet hours show no counts."
        ),
    )

    @field_validator("polygon")
    @classmethod
    def _outline(cls, points: tuple[Point, ...] | None) -> tuple[Point, ...] | None:
        if points is None:
            return None
        points = _checked_polygon(points)
        _check_pixels(points, "polygon")
        _check_in_picture(points)
        return points

    @field_validator("ground")
    @classmethod
    def _outline_on_ground(cls, points: tuple[Point, ...] | None) -> tuple[Point, ...] | None:
        return None if points is None else _checked_polygon(points)

    @model_validator(mode="after")
    def _one(self) -> ZoneConfig:
        if (self.polygon is None) == (self.ground is None):
            given = "neither" if self.polygon is None else "both"
            raise ValueError(f"a zone is a polygon in the picture or one on the ground; got {given} of them")
        if self.polygon is not None and self.camera is None:
            raise ValueError("'camera' is missing: say in whose picture the polygon is drawn")
        if self.ground is not None and self.anchor != "feet":
            raise ValueError(f"on the ground only feet can be inside, not {self.anchor}; leave 'anchor' out")
        return self

    @property
    def in_fractions(self) -> bool:
        """Whether the polygon is in fractions of the frame."""
        return self.polygon is not None and max(v for corner in self.polygon for v in corner) <= 1.0

    @property
    def key(self) -> tuple[str, str]:
        """Name, and the camera or '' for all: what tells it from other zones."""
        return self.name, self.camera or ""

    @property
    def outline(self) -> tuple[Any, ...]:
        """What decides who is inside."""
        return self.polygon, self.ground, self.anchor

    @property
    def of_place(self) -> dict[str, Any]:
        """What belongs to the place, and so must be the same in all cameras."""
        return {k: getattr(self, k) for k in ("loitering_time", "lost_seconds", "occupancy", "queue", "min_people")}


class LineConfig(Section):
    """A line that people cross. Looking from its first point to its second, ``in`` leads to the right-hand side."""

    name: PlaceName = Field(
        description="Name of the line; the same in every camera that shows it.", json_schema_extra=basic()
    )
    camera: str | None = Field(
        default=None,
        description="The camera in whose picture the line is drawn. With 'ground': the one that counts; empty: all.",
        json_schema_extra=basic(),
    )
    begin: Point = Field(
        validation_alias=AliasChoices("from", "begin"),
        description=(
            "First point [x, y], in pixels, or in fractions of the frame if all values are <= 1. Key in the file: from."
        ),
        json_schema_extra=basic("pixels, or fractions of the frame; m with 'ground'"),
    )
    end: Point = Field(
        validation_alias=AliasChoices("to", "end"),
        description="Second point; who crosses to the right of the way there goes in. Key in the file: to.",
        json_schema_extra=basic("pixels, or fractions of the frame; m with 'ground'"),
    )
    ground: bool = Field(
        default=False, description="The points lie on the ground, in metres.", json_schema_extra=basic()
    )
    anchor: Literal["feet", "center"] = Field(
        default="feet", description="What of a person crosses the line; see zones."
    )
    inertia: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="So many frames in a row must show a person on the other side before that counts.",
        json_schema_extra=advanced(
            "frames", low="Who stands on the line crosses it again and again.", high="Crossings are missed."
        ),
    )

    @model_validator(mode="after")
    def _long(self) -> LineConfig:
        if self.begin == self.end:
            raise ValueError(f"the line has no length: it begins and ends at {list(self.begin)}")
        if not self.ground:
            if self.camera is None:
                raise ValueError("'camera' is missing: say in whose picture the line is drawn")
            _check_pixels((self.begin, self.end), "line")
            if max(self.begin[0], self.end[0]) < 0 or max(self.begin[1], self.end[1]) < 0:
                raise ValueError("nobody can ever cross it: the line lies beside the picture, which begins at 0")
        elif self.anchor != "feet":
            raise ValueError(f"on the ground only feet can cross a line, not {self.anchor}; leave 'anchor' out")
        return self

    @property
    def key(self) -> tuple[str, str]:
        """Name, and the camera or '' for all: what tells it from other lines."""
        return self.name, self.camera or ""

    @property
    def outline(self) -> tuple[Any, ...]:
        """What decides who crosses."""
        return self.begin, self.end, self.ground, self.anchor

    @property
    def in_fractions(self) -> bool:
        """Whether the points are in fractions of the frame."""
        return not self.ground and max(*self.begin, *self.end) <= 1.0


class AlertConfig(Section):
    """A rule, and how often it is told."""

    when: str = Field(
        min_length=1,
        max_length=300,
        description=(
            "The rule: zone NAME occupancy > N for TIME; zone NAME entered, left, loitering, dwell > TIME, unique > N "
            "in TIME; line NAME in, out, crossed; identity NAME seen in zone NAME. See docs/places.md."
        ),
        json_schema_extra=basic(),
    )
    name: str = Field(
        default="", max_length=100, description="What it is called; empty: the rule.", json_schema_extra=basic()
    )
    every: Seconds = Field(
        default=60.0,
        description="Least seconds between two messages of the rule (of rules about a person: about the same one).",
        json_schema_extra=basic("s", low="Many messages.", high="What happens again soon after is only counted."),
    )

    @field_validator("when")
    @classmethod
    def _rule(cls, text: str) -> str:
        parse_rule(text)
        return text

    @property
    def rule(self) -> AlertRule:
        """The rule as a value."""
        return parse_rule(self.when)

    @property
    def title(self) -> str:
        """Name, or the rule itself."""
        return self.name or self.when
