"""OAMN's own modules (Chen et al., ICCV 2021): attention-guided mask and occlusion grader.

Where paper and released code differ, the paper's target is taken (quarter occlusion scores 0.5 on every side). One pass
computes everything: what must not be trained by a loss is detached, which is equivalent to the released code's two
backward passes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MapGrader", "MaskModule", "OcclusionGrader"]


class MaskModule(nn.Module):
    """Spatial relation-aware attention (RGA-S; Zhang et al., CVPR 2020) that returns the mask itself.

    For positions i, j of the map, ``R[i, j] = <theta(x)_i, phi(x)_j>``; position i sees all of ``R[i, :]`` and ``R[:,
    i]``, reduced by a convolution, and the channel mean of its own embedding. With C = 1024 and 16 x 8 positions this
    has 398,154 parameters.

    Args:
        channels: Channels C of the map.
        height: Height of the map; fixed, because relations are a vector per position.
        width: Width of the map.
        reduction: Channels and relations are reduced by this factor.
    """

    def __init__(self, channels: int, height: int, width: int, reduction: int = 8) -> None:
        super().__init__()
        inner, positions = channels // reduction, height * width
        self.theta, self.phi, self.own = (_reduce(channels, inner) for _ in range(3))
        self.relations = _reduce(2 * positions, max(1, positions // reduction))
        gathered = 1 + max(1, positions // reduction)
        small = max(1, gathered // reduction)
        self.weigh = nn.Sequential(
            _reduce(gathered, small), nn.Conv2d(small, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Sigmoid()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Mask ``[N, 1, H, W]`` in (0, 1) from features ``[N, C, H, W]``; no gradient flows back into the features."""
        x = features.detach()
        height, width = x.shape[2:]
        theta, phi = self.theta(x).flatten(2), self.phi(x).flatten(2)
        relation = theta.transpose(1, 2) @ phi
        both = torch.cat([relation.transpose(1, 2), relation], 1).reshape(-1, 2 * height * width, height, width)
        mask: Tensor = self.weigh(torch.cat([self.own(x).mean(1, keepdim=True), self.relations(both)], 1))
        return mask


class OcclusionGrader(nn.Module):
    """Scores of the four sides, ``softmax(Linear(BatchNorm(GAP(f * m))))``, in the order of ``SIDES``: left, right,
    bottom, top.

    Args:
        channels: Channels of the map. With 1024 this has 6,148 parameters.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.score = nn.Linear(channels, 4)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``[N, 4]`` scores that sum to 1; features and mask get no gradient."""
        pooled = (features.detach() * mask.detach()).mean((2, 3))
        scores: Tensor = self.score(self.norm(pooled)).softmax(1)
        return scores


class MapGrader(nn.Module):
    """Scores of the four sides from where on the map the person is seen: ``softmax(Linear(BatchNorm(m)))`` over the
    mask's positions, sides as in `OcclusionGrader`.

    Ours. OAMN's grader averages over positions first and has to tell left from right by features that hardly depend on
    them.

    Args:
        size: Height and width of the map. With 16 x 8 this has 772 parameters.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(size[0] * size[1])
        self.score = nn.Linear(size[0] * size[1], 4)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``[N, 4]`` scores that sum to 1; the mask gets no gradient, features are not looked at."""
        scores: Tensor = self.score(self.norm(mask.detach().flatten(1))).softmax(1)
        return scores


def _reduce(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
