"""The training loop: one readable function on Lightning Fabric, resumable after any interruption."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from streamreid.errors import ConfigError, DataError, StreamReIDError
from streamreid.training import losses, oamn
from streamreid.training.data import Batch, PictureCache, batch_rows, make_batch
from streamreid.training.heads import identity_heads, unit
from streamreid.training.imprint import imprint
from streamreid.training.network import PartNetwork, PartOutput
from streamreid.training.occlusion import SIDES
from streamreid.training.optimise import MovingAverage, gradient_norm, make_optimizer, rate_factor
from streamreid.training.people import Picture, split_people
from streamreid.training.recipe import LossConfig, TrainConfig

__all__ = ["Validate", "compute_losses", "load_network", "take_over", "train"]

Validate = Callable[[PartNetwork, list[Picture]], dict[str, float]]
"""Scores of a network on the pictures of the held-out people; the key ``score`` decides which checkpoint is the best."""


def train(config: TrainConfig, validate: Validate | None = None, tell: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """Train a part network; goes on from ``OUT/last.pt`` where there is one.

    Args:
        config: The recipe.
        validate: Scores the averaged network on the held-out people from time to time.
        tell: Called after every step with the step's numbers.

    Returns:
        The last checkpoint. ``best.pt`` lies beside it when ``validate`` is given.

    Raises:
        DataError: See `split_people`.
        ConfigError: The checkpoint in ``OUT`` belongs to another recipe.
        StreamReIDError: The loss is not finite; the pictures of that batch are named and nothing is overwritten.
    """
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="auto", devices=1, precision=config.precision)
    torch.manual_seed(config.seed)
    out = Path(config.out)
    split = split_people(config.data)
    cache = PictureCache(split.train, Path(config.cache) if config.cache else out / "cache", config.size)
    network = PartNetwork(config.network, config.size).to(memory_format=torch.channels_last)
    heads = identity_heads(*network.shape, split.identities)
    network.usual.copy_(torch.from_numpy(cache.usual_areas()))
    if config.start:
        take_over(config.start, network, heads)
    average = MovingAverage(network, config.schedule.average)
    optimizer = make_optimizer(network, heads, config.schedule)
    state = _Checkpoint(out, config, network, heads, average, optimizer)
    first = state.load()
    if config.compile:
        network.backbone.compile()
    network.to(fabric.device)
    heads.to(fabric.device)
    if first == 0 and config.imprint and not config.start:
        imprint(heads, network, cache, bf16=config.precision == "bf16-mixed")
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(_prepare, cache, config, first, network.map_size)
        for step in range(first, config.schedule.steps):
            began = time.perf_counter()
            batch = upcoming.result()
            upcoming = pool.submit(_prepare, cache, config, step + 1, network.map_size)
            factor = rate_factor(step, config.schedule.steps, config.schedule.warmup)
            for group in optimizer.param_groups:
                group["lr"] = group["highest"] * factor
            numbers = _step(fabric, network, heads, optimizer, batch, config)
            if not math.isfinite(numbers["loss"]):
                raise StreamReIDError(_not_finite(step, cache, config))
            average.update(network)
            numbers |= {"step": step, "rate": factor, "seconds": time.perf_counter() - began}
            done = step + 1
            if validate and split.validation and (done % config.validate_every == 0 or done == config.schedule.steps):
                numbers |= _validated(validate, network, average, split.validation)
            state.write_row(numbers)
            if numbers.get("score", -1.0) > state.best:
                state.best = numbers["score"]
                state.save("best.pt", done)
            if done % config.save_every == 0 or done == config.schedule.steps:
                state.save("last.pt", done)
            if tell:
                tell(numbers)
    return out / "last.pt"


def compute_losses(output: PartOutput, heads: nn.ModuleDict, batch: dict[str, Tensor], config: LossConfig, whole: int) -> dict[str, Tensor]:
    """All weighted loss terms of one batch.

    Identity losses on the whole person and on all parts together, triplets on the distance over parts alone (GiLt, arXiv 2211.03679): were the whole person in that
    distance, it would satisfy the margin before the parts have learnt anything.

    Args:
        output: What the network computed for the whole pictures and, after them, their occluded copies.
        heads: Identity classifiers.
        batch: ``labels``, ``usable``, ``identities``, ``sides``, ``shares`` as tensors (see `Batch`), and ``usual``, the parts' usual areas.
        config: Weights.
        whole: Number of unoccluded pictures.
    """
    identities, labels, usable = batch["identities"], batch["labels"], batch["usable"]
    embeddings = output.embeddings.float()
    normalised = unit(embeddings)
    seen = _seen(labels, usable, batch["usual"])
    terms: dict[str, Tensor] = {}
    if config.identity:
        terms["identity"] = config.identity * losses.identity_loss(heads["whole"](embeddings[:, 0]), identities, config.smoothing)
        terms["identity_parts"] = config.identity * losses.identity_loss(
            heads["parts"](embeddings[:, 1:].flatten(1)), identities, config.smoothing
        )
    if config.part_triplet:
        loss = losses.part_triplet_loss(normalised[:, 1:], seen, identities, config.margin, config.triplet_mode)
        terms["part_triplet"] = config.part_triplet * loss
    if config.whole_triplet:
        distance = losses.part_distances(normalised[:, :1])[0]
        terms["whole_triplet"] = config.whole_triplet * losses.triplet_loss(distance, identities, config.margin)
    if config.pixels:
        terms["pixels"] = config.pixels * losses.pixel_loss(output.logits, labels, usable, config.pixel_smoothing)
    if config.grouped_triplet:
        loss = oamn.grouped_triplet_loss(embeddings[:, 0], identities, len(identities) // whole)
        terms["grouped_triplet"] = config.grouped_triplet * loss
    if output.occlusion is not None and config.grader:
        terms["grader"] = config.grader * oamn.grader_loss(output.occlusion.float(), batch["sides"], batch["shares"])
    return terms | _occlusion_terms(output, normalised, seen, batch, config, whole)


def _occlusion_terms(
    output: PartOutput, normalised: Tensor, seen: Tensor, batch: dict[str, Tensor], config: LossConfig, whole: int
) -> dict[str, Tensor]:
    """Losses between the pictures and their occluded copies."""
    copies = len(seen) // whole - 1
    if not copies:
        return {}
    terms: dict[str, Tensor] = {}
    features = output.features.float()
    if config.mask:
        labelled = (1 - batch["labels"][whole:, :1]) * batch["usable"][whole:, None, None, None]
        visible = labelled if output.mask is None else output.mask[whole:].float()
        terms["mask"] = config.mask * losses.mask_loss(features[:whole].repeat(copies, 1, 1, 1), features[whole:], visible)
    if config.halves and output.mask is not None and copies == len(SIDES):
        masked = (features * output.mask.float()).reshape(1 + copies, whole, *features.shape[1:])
        terms["halves"] = config.halves * oamn.halves_loss(masked[1:], masked[0], batch["shares"][whole : 2 * whole] == 0.5)
    if config.agreement:
        both = torch.cat([torch.ones_like(seen[whole:, :1]), seen[:whole].repeat(copies, 1) * seen[whole:]], 1)
        terms["agreement"] = config.agreement * losses.agreement_loss(normalised[:whole].repeat(copies, 1, 1), normalised[whole:], both)
    return terms


def load_network(path: str | Path, *, averaged: bool = True) -> tuple[PartNetwork, TrainConfig, int]:
    """The network of a checkpoint (its moving average by default), its recipe, and the number of steps done."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    config = TrainConfig.model_validate_json(state["config"])
    network = PartNetwork(config.network, config.size)
    network.load_state_dict(state["average"]["state"] if averaged else state["network"])
    return network.eval(), config, int(state["step"])


def take_over(path: str, network: PartNetwork, heads: nn.ModuleDict) -> None:
    """Copy the averaged weights of a checkpoint, and its classifiers if they are of the same people, where names and shapes fit.

    Raises:
        ConfigError: The file is missing, or nothing fits.
    """
    if not Path(path).is_file():
        raise ConfigError(f"start: {path} does not exist")
    state = torch.load(path, map_location="cpu", weights_only=True)
    taken = 0
    for module, source in ((network, state["average"]["state"]), (heads, state["heads"])):
        own = module.state_dict()
        fitting = {k: v for k, v in source.items() if k in own and own[k].shape == v.shape}
        module.load_state_dict(fitting, strict=False)
        taken += len(fitting)
    if not taken:
        raise ConfigError(f"start: no tensor of {path} fits this network")


def _step(
    fabric: Any, network: PartNetwork, heads: nn.ModuleDict, optimizer: torch.optim.Optimizer, batch: Batch, config: TrainConfig
) -> dict[str, float]:
    network.train()
    heads.train()
    pictures = torch.from_numpy(batch.pictures).to(fabric.device).permute(0, 3, 1, 2).float()
    tensors = {
        "labels": torch.from_numpy(batch.labels).to(fabric.device),
        "usable": torch.from_numpy(batch.usable).to(fabric.device),
        "identities": torch.from_numpy(batch.identities).to(fabric.device),
        "sides": torch.from_numpy(batch.sides).to(fabric.device),
        "shares": torch.from_numpy(batch.shares).to(fabric.device),
        "usual": network.usual,
    }
    with fabric.autocast():
        output = network(pictures)
        terms = compute_losses(output, heads, tensors, config.losses, batch.whole)
        loss = torch.stack([t.float() for t in terms.values()]).sum()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = gradient_norm([p for g in optimizer.param_groups for p in g["params"]], config.schedule.clip)
    value = float(loss.detach())
    if math.isfinite(value) and math.isfinite(norm):
        optimizer.step()
    return {"loss": value if math.isfinite(norm) else norm, "norm": norm} | {k: float(v.detach()) for k, v in terms.items()}


def _seen(labels: Tensor, usable: Tensor, usual: Tensor) -> Tensor:
    """How much of each part's usual area a label shows, ``[N, parts]`` in [0, 1]; less than half a cell is nothing. Without a label everything counts as seen."""
    area = labels[:, 1:].mean((2, 3))
    half_cell = 0.5 / (labels.shape[2] * labels.shape[3])
    seen = torch.where(area < half_cell, torch.zeros_like(area), (area / usual).clamp(max=1))
    return torch.where(usable[:, None], seen, torch.ones_like(seen))


def _prepare(cache: PictureCache, config: TrainConfig, step: int, map_size: tuple[int, int]) -> Batch:
    rows = batch_rows(
        cache.identities, cache.cameras, people=config.schedule.people, pictures=config.schedule.pictures, seed=config.seed, step=step
    )
    return make_batch(cache, rows, config.augmentation, seed=config.seed, step=step, map_size=map_size)


def _validated(validate: Validate, network: PartNetwork, average: MovingAverage, pictures: list[Picture]) -> dict[str, float]:
    """Score the averaged weights, then put the trained ones back."""
    own = {k: v.detach().clone() for k, v in network.state_dict().items()}
    network.load_state_dict(average.state)
    try:
        return validate(network, pictures)
    finally:
        network.load_state_dict(own)


def _not_finite(step: int, cache: PictureCache, config: TrainConfig) -> str:
    rows = batch_rows(
        cache.identities, cache.cameras, people=config.schedule.people, pictures=config.schedule.pictures, seed=config.seed, step=step
    )
    names = ", ".join(cache.pictures[r].path.name for r in rows)
    return f"step {step}: the loss or its gradient is not finite. Checkpoints are untouched. Lower schedule.rate, or look at the pictures of this batch: {names}"


class _Checkpoint:
    """Everything that has to survive an interruption, written atomically."""

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
        """What must be the same to go on; read through the model, so that settings added since count as their defaults."""
        kept: dict[str, Any] = json.loads(config.model_dump_json(exclude={"out", "cache", "compile", "save_every", "validate_every"}))
        del kept["schedule"]["steps"]  # a training may be made longer
        return kept

    def load(self) -> int:
        """Restore ``last.pt``; returns the number of steps done."""
        path = self.out / "last.pt"
        if not path.exists():
            self.out.mkdir(parents=True, exist_ok=True)
            return 0
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            recipe = self._recipe(TrainConfig.model_validate_json(state["config"]))
        except Exception as error:  # torch's unpickler fails in many ways on a file that is none of its own
            raise DataError(
                f"{path}: not a checkpoint of streamreid ({type(error).__name__}); move it away or choose another 'out'"
            ) from error
        own = self._recipe(self.config)
        if recipe != own:
            wrong = [k for k in recipe if recipe[k] != own.get(k)]
            raise ConfigError(
                f"{path}: belongs to another recipe (different: {', '.join(wrong)}); choose another 'out' to start anew. Nothing was changed."
            )
        self.network.load_state_dict(state["network"])
        self.heads.load_state_dict(state["heads"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best = float(state["best"])
        self._trim_rows(int(state["step"]))
        return int(state["step"])

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
        temporary = self.out / f"{name}.part"
        torch.save(state, temporary)
        temporary.replace(self.out / name)

    def write_row(self, numbers: dict[str, Any]) -> None:
        """Append one step to ``log.csv`` (long form: step, name, value)."""
        path = self.out / "log.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "name", "value"])
            writer.writerows([numbers["step"], key, f"{value:.6g}"] for key, value in numbers.items() if key != "step")

    def _trim_rows(self, step: int) -> None:
        """Forget logged steps that will be done again."""
        path = self.out / "log.csv"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [lines[0], *(line for line in lines[1:] if int(line.split(",", 1)[0]) < step)]
            path.write_text("\n".join(kept) + "\n", encoding="utf-8")
