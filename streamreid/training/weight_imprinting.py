"""Identity classifiers that start from the pretrained embeddings of their people instead of from noise (weight
imprinting; Qi et al., CVPR 2018).

With a pretrained ReID backbone this makes the identity loss informative from the first step.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from streamreid.training.data import PictureCache
from streamreid.training.network import PartNetwork
from streamreid.training.precision import computes_bf16, is_compiled
from streamreid.types import IntArray

__all__ = ["imprint", "imprint_embeddings", "some_rows"]

_LOGIT = 16.0  # of a picture that lies exactly in its person's direction


def some_rows(identities: IntArray, cameras: IntArray, per_camera: int) -> IntArray:
    """Up to ``per_camera`` rows of every person and camera, evenly spread over them."""
    rows: list[int] = []
    for key in np.unique(np.stack([identities, cameras], 1), axis=0):
        own = np.flatnonzero((identities == key[0]) & (cameras == key[1]))
        rows.extend(own[np.unique(np.linspace(0, len(own) - 1, per_camera).round().astype(int))].tolist())
    return np.array(rows, np.int64)


@torch.no_grad()
def imprint(
    heads: nn.ModuleDict,
    network: PartNetwork,
    cache: PictureCache,
    *,
    per_camera: int = 2,
    batch: int = 64,
    bf16: bool = True,
) -> None:
    """Set every class weight to the mean normalised embedding of that person.

    Args:
        heads: From `identity_heads`; the normalisation's running statistics are set as well.
        network: With pretrained weights.
        cache: Training pictures.
        per_camera: Pictures of each person and camera.
        batch: Pictures per run.
        bf16: Run the network in bfloat16 where the device computes it in hardware.
    """
    rows = some_rows(cache.identities, cache.cameras, per_camera)
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    bf16, fill = bf16 and computes_bf16(device), is_compiled(network)
    found = []
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        if fill:  # a compiled network wants one batch size
            some = np.resize(some, batch)
        pictures = torch.from_numpy(np.asarray(cache.images[np.sort(some)])).to(device).permute(0, 3, 1, 2).float()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            embeddings = network(pictures).embeddings.float()
        found.append(
            embeddings[torch.from_numpy(np.argsort(np.argsort(some, kind="stable"), kind="stable")).to(device)][
                : len(rows) - start
            ]
        )
    network.train(training)
    imprint_embeddings(heads, torch.cat(found), torch.from_numpy(cache.identities[rows]).to(device))


@torch.no_grad()
def imprint_embeddings(heads: nn.ModuleDict, everything: Tensor, classes: Tensor) -> None:
    """Set the classifiers from embeddings at hand.

    Args:
        heads: From `identity_heads`.
        everything: ``[N, K, D]`` not normalised.
        classes: ``[N]`` class numbers.
    """
    for name, values in (("whole", everything[:, 0]), ("parts", everything[:, 1:].flatten(1))):
        head = heads[name]
        assert isinstance(head, nn.Sequential)
        norm, classify = head[0], head[1]
        assert isinstance(norm, nn.BatchNorm1d)
        assert isinstance(classify, nn.Linear)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, variance = values.mean(0), values.var(0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        normalised = (values - mean) / (variance + norm.eps).sqrt()
        totals = torch.zeros(classify.weight.shape, device=values.device).index_add_(0, classes, normalised)
        classify.weight.copy_(nn.functional.normalize(totals, dim=1) * _LOGIT / values.shape[1] ** 0.5)
