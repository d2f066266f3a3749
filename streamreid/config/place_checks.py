"""What can only be told of zones, lines and alerts beside the rest of a configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from streamreid.config.alert_rules import AlertRule
from streamreid.config.camera import CameraConfig
from streamreid.config.places import AlertConfig, LineConfig, ZoneConfig
from streamreid.errors import ConfigError
from streamreid.suggestions import nearest

__all__ = ["check_names", "contradictions", "nameless"]

Mistake = tuple[tuple[str | int, ...], str]
"""Where in the configuration, and what."""


def contradictions(
    cameras: Sequence[CameraConfig],
    zones: Sequence[ZoneConfig],
    lines: Sequence[LineConfig],
    alerts: Sequence[AlertConfig],
    *,
    calibration: bool,
) -> Iterator[Mistake]:
    """Everything that is wrong between the sections.

    Args:
        cameras: Of the run.
        zones: Of the run.
        lines: Of the run.
        alerts: Of the run.
        calibration: Whether calibrations are used.
    """
    names = [camera.name for camera in cameras]
    calibrated = [camera.name for camera in cameras if camera.calibration is not None and calibration]
    for i, zone in enumerate(zones):
        yield from _camera_mistakes(("zones", i), zone.camera, zone.ground is not None, names, calibrated)
    for i, line in enumerate(lines):
        yield from _camera_mistakes(("lines", i), line.camera, line.ground, names, calibrated)
    yield from _name_mistakes(zones, lines)
    for i, alert in enumerate(alerts):
        reason = _never(alert.rule, zones, [line.name for line in lines], names)
        if reason:
            yield ("alerts", i, "when"), reason


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    near = nearest(name, known)
    hint = f"did you mean '{near}'?" if near is not None else f"there are: {', '.join(sorted(set(known))) or 'none'}"
    return f"there is no {what} '{name}'; {hint}"


def _camera_mistakes(
    where: tuple[str, int], camera: str | None, on_ground: bool, names: list[str], calibrated: list[str]
) -> Iterator[Mistake]:
    if camera is not None and camera not in names:
        yield (*where, "camera"), _unknown("camera", camera, names)
    elif on_ground and not calibrated:
        yield where, "nobody can ever be there: it lies on the ground, and no camera is calibrated ('calibration:')"
    elif on_ground and camera is not None and camera not in calibrated:
        yield (*where, "camera"), f"camera '{camera}' is not calibrated, and this lies on the ground"


def _name_mistakes(zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> Iterator[Mistake]:
    first: dict[str, ZoneConfig] = {}
    for i, zone in enumerate(zones):
        other = first.setdefault(zone.name, zone)
        if other is zone:
            continue
        if (other.ground is None) != (zone.ground is None):
            kind = {True: "in a picture", False: "on the ground"}
            yield (
                ("zones", i, "name"),
                f"zone '{zone.name}' is {kind[zone.ground is None]} here and {kind[other.ground is None]} before; "
                "zones of one name are one place and of one kind",
            )
        elif any(zone.camera == before.camera for before in zones[:i] if before.name == zone.name):
            yield (
                ("zones", i, "name"),
                f"camera '{zone.camera}' has a zone '{zone.name}' already; draw one polygon around both, or choose "
                "another name",
            )
        else:
            for key, value in zone.of_place.items():
                if value != other.of_place[key]:
                    yield (
                        ("zones", i, key if key in zone.model_fields_set else "name"),
                        f"'{key}' belongs to the place and is the same in all cameras; zone '{zone.name}' has "
                        f"{other.of_place[key]} before and {value} here",
                    )
    seen: dict[str, list[LineConfig]] = {}
    for i, line in enumerate(lines):
        if line.name in first:
            yield (
                ("lines", i, "name"),
                f"'{line.name}' is the name of a zone, too; zones and lines need different names",
            )
        for before in seen.setdefault(line.name, []):
            if before.ground != line.ground:
                yield (
                    ("lines", i, "name"),
                    f"line '{line.name}' is on the ground in one place and in a picture in another; lines of one name "
                    "are of one kind",
                )
                break
            if before.camera == line.camera:
                yield (
                    ("lines", i, "name"),
                    f"camera '{line.camera}' has a line '{line.name}' already; choose another name",
                )
                break
        seen[line.name].append(line)


def _never(rule: AlertRule, zones: Sequence[ZoneConfig], lines: list[str], cameras: list[str]) -> str:
    """Why a rule can never hold; '' where it can."""
    names = [zone.name for zone in zones]
    for kind, name in ((rule.subject, rule.name), (rule.place_kind, rule.place)):
        known = {"zone": names, "line": lines, "camera": cameras}.get(kind)
        if known is not None and name not in known:
            return f"this can never hold: {_unknown(kind, name, known)}"
    zone = next((zone for zone in zones if rule.subject == "zone" and zone.name == rule.name), None)
    if zone is not None and rule.measure == "loitering" and not zone.loitering_time:
        return f"this can never hold: zone '{zone.name}' has no loitering_time"
    if zone is not None and rule.measure == "queue" and not zone.queue:
        return f"this can never hold: zone '{zone.name}' has no queue (queue: true)"
    return ""


def nameless(alerts: Sequence[AlertConfig], gallery: str | None) -> Iterator[tuple[int, str]]:
    """Rules about named people where no gallery can give names: number of the alert, and the sentence.

    Args:
        alerts: Of the run.
        gallery: Where people are remembered; None for nowhere.
    """
    for i, alert in enumerate(alerts):
        rule = alert.rule
        if gallery is None and rule.subject == "identity" and not rule.name.isdecimal():
            yield (
                i,
                f"alerts[{i}].when: '{alert.when}' can never hold: names are given to people of a gallery, and this "
                "run has none (gallery.store, --gallery)",
            )


def check_names(alerts: Sequence[AlertConfig], gallery: str | None) -> None:
    """Rules about named people need a gallery, where names are given. It may come from the command line, so this is
    asked when everything is known.

    Args:
        alerts: Of the run.
        gallery: Where people are remembered; None for nowhere.

    Raises:
        ConfigError: A rule can never hold.
    """
    for _, text in nameless(alerts, gallery):
        raise ConfigError(text)
