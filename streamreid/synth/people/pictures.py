"""One picture of one person by one camera: pose, light, box, whoever is in front or behind, exact parts and
visibilities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.datasets.labels import LABEL_SIZE
from streamreid.synth.people.body import BodyModel
from streamreid.synth.people.cameras import Camera
from streamreid.synth.people.config import PeopleConfig
from streamreid.synth.people.luggage import Held
from streamreid.synth.people.meshes import Mesh
from streamreid.synth.people.obstacles import draw_obstacle
from streamreid.synth.people.poses import ArmPose, bone_transforms, draw_pose, hand_places, skin
from streamreid.synth.people.rendering import CARRIED, Light, Rendered, Viewpoint, render
from streamreid.synth.people.wardrobe import Dressed, Wardrobe
from streamreid.types import FloatArray

__all__ = ["PARTS", "Picture", "Studio"]

PARTS = 5
"""Head, torso, arms, legs, feet."""

_LARGEST = 288
"""Rows of a rendered picture at most, before the camera reduces it."""

_OVERSAMPLING = 1.4
"""Rendered rows per row of the picture."""

_BYSTANDERS = 48
"""People who come between; each is dressed when first needed."""

_FREE: tuple[ArmPose, ...] = ("hang", "pocket", "phone_at_ear", "phone_in_hand", "behind", "crossed")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture with its truth.

    Args:
        jpeg: The file's bytes.
        label: ``[64, 32]`` uint8 class map: 0 background and whatever is in front, then the five parts.
        visibility: ``[5]`` share of each part's outline that is seen, in [0, 1].
        whole: The same of the whole person.
        hidden_by: What is in front: "", "person" or "thing".
        yaw: Direction in radians: 0 faces the camera, more turns to the person's left.
    """

    jpeg: bytes
    label: NDArray[np.uint8]
    visibility: tuple[float, ...]
    whole: float
    hidden_by: str
    yaw: float


class Studio:
    """Takes pictures of dressed people.

    Args:
        wardrobe: Whoever comes between is dressed from it.
        config: How often somebody is hidden or cut off.
        build: The ray caster; see `load_embree`.
    """

    def __init__(self, wardrobe: Wardrobe, config: PeopleConfig, build: Any) -> None:
        self._wardrobe, self._config, self._build = wardrobe, config, build
        self._body: BodyModel = wardrobe.body
        self._bystander = lru_cache(maxsize=_BYSTANDERS)(self._dress_bystander)

    def take(self, person: Dressed, camera: Camera, seed: tuple[int, ...]) -> Picture:
        """A picture; the same arguments give the same."""
        rng = np.random.default_rng(seed)
        light = camera.light(rng)
        yaw = float(rng.uniform(-np.pi, np.pi))
        mesh, vertices = self._posed(person, yaw, rng)
        view, box, tall = self._frame(camera, vertices[mesh.part > 0], rng)
        rows = int(np.clip(camera.pixels * np.exp(rng.normal(0, 0.22)), 48, 384))
        size = rows, max(16, round(rows * (box[1] - box[0]) / (box[3] - box[2])))
        scale = min(_OVERSAMPLING * size[0], _LARGEST) / (box[3] - box[2])
        view, whole, crop = _around(view, vertices, box, scale)
        drawn = render(mesh, vertices, view, whole, light, self._build, int(rng.integers(1 << 30)))
        picture, seen, hidden_by = self._compose(camera, drawn, crop, box, tall, light, rng)
        visibility, share = _visibilities(drawn.part, seen)
        return Picture(camera.develop(picture, size, rng), _label(seen), visibility, share, hidden_by, yaw)

    def _posed(self, person: Dressed, yaw: float, rng: np.random.Generator) -> tuple[Mesh, FloatArray]:
        walking = bool(rng.random() < 0.72)
        arms = tuple(fixed or _free_arm(walking, rng) for fixed in person.arms)
        if "crossed" in arms or "behind" in arms:
            kind: ArmPose = "crossed" if "crossed" in arms else "behind"
            arms = (kind, kind) if person.arms == (None, None) else ("hang", "hang")
        pose = draw_pose(self._body, person.shape, (arms[0], arms[1]), walking=walking, rng=rng)
        transforms = bone_transforms(self._body, person.shape, pose)
        vertices = skin(person.mesh.vertices, person.mesh.weights, transforms)
        mesh = person.mesh
        if person.held:
            mesh, vertices = _with_held(mesh, vertices, person.held, hand_places(self._body, transforms, person.shape))
        vertices[:, 2] -= vertices[mesh.part > 0, 2].min()
        c, s = np.cos(yaw), np.sin(yaw)
        turned = vertices @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
        return mesh, np.ascontiguousarray(turned, np.float32)

    def _frame(
        self, camera: Camera, vertices: FloatArray, rng: np.random.Generator
    ) -> tuple[Viewpoint, tuple[float, float, float, float], float]:
        """Where the camera is, the box as a detector might draw it (left, right, bottom, top in the image plane), and
        the camera's height in heights of the person."""
        distance = float(rng.uniform(*camera.distance))
        aside = float(rng.normal(0, 0.25)) * distance
        eye = np.array([aside, -distance, camera.height], np.float32)
        high = float(vertices[:, 2].max())
        forwards = np.array([0, 0, 0.5 * high], np.float32) - eye
        forwards /= np.linalg.norm(forwards)
        right = np.cross(forwards, (0, 0, 1))
        right /= np.linalg.norm(right)
        roll = rng.normal(0, 0.03)
        up = np.cross(right, forwards)
        axes = np.stack([np.cos(roll) * right + np.sin(roll) * up, np.cos(roll) * up - np.sin(roll) * right, forwards])
        view = Viewpoint(eye, axes.astype(np.float32), (0, 0, 0, 0))
        points = view.project(vertices)
        (left, bottom), (end, top) = points.min(0).tolist(), points.max(0).tolist()
        width, height = end - left, top - bottom
        off = rng.normal(camera.margin, camera.sloppiness, 4)
        left, end = left - width * 1.5 * off[0], end + width * 1.5 * off[1]
        bottom, top = bottom - height * off[2], top + height * off[3]
        if rng.random() < self._config.cut:
            kind = rng.choice(["legs", "head", "side"], p=[0.6, 0.15, 0.25])
            share = rng.uniform(0.08, 0.5) if kind == "legs" else rng.uniform(0.04, 0.14)
            bottom += share * height if kind == "legs" else 0
            top -= share * height if kind == "head" else 0
            left += 2 * share * width if kind == "side" else 0
        narrow = float(rng.uniform(0.3, 0.44)) * (top - bottom) - (end - left)
        if narrow > 0:
            left, end = left - narrow / 2, end + narrow / 2
        return view, (left, end, bottom, top), camera.height / high

    def _compose(
        self,
        camera: Camera,
        drawn: Rendered,
        crop: tuple[slice, slice],
        box: tuple[float, float, float, float],
        tall: float,
        light: Light,
        rng: np.random.Generator,
    ) -> tuple[FloatArray, NDArray[np.uint8], str]:
        """Scenery, somebody behind, the person, and somebody or something in front; what is seen of the person."""
        colour, alpha, part = drawn.colour[crop], drawn.alpha[crop], drawn.part[crop].copy()
        rows, columns = alpha.shape
        high = rows / max(1, np.ptp(np.flatnonzero(drawn.alpha.any(1))) + 1)
        wide = high * columns / rows
        window = (-wide / 2, wide / 2, -0.05 * high, 0.95 * high)
        scenery = camera.backdrop.behind(tall, window, rng)
        picture = np.asarray(cv2.resize(scenery, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)
        person_rows = rows / high
        if rng.random() < self._config.behind:
            size = person_rows * rng.uniform(0.55, 1.0)
            foot = rows * 0.95 - (person_rows - size) * rng.uniform(0.2, 0.9)
            self._paste(picture, None, camera, light, size, (rng.uniform(-0.1, 1.1) * columns, foot), rng)
        _shadow(picture, alpha, light)
        soft = alpha[..., None]
        picture = picture * (1 - soft) + colour * soft
        hidden_by = ""
        if rng.random() < self._config.occluded:
            seen = part
            if rng.random() < 0.55:
                size = person_rows * rng.uniform(1.0, 1.35)
                side = rng.choice([-1, 1]) * rng.uniform(0.12, 0.5)
                foot = rows * (0.95 + rng.uniform(0, 0.3))
                self._paste(picture, seen, camera, light, size, ((0.5 + side) * columns, foot), rng)
                hidden_by = "person"
            else:
                draw_obstacle(picture, seen, rng)
                hidden_by = "thing"
        return picture, np.where(part == CARRIED, 0, part).astype(np.uint8), hidden_by

    def _paste(
        self,
        picture: FloatArray,
        part: NDArray[np.uint8] | None,
        camera: Camera,
        light: Light,
        size: float,
        foot: tuple[float, float],
        rng: np.random.Generator,
    ) -> None:
        """Put a bystander of so many rows with the middle of their feet at a column and row."""
        other = self._bystander(int(rng.integers(_BYSTANDERS)))
        mesh, vertices = self._posed(other, float(rng.uniform(-np.pi, np.pi)), rng)
        view = _level_view(float(np.mean(camera.distance)), camera.height)
        points = view.project(vertices)
        low, high = points.min(0), points.max(0)
        pixel = float(high[1] - low[1]) / size
        left = foot[0] - (high[0] - low[0]) / pixel / 2
        rows, columns = picture.shape[:2]
        window = (
            float(low[0] - left * pixel),
            float(low[0] + (columns - left) * pixel),
            float(low[1] - (rows - foot[1]) * pixel),
            float(low[1] + foot[1] * pixel),
        )
        view = replace(view, window=window)
        drawn = render(mesh, vertices, view, (rows, columns), light, self._build, int(rng.integers(1 << 30)))
        soft = drawn.alpha[..., None]
        picture[:] = picture * (1 - soft) + drawn.colour * soft
        if part is not None:
            part[drawn.alpha > 0.5] = 0

    def cutout(self, person: Dressed, rows: int, seed: tuple[int, ...]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A person without surroundings, in plain daylight, cropped to the silhouette.

        Args:
            person: Whom.
            rows: Height in pixels.
            seed: Of pose, direction and light.

        Returns:
            Colour ``[H, W, 3]`` uint8 BGR and alpha ``[H, W]`` uint8.
        """
        rng = np.random.default_rng(seed)
        mesh, vertices = self._posed(person, float(rng.uniform(-np.pi, np.pi)), rng)
        sun = np.array([rng.normal(), rng.normal() - 0.5, rng.uniform(0.6, 2.0)])
        x, y, z = (sun / np.linalg.norm(sun)).tolist()
        light = Light((x, y, z), float(rng.uniform(0.2, 0.9)), (0.6, 0.6, 0.6), (0.25, 0.25, 0.25), shadows=True)
        view = _level_view(9.0, 2.8)
        points = view.project(vertices)
        low, high = points.min(0), points.max(0)
        scale = rows / float(high[1] - low[1])
        window = float(low[0]), float(high[0]), float(low[1]), float(high[1])
        size = rows, max(8, round(scale * (window[1] - window[0])))
        drawn = render(
            mesh, vertices, replace(view, window=window), size, light, self._build, int(rng.integers(1 << 30))
        )
        colour = np.clip(drawn.colour, 0, 1) ** np.float32(1 / 2.2) * 255
        alpha = cv2.GaussianBlur(drawn.alpha * np.float32(255), (0, 0), 0.7)
        return np.asarray(colour, np.uint8), np.asarray(alpha, np.uint8)

    def _dress_bystander(self, number: int) -> Dressed:
        return self._wardrobe.dress((self._config.seed, 2, number))


def _level_view(distance: float, height: float) -> Viewpoint:
    """A camera so many metres before and above somebody's feet, without a window yet."""
    eye = np.array([0, -distance, height], np.float32)
    forwards = np.array([0, 0, 0.9], np.float32) - eye
    forwards /= np.linalg.norm(forwards)
    right = np.array([1, 0, 0], np.float32)
    return Viewpoint(eye, np.stack([right, np.cross(right, forwards), forwards]).astype(np.float32), (0, 0, 0, 0))


def _free_arm(walking: bool, rng: np.random.Generator) -> ArmPose:
    if rng.random() < (0.72 if walking else 0.35):
        return "swing" if walking else "hang"
    shares = [0.2, 0.3, 0.12, 0.22, 0.06, 0.1]
    return _FREE[rng.choice(len(_FREE), p=shares)]


def _with_held(
    mesh: Mesh, vertices: FloatArray, held: tuple[Held, ...], hands: dict[str, FloatArray]
) -> tuple[Mesh, FloatArray]:
    """The mesh with what hangs from the hands."""
    places, rests, faces, owners = [vertices], [mesh.vertices], [mesh.faces], [mesh.owner]
    materials = list(mesh.materials)
    count = len(vertices)
    for thing in held:
        hand = hands[thing.side].copy()
        if thing.grounded:
            hand[2] = vertices[:, 2].min()
        places.append(thing.vertices + hand)
        rests.append(thing.vertices)
        faces.append((thing.faces + count).astype(np.int32))
        owners.append(np.full(len(thing.faces), len(materials), np.int16))
        materials.append(thing.material)
        count += len(thing.vertices)
    added = sum(len(f) for f in faces) - len(mesh.faces)
    part = np.concatenate([mesh.part, np.zeros(count - len(vertices), np.uint8)])
    joined = Mesh(
        vertices=np.concatenate(rests).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        weights=mesh.weights,
        part=part,
        uv=np.concatenate([mesh.uv, np.zeros((added, 3, 2), np.float32)]),
        owner=np.concatenate(owners),
        materials=tuple(materials),
    )
    return joined, np.concatenate(places).astype(np.float32)


def _around(
    view: Viewpoint, vertices: FloatArray, box: tuple[float, float, float, float], scale: float
) -> tuple[Viewpoint, tuple[int, int], tuple[slice, slice]]:
    """Widen the view to the whole person and what the box shows: the view, its size in pixels, and the box in it."""
    points = view.project(vertices)
    low, high = points.min(0), points.max(0)
    rows, columns = round((box[3] - box[2]) * scale), max(8, round((box[1] - box[0]) * scale))
    before = max(0, int(np.ceil((box[0] - low[0]) * scale))), max(0, int(np.ceil((high[1] - box[3]) * scale)))
    after = max(0, int(np.ceil((high[0] - box[1]) * scale))), max(0, int(np.ceil((box[2] - low[1]) * scale)))
    window = (
        box[0] - before[0] / scale,
        box[0] + (columns + after[0]) / scale,
        box[3] - (rows + after[1]) / scale,
        box[3] + before[1] / scale,
    )
    size = before[1] + rows + after[1], before[0] + columns + after[0]
    crop = slice(before[1], before[1] + rows), slice(before[0], before[0] + columns)
    return replace(view, window=window), size, crop


def _shadow(picture: FloatArray, alpha: FloatArray, light: Light) -> None:
    """Where feet keep light from the floor."""
    rows = np.flatnonzero(alpha.any(1))
    if not len(rows):
        return
    foot, tall = int(rows[-1]), len(rows)
    columns = np.flatnonzero(alpha[max(0, foot - tall // 12) :].any(0))
    if not len(columns):
        return
    mask = np.zeros(alpha.shape, np.float32)
    middle = int(columns.mean()), foot - max(1, tall // 60)
    axes = max(2, int(0.6 * len(columns)) + tall // 20), max(1, tall // 40)
    cv2.ellipse(mask, middle, axes, 0, 0, 360, 1.0, -1)
    if light.shadows:
        x, y, z = light.direction
        tip = np.array([middle[0] - x / max(z, 0.3) * tall, middle[1] - 0.35 * y / max(z, 0.3) * tall])
        thick = max(2, tall // 9)
        cv2.line(mask, middle, (int(tip[0]), int(tip[1])), 0.8, thick)
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.8, tall / 80))
    picture *= 1 - 0.55 * mask[..., None]


def _label(seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The class map: for every cell whatever covers most of it."""
    shares = np.stack([(seen == c).astype(np.float32) for c in range(1 + PARTS)], -1)
    small = np.concatenate(
        [
            cv2.resize(shares[..., :3], LABEL_SIZE[::-1], interpolation=cv2.INTER_AREA),
            cv2.resize(shares[..., 3:], LABEL_SIZE[::-1], interpolation=cv2.INTER_AREA),
        ],
        -1,
    )
    return np.asarray(small.argmax(-1), np.uint8)


def _visibilities(whole: NDArray[np.uint8], seen: NDArray[np.uint8]) -> tuple[tuple[float, ...], float]:
    """Share of each part's own outline, and of the person's, that is seen in the box."""
    all_of = np.bincount(whole.ravel(), minlength=256)[1 : 1 + PARTS].astype(float)
    seen_of = np.bincount(seen.ravel(), minlength=1 + PARTS)[1 : 1 + PARTS].astype(float)
    shares = np.divide(seen_of, all_of, out=np.zeros(PARTS), where=all_of > 0)
    return tuple(round(float(s), 4) for s in shares), round(float(seen_of.sum() / max(1.0, all_of.sum())), 4)
