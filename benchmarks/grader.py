"""How well an engine's occlusion grader tells which side of a person's picture is covered, and how much.

    python benchmarks/grader.py ENGINE DATASET/query [--seeds 2]

Every picture is graded as it is, and covered as in `streamreid evaluate reid`: one of four sides, a quarter or a half,
by (a) a background patch, (b) another person.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from _results import add_json, save_asked

from streamreid.datasets.occlusion import SIDES, corner_patch, cover, draw_occlusion
from streamreid.evaluation.papers.occlusion_unification import grade
from streamreid.evaluation.reid import read_folder
from streamreid.reid.bundle import load_bundle
from streamreid.types import FloatArray, Image


class Grader:
    """The grader of an engine bundle, on ONNX Runtime.

    Args:
        folder: Of a bundle with occlusion scores.
    """

    def __init__(self, folder: Path) -> None:
        bundle = load_bundle(folder)
        form = bundle.manifest.input
        if "occlusion" not in bundle.manifest.outputs.extra:
            raise SystemExit(f"{folder}: this engine has no occlusion scores; train with network.grader")
        self.size, self.output, self.image = (
            (form.height, form.width),
            bundle.manifest.outputs.extra["occlusion"],
            form.image(),
        )
        self.session = ort.InferenceSession(str(bundle.model), providers=["CPUExecutionProvider"])

    def __call__(self, pictures: list[Image]) -> FloatArray:
        """Scores ``[N, 4]``."""
        pieces = [np.stack(pictures[i : i + 16]) for i in range(0, len(pictures), 16)]
        return np.concatenate([self.session.run([self.output], {"images": self.image.apply(p)})[0] for p in pieces])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    add_json(parser, "grader")
    o = parser.parse_args()
    grader, people = Grader(o.engine), read_folder(o.folder)
    pictures = [np.asarray(cv2.resize(cv2.imread(str(p)), grader.size[::-1]), np.uint8) for p in people.paths]
    uncovered = np.mean(grade(grader(pictures)) == 0)
    figures: dict[str, object] = {"called uncovered": uncovered}
    print(f"{len(pictures)} pictures; as they are {uncovered:.3f} are called uncovered")
    print(
        "| covered by | side right | halves | quarters | called covered: halves | quarters |\n|---|---|---|---|---|---|"
    )
    for kind in ("patch", "person"):
        covered, sides, half = [], [], []
        for seed in range(o.seeds):
            random = np.random.default_rng(seed)
            for picture, person in zip(pictures, people.persons, strict=True):
                occlusion = draw_occlusion(random)
                other = pictures[random.choice(np.flatnonzero(people.persons != person))]
                covered.append(cover(picture, corner_patch(other, random) if kind == "patch" else other, occlusion)[0])
                sides.append(SIDES.index(occlusion.side))
                half.append(occlusion.share == 0.5)
        scores, big = grader(covered), np.array(half)
        right, called = scores.argmax(1) == np.array(sides), grade(scores) > 0
        cells = (right.mean(), right[big].mean(), right[~big].mean(), called[big].mean(), called[~big].mean())
        names = ("side right", "side right halves", "side right quarters", "called halves", "called quarters")
        figures[kind] = dict(zip(names, cells, strict=True))
        print(f"| {kind} | " + " | ".join(f"{c:.3f}" for c in cells) + " |")
    save_asked(o, figures, seed=0)


if __name__ == "__main__":
    main()
