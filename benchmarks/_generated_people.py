"""The people of the benchmark of unique people, as features: cut-outs of real pictures whom the engine never saw,
people generated from their features, look-alikes, and the same people in other colours.

A folder has 95 people. Further ones are generated from the features of these: what distinguishes people from each other
is drawn from the normal distribution that the 95 have, and how one person looks in other poses, in another camera and
half hidden is taken from one of them. Generated people are as alike to each other as real ones: of cuhk01, the mean
cosine of two people exceeds .28 for one real pair in ten and .43 for one in a thousand (generated: .30 and .43), that
of the likest other person is .37 in the median (generated: .38), and of one person in two cameras .55 (.55).

Recoloured people are not: dyed clothes leave shape and face, and a person's recolour is at .40, nearer than any other
person is. They are look-alikes, for scenes about those; others are generated.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from streamreid.config import Config
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.reid.factory import open_embedder
from streamreid.synth import Person, SceneConfig, load_people
from streamreid.synth.cutouts import Cutout

Looks = Literal["different", "alike", "recoloured"]

ALIKE = 0.6
"""What look-alikes share of what distinguishes people: pictures of one have a mean cosine of .40 to those of the other,
as those of people and their recolours have."""

PEOPLE = 95
"""People taken from a folder of pictures of 100; a few cannot be cut out."""


def dyed(person: Person, seed: int) -> Person:
    """The same person in clothes of other colours."""
    rng = np.random.default_rng([person.number, seed])
    upper, lower = ((rng.uniform(0.6, 1.5), *rng.normal(0, 22, 2)) for _ in range(2))

    def dye(cutout: Cutout) -> Cutout:
        height = len(cutout.alpha)
        plain = cv2.divide(cutout.colour, cv2.merge([cutout.alpha] * 3), scale=255)
        lab = cv2.cvtColor(plain, cv2.COLOR_BGR2LAB).astype(np.float32)
        for (gain, a, b), (top, bottom) in ((upper, (0.16, 0.52)), (lower, (0.52, 0.93))):
            rows = slice(round(top * height), round(bottom * height))
            lab[rows, :, 0] *= gain
            lab[rows, :, 1] += a
            lab[rows, :, 2] += b
        bgr = cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2BGR)
        return Cutout(cv2.multiply(bgr, cv2.merge([cutout.alpha] * 3), scale=1 / 255), cutout.alpha)

    cutouts = {camera: [dye(c) for c in found] for camera, found in person.cutouts.items()}
    return Person(person.number + 1000 * seed, cutouts)


OCCLUSIONS = ("none", "lowest 30 %", "lower half", "one side", "upper half alone")
"""How a picture of a person is covered before it is embedded; the last is what a box round what is seen cuts out."""

_PICTURES = 2
"""Pictures of each person per camera of the folder."""

_SIZE = (256, 128)
"""Height and width of the engine's input."""


def bank(source: str, pictures: Path, out: Path, *, people: int, looks: Looks) -> dict[str, Any]:
    """The features of some people: where the features of generated scenes come from.

    Args:
        source: Name of the folder of pictures.
        pictures: Where that folder is.
        out: Where features are kept; those that are there are not made anew.
        people: How many.
        looks: Whether those whom the folder has no pictures of are different people or others in other colours;
            ``alike``: whether the second half of the people are look-alikes of the first.

    Returns:
        ``parts`` [people, pictures, occlusions, K, D], ``visibility`` [people, pictures, occlusions, K], ``camera``
        [people, pictures] number of the folder's camera, and ``nobody_parts`` and ``nobody_visibility``, features of
        pictures of nobody.
    """
    real = dict(np.load(_embedded(source, 0, pictures, out)))
    if looks == "alike":
        first = {name: real[name][: people // 2] for name in ("parts", "visibility", "camera")}
        others = [generated(real, people // 2, np.random.default_rng(people), alike=True)]
        real = {**real, **first}
    elif people <= PEOPLE:
        return real
    elif looks == "different":
        others = [generated(real, people - PEOPLE, np.random.default_rng(people))]
    else:
        others = [dict(np.load(_embedded(source, dye, pictures, out))) for dye in range(1, -(-people // PEOPLE))]
    joined = {name: np.concatenate([f[name] for f in (real, *others)]) for name in ("parts", "visibility", "camera")}
    return {**real, **joined}


def generated(real: dict[str, Any], count: int, rng: np.random.Generator, *, alike: bool = False) -> dict[str, Any]:
    """Features of people who do not exist.

    Args:
        real: Features of real people, as in ``bank``.
        count: How many.
        rng: Draws them.
        alike: Whether the n-th of them is a look-alike of the n-th real person.

    Returns:
        ``parts``, ``visibility`` and ``camera``, as in ``bank``.
    """
    parts = real["parts"].astype(np.float32)
    middle = parts.mean((0, 1), keepdims=True)
    looks = parts.mean(1, keepdims=True) - middle  # what distinguishes people
    change = parts - middle - looks  # what distinguishes pictures of one person
    weights = rng.normal(size=(count, len(parts))).astype(np.float32)
    weights -= weights.mean(1, keepdims=True)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    new = np.tensordot(weights, looks, 1)
    like = rng.integers(len(parts), size=count)  # whose changes, and how far from the middle
    far, now = (np.linalg.norm(a.reshape(count, -1), axis=1) for a in (looks[like], new))
    new *= (far / now)[:, None, None, None, None]
    if alike:
        new = ALIKE * looks[:count] + np.sqrt(1 - ALIKE**2) * new
    made = middle + new + change[like]
    made /= np.maximum(np.linalg.norm(made, axis=-1, keepdims=True), 1e-9)
    return {"parts": made.astype(np.float16), "visibility": real["visibility"][like], "camera": real["camera"][like]}


def _embedded(source: str, dye: int, pictures: Path, out: Path) -> Path:
    path = out / f"bank-{source}-{dye}.npz"
    if path.exists():
        return path
    people, _ = load_people([pictures / source], [], None, SceneConfig(people=PEOPLE, cameras=2))
    people = [dyed(person, dye) if dye else person for person in people]
    engine = open_embedder(Config.from_sources("0").engine)
    rng = np.random.default_rng(dye)
    rows: dict[str, list[Any]] = {"parts": [], "visibility": [], "camera": []}
    for number, person in enumerate(people):
        cameras = sorted(person.cutouts)
        chosen = [
            (i, cuts[k % len(cuts)])
            for i, c in enumerate(cameras)
            for cuts in [person.cutouts[c]]
            for k in range(_PICTURES)
        ]
        other = people[(number + 1) % PEOPLE].cutouts
        other_cut = other[min(other)][0]
        crops = np.stack([_covered(cut, how, other_cut, rng) for _, cut in chosen for how in range(len(OCCLUSIONS))])
        seen = engine.embed(crops)
        rows["parts"].append(seen.parts.reshape(len(chosen), len(OCCLUSIONS), *seen.parts.shape[1:]).astype(np.float16))
        rows["visibility"].append(seen.visibility.reshape(len(chosen), len(OCCLUSIONS), -1))
        rows["camera"].append([i for i, _ in chosen])
    nobody = engine.embed(np.stack([_background(rng) for _ in range(100)]))
    arrays = {name: np.array(values) for name, values in rows.items()}
    np.savez(path, **arrays, nobody_parts=nobody.parts, nobody_visibility=nobody.visibility)
    description = EngineDescription(engine.name, engine.fingerprint, engine.parts, engine.dim, engine.calibration)
    (out / "engine.pickle").write_bytes(pickle.dumps(description))
    return path


def _background(rng: np.random.Generator) -> np.ndarray:
    coarse = rng.uniform(40, 200, (8, 4, 3)) * 0.35 + rng.uniform(60, 160, 3) * 0.65
    picture = cv2.resize(coarse.astype(np.float32), _SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


def _covered(cut: Cutout, how: int, other: Cutout, rng: np.random.Generator) -> np.ndarray:
    """A crop of the engine's size: a person before some background, covered in one of the ways of ``OCCLUSIONS``."""
    picture = _background(rng)
    _paste(picture, cut, 0.0)
    height, width = _SIZE
    shade = rng.uniform(50, 190, 3)
    if how in (1, 2):
        top = round(height * (0.7 if how == 1 else 0.45))
        picture[top:] = np.clip(shade + rng.normal(0, 5, (height - top, width, 3)), 0, 255)
    elif how == 3:
        _paste(picture, other, -0.42 if rng.uniform() < 0.5 else 0.42)
    elif how == 4:
        picture = cv2.resize(picture[: round(0.45 * height)], (width, height))
    return picture


def _paste(picture: np.ndarray, cut: Cutout, shift: float) -> None:
    height, width = _SIZE
    size = (round(width * 0.86), round(height * 0.95))
    colour = cv2.resize(cut.colour, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    alpha = cv2.resize(cut.alpha, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)[..., None] / 255
    left, top = round(width * (0.07 + shift)), round(height * 0.03)
    x0, x1 = max(left, 0), min(left + size[0], width)
    own = slice(x0 - left, x1 - left)
    where = picture[top : top + size[1], x0:x1]
    where[:] = np.clip(where * (1 - alpha[:, own]) + colour[:, own], 0, 255).astype(np.uint8)
