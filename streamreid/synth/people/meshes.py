"""What a person is rendered from: one mesh of skin, clothes, hair and things carried, with a material per triangle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from streamreid.types import FloatArray, IntArray

__all__ = [
    "Material",
    "Mesh",
    "Pattern",
    "PatternKind",
    "Submesh",
    "coarsened",
    "corners_of",
    "join",
    "offset",
    "smooth_normals",
]

PatternKind = Literal["plain", "hoops", "stripes", "checks", "blocks", "camouflage", "dots", "logo"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A print on a fabric, laid out in space at rest.

    Args:
        kind: "hoops" go around, "stripes" up and down, "blocks" colour everything above a height.
        colour: Linear BGR of the print.
        period: Metres between repeats; of a logo its size.
        phase: Metres by which it is shifted; of blocks and logos the height.
        share: Share of the period that is printed.
    """

    kind: PatternKind = "plain"
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)
    period: float = 0.1
    phase: float = 0.0
    share: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What light meets on a triangle.

    Args:
        colour: Linear BGR, each in [0, 1].
        texture: ``[H, W, 3]`` uint8 sRGB (as BGR), or ``[H, W, 1]`` float32, factors of ``colour``; None is plain.
        alpha: ``[H, W]`` float32 opacity in [0, 1]; None is opaque.
        patterns: Prints, one over the other.
        wrinkles: How much folds change the light, relative.
        gloss: Strength of the highlight.
        straps: Planes ``(nx, ny, nz, distance, half width)`` in space at rest: where the fabric lies near one, it has
            the colour ``strap``.
        strap: Linear BGR of straps.
    """

    colour: tuple[float, float, float]
    texture: FloatArray | NDArray[np.uint8] | None = None
    alpha: FloatArray | None = None
    patterns: tuple[Pattern, ...] = ()
    wrinkles: float = 0.0
    gloss: float = 0.0
    straps: tuple[tuple[float, float, float, float, float], ...] = ()
    strap: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Submesh:
    """One thing that is worn, at rest.

    Args:
        vertices: ``[N, 3]``.
        faces: ``[F, 3]``.
        weights: ``[N, B]`` how much each bone moves each vertex.
        part: ``[N]`` part of each vertex; 0 for what is carried and no part of the person.
        material: Of all triangles.
        uv: ``[F, 3, 2]``; None without textures.
    """

    vertices: FloatArray
    faces: IntArray
    weights: csr_matrix
    part: NDArray[np.uint8]
    material: Material
    uv: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """All submeshes of a person: fields of a `Submesh`, and ``owner [F]``, the number of each triangle's material."""

    vertices: FloatArray
    faces: IntArray
    weights: csr_matrix
    part: NDArray[np.uint8]
    uv: FloatArray
    owner: NDArray[np.int16]
    materials: tuple[Material, ...] = field(default=())


def join(submeshes: Sequence[Submesh]) -> Mesh:
    """Put submeshes together. Vertices that no triangle uses are left out."""
    vertices, faces, weights, parts, uvs, owners = [], [], [], [], [], []
    count = 0
    for number, submesh in enumerate(submeshes):
        used, corners = np.unique(submesh.faces, return_inverse=True)
        vertices.append(submesh.vertices[used])
        weights.append(submesh.weights[used])
        parts.append(submesh.part[used])
        faces.append(corners.reshape(-1, 3) + count)
        uvs.append(np.zeros((len(submesh.faces), 3, 2), np.float32) if submesh.uv is None else submesh.uv)
        owners.append(np.full(len(submesh.faces), number, np.int16))
        count += len(used)
    return Mesh(
        vertices=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        weights=vstack(weights).tocsr(),
        part=np.concatenate(parts),
        uv=np.concatenate(uvs).astype(np.float32),
        owner=np.concatenate(owners),
        materials=tuple(submesh.material for submesh in submeshes),
    )


def corners_of(faces: IntArray, count: int) -> csr_matrix:
    """``[V, F]`` ones where a vertex is a corner of a triangle."""
    columns = np.repeat(np.arange(len(faces)), 3)
    return csr_matrix((np.ones(3 * len(faces), np.float32), (faces.ravel(), columns)), shape=(count, len(faces)))


def smooth_normals(vertices: FloatArray, faces: IntArray) -> FloatArray:
    """``[V, 3]`` normals of vertices: means of those of their triangles, weighted by area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    places = faces.ravel()
    normals = np.stack(
        [np.bincount(places, np.repeat(flat[:, axis], 3), minlength=len(vertices)) for axis in range(3)], 1
    )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.maximum(length, 1e-12), np.float32)


def offset(vertices: FloatArray, faces: IntArray, distance: FloatArray | float) -> FloatArray:
    """Vertices moved outwards by so many metres each, along their normals."""
    amount = np.asarray(distance, np.float32)
    return vertices + smooth_normals(vertices, faces) * (amount[:, None] if amount.ndim else amount)


def coarsened(vertices: FloatArray, faces: IntArray, cell: float) -> tuple[IntArray, NDArray[np.bool_]]:
    """Fewer triangles, by vertex clustering (Rossignac and Borrel, 1993): all vertices in one cell of a grid become
    the first of them.

    Args:
        vertices: ``[V, 3]`` metres.
        faces: ``[F, 3]``.
        cell: Sides of the cells in metres; what is smaller in a picture cannot be seen.

    Returns:
        The triangles that are left, and which of ``faces [F]`` they are.
    """
    cells = np.floor(vertices / cell).astype(np.int64)
    _, first, inverse = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    moved = first[inverse.ravel()][faces]
    kept = (moved[:, 0] != moved[:, 1]) & (moved[:, 1] != moved[:, 2]) & (moved[:, 2] != moved[:, 0])
    return moved[kept], kept
