"""The rules of alerts: ``zone shop occupancy > 20 for 30s``, read into values.

::

    zone NAME occupancy OP N [for TIME]       also: camera NAME occupancy ..., site occupancy ...
    zone NAME queue OP N [for TIME]           a zone with queue: true
    zone NAME unique OP N in TIME             different people within the last TIME; also: camera NAME ..., site ...
    zone NAME entered | left | loitering
    zone NAME dwell > TIME
    line NAME in | out | crossed [OP N in TIME]
    identity NAME seen [in zone NAME | in camera NAME]

OP is ``>``, ``>=``, ``<``, ``<=`` or ``=`` (of ``unique`` and of lines only the first two); TIME is ``30s``, ``5m``,
``1h`` or a number of seconds. Names with blanks are put in quotes; an identity is a name or a global id.
"""

from __future__ import annotations

import operator
import re
import shlex
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["COMPARISONS", "AlertRule", "Measure", "Subject", "composed", "parse_rule", "parse_seconds"]

Subject = Literal["zone", "camera", "site", "line", "identity"]
Measure = Literal[
    "occupancy", "queue", "unique", "entered", "left", "loitering", "dwell", "in", "out", "crossed", "seen"
]

COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
}

_MEASURES: Final[Mapping[Subject, tuple[Measure, ...]]] = {
    "zone": ("occupancy", "queue", "unique", "entered", "left", "loitering", "dwell"),
    "camera": ("occupancy", "unique"),
    "site": ("occupancy", "unique"),
    "line": ("in", "out", "crossed"),
    "identity": ("seen",),
}

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

LONGEST = 86_400.0
"""Seconds over which people and crossings are counted: what is kept for a rule must stay bounded."""

_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([smhd]?)")
_COUNT = re.compile(r"[0-9]{1,9}")
_TOKEN_BORDERS = re.compile(r"(>=|<=|==|>|<|=)")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When an alert is told.

    Args:
        subject: What is watched.
        name: Of the zone, line, camera or identity; '' for the site.
        measure: What of it.
        comparison: Key of ``COMPARISONS``; '' where nothing is compared.
        limit: What is compared with: people, crossings, or seconds of ``dwell``.
        seconds: For so long it must hold (``for``).
        window: Over so many seconds is counted (``in``); 0 where nothing is counted.
        place: Where an identity must be seen: name of a zone or camera; '' for anywhere.
        place_kind: ``zone`` or ``camera``; '' for anywhere.
    """

    subject: Subject
    name: str
    measure: Measure
    comparison: str = ""
    limit: float = 0.0
    seconds: float = 0.0
    window: float = 0.0
    place: str = ""
    place_kind: str = ""

    def holds(self, value: float) -> bool:
        """Whether a measured value satisfies the comparison."""
        return COMPARISONS[self.comparison](value, self.limit)


def composed(name: str) -> str:
    """A name in one way of writing it: 'é' may be one character, or 'e' and an accent (as file managers write it)."""
    return unicodedata.normalize("NFC", name)


def parse_seconds(text: str) -> float:
    """Seconds of ``30``, ``30s``, ``5m``, ``1.5h`` or ``1d``.

    Raises:
        ValueError: It is no such time.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text[:40]}' is not a time; write it as 30s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2]]


class _Words:
    """The words of a rule, one after the other."""

    def __init__(self, text: str) -> None:
        lexer = shlex.shlex(_TOKEN_BORDERS.sub(r" \1 ", text), posix=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        try:
            self._words = list(lexer)
        except ValueError:
            raise ValueError("a quotation mark is not closed") from None

    def next(self, expected: str) -> str:
        if not self._words:
            raise ValueError(f"the rule ends where {expected} is expected")
        return self._words.pop(0)

    def one_of(self, choices: tuple[str, ...]) -> str:
        word = self.next(" or ".join(choices))
        if word not in choices:
            raise ValueError(f"'{word[:40]}' is not understood here; expected {', '.join(choices)}")
        return word

    def take(self, word: str) -> bool:
        """Whether ``word`` comes next; it is then taken."""
        if self._words[:1] != [word]:
            return False
        del self._words[0]
        return True

    def compares(self) -> bool:
        return bool(self._words) and _TOKEN_BORDERS.fullmatch(self._words[0]) is not None

    def comparison(self, choices: tuple[str, ...]) -> str:
        found = self.next(" or ".join(choices)).replace("==", "=")
        if found not in choices:
            raise ValueError(f"'{found[:40]}' is not understood here; expected {', '.join(choices)}")
        return found

    def number(self) -> float:
        word = self.next("a number of people")
        if not _COUNT.fullmatch(word):
            raise ValueError(f"'{word[:40]}' is not a whole number")
        return float(word)

    def time(self) -> float:
        word = self.next("a time such as 30s")
        if self._words and word.replace(".", "", 1).isdecimal() and self._words[0] in _UNITS:
            word += self._words.pop(0)
        return parse_seconds(word)

    def window(self) -> float:
        seconds = self.time()
        if not 0 < seconds <= LONGEST:
            raise ValueError(f"people and crossings are counted over more than 0 s and at most {LONGEST:.0f} s")
        return seconds

    def end(self) -> None:
        if self._words:
            raise ValueError(f"'{' '.join(self._words)[:40]}' at its end is not understood")


def parse_rule(text: str) -> AlertRule:
    """The rule that a text stands for.

    >>> parse_rule("zone shop occupancy > 20 for 30s")  # doctest: +NORMALIZE_WHITESPACE
    AlertRule(subject='zone', name='shop', measure='occupancy', comparison='>', limit=20.0, seconds=30.0, window=0.0,
              place='', place_kind='')

    Raises:
        ValueError: The text is no rule; says where and what is expected.
    """
    words = _Words(composed(text))
    subject: Subject = words.one_of(tuple(_MEASURES))  # type: ignore[assignment]
    name = "" if subject == "site" else words.next(f"the name of the {subject}")
    measure: Measure = words.one_of(_MEASURES[subject])  # type: ignore[assignment]
    comparison, limit, seconds, window, place, kind = "", 0.0, 0.0, 0.0, "", ""
    if measure in ("occupancy", "queue"):
        comparison, limit = words.comparison(tuple(COMPARISONS)), words.number()
        if words.take("for"):
            seconds = words.time()
    elif measure == "unique" or (subject == "line" and words.compares()):
        comparison, limit = words.comparison((">", ">=")), words.number()
        if not words.take("in"):
            raise ValueError("say over which time is counted: ... in 1h")
        window = words.window()
    elif measure == "dwell":
        comparison, limit = words.comparison((">", ">=")), words.time()
    elif measure == "seen" and words.take("in"):
        kind = words.one_of(("zone", "camera"))
        place = words.next(f"the name of the {kind}")
    words.end()
    rule = AlertRule(subject, name, measure, comparison, limit, seconds, window, place, kind)
    _check_limits(rule)
    return rule


def _check_limits(rule: AlertRule) -> None:
    """A number of people is 0 or more, so some comparisons are decided before anybody comes.

    Raises:
        ValueError: The rule never or always holds.
    """
    if rule.comparison == "<" and rule.limit == 0:
        raise ValueError("this can never hold: a number of people is never less than 0")
    if rule.comparison == ">=" and rule.limit == 0 and rule.measure != "dwell":
        raise ValueError("this always holds: a number of people is never less than 0")
