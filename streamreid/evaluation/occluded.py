"""The occluded ReID protocol: every query covered on one of four sides, a quarter or a half, by (a) a background patch
or (b) another person.

The picture is first resized to the network's input, then a corner patch (a) or the whole picture (b) of another person
is stretched over the side. Side, share and occluder are drawn with a fixed seed, so that every engine meets the same
pictures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from streamreid.datasets.identity_split import Picture
from streamreid.datasets.occlusion import Occlusion, corner_patch, cover, draw_occlusion
from streamreid.errors import DataError
from streamreid.evaluation.papers.occlusion_unification import UnifiedGallery, Unifies
from streamreid.evaluation.reid import PersonImages, ReidScores, rank_scores, rerank
from streamreid.features.similarity import part_similarity
from streamreid.types import FloatArray, Image, IntArray, PartFeatures

__all__ = [
    "OCCLUDERS",
    "Embed",
    "OccludedScores",
    "held_out_sets",
    "occlude_queries",
    "score_engine",
    "whole_similarity",
]

Occluder = Literal["patch", "person"]
OCCLUDERS: tuple[Occluder, ...] = ("patch", "person")
Embed = Callable[[Sequence[Image]], PartFeatures]


@dataclass(frozen=True)
class OccludedScores:
    """Scores by the part distance and by the whole-person slot alone, for ``clean``, ``patch`` (a) and ``person`` (b)
    queries.

    Args:
        parts: By the visibility-weighted part distance.
        whole: By the cosine of slot 0.
        sides: By the part distance, for the queries covered on one side by one share, as ``person left 50%``.
        unified: By the part distance with occlusion unification, where it was asked for.
    """

    parts: dict[str, ReidScores]
    whole: dict[str, ReidScores]
    sides: dict[str, ReidScores] = field(default_factory=dict)
    unified: dict[str, ReidScores] = field(default_factory=dict)

    def flat(self) -> dict[str, float]:
        """One number per name, and ``score``: the mean mAP over clean and occluded queries by the part distance."""
        numbers = {
            f"{distance}_{kind}_{name}": value
            for distance, scores in (("parts", self.parts), ("whole", self.whole))
            for kind, s in scores.items()
            for name, value in (("r1", s.r1), ("map", s.map))
        }
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
    return [picture for picture, _ in _occlude(queries, people, others, other_people, occluder, seed, size)]


def _occlude(
    queries: Sequence[Image],
    people: Sequence[int],
    others: Sequence[Image],
    other_people: Sequence[int],
    occluder: Occluder,
    seed: int,
    size: tuple[int, int],
) -> list[tuple[Image, Occlusion]]:
    """The covered pictures and what was covered."""
    random = np.random.default_rng(seed)
    result = []
    for image, person in zip(queries, people, strict=True):
        occlusion = draw_occlusion(random)
        choice = int(random.integers(len(others)))
        while other_people[choice] == person:
            choice = int(random.integers(len(others)))
        image, other = (cv2.resize(x, size[::-1], interpolation=cv2.INTER_LINEAR) for x in (image, others[choice]))
        covered, _ = cover(image, corner_patch(other, random) if occluder == "patch" else other, occlusion)
        result.append((covered, occlusion))
    return result


def held_out_sets(pictures: Sequence[Picture], per_camera: int = 3) -> tuple[PersonImages, PersonImages]:
    """Query and gallery from the people held out of training: one query per person and camera, up to ``per_camera``
    others in the gallery."""
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
    unifier: Unifies | None = None,
    size: tuple[int, int] = (256, 128),
    see: Callable[[FloatArray, PartFeatures], None] | None = None,
) -> OccludedScores:
    """Score an engine on clean and on occluded queries.

    Args:
        embed: Pictures (uint8 BGR) to part features.
        query: Query names.
        gallery: Gallery names.
        seeds: Occlusion draws; scores are averaged over them.
        reranked: Also score clean queries after k-reciprocal re-ranking of the part distance, as ``reranked``.
        unifier: Also score with occlusion unification.
        size: Height and width at which queries are covered.
        see: Gets the similarities ``[Q, G]`` of the clean queries by the part distance, and their features.
    """
    queries, others = _read(query), _read(gallery)
    features = embed(others)
    prepared = UnifiedGallery(unifier, unifier.variants(others)) if unifier else None
    found: dict[tuple[str, str], list[ReidScores]] = defaultdict(list)

    def score(kind: str, pictures: list[Image]) -> FloatArray:
        own = embed(pictures)
        similarity = part_similarity(own, features)[0]
        found["parts", kind].append(rank_scores(similarity, query, gallery))
        found["whole", kind].append(rank_scores(whole_similarity(own, features), query, gallery))
        if prepared:
            found["unified", kind].append(rank_scores(prepared.similarity(pictures, own), query, gallery))
        if see and kind == "clean":
            see(similarity, own)
        return similarity

    clean = score("clean", queries)
    for occluder in OCCLUDERS:
        for seed in seeds:
            drawn = _occlude(queries, query.persons.tolist(), others, gallery.persons.tolist(), occluder, seed, size)
            similarity = score(occluder, [picture for picture, _ in drawn])
            for name, rows in _by_side([occlusion for _, occlusion in drawn]).items():
                found["sides", f"{occluder} {name}"] += _some(similarity, rows, query, gallery)
    if reranked:
        own, rest = (part_similarity(x, x)[0] for x in (embed(queries), features))
        found["parts", "reranked"].append(rank_scores(-rerank(1 - own, 1 - clean, 1 - rest), query, gallery))
    groups: dict[str, dict[str, ReidScores]] = {"parts": {}, "whole": {}, "sides": {}, "unified": {}}
    for (group, kind), scores in found.items():
        groups[group][kind] = _mean(scores)
    return OccludedScores(**groups)


def _by_side(occlusions: Sequence[Occlusion]) -> dict[str, IntArray]:
    """Rows of the queries by side and share."""
    names = np.array([f"{o.side} {o.share:.0%}" for o in occlusions])
    return {str(name): np.flatnonzero(names == name) for name in np.unique(names)}


def _some(similarity: FloatArray, rows: IntArray, query: PersonImages, gallery: PersonImages) -> list[ReidScores]:
    """Scores of some queries; none where none of them has a match."""
    chosen = PersonImages(tuple(query.paths[r] for r in rows), query.persons[rows], query.cameras[rows])
    same = (gallery.persons == chosen.persons[:, None]) & (gallery.cameras != chosen.cameras[:, None])
    return [rank_scores(similarity[rows], chosen, gallery)] if same.any() else []


def _mean(scores: list[ReidScores]) -> ReidScores:
    rows = np.array([[s.r1, s.r5, s.r10, s.map, s.minp] for s in scores])
    r1, r5, r10, precision, inverse = (float(v) for v in rows.mean(axis=0))
    return ReidScores(r1, r5, r10, precision, inverse, round(float(np.mean([s.queries for s in scores]))))


def _read(people: PersonImages) -> list[Image]:
    pictures = []
    for path in people.paths:
        image = cv2.imread(str(path))
        if image is None:
            raise DataError(f"{path}: cannot be decoded as a picture")
        pictures.append(np.asarray(image, np.uint8))
    return pictures
