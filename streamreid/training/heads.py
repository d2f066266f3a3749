"""From a feature map and part attention to one embedding per slot (slot 0 the whole person, then the parts)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamreid.training.openvino_ir import IRModule

__all__ = ["PooledHead", "RetailHead", "identity_heads", "retail_head", "unit"]


class PooledHead(nn.Module):
    """BPBReID's global-local block (arXiv 2211.03679): masked pooling, then linear layer, BatchNorm, ReLU.

    The whole person is the plain mean of ``A_fore * F`` over all pixels, ``A_fore`` the maximum over part maps; part k
    is the weighted mean ``sum_p A_k F / max(sum_p A_k, 1e-6)``. All parts share one reduction, the whole person has its
    own.

    Args:
        channels: Channels C of the map.
        dim: Values D per slot.
        part_channels: Channels of the map that parts are pooled from, where that is another one.
    """

    def __init__(self, channels: int, dim: int = 512, part_channels: int | None = None) -> None:
        super().__init__()
        self.whole, self.parts = _reduction(channels, dim), _reduction(part_channels or channels, dim)
        self.everything = _reduction(channels, dim)
        self.dim = dim

    def forward(self, features: Tensor, attention: Tensor, focused: Tensor | None = None) -> Tensor:
        """Embeddings ``[N, K, D]``.

        Args:
            features: ``[N, C, H, W]``.
            attention: ``[N, K, H, W]``, background first.
            focused: The map that parts are pooled from; ``features`` by default.
        """
        maps = attention[:, 1:]
        whole = (features * maps.amax(1, keepdim=True)).mean((2, 3))
        weights = maps.flatten(2) / maps.sum((2, 3)).clamp(min=1e-6)[..., None]
        pooled = torch.matmul(weights, (features if focused is None else focused).flatten(2).transpose(1, 2))
        parts = self.parts(pooled.flatten(0, 1)).reshape(-1, maps.shape[1], self.dim)
        return torch.cat([self.whole(whole)[:, None], parts], 1)

    def overall(self, features: Tensor) -> Tensor:
        """``[N, D]`` of the plain mean over all pixels, background included: GiLt's global embedding, which serves in
        training only."""
        found: Tensor = self.everything(features.mean((2, 3)))
        return found


class RetailHead(nn.Module):
    """Attention-weighted pooling with a spatial template, then one 256-d layer per slot, all starting as retail-0277's
    own.

    With retail-0277's pooling weights t (``[C, H, W]``), slot 0 is ``sum_p (1 - s * A_background(p)) t(p) F(p)`` with s
    = 0 at the start, which is exactly the pretrained embedding. Part k is ``sum_p A_k(p) t_k(p) F(p) * HW / sum_p
    A_k(p)``. Ours, not from the papers.

    Args:
        template: ``[C, H, W]`` pooling weights.
        bias: ``[C]`` bias of the pooling.
        weight: ``[D, C]`` of the embedding layer.
        shift: ``[D]`` bias of the embedding layer.
        slope: PReLU slope.
        slots: Number of slots K, whole person included.
    """

    def __init__(
        self, template: Tensor, bias: Tensor, weight: Tensor, shift: Tensor, slope: Tensor, slots: int
    ) -> None:
        super().__init__()
        self.template = nn.Parameter(template.repeat(slots, 1, 1, 1))
        self.bias = nn.Parameter(bias.repeat(slots, 1))
        self.weight = nn.Parameter(weight.repeat(slots, 1, 1))
        self.shift = nn.Parameter(shift.repeat(slots, 1))
        self.slope = nn.Parameter(slope.reshape(1, 1).repeat(slots, 1))
        self.suppress = nn.Parameter(torch.zeros(()))
        self.dim = len(shift)

    def forward(self, features: Tensor, attention: Tensor, focused: Tensor | None = None) -> Tensor:
        """See `PooledHead.forward`."""
        maps, source = attention.flatten(2), features.flatten(2)[:, None]
        if focused is not None:
            source = torch.cat([source, focused.flatten(2)[:, None].expand(-1, maps.shape[1] - 1, -1, -1)], 1)
        pixels = maps.shape[2]
        mass = maps[:, 1:].sum(2, keepdim=True)
        whole = 1 - self.suppress * maps[:, :1]
        parts = maps[:, 1:] * (pixels / mass.clamp(min=1e-3 * pixels))
        weights = torch.cat([whole, parts], 1)
        # Two matrix products: over pixels P ([N, K, C, P] x [N, K, P, 1]) and, slot by slot, over channels ([K, N, C] x
        # [K, C, D]).
        pooled = torch.matmul(source * self.template.flatten(2), weights[..., None]).squeeze(-1) + self.bias
        embedded = torch.matmul(pooled.transpose(0, 1), self.weight.transpose(1, 2)).transpose(0, 1) + self.shift
        return torch.where(embedded >= 0, embedded, embedded * self.slope)


def retail_head(full: IRModule, slots: int, size: tuple[int, int] = (16, 8)) -> RetailHead:
    """Take the last layers of retail-0277: pooling, linear layer with its folded normalisation, PReLU.

    Args:
        full: The whole network.
        slots: Number of slots K.
        size: Height and width of the feature map; for other pictures than 256 x 128 the pooling weights are resized,
            with the same sum.
    """
    template, pool_bias = full.constants_of("1127")
    if template.shape[2:] != size:
        area = template.shape[2] * template.shape[3] / (size[0] * size[1])
        template = (
            F.interpolate(template.transpose(0, 1), size, mode="bilinear", align_corners=False).transpose(0, 1) * area
        )
    weight, bias = full.constants_of("1136")
    scale, shift = (full.constants_of(name)[0].reshape(-1) for name in ("Multiply_18575", "1147"))
    slope = full.constants_of("1149")[0]
    return RetailHead(template[:, 0], pool_bias, weight * scale[:, None], bias * scale + shift, slope, slots)


def identity_heads(slots: int, dim: int, identities: int, overall: bool = False) -> nn.ModuleDict:
    """BNNeck classifiers on the whole person and on all parts together (GiLt; Luo et al., 2019): BatchNorm without
    bias, linear without bias.

    Args:
        slots: K.
        dim: D.
        identities: Number of people.
        overall: Also one on the plain mean over all pixels (see `PooledHead.overall`).
    """
    heads = nn.ModuleDict()
    for name, width in (("whole", dim), ("parts", (slots - 1) * dim), *([("overall", dim)] if overall else [])):
        norm, classify = nn.BatchNorm1d(width), nn.Linear(width, identities, bias=False)
        norm.bias.requires_grad_(False)
        nn.init.normal_(classify.weight, std=0.001)
        heads[name] = nn.Sequential(norm, classify)
    return heads


def _reduction(channels: int, dim: int) -> nn.Sequential:
    linear = nn.Linear(channels, dim)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.BatchNorm1d(dim), nn.ReLU())


def unit(embeddings: Tensor) -> Tensor:
    """Embeddings divided by their L2 norm, in float32."""
    return F.normalize(embeddings.float(), dim=-1)
