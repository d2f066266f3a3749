"""The README's picture of body parts: what the part engine sees in people as they are, and covered on one side by a
background patch or by somebody else.

    python benchmarks/figure_parts.py [--engine BUNDLE] [--detector yolo11n] [--out docs/figures/parts.jpg] [--second
    1.1]

People come from the clips of `streamreid demo`, none of which took part in training. The engine sees the pictures as
they are; in what is drawn, the heads of all people are pixelated. Per picture: the crop, its part maps, and the
visibility of every part. ``--engine`` must be a bundle that `streamreid export` wrote.
"""

from __future__ import annotations

import argparse
import colorsys
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import onnx
import onnxruntime as ort

from streamreid import weights
from streamreid.config import DetectorConfig
from streamreid.datasets.occlusion import Occlusion, cover
from streamreid.detection import open_detector
from streamreid.reid.bundle import Bundle, load_bundle
from streamreid.reid.factory import shipped_folder
from streamreid.sinks.drawing import pixelate
from streamreid.types import FloatArray, Frame, Image

COVERINGS: tuple[tuple[str, Occlusion | None, str], ...] = (
    ("as they are", None, ""),
    ("left half, patch", Occlusion("left", 0.5), "patch"),
    ("lower half, patch", Occlusion("bottom", 0.5), "patch"),
    ("right half, somebody", Occlusion("right", 0.5), "person"),
    ("upper quarter, somebody", Occlusion("top", 0.25), "person"),
)
SHOWN = (192, 96)


class Person(NamedTuple):
    """A crop as the engine sees it, the same with pixelated heads, and a patch of the background: the picture's corner
    farthest from all people."""

    seen: Image
    private: Image
    patch: Image


class PartMaps:
    """An engine that also returns its part maps: the softmax inside its graph, made an output.

    Args:
        bundle: Written by `streamreid export`.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.names, form = bundle.manifest.parts[1:], bundle.manifest.input
        self.size = (form.height, form.width)
        model = onnx.load(str(bundle.model))
        maps = [n.output[0] for n in model.graph.node if n.op_type == "Softmax"]
        if not maps:
            raise SystemExit(f"{bundle.folder}: no part maps in this graph")
        self.outputs = [maps[0], bundle.manifest.outputs.visibility]
        model.graph.output.append(onnx.helper.make_tensor_value_info(maps[0], onnx.TensorProto.FLOAT, None))
        self.session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def __call__(self, crops: list[Image]) -> tuple[FloatArray, FloatArray]:
        """Part maps ``[N, 1 + parts, h, w]``, background first, and visibilities ``[N, parts]`` without that of the
        whole person."""
        maps, seen = self.session.run(
            self.outputs, {"images": np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32)}
        )
        return maps, seen[:, 1:]


def find_people(detector: str, second: float, size: tuple[int, int], most: int) -> list[Person]:
    """The people of the demo's clips at one moment that stand free, tallest first, no more than two of a camera."""
    finder, found = open_detector(DetectorConfig(model=detector)), []
    for video in sorted(p for p in weights.fetch(["demo-videos"]) if p.suffix == ".mp4"):
        with av.open(str(video)) as container:
            image = next(f for f in container.decode(video=0) if float(f.time or 0) >= second).to_ndarray(
                format="bgr24"
            )
        (people,) = finder([Frame(video.stem, 0, second, image)])
        boxes = people.boxes[people.scores > 0.3]
        private, patch = image.copy(), background(image, boxes, size)
        pixelate(private, boxes, "head")
        free = [b for b in people.boxes[people.scores > 0.6] if stands_free(b, boxes, image)]
        for left, top, right, bottom in (
            b.round().astype(int).tolist() for b in sorted(free, key=lambda b: b[1] - b[3])[:2]
        ):
            crop, shown = (
                cv2.resize(i[top:bottom, left:right], size[::-1], interpolation=cv2.INTER_AREA)
                for i in (image, private)
            )
            found.append((bottom - top, Person(crop, shown, patch)))
    return [person for _, person in sorted(found, key=lambda f: -f[0])[:most]]


def stands_free(box: FloatArray, boxes: FloatArray, image: Image) -> bool:
    """Inside the picture, upright, and nobody else in more than a tenth of the box."""
    height, width = image.shape[:2]
    inside = (
        box[0] > 2
        and box[1] > 2
        and box[2] < width - 2
        and box[3] < height - 2
        and box[3] - box[1] > 1.7 * (box[2] - box[0])
    )
    common = (
        np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None).prod(1)
        / (box[2:] - box[:2]).prod()
    )
    return bool(inside and (np.sort(common)[:-1] < 0.1).all())


def background(image: Image, boxes: FloatArray, size: tuple[int, int]) -> Image:
    """The corner of a picture with the least of people in it."""
    height, width = image.shape[:2]
    tall, wide = height // 4, height // 8
    corners = [(y, x) for y in (0, height - tall) for x in (0, width - wide)]
    busy = np.zeros((height, width), np.uint8)
    for left, top, right, bottom in np.clip(boxes, 0, None).round().astype(int).tolist():
        busy[top:bottom, left:right] = 1
    y, x = min(corners, key=lambda c: int(busy[c[0] : c[0] + tall, c[1] : c[1] + wide].sum()))
    return np.asarray(cv2.resize(image[y : y + tall, x : x + wide], size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def draw(engine: PartMaps, people: list[Person]) -> Image:
    """A row per person, a column per covering."""
    titles = [text(title, 2 * SHOWN[1] + 74) for title, _, _ in COVERINGS]
    rows = [np.hstack(titles)]
    for number, person in enumerate(people):
        other = people[(number + 1) % len(people)]
        seen, shown = [], []
        for _, occlusion, kind in COVERINGS:
            for target, own, somebody in ((seen, person.seen, other.seen), (shown, person.private, other.private)):
                target.append(
                    own
                    if occlusion is None
                    else cover(own, person.patch if kind == "patch" else somebody, occlusion)[0]
                )
        rows.append(np.hstack([tile(*t, engine.names) for t in zip(shown, *engine(seen), strict=True)]))
    return np.vstack(rows)


def tile(shown: Image, maps: FloatArray, seen: FloatArray, names: tuple[str, ...]) -> Image:
    """The crop, its part maps over it, and a bar per part."""
    small = cv2.resize(shown, SHOWN[::-1], interpolation=cv2.INTER_AREA)
    colours = np.array(
        [[255 * c for c in colorsys.hsv_to_rgb(0.618 * i % 1, 0.75, 0.9)[::-1]] for i in range(len(names))], np.float32
    )
    shares = np.stack([cv2.resize(m, SHOWN[::-1], interpolation=cv2.INTER_LINEAR) for m in maps[1:]], -1)
    grey = cv2.cvtColor(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    mapped = grey * (1 - 0.7 * shares.sum(-1, keepdims=True)) + 0.7 * (shares @ colours)
    bars = np.full((SHOWN[0], 70, 3), 255, np.uint8)
    for line, (name, share, colour) in enumerate(zip(names, seen.tolist(), colours.tolist(), strict=True)):
        top = 8 + line * (SHOWN[0] - 8) // len(names)
        cv2.putText(
            bars, f"{name} {share:.0%}", (4, top + 9), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (40, 40, 40), 1, cv2.LINE_AA
        )
        cv2.rectangle(bars, (4, top + 13), (64, top + 20), (225, 225, 225), cv2.FILLED)
        cv2.rectangle(bars, (4, top + 13), (4 + round(60 * min(1.0, share)), top + 20), colour, cv2.FILLED)
    return np.asarray(
        np.pad(
            np.hstack([small, np.clip(mapped, 0, 255).astype(np.uint8), bars]),
            ((2, 2), (2, 2), (0, 0)),
            constant_values=255,
        ),
        np.uint8,
    )


def text(words: str, width: int) -> Image:
    """Words on white."""
    line = np.full((22, width, 3), 255, np.uint8)
    cv2.putText(line, words, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", type=Path, default=shipped_folder() / "pab-osnet-small")
    parser.add_argument("--detector", default="yolo11n")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "figures" / "parts.jpg")
    parser.add_argument("--second", type=float, default=1.1)
    parser.add_argument("--people", type=int, default=3)
    o = parser.parse_args()
    engine = PartMaps(load_bundle(o.engine))
    people = find_people(o.detector, o.second, engine.size, o.people)
    if not people:
        raise SystemExit(f"nobody stands free at {o.second} s; choose another --second")
    o.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(o.out), draw(engine, people), [cv2.IMWRITE_JPEG_QUALITY, 76])
    print(o.out, o.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
