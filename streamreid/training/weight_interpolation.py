"""Weights between those before and after a training (WiSE-FT; Wortsman et al., "Robust fine-tuning of zero-shot
models", CVPR 2022).

A fine-tuned network is better on the people it was tuned for and forgets some of what it knew of others. The straight
line between both sets of weights keeps most of either: ``w = (1 - base) * trained + base * pretrained``, for the
backbone and for a head that started from pretrained layers.
"""

from __future__ import annotations

import torch

from streamreid.errors import ConfigError
from streamreid.training.heads import RetailHead
from streamreid.training.network import PartNetwork
from streamreid.training.recipe import TrainConfig

__all__ = ["blend"]


@torch.no_grad()
def blend(network: PartNetwork, config: TrainConfig, base: float) -> PartNetwork:
    """Move a trained network part of the way back to the weights its training started from; changed in place and
    returned.

    Args:
        network: From `load_network`.
        config: Its recipe; the backbone's pretrained weights must still be where it says.
        base: Share of the pretrained weights, in [0, 1].

    Raises:
        ConfigError: ``base`` is out of range, or the recipe names no pretrained weights.
        WeightsError: The pretrained weights are gone.
    """
    if not 0 <= base <= 1:
        raise ConfigError(f"the share of the base weights must lie in 0..1, not {base}")
    if not config.network.backbone.endswith(".xml") and config.network.weights is None:
        raise ConfigError("this network was trained from noise: there are no base weights to keep a share of")
    before = PartNetwork(config.network, config.size).state_dict()
    kept = ("backbone.", "head.") if isinstance(network.head, RetailHead) else ("backbone.",)
    state = network.state_dict()
    for name, value in state.items():
        if name.startswith(kept) and value.is_floating_point():
            value.lerp_(before[name].to(value.device), base)
    return network
