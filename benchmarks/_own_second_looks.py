"""The program's own second looks (``association.second_looks``), with several budgets: what they find and what they
cost."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _results import add_json, save_asked
from _root import ROOT
from whole_program import Program

from streamreid.evaluation import Table, evaluate_multicam, read_mot
from streamreid.evaluation.track_labels import name_tracks
from streamreid.runs.link_file import read_links

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """A folder with ``cams.yaml`` and ``truth/<camera>.txt``.

    Args:
        folder: Its name is that of the scene.
        frames: First and last frame that are scored; None scores all.
        partial: Cameras in which not everybody is annotated.
    """

    folder: Path
    frames: tuple[int, int] | None
    partial: tuple[str, ...]

    @property
    def truth(self) -> dict[str, Table]:
        """People by camera."""
        return {path.stem: read_mot(path) for path in sorted((self.folder / "truth").glob("*.txt"))}

    def idf1(self, out: Path) -> float:
        """IDF1 across cameras of the results in a folder."""
        truth = self.truth
        found = {camera: read_mot(out / "mot" / "global" / f"{camera}.txt") for camera in truth}
        partial = [camera for camera in self.partial if camera in truth]
        return float(evaluate_multicam(found, truth, frames=self.frames, partial=partial).combined.idf1)

    def people(self, out: Path) -> dict[Key, int]:
        """Who each track shows; tracks of nobody, or of several, are left out."""
        return {
            (camera, track): person
            for camera, truth in self.truth.items()
            for track, person in name_tracks(read_mot(out / "mot" / f"{camera}.txt"), truth).items()
        }


def probabilities(out: Path, people: dict[Key, int]) -> dict[frozenset[Key], float]:
    """Link probability of pairs of tracks of known people, of one in as many as there are."""
    links = read_links(out)
    if links is None:
        return {}
    keys = [track.key for track in links.tracks]
    said = 1 / (1 + np.exp(np.log(max(len(set(people.values())), 1)) - links.log_odds))
    pairs = [(frozenset((keys[i], keys[j])), p) for (i, j), p in zip(links.pairs.tolist(), said.tolist(), strict=True)]
    return {pair: p for pair, p in pairs if pair <= people.keys()}


def log_loss(people: dict[Key, int], pairs: list[frozenset[Key]], said: dict[frozenset[Key], float]) -> float:
    """Of some pairs; 0 where there are none."""
    if not pairs:
        return 0.0
    same = np.array([len({people[key] for key in pair}) == 1 for pair in pairs], bool)
    p = np.clip([said.get(pair, 0.02) for pair in pairs], 0.01, 0.99)
    return float(-np.log(np.where(same, p, 1 - p)).mean())


def measure(scene: Scene, options: Any) -> dict[str, dict[str, float]]:
    """Figures by budget, the first without second looks; budgets take turns."""
    shares = [0.0, *options.share]
    common = f"{ROOT} --detector {options.detector}" if options.detector else f"{ROOT}"
    programs = [Program.parse(f"{100 * s:g}={common} --set association.second_looks={s:g}") for s in shares]
    seconds: dict[str, list[float]] = defaultdict(list)
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        outs = {program.name: Path(folder) / program.name for program in programs}
        for _ in range(options.rounds):
            for program in programs:
                seconds[program.name].append(program.run(scene.folder, outs[program.name]))
        first = outs[programs[0].name]
        people = scene.people(first)
        doubtful = [pair for pair, p in probabilities(first, people).items() if 0.2 < p < 0.8]
        for program in programs:
            out, least = outs[program.name], min(seconds[program.name])
            looks = json.loads((out / "summary.json").read_text())["second_looks"] or {}
            counts = {name: looks.get(name, 0) for name in ("embedded", "crops", "pairs", "settled", "changed")}
            loss = log_loss(people, doubtful, probabilities(out, people))
            found = {"IDF1": scene.idf1(out), "log-loss": loss, "doubtful": len(doubtful), "seconds": least}
            figures[f"share_{program.name}"] = found | {"cost": least / min(seconds[programs[0].name])} | counts
            text = "  ".join(f"{name} {value:.3f}" for name, value in figures[f"share_{program.name}"].items())
            print(f"{scene.folder.name:12} {program.name:5} {text}", flush=True)
    return figures


def main(words: list[str]) -> None:
    """Measure and print.

    Args:
        words: The command line behind ``own``.
    """
    parser = argparse.ArgumentParser(prog="second_looks.py own", description=__doc__)
    parser.add_argument("scene", type=Path, nargs="+", help="folder with cams.yaml and truth/<camera>.txt")
    parser.add_argument("--detector", default="", help="instead of the default one")
    parser.add_argument("--share", type=float, nargs="+", default=[0.1, 0.25], help="budgets")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--frames", action="append", default=[], help="SCENE=FIRST:LAST, the frames that are scored")
    parser.add_argument("--partial", action="append", default=[], help="camera in which not everybody is annotated")
    add_json(parser, "second_looks.own")
    options = parser.parse_args(words)
    frames = {name: tuple(map(int, span.split(":"))) for name, _, span in (f.partition("=") for f in options.frames)}
    figures: dict[str, Any] = {}
    for folder in options.scene:
        scene = Scene(folder, frames.get(folder.name), tuple(options.partial))
        figures[folder.name] = measure(scene, options)
    totals: dict[str, Any] = {}
    for share in next(iter(figures.values())):
        every = [found[share] for found in figures.values()]
        unsure = [f for f in every if f["doubtful"]]
        means = {
            "IDF1": float(np.mean([f["IDF1"] for f in every])),
            "log-loss": float(np.mean([f["log-loss"] for f in unsure])) if unsure else 0.0,
        }
        total = {name: sum(f[name] for f in every) for name in ("crops", "embedded", "seconds", "changed")}
        means["cost"] = total["seconds"] / sum(found["share_0"]["seconds"] for found in figures.values())
        totals[share] = means | total
        print(f"{'all':12} {share:12} {'  '.join(f'{k} {v:.3f}' for k, v in (means | total).items())}")
    save_asked(options, {**figures, "all": totals}, seed=0)
