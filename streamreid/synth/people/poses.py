"""How people stand and walk: rotations of bones, and the transforms of all vertices that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamreid.synth.people.body import SKIN_VERTICES, BodyModel, Shape
from streamreid.types import FloatArray

__all__ = ["ArmPose", "Pose", "bone_transforms", "draw_pose", "hand_places", "skin"]

ArmPose = Literal["hang", "swing", "pocket", "phone_at_ear", "phone_in_hand", "strap", "carry", "behind", "crossed"]

_SHOULDER_SHARE = 0.35
"""Share of the arm's lowering that the shoulder takes part in, so that it does not stand out."""

Rotation = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Orientations of bones relative to the body at rest; bones that are not named follow the one before.

    Args:
        rotations: ``[3, 3]`` by name.
    """

    rotations: Mapping[str, Rotation]


def bone_transforms(body: BodyModel, shape: Shape, pose: Pose) -> FloatArray:
    """``[B, 3, 4]`` transforms from rest to the pose."""
    result = np.zeros((len(body.parents), 3, 4))
    named = {body.bones[name]: rotation for name, rotation in pose.rotations.items()}
    for bone, parent in enumerate(body.parents):
        before = result[parent] if parent >= 0 else np.eye(3, 4)
        turn = named.get(bone, before[:, :3])
        head = shape.heads[bone]
        result[bone, :, :3] = turn
        result[bone, :, 3] = before[:, :3] @ head + before[:, 3] - turn @ head
    return result.astype(np.float32)


def skin(vertices: FloatArray, weights: object, transforms: FloatArray) -> FloatArray:
    """Vertices ``[N, 3]`` moved by the bones (linear blend skinning)."""
    blended = np.asarray(weights @ transforms.reshape(len(transforms), 12)).reshape(-1, 3, 4)  # type: ignore[operator]
    return np.asarray(np.einsum("nij,nj->ni", blended[:, :, :3], vertices) + blended[:, :, 3], np.float32)


def draw_pose(
    body: BodyModel,
    shape: Shape,
    arms: tuple[ArmPose, ArmPose],
    *,
    walking: bool,
    rng: np.random.Generator,
) -> Pose:
    """A moment of standing or walking.

    Args:
        body: The body model.
        shape: Whose pose it is; a stout body keeps its arms further away.
        arms: What the left and the right arm do.
        walking: Whether the person walks.
        rng: Decides the rest.
    """
    phase = rng.uniform(0, 2 * np.pi)
    stride = rng.uniform(0.25, 0.55) if walking else rng.uniform(0, 0.08)
    lean = _x(rng.normal(0.06 if walking else 0.02, 0.04)) @ _z(rng.normal(0, 0.05))
    rotations: dict[str, Rotation] = {
        "spine03": lean,
        "neck01": lean @ _z(rng.normal(0, 0.35)) @ _x(rng.normal(0.05, 0.12)),
    }
    apart = rng.uniform(0.0, 0.06)
    for side, sign, shift in (("L", 1.0, 0.0), ("R", -1.0, np.pi)):
        swing = stride * np.sin(phase + shift)
        knee = 1.3 * stride * max(0.0, np.sin(phase + shift - 1.4)) + rng.uniform(0, 0.06)
        thigh = _y(sign * (0.03 - apart))
        rotations[f"upperleg01.{side}"] = _x(swing) @ thigh
        rotations[f"lowerleg01.{side}"] = _x(swing + knee) @ thigh
        foot = np.clip(swing + knee, -0.35, 0.6) * (0.8 if walking else 0.2)
        rotations[f"foot.{side}"] = _x(foot) @ _z(sign * rng.uniform(0, 0.25))
    for number, (side, sign) in enumerate((("L", 1.0), ("R", -1.0))):
        swing = stride * 0.8 * np.sin(phase + (0.0 if side == "L" else np.pi))
        rotations |= _arm(body, shape, side, sign, arms[number], float(swing), lean, rng)
    return Pose(rotations)


def hand_places(body: BodyModel, transforms: FloatArray, shape: Shape) -> dict[str, FloatArray]:
    """Where the hands are."""
    found: dict[str, FloatArray] = {}
    for side in "LR":
        bone = body.bones[f"wrist.{side}"]
        found[side] = np.asarray(transforms[bone, :, :3] @ shape.heads[bone] + transforms[bone, :, 3], np.float32)
    found["both"] = np.asarray((found["L"] + found["R"]) / 2, np.float32)
    return found


def _arm(
    body: BodyModel,
    shape: Shape,
    side: str,
    sign: float,
    kind: ArmPose,
    swing: float,
    lean: Rotation,
    rng: np.random.Generator,
) -> dict[str, Rotation]:
    """Upper arm and forearm; both hang straight down where all angles are 0."""
    wrist, shoulder = (shape.heads[body.bones[f"{bone}.{side}"]] for bone in ("wrist", "upperarm01"))
    reach = wrist - shoulder
    # Each is (arm forwards, arm away from the body, elbow bent, forearm turned inwards).
    hip = shape.heads[body.bones[f"upperleg01.{side}"]]
    stout = float(
        np.clip((abs(shape.vertices[:SKIN_VERTICES, 0]) * _at_waist(shape)).max() - abs(hip[0]) - 0.02, 0, 0.2)
    )
    away = 0.03 + 1.2 * max(0.0, stout - 0.02) + rng.uniform(0, 0.08)
    wide = rng.uniform(0, 1)
    forward, outward, bend, inward = {
        "hang": (rng.normal(0, 0.05), away, rng.uniform(0.05, 0.35), rng.uniform(0, 0.3)),
        "swing": (swing, away, rng.uniform(0.1, 0.4) + max(0.0, swing) * 0.8, rng.uniform(0, 0.3)),
        "pocket": (-rng.uniform(0.25, 0.45), away + 0.2, rng.uniform(0.5, 0.8), 0.35),
        "phone_at_ear": (rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.5), rng.uniform(2.2, 2.5), 0.45),
        "phone_in_hand": (rng.uniform(0.15, 0.4), away, rng.uniform(1.2, 1.7), rng.uniform(0.1, 0.5)),
        "strap": (rng.uniform(0.1, 0.35), away + 0.1, rng.uniform(1.9, 2.3), rng.uniform(0.2, 0.5)),
        "carry": (0.2 + 0.2 * wide, away, rng.uniform(1.1, 1.5), rng.uniform(-0.1, 0.15)),
        "behind": (-rng.uniform(0.4, 0.6), away + 0.05, rng.uniform(0.5, 0.9), rng.uniform(0.7, 1.0)),
        "crossed": (rng.uniform(0.25, 0.4), away, rng.uniform(1.3, 1.6), rng.uniform(1.1, 1.35)),
    }[kind]
    down = np.arctan2(-reach[2], abs(reach[0]))  # the arm at rest points so far below the horizontal
    angle = sign * (np.pi / 2 - down - outward)
    hang = _y(angle)
    upper = lean @ _x(-forward) @ hang
    inwards = _z(-sign * inward)
    if kind == "behind":
        lower = lean @ _z(sign * inward) @ _x(-forward - 0.2 + bend) @ hang
    else:
        lower = lean @ inwards @ _x(-forward - bend) @ hang
    shoulder_turn = lean @ _y(_SHOULDER_SHARE * angle)
    return {f"shoulder01.{side}": shoulder_turn, f"upperarm01.{side}": upper, f"lowerarm01.{side}": lower}


def _at_waist(shape: Shape) -> NDArray[np.bool_]:
    v = shape.vertices[:SKIN_VERTICES]
    tall = v[:, 2].max()
    return np.asarray((v[:, 2] > 0.5 * tall) & (v[:, 2] < 0.62 * tall) & (abs(v[:, 0]) < 0.16 * tall))


def _x(angle: float) -> Rotation:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _y(angle: float) -> Rotation:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _z(angle: float) -> Rotation:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
