"""OAMN's occlusion unification at test (Chen et al., ICCV 2021): nine variants of every gallery picture, one as it is
and eight as if a side were covered.

A query is graded by the occlusion grader and compared with the gallery as if that were covered in the same way. The
gallery is occluded in feature space, not by embedding covered pictures: every variant's mask is applied to the features
of the uncovered picture. With OAMN's mask module the masks are those it gives for the picture with a black rectangle;
without it they are the rectangles themselves, at the size of the feature map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamreid.datasets.occlusion import SHARES, SIDES, Occlusion, rectangle
from streamreid.training.network import PartNetwork, visibility_of

__all__ = ["VARIANTS", "Unified", "keep_masks"]

VARIANTS: tuple[Occlusion | None, ...] = (None, *(Occlusion(side, share) for side in SIDES for share in SHARES))
"""In the order of the output: nothing covered, then left, right, bottom, top, each a quarter and a half."""


def keep_masks(size: tuple[int, int]) -> Tensor:
    """What each variant leaves uncovered, ``[9, H, W]`` of zeros and ones."""
    masks = torch.ones(len(VARIANTS), *size)
    for mask, variant in zip(masks[1:], VARIANTS[1:], strict=True):
        assert variant is not None
        mask[rectangle(size, variant)] = 0
    return masks


class Unified(nn.Module):
    """The nine variants of gallery pictures.

    Args:
        network: A trained network.
        size: Height and width of the pictures.
    """

    maps: Tensor
    pictures: Tensor

    def __init__(self, network: PartNetwork, size: tuple[int, int] = (256, 128)) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("maps", keep_masks(network.map_size), persistent=False)
        self.register_buffer("pictures", keep_masks(size), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """From BGR pictures ``[N, 3, H, W]`` in 0..255 to L2-normalised parts ``[N, 9, K, D]`` and visibility ``[N, 9,
        K]``."""
        network = self.network
        output = network(images)
        parts, seen = [], []
        for number, keep in enumerate(self.maps):
            attention = output.attention * keep
            attention = torch.cat([attention[:, :1] + 1 - keep, attention[:, 1:]], 1)  # what is covered is background
            embeddings = network.embeddings(self.masked(images, output.features, number), attention)
            parts.append(F.normalize(embeddings, dim=-1))
            seen.append(
                visibility_of(attention, network.config.visibility, network.config.mu, network.usual).clamp(0, 1)
            )
        return torch.stack(parts, 1), torch.stack(seen, 1)

    def masked(self, images: Tensor, features: Tensor, number: int) -> Tensor:
        """The features of the picture under a variant's mask."""
        network = self.network
        if network.masker is None:
            # The sum over what is left stands for the whole, as it does for a picture without occlusion.
            return features * (self.maps[number] / self.maps[number].mean())
        covered = features if number == 0 else network.backbone(images * self.pictures[number])
        masked: Tensor = features * network.masker(covered)
        return masked
