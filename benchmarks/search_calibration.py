"""Whether a search's probabilities are true, on generated scenes: expected calibration error, reliability, and how much
of what is stated with 0.9 or more is right.

    python benchmarks/search_calibration.py SCENE [SCENE ...] --caches FOLDER [--out FILE]

SCENE is a folder of `streamreid synth` with people whom the engine never saw. Its boxes are described once
(SCENE/detections, the shipped engine); tracks are named by the ground truth. A scene is cut at several times. Tracklets
that ended before the cut are the gallery, one identity per person, with the views that a run stores. Each later
tracklet of those people is asked for, as `streamreid search` asks:

    picture     four single pictures of the tracklet, as with --image
    tracklet    the tracklet as an identity of the gallery, as with --identity: others are known to be elsewhere then

Three settings: "open" asks every query twice, once with the person in the gallery and once without, at the default
--prior of 0.5, which is then true; "closed" asks with the person in the gallery and says so (--prior 1); "unsaid" asks
the same at the default prior, which is then too low. Judged is the most probable answer of each query; the pictures of
one tracklet together weigh as much as one query. "All" judges each person whom a query names with more than 0.05.
"Together" counts answers of 0.9 and above that name somebody whom one camera saw beside the person at that time.
"Chance" is the calibration error that perfectly true probabilities would show with so few queries.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _results import add_json, save_asked
from association import changed, describe, names

from streamreid.association.link_fitting import Reliability, reliability
from streamreid.association.pair_sampling import Look
from streamreid.association.track_evidence import Evidence, Presence
from streamreid.cache.manifest import read_manifest
from streamreid.config import GalleryConfig, load_config
from streamreid.evaluation import read_mot
from streamreid.gallery import Batch, EngineStamp, Gallery, GallerySearch, TrackRecord
from streamreid.gallery.match_posterior import PRIOR, identify
from streamreid.replay.link_calibration import Walked, walk
from streamreid.types import PartFeatures, TrackKey

CUTS = (0.35, 0.5, 0.65)
"""Where scenes are cut into earlier and later, as shares of their length."""
PICTURES = 4
LATER = 1_000_000
"""Global ids of later tracklets begin here; those of people in the gallery are the people's own."""
LEAST_LOOKS = 3
SURE = 0.9
SETTINGS = {"open": ("known", "unknown"), "closed": ("closed",), "unsaid": ("known",)}


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One track of one person."""

    key: TrackKey
    person: int
    start: float
    end: float
    looks: list[Look]

    @property
    def views(self) -> tuple[PartFeatures, np.ndarray]:
        """What a run would store of it: views and their quality."""
        made = Evidence([Presence(self.key[0], self.start, self.end)])
        for look in self.looks:
            made.observe(look.time, look.parts, look.visibility * np.float32(look.quality), look.quality)
        known = made.remember(self.person, [self.key[0]], self.start, self.end)
        quality = known.quality * known.prototypes.visibility.max(1, initial=0.0)
        rows = np.flatnonzero(quality >= GalleryConfig().min_quality)
        return known.prototypes[rows], quality[rows].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Said:
    """One person whom a query names.

    Args:
        scene: Of the query.
        kind: picture or tracklet.
        setting: known or unknown to the gallery, at the default prior; closed: known, and said so.
        weight: Of the query.
        best: Whether it is the most probable answer.
        probability: What was stated.
        right: Whether it is the person.
        together: Whether one camera saw both side by side at the time of the query.
    """

    scene: str
    kind: str
    setting: str
    weight: float
    best: bool
    probability: float
    right: bool
    together: bool


def tracks_of(walked: Walked, person: Mapping[TrackKey, int]) -> list[Track]:
    """Tracks that follow one person and were described at least three times."""
    recorder = walked.recorder
    return [
        Track(key, person[key], *recorder.spans[key], looks)
        for key, looks in sorted(recorder.looks.items())
        if key in person and len(looks) >= LEAST_LOOKS
    ]


def fill(store: Gallery, tracks: list[Track], cut: float) -> tuple[set[int], dict[int, Track]]:
    """Store the tracks of each person that ended before the cut, and each that begins after it as its own identity."""
    batch = Batch("run")
    earlier: set[int] = set()
    later: dict[int, Track] = {}
    for number, track in enumerate(tracks):
        if track.end < cut:
            who = track.person
            earlier.add(who)
        elif track.start >= cut:
            who = LATER + number
            later[who] = track
        else:
            continue
        camera, track_id = track.key
        count = len(track.looks)
        batch.track_records[track.key] = TrackRecord("run", camera, track_id, who, track.start, track.end, 1.0, count)
        views, quality = track.views
        if len(views):
            batch.prototypes[track.key] = views, quality
    store.write(batch)
    return earlier, later


def questions(track: Track, rng: np.random.Generator) -> Iterator[tuple[str, float, PartFeatures | None]]:
    """Kind, weight and features of the queries for one tracklet; those of the tracklet itself are in the gallery."""
    seen = [look for look in track.looks if look.visibility.any()]
    rows = rng.choice(len(seen), min(PICTURES, len(seen)), replace=False)
    for row in rows:
        yield "picture", 1 / len(rows), PartFeatures(seen[row].parts[None], seen[row].visibility[None])
    if len(track.views[0]):
        yield "tracklet", 1.0, None


def beside(track: Track, tracks: list[Track]) -> set[int]:
    """People whom the camera of a track saw while it saw the track."""
    here = [t for t in tracks if t.key[0] == track.key[0] and t.person != track.person]
    return {t.person for t in here if t.start < track.end and track.start < t.end}


def ask(scene: str, cache: Path, walked: Walked, person: Mapping[TrackKey, int], seed: int) -> list[Said]:
    """All queries of one scene."""
    rng = np.random.default_rng(seed)
    tracks = tracks_of(walked, person)
    engine, calibration = read_manifest(cache).engine, walked.replay.site.calibration.calibration
    begin, end = min(t.start for t in tracks), max(t.end for t in tracks)
    said: list[Said] = []
    for share in CUTS:
        with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "people.db") as store:
            store.claim(EngineStamp(engine.name, engine.fingerprint, len(engine.parts), engine.dim))
            earlier, later = fill(store, tracks, begin + share * (end - begin))
            looking = GallerySearch(store, calibration)
            for gid, track in later.items():
                if track.person in earlier:
                    near = beside(track, tracks)
                    for question in questions(track, rng):
                        said += answers(scene, store, looking, gid, later, question, near)
            looking.close()
    return said


def answers(
    scene: str,
    store: Gallery,
    looking: GallerySearch,
    gid: int,
    later: Mapping[int, Track],
    question: tuple[str, float, PartFeatures | None],
    near: set[int],
) -> Iterator[Said]:
    """What one query is told, with the person in the gallery, with the same said, and without the person."""
    kind, weight, features = question
    person = later[gid].person
    # A picture is asked for in the gallery as it was before; a tracklet among all who were seen before and since.
    others = set(later) if kind == "picture" else {g for g, t in later.items() if t.person == person}
    identity = gid if features is None else None
    for setting, prior in (("known", PRIOR), ("closed", 1.0), ("unknown", PRIOR)):
        without = others | {person} if setting == "unknown" else others
        found = identify(store, looking, features, identity=identity, without=without, prior=prior)
        for rank, match in enumerate(found):
            who = later[match.global_id].person if match.global_id in later else match.global_id
            yield Said(scene, kind, setting, weight, rank == 0, match.probability, who == person, who in near)


def judged(said: list[Said], *, best: bool = True) -> Reliability:
    """Reliability of the best answers, or of all that are not negligible."""
    used = [s for s in said if (s.best if best else s.probability > 0.05)]
    p, right, weight = (np.array([getattr(s, name) for s in used]) for name in ("probability", "right", "weight"))
    return reliability(p, right, weight)


def noise(said: list[Said], *, draws: int = 100) -> float:
    """Calibration error that perfectly true probabilities of this number would show by chance."""
    used = [s for s in said if s.best]
    p, weight = np.array([s.probability for s in used]), np.array([s.weight for s in used])
    rng = np.random.default_rng(0)
    return float(np.mean([reliability(p, rng.random(len(p)) < p, weight).error for _ in range(draws)]))


def tell(label: str, said: list[Said]) -> dict[str, float]:
    """Print and return the figures of some queries."""
    best = [s for s in said if s.best]
    weights = [s.weight for s in best]
    sure = [s for s in best if s.probability >= SURE]
    figures = {
        "queries": float(len(best)),
        "right": float(np.average([s.right for s in best], weights=weights)),
        "ece": judged(said).error,
        "ece_chance": noise(said),
        "ece_all": judged(said, best=False).error,
        "share_sure": sum(s.weight for s in sure) / sum(weights),
        "together": float(sum(s.together and s.probability >= SURE for s in said)),
    }
    print(f"{label:26} " + " ".join(f"{v:10.3f}" for v in figures.values()), end=" ")
    if sure:
        figures["right_sure"] = float(np.average([s.right for s in sure], weights=[s.weight for s in sure]))
    print(f"{figures.get('right_sure', float('nan')):11.3f}", flush=True)
    return figures


def table(said: list[Said]) -> None:
    """Print the reliability of the best answers."""
    found = judged(said)
    print("  stated      weight  said   right")
    rows = zip(found.edges, found.edges[1:], found.count, found.said, found.true, strict=False)
    for low, high, count, mean, true in rows:
        if count:
            print(f"  {low:.1f} to {high:.1f} {count:8.1f}  {mean:.3f}  {true:.3f}")


def main() -> None:
    """Ask and judge."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, nargs="+")
    parser.add_argument("--caches", type=Path, required=True)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    add_json(parser, "search_calibration")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    groups: dict[str, list[Said]] = defaultdict(list)
    head = ("queries", "right", "ECE", "chance", "ECE all", "p >= .9", "together", "right >= .9")
    print(f"{'':26} " + " ".join(f"{word:>10}" for word in head))
    for scene in options.scene:
        cache = describe(scene, options.engine, options.caches / scene.name, None)
        truth = {c.name: read_mot(scene / "truth" / f"{c.name}.txt") for c in load_config(scene / "cams.yaml").cameras}
        walked = walk(cache, changed(cache, {}))
        said = ask(scene.name, cache, walked, names(walked, truth), options.seed)
        for kind in ("picture", "tracklet"):
            for setting, wanted in SETTINGS.items():
                some = [s for s in said if s.kind == kind and s.setting in wanted]
                groups[f"{kind}.{setting}"] += some
                found = tell(f"{scene.name} {kind} {setting}", some)
                figures |= {f"{scene.name}.{kind}.{setting}.{name}": value for name, value in found.items()}
    for name, some in groups.items():
        if len(options.scene) > 1:
            found = tell(f"all {name.replace('.', ' ')}", some)
            figures |= {f"all.{name}.{key}": value for key, value in found.items()}
        print(f"\n{name.replace('.', ', ')}")
        table(some)
    options.json = options.json or options.out or True  # written in any case
    save_asked(options, figures)


if __name__ == "__main__":
    main()
