"""Identities across cameras: every variant on the same caches, honesty of the probabilities, and cost at scale.

    python benchmarks/association.py scenes SCENE [SCENE ...] --caches FOLDER --base BUNDLE [--first 400]
        SCENE is a folder of `streamreid synth`. Its boxes (SCENE/detections) are described once per engine: by the
        shipped one and by a global one (--base, for example retail-0277 from `streamreid engine import`). Looks are
        those of a run (`engine.embedding_interval`), not of every box.
    python benchmarks/association.py clip CACHE --truth CAMERA=FILE ... [--frames 1:75] [--partial CAMERA] [--set
    SETTING=VALUE]
        CACHE is one of `streamreid run --cache`.
    python benchmarks/association.py scale [--people 100 1000 10000 100000]
    python benchmarks/association.py known [--people 0 200 1000]

Naive linking takes each track's average whole-person feature and links by average-linkage clustering at the threshold
that is best on this very scene, found with the ground truth in hand: more than anybody can have in use. All others use
default settings, fitted on none of these people.
"""

from __future__ import annotations

import argparse
import logging
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from _generated_looks import crowd
from _results import add_json, save_asked
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

from streamreid import Pipeline
from streamreid.association import Associator
from streamreid.association.link_fitting import probabilities, reliability
from streamreid.association.pair_sampling import labelled_pairs, track_fragments
from streamreid.association.track_evidence import Evidence, Presence, descriptors
from streamreid.cache.manifest import read_manifest
from streamreid.cache.reader import read_frames
from streamreid.config import AssociationConfig, Config, load_config
from streamreid.evaluation import MulticamEvaluation, Table, evaluate_multicam, read_mot
from streamreid.evaluation.preprocessing import ious
from streamreid.evaluation.track_labels import name_tracks
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.pipeline import Site
from streamreid.replay.embedding_recorder import EmbeddingRecorder
from streamreid.replay.link_calibration import Walked, walk, walked_by
from streamreid.replay.replay import Replay, engine_of, replayed_config
from streamreid.sinks import FinalIdentities
from streamreid.track_update import TrackUpdate
from streamreid.types import KnownIdentity, PartFeatures, Tracks

Key = tuple[str, int]
Sets = dict[str, Any]

results: dict[str, Any] = {}
"""Figures of this run, for ``--json``."""

VARIANTS: dict[str, Sets] = {
    "without visibility": {"association.visibility": False},
    "without unification": {"association.unification": "off"},
    "one view per part": {"association.prototypes": 1},
    "without strangers": {"association.link.strangers": 0.0},
    "without times and places": {"association.link.times": 0.0},
    "looks alone": {"association.link.strangers": 0.0, "association.link.times": 0.0},
    "camera means": {"association.normalise": "camera"},
    "intercept not learnt": {"association.link.learn_intercept": False},
    "at once": {"tracker.delay": 0},
    "full": {},
    "full, whole person graded": {"association.unification": "graded"},
    "full, offline": {"association.offline": True},
}


def other_features(folder: Path, config: Config, base: Path) -> tuple[Walked, FinalIdentities]:
    """Replay a cache with another engine's features of the same people in the same tracks: only the site gets them.

    Args:
        folder: The cache that gives the tracks.
        config: Settings.
        base: The other engine's cache of the same frames.

    Returns:
        The recording with the other features, and who is who by them.
    """
    manifest = read_manifest(base)
    others, site_calibration = {}, SiteCalibration(manifest.calibration)
    for seen in read_frames(base, manifest):
        others[seen.frame.camera, seen.frame.time] = seen.features
        site_calibration.observe(seen.features, seen.detections.boxes)
    # As the calibration is at the end of the recording; what the first engine says of people seen together is not for
    # the other.
    engine = replace(engine_of(manifest), calibration=replace(site_calibration.calibration, impostor_mean=None))
    site, recorder = Site(config, engine), EmbeddingRecorder()

    def observe(update: TrackUpdate) -> None:
        own = [o for o in update.observations if (o.camera, o.time) in others]
        swapped = tuple(replace(o, features=others[o.camera, o.time][o.tracks.rows]) for o in own)
        update = replace(update, observations=swapped, impostors=None)
        recorder(update)
        site.process(update)

    return walked_by(Replay(folder, config, observers=[observe]), recorder), site.identities


def describe(scene: Path, engine: str, cache: Path, first: int | None) -> Path:
    """Make the cache of a scene, or of its first frames, if it is not there."""
    if first is not None:
        cache = cache.with_name(f"{cache.name}.first{first}")
    if not (cache / "manifest.json").exists():
        models = {"detector.model": f"mot:{scene / 'detections'}", "engine.model": engine}
        config = load_config(scene / "cams.yaml").with_settings({**models, "cameras.frames": first})
        with Pipeline(config, cache=cache) as pipeline:
            for _ in pipeline:
                pass
    return cache


def changed(cache: Path, sets: Sets, *, calibrated: bool = False) -> Config:
    """The configuration of a cache, with the association's settings as they are by default now but for those given."""
    changes: Sets = {"association": AssociationConfig().model_dump()}
    if not calibrated:  # looks alone; generated scenes come with their calibration
        changes["cameras.calibration"] = None
    return replayed_config(cache).with_settings({**changes, **sets})


def table(walked: Walked, ids: Mapping[Key, int], camera: str) -> Table:
    """Rows of one camera with their identities; where linking gives one identity to two tracks of a frame, the older
    track keeps it."""
    rows = sorted(walked.boxes[camera], reverse=True)
    data = {(f, ids[camera, t]): (f, ids[camera, t], *box) for f, t, *box in rows if (camera, t) in ids}
    a = np.array(list(data.values()), float).reshape(-1, 6)
    return Table.build(a[:, 0].astype(int), a[:, 1].astype(int), a[:, 2:], where=camera)


def names(walked: Walked, truth: Mapping[str, Table]) -> dict[Key, int]:
    """Who each track is."""
    own = {(c, t): t for c in truth for _, t, *_ in walked.boxes[c]}
    return {(c, t): who for c in truth for t, who in name_tracks(table(walked, own, c), truth[c]).items()}


def honesty(ids: Mapping[Key, tuple[int, float]], person: Mapping[Key, int], least: float = 0.9) -> tuple[int, float]:
    """Of the tracks linked to others with at least this probability, how many there are and the share that is with its
    own person."""
    members: dict[int, list[Key]] = defaultdict(list)
    for key, (gid, _) in ids.items():
        if key in person:
            members[gid].append(key)
    right = []
    for keys in members.values():
        for key in keys:
            others = Counter(person[k] for k in keys if k != key)
            if others and ids[key][1] >= least:
                right.append(others.most_common(1)[0][0] == person[key])
    return len(right), float(np.mean(right)) if right else float("nan")


def doubts(walked: Walked, person: Mapping[Key, int]) -> tuple[float, float]:
    """Expected calibration error of the link probability, over all pairs of tracks (and fragments of them) and over
    those that may be linked (p > .05)."""
    settings = walked.replay.config.association
    looks = {k: v for k, v in walked.recorder.looks.items() if len(v) > 1 and k in person}
    made = track_fragments(looks, slots=settings.prototypes, visibility=settings.visibility)
    site = walked.replay.site
    pairs = labelled_pairs(made, person, site.calibration.calibration, settings.unification, site.associator.means)
    said = probabilities(site.associator.link_model, pairs)
    near = said > 0.05
    return reliability(said, pairs.same, pairs.weight).error, reliability(
        said[near], pairs.same[near], pairs.weight[near]
    ).error


def naive(walked: Walked, seen: Mapping[Key, Counter[int]]) -> tuple[float, dict[Key, int]]:
    """The best threshold of average-linkage clustering of whole-person averages."""
    keys = sorted(k for k, looks in walked.recorder.looks.items() if looks)
    items = []
    for key in keys:
        made = Evidence([Presence(key[0], 0.0, 0.0)], PrototypeSums(1))
        for look in walked.recorder.looks[key]:
            made.observe(look.time, look.parts[:1], look.visibility[:1])
        items.append(made)
    whole = descriptors(items).parts[:, 0]
    tree = linkage(whole, "average", metric="cosine")

    def cut(threshold: float) -> dict[Key, int]:
        return dict(zip(keys, fcluster(tree, threshold, "distance").tolist(), strict=True))

    found = {float(t): agreement(cut(float(t)), seen) for t in np.linspace(0.1, 0.9, 33)}
    best = max(found, key=lambda t: found[t])
    return best, cut(best)


def together(walked: Walked, truth: Mapping[str, Table], frames: tuple[int, int] | None) -> dict[Key, Counter[int]]:
    """In how many frames each track and each person are at one place (IoU of at least .5)."""
    seen: dict[Key, Counter[int]] = defaultdict(Counter)
    for camera, true in truth.items():
        own = table(walked, {(camera, t): t for _, t, *_ in walked.boxes[camera]}, camera)
        first, last = frames or (1, max([1, *true.frames.tolist()]))
        for mine, theirs in zip(own.by_frame(first, last), true.by_frame(first, last), strict=True):
            people, tracks = np.nonzero(ious(true.boxes[theirs], own.boxes[mine]) >= 0.5)
            for person, track in zip(true.ids[theirs][people].tolist(), own.ids[mine][tracks].tolist(), strict=True):
                seen[camera, track][person] += 1
    return seen


def perfect_tracks(walked: Walked, truth: Mapping[str, Table]) -> dict[str, Table]:
    """The boxes of all tracks, each with the person whom it shows (the best assignment of a frame with an IoU of at
    least .5), whatever its track: what the boxes allow."""
    result = {}
    for camera, true in truth.items():
        own = table(walked, {(camera, t): t for _, t, *_ in walked.boxes[camera]}, camera)
        people = -1 - np.arange(len(own.ids))  # nobody, each box another
        last = max([1, *true.frames.tolist(), *own.frames.tolist()])
        for mine, theirs in zip(own.by_frame(1, last), true.by_frame(1, last), strict=True):
            overlap = ious(true.boxes[theirs], own.boxes[mine])
            who, box = linear_sum_assignment(-overlap)
            found = overlap[who, box] >= 0.5
            of_frame = people[mine]
            of_frame[box[found]] = true.ids[theirs][who[found]]
            people[mine] = of_frame
        people[people < 0] += 1 - people.min() + true.ids.max(initial=0)
        result[camera] = Table.build(own.frames, people, own.boxes, where=camera)
    return result


def agreement(ids: Mapping[Key, int], seen: Mapping[Key, Counter[int]]) -> float:
    """Boxes that have the right identity: IDTP of the best assignment of identities to people."""
    total: dict[int, Counter[int]] = defaultdict(Counter)
    for key, counts in seen.items():
        total[ids.get(key, -1)].update(counts)
    people = sorted({p for counts in total.values() for p in counts})
    matrix = np.array([[counts[p] for p in people] for counts in total.values()])
    return float(matrix[linear_sum_assignment(-matrix)].sum()) if matrix.size else 0.0


def line(scene: str, variant: str, found: MulticamEvaluation, extra: str = "") -> None:
    s, e = found.combined, found.identities
    results.setdefault(scene, {})[variant.partition(" (")[0]] = {
        "IDF1": s.idf1,
        "HOTA": s.hota,
        "AssA": s.assa,
        "merges": e.merge_count,
        "splits": e.split_count,
    }
    print(
        f"{scene:14} {variant:34} {s.idf1:6.3f} {s.hota:6.3f} {s.assa:6.3f} {e.merge_count:6} {e.split_count:6}  "
        f"{extra}",
        flush=True,
    )


def head() -> None:
    print(
        f"{'':14} {'':34} {'IDF1':>6} {'HOTA':>6} {'AssA':>6} merges splits  p >= .9: links, right   ECE all / p > .05",
        flush=True,
    )


def swapped(label: str, cache: Path, base: Path, truth: dict[str, Table], options: Any) -> None:
    """Print the line of the global engine's features in the tracks of the other: what is left of the difference when
    tracks are the same."""
    frames = tuple(int(f) for f in options.frames.split(":")) if options.frames else None
    this, ids = other_features(cache, changed(cache, options.sets, calibrated=options.calibrated), base)
    found = evaluate_multicam(
        {c: table(this, {k: g for k, (g, _) in ids.items()}, c) for c in truth}, truth, frames=frames
    )
    count, right = honesty(ids, names(this, truth))
    line(label, "global features in the tracks of ours", found, f"{count:5} {right:.3f}")


def thirds(tables: Mapping[str, Table], truth: Mapping[str, Table], partial: list[str]) -> list[float]:
    """IDF1 of each third of a recording."""
    last = max(int(t.frames.max()) for t in truth.values())
    edges = [last * i // 3 for i in range(4)]
    return [
        float(evaluate_multicam(tables, truth, frames=(a + 1, b), partial=partial).combined.idf1)
        for a, b in pairwise(edges)
    ]


def compare(
    label: str, cache: Path, truth: dict[str, Table], variants: dict[str, Sets], options: Any, *, prefix: str = ""
) -> None:
    """Print a line for every variant, and for naive linking of the same tracks."""
    frames = tuple(int(f) for f in options.frames.split(":")) if options.frames else None
    walked = None

    def by_third(name: str, tables: Mapping[str, Table]) -> None:
        if options.thirds:
            parts = thirds(tables, truth, options.partial)
            results[label][name] |= {f"IDF1 of third {i + 1}": s for i, s in enumerate(parts)}
            print(f"{'':14} {'':34} thirds {' '.join(f'{s:.3f}' for s in parts)}", flush=True)

    for name, sets in variants.items():
        walked = walk(cache, changed(cache, {**options.sets, **sets}, calibrated=options.calibrated))
        this, ids = walked, walked.replay.identities
        found = evaluate_multicam(
            {c: table(this, {k: g for k, (g, _) in ids.items()}, c) for c in truth},
            truth,
            frames=frames,
            partial=options.partial,
        )
        person = names(this, truth)
        count, right = honesty(ids, person)
        ece = doubts(this, person) if name == "full" else None
        error = "   {:.4f} / {:.3f}".format(*ece) if ece else ""
        line(label, prefix + name, found, f"{count:5} {right:.3f}{error}")
        results[label][prefix + name] |= {"sure links": count, "sure right": right}
        by_third(prefix + name, {c: table(this, {k: g for k, (g, _) in ids.items()}, c) for c in truth})
        if ece:
            results[label][prefix + name] |= dict(zip(("ECE all", "ECE near"), ece, strict=True))
    assert walked is not None
    last = walked

    def bound(name: str, tables: dict[str, Table]) -> None:
        line(label, prefix + name, evaluate_multicam(tables, truth, frames=frames, partial=options.partial))
        by_third(prefix + name.partition(" (")[0], tables)

    cut, best = naive(last, together(last, truth, frames))
    bound(f"naive, best threshold here ({cut:.2f})", {c: table(last, best, c) for c in truth})
    if options.bound:
        who = names(last, truth)
        perfect = {
            k: who.get(k, 10**6 + i)
            for i, k in enumerate(sorted({(c, t) for c in truth for _, t, *_ in last.boxes[c]}))
        }
        bound("perfect linking of the same tracks", {c: table(last, perfect, c) for c in truth})
        bound("perfect tracks of the same boxes", perfect_tracks(last, truth))


def scenes(options: Any) -> None:
    """Generated scenes: ours in all variants, and the global engine with naive and with our linking."""
    head()
    for scene in options.scene:
        truth = {c.name: read_mot(scene / "truth" / f"{c.name}.txt") for c in load_config(scene / "cams.yaml").cameras}
        base = (
            describe(scene, str(options.base), options.caches / f"{scene.name}.{options.base.name}", options.first)
            if options.base
            else None
        )
        if base is not None:
            compare(scene.name, base, truth, {"same linking": {}}, options, prefix="global: ")
        cache = describe(scene, options.engine, options.caches / scene.name, options.first)
        if base is not None:
            swapped(scene.name, cache, base, truth, options)
        compare(scene.name, cache, truth, {v: VARIANTS[v] for v in options.variants}, options)


def swapped_ids(truth: Table, one: int, two: int) -> Table:
    """Ground truth in which two people have each other's id."""
    ids = np.select([truth.ids == one, truth.ids == two], [two, one], truth.ids)
    return replace(truth, ids=ids)


def clip(options: Any) -> None:
    """A recorded clip."""
    truth = {name: read_mot(Path(file)) for name, _, file in (t.partition("=") for t in options.truth)}
    for name, _, ids in (s.partition("=") for s in options.swap):
        truth[name] = swapped_ids(truth[name], *map(int, ids.split(":")))
    head()
    compare(options.cache.name, options.cache, truth, {v: VARIANTS[v] for v in options.variants}, options)


# ---------------------------------------------------------------- scale


def scale(options: Any) -> None:
    """Processor time of one new tracklet, from its looks to its identity, while so many people are known and up to 30
    tracks are in the window."""
    print(f"{'known':>8} {'ms per new tracklet':>20} {'KiB per identity':>17} {'found again':>12}")
    for count in options.people:
        rng = np.random.default_rng(0)
        visibility = rng.uniform(0.3, 1.0, (count, 6)).astype(np.float32)
        looks = crowd(count, rng)
        one = np.ones(1, np.float32)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        associator = Associator(calibration=Calibration(slope=20.0, intercept=-7.0))
        associator.admit(
            [
                KnownIdentity(
                    i + 1, PartFeatures(looks[i : i + 1], visibility[i : i + 1]), one, 0.0, 0.0, frozenset("b")
                )
                for i in range(count)
            ]
        )
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        spent, right = [], 0
        for number in range(options.tracklets):
            who = int(rng.integers(count))
            ids = np.array([number + 1])
            tracks = Tracks(ids, np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
            for step in range(3):
                seen = looks[who] + 0.03 * rng.normal(size=looks[who].shape).astype(np.float32)
                seen /= np.linalg.norm(seen, axis=1, keepdims=True)
                start = time.process_time()
                associator.observe(
                    "a", 10.0 * number + step / 10, tracks, PartFeatures(seen[None], np.ones((1, 6), np.float32)), one
                )
                associator.step(force=step == 2)
                spent.append(time.process_time() - start)
            right += associator.link("a", number + 1)[0] == who + 1
        cost = 1000 * np.sum(spent) / options.tracklets
        results[str(count)] = {"ms": cost, "KiB per identity": memory / count, "found": right / options.tracklets}
        print(f"{count:8} {cost:20.2f} {memory / count:17.2f} {right / options.tracklets:12.2f}", flush=True)


def known(options: Any) -> None:
    """Processor time of the association per frame of ten people who come and go, looked at as in a run, while so many
    others are known."""
    print(f"{'known':>8} {'ms per frame of ten people':>27}")
    for count in options.people:
        rng = np.random.default_rng(0)
        looks = crowd(max(count, 1) + 200, rng)
        associator = Associator(calibration=Calibration(slope=20.0, intercept=-7.0))
        full, one = np.ones((1, 6), np.float32), np.ones(1, np.float32)
        people = [
            KnownIdentity(i + 1, PartFeatures(looks[i : i + 1], full), one, 0.0, 0.0, frozenset("b"))
            for i in range(count)
        ]
        associator.admit(people)
        waits = np.minimum(2.0, 0.1 * 2.0 ** np.arange(22))  # as `engine.embedding_interval` does
        due = np.concatenate([[0.0], np.cumsum(waits)])
        spent = 0.0
        for number in range(options.frames):
            now = number / 10
            ids = np.array([k + 10 * int((now + k) // 10) + 1 for k in range(10)])  # each stays for ten seconds
            since = np.array([(now + k) % 10 for k in range(10)])
            seen = (np.abs(due[:, None] - since[None]) < 0.05).any(0)
            who = ids % len(looks)
            parts = looks[who] + 0.03 * rng.normal(size=looks[who].shape).astype(np.float32)
            parts /= np.linalg.norm(parts, axis=2, keepdims=True)
            tracks = Tracks(ids, np.zeros((10, 4), np.float32), np.ones(10, np.float32), np.arange(10))
            features = PartFeatures(parts, np.repeat(seen[:, None], 6, 1).astype(np.float32))
            begin = time.process_time()
            associator.observe("a", now, tracks, features, np.ones(10, np.float32))
            associator.step()
            spent += time.process_time() - begin
        results[str(count)] = {"ms": 1000 * spent / options.frames}
        print(f"{count:8} {1000 * spent / options.frames:27.2f}", flush=True)


def main() -> None:
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("scenes")
    one.add_argument("scene", type=Path, nargs="+")
    one.add_argument("--caches", type=Path, required=True)
    one.add_argument("--engine", default="auto")
    one.add_argument("--base", type=Path, help="bundle of a global ReID model")
    one.add_argument("--first", type=int, help="as if each camera ended after so many frames")
    one.set_defaults(run=scenes)
    two = verbs.add_parser("clip")
    two.add_argument("cache", type=Path)
    two.add_argument("--truth", action="append", required=True, help="CAMERA=FILE")
    two.add_argument("--swap", action="append", default=[], help="CAMERA=ID:ID, whose ids the truth has exchanged")
    two.set_defaults(run=clip)
    for verb in (one, two):
        verb.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
        verb.add_argument("--frames", default=None, help="FIRST:LAST")
        verb.add_argument("--partial", action="append", default=[], help="camera in which not everybody is annotated")
        verb.add_argument("--set", action="append", default=[], help="SECTION.KEY=VALUE for all variants")
        verb.add_argument("--calibrated", action="store_true", help="use the cameras' calibration where they have one")
        verb.add_argument("--thirds", action="store_true", help="also IDF1 of each third")
        verb.add_argument("--bound", action="store_true", help="also perfect linking of the same tracks, and tracks")
    three = verbs.add_parser("scale")
    three.add_argument("--people", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    three.add_argument("--tracklets", type=int, default=40)
    three.set_defaults(run=scale)
    four = verbs.add_parser("known")
    four.add_argument("--people", type=int, nargs="+", default=[0, 200, 1000])
    four.add_argument("--frames", type=int, default=600)
    four.set_defaults(run=known)
    for name, verb in verbs.choices.items():
        add_json(verb, f"association.{name}")
    options = parser.parse_args()
    if hasattr(options, "set"):
        import yaml

        options.sets = {k: yaml.safe_load(v) for k, _, v in (s.partition("=") for s in options.set)}
    if getattr(options, "first", None):
        options.frames = options.frames or f"1:{options.first}"
    options.run(options)
    save_asked(options, results, seed=0)


if __name__ == "__main__":
    main()
