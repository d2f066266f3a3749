"""Clothes cut out of the body's own helper meshes: shirts, jackets, trousers, skirts, caps of any length and width."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from streamreid.synth.people.body import ARMS, FEET, HEAD, LEGS, SKIN_VERTICES, TORSO, BodyModel, Shape
from streamreid.synth.people.meshes import Material, Submesh, corners_of, offset
from streamreid.types import FloatArray, IntArray

__all__ = ["Bottom", "Tailor", "Tailored", "Top"]


@dataclass(frozen=True, slots=True)
class Top:
    """A shirt, a pullover, a jacket or a coat.

    Args:
        sleeves: How far down the arms, 0 (none) to 1 (to the wrists).
        hem: Height of the hem as a share of the way from the crotch (0) to the navel (1); below 0 it is a coat.
        thickness: Metres between body and fabric.
        collar: Height of the neckline as a share of the way from the collar bones (0) to the chin (1).
        opened: Metres that the front is open.
    """

    sleeves: float
    hem: float
    thickness: float
    collar: float = 0.15
    opened: float = 0.0


@dataclass(frozen=True, slots=True)
class Bottom:
    """Trousers, shorts or leggings.

    Args:
        length: How far down the legs, 0 (hip) to 1 (ankle).
        thickness: Metres between body and fabric at the hip.
        flare: Metres more at the ankle.
    """

    length: float
    thickness: float
    flare: float


@dataclass(frozen=True, slots=True, eq=False)
class Tailored(Submesh):
    """A submesh that was cut from a helper mesh; ``covers [V]`` says which vertices of the body it lies over."""

    covers: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))


@dataclass(frozen=True, eq=False)
class Tailor:
    """Measures taken once on the standard body, by which garments are cut for all bodies."""

    body: BodyModel

    @cached_property
    def arm(self) -> FloatArray:
        """``[V]`` how far down the arm each vertex lies, 0 at the shoulder, 1 at the wrist."""
        shape, found = self.body.standard, np.zeros(len(self.body.part), np.float32)
        for side in "LR":
            shoulder, wrist = (shape.heads[self.body.bones[f"{bone}.{side}"]] for bone in ("upperarm01", "wrist"))
            along = (shape.vertices - shoulder) @ (wrist - shoulder) / ((wrist - shoulder) ** 2).sum()
            mine = (shape.vertices[:, 0] > 0) == (side == "L")
            found[mine] = along[mine]
        return found

    @cached_property
    def leg(self) -> FloatArray:
        """``[V]`` how far down the leg each vertex lies, 0 at the hip, 1 at the ankle."""
        shape = self.body.standard
        hip, ankle = (shape.heads[self.body.bones[f"{bone}.L"]][2] for bone in ("upperleg01", "foot"))
        return np.asarray((hip - shape.vertices[:, 2]) / (hip - ankle), np.float32)

    @cached_property
    def levels(self) -> dict[str, float]:
        """Heights on the standard body in metres: crotch, navel, collar bones, chin, brow, top."""
        shape, body = self.body.standard, self.body
        skin = shape.vertices[:SKIN_VERTICES]
        top = float(skin[:, 2].max())
        neck = float(shape.heads[body.bones["neck01"]][2])
        head = float(shape.heads[body.bones["head"]][2])
        between = skin[(abs(skin[:, 0]) < 0.02) & (skin[:, 2] > 0.3) & (skin[:, 2] < 0.65 * top)]
        crotch = float(between[:, 2].min())
        return {
            "crotch": crotch,
            "navel": crotch + 0.14 * top,
            "collar": neck - 0.02,
            "chin": head,
            "brow": top - 0.38 * (top - head),
            "top": top,
        }

    def top(self, shape: Shape, cut: Top, material: Material) -> list[Submesh]:
        """A garment of the upper body; a coat has a second submesh that hangs over the legs."""
        height, part = self.body.standard.vertices[:, 2], self.body.part
        level = self.levels
        low = level["crotch"] + cut.hem * (level["navel"] - level["crotch"])
        high = level["collar"] + cut.collar * (level["chin"] - level["collar"])
        inside = np.isin(part, (TORSO, LEGS, HEAD)) & (height > max(low, level["crotch"] - 0.03)) & (height < high)
        inside |= (part == ARMS) & (self.arm < cut.sleeves)
        if cut.sleeves <= 0:
            inside &= part != ARMS
        if cut.opened:
            front = self.body.standard.vertices[:, 1] < 0
            inside &= ~(front & (abs(self.body.standard.vertices[:, 0]) < cut.opened) & (part != ARMS))
        submeshes = [self._submesh(shape, self.body.tights, inside, cut.thickness, material)]
        if cut.hem < 0:
            submeshes.append(self.skirt(shape, -cut.hem, cut.thickness, material, opened=cut.opened))
        return submeshes

    def bottom(self, shape: Shape, cut: Bottom, material: Material) -> Submesh:
        """Trousers."""
        part, level = self.body.part, self.levels
        height = self.body.standard.vertices[:, 2]
        waist = level["crotch"] + 0.75 * (level["navel"] - level["crotch"])
        inside = np.isin(part, (LEGS, FEET)) & (self.leg < cut.length)
        inside |= (part == TORSO) & (height < waist)
        width = cut.thickness + cut.flare * np.clip(self.leg, 0, 1)
        return self._submesh(shape, self.body.tights, inside, width.astype(np.float32), material)

    def skirt(
        self,
        shape: Shape,
        length: float,
        thickness: float,
        material: Material,
        *,
        flare: float = 0.0,
        opened: float = 0,
    ) -> Submesh:
        """What hangs from the waist over both legs, down to ``length`` of the way from the crotch to the ankles."""
        level, height = self.levels, self.body.standard.vertices[:, 2]
        waist = level["crotch"] + 0.9 * (level["navel"] - level["crotch"])
        inside = (height < waist) & (height > level["crotch"] * (1 - 0.9 * length))
        if opened:
            at = self.body.standard.vertices
            inside &= ~((at[:, 1] < 0) & (abs(at[:, 0]) < opened))
        width = thickness + flare * np.clip((waist - height) / waist, 0, 1)
        return self._submesh(shape, self.body.skirt, inside, width.astype(np.float32), material, part=LEGS)

    def cap(self, shape: Shape, material: Material, *, down_to: float, thickness: float, face: bool = False) -> Submesh:
        """What lies over the head, down to a share of the way from the brow (0) to the chin (1); ``face`` leaves the
        face free."""
        level, at = self.levels, self.body.standard.vertices
        low = level["brow"] - down_to * (level["brow"] - level["chin"])
        inside = at[:, 2] > low
        if face:
            middle = at[self.body.scalp.ravel(), 1].mean()
            inside &= (at[:, 1] > middle - 0.02) | (at[:, 2] > level["brow"])
        return self._submesh(shape, self.body.scalp, inside, thickness, material, part=HEAD, bone="head")

    @cached_property
    def _neighbours(self) -> csr_matrix:
        """``[V, V]`` ones where two vertices of the skin are corners of one triangle."""
        corners = corners_of(self.body.faces, len(self.body.part))
        return (corners @ corners.T).tocsr()

    def well_inside(self, covers: NDArray[np.bool_], steps: int = 2) -> NDArray[np.bool_]:
        """Vertices of the skin that are so many edges away from what a garment leaves free."""
        free = (~covers[: len(self.body.part)]).astype(np.float32)
        for _ in range(steps):
            free = ((self._neighbours @ free) > 0).astype(np.float32)
        return np.asarray((free == 0) & (np.arange(len(free)) < SKIN_VERTICES))

    def _submesh(
        self,
        shape: Shape,
        mesh: IntArray,
        inside: NDArray[np.bool_],
        thickness: FloatArray | float,
        material: Material,
        *,
        part: int | None = None,
        bone: str | None = None,
    ) -> Submesh:
        faces = mesh[inside[mesh].all(1)]
        used, corners = np.unique(faces, return_inverse=True)
        faces = corners.reshape(-1, 3)
        amount = thickness[used] if isinstance(thickness, np.ndarray) else thickness
        weights = self.body.weights[used]
        if bone is not None:
            weights = _rigid(weights, self.body.bones[bone])
        return Tailored(
            vertices=offset(shape.vertices[used], faces, amount),
            faces=faces,
            weights=weights,
            part=self.body.part[used] if part is None else np.full(len(used), part, np.uint8),
            material=material,
            covers=np.zeros(len(inside), bool) if mesh is self.body.skirt else inside,
        )


def _rigid(weights: csr_matrix, bone: int) -> csr_matrix:
    """Weights of the same size with everything on one bone."""
    rows, columns = weights.shape
    return csr_matrix((np.ones(rows, np.float32), (np.arange(rows), np.full(rows, bone))), shape=(rows, columns))
