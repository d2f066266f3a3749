"""Backbones by name. Each takes BGR pictures in 0..255, normalises them itself, and returns one feature map.

``NAME.xml``: an OpenVINO IR of person-reidentification-retail-0277 (C = 512, stride 16). ``resnet50``: torchvision,
last stride 1 (C = 2048, stride 16). ``mobilenet_v2``: torchvision, last stride 1 (C = 1280, stride 16). Any other name
is looked up in timm; a network with several resolutions kept to the end (HRNet) gives them all, resized to the finest
and concatenated, as BPBReID does; others give their last map.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamreid.errors import ConfigError, MissingExtraError, WeightsError
from streamreid.training.openvino_ir import IRModule, read_ir

__all__ = ["Backbone", "ImageNetInput", "make_backbone"]

RETAIL_MAP = "1126"  # the operation of retail-0277 whose result is the map in front of its pooling


class Backbone(NamedTuple):
    """A feature extractor.

    Attributes:
        module: From pictures ``[N, 3, H, W]`` to a map ``[N, C, Hf, Wf]``.
        channels: C.
        retail: The whole network where it is retail-0277, whose last layers the part head starts from.
    """

    module: nn.Module
    channels: int
    retail: IRModule | None = None


class ImageNetInput(nn.Module):
    """BGR 0..255 to RGB with ImageNet's mean and deviation, then a network.

    Args:
        network: Wants normalised RGB; may return one map or several.
        merge: Concatenate several maps at the finest resolution instead of taking the last.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, merge: bool = False) -> None:
        super().__init__()
        self.network, self.merge = network, merge
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalise RGB pictures [B, 3, H, W], and give the last feature map."""
        found = self.network((pictures.flip(1) - self.mean) / self.deviation)
        if isinstance(found, Tensor):
            return found
        if not self.merge:
            last: Tensor = found[-1]
            return last
        size = found[0].shape[2:]
        return torch.cat(
            [found[0], *(F.interpolate(f, size, mode="bilinear", align_corners=True) for f in found[1:])], 1
        )


def make_backbone(name: str, weights: str | None = None, freeze: int = 0) -> Backbone:
    """Build a backbone.

    Args:
        name: See the module.
        weights: ``None`` starts from noise, ``hub`` fetches the library's ImageNet weights, anything else is a file
            with a state dict.
        freeze: See `IRModule.freeze`; only for IRs.

    Raises:
        ConfigError: The name is unknown, or ``freeze`` is asked of a network that is not an IR.
        WeightsError: A weights file is missing or does not fit.
    """
    if name.endswith(".xml"):
        module = read_ir(name, output=RETAIL_MAP)
        module.freeze(freeze)
        return Backbone(module, 512, read_ir(name))
    if freeze:
        raise ConfigError(f"network.freeze: only networks read from an OpenVINO IR can be frozen in part, not '{name}'")
    if name in ("resnet50", "mobilenet_v2"):
        return _torchvision(name, weights)
    return _timm(name, weights)


def _torchvision(name: str, weights: str | None) -> Backbone:
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtraError("torchvision", "train", f"The backbone '{name}'") from error
    network = models.get_model(name, weights="DEFAULT" if weights == "hub" else None)
    if weights not in (None, "hub"):
        _load(network, weights)
    if name == "resnet50":
        first = network.layer4[0]
        first.conv2.stride = first.downsample[0].stride = (1, 1)
        return Backbone(ImageNetInput(nn.Sequential(*list(network.children())[:-2])), 2048)
    network.features[14].conv[1][0].stride = (1, 1)
    return Backbone(ImageNetInput(network.features), 1280)


def _timm(name: str, weights: str | None) -> Backbone:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("timm", "train", f"The backbone '{name}'") from error
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "none"
        raise ConfigError(
            f"network.backbone: '{name}' is no .xml file, not resnet50 or mobilenet_v2, and unknown to timm (similar "
            f"there: {near})"
        )
    merge = name.startswith("hrnet")
    network = timm.create_model(
        name, features_only=True, pretrained=weights == "hub", **({"out_indices": (1, 2, 3, 4)} if merge else {})
    )
    if weights not in (None, "hub"):
        _load(network, weights)
    channels = network.feature_info.channels()
    return Backbone(ImageNetInput(network, merge), sum(channels) if merge else channels[-1])


def _load(network: nn.Module, weights: str | None) -> None:
    """Load a state dict by name; the classifier may be missing."""
    path = Path(str(weights))
    if not path.is_file():
        raise WeightsError(
            f"network.weights: {path} does not exist; give a file, 'hub', or leave it out to start from noise"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    wanted = network.state_dict()
    fitting = {k: v for k, v in state.items() if k in wanted and v.shape == wanted[k].shape}
    floats = [k for k in wanted if wanted[k].is_floating_point() and not k.startswith(("fc.", "classifier."))]
    missing = [k for k in floats if k not in fitting]
    if len(missing) > 0.02 * len(floats):
        raise WeightsError(
            f"{path}: does not fit the network, {len(missing)} of {len(floats)} tensors are missing or of another "
            f"shape, such as {missing[0]}"
        )
    network.load_state_dict(fitting, strict=False)
