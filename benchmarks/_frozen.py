"""Training what lies behind the frozen layers on feature maps that are computed once: a row of the ablation in minutes
on a CPU. See ablation.py."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from streamreid.datasets.identity_split import split_people
from streamreid.training.checkpoint import take_over
from streamreid.training.data import PictureCache, make_batch
from streamreid.training.heads import identity_heads
from streamreid.training.network import PartNetwork
from streamreid.training.objective import Learner
from streamreid.training.openvino_ir import IRModule
from streamreid.training.optimizer import MovingAverage, gradient_norm, make_optimizer, rate_factor
from streamreid.training.precision import computes_bf16
from streamreid.training.recipe import AugmentationConfig, TrainConfig
from streamreid.training.weight_imprinting import imprint_embeddings, some_rows

COPIES = 2

BF16 = computes_bf16(torch.device("cpu"))
"""Whether this CPU computes bfloat16 in hardware; others compute in float32, which is faster on them."""


class Maps:
    """Feature maps of training pictures and their occluded copies, from the layers that stay as pretrained.

    Args:
        config: Of the row; data and size matter.
        folder: Where the maps are kept.
        stem: From BGR pictures to maps.
        name: Tells maps of different stems apart.
    """

    maps: np.ndarray
    labels: np.ndarray

    def __init__(self, config: TrainConfig, folder: Path, stem: nn.Module, name: str) -> None:
        pieces, people, cameras, usual = [], [], [], []
        self.identities = 0
        for dataset in config.data:
            split = split_people((dataset,))
            rows = some_rows(*(np.array([getattr(p, n) for p in split.train]) for n in ("identity", "camera")), 1)
            cache = PictureCache([split.train[r] for r in rows], folder, config.size, split.parts)
            pieces += [
                self._piece(stem, cache, i, folder / f"{name}-{len(cache)}-{i}.npz") for i in range(0, len(cache), 256)
            ]
            people.append(cache.identities + self.identities)
            cameras.append(cache.cameras)
            usual.append(cache.usual_areas())
            self.identities += split.identities
        for name in ("maps", "labels", "usable", "sides", "shares"):
            setattr(self, name, np.concatenate([p[name] for p in pieces], 1))  # [1 + copies, rows, ...]
        self.people, self.cameras, self.usual = (
            np.concatenate(people),
            np.concatenate(cameras),
            torch.from_numpy(np.mean(usual, 0)),
        )
        seen = {p: np.flatnonzero(self.people == p) for p in np.unique(self.people).tolist()}
        self.rows = {p: rows for p, rows in seen.items() if len(np.unique(self.cameras[rows])) > 1}

    @staticmethod
    @torch.no_grad()
    def _piece(stem: nn.Module, cache: PictureCache, first: int, file: Path) -> dict[str, np.ndarray]:
        """Some of the maps, from their file or computed."""
        if file.exists():
            return dict(np.load(file))
        found: dict[str, list[np.ndarray]] = {n: [] for n in ("maps", "labels", "usable", "sides", "shares")}
        for start in range(first, min(first + 256, len(cache)), 16):
            batch = make_batch(
                cache,
                np.arange(start, min(start + 16, first + 256, len(cache))),
                AugmentationConfig(copies=COPIES),
                seed=0,
                step=start,
            )
            pictures = (
                torch.from_numpy(batch.pictures)
                .permute(0, 3, 1, 2)
                .float()
                .contiguous(memory_format=torch.channels_last)
            )
            with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
                maps = stem(pictures)
            columns = (maps.half().numpy(), batch.labels.astype(np.float16), batch.usable, batch.sides, batch.shares)
            for name, values in zip(found, columns, strict=True):
                found[name].append(values.reshape(1 + COPIES, -1, *values.shape[1:]))
        piece = {name: np.concatenate(values, 1) for name, values in found.items()}
        temporary = file.with_suffix(".part.npz")
        np.savez(temporary, **piece)
        temporary.replace(file)
        print(f"maps of {first + piece['maps'].shape[1]} of {len(cache)} pictures", flush=True)
        return piece

    def batch(self, config: TrainConfig, step: int) -> tuple[Tensor, dict[str, Tensor], int]:
        """Maps and labels of P people with one picture of each of two cameras, whole and occluded; without copies twice
        the people."""
        random = np.random.default_rng((config.seed, step))
        copies = min(config.augmentation.copies, 1)
        people = random.choice(list(self.rows), config.schedule.people * (2 - copies), replace=False)
        rows = np.concatenate([random.permutation(self.rows[p])[:2] for p in people.tolist()])
        groups = [np.zeros(len(rows), int), *([random.integers(1, 1 + COPIES, len(rows))] if copies else [])]
        pick = lambda values: torch.from_numpy(np.concatenate([values[g, rows] for g in groups]))  # noqa: E731
        tensors = {n: pick(getattr(self, n)) for n in ("usable", "sides", "shares")} | {
            "labels": pick(self.labels).float()
        }
        tensors["identities"] = torch.from_numpy(np.tile(self.people[rows], 1 + copies))
        return _last(np.concatenate([self.maps[g, rows] for g in groups])), tensors, len(rows)


class Remembered(nn.Module):
    """A backbone that computes the map of every picture once and keeps it in files.

    Args:
        backbone: From BGR pictures to maps; computes in bfloat16 where the CPU has it.
        folder: Where maps are kept between rows.
        name: Tells maps of different backbones apart.
        at_once: Maps per file.
    """

    def __init__(self, backbone: nn.Module, folder: Path, name: str = "remembered", at_once: int = 256) -> None:
        super().__init__()
        self.backbone, self.folder, self.name, self.at_once = backbone, folder, name, at_once
        self.known: dict[str, np.ndarray] = {}
        for file in sorted(folder.glob(f"{name}-*[0-9].npz")):
            self.known.update(np.load(file))
        self.new: dict[str, np.ndarray] = {}

    def forward(self, pictures: Tensor) -> Tensor:
        """The maps."""
        keys = [hashlib.sha1(p.contiguous().numpy().tobytes(), usedforsecurity=False).hexdigest() for p in pictures]
        missing = [i for i, key in enumerate(keys) if key not in self.known]
        if missing:
            with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
                maps = self.backbone(pictures[missing].contiguous(memory_format=torch.channels_last)).half().numpy()
            self.new.update(zip((keys[i] for i in missing), maps, strict=True))
            self.known.update(self.new)
            if len(self.new) >= self.at_once:
                self.save()
        return _last(np.stack([self.known[k] for k in keys]))

    def save(self) -> None:
        """Write what was added, so that an interruption costs little."""
        if self.new:
            file = self.folder / f"{self.name}-{len(self.known):06d}.npz"
            temporary = file.with_suffix(".part.npz")
            np.savez(temporary, **self.new)  # type: ignore[arg-type]
            temporary.replace(file)
            self.new = {}
            print(f"maps of {len(self.known)} pictures of query and gallery", flush=True)


def split_backbone(backbone: nn.Module, frozen: int | None) -> tuple[IRModule, IRModule]:
    """The layers up to the n-th average pooling, and those behind it; both share the backbone's parameters.

    Args:
        backbone: The whole.
        frozen: n, as in ``network.freeze``; None takes all layers into the first part.
    """
    assert isinstance(backbone, IRModule)
    pools = [i for i, s in enumerate(backbone._steps) if s.kind == "AvgPool"]
    cut = 1 + (len(backbone._steps) - 1 if frozen is None else pools[frozen - 1])
    stem, rest = copy.copy(backbone), copy.copy(backbone)
    stem._steps, rest._steps = backbone._steps[:cut], backbone._steps[cut:]
    stem._output = rest._input = stem._steps[-1].output
    assert {i for s in rest._steps for i in s.inputs} <= {rest._input, *(s.output for s in rest._steps)}, (
        "layers reach across the cut"
    )
    return stem, rest


def train_kept(config: TrainConfig, folder: Path, frozen: int | None) -> PartNetwork:
    """Train what lies behind the frozen layers of a row's network; the network with averaged weights.

    Args:
        config: Of the row; its backbone must be an OpenVINO IR.
        folder: Where maps are kept.
        frozen: See `split_backbone`.
    """
    torch.manual_seed(config.seed)
    network = PartNetwork(config.network, config.size)
    backbone = network.backbone
    stem, network.backbone = split_backbone(backbone, frozen)
    maps = Maps(config, folder, stem.eval(), f"maps{_suffix(frozen)}")
    heads = identity_heads(*network.shape, maps.identities)
    network.usual.copy_(maps.usual)
    if config.start:
        take_over(config.start, network, heads)
    _imprint(network, heads, maps)
    learner, average = Learner(network, heads, config.losses), MovingAverage(network, config.schedule.average)
    optimizer = make_optimizer(network, heads, config.schedule)
    for step in range(config.schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["highest"] * rate_factor(step, config.schedule.steps, config.schedule.warmup)
        learner.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16 and frozen is not None):
            loss = torch.stack(list(learner(*maps.batch(config, step)).values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        gradient_norm([p for g in optimizer.param_groups for p in g["params"]], config.schedule.clip)
        optimizer.step()
        average.update(network)
        if step % 25 == 0:
            print(f"{Path(config.out).name} {step}/{config.schedule.steps} loss {float(loss.detach()):.2f}", flush=True)
    network.load_state_dict(average.state)
    network.backbone = backbone
    return network.eval()


def remember(network: PartNetwork, folder: Path, frozen: int | None) -> Remembered:
    """Let a network look at every picture only once for all rows, as far as its frozen layers reach; `Remembered.save`
    what it saw."""
    stem, rest = split_backbone(network.backbone, frozen)
    remembered = Remembered(stem, folder, f"remembered{_suffix(frozen)}")
    network.backbone = nn.Sequential(remembered, rest).eval()
    return remembered


def _suffix(frozen: int | None) -> str:
    return "" if frozen is None else str(frozen)


@torch.no_grad()
def _imprint(network: PartNetwork, heads: nn.ModuleDict, maps: Maps) -> None:
    network.eval()
    found: list[Tensor] = []
    for first in range(0, maps.maps.shape[1], 64):
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            found.append(network(_last(maps.maps[0, first : first + 64])).embeddings.float())
    imprint_embeddings(heads, torch.cat(found), torch.from_numpy(maps.people))


def _last(maps: np.ndarray) -> Tensor:
    return torch.from_numpy(maps).float().contiguous(memory_format=torch.channels_last)


__all__ = ["Maps", "Remembered", "remember", "split_backbone", "train_kept"]
