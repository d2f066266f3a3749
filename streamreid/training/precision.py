"""What arithmetic pays on a device, and whether a network is compiled."""

from __future__ import annotations

import logging
from typing import Literal

import torch
from torch import nn

from streamreid.runtimes.machine import BF16_FLAGS, cpu_flags

__all__ = ["computes_bf16", "is_compiled", "training_precision"]

log = logging.getLogger(__name__)


def computes_bf16(device: torch.device) -> bool:
    """Whether a device computes bfloat16 in hardware; true of CPUs that do not say which instructions they have.

    torch computes bfloat16 on other CPUs too, in software: a forward pass of retail-0277 takes about 15 times as long
    as in float32 (AMD EPYC with AVX2).
    """
    flags = cpu_flags()
    return device.type != "cpu" or not flags or bool(BF16_FLAGS & flags)


def training_precision(asked: Literal["bf16-mixed", "32-true"]) -> Literal["bf16-mixed", "32-true"]:
    """The precision that a recipe asks for, or float32 where this machine computes bfloat16 in software.

    Args:
        asked: ``precision`` of the recipe.
    """
    if asked == "bf16-mixed" and not torch.cuda.is_available() and not computes_bf16(torch.device("cpu")):
        log.info("precision: this CPU computes bfloat16 in software, which is slow; training runs in float32")
        return "32-true"
    return asked


def is_compiled(network: nn.Module) -> bool:
    """Whether a network or a part of it is compiled (`nn.Module.compile`); each new batch size compiles it anew."""
    return any(getattr(module, "_compiled_call_impl", None) is not None for module in network.modules())
