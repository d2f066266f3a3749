"""Rules that people write: when they hold, and how often that is told."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streamreid.config import AlertConfig
from streamreid.config.alert_rules import AlertRule, composed
from streamreid.places.presence import Person, Presence, Presences
from streamreid.places.records import EVERYWHERE, PlaceEvent, camera_place

__all__ = ["Alerts"]

_EVENTS = {"entered": "zone_entered", "left": "zone_left", "loitering": "loitering"}


@dataclass(slots=True)
class _State:
    """What is known of one rule.

    Args:
        config: The alert.
        rule: Its rule.
        place: Which place it is about; '' for lines.
        since: Site time from which it holds; None while it does not.
        told: Whether that was told.
        times: Site times of crossings that are counted.
        last: Site time of the last message, by the person it was about (0: nobody in particular).
        suppressed: Messages that the rate limit held back, by person.
        visitors: Site time at which people were last there, for ``unique``.
    """

    config: AlertConfig
    rule: AlertRule
    place: str
    since: float | None = None
    told: bool = False
    times: deque[float] = field(default_factory=deque)
    last: dict[Person, float] = field(default_factory=dict)
    suppressed: dict[Person, int] = field(default_factory=lambda: defaultdict(int))
    visitors: dict[Person, float] = field(default_factory=dict)


def _place(rule: AlertRule) -> str:
    """The place that a rule is about."""
    kind, name = (rule.place_kind, rule.place) if rule.subject == "identity" else (rule.subject, rule.name)
    if kind == "camera":
        return camera_place(name)
    return name if kind == "zone" else EVERYWHERE if kind in ("site", "") else ""


class Alerts:
    """The alerts of a run.

    Args:
        configs: Rules; checked when they were read.
        presences: Who is where.
    """

    def __init__(self, configs: Sequence[AlertConfig], presences: Presences) -> None:
        self._states = [_State(config, config.rule, _place(config.rule)) for config in configs]
        self._presences = presences
        self._by_event: dict[str, list[_State]] = defaultdict(list)
        for state in self._states:
            if state.rule.subject == "line":
                self._by_event["line_crossed"].append(state)
            elif state.rule.measure in _EVENTS:
                self._by_event[_EVENTS[state.rule.measure]].append(state)
        self._timed = [s for s in self._states if s.rule.measure in ("occupancy", "queue", "unique") or s.rule.window]
        self._of_people = [s for s in self._states if s.rule.measure in ("dwell", "seen")]

    def __bool__(self) -> bool:
        return bool(self._states)

    def merge(self, other: Person, person: Person) -> None:
        """Two people are one."""
        for state in self._states:
            if other in state.visitors:
                state.visitors[person] = max(state.visitors.pop(other), state.visitors.get(person, 0.0))
            if other in state.last:
                state.last[person] = max(state.last.pop(other), state.last.get(person, 0.0))

    # ---------------------------------------------------------------- events

    def on_events(self, events: Iterable[PlaceEvent], clock: float) -> list[PlaceEvent]:
        """The alerts that events bring about."""
        found: list[PlaceEvent] = []
        for event in events:
            for state in self._by_event.get(event.kind, ()):
                rule = state.rule
                if event.place != rule.name or (
                    rule.subject == "line" and rule.measure not in ("crossed", event.direction)
                ):
                    continue
                if rule.window:
                    state.times.append(clock)
                else:
                    person = event.global_id
                    found += self._tell(state, clock, event, person, event.dwell)
        return found

    def _tell(
        self, state: _State, clock: float, about: PlaceEvent, person: Person, value: float | None
    ) -> list[PlaceEvent]:
        """The alert, unless one was told a moment ago."""
        last = state.last.get(person)
        if last is not None and clock - last < state.config.every:
            state.suppressed[person] += 1
            return []
        state.last[person] = clock
        if len(state.last) > 10_000:  # of people who are long gone
            state.last = {p: t for p, t in state.last.items() if clock - t < state.config.every}
        event = replace(
            about,
            kind="alert",
            alert=state.config.title,
            rule=state.config.when,
            value=value,
            suppressed=state.suppressed.pop(person, 0),
        )
        return [event]

    # ---------------------------------------------------------------- time

    def on_time(self, time: float, clock: float, names: Mapping[int, str]) -> list[PlaceEvent]:
        """The alerts of what is the case now.

        Args:
            time: Capture time.
            clock: Time of the site.
            names: Of people, by global id.
        """
        found: list[PlaceEvent] = []
        for state in self._timed:
            value = self._measure(state, clock)
            if not state.rule.holds(value):
                state.since, state.told = None, False
                continue
            state.since = clock if state.since is None else state.since
            if not state.told and clock - state.since >= state.rule.seconds:
                state.told = True
                about = PlaceEvent("alert", time, state.place or state.rule.name)
                found += self._tell(state, clock, about, 0, float(value))
        for state in self._of_people:
            matches = _longer(state.rule, clock) if state.rule.measure == "dwell" else _is(state.rule, names)
            for presence in list(self._presences.at(state.place).values()):
                if id(state) in presence.marks or not matches(presence):
                    continue
                presence.marks.add(id(state))
                about = PlaceEvent(
                    "alert",
                    time,
                    state.place,
                    presence.camera,
                    presence.track_id,
                    presence.global_id,
                    names.get(presence.person, ""),
                    start=time - (clock - presence.since),
                )
                dwell = clock - presence.since if state.rule.measure == "dwell" else None
                found += self._tell(state, clock, about, presence.person, dwell)
        return found

    def _measure(self, state: _State, clock: float) -> int:
        if state.rule.measure in ("occupancy", "queue"):
            return self._presences.occupancy(state.place)
        begin = clock - state.rule.window
        if state.rule.measure == "unique":
            for presence in self._presences.at(state.place).values():
                if presence.told:
                    state.visitors[presence.person] = clock
            state.visitors = {p: t for p, t in state.visitors.items() if t >= begin}
            return len(state.visitors)
        while state.times and state.times[0] < begin:
            state.times.popleft()
        return len(state.times)


def _longer(rule: AlertRule, clock: float) -> Callable[[Presence], bool]:
    return lambda presence: presence.told and rule.holds(clock - presence.since)


def _is(rule: AlertRule, names: Mapping[int, str]) -> Callable[[Presence], bool]:
    """Whether a stay is of the person that a rule names, by name or number."""
    number = int(rule.name) if rule.name.isdecimal() else 0
    return lambda presence: (presence.person == number > 0) or composed(names.get(presence.person, "")) == rule.name
