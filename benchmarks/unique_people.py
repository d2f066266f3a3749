"""How many different people: estimates and 90 % intervals against exact truth, beside what peers count.

    python benchmarks/unique_people.py scenes --pictures REID --out FOLDER [--json]
        REID holds the folders cuhk03 and cuhk01. Scenes of ten minutes are generated (see _unique_scenes.py), tracked
        and associated by the program, and counted per camera, per place that several cameras share, and for the whole
        site. A person is to be counted who is in the picture for a second or longer with a quarter or more to be seen.
    python benchmarks/unique_people.py gallery --pictures REID --out FOLDER [--json]
        Such scenes, each cut into two to four runs over one gallery, with midnight between two of them: people per
        place, of both days and of all the time, as a report of the gallery says. Nothing is fitted to it.
    python benchmarks/unique_people.py fit --pictures REID --out FOLDER [--json]
        What the constants of the estimate come from, on scenes of other people: how often pairs of one person and of
        two have which log-odds, how often tracks have which with people who were known before their run (the scenes
        cut into runs over one gallery), and by how much intervals have to be wider than the samples are.
    python benchmarks/unique_people.py run FOLDER --part "[[0, .25], [.4, .25], [.4, 0], [1, 0], [1, 1], [0, 1]]"
        One finished run, of vtest.avi, and the part of its picture in which people are annotated, all ten of them; an
        eleventh walks past behind the lawn.

Tracks, global ids, the sum of global ids over the cameras, and supervision's LineZone (crossings in, of a line across
the middle of each picture, on the same boxes and tracks) stand beside the estimate. "Best naive" is whichever of the
four is nearest to the truth on average over a level.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from _results import add_json, save_asked
from _unique_gallery import MIDNIGHT, SECONDS, day_begin, labelled_known_pairs, remembered, true_between
from _unique_observed import labelled_pairs, observed, true_number
from _unique_scenes import Scene, make, scene

from streamreid.config import ZoneConfig
from streamreid.places import EVERYWHERE, camera_place, count_people
from streamreid.places.link_graph import who_may_be_who
from streamreid.places.partition_sampling import shortest_interval
from streamreid.places.stays import people_of
from streamreid.runs.finished_run import open_run
from streamreid.runs.place_log import read_place_log

SCENES = (
    scene("test", "light", 30, 2, 11),
    scene("test", "medium", 30, 3, 12),
    scene("test", "heavy", 30, 4, 13),
    scene("test", "light", 100, 3, 14, "recoloured"),
    scene("test", "medium", 100, 4, 15, "recoloured"),
    scene("test", "heavy", 100, 6, 16, "recoloured"),
    scene("test", "light", 190, 5, 17),
    scene("test", "light", 285, 4, 18),
)
LOOK_ALIKES = (scene("test", "light", 190, 5, 17, "recoloured"),)
GALLERY = (
    *SCENES[:3],
    scene("test", "light", 100, 3, 14),
    scene("test", "medium", 100, 4, 15),
    scene("test", "heavy", 100, 6, 16),
    scene("test", "light", 190, 5, 17),
)
FIT = (
    scene("fit", "light", 95, 3, 901),
    scene("fit", "medium", 95, 4, 902),
    scene("fit", "heavy", 95, 3, 903),
    scene("fit", "heavy", 30, 2, 904),
    scene("fit", "light", 30, 4, 905),
    scene("fit", "medium", 30, 2, 906),
    scene("fit", "light", 60, 2, 910, "alike"),
)
NAIVE = ("tracks", "global ids", "sum over cameras", "LineZone")
SHARES = (0.85, 0.90, 0.95)  # of cells whose interval is to hold the truth
EDGES = (-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 30)  # log-odds


def counted(item: Scene, out: Path) -> list[dict[str, Any]]:
    """The cells of one scene."""
    seen = observed(item, out)
    folder, identities, spans = out / item.name, seen.identities, [span.key for span in seen.log.spans]
    tracks = [track.key for track in seen.links.tracks]
    samples = who_may_be_who(tracks, seen.links.pairs, seen.links.log_odds, identities, seen.log.spans)
    every = [f"cam{i + 1:02d}" for i in range(item.config.cameras)]
    groups = {name: cameras for name, cameras in _places(item).items() if len(cameras) > 1}
    places = [camera_place(name) for name in every] + ([EVERYWHERE] if len(item.config.groups) > 1 else [])
    members = {name: [camera_place(c) for c in cameras] for name, cameras in groups.items()}
    cells = []
    for row in count_people(seen.log, identities, samples, places=places, groups=members):
        cameras = groups.get(row["place"]) or [c for c in every if row["place"] in (camera_place(c), EVERYWHERE)]
        own = {c: {identities[k][0] for k in spans if k[0] == c} - identities.unlinked - {0} for c in cameras}
        there = {key for key in spans if key[0] in cameras}
        numbers = samples.numbers(there & people_of(identities).keys())
        cells.append(
            {
                "place": row["place"],
                "truth": true_number(folder, cameras),
                **{k: row[k] for k in ("unique", "unique_low", "unique_high")},
                "samples": numbers,
                "tracks": len(there),
                "global ids": len(set().union(*own.values())),
                "sum over cameras": sum(map(len, own.values())),
                "LineZone": sum(seen.lines.get(c, 0) for c in cameras),
            }
        )
    return cells


def _places(item: Scene) -> dict[str, list[str]]:
    found, first = {}, 1
    for number, count in enumerate(item.config.groups):
        found[f"place {number + 1}"] = [f"cam{i:02d}" for i in range(first, first + count)]
        first += count
    return found


def summary(cells: list[dict[str, Any]]) -> dict[str, float]:
    """The figures of some cells."""
    truth = np.array([c["truth"] for c in cells], float)

    def error(name: str) -> np.ndarray:
        return np.abs(np.array([c[name] for c in cells]) - truth)

    low, high = (np.array([c[f"unique_{side}"] for c in cells]) for side in ("low", "high"))
    known = [name for name in NAIVE if name in cells[0]]
    naive = min(float(error(name).mean()) for name in known)
    return {
        "cells": len(cells),
        "median error": float(np.median(error("unique") / truth)),
        "bias": float(np.mean([(c["unique"] - c["truth"]) / c["truth"] for c in cells])),
        "covered": float(((low <= truth) & (truth <= high)).mean()),
        "width": float((high - low).mean()),
        "twice the best naive error": 2 * naive,
        **{f"median error, {name}": float(np.median(error(name) / truth)) for name in known},
    }


def scenes(options: argparse.Namespace) -> None:
    """The table."""
    levels: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in (*SCENES, *LOOK_ALIKES):
        if options.only and item.name not in options.only:
            continue
        make(item, options.pictures, options.out)
        cells = counted(item, options.out)
        alike = item in LOOK_ALIKES
        for level in ("look-alikes",) if alike else (item.config.level, "all"):
            levels[level] += cells
        for cell in cells if options.cells else ():
            print(item.name, *(f"{k}={v}" for k, v in cell.items() if k != "samples"), flush=True)
    figures = {level: summary(cells) for level, cells in levels.items()}
    for level, found in figures.items():
        print(f"{level:8}", *(f"{name} {value:.3g};" for name, value in found.items()))
    save_asked(options, figures, seed=0)


def counted_by_gallery(item: Scene, out: Path, runs: int) -> list[dict[str, Any]]:
    """The cells of one scene that was cut into several runs."""
    history, begin, at = remembered(item, out, runs), day_begin(runs), MIDNIGHT - day_begin(runs)
    every = [f"cam{i + 1:02d}" for i in range(item.config.cameras)]
    groups = {name: cameras for name, cameras in _places(item).items() if len(cameras) > 1}
    places = [camera_place(name) for name in every] + ([EVERYWHERE] if len(item.config.groups) > 1 else [])
    members = {name: [camera_place(c) for c in cameras] for name, cameras in groups.items()}
    person = people_of(history.links)
    spans = history.place_log.spans
    cells = []
    for first, last in ((0.0, SECONDS), (0.0, at), (at, SECONDS)):
        time = {"start": begin + first, "end": begin + last}
        for row in history.counts(places=[*places, *members], groups=members, **time):
            cameras = groups.get(row["place"]) or [c for c in every if row["place"] in (camera_place(c), EVERYWHERE)]
            there = [s.key for s in spans if s.camera in cameras and s.start < time["end"] and s.end >= time["start"]]
            own = {c: {person[k] for k in there if k[0] == c and k in person} for c in cameras}
            cells.append(
                {
                    "place": row["place"],
                    "from": first,
                    "to": last,
                    "truth": true_between(out / item.name, cameras, first, last),
                    **{k: row[k] for k in ("unique", "unique_low", "unique_high")},
                    "tracks": len(there),
                    "global ids": len(set().union(*own.values())),
                    "sum over cameras": sum(map(len, own.values())),
                }
            )
    return cells


def _runs(number: int) -> int:
    """Into how many runs a scene is cut, by its number among those of the table and of the fit."""
    return 2 + number % 3


def gallery(options: argparse.Namespace) -> None:
    """The table of galleries."""
    levels: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, item in enumerate((*GALLERY, *FIT)):
        if item.name not in (options.only or [one.name for one in GALLERY]):
            continue
        make(item, options.pictures, options.out)
        cells = counted_by_gallery(item, options.out, _runs(number))
        for level in (item.config.level, "all"):
            levels[level] += cells
        for cell in cells if options.cells else ():
            print(item.name, *(f"{k}={v}" for k, v in cell.items() if k != "samples"), flush=True)
    figures = {level: summary(cells) for level, cells in levels.items()}
    for level, found in figures.items():
        print(f"{level:8}", *(f"{name} {value:.3g};" for name, value in found.items()))
    save_asked(options, figures, seed=0)


def fit(options: argparse.Namespace) -> None:
    """What the constants of ``streamreid/places/link_evidence.py`` and ``MODEL_ERROR`` come from."""
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((2, len(EDGES) - 1)))
    pairs: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    cells: list[dict[str, Any]] = []
    for number, item in enumerate(FIT):
        if options.only and item.name not in options.only:
            continue
        make(item, options.pictures, options.out)
        if item.looks == "different":
            seen, runs = observed(item, options.out), _runs(len(GALLERY) + number)
            known = labelled_known_pairs(item, options.out, runs, seen.owners, EDGES)
            for relation, (found, those) in {**labelled_pairs(seen, EDGES), **known}.items():
                counts[relation] += found
                pairs[relation] += those
        cells += counted(item, options.out)
    figures: dict[str, Any] = {}
    for relation, (different, same) in counts.items():
        shares = [np.log((c + 0.3) / max(n, 1)) for c, n in zip((different, same), pairs[relation], strict=True)]
        print(f"{relation}: log-odds from, pairs of two people, of one, log share of two per unit, evidence")
        for at, start in enumerate(EDGES[:-1]):
            unit = shares[0][at] - np.log(EDGES[at + 1] - start)
            print(f"  {start:4} {different[at]:7.0f} {same[at]:5.0f} {unit:6.2f} {shares[1][at] - shares[0][at]:6.2f}")
            figures[f"{relation}.evidence_from_{start}"] = float(shares[1][at] - shares[0][at])
    for share in SHARES:
        figures[f"model error for {share:.2f}"] = model_error(cells, share)
        print(f"{share:.0%} of {len(cells)} cells hold the truth with a model error of {model_error(cells, share):.3f}")
    save_asked(options, figures, seed=0)


def model_error(cells: list[dict[str, Any]], share: float) -> float:
    """By how many times the square root of the number of people the model is to be wrong at least, so that so many
    intervals hold the truth."""

    def holds(cell: dict[str, Any], error: float) -> bool:
        middle = float(np.median(cell["samples"]))
        ends = (min(middle, 1.0), max(cell["tracks"], middle))
        low, high = shortest_interval(cell["samples"], error * middle**0.5, between=ends)
        return low <= cell["truth"] <= high

    errors = np.arange(0.0, 3.0, 0.01)
    return float(next((e for e in errors if np.mean([holds(c, e) for c in cells]) >= share), np.inf))


def run(options: argparse.Namespace) -> None:
    """One finished run, and a part of the picture of its camera."""
    found = open_run(options.folder)
    rows = list(found.counts(places=[EVERYWHERE]))
    if options.part:
        zone = ZoneConfig(name="part", camera=found.cameras[0], polygon=ast.literal_eval(options.part))
        log = read_place_log(options.folder, zones=[zone])
        rows += count_people(log, found.links, found.samples, places=["part"])
    figures: dict[str, Any] = {}
    for row in rows:
        print(row["place"], row["unique"], "in", row["unique_low"], "to", row["unique_high"])
        before = "" if row["place"] == EVERYWHERE else f"{row['place']}."
        figures |= {before + key: row[key] for key in ("unique", "unique_low", "unique_high")}
    save_asked(options, figures, seed=0)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for name, verb, cells in (("scenes", scenes, True), ("gallery", gallery, True), ("fit", fit, False)):
        one = verbs.add_parser(name)
        one.add_argument("--pictures", type=Path, required=True)
        one.add_argument("--out", type=Path, required=True)
        if cells:
            one.add_argument("--cells", action="store_true", help="print every cell")
        one.add_argument("--only", nargs="*", help="names of scenes")
        one.set_defaults(run=verb)
    two = verbs.add_parser("run")
    two.add_argument("folder", type=Path)
    two.add_argument("--part", help="polygon in the picture of the only camera")
    two.set_defaults(run=run)
    for name, choice in verbs.choices.items():
        add_json(choice, f"unique_people.{name}")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
