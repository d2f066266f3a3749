"""MakeHuman's clothes, shoes, hair and skins (CC0): found in a folder, or fetched once with checksum and licence.

A garment is an ``.obj`` mesh with an ``.mhclo`` file that ties each of its vertices to three of the body's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from streamreid.errors import DataError
from streamreid.synth.people.body import BodyModel, Shape
from streamreid.synth.people.meshes import coarsened
from streamreid.types import FloatArray, IntArray

__all__ = ["CELL", "Clothing", "read_clothing", "read_texture"]

TEXTURE_SIDE = 512
"""Pixels of a texture's sides; larger ones are reduced."""

CELL = 0.015
"""Metres; two or three pixels of a person of 280 rows. Building Embree's tree costs most of a picture, in proportion to
the triangles."""

_OFFSETS = 9
"""Numbers of an ``.mhclo`` line: three vertices, three weights, three offsets."""


@dataclass(frozen=True, slots=True, eq=False)
class Clothing:
    """One mesh tied to the body.

    Args:
        name: As its file is called.
        refs: ``[N, 3]`` vertices of the body that each vertex is tied to.
        shares: ``[N, 3]`` their weights.
        offsets: ``[N, 3]`` what is added, in MakeHuman's axes, in units of ``scales``.
        scales: Per axis two vertices of the body and their distance where the garment was made; empty if unscaled.
        faces: ``[F, 3]`` triangles.
        uv: ``[F, 3, 2]`` texture coordinates of their corners.
        hidden: Vertices of the body that it hides.
        weights: ``[N, B]`` how much each bone moves each vertex.
        part: ``[N]`` part of each vertex.
        texture: ``[512, 512, 4]`` uint8 BGRA; None where there is none.
    """

    name: str
    refs: IntArray
    shares: FloatArray
    offsets: FloatArray
    scales: tuple[tuple[int, int, float] | None, ...]
    faces: IntArray
    uv: FloatArray
    hidden: IntArray
    weights: csr_matrix
    part: NDArray[np.uint8]
    texture: NDArray[np.uint8] | None

    def fit(self, shape: Shape) -> FloatArray:
        """Its vertices ``[N, 3]`` on a body at rest, in the body's axes and metres."""
        body = shape.makehuman
        scale = np.ones(3, np.float32)
        for axis, found in enumerate(self.scales):
            if found is not None:
                first, second, distance = found
                scale[axis] = abs(body[first, axis] - body[second, axis]) / distance
        x, y, z = ((body[self.refs] * self.shares[..., None]).sum(1) + self.offsets * scale).T / np.float32(10)
        return np.stack([x, -z, y], 1).astype(np.float32)


def read_clothing(mhclo: Path, body: BodyModel, *, coarse: bool = True) -> Clothing:
    """Read one garment, with the texture that lies beside it; ``coarse`` with as few triangles as pictures show.

    Raises:
        DataError: The file is missing or is not of this kind.
    """
    try:
        ties = _read_ties(mhclo)
        faces, uv, count = _read_mesh(mhclo.parent / ties.mesh)
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{mhclo}: not a garment of MakeHuman's ({error}); fetch the clothes anew") from error
    count = min(count, len(ties.refs))
    kept = (faces < count).all(1)
    shares = np.clip(ties.shares, 0, None)
    shares /= shares.sum(1, keepdims=True) + 1e-9
    rows = np.repeat(np.arange(len(ties.refs)), 3)
    tied = csr_matrix((shares.ravel(), (rows, ties.refs.ravel())), shape=(len(ties.refs), body.weights.shape[0]))
    weights = (tied @ body.weights).tocsr()
    parts = np.zeros((len(ties.refs), 6), np.float32)
    for column in range(3):
        parts[np.arange(len(parts)), body.part[ties.refs[:, column]]] += shares[:, column]
    pictures = sorted(mhclo.parent.glob("*.png"))
    whole = Clothing(
        name=mhclo.stem,
        refs=ties.refs,
        shares=ties.shares,
        offsets=ties.offsets,
        scales=tuple(ties.scales.get(axis) for axis in "xyz"),
        faces=faces[kept],
        uv=uv[kept],
        hidden=np.unique(np.array(ties.hidden, np.int64)),
        weights=weights,
        part=parts.argmax(1).astype(np.uint8),
        texture=read_texture(pictures[0]) if pictures else None,
    )
    if not coarse:
        return whole
    fewer, left = coarsened(whole.fit(body.standard), whole.faces, CELL)
    return replace(whole, faces=fewer, uv=whole.uv[left])


def read_texture(path: Path) -> NDArray[np.uint8]:
    """A texture as ``[512, 512, 4]`` BGRA.

    Raises:
        DataError: It is not a picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3:
        raise DataError(f"{path}: not a picture that can be read; fetch the clothes anew")
    if image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
    if image.shape[:2] != (TEXTURE_SIDE, TEXTURE_SIDE):
        image = cv2.resize(image, (TEXTURE_SIDE, TEXTURE_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Ties:
    mesh: str
    refs: IntArray
    shares: FloatArray
    offsets: FloatArray
    scales: Mapping[str, tuple[int, int, float]]
    hidden: list[int]


def _read_ties(path: Path) -> _Ties:
    """What an ``.mhclo`` file says."""
    mesh, mode = "", ""
    refs: list[list[int]] = []
    shares: list[list[float]] = []
    offsets: list[list[float]] = []
    scales: dict[str, tuple[int, int, float]] = {}
    hidden: list[int] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] in ("verts", "delete_verts"):
            mode = words[0]
        elif words[0] in ("x_scale", "y_scale", "z_scale"):
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] == "obj_file":
            mesh = " ".join(words[1:])
        elif mode == "verts" and words[0].isdigit():
            whole = len(words) >= _OFFSETS
            refs.append([int(w) for w in words[:3]] if whole else [int(words[0])] * 3)
            shares.append([float(w) for w in words[3:6]] if whole else [1.0, 0.0, 0.0])
            offsets.append([float(w) for w in words[6:9]] if whole else [0.0, 0.0, 0.0])
        elif mode == "delete_verts":
            hidden += _ranges(words)
    if not mesh or not refs:
        raise ValueError("it names no mesh or no vertices")
    return _Ties(mesh, np.array(refs), np.array(shares, np.float32), np.array(offsets, np.float32), scales, hidden)


def _ranges(words: list[str]) -> list[int]:
    """Numbers and ranges: ``3 7 - 9`` is 3, 7, 8, 9."""
    found: list[int] = []
    for place, word in enumerate(words):
        if word == "-":
            found += range(int(words[place - 1]), int(words[place + 1]) + 1)
        elif word.isdigit():
            found.append(int(word))
    return found


def _read_mesh(path: Path) -> tuple[IntArray, FloatArray, int]:
    """Triangles, texture coordinates of their corners, and the number of vertices of an ``.obj`` file."""
    places: list[list[float]] = []
    faces: list[list[int]] = []
    corners: list[list[int]] = []
    count = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            count += 1
        elif words[0] == "vt":
            places.append([float(w) for w in words[1:3]])
        elif words[0] == "f":
            pairs = [[*w.split("/"), "1"][:2] for w in words[1:]]
            vertex, place = [int(p[0]) - 1 for p in pairs], [int(p[1] or 1) - 1 for p in pairs]
            for k in range(1, len(vertex) - 1):
                faces.append([vertex[0], vertex[k], vertex[k + 1]])
                corners.append([place[0], place[k], place[k + 1]])
    uv = np.array(places or [[0.0, 0.0]], np.float32)
    return np.array(faces), uv[np.array(corners)], count
