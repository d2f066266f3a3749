"""People: cards, and of one person the appearances, why they are linked, who else it may be, and corrections."""

from __future__ import annotations

from typing import Any

from streamreid.corrections import Correction
from streamreid.errors import StreamReIDError
from streamreid.web.registry import Asked, PageNotFound, Pages
from streamreid.web.ways import drawn_way

__all__ = ["add"]

_CARDS = 200
"""Shown at once, the last seen first."""

_APPEARANCES = 200
"""Shown of one person, the newest."""

_CORRECTIONS = 20
"""Shown of the newest corrections."""

_DIGITS = 19
"""From which a number is none of a person."""

_REASONS = 4
"""Terms shown of a link, those that weighed most."""

_CANDIDATES = 3

_LIKELY = 0.01
"""Probability from which somebody else is shown as perhaps the same person."""

_LEAST_BAR = 0.8
"""Width of a bar, in hundredths of the whole time, so that short appearances can be seen."""


def add(pages: Pages) -> None:
    """Add the page."""
    pages.add("people", _show, title="people.title", template="people.html")


def _show(asked: Asked) -> dict[str, Any]:
    if asked.rest and asked.site.person(_number(asked.rest)) is None:
        return {"person": None, "gone": asked.rest, "people": [], "corrections": _corrections(asked)}
    if asked.rest:
        return {**_one(asked), "people": [], "corrections": _corrections(asked)}
    people = asked.site.people(_CARDS)
    return {"person": None, "gone": "", "people": people, "corrections": _corrections(asked)}


def _number(text: str) -> int:
    """A global id.

    Raises:
        PageNotFound: It is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < _DIGITS):
        raise PageNotFound(f"there is no person '{text}'; people have numbers")
    return int(text)


def _one(asked: Asked) -> dict[str, Any]:
    site = asked.site
    person = site.person(_number(asked.rest))
    assert person is not None  # looked for by the caller
    seen = person["appearances"][-_APPEARANCES:]
    why = _reasons(asked)
    for one in seen:
        one["reasons"] = why.get((one["camera"], one["track_id"]), {})
    if seen:  # also what was seen of them before they were anybody
        person = {**person, "first_seen": min(a["start"] for a in person["appearances"])}
        person["last_seen"] = max(a["end"] for a in person["appearances"])
    return {
        "person": person,
        "appearances": seen,
        "timeline": _timeline(seen),
        "way": drawn_way(site.ways((one["camera"], one["track_id"]) for one in seen), site.plan),
        "candidates": _candidates(asked, person),
    }


def _reasons(asked: Asked) -> dict[tuple[str, int], dict[str, float]]:
    """Why each track is where it is, as its newest event said."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for event in reversed(asked.site.events(2000)):
        reasons, camera, track = event.get("reasons"), event.get("camera"), event.get("track_id")
        if reasons and camera and track:
            best = sorted(reasons.items(), key=lambda item: -abs(item[1]))[:_REASONS]
            found[camera, track] = dict(best)
    return found


def _candidates(asked: Asked, person: dict[str, Any]) -> list[dict[str, Any]]:
    """Who else it may be; nothing where that cannot be said."""
    review = asked.site.review
    if review is None:
        return []
    try:
        found = review.candidates(person["global_id"], _CANDIDATES)
    except StreamReIDError:
        return []
    names = {p["global_id"]: p["name"] for p in asked.site.people(10_000)}
    likely = [c for c in found if c.probability >= _LIKELY]
    return [{"global_id": c.global_id, "name": names.get(c.global_id), "probability": c.probability} for c in likely]


def _timeline(seen: list[dict[str, Any]]) -> dict[str, Any]:
    """A row per camera, bars in shares of the whole time."""
    if not seen:
        return {"rows": [], "start": 0.0, "end": 0.0}
    start, end = min(a["start"] for a in seen), max(a["end"] for a in seen)
    whole = max(end - start, 1e-6)
    rows: dict[str, list[dict[str, float]]] = {}
    for one in seen:
        bar = {
            "left": 100 * (one["start"] - start) / whole,
            "width": max(100 * (one["end"] - one["start"]) / whole, 0.8),
        }
        rows.setdefault(one["camera"], []).append({**bar, "start": one["start"], "end": one["end"]})
    return {"rows": sorted(rows.items()), "start": start, "end": end}


def _corrections(asked: Asked) -> list[dict[str, Any]]:
    if asked.site.corrections is None:
        return []
    history = asked.site.corrections.history()
    undone = {c.undoes for c in history}
    numbered = [c for c in history if c.number]
    return [_correction(c, undone) for c in reversed(numbered[-_CORRECTIONS:])]


def _correction(said: Correction, undone: set[int]) -> dict[str, Any]:
    return {
        "number": said.number,
        "kind": said.kind,
        "global_id": said.global_id,
        "other_id": said.other_id,
        "name": said.name,
        "said": said.said,
        "actor": said.actor,
        "undoes": said.undoes,
        "undone": said.number in undone,
        "can_undo": said.number not in undone and said.kind not in ("undo", "forget"),
    }
