"""Identities over ten minutes or more in which people go and come back: scenes of ``_unique_scenes.py``, recorded once
as track updates, then followed by the site in several variants.

    python benchmarks/long_runs.py --pictures FOLDER --out scenes [--only NAME ...] [--minutes 10] [--whole]
    [--interval 0.5] [--naive] [--json]

Names are as in ``unique_people.py`` (kind-level-people-cameras-seed); those of kind ``test`` show people of whom no
setting was fitted. Who a track shows is told by its features, which are drawn from those of known people. IDF1 counts a
box for the person whose picture was looked at last; people who are hidden by three quarters need not be found. It is
stated for the whole and for each third of the recording.

What the trackers say is recorded in the folder ``--out`` once: after a change of the tracker, take another folder.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _generated_people import bank
from _results import add_json, save_asked
from _unique_scenes import load_engine, make, scene, settings, updates
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

from streamreid.features.eight_bits import in_eight_bits
from streamreid.pipeline import Site
from streamreid.track_update import TrackUpdate
from streamreid.types import FrameResult, PartFeatures

Key = tuple[str, int]
Rows = dict[Key, np.ndarray]

MINUTES = 10
"""Length of a scene; in a longer one people come back more often."""

VISIBLE = 0.25
"""Least share of a person that is seen for the person to be missed."""


def nothing(_: Site) -> None:
    """The program as it is."""


def not_renewed(site: Site) -> None:
    """Tracks that are over are not compared with what their identity remembers of older ones, as up to November 29."""
    site.associator._grouping.renew = lambda ids: None  # type: ignore[method-assign]


def rounded(site: Site) -> None:
    """Features as `engine.feature_bits: 8` has them."""
    process = site.process

    def process_rounded(update: TrackUpdate) -> list[FrameResult]:
        seen = [
            replace(one, features=PartFeatures(in_eight_bits(one.features.parts), one.features.visibility))
            for one in update.observations
        ]
        return process(replace(update, observations=tuple(seen)))

    site.process = process_rounded  # type: ignore[method-assign]


VARIANTS: dict[str, tuple[dict[str, Any], Callable[[Site], None]]] = {
    "as it is": ({}, nothing),
    "with camera means": ({"association.normalise": "camera"}, nothing),
    "without strangers and times": ({"association.link.strangers": 0.0, "association.link.times": 0.0}, nothing),
    "without strangers": ({"association.link.strangers": 0.0}, nothing),
    "without times": ({"association.link.times": 0.0}, nothing),
    "not compared anew": ({}, not_renewed),
    "in eight bits": ({}, rounded),
}


def who_is_who(folder: Path, source: dict[str, Any]) -> Rows:
    """For each track ``[N, 2]`` times and people (-1: nobody), by the nearest known features."""
    known = source["parts"].astype(np.float32)
    people, pictures, covers = known.shape[:3]
    flat = np.concatenate([known.reshape(people * pictures * covers, -1), _flat(source["nobody_parts"])])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    owner = np.concatenate([np.repeat(np.arange(people), pictures * covers), np.full(len(source["nobody_parts"]), -1)])
    found: dict[Key, list[tuple[float, int]]] = defaultdict(list)
    last: dict[Key, int] = {}
    for update in updates(folder):
        for seen in update.observations:
            looked = seen.features.visibility.any(1)
            nearest = owner[(_flat(seen.features.parts[looked]) @ flat.T).argmax(1)] if looked.any() else []
            named = dict(zip(np.flatnonzero(looked).tolist(), np.asarray(nearest).tolist(), strict=True))
            for row, track in enumerate(seen.tracks.ids.tolist()):
                key = seen.camera, track
                last[key] = named.get(row, last.get(key, -1))
                found[key].append((seen.time, last[key]))
    return {key: np.array(rows) for key, rows in found.items()}


def _flat(parts: np.ndarray) -> np.ndarray:
    return parts.astype(np.float32).reshape(len(parts), -1)


def idf1(rows: Rows, truth: Mapping[str, np.ndarray], ids: Mapping[Key, int], span: tuple[float, float]) -> float:
    """IDF1 of the boxes between two times."""
    inside = (truth["visibility"] > VISIBLE) & (truth["time"] >= span[0]) & (truth["time"] < span[1])
    number = {gid: row for row, gid in enumerate(sorted(set(ids.values())))}
    matrix = np.zeros((len(number), int(truth["person"].max()) + 1))
    boxes = 0
    for key, track in rows.items():
        people = track[(track[:, 0] >= span[0]) & (track[:, 0] < span[1]), 1].astype(int)
        boxes += len(people)
        if key in ids:
            np.add.at(matrix[number[ids[key]]], people[people >= 0], 1)
    right = matrix[linear_sum_assignment(-matrix)].sum()
    return float(2 * right / max(boxes + int(inside.sum()), 1))


def sure(rows: Rows, ids: Mapping[Key, tuple[int, float]]) -> tuple[int, float]:
    """Tracks linked with p >= .9, and the share of them that is with their own person."""
    person = {key: int(np.bincount(track[:, 1].astype(int) + 1).argmax()) - 1 for key, track in rows.items()}
    members: dict[int, list[int]] = defaultdict(list)
    for key, (gid, _) in ids.items():
        if person.get(key, -1) >= 0:
            members[gid].append(person[key])
    right = []
    for key, (gid, probability) in ids.items():
        if probability >= 0.9 and person.get(key, -1) >= 0 and len(members[gid]) > 1:
            others = members[gid].copy()
            others.remove(person[key])
            right.append(max(set(others), key=others.count) == person[key])
    return len(right), float(np.mean(right)) if right else float("nan")


def naive(folder: Path, rows: Rows, truth: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Average-linkage clustering of the tracks' mean whole-person features, at the threshold that is best on this very
    scene."""
    total: dict[Key, np.ndarray] = {}
    for update in updates(folder):
        for seen in update.observations:
            whole = seen.features.parts[:, 0] * (seen.features.visibility[:, :1] * seen.quality[:, None])
            for row in np.flatnonzero(whole.any(1)).tolist():
                key = seen.camera, int(seen.tracks.ids[row])
                total[key] = total.get(key, 0.0) + whole[row]
    keys = sorted(total)
    tree = linkage(np.stack([total[key] for key in keys]), "average", metric="cosine")
    best: dict[str, float] = {"IDF1": -1.0}
    for threshold in np.linspace(0.1, 0.9, 17).tolist():
        ids = dict(zip(keys, fcluster(tree, threshold, "distance").tolist(), strict=True))
        score = idf1(rows, truth, ids, (0.0, np.inf))
        if score > best["IDF1"]:
            best = {"IDF1": score, "ids": len(set(ids.values())), "threshold": threshold}
    return best


def follow(name: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All variants of one scene."""
    kind, level, people, cameras, seed = name.split("-")
    item = scene(kind, level, int(people), int(cameras), int(seed))
    if options.minutes != MINUTES:
        longer = {"seconds": 60.0 * options.minutes, "visits": round(item.config.visits * options.minutes / MINUTES)}
        item = replace(item, name=f"{name}-{options.minutes}", config=item.config.model_copy(update=longer))
    if options.whole:
        item = replace(item, name=f"{item.name}-whole")
    folder = make(item, options.pictures, options.out, {"tracker.split_probability": 0.0} if options.whole else None)
    source = bank(item.source, options.pictures, options.out, people=item.config.people, looks=item.looks)
    rows = who_is_who(folder, source)
    truth = dict(np.load(folder / "truth.npz"))
    edges = np.linspace(0.0, item.config.frames / item.config.fps, 4).tolist()
    found = {}
    for variant in options.variants:
        sets, change = VARIANTS[variant]
        config = settings(int(cameras)).with_settings({"association.interval": options.interval, **sets})
        site = Site(config, load_engine(options.out))
        change(site)
        begin = time.process_time()
        for update in updates(folder):
            site.process(update)
        spent = time.process_time() - begin
        ids = site.identities
        plain = {key: gid for key, (gid, _) in ids.items()}
        count, right = sure(rows, ids)
        found[variant] = {
            "people": int(people),
            "tracks": len(rows),
            "ids": site.people_count.identities,
            "IDF1": idf1(rows, truth, plain, (0.0, np.inf)),
            **{f"IDF1 of third {i + 1}": idf1(rows, truth, plain, (edges[i], edges[i + 1])) for i in range(3)},
            "sure links": count,
            "sure right": right,
            "cpu seconds": spent,
        }
        print(name, variant, " ".join(f"{k} {v:.3g}" for k, v in found[variant].items()), sep=" | ", flush=True)
    if options.naive:
        found["naive, best threshold here"] = naive(folder, rows, truth)
        print(name, "naive", found["naive, best threshold here"], sep=" | ", flush=True)
    return found


def main() -> None:
    """Make, follow, print."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="folder with cuhk01 and cuhk03")
    parser.add_argument("--out", type=Path, required=True, help="folder of scenes; those that are there are kept")
    parser.add_argument("--only", nargs="+", default=["test-light-100-3-14", "test-heavy-100-6-16"])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--minutes", type=int, default=MINUTES)
    parser.add_argument("--whole", action="store_true", help="tracks never end by looks")
    parser.add_argument("--naive", action="store_true", help="also link by whole-person features at the best threshold")
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between decisions")
    add_json(parser, "long_runs")
    options = parser.parse_args()
    save_asked(options, {name: follow(name, options) for name in options.only}, seed=0)


if __name__ == "__main__":
    main()
