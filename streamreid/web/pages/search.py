"""Search: who looks like a picture or a person, and who was at a camera at a time."""

from __future__ import annotations

from math import isfinite, nan
from typing import Any

from streamreid.errors import DataError, StreamReIDError
from streamreid.gallery import Gallery
from streamreid.runs.gallery_search import search_gallery
from streamreid.runs.questions import moment
from streamreid.secrets import redact
from streamreid.web.registry import Asked, Pages

__all__ = ["add"]

_FOUND = 30
"""Shown of what is found."""

_LIKELY = 0.01
"""Probability from which somebody is shown: below, they are strangers."""

_DIGITS = 19
"""From which a number is none of a person."""


def add(pages: Pages) -> None:
    """Add the page."""
    pages.add("search", _show, title="search.title")


def _show(asked: Asked) -> dict[str, Any]:
    site, query = asked.site, asked.query
    values: dict[str, Any] = {
        "cameras": [camera["name"] for camera in site.cameras()],
        "camera": query.get("camera", ""),
        "time": query.get("time", ""),
        "like": query.get("like", ""),
        "found": None,
        "problem": "",
        "pictures": site.gallery is not None,
    }
    try:
        if values["like"]:
            values["found"] = _alike(asked, values["like"])
        elif values["time"]:
            values["found"] = _there(asked, values["camera"], values["time"])
    except StreamReIDError as error:
        values["problem"] = redact(error)
    return values


def _alike(asked: Asked, text: str) -> list[dict[str, Any]]:
    """Who may be the same person as one, by what the run compared."""
    review, gallery, who = asked.site.review, asked.site.gallery, text.strip().lstrip("#")
    if not (who.isascii() and who.isdecimal() and len(who) < _DIGITS):
        named = [p["global_id"] for p in asked.site.people(10_000) if (p["name"] or "").casefold() == who.casefold()]
        if not named:
            raise DataError(f"nobody has the number or the name '{text}'")
        who = str(named[0])
    if review is None:
        return [] if gallery is None else _alike_in_gallery(asked, gallery, int(who))
    found = []
    for candidate in (c for c in review.candidates(int(who), _FOUND) if c.probability >= _LIKELY):
        person = asked.site.person(candidate.global_id)
        if person is not None:
            found.append({**person, "found_probability": candidate.probability, "when": person["first_seen"]})
    return found


def _alike_in_gallery(asked: Asked, gallery: Gallery, who: int) -> list[dict[str, Any]]:
    """The same by what a gallery keeps."""
    found = []
    for match in search_gallery(gallery=gallery, identity=who, top=_FOUND, actor="HTTP").identities:
        person = asked.site.person(match.global_id)
        if person is not None:
            found.append({**person, "found_probability": match.probability, "when": person["first_seen"]})
    return found


def _there(asked: Asked, camera: str, text: str) -> list[dict[str, Any]]:
    """Who was at a camera (or any) at a time, the surest first."""
    people = asked.site.people(10_000)
    first = min((p["first_seen"] for p in people if p["first_seen"] is not None), default=None)
    try:
        time = float(text)
    except ValueError:
        time = nan
    if not isfinite(time):
        time = moment(text, first, "time")
    found = []
    for person in people:
        if person["first_seen"] is None or not person["first_seen"] <= time <= (person["last_seen"] or 0.0) + 1.0:
            continue
        if camera and camera not in person["cameras"]:
            continue
        full = asked.site.person(person["global_id"])
        for one in [] if full is None else full["appearances"]:
            if one["start"] - 0.5 <= time <= one["end"] + 0.5 and camera in ("", one["camera"]):
                told = {"found_probability": one["probability"], "when": one["start"], "where": one["camera"]}
                found.append({**person, **told})
                break
    return sorted(found, key=lambda p: -p["found_probability"])[:_FOUND]
