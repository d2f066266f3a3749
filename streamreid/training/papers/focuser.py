"""Fine-grained feature focuser of PAB-ReID, in two readings: on the attention maps, or on the features that parts are
pooled from.

PAB-ReID's own layers are not published; these are the layers of the sibling method AMD-Net (Electronics Letters 60(9),
2024, e13217). Both readings are scaled by a number that starts at 0, so the network starts as if there were no focuser,
and its effect can be measured.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FeatureFocuser", "Focuser", "FocuserBlock"]


class FocuserBlock(nn.Module):
    """From u0 to ``3 d0 + u2 + mix(u2 (1 + gate(u2)))`` with ``d0 = relu(first(u0))``, ``u2 = relu(second(relu(u0 +
    first(u0))))``.

    Args:
        channels: Channels n. With n = 6 this has 1,443 parameters, with n = 9 3,189.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _double_convolution(channels), _double_convolution(channels)
        self.gate = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 1),
            nn.BatchNorm2d(1),
            nn.Sigmoid(),
        )
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.xavier_normal_(self.mix.weight)

    def forward(self, u0: Tensor) -> Tensor:
        """Refine a feature map; the result has the same shape and is not bounded."""
        change = self.first(u0)
        u2 = F.relu(self.second(F.relu(u0 + change)))
        block: Tensor = 3 * F.relu(change) + u2 + self.mix(u2 * (1 + self.gate(u2)))
        return block


class Focuser(nn.Module):
    """On the attention maps: ``logits + scale * block(softmax(logits))``.

    Args:
        maps: Number of maps n = 1 + parts.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.block = FocuserBlock(maps)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, logits: Tensor) -> Tensor:
        """Refined logits of the same shape."""
        refined: Tensor = logits + self.scale * self.block(logits.softmax(1))
        return refined


class FeatureFocuser(nn.Module):
    """On features, reduced to ``width`` channels by a 1x1 convolution: ``reduced + scale * block(reduced)``.

    Args:
        channels: Channels C of the map.
        width: Channels inside; the block has 9.97 million parameters at 512.
        restore: Add the block's result, brought back to C channels, to the map itself instead of returning the reduced
            one.
    """

    def __init__(self, channels: int, width: int = 512, restore: bool = False) -> None:
        super().__init__()
        self.reduce = nn.Identity() if channels == width else nn.Conv2d(channels, width, 1)
        self.block = FocuserBlock(width)
        self.back = nn.Conv2d(width, channels, 1, bias=False) if restore and channels != width else nn.Identity()
        self.scale = nn.Parameter(torch.zeros(()))
        self.restore = restore

    def forward(self, features: Tensor) -> Tensor:
        """``[N, C, H, W]`` with ``restore``, else ``[N, width, H, W]``."""
        reduced = self.reduce(features)
        focused: Tensor = (features if self.restore else reduced) + self.scale * self.back(self.block(reduced))
        return focused


def _double_convolution(channels: int) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
    )
    for layer in (layers[0], layers[3]):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out")  # type: ignore[arg-type]
    return layers
