"""What `streamreid adapt` is worth on cameras that an engine was never trained on, and how much must be seen for it.

    python benchmarks/adaptation.py cuhk01 --engine retail-0277 [--tracks 50x.5 150x1] [--seeds 3]
    python benchmarks/adaptation.py cuhk01 --engine retail-0277 --cache CACHE [--tuned FOLDER]

Of a folder as Market-1501 has it, pictures of the people of ``bounding_box_train`` become tracks of one camera each;
identities are used for that alone. ``50x.5`` are 50 tracks per camera, half of whose people were seen by both cameras.
What is fitted to them is applied to the features of ``query`` and ``bounding_box_test``, other people. mAP after the
Market protocol without adaptation and with what the command makes of the tracks by itself; "left alone": it found
nothing better, or too little to learn from.

With ``--cache``, tracks are those that the program itself made of a scene of the training people, in which cam01 shows
pictures of the folder's first camera and cam02 of its second (`streamreid synth FOLDER --cameras 2 --overlap 0
--lighting 0`): nothing is known of who is who. ``--tuned`` is what `streamreid adapt CACHE --fine-tune` wrote.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from _results import add_json, save_asked

from streamreid.association.camera_normalisation import CameraMeans
from streamreid.association.pair_sampling import Look
from streamreid.association.site_adaptation import SiteAdaptation, load_adaptation
from streamreid.association.track_evidence import Evidence, Presence
from streamreid.association.track_similarity import Views
from streamreid.cli.evaluate_reid import embed_pictures
from streamreid.config import EngineConfig
from streamreid.errors import DataError
from streamreid.evaluation.reid import PersonImages, rank_scores, read_folder
from streamreid.features.similarity import part_similarity
from streamreid.reid.bundle import load_bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.replay.link_calibration import walk
from streamreid.replay.site_fitting import RecordedTracks, fit_adaptation, fit_tracks
from streamreid.replay.site_tracks import collect_tracks
from streamreid.types import PartFeatures

LOOKS = 3
"""Pictures per track; data sets have few."""


def tracks(people: PersonImages, features: PartFeatures, count: int, both: float, seed: int) -> RecordedTracks:
    """``count`` tracks per camera, three at a time; the share ``both`` of their people is seen by both cameras."""
    rng = np.random.default_rng(seed)
    first, second = sorted(set(people.cameras.tolist()))[:2]
    names = rng.permutation(sorted(set(people.persons.tolist())))
    shared, rest = names[: round(count * both)], names[round(count * both) :]
    own = count - len(shared)
    chosen = {first: [*shared, *rest[:own]], second: [*shared, *rest[own : 2 * own]]}
    looks, spans = {}, {}
    for camera, persons in chosen.items():
        for number, person in enumerate(persons):
            rows = np.flatnonzero((people.persons == person) & (people.cameras == camera))
            start = 10.0 * (number // 3)
            key = str(camera), number
            looks[key] = [Look(start + i, features.parts[r], features.visibility[r], 1.0) for i, r in enumerate(rows)]
            spans[key] = start, start + 5.0
    return RecordedTracks(looks, spans)


def adapted(features: PartFeatures, people: PersonImages, adaptation: SiteAdaptation | None) -> PartFeatures:
    """Features as they are compared with an adaptation."""
    if adaptation is None:
        return features
    means = CameraMeans(adapt=adaptation.apply)
    means.begin(adaptation.means)
    evidence = [Evidence([Presence(str(camera), 0.0, 1.0)], looks=1) for camera in people.cameras.tolist()]
    views = Views(features.parts[:, None], features.visibility[:, None], features.visibility)
    return PartFeatures(means.moved(views, evidence).parts[:, 0], features.visibility)


def read(path: Path, most: int | None = None) -> PersonImages:
    """Pictures of a folder, at most ``most`` of each person and camera."""
    found = read_folder(path)
    if most is None:
        return found
    count: dict[tuple[int, int], int] = defaultdict(int)
    kept = []
    for row, key in enumerate(zip(found.persons.tolist(), found.cameras.tolist(), strict=True)):
        count[key] += 1
        if count[key] <= most:
            kept.append(row)
    return PersonImages(tuple(found.paths[i] for i in kept), found.persons[kept], found.cameras[kept])


@dataclass(frozen=True)
class Trial:
    """One engine on one data set.

    Args:
        query: Pictures searched for, and their features.
        gallery: Pictures searched.
        train: Pictures that become tracks.
    """

    query: tuple[PersonImages, PartFeatures]
    gallery: tuple[PersonImages, PartFeatures]
    train: tuple[PersonImages, PartFeatures] | None

    @classmethod
    def of(cls, engine: Path, dataset: Path, *, train: bool = True) -> Trial:
        """All pictures described; those of ``bounding_box_train`` only if asked for."""
        bundle = load_bundle(engine)
        form = bundle.manifest.input
        embed = embed_pictures(EngineEmbedder(bundle, EngineConfig(precision="fp32")), (form.height, form.width))

        def described(folder: str, most: int | None = None) -> tuple[PersonImages, PartFeatures]:
            people = read(dataset / folder, most)
            return people, embed([cv2.imread(str(p)) for p in people.paths])

        learnt = described("bounding_box_train", LOOKS) if train else None
        return cls(described("query"), described("bounding_box_test"), learnt)

    def score(self, adaptation: SiteAdaptation | None) -> float:
        """mAP of people that nothing was learnt from."""
        (query, q), (gallery, g) = self.query, self.gallery
        similarity, _ = part_similarity(adapted(q, query, adaptation), adapted(g, gallery, adaptation))
        return float(rank_scores(similarity, query, gallery).map)

    def fitted(self, count: int, both: float, seed: int) -> tuple[float, str]:
        """mAP after the command learnt from tracks, and what it did."""
        assert self.train is not None
        try:
            found = fit_tracks([tracks(*self.train, count, both, seed)], "any")
        except DataError as error:
            return self.score(None), f"left alone: {str(error)[:90]}"
        taken = "left alone" if found.adaptation is None else f"strength {found.strength:g}"
        return self.score(found.adaptation), f"{taken}, {found.pairs} pairs"


def of_dataset(found: SiteAdaptation | None) -> SiteAdaptation | None:
    """With the cameras of the scene called as the data set's are: cam01 is 1."""
    if found is None:
        return None
    return replace(found, means={str(int(c.removeprefix("cam"))): m for c, m in found.means.items()})


def from_cache(engine: Path, dataset: Path, cache: Path, tuned: Path | None) -> dict[str, float]:
    """mAP with what is learnt from the tracks of a cache."""
    trial = Trial.of(engine, dataset, train=False)
    plain = trial.score(None)
    figures = {"plain": plain}
    walked = walk(cache)
    recorded = [RecordedTracks(walked.recorder.looks, walked.recorder.spans)]
    known = collect_tracks(recorded, 0)
    every = np.ones(len(known.keys), bool)
    means = fit_adaptation(known, np.zeros((0, 2), np.intp), every, 0.0, "any")
    figures["camera means"] = trial.score(of_dataset(means))
    try:
        found = fit_tracks(recorded, "any")
        figures["adapt"] = trial.score(of_dataset(found.adaptation))
        print(f"  adapt: {len(known.keys)} tracks, {found.pairs} pairs, strength {found.strength}", flush=True)
    except DataError as error:
        figures["adapt"] = plain
        print(f"  left alone: {str(error)[:120]}", flush=True)
    if tuned is not None and (tuned / "engine").is_dir():
        own = Trial.of(tuned / "engine", dataset, train=False)
        figures["fine-tuned alone"] = own.score(None)
        site = tuned / "site.npz"
        figures["fine-tuned"] = own.score(of_dataset(load_adaptation(site)) if site.exists() else None)
    elif tuned is not None:
        figures["fine-tuned"] = figures["adapt"]
        print("  fine-tuning: left alone", flush=True)
    for name, value in figures.items():
        print(f"  {name:18} mAP {value:.3f} ({value - plain:+.3f})", flush=True)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--engine", type=Path, action="append", required=True, help="a bundle")
    parser.add_argument("--tracks", nargs="+", default=["20x.5", "50x.5", "150x.5", "150x1"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, help="of one engine on a scene of the training people")
    parser.add_argument("--tuned", type=Path, help="what --fine-tune wrote")
    add_json(parser, "adaptation")
    o = parser.parse_args()
    figures: dict[str, Any] = {}
    if o.cache is not None:
        print(f"{o.engine[0].name} on {o.dataset.name}, tracks of {o.cache.name}", flush=True)
        save_asked(o, {o.engine[0].name: from_cache(o.engine[0], o.dataset, o.cache, o.tuned)}, seed=0)
        return
    for engine in o.engine:
        trial = Trial.of(engine, o.dataset)
        plain = trial.score(None)
        mine = figures[engine.name] = {"plain": {"mAP": plain}}
        print(f"{engine.name} on {o.dataset.name}: mAP {plain:.3f} as it is", flush=True)
        for text in o.tracks:
            count, both = text.split("x")
            found = []
            for seed in range(o.seeds):
                score, said = trial.fitted(int(count), float(both), seed)
                found.append(score)
                print(f"  {text:8s} seed {seed}: mAP {score:.3f} ({score - plain:+.3f}), {said}", flush=True)
            mine[text] = {"mAP": float(np.mean(found)), "least_gain": float(min(found) - plain)}
    save_asked(o, figures, seed=0)


if __name__ == "__main__":
    main()
