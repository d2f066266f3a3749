"""What a second, better look at the tracks of doubtful pairs is worth: in fp32, mirrored as well, cut larger, in every
frame, by another engine.

    python benchmarks/second_looks.py CACHE --engine BUNDLE --truth CAMERA=FILE ... [--second BUNDLE] [--frames 1:75]
    [--partial CAMERA] [--low .2 --high .8]

    python benchmarks/second_looks.py own SCENE [SCENE ...] --detector DETECTOR

What the program's own second looks are worth is measured by ``own``, with several budgets; SCENE is a folder with
``cams.yaml`` and ``truth/<camera>.txt``, as `streamreid synth` writes it.

CACHE is one of `streamreid run --cache` whose recordings are still there. Tracks and boxes are those of the run; people
are cut out again where the run looked at them. A pair is doubtful where its link probability lies between --low and
--high in the run. Each form is taken once for the tracks of such pairs alone, and once for all tracks, which is more
than any budget could give. Forms of one picture are averaged, weighted by how visible each part is.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _own_second_looks import main as own
from _results import add_json, save_asked
from association import changed, names, table

from streamreid.cache.reader import read_frames
from streamreid.config import EngineConfig
from streamreid.evaluation import Table, evaluate_multicam, read_mot
from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.pipeline import Site
from streamreid.reid.bundle import load_bundle
from streamreid.reid.crops import crop_batch
from streamreid.reid.embedder import EngineEmbedder
from streamreid.replay.embedding_recorder import EmbeddingRecorder
from streamreid.replay.link_calibration import Walked, walked_by
from streamreid.replay.replay import Replay, engine_of
from streamreid.sources import open_source
from streamreid.track_update import TrackUpdate
from streamreid.types import Detections, FloatArray, PartFeatures

Key = tuple[str, int]
Look = tuple[str, float, int]
"""Camera, capture time and track."""
Form = tuple[float, bool]
"""Size of the crop as a multiple of the box, and whether it is mirrored."""
Forms = Mapping[Form, Mapping[Look, tuple[FloatArray, FloatArray]]]
Seen = Mapping[Look, tuple[FloatArray, FloatArray]]

WAYS: dict[str, tuple[Form, ...]] = {
    "fp32": ((1.0, False),),
    "mirrored": ((1.0, False), (1.0, True)),
    "larger": ((1.0, False), (1.1, False)),
    "mirrored, larger": ((1.0, False), (1.0, True), (1.1, False), (1.1, True)),
}
MORE = (2, 8)
"""Further frames of each track."""

FORMS = tuple(sorted({form for forms in WAYS.values() for form in forms}))


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A recording once replayed, and what is known of it.

    Args:
        cache: Its cache.
        walked: With tracks and boxes.
        updates: What its site was given.
        truth: People by camera.
        person: Who each track is.
        options: Of the command line.
    """

    cache: Path
    walked: Walked
    updates: list[TrackUpdate]
    truth: dict[str, Table]
    person: dict[Key, int]
    options: Any

    def looks(self) -> dict[Look, FloatArray]:
        """The detector's box of everybody the run looked at; boxes of tracks are smoothed."""
        boxes = {
            (u.frame.camera, u.frame.time): u.detections.boxes
            for u in self.updates
            if u.frame is not None and u.detections is not None
        }
        return {
            (seen.camera, round(seen.time, 3), int(seen.tracks.ids[row])): boxes[seen.camera, seen.time][
                seen.tracks.rows[row]
            ]
            for update in self.updates
            for seen in update.observations
            for row in np.flatnonzero(seen.features.visibility.any(1)).tolist()
        }

    def score(self, site: Site) -> float:
        """IDF1 across cameras."""
        ids = {key: gid for key, (gid, _) in site.identities.items()}
        frames = tuple(int(f) for f in self.options.frames.split(":")) if self.options.frames else None
        tables = {c: table(self.walked, ids, c) for c in self.truth}
        found = evaluate_multicam(tables, self.truth, frames=frames, partial=self.options.partial)
        return float(found.combined.idf1)


def replayed(cache: Path, truth: dict[str, Table], options: Any) -> Recording:
    """Replay a cache and keep what the site was given."""
    updates: list[TrackUpdate] = []
    recorder = EmbeddingRecorder()
    config = changed(cache, options.sets)
    walked = walked_by(Replay(cache, config, observers=[updates.append, recorder]), recorder)
    return Recording(cache, walked, updates, truth, names(walked, truth), options)


def embedded(recording: Recording, looks: Mapping[Look, FloatArray], engine: EngineEmbedder) -> Forms:
    """Every look in every form."""
    asked: dict[tuple[str, float], list[int]] = defaultdict(list)
    for camera, time, track in looks:
        asked[camera, time].append(track)
    found: dict[Form, dict[Look, tuple[FloatArray, FloatArray]]] = {form: {} for form in FORMS}
    for camera in recording.walked.replay.config.cameras:
        last = max((time for name, time in asked if name == camera.name), default=-1.0)
        with open_source(camera) as source:
            for frame in source:
                time = round(frame.time, 3)
                if time > last:
                    break
                tracks = asked.get((camera.name, time), [])
                boxes = np.array([looks[camera.name, time, t] for t in tracks]).reshape(-1, 4)
                for size, mirrored in FORMS if tracks else ():
                    crops, plan = crop_batch([frame], [Detections.from_arrays(_grown(boxes, size))], engine.size)
                    seen = engine.embed(np.ascontiguousarray(crops[:, :, ::-1]) if mirrored else crops)
                    for i, row in enumerate(plan.rows.tolist()):
                        key = camera.name, time, tracks[row]
                        found[size, mirrored][key] = seen.parts[i], seen.visibility[i]
    return found


def _grown(boxes: FloatArray, size: float) -> FloatArray:
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * size
    return np.concatenate([centre - half, centre + half], 1).astype(np.float32)


def averaged(forms: Forms, which: Collection[Form]) -> Seen:
    """Forms of one picture as one: parts weighted by visibility, and the mean visibility."""
    result = {}
    for key in next(iter(forms.values())):
        seen = [forms[form][key] for form in which if key in forms[form]]
        weight = np.stack([visibility for _, visibility in seen])
        total = (np.stack([parts for parts, _ in seen]) * weight[..., None]).sum(0)
        length = np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
        result[key] = (total / length).astype(np.float32), weight.mean(0).astype(np.float32)
    return result


def more_looks(
    every: Collection[Look], looks: Collection[Look], most: int, tracks: Collection[Key] | None
) -> set[Look]:
    """Further looks at some tracks, or at all: at most so many of each, spread over its time."""
    further: dict[Key, list[Look]] = defaultdict(list)
    for camera, time, track in sorted(set(every) - set(looks)):
        if tracks is None or (camera, track) in tracks:
            further[camera, track].append((camera, time, track))
    return {
        found[i]
        for found in further.values()
        for i in np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int).tolist()
    }


def stored(recording: Recording) -> Seen:
    """Features that the cache holds of everybody in every track, looked at by the run or not."""
    frames = read_frames(recording.cache, recording.walked.replay.manifest)
    features = {(frame.frame.camera, round(frame.frame.time, 3)): frame.features for frame in frames}
    found = {}
    for update in recording.updates:
        for item in update.observations:
            seen = features[item.camera, round(item.time, 3)]
            for track, row in zip(item.tracks.ids.tolist(), item.tracks.rows.tolist(), strict=True):
                if row >= 0 and seen.visibility[row].any():
                    found[item.camera, round(item.time, 3), track] = seen.parts[row], seen.visibility[row]
    return found


def both(one: Seen, other: Seen, a: Calibration, b: Calibration) -> tuple[Seen, Calibration]:
    """Features whose similarity gives the mean of the log-odds of two engines with the same parts."""
    share = a.slope / (a.slope + b.slope)
    seen = {}
    for key in one.keys() & other.keys():
        parts = [np.sqrt(share) * one[key][0], np.sqrt(1 - share) * other[key][0]]
        seen[key] = np.concatenate(parts, 1).astype(np.float32), (one[key][1] + other[key][1]) / 2
    return seen, Calibration((a.slope + b.slope) / 2, (a.intercept + b.intercept) / 2, "two engines")


def swapped(recording: Recording, seen: Seen, tracks: Collection[Key] | None) -> Iterator[TrackUpdate]:
    """The updates with other features of some tracks, or of all."""
    for update in recording.updates:
        observations = []
        for item in update.observations:
            parts, visibility = list(item.features.parts), list(item.features.visibility)
            for row, track in enumerate(item.tracks.ids.tolist()):
                key = item.camera, round(item.time, 3), track
                if key in seen and (tracks is None or (item.camera, track) in tracks):
                    parts[row], visibility[row] = seen[key]
            width = max((p.shape for p in parts), default=(1, 1), key=lambda shape: shape[1])
            filled = [p if p.shape == width else np.zeros(width, np.float32) for p in parts]
            features = PartFeatures(np.array(filled), np.array(visibility)) if filled else item.features
            observations.append(replace(item, features=features))
        yield replace(update, observations=tuple(observations), impostors=None)


def linked(
    recording: Recording, seen: Seen, tracks: Collection[Key] | None, calibration: Calibration | None, *, offline: bool
) -> Site:
    """The site after the recording. Its calibration is from the beginning what the features make of it."""
    engine = engine_of(recording.walked.replay.manifest)
    followed = SiteCalibration(calibration or engine.calibration)
    updates = list(swapped(recording, seen, tracks))
    for update in updates:
        for item in update.observations:
            followed.observe(item.features, item.tracks.boxes)
    engine = replace(engine, calibration=replace(followed.calibration, impostor_mean=None))
    config = changed(recording.cache, {**recording.options.sets, "association.offline": offline})
    site = Site(config, engine)
    for update in updates:
        site.process(update)
    return site


def pairs(recording: Recording, site: Site) -> dict[frozenset[Key], float]:
    """Link probability of pairs of tracks of known people that may be one."""
    found = site.associator.pair_links()
    keys = [track.key for track in found.tracks]
    people = max(len(set(recording.person.values())), 1)
    said = 1 / (1 + np.exp(np.log(people) - found.log_odds))
    result = {}
    for (one, two), probability in zip(found.pairs.tolist(), said.tolist(), strict=True):
        if keys[one] in recording.person and keys[two] in recording.person:
            result[frozenset((keys[one], keys[two]))] = probability
    return result


def judged(recording: Recording, doubtful: list[frozenset[Key]], said: Mapping[frozenset[Key], float]) -> float:
    """Log-loss of the doubtful pairs."""
    same = np.array([len({recording.person[k] for k in pair}) == 1 for pair in doubtful], bool)
    p = np.clip([said.get(pair, 0.02) for pair in doubtful], 0.01, 0.99)
    return float(-np.log(np.where(same, p, 1 - p)).mean()) if len(doubtful) else float("nan")


def precision(recording: Recording, said: Mapping[frozenset[Key], float], among: Collection[frozenset[Key]]) -> float:
    """Average precision of pairs of one person, of those that may be one in the run."""
    order = sorted(among, key=lambda pair: (-said.get(pair, 0.0), sorted(pair)))
    same = np.array([len({recording.person[k] for k in pair}) == 1 for pair in order], bool)
    right = (np.cumsum(same) / np.arange(1, len(same) + 1))[same]
    return float(right.mean()) if len(right) else float("nan")


def measure(options: Any) -> dict[str, Any]:
    """Figures of all forms."""
    truth = {name: read_mot(Path(file)) for name, _, file in (t.partition("=") for t in options.truth)}
    recording = replayed(options.cache, truth, options)
    looks = recording.looks()
    base = linked(recording, {}, None, None, offline=False)
    said = pairs(recording, base)
    doubtful = [pair for pair, p in said.items() if options.low < p < options.high]
    tracks = {key for pair in doubtful for key in pair}
    crops = sum((camera, track) in tracks for camera, _, track in looks)
    figures: dict[str, Any] = {
        "tracks": len(recording.person),
        "pairs": len(said),
        "doubtful": len(doubtful),
        "doubtful one person": sum(len({recording.person[k] for k in pair}) == 1 for pair in doubtful),
        "tracks in doubt": len(tracks),
        "looks": len(looks),
        "looks in doubt": crops,
    }
    print(", ".join(f"{name} {value}" for name, value in figures.items()))
    print(f"{'':26} {'loss':>6} {'AP':>6} {'IDF1':>6} {'offl.':>6} {'crops':>6}", flush=True)

    def row(name: str, seen: Seen, only: Collection[Key] | None, c: Calibration | None, n: int) -> None:
        online = linked(recording, seen, only, c, offline=False)
        now = pairs(recording, online)
        offline = recording.score(linked(recording, seen, only, c, offline=True))
        found = judged(recording, doubtful, now), precision(recording, now, said), recording.score(online), offline
        figures[name] = dict(zip(("log-loss", "AP", "IDF1", "IDF1 offline"), found, strict=True)) | {"crops": n}
        print(f"{name:26} {' '.join(f'{v:6.3f}' for v in found)} {n:6}", flush=True)

    row("as the run", {}, None, None, 0)
    embedder = EngineEmbedder(load_bundle(options.engine), EngineConfig(precision="fp32"))
    wanted = looks if options.all else {look: box for look, box in looks.items() if (look[0], look[2]) in tracks}
    forms = embedded(recording, wanted, embedder)
    for name, which in WAYS.items():
        seen = averaged(forms, which)
        row(f"{name}; in doubt", seen, tracks, None, crops * len(which))
        if options.all:
            row(f"{name}; all", seen, None, None, len(looks) * len(which))
    every = stored(recording)
    for name, most, only in (
        *((f"{n} more frames; in doubt", n, tracks) for n in MORE),
        ("every frame; in doubt", len(every), tracks),
        *([("every frame; all", len(every), None)] if options.all else []),
    ):
        further = more_looks(every, looks, most, only)
        row(name, {look: every[look] for look in further}, None, None, len(further))
    if options.second and options.all:
        other = EngineEmbedder(load_bundle(options.second), EngineConfig(precision="fp32"))
        plain = averaged(forms, WAYS["fp32"])
        seconds = averaged(embedded(recording, looks, other), WAYS["fp32"])
        seen, calibration = both(plain, seconds, embedder.calibration, other.calibration)
        row("two engines; all", seen, None, calibration, 2 * len(looks))
    return figures


def main() -> None:
    logging.disable(logging.WARNING)
    if sys.argv[1:2] == ["own"]:
        return own(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--engine", required=True, type=Path, help="that of the cache")
    parser.add_argument("--second", type=Path, help="another with the same parts, for --all")
    parser.add_argument("--truth", action="append", required=True, help="CAMERA=FILE")
    parser.add_argument("--frames", help="FIRST:LAST")
    parser.add_argument("--partial", action="append", default=[], help="camera in which not everybody is annotated")
    parser.add_argument("--all", action="store_true", help="also of all tracks, not only of those in doubt")
    parser.add_argument("--set", action="append", default=[], help="SECTION.KEY=VALUE of the association or tracker")
    parser.add_argument("--low", type=float, default=0.2)
    parser.add_argument("--high", type=float, default=0.8)
    add_json(parser, "second_looks")
    options = parser.parse_args()
    options.sets = {k: yaml.safe_load(v) for k, _, v in (s.partition("=") for s in options.set)}
    save_asked(options, measure(options), seed=0)


if __name__ == "__main__":
    main()
