"""ReID engines on cameras none of them was trained on: people cut out by ground truth, each camera's pictures searched
among the other cameras'.

    python benchmarks/unseen_cameras.py --camera NAME=VIDEO=TRUTH --camera ... --engine BUNDLE --engine BUNDLE [--frames
    1:75] [--every 5]

Market protocol (pictures of the same camera do not count), clean and covered on one side. With few people these figures
are coarse: R1 and mAP say whether an engine carries over, not by how much one beats another.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
from _results import add_json, save_asked

from streamreid.cli.evaluate_reid import embed_pictures
from streamreid.config import EngineConfig
from streamreid.evaluation import read_mot
from streamreid.evaluation.occluded import score_engine
from streamreid.evaluation.reid import PersonImages
from streamreid.reid.bundle import load_bundle
from streamreid.reid.embedder import EngineEmbedder


def cut(video: Path, truth: Path, frames: range, every: int, camera: int, out: Path) -> list[tuple[Path, int, int]]:
    """Pictures of everybody that ground truth names, every so many frames: path, person, camera."""
    table, found = read_mot(truth), []
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0), 1):
            if number not in frames or (number - frames.start) % every:
                continue
            image = frame.to_ndarray(format="bgr24")
            for row in np.flatnonzero((table.frames == number) & (table.scores > 0)):
                left, top, width, height = table.boxes[row]
                x0, y0, x1, y1 = max(0, round(left)), max(0, round(top)), round(left + width), round(top + height)
                crop = image[y0:y1, x0:x1]
                if min(crop.shape[:2]) >= 16:
                    path = out / f"{camera}_{number}_{table.ids[row]}.png"
                    cv2.imwrite(str(path), crop)
                    found.append((path, int(table.ids[row]), camera))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camera", action="append", required=True, help="NAME=VIDEO=TRUTH")
    parser.add_argument("--engine", action="append", required=True, type=Path)
    parser.add_argument("--frames", default="1:1000000")
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    add_json(parser, "unseen_cameras")
    o = parser.parse_args()
    figures: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    first, last = (int(v) for v in o.frames.split(":"))
    with TemporaryDirectory() as folder:
        rows = []
        for number, text in enumerate(o.camera):
            _, video, truth = text.split("=")
            rows += cut(Path(video), Path(truth), range(first, last + 1), o.every, number, Path(folder))
        paths, persons, cameras = zip(*rows, strict=True)
        people = PersonImages(tuple(paths), np.array(persons, np.int64), np.array(cameras, np.int64))
        print(
            f"{len(set(persons))} people, {len(rows)} pictures, {len(o.camera)} cameras, {o.seeds} occlusion draws; "
            "R1 / mAP"
        )
        print("| engine | distance | clean | (a) patch | (b) person |\n|---|---|---|---|---|")
        for path in o.engine:
            bundle = load_bundle(path)
            form = bundle.manifest.input
            embed = embed_pictures(EngineEmbedder(bundle, EngineConfig(precision="fp32")), (form.height, form.width))
            found = score_engine(embed, people, people, seeds=range(o.seeds), size=(form.height, form.width))
            for name, scores in (("parts", found.parts), ("whole person", found.whole)):
                if name == "parts" or len(bundle.manifest.parts) > 1:
                    kinds = {k: {"R1": scores[k].r1, "mAP": scores[k].map} for k in ("clean", "patch", "person")}
                    figures.setdefault(bundle.manifest.name, {})[name] = kinds
                    cells = [f"{scores[k].r1:.3f} / {scores[k].map:.3f}" for k in ("clean", "patch", "person")]
                    print(f"| {bundle.manifest.name} | {name} | " + " | ".join(cells) + " |")
    save_asked(o, figures, seed=0)


if __name__ == "__main__":
    main()
