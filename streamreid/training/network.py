"""The part network: attention over body parts on a backbone's feature map, one embedding and one visibility per part.

Part attention and pixel-level predictor follow PAB-ReID (arXiv 2404.03443) as far as it is known, in the form of
BPBReID (arXiv 2211.03679). Ours, and not from the papers: on retail-0277 every slot pools with the pretrained spatial
weights, so that training starts from the pretrained whole-person embedding instead of from nothing (see `heads`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamreid.training.backbones import make_backbone
from streamreid.training.heads import PooledHead, RetailHead, retail_head
from streamreid.training.papers.focuser import FeatureFocuser, Focuser
from streamreid.training.papers.oamn.modules import MapGrader, MaskModule, OcclusionGrader
from streamreid.training.recipe import NetworkConfig

__all__ = ["ContextPredictor", "PartNetwork", "PartOutput", "PixelPredictor", "visibility_of"]


class PartOutput(NamedTuple):
    """What the network computes for N pictures.

    Attributes:
        features: ``[N, C, H, W]`` backbone map.
        logits: ``[N, 1 + parts, H, W]`` of the pixel-level predictor, background first.
        attention: ``[N, 1 + parts, H, W]``, sums to 1 over channels.
        embeddings: ``[N, K, D]`` not normalised; slot 0 is the whole person.
        visibility: ``[N, K]`` in [0, 1], without gradient.
        mask: ``[N, 1, H, W]`` of OAMN's mask module, where there is one.
        occlusion: ``[N, 4]`` scores of OAMN's grader (left, right, bottom, top), where there is one.
        overall: ``[N, D]`` of all pixels alike, in training, where the head has such an embedding.
    """

    features: Tensor
    logits: Tensor
    attention: Tensor
    embeddings: Tensor
    visibility: Tensor
    mask: Tensor | None = None
    occlusion: Tensor | None = None
    overall: Tensor | None = None


class PixelPredictor(nn.Module):
    """BatchNorm and a 1x1 convolution to one logit per part and pixel, background first (BPBReID's form).

    Args:
        channels: Channels C of the feature map.
        parts: Number of parts without background.
    """

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.classify = nn.Conv2d(channels, parts + 1, 1)
        nn.init.normal_(self.classify.weight, std=0.001)
        nn.init.zeros_(self.classify.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``[N, parts + 1, H, W]``."""
        logits: Tensor = self.classify(self.norm(features))
        return logits


class ContextPredictor(nn.Module):
    """A deeper pixel-level predictor: reduced features plus a learnt position map, two 3x3 convolutions, one logit per
    part and pixel.

    Which body a pixel belongs to, the target's or that of somebody in front, cannot be told from the pixel alone; and
    heads are above feet. Ours: the papers leave the predictor's layers open (PAB-ReID) or take a single 1x1 convolution
    (BPBReID, see `PixelPredictor`).

    Args:
        channels: Channels C of the feature map.
        parts: Number of parts without background.
        size: Height and width of the feature map.
        inner: Channels inside.
    """

    def __init__(self, channels: int, parts: int, size: tuple[int, int], inner: int = 128) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.BatchNorm2d(channels), nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner)
        )
        self.position = nn.Parameter(torch.zeros(inner, *size))
        self.mix = nn.Sequential(
            *(
                layer
                for _ in range(2)
                for layer in (nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner), nn.ReLU())
            )
        )
        self.classify = nn.Conv2d(inner, parts + 1, 1)
        nn.init.normal_(self.position, std=0.1)
        nn.init.normal_(self.classify.weight, std=0.001)
        nn.init.zeros_(self.classify.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``[N, parts + 1, H, W]``."""
        logits: Tensor = self.classify(self.mix(F.relu(self.reduce(features) + self.position)))
        return logits


class PartNetwork(nn.Module):
    """Backbone, pixel-level predictor, part head and visibilities; optional focuser, and OAMN's mask module and
    occlusion grader.

    Args:
        config: Names the backbone and switches the heads.
        size: Height and width of the pictures.
    """

    def __init__(self, config: NetworkConfig, size: tuple[int, int] = (256, 128)) -> None:
        super().__init__()
        self.config = config
        found = make_backbone(config.backbone, config.weights, config.freeze)
        self.backbone = found.module
        parts = len(config.parts)
        self.focuser = Focuser(1 + parts) if config.focuser == "maps" else None
        self.feature_focuser: FeatureFocuser | None = None
        if config.focuser == "features":  # retail-0277's own layers behind it want as many channels as before
            self.feature_focuser = FeatureFocuser(
                found.channels, config.focuser_width, restore=found.retail is not None
            )
        self.map_size = self._map_size(size)
        if found.retail:
            self.head: RetailHead | PooledHead = retail_head(found.retail, 1 + parts, self.map_size)
        else:
            self.head = PooledHead(
                found.channels, config.dim, config.focuser_width if self.feature_focuser is not None else None
            )
        self.shape = (1 + parts, self.head.dim)
        self.predictor: PixelPredictor | ContextPredictor = PixelPredictor(found.channels, parts)
        if config.predictor == "context":
            self.predictor = ContextPredictor(found.channels, parts, self.map_size)
        self.masker = MaskModule(found.channels, *self.map_size) if config.mask == "rgas" else None
        self.grader: OcclusionGrader | MapGrader | None = None
        if config.grader:
            self.grader = MapGrader(self.map_size) if config.grader_sees == "map" else OcclusionGrader(found.channels)
        self.usual: Tensor
        self.register_buffer("usual", torch.full((parts,), 0.1))

    @torch.no_grad()
    def _map_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the feature map, found by looking at one grey picture."""
        training = self.backbone.training
        self.backbone.eval()
        height, width = self.backbone(torch.full((1, 3, *size), 128.0)).shape[2:]
        self.backbone.train(training)
        return int(height), int(width)

    def forward(self, pictures: Tensor) -> PartOutput:
        """Run on BGR pictures ``[N, 3, H, W]`` in 0..255."""
        features = self.backbone(pictures)
        logits = self.predictor(features)
        attention = (self.focuser(logits) if self.focuser is not None else logits).float().softmax(1)
        mask = self.masker(features) if self.masker is not None else None
        embeddings = self.embeddings(features, attention, mask)
        visibility = visibility_of(attention, self.config.visibility, self.config.mu, self.usual)
        # Without OAMN's own mask the grader looks where the part attention sees the person.
        occlusion = (
            self.grader(features, 1 - attention[:, :1] if mask is None else mask) if self.grader is not None else None
        )
        overall = self.head.overall(features) if self.training and isinstance(self.head, PooledHead) else None
        return PartOutput(features, logits, attention, embeddings, visibility, mask, occlusion, overall)

    def embeddings(self, features: Tensor, attention: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings ``[N, K, D]`` of a feature map under an attention and OAMN's mask (``[N, 1, H, W]``)."""
        weights = attention.detach() if self.config.attention == "supervised" else attention
        masked = features if mask is None else features * mask
        embeddings: Tensor = self.head(
            masked, weights, self.feature_focuser(masked) if self.feature_focuser is not None else None
        )
        return embeddings


def visibility_of(attention: Tensor, mode: str, mu: float, usual: Tensor) -> Tensor:
    """Visibility of the whole person and of every part.

    Args:
        attention: ``[N, 1 + parts, H, W]``, background first.
        mode: ``threshold``: 1 where the maximum is above ``mu`` (PAB-ReID's mu, BPBReID's lambda_v); ``argmax``: 1
            where the part wins at least one pixel; ``max``: the maximum itself; ``area``: how much of the part's usual
            area is seen, at most 1.
        mu: The threshold.
        usual: ``[parts]`` share of an uncovered picture that each part takes on average.

    Returns:
        ``[N, 1 + parts]`` without gradient. The whole person is as visible as its most visible part.
    """
    attention = attention.detach()
    maps = attention[:, 1:].flatten(2)
    if mode == "argmax":
        winner = F.one_hot(attention.flatten(2).argmax(1), attention.shape[1])[..., 1:]
        parts = winner.amax(1).to(attention.dtype)
    elif mode == "threshold":
        parts = (maps.amax(2) > mu).to(attention.dtype)
    elif mode == "area":
        # Divided before the mean: OpenVINO (2026.4) computes mean, division and clamp in one step, wrongly for batches
        # above 1.
        parts = (maps / usual[:, None]).mean(2).clamp(max=1)
    else:
        parts = maps.amax(2)
    return torch.cat([parts.amax(1, keepdim=True), parts], 1)
