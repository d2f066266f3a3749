"""Whole program with one detector against another, or one version against another: processor time per frame, and what
it finds.

    python benchmarks/whole_program.py SCENE [SCENE ...] --program "before=../before --detector yolo11n" --program
    "now=." [--rounds 2]

SCENE is a folder with ``cams.yaml`` and ``truth/<camera>.txt``, as `streamreid synth` writes it. A program is NAME=
FOLDER of a checkout, with options of `streamreid run` behind it. Programs take turns on each scene (A B A B), so that
what else runs on the machine hits all alike; of the processor seconds of a whole process, from start to exit, the least
counts. Tracks are scored camera by camera, identities over all cameras.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from _results import add_json, save_asked

from streamreid.evaluation import evaluate_mot, evaluate_multicam, read_mot


@dataclass(frozen=True)
class Program:
    """One side of the comparison.

    Args:
        name: For the table.
        folder: The checkout.
        options: Of ``streamreid run``.
    """

    name: str
    folder: Path
    options: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Program:
        """From NAME=FOLDER OPTIONS."""
        name, _, rest = text.partition("=")
        folder, *options = shlex.split(rest)
        return cls(name, Path(folder).resolve(), tuple(options))

    def run(self, scene: Path, out: Path) -> float:
        """Run once; processor seconds of the whole process."""
        command = [sys.executable, "-m", "streamreid", "run", "--sources", str(scene.resolve() / "cams.yaml")]
        command += ["--out", str(out), "--overwrite", "--quiet", *self.options]
        process = subprocess.Popen(command, cwd=self.folder, env={**os.environ, "PYTHONPATH": "."})
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{self.name} failed on {scene}: {shlex.join(command)}")
        return used.ru_utime + used.ru_stime


def scores(scene: Path, out: Path) -> dict[str, float]:
    """HOTA and IDF1 of tracks, over all cameras, and of identities where there are several cameras."""
    truth = {p.stem: read_mot(p) for p in sorted((scene / "truth").glob("*.txt"))}
    tracks = evaluate_mot({c: read_mot(out / "mot" / f"{c}.txt") for c in truth}, truth).combined
    found = {"HOTA": tracks.hota, "IDF1": tracks.idf1, "DetA": tracks.deta}
    if len(truth) > 1:
        linked = {c: read_mot(out / "mot" / "global" / f"{c}.txt") for c in truth}
        ids = evaluate_multicam(linked, truth).combined
        found |= {"across HOTA": ids.hota, "across IDF1": ids.idf1}
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, nargs="+")
    parser.add_argument("--program", action="append", type=Program.parse, required=True, help="NAME=FOLDER OPTIONS")
    parser.add_argument("--rounds", type=int, default=2)
    add_json(parser, "whole_program")
    args = parser.parse_args()
    figures: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        for scene in args.scene:
            seconds: dict[str, list[float]] = defaultdict(list)
            for _ in range(args.rounds):
                for program in args.program:
                    seconds[program.name].append(program.run(scene, Path(folder) / program.name))
            first = min(seconds[args.program[0].name])
            for program in args.program:
                out, least = Path(folder) / program.name, min(seconds[program.name])
                found = {"seconds": least, "share": least / first, **scores(scene, out)}
                figures[scene.name][program.name] = found
                text = "  ".join(f"{key} {value:.3f}" for key, value in found.items())
                print(f"{scene.name:12s} {program.name:12s} {text}", flush=True)
    save_asked(args, dict(figures))


if __name__ == "__main__":
    main()
