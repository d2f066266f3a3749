"""Learning rates, parameter groups and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from streamreid.errors import ConfigError
from streamreid.training.heads import RetailHead
from streamreid.training.recipe import ScheduleConfig

__all__ = ["MovingAverage", "gradient_norm", "make_optimizer", "rate_factor", "set_training"]


def rate_factor(step: int, steps: int, warmup: float, floor: float = 0.01) -> float:
    """Share of the highest learning rate at a step: linear warm-up, then half a cosine down to ``floor``."""
    rising = max(1, round(steps * warmup))
    if step < rising:
        return (step + 1) / rising
    progress = (step - rising) / max(1, steps - rising)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def set_training(network: nn.Module, heads: nn.Module, only: Sequence[str] = ()) -> None:
    """Training mode; with ``only``, for these modules of the network alone, all others keep their statistics."""
    network.train()
    heads.train(not only)
    for name, module in network.named_children():
        module.train(not only or _plain(name) in only)


def _plain(name: str) -> str:
    return "focuser" if name == "feature_focuser" else name


def make_optimizer(network: nn.Module, heads: nn.Module, config: ScheduleConfig) -> torch.optim.AdamW:
    """AdamW with a slower backbone and pretrained head; vectors (biases, scales) are not decayed.

    Raises:
        ConfigError: ``only`` names no module of this network.
    """
    if config.only:
        heads.requires_grad_(False)
        found = {_plain(name) for name, _ in network.named_children()}
        if not found & set(config.only):
            raise ConfigError(f"schedule.only: this network has none of {', '.join(config.only)}")
        for name, module in network.named_children():
            if _plain(name) not in config.only:
                module.requires_grad_(False)
    slow = config.rate * config.backbone_rate
    groups: list[dict[str, object]] = []
    for name, module in network.named_children():
        pretrained = name == "backbone" or isinstance(module, RetailHead)
        embedding = config.rate * config.classifier_rate if name == "head" else config.rate
        groups += _groups(module, slow if pretrained else embedding, config.decay)
    # A step changes a logit by the rate times the width, so a wide classifier would forget its imprinted people.
    widths = [_width(head) for head in heads.children()]
    for head, width in zip(heads.children(), widths, strict=True):
        groups += _groups(head, config.rate * config.classifier_rate * min(widths) / width, config.decay)
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=config.rate)


def _width(head: nn.Module) -> int:
    return next(p.shape[1] for p in head.parameters() if p.ndim == 2)


def _groups(module: nn.Module, rate: float, decay: float) -> list[dict[str, object]]:
    parameters = [p for p in module.parameters() if p.requires_grad]
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim == 1]
    scalars = [p for p in parameters if p.ndim == 0]  # gates that start closed and must open within the training
    return [
        {"params": scalars, "lr": 10 * rate, "highest": 10 * rate, "weight_decay": 0.0},
        {"params": matrices, "lr": rate, "highest": rate, "weight_decay": decay},
        {"params": vectors, "lr": rate, "highest": rate, "weight_decay": 0.0},
    ]


class MovingAverage:
    """Exponential moving average of a network's parameters and buffers.

    The decay of step t is ``min(decay, (1 + t) / (10 + t))``, so early steps do not hold on to the start.

    Args:
        network: Whose weights are averaged.
        decay: The final decay.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the current weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value.detach(), 1 - decay)
            else:
                self.state[key].copy_(value)

    def to(self, device: torch.device) -> None:
        """Move the averaged weights to a device."""
        self.state = {k: v.to(device) for k, v in self.state.items()}

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint keeps: the number of updates and the averages."""
        return {"updates": self.updates, "state": self.state}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self.updates = int(state["updates"])  # type: ignore[call-overload]
        self.state = {k: v.clone() for k, v in state["state"].items()}  # type: ignore[attr-defined]


def gradient_norm(parameters: Iterable[Tensor], limit: float) -> float:
    """Clip the gradient norm (0 does not clip) and return what it was."""
    return float(nn.utils.clip_grad_norm_(parameters, limit if limit > 0 else float("inf")))
