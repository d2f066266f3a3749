"""The losses of part-based, occlusion-aware ReID. All in float32; every function returns a scalar tensor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "agreement_loss",
    "combined_distance",
    "identity_loss",
    "mask_loss",
    "part_distances",
    "part_triplet_loss",
    "pixel_loss",
    "teacher_loss",
    "triplet_loss",
]


def identity_loss(logits: Tensor, identities: Tensor, smoothing: float = 0.1) -> Tensor:
    """Softmax cross-entropy with label smoothing over training identities, batch mean (Szegedy et al., 2016; GiLt uses
    it on whole-body slots).

    Args:
        logits: ``[N, ids]``.
        identities: ``[N]`` class numbers.
        smoothing: Share of the target spread evenly over all identities.
    """
    return F.cross_entropy(logits.float(), identities, label_smoothing=smoothing)


def part_distances(embeddings: Tensor) -> Tensor:
    """Euclidean distances per slot, ``[K, N, N]``, of embeddings ``[N, K, D]``; zero on the diagonal, with a finite
    gradient there."""
    x = embeddings.float().transpose(0, 1)
    square = (x * x).sum(-1)
    squared = (square[:, :, None] + square[:, None, :] - 2 * x @ x.transpose(1, 2)).clamp(min=0)
    zero = squared < 1e-12
    return torch.where(zero, torch.zeros_like(squared), (squared + zero * 1e-12).sqrt())


def combined_distance(distances: Tensor, visibility: Tensor, mode: str = "averaged") -> Tensor:
    """One distance per pair from the distances per slot, over the slots that both show.

    ``D = sum_k m_k d_k / sum_k m_k`` with ``m_k = sqrt(v_k(i) v_k(j))`` (BPBReID's part-averaged distance, arXiv
    2211.03679); ``head`` counts the first body part 1.5 times (our reading of AMD-Net). A pair without a common slot
    gets -1.

    Args:
        distances: ``[K, N, N]``.
        visibility: ``[N, K]`` in [0, 1].
        mode: ``averaged`` or ``head``.
    """
    root = visibility.float().clamp(min=0).sqrt().T
    weights = root[:, :, None] * root[:, None, :]
    if mode == "head":
        factor = torch.ones(len(weights), 1, 1, device=weights.device)
        factor[1 if len(weights) > 1 else 0] = 1.5
        weights = weights * factor
    total = weights.sum(0)
    combined = (weights * distances).sum(0) / total.clamp(min=1e-6)
    return torch.where(total > 1e-6, combined, torch.full_like(combined, -1.0))


def triplet_loss(distance: Tensor, identities: Tensor, margin: float = 0.3) -> Tensor:
    """Batch-hard triplet loss (Hermans et al., 2017): ``mean_a max(0, max_p D(a, p) - min_n D(a, n) + margin)``.

    A margin of 0 or less takes the soft margin ``log(1 + exp(D(a, p) - D(a, n)))``. Pairs with a negative distance
    (nothing in common) are not mined, anchors without a positive or a negative are left out; without any anchor the
    loss is 0.

    Args:
        distance: ``[N, N]``.
        identities: ``[N]``.
        margin: The margin.
    """
    same = identities[:, None] == identities[None, :]
    valid = distance >= 0
    self_pair = torch.eye(len(distance), dtype=torch.bool, device=distance.device)
    positive, negative = same & valid & ~self_pair, ~same & valid
    farthest = distance.masked_fill(~positive, -1.0).amax(1)
    nearest = distance.masked_fill(~negative, float("inf")).amin(1)
    anchors = positive.any(1) & negative.any(1)
    if not bool(anchors.any()):
        return distance.sum() * 0
    gap = farthest[anchors] - nearest[anchors]
    return (F.softplus(gap) if margin <= 0 else F.relu(gap + margin)).mean()


def part_triplet_loss(
    embeddings: Tensor, visibility: Tensor, identities: Tensor, margin: float = 0.3, mode: str = "averaged"
) -> Tensor:
    """Part triplet loss: batch-hard on the distance over all common slots, or (``individual``) per slot and averaged.

    Averaging first asks only that the sum of evidence separates two people: two people with the same trousers are not
    pushed apart by their trousers.

    Args:
        embeddings: ``[N, K, D]``.
        visibility: ``[N, K]``.
        identities: ``[N]``.
        margin: See `triplet_loss`.
        mode: ``averaged``, ``head`` or ``individual``.
    """
    distances = part_distances(embeddings)
    if mode != "individual":
        return triplet_loss(combined_distance(distances, visibility, mode), identities, margin)
    each = [
        triplet_loss(combined_distance(d[None], visibility[:, k : k + 1]), identities, margin)
        for k, d in enumerate(distances)
    ]
    return torch.stack(each).mean()


def pixel_loss(logits: Tensor, target: Tensor, usable: Tensor, smoothing: float = 0.1) -> Tensor:
    """Pixel cross-entropy of the part predictor: ``-mean_pixels sum_c q_c log A_c`` with smoothed targets q (BPBReID).

    Args:
        logits: ``[N, 1 + parts, H, W]``.
        target: ``[N, 1 + parts, H, W]`` shares of each class in the pixel (one-hot for hard labels).
        usable: ``[N]`` bool: pictures whose label is used.
        smoothing: ``q = (1 - smoothing) * target + smoothing / (1 + parts)``.
    """
    q = (1 - smoothing) * target + smoothing / target.shape[1]
    per_picture = -(q * logits.float().log_softmax(1)).sum(1).mean((1, 2))
    weight = usable.float()
    return (per_picture * weight).sum() / weight.sum().clamp(min=1)


def mask_loss(whole: Tensor, occluded: Tensor, visible: Tensor) -> Tensor:
    """OAMN's first mask loss, as a mean: ``mean(((f - f^p) m^p)^2)`` (Chen et al., ICCV 2021; section 3.4 of its code).

    The features of the unoccluded picture are the target and get no gradient; the mask comes from the attention of the
    occluded copy or from its label.

    Args:
        whole: ``[N, C, H, W]`` features of the unoccluded pictures.
        occluded: The same of the occluded copies, under the same geometric transform.
        visible: ``[N, 1, H, W]`` in [0, 1]: where the person is still seen.
    """
    difference = (whole.detach().float() - occluded.float()) * visible
    return difference.square().mean()


def agreement_loss(whole: Tensor, occluded: Tensor, visible: Tensor) -> Tensor:
    """One minus the cosine between a slot's embedding in the unoccluded picture (no gradient) and in the occluded copy,
    over slots that stay visible.

    Ours: the embedding-level counterpart of `mask_loss`.

    Args:
        whole: ``[N, K, D]``.
        occluded: ``[N, K, D]``.
        visible: ``[N, K]`` weights.
    """
    cosine = F.cosine_similarity(whole.detach().float(), occluded.float(), dim=-1)
    return ((1 - cosine) * visible).sum() / visible.sum().clamp(min=1)


def teacher_loss(embeddings: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference between the cosines of pictures in the student's and in the teacher's eyes.

    Pictures shall lie to each other as they do for the teacher, whatever the dimensions (similarity-preserving
    distillation, Tung & Mori, ICCV 2019, on cosines). Occluded copies are compared with the unoccluded pictures and
    learn what the teacher says of the picture they were made from.

    Args:
        embeddings: ``[G * N, D]``: the pictures, then G - 1 sets of occluded copies in the same order.
        teacher: ``[N, D']`` features of the pictures.
    """
    student, wanted = F.normalize(embeddings.float(), dim=1), F.normalize(teacher.float(), dim=1)
    found = student @ student[: len(teacher)].T
    return (found - (wanted @ wanted.T).repeat(len(embeddings) // len(teacher), 1)).square().mean()
