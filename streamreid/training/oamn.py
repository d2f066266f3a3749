"""OAMN's own modules and losses (Chen et al., ICCV 2021): attention-guided mask, occlusion grader, grouped triplet.

Where paper and released code differ, the paper's target is taken (quarter occlusion scores 0.5 on every side). One pass
computes everything: what must not be trained by a loss is detached, which is equivalent to the released code's two
backward passes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamreid.training.losses import part_distances, triplet_loss

__all__ = [
    "MapGrader",
    "MaskModule",
    "OcclusionGrader",
    "grade_targets",
    "grader_loss",
    "grouped_triplet_loss",
    "halves_loss",
]


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


def grade_targets(sides: Tensor, shares: Tensor) -> Tensor:
    """Target of the true side's score: twice the covered share (half 1, quarter 0.5); 0.25, the uniform score, where
    nothing is covered.

    Args:
        sides: ``[N]`` numbers of the covered sides, -1 for none.
        shares: ``[N]`` covered share of the area.
    """
    return torch.where(sides < 0, torch.full_like(shares, 0.25), 2 * shares)


def grader_loss(scores: Tensor, sides: Tensor, shares: Tensor) -> Tensor:
    """Squared error of the true side's score (of the largest score where nothing is covered), batch mean.

    Args:
        scores: ``[N, 4]`` from `OcclusionGrader`.
        sides: See `grade_targets`.
        shares: See `grade_targets`.
    """
    true = scores.gather(1, sides.clamp(min=0)[:, None])[:, 0]
    return (torch.where(sides < 0, scores.amax(1), true) - grade_targets(sides, shares)).square().mean()


def halves_loss(masked: Tensor, whole: Tensor, half: Tensor) -> Tensor:
    """OAMN's second mask loss: the two halves add up to the whole, for pictures covered by half.

    ``mean((g^l + g^r - g)^2) + mean((g^t + g^b - g)^2)`` with g = f m (Chen et al., ICCV 2021), the mean over all
    pictures as in the released code.

    Args:
        masked: ``[4, N, C, H, W]`` masked features of the copies covered on the left, right, bottom, top.
        whole: ``[N, C, H, W]`` masked features of the pictures themselves.
        half: ``[N]`` bool: covered by half.
    """
    scale = half.to(whole.dtype)[:, None, None, None]
    left, right, bottom, top = masked
    sides: Tensor = ((left + right - whole) * scale).square().mean()
    ends: Tensor = ((bottom + top - whole) * scale).square().mean()
    return sides + ends


def grouped_triplet_loss(embeddings: Tensor, identities: Tensor, groups: int, margin: float = 0.5) -> Tensor:
    """Batch-hard triplets mined within each occlusion group (pictures, then each set of copies), averaged over groups.

    Args:
        embeddings: ``[groups * N, D]`` not normalised.
        identities: ``[groups * N]``.
        groups: Number of equally large groups, one after the other.
        margin: OAMN takes 0.5.
    """
    parts = zip(embeddings.chunk(groups), identities.chunk(groups), strict=True)
    return torch.stack([triplet_loss(part_distances(x[:, None])[0], i, margin) for x, i in parts]).mean()


def _reduce(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
