"""Fitting the link probability to a site: pairs from recordings, models fitted on one half of the people and judged on
the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.association.link_fitting import (
    Pairs,
    Reliability,
    doubt,
    fit_link,
    join_pairs,
    probabilities,
    reliability,
)
from streamreid.association.pair_sampling import (
    TrackFragment,
    answered_pairs,
    labelled_pairs,
    own_pairs,
    track_fragments,
)
from streamreid.association.site_adaptation import AnyCalibration
from streamreid.association.track_constraints import TrackConstraints
from streamreid.config import Config, LinkConfig
from streamreid.errors import DataError
from streamreid.replay.embedding_recorder import EmbeddingRecorder
from streamreid.replay.replay import Replay
from streamreid.types import TrackKey

__all__ = ["Calibrated", "Walked", "calibrate", "walk", "walked_by"]

_OWN = ("looks", "intercept")
_LABELLED = ("looks", "looks_common", "looks_crops", "common", "crops", "gap", "other_camera", "intercept")
# Tracks of one camera are more alike than those of two, and not every two tracks are two people: what they say moves
# the model only if there is much of it. Both were chosen on a generated scene, by the likelihood of pairs across
# cameras.
_TRUST, _DOUBT = 200.0, 0.1
_MOST_TRACKS = 400
"""Tracks per recording that pairs are made of: pairs grow with the square."""


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """A recording after it was replayed.

    Args:
        replay: Which has run.
        recorder: Embeddings and times of all tracks.
        boxes: ``{camera: rows of (frame from 1, track, left, top, width, height)}``.
    """

    replay: Replay
    recorder: EmbeddingRecorder
    boxes: dict[str, list[tuple[int, int, float, float, float, float]]]


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """What calibration found.

    Args:
        link: The model, fitted on everything.
        before: Reliability of the model that was there.
        after: Reliability of models fitted on other people than they are judged on.
        same: Pairs of one person.
        different: Pairs of two people.
        labelled: Whether ground truth was used.
    """

    link: LinkConfig
    before: Reliability
    after: Reliability
    same: int
    different: int
    labelled: bool

    def as_dict(self) -> dict[str, Any]:
        """The same figures as plain values, for JSON."""
        return {
            "schema": 1,
            "link": self.link.model_dump(),
            "pairs": {"one_person": self.same, "two_people": self.different},
            "labelled": self.labelled,
            "expected_calibration_error": {"before": round(self.before.error, 5), "after": round(self.after.error, 5)},
            "reliability": {name: _bins(r) for name, r in (("before", self.before), ("after", self.after))},
        }


def _bins(found: Reliability) -> list[dict[str, float]]:
    edges = zip(found.edges, found.edges[1:], strict=False)
    return [
        {"from": low, "to": high, "pairs": round(n, 3), "said": round(s, 5), "true": round(t, 5)}
        for (low, high), n, s, t in zip(edges, found.count, found.said, found.true, strict=True)
    ]


def walk(cache: Path, config: Config | None = None) -> Walked:
    """Replay a cache and keep what was seen of every track.

    Raises:
        DataError: The folder is no cache, or it is damaged.
    """
    recorder = EmbeddingRecorder()
    return walked_by(Replay(cache, config, observers=[recorder]), recorder)


def walked_by(replay: Replay, recorder: EmbeddingRecorder) -> Walked:
    """Run a replay, which the recorder observes, to its end."""
    boxes: dict[str, list[tuple[int, int, float, float, float, float]]] = {c.name: [] for c in replay.config.cameras}
    for result in replay:
        rows = boxes[result.frame.camera]
        for track, (x0, y0, x1, y1) in zip(result.tracks.ids.tolist(), result.tracks.boxes.tolist(), strict=True):
            rows.append((result.frame.index + 1, track, x0, y0, x1 - x0, y1 - y0))
    return Walked(replay, recorder, boxes)


def calibrate(
    walked: Sequence[Walked],
    persons: Sequence[Mapping[TrackKey, int]] | None = None,
    *,
    seed: int = 0,
    said: TrackConstraints | None = None,
) -> Calibrated:
    """Fit the link probability.

    Without ``persons`` nothing but the tracks themselves is used: fragments of one track are one person, tracks that
    one camera saw at the same time are two. What only pairs of different cameras can tell then stays as it is, and the
    rest near it.

    Args:
        walked: Recordings of one engine.
        persons: For each recording who each track is, by ground truth.
        seed: Of the lot that parts the people.
        said: Pairs of tracks of which people said whether they are one person: they count beside what tracks say of
            themselves. Of one recording; tracks that it does not have are passed over.

    Raises:
        DataError: Recordings of several engines, or too little to learn from.
    """
    engines = {w.replay.manifest.engine.fingerprint: w.replay.manifest.engine.name for w in walked}
    if len(engines) > 1:
        raise DataError(
            f"caches of several engines cannot be calibrated together: {', '.join(sorted(set(engines.values())))}"
        )
    if not any(w.recorder.looks for w in walked):
        names = ", ".join(str(w.replay.folder) for w in walked)
        raise DataError(
            f"nobody was described in {names}, so there is nothing to fit; record with an engine (`streamreid run "
            "--engine auto --cache ...`)"
        )
    base = walked[0].replay.config.association.link
    halves: tuple[list[Pairs], list[Pairs]] = ([], [])
    every: list[Pairs] = []
    for number, item in enumerate(walked):
        made = _fragments(item, seed)
        known = None if persons is None else persons[number]
        every.append(_pairs(item, made, known, said))
        side = _sides(made, known, seed)
        for half in (0, 1):
            halves[half].append(_pairs(item, [p for p in made if side[p.track] == half], known, said))
    pairs = join_pairs(every)
    free = _OWN if persons is None else _LABELLED
    names = ", ".join(w.replay.folder.name for w in walked)
    source = f"{'ground truth' if persons is not None else 'own tracks'} of {names}"
    link = _fit(pairs, base, free).model_copy(update={"source": source, "learn_intercept": False})
    one, two = join_pairs(halves[0]), join_pairs(halves[1])
    judged_as = [probabilities(_fit_half(a, base, free), b) for a, b in ((two, one), (one, two))]
    judged = join_pairs([one, two])
    return Calibrated(
        link,
        reliability(probabilities(base, judged), judged.same, judged.weight),
        reliability(np.concatenate(judged_as), judged.same, judged.weight),
        int(pairs.same.sum()),
        int((~pairs.same).sum()),
        persons is not None,
    )


def _fit(pairs: Pairs, base: LinkConfig, free: Sequence[str], least: int = 10) -> LinkConfig:
    if free != _OWN:
        return fit_link(pairs, base, free, least=least)
    model = base
    for _ in range(4):
        model = fit_link(doubt(pairs, model, _DOUBT), base, free, ridge=_TRUST, least=least)
    return model


def _fit_half(pairs: Pairs, base: LinkConfig, free: Sequence[str]) -> LinkConfig:
    """On half of the people; where these are too few, the model as it was."""
    try:
        return _fit(pairs, base, free, least=2)
    except DataError:
        return base


def _fragments(item: Walked, seed: int) -> list[TrackFragment]:
    looks = {k: v for k, v in item.recorder.looks.items() if len(v) > 1}
    keys = sorted(looks)
    if len(keys) > _MOST_TRACKS:
        chosen = np.random.default_rng(seed).choice(len(keys), _MOST_TRACKS, replace=False)
        keys = [keys[i] for i in sorted(chosen.tolist())]
    config = item.replay.config.association
    return track_fragments(
        {k: looks[k] for k in keys}, slots=config.prototypes, visibility=config.visibility, seed=seed
    )


def _sides(made: Sequence[TrackFragment], person: Mapping[TrackKey, int] | None, seed: int) -> dict[TrackKey, int]:
    """Which half of the people each track belongs to."""
    rng = np.random.default_rng(seed)
    tracks = sorted({p.track for p in made})
    owner = {k: (person or {}).get(k, -1 - i) for i, k in enumerate(tracks)}
    people = sorted(set(owner.values()))
    half = dict(zip(people, (rng.permutation(len(people)) % 2).tolist(), strict=True))
    return {k: half[owner[k]] for k in tracks}


def _pairs(
    item: Walked,
    made: Sequence[TrackFragment],
    person: Mapping[TrackKey, int] | None,
    said: TrackConstraints | None,
) -> Pairs:
    how, site = item.replay.config.association.unification, item.replay.site
    adaptation, means = site.associator.adaptation, site.associator.means
    followed = site.calibration.calibration
    calibration: AnyCalibration = followed if adaptation is None else adaptation.calibrated(followed)
    if person is not None:
        return labelled_pairs(made, person, calibration, how, means)
    own = own_pairs(made, item.recorder.spans, calibration, how, means)
    return own if said is None else join_pairs([own, answered_pairs(made, said, calibration, how, means)])
