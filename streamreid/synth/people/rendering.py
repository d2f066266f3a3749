"""A posed mesh as a picture: rays by Embree, linear light, exact part of every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import MissingExtraError
from streamreid.synth.people.meshes import Material, Mesh, Pattern, smooth_normals
from streamreid.types import FloatArray

__all__ = ["CARRIED", "Light", "Rendered", "Viewpoint", "load_embree", "render"]

_LAYERS = 4
"""Transparent surfaces (strands of hair) that a ray passes at most."""

_CLEAR = 0.5
"""A surface of less opacity lets the ray pass."""

_STEP = 1e-3
"""Metres behind a surface at which a ray goes on."""


_LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
"""Linear light of each sRGB level."""


@dataclass(frozen=True, slots=True)
class Light:
    """What the light is like where the person stands.

    Args:
        direction: ``[3]`` towards the strongest light.
        strength: Of that light, relative to the ambient light's 1.
        ambient: Linear BGR of the light from above.
        bounce: Linear BGR of the light from below.
        shadows: Whether the strongest light casts shadows.
    """

    direction: tuple[float, float, float]
    strength: float
    ambient: tuple[float, float, float]
    bounce: tuple[float, float, float]
    shadows: bool


@dataclass(frozen=True, slots=True, eq=False)
class Viewpoint:
    """Where the picture is taken from and what it shows.

    Args:
        eye: ``[3]`` metres.
        axes: ``[3, 3]`` rows: to the right, up, forwards.
        window: Left, right, bottom, top in the image plane at distance 1.
    """

    eye: FloatArray
    axes: FloatArray
    window: tuple[float, float, float, float]

    def project(self, points: FloatArray) -> FloatArray:
        """``[N, 2]`` in the image plane."""
        seen = (points - self.eye) @ self.axes.T
        return np.asarray(seen[:, :2] / seen[:, 2:], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A mesh seen by a camera.

    Args:
        colour: ``[H, W, 3]`` linear BGR; 0 where nothing is.
        alpha: ``[H, W]`` 1 where something is.
        part: ``[H, W]`` uint8 part; `CARRIED` for what is carried, 0 where nothing is.
    """

    colour: FloatArray
    alpha: FloatArray
    part: NDArray[np.uint8]


CARRIED = 255
"""Part of what is carried."""


def load_embree() -> Any:
    """The ray caster.

    Raises:
        MissingExtraError: embreex is not installed.
    """
    try:
        from embreex import mesh_construction, rtcore_scene
    except ImportError as error:
        raise MissingExtraError("embreex", "synth", "Making synthetic people") from error

    def build(vertices: FloatArray, faces: NDArray[np.int32]) -> Any:
        scene = rtcore_scene.EmbreeScene()
        mesh_construction.TriangleMesh(scene, vertices, faces)
        return scene

    return build


@dataclass(slots=True, eq=False)
class _Hits:
    """Where rays meet the mesh: rows of rays, triangles, and barycentric coordinates."""

    rows: NDArray[np.int64]
    faces: NDArray[np.int64]
    bary: FloatArray


def render(
    mesh: Mesh, vertices: FloatArray, view: Viewpoint, size: tuple[int, int], light: Light, build: Any, seed: int
) -> Rendered:
    """Draw a mesh.

    Args:
        mesh: Faces, materials, and the vertices at rest, where prints lie.
        vertices: ``[V, 3]`` posed.
        view: The camera.
        size: Height and width in pixels.
        light: The light.
        build: See `load_embree`.
        seed: Of the folds.
    """
    height, width = size
    left, right, bottom, top = view.window
    x = left + (np.arange(width, dtype=np.float32) + 0.5) / width * (right - left)
    y = top - (np.arange(height, dtype=np.float32) + 0.5) / height * (top - bottom)
    box = _box(view.project(vertices), view.window, size)
    rows, columns = np.mgrid[box[0] : box[1], box[2] : box[3]]
    pixels = (rows * width + columns).ravel()
    rays = (view.axes[2] + x[columns.ravel(), None] * view.axes[0] + y[rows.ravel(), None] * view.axes[1]).astype(
        np.float32
    )
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    colour = np.zeros((height * width, 3), np.float32)
    alpha = np.zeros(height * width, np.float32)
    part = np.zeros(height * width, np.uint8)
    if len(pixels):
        scene = build(vertices, mesh.faces)
        hits = _cast(mesh, scene, view.eye, rays)
        normals = smooth_normals(vertices, mesh.faces)
        seen = pixels[hits.rows]
        colour[seen] = _shade(mesh, vertices, normals, hits, rays[hits.rows], light, scene, seed)
        alpha[seen] = 1
        found = mesh.part[mesh.faces[hits.faces, hits.bary.argmax(1)]]
        part[seen] = np.where(found == 0, CARRIED, found)
    return Rendered(colour.reshape(height, width, 3), alpha.reshape(height, width), part.reshape(height, width))


def _box(points: FloatArray, window: tuple[float, float, float, float], size: tuple[int, int]) -> list[int]:
    """Rows and columns that the mesh can cover."""
    left, right, bottom, top = window
    columns = (points[:, 0] - left) / (right - left) * size[1]
    rows = (top - points[:, 1]) / (top - bottom) * size[0]
    return [
        int(np.clip(np.floor(rows.min()), 0, size[0])),
        int(np.clip(np.ceil(rows.max()) + 1, 0, size[0])),
        int(np.clip(np.floor(columns.min()), 0, size[1])),
        int(np.clip(np.ceil(columns.max()) + 1, 0, size[1])),
    ]


def _cast(mesh: Mesh, scene: Any, eye: FloatArray, rays: FloatArray) -> _Hits:
    """First opaque surface on each ray."""
    clear = np.array([m.alpha is not None for m in mesh.materials])
    rows = np.arange(len(rays))
    origins = np.broadcast_to(eye.astype(np.float32), rays.shape).copy()
    kept: list[_Hits] = []
    for layer in range(_LAYERS):
        found = scene.run(origins, rays[rows], output=1)
        hit = found["primID"] >= 0
        rows, faces, far = rows[hit], found["primID"][hit].astype(np.int64), found["tfar"][hit]
        u, v = found["u"][hit], found["v"][hit]
        bary = np.stack([1 - u - v, u, v], 1).astype(np.float32)
        owner = mesh.owner[faces]
        passes = np.zeros(len(rows), bool)
        for number in np.unique(owner[clear[owner]]):
            mine = owner == number
            opacity = mesh.materials[number].alpha
            assert opacity is not None
            passes[mine] = _look_up(opacity, _uv(mesh, faces[mine], bary[mine])) < _CLEAR
        if layer == _LAYERS - 1:
            passes[:] = False
        kept.append(_Hits(rows[~passes], faces[~passes], bary[~passes]))
        if not passes.any():
            break
        origins = (origins[hit] + rays[rows] * (far[:, None] + _STEP))[passes]
        rows = rows[passes]
    return _Hits(
        np.concatenate([h.rows for h in kept]),
        np.concatenate([h.faces for h in kept]),
        np.concatenate([h.bary for h in kept]),
    )


def _shade(
    mesh: Mesh,
    vertices: FloatArray,
    normals: FloatArray,
    hits: _Hits,
    rays: FloatArray,
    light: Light,
    scene: Any,
    seed: int,
) -> FloatArray:
    """Linear BGR of each hit."""
    corners = mesh.faces[hits.faces]
    rest = np.einsum("nk,nkc->nc", hits.bary, mesh.vertices[corners])
    normal = np.einsum("nk,nkc->nc", hits.bary, normals[corners])
    normal *= np.where((normal * rays).sum(1, keepdims=True) > 0, -1, 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    albedo = np.empty((len(rest), 3), np.float32)
    gloss = np.zeros(len(rest), np.float32)
    owner = mesh.owner[hits.faces]
    for number in np.unique(owner):
        mine = owner == number
        material = mesh.materials[number]
        albedo[mine] = _albedo(material, rest[mine], _uv(mesh, hits.faces[mine], hits.bary[mine]), seed + int(number))
        gloss[mine] = material.gloss
        if material.wrinkles:
            normal[mine] = _wrinkled(normal[mine], rest[mine], material.wrinkles, seed + int(number))
    direction = np.array(light.direction, np.float32)
    facing = np.clip(normal @ direction, 0, 1)
    if light.shadows:
        places = np.einsum("nk,nkc->nc", hits.bary, vertices[corners]) + 0.006 * normal
        sun = np.broadcast_to(direction, places.shape).copy()
        blocked = scene.run(places.astype(np.float32), sun, query="OCCLUDED") >= 0
        facing = np.where(blocked, 0, facing)
    up = (0.5 + 0.5 * normal[:, 2:]).astype(np.float32)
    sky = np.array(light.ambient, np.float32) * up + np.array(light.bounce, np.float32) * (1 - up)
    shine = np.clip(
        ((direction - rays) / np.linalg.norm(direction - rays, axis=1, keepdims=True) * normal).sum(1), 0, 1
    )
    strength = light.strength * facing
    shine = gloss * light.strength * shine**24 * (facing > 0)
    return np.asarray(albedo * (sky + strength[:, None]) + shine[:, None], np.float32)


def _albedo(material: Material, rest: FloatArray, uv: FloatArray, seed: int) -> FloatArray:
    colour = np.broadcast_to(np.array(material.colour, np.float32), rest.shape).copy()
    for pattern in material.patterns:
        colour[_printed(pattern, rest, seed)] = pattern.colour
    if material.texture is not None:
        found = _look_up(material.texture, uv)
        colour *= _LINEAR[found] if found.dtype == np.uint8 else found
    for *plane, distance, half in material.straps:
        near = np.abs(rest @ np.array(plane, np.float32) - distance) < half
        colour[near] = material.strap
    return colour


def _printed(pattern: Pattern, rest: FloatArray, seed: int) -> NDArray[np.bool_]:
    """Where a print lies."""
    x, y, z = rest.T
    period, share = pattern.period, pattern.share
    if pattern.kind == "hoops":
        return np.asarray((z - pattern.phase) / period % 1 < share)
    if pattern.kind == "stripes":
        return np.asarray((x + 0.6 * np.abs(y)) / period % 1 < share)
    if pattern.kind == "checks":
        return np.asarray((z / period % 1 < share) ^ (((x + 0.7 * y) / period) % 1 < share))
    if pattern.kind == "blocks":
        return np.asarray(z > pattern.phase)
    if pattern.kind == "dots":
        cells = np.stack([x + 0.7 * y, z], 1) / period % 1 - 0.5
        return np.asarray((cells**2).sum(1) < 0.25 * share)
    if pattern.kind == "logo":
        across, along = x / period, (z - pattern.phase) / period
        front = y < 0.02 if seed % 5 else y > -0.02
        wide = 0.5 + 0.5 * share
        lines = np.sin(along * 19 + np.round(across * 5 + seed)) > -0.2 if seed % 2 else across**2 + along**2 < 0.3
        return np.asarray(front & (np.abs(across) < wide) & (np.abs(along) < 0.3 + share) & lines)
    return np.asarray(_waves(rest, seed, 5 / period, 6) > 0.25 - share) if pattern.kind == "camouflage" else x > np.inf


def _waves(points: FloatArray, seed: int, frequency: float, count: int) -> FloatArray:
    """A smooth random field in [-1, 1] or so: a sum of plane waves."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(3, count)) * frequency * rng.uniform(0.4, 1.6, count)
    phases = rng.uniform(0, 2 * np.pi, count)
    return np.asarray(np.sin(points @ directions.astype(np.float32) + phases).sum(1) / np.sqrt(count), np.float32)


def _wrinkled(normal: FloatArray, rest: FloatArray, amount: float, seed: int) -> FloatArray:
    tilt = np.stack([_waves(rest, seed * 3 + axis, 40.0, 4) for axis in range(3)], 1)
    tilted = normal + np.float32(amount) * tilt
    return np.asarray(tilted / (np.linalg.norm(tilted, axis=1, keepdims=True) + 1e-9), np.float32)


def _uv(mesh: Mesh, faces: NDArray[np.int64], bary: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("nk,nkc->nc", bary, mesh.uv[faces]), np.float32)


def _look_up(texture: NDArray[Any], uv: FloatArray) -> NDArray[Any]:
    """The nearest texel of each place."""
    height, width = texture.shape[:2]
    columns = (uv[:, 0] % 1 * width).astype(np.int64).clip(0, width - 1)
    rows = ((1 - uv[:, 1]) % 1 * height).astype(np.int64).clip(0, height - 1)
    return np.asarray(texture[rows, columns])
