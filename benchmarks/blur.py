"""Is everybody hidden? Generated scenes with exact boxes are run with `output.blur`, and every visible person is looked
for in the films.

    python benchmarks/blur.py ../shared/data/reid/cuhk03 --detector ../shared/data/weights/yolox_nano.onnx

A person-frame is one person in one frame of whom at least `--least` of the body can be seen. It is unblurred where the
film shows the fine detail of the source inside the box around what can be seen: the correlation of both, without their
coarse content, is above .4 (an ordinary film has .9, a pixelated one about 0). People whom the detector gave no box
within a second before and after, whatever its score, are listed apart as missed.

`--source` and `--film` compare two films that are there already, with `--truth` and `--boxes`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

CLEAR = 0.4
"""Correlation of fine detail from which a person counts as unblurred."""
AROUND = 1.0
"""Seconds before and after within which a box of the detector says that somebody was detected."""
SAME = 0.3
"""Least IoU of the detector's box and the one around what can be seen."""


@dataclass(slots=True)
class Count:
    """Person-frames.

    Args:
        visible: All that were looked at.
        missed: Those whom the detector did not give a box around that time.
        unblurred: Those of the others who can be seen.
        unblurred_missed: Missed ones who can be seen.
        covered: Share of the picture whose detail is gone, mean over frames.
        examples: Camera, frame, person and correlation of unblurred ones.
    """

    visible: int = 0
    missed: int = 0
    unblurred: int = 0
    unblurred_missed: int = 0
    covered: float = 0.0
    examples: list[tuple[str, int, int, float]] = field(default_factory=list)


Rows = dict[int, list[tuple[int, float, float, float, float, float]]]


def read_rows(path: Path) -> Rows:
    """Frame -> (person, left, top, right, bottom, last column) of MOT text."""
    rows: Rows = defaultdict(list)
    for line in path.read_text().splitlines():
        frame, person, left, top, width, height, *rest = (float(v) for v in line.split(","))
        rows[int(frame)].append((int(person), left, top, left + width, top + height, rest[-1]))
    return rows


def pictures(path: Path) -> Iterator[NDArray[np.float32]]:
    """Grey pictures without their coarse content."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            grey = frame.to_ndarray(format="gray").astype(np.float32)
            yield grey - cv2.blur(grey, (5, 5))


def alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Correlation of two patches; 0 where either has no detail."""
    norm = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / norm if norm > one.size else 0.0


def overlap(box: tuple[float, ...], boxes: NDArray[np.float64]) -> float:
    """Greatest IoU of a box with others."""
    if not len(boxes):
        return 0.0
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    common = np.clip(high - low, 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2] - box[0]) * (box[3] - box[1]) - common
    return float((common / areas).max())


def detected(boxes: Rows, visible: Rows, fps: float) -> set[tuple[int, int]]:
    """(frame, person) of everybody for whom the detector gave a box within `AROUND`."""
    reach = round(AROUND * fps)
    hits = defaultdict(set)
    for frame, rows in visible.items():
        found = np.array([row[1:5] for row in boxes.get(frame, [])], np.float64).reshape(-1, 4)
        for row in rows:
            if overlap(row[1:5], found) >= SAME:
                hits[row[0]].add(frame)
    return {
        (frame, row[0])
        for frame, rows in visible.items()
        for row in rows
        if any(f in hits[row[0]] for f in range(frame - reach, frame + reach + 1))
    }


def compare(
    camera: str,
    source: Path,
    film: Path,
    visible: Rows,
    seen: set[tuple[int, int]],
    *,
    faces: bool,
    least: float,
    skip: int = 0,
) -> Count:
    """Look for everybody in a film.

    Args:
        camera: Its name, for the examples.
        source: What was filmed.
        film: What was written of it, frame by frame.
        visible: Boxes around what can be seen of everybody, with the visible share.
        seen: Who was detected.
        faces: Only the upper sixth of a whole body counts.
        least: Visible share from which somebody counts.
        skip: Frames of the source that are not in the film.
    """
    count, gone, frames = Count(), 0.0, 0
    for number, (clear, shown) in enumerate(zip(pictures(source), pictures(film), strict=False), 1 + skip):
        frames += 1
        detail = cv2.blur(np.abs(clear), (9, 9)) > 2
        gone += float((detail & (cv2.blur(np.abs(shown), (9, 9)) < 1)).sum() / max(detail.sum(), 1))
        for person, left, top, right, bottom, share in visible.get(number, []):
            if faces:
                bottom = top + (bottom - top) / 6
            rows, columns = slice(round(top), round(bottom)), slice(round(left), round(right))
            patch = clear[rows, columns]
            if share < least or patch.shape[0] < 6 or patch.shape[1] < 6:
                continue
            found, missed = alike(patch, shown[rows, columns]), (number, person) not in seen
            count.visible += 1
            count.missed += missed
            if found >= CLEAR:
                count.unblurred_missed += missed
                count.unblurred += not missed
                count.examples += [] if missed else [(camera, number, person, round(found, 2))]
    count.covered = gone / max(frames, 1)
    return count


def measure(scene: Path, out: Path, settings: list[str], *, blur: str, least: float, detector: list[str]) -> Count:
    """Run a scene and count."""
    program = [
        sys.executable,
        "-m",
        "streamreid",
        "run",
        "--sources",
        str(scene / "cams.yaml"),
        "--out",
        str(out),
        "--overwrite",
    ]
    program += [*detector, "--cache", str(out / "cache"), "--set", "output.video=true", "--set", f"output.blur={blur}"]
    for setting in settings:
        program += ["--set", setting]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "200"})
    total, cameras = Count(), sorted(p.stem for p in (scene / "visible").glob("*.txt"))
    fps = json.loads((scene / "scene.json").read_text())["config"]["fps"]
    for camera in cameras:
        visible = read_rows(scene / "visible" / f"{camera}.txt")
        seen = detected(cached_boxes(out / "cache" / camera), visible, fps)
        one = compare(
            camera,
            scene / f"{camera}.mp4",
            out / "videos" / f"{camera}.mp4",
            visible,
            seen,
            faces=blur == "faces",
            least=least,
        )
        for name in ("visible", "missed", "unblurred", "unblurred_missed", "examples"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
        total.covered += one.covered / len(cameras)
    return total


def cached_boxes(folder: Path) -> Rows:
    """Every box that the detector gave, of any score."""
    import pyarrow.parquet

    rows: Rows = defaultdict(list)
    for path in sorted(folder.glob("part-*.parquet")):
        table = pyarrow.parquet.read_table(path, columns=["frame", "boxes", "scores"]).to_pydict()
        for frame, boxes, scores in zip(table["frame"], table["boxes"], table["scores"], strict=True):
            values = np.array(boxes, np.float64).reshape(-1, 4)
            rows[frame + 1] += [(0, *box, score) for box, score in zip(values.tolist(), scores, strict=True)]
    return rows


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of person pictures (Market-1501 names)")
    parser.add_argument("--detector", default="yolox-nano")
    parser.add_argument("--scene", type=Path, help="a scene of `streamreid synth` that is there already")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--level", default="medium")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blur", default="people", choices=["people", "faces", "none"])
    parser.add_argument("--least", type=float, default=0.1, help="visible share of the body from which somebody counts")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path, help="keep the films here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scene = args.scene or Path(temporary) / "scene"
        if args.scene is None:
            shape = [
                "--people",
                args.people,
                "--cameras",
                args.cameras,
                "--seconds",
                args.seconds,
                "--level",
                args.level,
                "--seed",
                args.seed,
            ]
            program = [sys.executable, "-m", "streamreid", "synth", args.images, "--out", scene, *shape]
            subprocess.run([str(v) for v in program], check=True, stdout=subprocess.DEVNULL)
        out = args.out or Path(temporary) / "out"
        found = measure(
            scene, out, args.settings, blur=args.blur, least=args.least, detector=["--detector", args.detector]
        )
    print(json.dumps({**asdict(found), "examples": found.examples[:20]}))


if __name__ == "__main__":
    main()
