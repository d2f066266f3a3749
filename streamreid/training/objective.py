"""The whole objective: which loss is computed on what, and with which weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamreid.datasets.occlusion import SIDES
from streamreid.training import losses
from streamreid.training.heads import unit
from streamreid.training.network import PartNetwork, PartOutput
from streamreid.training.papers.imitation import imitation_loss
from streamreid.training.papers.oamn import losses as oamn_losses
from streamreid.training.recipe import LossConfig

__all__ = ["Learner", "compute_losses"]


class Learner(nn.Module):
    """Network, classifiers and losses in one forward pass, so that gradients of several processes can be averaged.

    Args:
        network: To train.
        heads: Identity classifiers; not part of the product.
        config: Weights of the losses.
    """

    def __init__(self, network: PartNetwork, heads: nn.ModuleDict, config: LossConfig) -> None:
        super().__init__()
        self.network, self.heads, self.config = network, heads, config

    def forward(self, pictures: Tensor, batch: dict[str, Tensor], whole: int) -> dict[str, Tensor]:
        """Weighted loss terms of one batch of BGR pictures ``[M, 3, H, W]``; see `compute_losses`."""
        output = self.network(pictures)
        return compute_losses(output, self.heads, batch | {"usual": self.network.usual}, self.config, whole)


def compute_losses(
    output: PartOutput, heads: nn.ModuleDict, batch: dict[str, Tensor], config: LossConfig, whole: int
) -> dict[str, Tensor]:
    """All weighted loss terms of one batch.

    Identity losses on the whole person, on all parts together and, where the head has it, on all pixels alike; triplets
    on the distance over parts alone (GiLt, arXiv 2211.03679): were the whole person in that distance, it would satisfy
    the margin before the parts have learnt anything.

    Args:
        output: What the network computed for the whole pictures and, after them, their occluded copies.
        heads: Identity classifiers.
        batch: ``labels``, ``usable``, ``identities``, ``sides``, ``shares`` as tensors (see `Batch`), ``usual``, the
            parts' usual areas, and ``teacher``, the teacher's features of the unoccluded pictures, where there is one.
        config: Weights.
        whole: Number of unoccluded pictures.
    """
    identities, labels, usable = batch["identities"], batch["labels"], batch["usable"]
    embeddings = output.embeddings.float()
    normalised = unit(embeddings)
    seen = _seen(labels, usable, batch["usual"])
    terms: dict[str, Tensor] = {}
    if config.identity and config.identity_whole:
        loss = losses.identity_loss(heads["whole"](embeddings[:, 0]), identities, config.smoothing)
        terms["identity"] = config.identity * config.identity_whole * loss
    if config.identity:
        terms["identity_parts"] = config.identity * losses.identity_loss(
            heads["parts"](embeddings[:, 1:].flatten(1)), identities, config.smoothing
        )
    if config.identity and output.overall is not None and "overall" in heads:
        loss = losses.identity_loss(heads["overall"](output.overall.float()), identities, config.smoothing)
        terms["identity_overall"] = config.identity * loss
    if config.part_triplet:
        loss = losses.part_triplet_loss(normalised[:, 1:], seen, identities, config.margin, config.triplet_mode)
        terms["part_triplet"] = config.part_triplet * loss
    if config.whole_triplet:
        distance = losses.part_distances(normalised[:, :1])[0]
        terms["whole_triplet"] = config.whole_triplet * losses.triplet_loss(distance, identities, config.margin)
    if config.pixels:
        terms["pixels"] = config.pixels * losses.pixel_loss(output.logits, labels, usable, config.pixel_smoothing)
    if config.grouped_triplet:
        loss = oamn_losses.grouped_triplet_loss(embeddings[:, 0], identities, len(identities) // whole)
        terms["grouped_triplet"] = config.grouped_triplet * loss
    if "teacher" in batch and config.teacher:
        terms["teacher"] = config.teacher * losses.teacher_loss(embeddings[:, 0], batch["teacher"])
    if "teacher" in batch and config.imitation:
        terms["imitation"] = config.imitation * imitation_loss(embeddings[:, 0], batch["teacher"])
    if output.occlusion is not None and config.grader:
        terms["grader"] = config.grader * oamn_losses.grader_loss(
            output.occlusion.float(), batch["sides"], batch["shares"]
        )
    return terms | _occlusion_terms(output, normalised, seen, batch, config, whole)


def _occlusion_terms(
    output: PartOutput, normalised: Tensor, seen: Tensor, batch: dict[str, Tensor], config: LossConfig, whole: int
) -> dict[str, Tensor]:
    """Losses between the pictures and their occluded copies."""
    copies = len(seen) // whole - 1
    if not copies:
        return {}
    terms: dict[str, Tensor] = {}
    features = output.features.float()
    if config.mask:
        labelled = (1 - batch["labels"][whole:, :1]) * batch["usable"][whole:, None, None, None]
        visible = labelled if output.mask is None else output.mask[whole:].float()
        terms["mask"] = config.mask * losses.mask_loss(
            features[:whole].repeat(copies, 1, 1, 1), features[whole:], visible
        )
    if config.halves and output.mask is not None and copies == len(SIDES):
        masked = (features * output.mask.float()).reshape(1 + copies, whole, *features.shape[1:])
        terms["halves"] = config.halves * oamn_losses.halves_loss(
            masked[1:], masked[0], batch["shares"][whole : 2 * whole] == 0.5
        )
    if config.agreement:
        both = torch.cat([torch.ones_like(seen[whole:, :1]), seen[:whole].repeat(copies, 1) * seen[whole:]], 1)
        terms["agreement"] = config.agreement * losses.agreement_loss(
            normalised[:whole].repeat(copies, 1, 1), normalised[whole:], both
        )
    return terms


def _seen(labels: Tensor, usable: Tensor, usual: Tensor) -> Tensor:
    """How much of each part's usual area a label shows, ``[N, parts]`` in [0, 1]; less than half a cell is nothing.
    Without a label everything counts as seen."""
    area = labels[:, 1:].mean((2, 3))
    half_cell = 0.5 / (labels.shape[2] * labels.shape[3])
    seen = torch.where(area < half_cell, torch.zeros_like(area), (area / usual).clamp(max=1))
    return torch.where(usable[:, None], seen, torch.ones_like(seen))
