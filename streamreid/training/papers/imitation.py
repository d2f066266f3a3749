"""Embedding distillation: the whole person points where the teacher's embedding does."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from streamreid.errors import ConfigError

__all__ = ["imitation_loss"]


def imitation_loss(embeddings: Tensor, teacher: Tensor) -> Tensor:
    """One minus the cosine between a picture's embedding and the teacher's, batch mean; occluded copies shall point
    where the teacher sees the picture they were made from.

    Keeps what a pretrained embedding knows of people the training set does not show, and makes it bear occlusion
    (feature distillation as in Romero et al., "FitNets", ICLR 2015, on directions; the target of copies is ours).

    Args:
        embeddings: ``[G * N, D]``: the pictures, then G - 1 sets of occluded copies in the same order.
        teacher: ``[N, D]`` features of the pictures.

    Raises:
        ConfigError: The teacher's features have another length.
    """
    if embeddings.shape[1] != teacher.shape[1]:
        raise ConfigError(
            f"losses.imitation: the network's embeddings have {embeddings.shape[1]} values, the teacher's "
            f"{teacher.shape[1]}; set it to 0 and use losses.teacher, which compares distances only"
        )
    wanted = teacher.float().repeat(len(embeddings) // len(teacher), 1)
    return (1 - F.cosine_similarity(embeddings.float(), wanted, dim=1)).mean()
