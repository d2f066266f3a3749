"""People that never lived: body, clothes, hair and luggage, all drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from streamreid.errors import DataError
from streamreid.synth.people.assets import CELL, Clothing, read_clothing, read_texture
from streamreid.synth.people.body import ARMS, HEAD, LEGS, TORSO, BodyModel, Shape
from streamreid.synth.people.fabrics import (
    draw_colour,
    fabric,
    hair_material,
    linear,
    plain_detail,
    shoe_colour,
    skin_material,
)
from streamreid.synth.people.luggage import (
    Held,
    backpack,
    case,
    handbag,
    parcel,
    peak,
    shoulder_bag,
    umbrella,
)
from streamreid.synth.people.meshes import Material, Mesh, Submesh, coarsened, join
from streamreid.synth.people.poses import ArmPose
from streamreid.synth.people.tailoring import Bottom, Tailor, Tailored, Top
from streamreid.types import IntArray

__all__ = ["Dressed", "Wardrobe", "check_clothes"]

_WANTED = ("*suit*/*.mhclo", "shoes*/*.mhclo", "hair_*/*.mhclo", "skins/*_male.*.png", "skins/*_female.*.png")
"""In the folder of the clothes."""


@dataclass(frozen=True, slots=True, eq=False)
class Dressed:
    """One person, ready to be posed.

    Args:
        shape: The body.
        mesh: Skin and all that is worn.
        held: What hangs from the hands.
        arms: What the left and the right arm have to do; None is free.
        clothes: What is worn, in words.
    """

    shape: Shape
    mesh: Mesh
    held: tuple[Held, ...]
    arms: tuple[ArmPose | None, ArmPose | None]
    clothes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Half:
    """The upper or the lower garment of a suit."""

    clothing: Clothing
    faces: NDArray[np.bool_]
    hidden: IntArray


def check_clothes(folder: Path) -> None:
    """See that a folder holds MakeHuman's clothes, shoes, hair and skins, without reading them.

    Raises:
        DataError: Something is missing there.
    """
    for what in _WANTED:
        if not any(folder.glob(what)):
            raise _missing(folder, what)


def _missing(folder: Path, what: str) -> DataError:
    return DataError(f"{folder}: holds no {what}; give the folder of MakeHuman's clothes, or fetch it anew")


class Wardrobe:
    """All that people can wear.

    Args:
        body: The body model.
        folder: Of MakeHuman's clothes, shoes, hair and skins: a folder per item with its ``.mhclo``, and ``skins``.

    Raises:
        DataError: Something is missing there.
    """

    def __init__(self, body: BodyModel, folder: Path) -> None:
        check_clothes(folder)
        self.body = body
        self._tailor = Tailor(body)
        self._skin_faces, left = coarsened(body.standard.vertices, body.faces, CELL)
        self._skin_uv = body.uv[left]
        self._tops: dict[str, list[_Half]] = {"m": [], "f": []}
        self._bottoms: dict[str, list[_Half]] = {"m": [], "f": []}
        for path in sorted(folder.glob("*suit*/*.mhclo")):
            clothing = read_clothing(path, body)
            kind = "f" if path.parent.name.startswith("female") else "m"
            for halves, parts in ((self._tops, (TORSO, ARMS)), (self._bottoms, (LEGS,))):
                if (half := _half(clothing, body, parts)) is not None:
                    halves[kind].append(half)
        self._shoes = [read_clothing(p, body) for p in sorted(folder.glob("shoes*/*.mhclo"))]
        hair = [read_clothing(p, body, coarse=False) for p in sorted(folder.glob("hair_*/*.mhclo"))]
        self._hair = [h for h in hair if h.texture is not None]
        hats = [read_clothing(p, body) for p in sorted(folder.glob("fedora*/fedora.mhclo"))]
        self._hats = hats
        self._skins = {
            kind: [read_texture(p) for p in sorted(folder.glob(f"skins/*_{kind}.*.png"))] for kind in ("male", "female")
        }
        for what, found in (
            ("*suit*/*.mhclo", self._tops["m"] and self._tops["f"] and self._bottoms["m"] and self._bottoms["f"]),
            ("hair_*/*.mhclo", self._hair),
        ):
            if not found:
                raise _missing(folder, what)

    def dress(self, seed: tuple[int, ...]) -> Dressed:
        """Somebody; the same seed gives the same person."""
        return _Dressing(self, np.random.default_rng(seed)).person()


@dataclass(slots=True)
class _Outfit:
    submeshes: list[Submesh]
    hidden: list[IntArray]
    clothes: list[str]


class _Dressing:
    """One person being dressed, from the skin outwards."""

    def __init__(self, wardrobe: Wardrobe, rng: np.random.Generator) -> None:
        self._w, self._rng = wardrobe, rng
        self._female = rng.random() < 0.47
        self._age = float(np.clip(0.3 + 0.7 * rng.beta(1.6, 2.2), 0.3, 1.0))
        african, asian, caucasian = rng.dirichlet((0.6, 0.6, 0.8)).tolist()
        self._shape = wardrobe.body.shape(self._phenotype(), (african, asian, caucasian))
        self._outfit = _Outfit([], [], [])

    def _phenotype(self) -> dict[str, float]:
        rng = self._rng
        return {
            "gender": float(rng.uniform(0.85, 1) if self._female else rng.uniform(0, 0.15)),
            "age": self._age,
            "muscle": float(rng.uniform(0.25, 0.75)),
            "weight": float(np.clip(rng.normal(0.52, 0.17), 0.15, 0.98)),
            "height": float(np.clip(rng.normal(0.53, 0.09), 0.3, 0.72)),
            "proportions": float(rng.uniform(0.3, 0.8)),
        }

    def person(self) -> Dressed:
        rng = self._rng
        dress = self._female and rng.random() < 0.16
        self._shoes()
        if dress:
            self._dress()
        else:
            self._bottom()
            self._top()
        if rng.random() < 0.42:
            self._jacket()
        self._head()
        held, arms = self._luggage()
        self._skin()
        mesh = join(self._outfit.submeshes)
        return Dressed(self._shape, mesh, held, arms, tuple(self._outfit.clothes))

    def _skin(self) -> None:
        body, rng = self._w.body, self._rng
        hidden = np.zeros(len(body.part), bool)
        for vertices in self._outfit.hidden:
            hidden[vertices[vertices < len(hidden)]] = True
        for submesh in self._outfit.submeshes:
            if isinstance(submesh, Tailored):
                hidden |= self._w._tailor.well_inside(submesh.covers)
        faces = self._w._skin_faces
        shown = ~hidden[faces].all(1)
        skins = self._w._skins["female" if self._female else "male"]
        material = skin_material(rng, skins[rng.integers(len(skins))])
        self._outfit.submeshes.append(
            Submesh(self._shape.vertices, faces[shown], body.weights, body.part, material, self._w._skin_uv[shown])
        )

    def _wear(self, half: _Half, material: Material, name: str) -> None:
        clothing = half.clothing
        self._outfit.submeshes.append(
            Submesh(
                clothing.fit(self._shape),
                clothing.faces[half.faces],
                clothing.weights,
                clothing.part,
                material,
                clothing.uv[half.faces],
            )
        )
        self._outfit.hidden.append(half.hidden)
        self._outfit.clothes.append(name)

    def _shoes(self) -> None:
        rng = self._rng
        shoe = self._w._shoes[rng.integers(len(self._w._shoes))]
        whole = _Half(shoe, np.ones(len(shoe.faces), bool), shoe.hidden)
        detail = None if shoe.texture is None else plain_detail(shoe.texture)
        colour = shoe_colour(rng)
        self._wear(whole, Material(colour, texture=detail, gloss=0.1), "shoes")

    def _fabric_of(self, clothing: Clothing, *, legs: bool, heights: tuple[float, float]) -> Material:
        rng = self._rng
        detail = None if clothing.texture is None else plain_detail(clothing.texture)
        colour = draw_colour(rng, legs=legs)
        return fabric(rng, colour, texture=detail, printed=0.06 if legs else 0.4, heights=heights)

    def _heights(self, low: str, high: str) -> tuple[float, float]:
        levels = self._w._tailor.levels
        return levels[low], levels[high]

    def _bottom(self) -> None:
        rng, tailor, kind = self._rng, self._w._tailor, "f" if self._female else "m"
        choice = rng.random()
        if choice < 0.4:
            half = self._w._bottoms[kind][rng.integers(len(self._w._bottoms[kind]))]
            heights = (0.05, self._heights("crotch", "navel")[1])
            self._wear(half, self._fabric_of(half.clothing, legs=True, heights=heights), "trousers")
            return
        colour = draw_colour(rng, legs=True)
        material = fabric(rng, colour, printed=0.08, heights=(0.1, self._heights("crotch", "navel")[1]))
        if choice < 0.82 or (not self._female and choice < 0.86):
            cut = Bottom(rng.uniform(0.92, 1.02), rng.uniform(0.006, 0.018), rng.uniform(-0.002, 0.03))
            name = "trousers"
        elif choice < 0.92 or not self._female:
            cut = Bottom(rng.uniform(0.3, 0.62), rng.uniform(0.01, 0.025), rng.uniform(0.0, 0.02))
            name = "shorts"
        else:
            flare = rng.uniform(-0.01, 0.12)
            skirt = tailor.skirt(self._shape, rng.uniform(0.3, 0.9), 0.012, material, flare=flare)
            self._outfit.submeshes.append(skirt)
            self._outfit.clothes.append("skirt")
            if rng.random() < 0.5:
                tights = Material(draw_colour(rng, legs=True))
                self._outfit.submeshes.append(tailor.bottom(self._shape, Bottom(1.0, 0.003, 0.0), tights))
                self._outfit.clothes.append("tights")
            return
        self._outfit.submeshes.append(tailor.bottom(self._shape, cut, material))
        self._outfit.clothes.append(name)

    def _top(self) -> None:
        rng, tailor, kind = self._rng, self._w._tailor, "f" if self._female else "m"
        heights = self._heights("crotch", "collar")
        if rng.random() < 0.45:
            half = self._w._tops[kind][rng.integers(len(self._w._tops[kind]))]
            self._wear(half, self._fabric_of(half.clothing, legs=False, heights=heights), "shirt")
            return
        sleeves = float(rng.choice([0.0, rng.uniform(0.28, 0.48), rng.uniform(0.9, 1.02)], p=[0.08, 0.42, 0.5]))
        cut = Top(sleeves, rng.uniform(0.05, 0.5), rng.uniform(0.012, 0.026), rng.uniform(-0.1, 0.3))
        material = fabric(rng, draw_colour(rng), printed=0.45, heights=heights)
        self._outfit.submeshes += tailor.top(self._shape, cut, material)
        self._outfit.clothes.append("shirt" if sleeves > 0.6 else "t-shirt")

    def _dress(self) -> None:
        rng, tailor = self._rng, self._w._tailor
        material = fabric(rng, draw_colour(rng), printed=0.45, heights=self._heights("crotch", "collar"))
        sleeves = float(rng.choice([0.0, 0.35, 1.0], p=[0.4, 0.35, 0.25]))
        self._outfit.submeshes += tailor.top(self._shape, Top(sleeves, 0.1, 0.012, rng.uniform(-0.2, 0.2)), material)
        flare = rng.uniform(0.0, 0.14)
        self._outfit.submeshes.append(
            tailor.skirt(self._shape, rng.uniform(0.35, 1.0), 0.016, replace(material, straps=()), flare=flare)
        )
        self._outfit.clothes.append("dress")
        if rng.random() < 0.35:
            tights = Material(draw_colour(rng, legs=True))
            self._outfit.submeshes.append(tailor.bottom(self._shape, Bottom(1.0, 0.003, 0.0), tights))
            self._outfit.clothes.append("tights")

    def _jacket(self) -> None:
        rng, tailor = self._rng, self._w._tailor
        material = fabric(rng, draw_colour(rng), printed=0.15, heights=self._heights("crotch", "collar"))
        kind = rng.choice(["jacket", "coat", "waistcoat"], p=[0.66, 0.24, 0.1])
        thickness = rng.uniform(0.03, 0.05) if rng.random() < 0.3 else rng.uniform(0.026, 0.034)
        opened = rng.uniform(0.02, 0.09) if rng.random() < 0.45 else 0.0
        cut = {
            "jacket": Top(1.03, rng.uniform(-0.0, 0.45), thickness, rng.uniform(0.2, 0.7), opened),
            "coat": Top(1.03, -rng.uniform(0.3, 0.7), thickness, rng.uniform(0.2, 0.7), opened),
            "waistcoat": Top(0.0, rng.uniform(0.1, 0.4), thickness, rng.uniform(0.1, 0.5), opened),
        }[str(kind)]
        self._outfit.submeshes += tailor.top(self._shape, cut, material)
        self._outfit.clothes.append(str(kind))

    def _head(self) -> None:
        rng, tailor = self._rng, self._w._tailor
        choice = rng.random()
        covered = choice < 0.2
        if choice < 0.17:
            self._cap(choice)
        elif choice < 0.2 and self._w._hats:
            hat = self._w._hats[0]
            whole = _Half(hat, np.ones(len(hat.faces), bool), hat.hidden)
            self._wear(whole, Material(draw_colour(rng), wrinkles=0.1), "hat")
        if not covered or rng.random() < 0.5:
            bald = not self._female and rng.random() < 0.08 + 0.25 * max(0.0, self._age - 0.7)
            short = not self._female and rng.random() < 0.45
            hair = self._hair(short=short or covered)
            if short and rng.random() < 0.5 and not bald:
                dark = hair_material(rng, self._w._hair[0].texture, self._age)  # type: ignore[arg-type]
                cropped = replace(dark, texture=None, alpha=None, wrinkles=0.5)
                cap = tailor.cap(self._shape, cropped, down_to=0.25, thickness=0.003, face=True)
                self._outfit.submeshes.append(cap)
            elif not bald:
                assert hair.texture is not None
                whole = _Half(hair, np.ones(len(hair.faces), bool), hair.hidden)
                self._wear(whole, hair_material(rng, hair.texture, self._age), "hair")
                worn = self._outfit.submeshes
                worn[-1] = replace(worn[-1], part=np.full(len(hair.part), HEAD, np.uint8))

    def _hair(self, *, short: bool) -> Clothing:
        rng = self._rng
        fitting = [h for h in self._w._hair if h.name.startswith("short") == (short or not self._female)]
        if not self._female and rng.random() < 0.1:
            fitting = self._w._hair
        return fitting[rng.integers(len(fitting))]

    def _cap(self, choice: float) -> None:
        rng, tailor = self._rng, self._w._tailor
        material = fabric(rng, draw_colour(rng), printed=0.0)
        if choice < 0.07:
            self._outfit.submeshes.append(tailor.cap(self._shape, material, down_to=0.02, thickness=0.01))
            self._outfit.submeshes.append(peak(self._w.body, self._shape, material))
            self._outfit.clothes.append("cap")
        elif choice < 0.12:
            self._outfit.submeshes.append(tailor.cap(self._shape, material, down_to=0.1, thickness=0.014))
            self._outfit.clothes.append("beanie")
        else:
            self._outfit.submeshes.append(tailor.cap(self._shape, material, down_to=1.4, thickness=0.022, face=True))
            self._outfit.clothes.append("hood")

    def _luggage(self) -> tuple[tuple[Held, ...], tuple[ArmPose | None, ArmPose | None]]:
        rng, body = self._rng, self._w.body
        choice = rng.random()
        material = Material(
            draw_colour(rng) if rng.random() < 0.6 else linear((0.08, 0.08, 0.09)), wrinkles=0.08, gloss=0.05
        )
        side: Literal["L", "R"] = "L" if rng.random() < 0.5 else "R"
        held: list[Held] = []
        arms: list[ArmPose | None] = [None, None]
        hand = 0 if side == "L" else 1
        if choice < 0.2:
            self._outfit.submeshes.append(backpack(body, self._shape, material, rng))
            half = rng.uniform(0.018, 0.03)
            across = rng.uniform(0.075, 0.1)
            self._strap(((1, 0, 0, across, half), (1, 0, 0, -across, half)), material)
            self._outfit.clothes.append("backpack")
            if rng.random() < 0.2:
                arms[hand] = "strap"
        elif choice < 0.34:
            sign = 1.0 if side == "L" else -1.0
            self._outfit.submeshes.append(shoulder_bag(body, self._shape, material, sign, rng))
            if rng.random() < 0.6:  # across the chest
                normal = np.array([0.8, 0.0, -sign * 0.6])
                middle = self._shape.heads[body.bones["spine02"]]
                self._strap(((*normal.tolist(), float(normal @ middle), 0.02),), material)
            self._outfit.clothes.append("shoulder bag")
        elif choice < 0.46:
            held.append(handbag(material, side, rng))
            arms[hand] = "hang"
            self._outfit.clothes.append("bag")
        elif choice < 0.51:
            held.append(case(material, side, rng))
            arms[hand] = "hang"
            self._outfit.clothes.append("suitcase")
        elif choice < 0.545:
            held.append(parcel(Material(linear((0.6, 0.45, 0.3)), wrinkles=0.02), rng))
            arms = ["carry", "carry"]
            self._outfit.clothes.append("parcel")
        elif choice < 0.565:
            held.append(umbrella(material, side, rng))
            arms[hand] = "phone_in_hand"
            self._outfit.clothes.append("umbrella")
        return tuple(held), (arms[0], arms[1])

    def _strap(self, planes: tuple[tuple[float, float, float, float, float], ...], luggage: Material) -> None:
        """Lay straps over whatever covers the torso."""
        for number, submesh in enumerate(self._outfit.submeshes):
            shoulders = 0.93 * self._shape.heads[self._w.body.bones["neck01"]][2]
            worn_above = np.mean(submesh.part == TORSO) > 0.25 and submesh.vertices[:, 2].max() > shoulders
            if worn_above and submesh.material.colour != luggage.colour:
                dark: tuple[float, float, float] = tuple(0.8 * c for c in luggage.colour)  # type: ignore[assignment]
                material = replace(submesh.material, straps=submesh.material.straps + planes, strap=dark)
                self._outfit.submeshes[number] = replace(submesh, material=material)


def _half(clothing: Clothing, body: BodyModel, parts: tuple[int, ...]) -> _Half | None:
    """The connected parts of a suit that lie mostly on some parts of the body."""
    faces, count = clothing.faces, len(clothing.part)
    ends = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
    _, labels = connected_components(csr_matrix((np.ones(len(ends[0]), np.int8), ends), shape=(count, count)))
    mine = np.zeros(count, bool)
    for label in np.unique(labels[faces]):
        members = labels == label
        legs = np.mean(clothing.part[members] == LEGS)
        if (legs > 0.4) == (LEGS in parts):
            mine |= members
    kept = mine[faces].all(1)
    if kept.sum() < 100:
        return None
    hidden = clothing.hidden[clothing.hidden < len(body.part)]
    covers = np.isin(body.part[hidden], (*parts, TORSO))
    return _Half(clothing, np.asarray(kept), hidden[covers])
