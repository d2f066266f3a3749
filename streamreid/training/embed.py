"""Part features of pictures, by the torch network (the product runs the exported bundle instead)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from streamreid.errors import ConfigError
from streamreid.training.network import PartNetwork
from streamreid.training.papers.oamn.unification import Unified
from streamreid.training.precision import computes_bf16, is_compiled
from streamreid.types import FloatArray, Image, PartFeatures

__all__ = ["embed", "embed_variants", "grade_scores", "to_input"]


def to_input(pictures: Sequence[Image], size: tuple[int, int]) -> torch.Tensor:
    """Resize BGR pictures and stack them as float32 ``[N, 3, H, W]`` in 0..255."""
    resized = np.stack(
        [p if p.shape[:2] == size else cv2.resize(p, size[::-1], interpolation=cv2.INTER_LINEAR) for p in pictures]
    )
    return torch.from_numpy(np.ascontiguousarray(resized.transpose(0, 3, 1, 2))).float()


@torch.no_grad()
def embed(
    network: PartNetwork,
    pictures: Sequence[Image],
    size: tuple[int, int] = (256, 128),
    batch: int = 64,
    bf16: bool = False,
) -> PartFeatures:
    """L2-normalised parts and visibilities of pictures of people (uint8 BGR, any size).

    Args:
        network: Part network, compiled or not.
        pictures: uint8 BGR, any size.
        size: Height and width that the network looks at.
        batch: Pictures per run. A compiled network is compiled anew for every batch size, so its last run is filled up.
        bf16: Compute in bfloat16 where the device does so in hardware.
    """
    training = network.training
    network.eval()
    device = next(network.parameters()).device
    bf16, fill = bf16 and computes_bf16(device), is_compiled(network)
    parts, visibility = [], []
    for start in range(0, len(pictures), batch):
        some = to_input(pictures[start : start + batch], size).to(device)
        count = len(some)
        if fill:
            some = torch.cat([some, some.new_zeros(batch - count, *some.shape[1:])])
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            output = network(some.contiguous(memory_format=torch.channels_last))
        parts.append(torch.nn.functional.normalize(output.embeddings[:count].float(), dim=-1).cpu().numpy())
        visibility.append(output.visibility[:count].float().clamp(0, 1).cpu().numpy())
    network.train(training)
    return PartFeatures(np.concatenate(parts).astype(np.float32), np.concatenate(visibility).astype(np.float32))


@torch.no_grad()
def grade_scores(
    network: PartNetwork, pictures: Sequence[Image], size: tuple[int, int] = (256, 128), batch: int = 64
) -> FloatArray:
    """Scores of the occlusion grader, ``[N, 4]``.

    Raises:
        ConfigError: The network has none.
    """
    network.eval()
    device = next(network.parameters()).device
    found = []
    for start in range(0, len(pictures), batch):
        scores = network(to_input(pictures[start : start + batch], size).to(device)).occlusion
        if scores is None:
            raise ConfigError("this network has no occlusion grader; train with network.grader")
        found.append(scores.float().cpu().numpy())
    return np.concatenate(found)


@torch.no_grad()
def embed_variants(
    network: PartNetwork, pictures: Sequence[Image], size: tuple[int, int] = (256, 128), batch: int = 32
) -> list[PartFeatures]:
    """The pictures in the nine variants of occlusion unification."""
    device = next(network.parameters()).device
    unified = Unified(network, size).eval().to(device)
    pieces = [unified(to_input(pictures[i : i + batch], size).to(device)) for i in range(0, len(pictures), batch)]
    parts, seen = (torch.cat([p[o].float().cpu() for p in pieces]).numpy() for o in (0, 1))
    return [
        PartFeatures(np.ascontiguousarray(parts[:, v]), np.ascontiguousarray(seen[:, v])) for v in range(parts.shape[1])
    ]
