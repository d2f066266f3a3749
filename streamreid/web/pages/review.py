"""Review: the most doubtful links, one after another."""

from __future__ import annotations

from typing import Any

from streamreid.association.review_queue import Question
from streamreid.errors import StreamReIDError
from streamreid.web.crops import crop_times
from streamreid.web.registry import Asked, Pages

__all__ = ["add"]

_PICTURES = 3
"""Shown of each track."""


def add(pages: Pages) -> None:
    """Add the page."""
    pages.add("review", _show, title="review.title", wanted=lambda site: site.review is not None)


def _show(asked: Asked) -> dict[str, Any]:
    review = asked.site.review
    assert review is not None  # else the page is not wanted
    nothing: dict[str, Any] = {"question": None, "answered": 0, "remaining": 0, "problem": "", "sides": []}
    try:
        questions = review.questions(1)
        told = {"answered": review.answered(), "remaining": review.remaining()}
    except StreamReIDError as error:
        return {**nothing, "problem": str(error)}
    if not questions:
        return {**nothing, **told}
    question = questions[0]
    return {**nothing, **told, "question": _question(question), "sides": _sides(asked, question)}


def _question(question: Question) -> dict[str, Any]:
    body = {
        "one": list(question.one),
        "other": list(question.other),
        "tracks": [list(key) for key in question.tracks],
    }
    answers = [("same", True), ("different", False), ("unsure", None)]
    return {
        "believed": question.believed,
        "probability": question.probability,
        "worth": question.worth,
        "bodies": {name: {**body, "same": same} for name, same in answers},
    }


def _sides(asked: Asked, question: Question) -> list[dict[str, Any]]:
    found = []
    for key in (question.one, question.other):
        who, appearance = _appearance(asked, key)
        times = [] if appearance is None else crop_times(appearance["start"], appearance["end"], _PICTURES)
        live = asked.site.kind == "live"
        found.append(
            {
                "camera": key[0],
                "track_id": key[1],
                "who": who,
                "appearance": appearance,
                "times": [None] if live else times,
            }
        )
    return found


def _appearance(asked: Asked, key: tuple[str, int]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The person of a track, and when it was seen."""
    for person in asked.site.people(10_000):
        if list(key) in [list(track) for track in person["tracks"]] or person["track_count"] > len(person["tracks"]):
            full = asked.site.person(person["global_id"])
            for one in [] if full is None else full["appearances"]:
                if (one["camera"], one["track_id"]) == key:
                    return person, one
    return None, None
