"""The occluded ReID protocol: every query covered on one of four sides, a quarter or a half, by (a) a background patch or (b) another person.

The picture is first resized to the network's input, then a corner patch (a) or the whole picture (b) of another person is stretched over the side.
Side, share and occluder are drawn with a fixed seed, so that every engine meets the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from streamreid.errors import DataError
from streamreid.evaluation.reid import PersonImages, ReidScores, rank_scores, rerank
from streamreid.similarity import part_similarity
from streamreid.training.occlusion import corner_patch, cover, draw_occlusion
from streamreid.training.people import Picture
from streamreid.types import FloatArray, Image, PartFeatures

__all__ = ["OCCLUDERS", "Embed", "OccludedScores", "held_out_sets", "occlude_queries", "score_engine", "whole_similarity"]

Occluder = Literal["patch", "person"]
OCCLUDERS: tuple[Occluder, ...] = ("patch", "person")
Embed = Callable[[Sequence[Image]], PartFeatures]


@dataclass(frozen=True)
class OccludedScores:
    """Scores by the part distance and by the whole-person slot alone, for ``clean``, ``patch`` (a) and ``person`` (b) queries.

    Args:
        parts: By the visibility-weighted part distance.
        whole: By the cosine of slot 0.
    """

    parts: dict[str, ReidScores]
    whole: dict[str, ReidScores]

    def flat(self) -> dict[str, float]:
        """One number per name, and ``score``: the mean mAP over clean and occluded queries by the part distance."""
        numbers = {f"{distance}_{kind}_{name}": value for distance, scores in (("parts", self.parts), ("whole", self.whole))
                   for kind, s in scores.items() for name, value in (("r1", s.r1), ("map", s.map))}  # fmt: skip
        return numbers | {"score": float(np.mean([self.parts[k].map for k in ("clean", *OCCLUDERS)]))}


def occlude_queries(
    queries: Sequence[Image],
    people: Sequence[int],
    others: Sequence[Image],
    other_people: Sequence[int],
    occluder: Occluder,
    *,
    seed: int = 0,
    size: tuple[int, int] = (256, 128),
) -> list[Image]:
    """Cover every query once.

    Args:
        queries: Pictures to cover.
        people: Their person numbers.
        others: Pictures the occluders come from.
        other_people: Their person numbers; a person is never covered by itself.
        occluder: ``patch`` or ``person``.
        seed: Decides sides, shares and occluders.
        size: Height and width at which the queries are covered.
    """
    random = np.random.default_rng(seed)
    result = []
    for image, person in zip(queries, people, strict=True):
        occlusion = draw_occlusion(random)
        choice = int(random.integers(len(others)))
        while other_people[choice] == person:
            choice = int(random.integers(len(others)))
        image, other = (cv2.resize(x, size[::-1], interpolation=cv2.INTER_LINEAR) for x in (image, others[choice]))
        covered, _ = cover(image, corner_patch(other, random) if occluder == "patch" else other, occlusion)
        result.append(covered)
    return result


def held_out_sets(pictures: Sequence[Picture], per_camera: int = 3) -> tuple[PersonImages, PersonImages]:
    """Query and gallery from the people held out of training: one query per person and camera, up to ``per_camera`` others in the gallery."""
    random = np.random.default_rng(0)
    groups: dict[tuple[int, int, int], list[Picture]] = {}
    for picture in pictures:
        groups.setdefault((picture.dataset, picture.person, picture.camera), []).append(picture)
    query, gallery = [], []
    for _, group in sorted(groups.items()):
        mixed = [group[i] for i in random.permutation(len(group))]
        query.append(mixed[0])
        gallery += mixed[1 : 1 + per_camera] or mixed[:1]
    return _named(query), _named(gallery)


def _named(pictures: list[Picture]) -> PersonImages:
    persons = np.array([p.dataset * 1_000_000 + p.person for p in pictures], np.int64)
    return PersonImages(tuple(p.path for p in pictures), persons, np.array([p.camera for p in pictures], np.int64))


def whole_similarity(a: PartFeatures, b: PartFeatures) -> FloatArray:
    """Cosine of the whole-person slots alone."""
    return np.asarray(a.parts[:, 0] @ b.parts[:, 0].T, np.float32)


def score_engine(
    embed: Embed,
    query: PersonImages,
    gallery: PersonImages,
    *,
    seeds: Sequence[int] = (0,),
    reranked: bool = False,
) -> OccludedScores:
    """Score an engine on clean and on occluded queries.

    Args:
        embed: Pictures (uint8 BGR) to part features.
        query: Query names.
        gallery: Gallery names.
        seeds: Occlusion draws; scores are averaged over them.
        reranked: Also score clean queries after k-reciprocal re-ranking of the part distance, as ``reranked``.
    """
    queries, others = _read(query), _read(gallery)
    features = embed(others)
    clean = embed(queries)
    parts = {"clean": rank_scores(part_similarity(clean, features)[0], query, gallery)}
    whole = {"clean": rank_scores(whole_similarity(clean, features), query, gallery)}
    for occluder in OCCLUDERS:
        by_parts, by_whole = [], []
        for seed in seeds:
            pictures = occlude_queries(queries, query.persons.tolist(), others, gallery.persons.tolist(), occluder, seed=seed)
            found = embed(pictures)
            by_parts.append(rank_scores(part_similarity(found, features)[0], query, gallery))
            by_whole.append(rank_scores(whole_similarity(found, features), query, gallery))
        parts[occluder], whole[occluder] = _mean(by_parts), _mean(by_whole)
    if reranked:
        own, cross, rest = (1 - part_similarity(a, b)[0] for a, b in ((clean, clean), (clean, features), (features, features)))
        parts["reranked"] = rank_scores(-rerank(own, cross, rest), query, gallery)
    return OccludedScores(parts, whole)


def _mean(scores: list[ReidScores]) -> ReidScores:
    rows = np.array([[s.r1, s.r5, s.r10, s.map, s.minp] for s in scores])
    r1, r5, r10, precision, inverse = (float(v) for v in rows.mean(axis=0))
    return ReidScores(r1, r5, r10, precision, inverse, scores[0].queries)


def _read(people: PersonImages) -> list[Image]:
    pictures = []
    for path in people.paths:
        image = cv2.imread(str(path))
        if image is None:
            raise DataError(f"{path}: cannot be decoded as a picture")
        pictures.append(np.asarray(image, np.uint8))
    return pictures
