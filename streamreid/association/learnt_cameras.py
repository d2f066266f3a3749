"""What a run learnt of how its cameras relate, kept for the run that goes on.

How the times of one person's tracks relate (:mod:`streamreid.association.time_relations`) and how one picture maps onto
another (:mod:`streamreid.association.learnt_places`) stay true when a program ends. They are kept as JSON. Of two
cameras little is kept before some pairs of tracks were surely one person: what one person did is nobody's business, and
says next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from streamreid.association.learnt_places import KnownPlaces, LearntPlaces
from streamreid.association.time_relations import EDGES, PRIOR, RELATIONS, KnownRelations, TimeRelations
from streamreid.errors import DataError
from streamreid.types import Float64Array

__all__ = ["LearntCameras"]

_SCHEMA = 1

_MOST_PAIRS = 1000
"""Pairs of cameras that are kept, those with most pairs of one person; about 1 KB each."""


@dataclass(frozen=True, slots=True, eq=False)
class LearntCameras:
    """What was learnt of pairs of cameras.

    Args:
        engine: Fingerprint of the engine by whose features it was learnt.
        relations: How times and distances of two tracks relate.
        places: How pictures map onto each other.
    """

    engine: str
    relations: KnownRelations = field(default_factory=KnownRelations)
    places: KnownPlaces = field(default_factory=KnownPlaces)

    def __bool__(self) -> bool:
        return bool(self.relations.pairs)

    @property
    def cameras(self) -> set[str]:
        """Cameras of which anything is known."""
        return {camera for pair in self.relations.pairs for camera in pair}

    @classmethod
    def of(cls, engine: str, times: TimeRelations, places: LearntPlaces | None) -> LearntCameras:
        """What is worth keeping of what is known now."""
        known = times.known()
        much = {pair: float(counts[0].sum()) for pair, counts in known.pairs.items()}
        kept = sorted((pair for pair in much if much[pair] >= PRIOR), key=lambda p: (-much[p], p))[:_MOST_PAIRS]
        relations = replace(known, pairs={pair: known.pairs[pair] for pair in known.pairs if pair in set(kept)})
        return cls(engine, relations, KnownPlaces() if places is None else places.known_places())

    def only(self, cameras: Collection[str]) -> LearntCameras:
        """What concerns no other cameras."""
        pairs = {pair: counts for pair, counts in self.relations.pairs.items() if set(pair) <= set(cameras)}
        names = tuple(name for name in self.relations.cameras if name in cameras)
        onto = {pair: found for pair, found in self.places.onto.items() if set(pair) <= set(cameras)}
        sizes = {name: size for name, size in self.places.sizes.items() if name in cameras}
        return LearntCameras(self.engine, replace(self.relations, cameras=names, pairs=pairs), KnownPlaces(onto, sizes))

    def beside(self, others: LearntCameras | None) -> LearntCameras:
        """This, and what others know of pairs of cameras that this does not know."""
        if others is None or others.engine != self.engine:
            return self
        mine, theirs = self.relations, others.relations
        names = mine.cameras + tuple(name for name in theirs.cameras if name not in mine.cameras)
        known = {frozenset(pair) for pair in mine.pairs}
        pairs = dict(mine.pairs)
        for (a, b), counts in theirs.pairs.items():
            if frozenset((a, b)) not in known and len(pairs) < _MOST_PAIRS:
                pairs[a, b] = counts
        places = self.places.beside(others.places, set(mine.cameras))
        return LearntCameras(self.engine, KnownRelations(names, pairs, mine.shares), places)

    def begin(self, times: TimeRelations, places: LearntPlaces | None) -> None:
        """Begin with it, before anything is learnt."""
        times.begin(self.relations)
        if places is not None:
            places.begin(self.places)

    # ---------------------------------------------------------------- as text

    def to_json(self) -> str:
        """As text; see `from_json`."""
        number = {name: i for i, name in enumerate(self.relations.cameras)}
        return json.dumps(
            {
                "schema": _SCHEMA,
                "engine": self.engine,
                "relations": EDGES,
                "cameras": list(self.relations.cameras),
                "shares": self.relations.shares.tolist(),
                "pairs": [
                    {"cameras": [number[a], number[b]], "one_person": same.tolist(), "two_people": other.tolist()}
                    for (a, b), (same, other) in self.relations.pairs.items()
                ],
                "sizes": {name: list(size) for name, size in self.places.sizes.items()},
                "homographies": [
                    {"from": a, "to": b, "matrix": found.tolist()} for (a, b), found in self.places.onto.items()
                ],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> LearntCameras:
        """What `to_json` gave.

        Raises:
            DataError: The text is damaged, or another version wrote it.
        """
        try:
            data = json.loads(text)
            if data["schema"] != _SCHEMA or data["relations"] != EDGES:
                raise DataError("another version of streamreid wrote it")
            names = tuple(str(name) for name in data["cameras"])
            pairs = {}
            for item in data["pairs"]:
                a, b = item["cameras"]
                pairs[names[a], names[b]] = _numbers([item["one_person"], item["two_people"]], (2, RELATIONS))
            relations = KnownRelations(names, pairs, _numbers(data["shares"], (RELATIONS,)))
            return cls(str(data["engine"]), relations, _places(data))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise DataError(f"it is damaged ({type(error).__name__}: {error})") from None


def _places(data: Mapping[str, Any]) -> KnownPlaces:
    onto = {}
    for item in data["homographies"]:
        matrix = np.array(item["matrix"], np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise ValueError("a homography is not 3 by 3 numbers")
        onto[str(item["from"]), str(item["to"])] = matrix
    return KnownPlaces(onto, {str(name): (int(w), int(h)) for name, (w, h) in data["sizes"].items()})


def _numbers(values: Any, shape: tuple[int, ...]) -> Float64Array:
    found = np.array(values, np.float64)
    if found.shape != shape or not np.isfinite(found).all() or (found < 0).any():
        raise ValueError(f"expected {shape} numbers that are not negative")
    return found
