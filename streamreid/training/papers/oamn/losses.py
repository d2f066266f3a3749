"""OAMN's own losses (Chen et al., ICCV 2021): occlusion grader, halves that add up, grouped triplet.

Where paper and released code differ, the paper's target is taken (quarter occlusion scores 0.5 on every side).
"""

from __future__ import annotations

import torch
from torch import Tensor

from streamreid.training.losses import part_distances, triplet_loss

__all__ = ["grade_targets", "grader_loss", "grouped_triplet_loss", "halves_loss"]


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
