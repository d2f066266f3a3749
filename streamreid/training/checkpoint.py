"""Checkpoints: everything that has to survive an interruption, written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from streamreid.errors import ConfigError, DataError
from streamreid.files import atomic_write
from streamreid.training.network import PartNetwork
from streamreid.training.optimizer import MovingAverage
from streamreid.training.recipe import TrainConfig

__all__ = ["Checkpoint", "load_network", "take_over"]

_FREE = {
    "out",
    "cache",
    "compile",
    "save_every",
    "validate_every",
    "tensorboard",
    "devices",
    "nodes",
    "workers",
}  # may differ when a training goes on


def _read(path: str | Path, what: str, advice: str) -> dict[str, Any]:
    """What a checkpoint holds, its recipe checked."""
    if not Path(path).is_file():
        raise ConfigError(f"{what}: {path} does not exist; {advice}")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        TrainConfig.model_validate_json(state["config"])
    except Exception as error:  # torch's unpickler fails in many ways on a file that is none of its own
        raise DataError(f"{path}: not a checkpoint of streamreid ({type(error).__name__}); {advice}") from error
    return state


def load_network(path: str | Path, *, averaged: bool = True) -> tuple[PartNetwork, TrainConfig, int]:
    """The network of a checkpoint (its moving average by default), its recipe, and the number of steps done.

    Raises:
        ConfigError: The file is missing.
        DataError: It is no checkpoint of a training.
    """
    state = _read(path, "checkpoint", "name best.pt or last.pt of a training")
    config = TrainConfig.model_validate_json(state["config"])
    # Every weight comes from the checkpoint: ImageNet's need not be at hand any more.
    network = PartNetwork(config.network.model_copy(update={"weights": None}), config.size)
    network.load_state_dict(state["average"]["state"] if averaged else state["network"])
    return network.eval(), config, int(state["step"])


def take_over(path: str, network: PartNetwork, heads: nn.ModuleDict) -> None:
    """Copy the averaged weights of a checkpoint, and its classifiers if they are of the same people, where names and
    shapes fit.

    Raises:
        ConfigError: The file is missing, or nothing fits.
    """
    state = _read(path, "start", "name best.pt or last.pt of a training")
    taken = 0
    for module, source in ((network, state["average"]["state"]), (heads, state["heads"])):
        own = module.state_dict()
        fitting = {k: v for k, v in source.items() if k in own and own[k].shape == v.shape}
        module.load_state_dict(fitting, strict=False)
        taken += len(fitting)
    if not taken:
        raise ConfigError(f"start: no tensor of {path} fits this network")


class Checkpoint:
    """Everything that has to survive an interruption, written atomically.

    Args:
        out: Folder of the training.
        config: Its recipe.
        network: Its state is saved and restored, as are those of the others.
        heads: Identity classifiers.
        average: Moving average of the network.
        optimizer: With its moments.
    """

    def __init__(
        self,
        out: Path,
        config: TrainConfig,
        network: PartNetwork,
        heads: nn.ModuleDict,
        average: MovingAverage,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.out, self.config = out, config
        self.network, self.heads, self.average, self.optimizer = network, heads, average, optimizer
        self.best = -1.0

    def _recipe(self, config: TrainConfig) -> dict[str, Any]:
        """What must be the same to go on; read through the model, so that settings added since count as their
        defaults."""
        kept: dict[str, Any] = json.loads(config.model_dump_json(exclude=_FREE))
        del kept["schedule"]["steps"]  # a training may be made longer
        return kept

    def load(self) -> int:
        """Restore ``last.pt``; returns the number of steps done."""
        path = self.out / "last.pt"
        if not path.exists():
            self.out.mkdir(parents=True, exist_ok=True)
            return 0
        state = _read(path, "out", "move it away or choose another 'out'")
        recipe = self._recipe(TrainConfig.model_validate_json(state["config"]))
        own = self._recipe(self.config)
        if recipe != own:
            wrong = [k for k in recipe if recipe[k] != own.get(k)]
            raise ConfigError(
                f"{path}: belongs to another recipe (different: {', '.join(wrong)}); choose another 'out' to start "
                "anew. Nothing was changed."
            )
        self.network.load_state_dict(state["network"])
        self.heads.load_state_dict(state["heads"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best = float(state["best"])
        return int(state["step"])

    def keep(self, score: float, step: int, *, last: bool) -> None:
        """Save ``best.pt`` if the score is the best so far, and ``last.pt`` if it is time."""
        if score > self.best:
            self.best = score
            self.save("best.pt", step)
        if last:
            self.save("last.pt", step)

    def save(self, name: str, step: int) -> None:
        """Write a checkpoint under a temporary name, then rename it."""
        state = {
            "step": step,
            "best": self.best,
            "config": self.config.model_dump_json(),
            "network": self.network.state_dict(),
            "heads": self.heads.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_write(self.out / name, durable=True) as part:
            torch.save(state, part)
