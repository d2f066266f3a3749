"""Things that people carry: backpacks, bags, cases, boxes, umbrellas, and the peak of a cap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from streamreid.synth.people.body import HEAD, SKIN_VERTICES, TORSO, BodyModel, Shape
from streamreid.synth.people.meshes import Material, Submesh
from streamreid.types import FloatArray, IntArray

__all__ = ["Held", "backpack", "box_mesh", "case", "handbag", "parcel", "peak", "shoulder_bag", "umbrella"]


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Something that hangs from a hand, upright whatever the hand does.

    Args:
        vertices: ``[N, 3]`` metres from the hand.
        faces: ``[F, 3]``.
        material: Of it.
        side: Whose hand; "both" is the middle between them.
        grounded: Whether it stands on the floor beside the hand instead.
    """

    vertices: FloatArray
    faces: IntArray
    material: Material
    side: Literal["L", "R", "both"]
    grounded: bool = False


def box_mesh(size: tuple[float, float, float], roundness: float = 0.35, steps: int = 6) -> tuple[FloatArray, IntArray]:
    """A box with rounded edges around the origin: vertices and triangles.

    Args:
        size: Width, depth, height in metres.
        roundness: 0 is a box, 1 an ellipsoid.
        steps: Squares along each edge.
    """
    line = np.linspace(-1, 1, steps + 1)
    a, b = (g.ravel() for g in np.meshgrid(line, line, indexing="ij"))
    one = np.ones_like(a)
    sides = [np.stack(s, 1) for s in ((a, b, one), (b, a, -one), (one, a, b), (-one, b, a), (b, one, a), (a, -one, b))]
    index = np.arange((steps + 1) ** 2).reshape(steps + 1, steps + 1)
    square = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    faces = np.concatenate([square + n * len(a) for n in range(6)])
    cube = np.concatenate(sides)
    ball = cube / np.linalg.norm(cube, axis=1, keepdims=True)
    vertices = (cube * (1 - roundness) + ball * roundness) * np.array(size) / 2
    return vertices.astype(np.float32), np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])


def _attached(
    vertices: FloatArray, faces: IntArray, body: BodyModel, bone: str, part: int, material: Material
) -> Submesh:
    rows, bones = len(vertices), body.weights.shape[1]
    columns = np.full(rows, body.bones[bone])
    weights = csr_matrix((np.ones(rows, np.float32), (np.arange(rows), columns)), shape=(rows, bones))
    return Submesh(vertices, faces, weights, np.full(rows, part, np.uint8), material)


def backpack(body: BodyModel, shape: Shape, material: Material, rng: np.random.Generator) -> Submesh:
    """On the back, from the shoulders down."""
    size = rng.uniform(0.26, 0.36), rng.uniform(0.12, 0.22), rng.uniform(0.36, 0.52)
    vertices, faces = box_mesh(size, rng.uniform(0.25, 0.55))
    chest = shape.heads[body.bones["spine01"]]
    skin = shape.vertices[:SKIN_VERTICES]
    level = chest[2] - 0.04
    back = skin[(abs(skin[:, 2] - level) < 0.12) & (abs(skin[:, 0]) < 0.12), 1].max()
    place = np.array([0, back + size[1] / 2 + 0.005, level - 0.5 * size[2] + 0.24], np.float32)
    return _attached(vertices + place, faces, body, "spine02", TORSO, material)


def shoulder_bag(body: BodyModel, shape: Shape, material: Material, side: float, rng: np.random.Generator) -> Submesh:
    """At the hip, on the side of the sign of ``side``."""
    size = rng.uniform(0.08, 0.14), rng.uniform(0.22, 0.36), rng.uniform(0.18, 0.3)
    vertices, faces = box_mesh(size, rng.uniform(0.2, 0.5))
    hip = shape.heads[body.bones["upperleg01.L"]]
    skin = shape.vertices[:SKIN_VERTICES]
    near = (abs(skin[:, 2] - hip[2]) < 0.06) & (abs(skin[:, 0]) < 0.3)
    wide = skin[near, 0].max() + size[0] / 2 + 0.02
    place = np.array([side * wide, rng.uniform(-0.05, 0.08), hip[2] + 0.02], np.float32)
    return _attached(vertices + place, faces, body, "root", TORSO, material)


def peak(body: BodyModel, shape: Shape, material: Material) -> Submesh:
    """The peak of a cap, before the brow."""
    skin = shape.vertices[:SKIN_VERTICES]
    top = skin[:, 2].max()
    head = shape.heads[body.bones["head"]][2]
    level = top - 0.36 * (top - head)
    front = skin[(abs(skin[:, 2] - level) < 0.02) & (abs(skin[:, 0]) < 0.03), 1].min()
    angle = np.linspace(0, np.pi, 9)
    inner = np.stack([0.078 * np.cos(angle), front + 0.05 - 0.055 * np.sin(angle), np.full(9, level + 0.012)], 1)
    outer = np.stack([0.082 * np.cos(angle), front + 0.045 - 0.125 * np.sin(angle), np.full(9, level - 0.012)], 1)
    return _attached(*_band(inner, outer), body, "head", HEAD, material)


def _band(inner: FloatArray, outer: FloatArray) -> tuple[FloatArray, IntArray]:
    count = len(inner)
    k = np.arange(count - 1)
    square = np.stack([k, k + 1, k + 1 + count, k + count], 1)
    faces = np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]]])
    return np.concatenate([inner, outer]).astype(np.float32), faces


def handbag(material: Material, side: Literal["L", "R"], rng: np.random.Generator) -> Held:
    """A bag or a shopping bag in the hand."""
    size = rng.uniform(0.08, 0.18), rng.uniform(0.22, 0.4), rng.uniform(0.2, 0.4)
    vertices, faces = box_mesh(size, rng.uniform(0.05, 0.4))
    return Held(vertices - np.array([0, 0, size[2] / 2 + 0.12], np.float32), faces, material, side)


def case(material: Material, side: Literal["L", "R"], rng: np.random.Generator) -> Held:
    """A suitcase on wheels, behind and beside the person."""
    size = rng.uniform(0.34, 0.5), rng.uniform(0.2, 0.28), rng.uniform(0.5, 0.75)
    vertices, faces = box_mesh(size, rng.uniform(0.1, 0.25))
    handle, bar = box_mesh((0.03, 0.03, 0.5), 0.0, 1)
    place = np.array([0.05, 0.12, size[2] / 2 + 0.05], np.float32)
    joined = np.concatenate([vertices + place, handle + np.array([0.05, 0.02, size[2] + 0.2], np.float32)])
    return Held(joined, np.concatenate([faces, bar + len(vertices)]), material, side, grounded=True)


def parcel(material: Material, rng: np.random.Generator) -> Held:
    """A box before the chest."""
    size = rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.4)
    vertices, faces = box_mesh(size, 0.0, 2)
    return Held(vertices + np.array([0, -size[1] / 2 + 0.06, size[2] / 2 - 0.02], np.float32), faces, material, "both")


def umbrella(material: Material, side: Literal["L", "R"], rng: np.random.Generator) -> Held:
    """An open umbrella above the head."""
    radius, high = rng.uniform(0.42, 0.58), rng.uniform(0.16, 0.24)
    angle = np.linspace(0, 2 * np.pi, 17)
    rings = []
    for share in (0.02, 0.5, 1.0):
        level = high * (1 - share**2)
        ring = np.stack([share * radius * np.cos(angle), share * radius * np.sin(angle), level + 0 * angle], 1)
        rings.append(ring.astype(np.float32))
    first, second = _band(rings[0], rings[1]), _band(rings[1], rings[2])
    stick, bar = box_mesh((0.02, 0.02, 0.75), 0.0, 1)
    lift = np.array([0.08 if side == "R" else -0.08, 0.02, 0.62], np.float32)
    vertices = np.concatenate([first[0] + lift, second[0] + lift, stick + np.array([0, 0, 0.36], np.float32)])
    faces = np.concatenate([first[1], second[1] + len(first[0]), bar + len(first[0]) + len(second[0])])
    return Held(vertices, faces, material, side)
