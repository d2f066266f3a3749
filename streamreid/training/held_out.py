"""Scores of a network on the people held out of its training."""

from __future__ import annotations

from streamreid.datasets.identity_split import Picture
from streamreid.evaluation.occluded import held_out_sets, score_engine
from streamreid.training.embed import embed
from streamreid.training.network import PartNetwork

__all__ = ["score_held_out"]


def score_held_out(network: PartNetwork, pictures: list[Picture]) -> dict[str, float]:
    """Retrieval scores (R1, mAP) of a network on pictures of people it was not trained on, whole and covered.

    Args:
        network: The network.
        pictures: Of the people held out.
    """
    return score_engine(lambda images: embed(network, images, bf16=True), *held_out_sets(pictures)).flat()
