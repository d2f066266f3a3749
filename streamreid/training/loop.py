"""The training loop: one readable function on Lightning Fabric, on one device or many, resumable after any
interruption."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamreid._folders import FolderLock
from streamreid.datasets.identity_split import Picture, split_people
from streamreid.errors import ConfigError, StreamReIDError
from streamreid.training.checkpoint import Checkpoint, load_network, take_over
from streamreid.training.data import Batch, PictureCache, batch_rows, make_batch
from streamreid.training.heads import PooledHead, identity_heads
from streamreid.training.logbook import Logbook
from streamreid.training.network import PartNetwork
from streamreid.training.objective import Learner
from streamreid.training.openvino_ir import read_ir
from streamreid.training.optimizer import MovingAverage, gradient_norm, make_optimizer, rate_factor, set_training
from streamreid.training.precision import training_precision
from streamreid.training.recipe import TrainConfig
from streamreid.training.weight_imprinting import imprint

__all__ = ["Validate", "first_process", "load_network", "train"]

_TEACHER_SIZE = (256, 128)  # what retail-0277 looks at

Validate = Callable[[PartNetwork, list[Picture]], dict[str, float]]
"""Scores of a network on the pictures of the held-out people; the key ``score`` decides which checkpoint is the
best."""


def train(
    config: TrainConfig, validate: Validate | None = None, tell: Callable[[dict[str, Any]], None] | None = None
) -> Path:
    """Train a part network; goes on from ``OUT/last.pt`` where there is one.

    With several processes (``devices``, ``nodes``, or under torchrun) each takes its share of every batch's people,
    gradients are averaged, and the first writes.

    Args:
        config: The recipe.
        validate: Scores the averaged network on the held-out people from time to time.
        tell: Called after every step with the step's numbers.

    Returns:
        The last checkpoint. ``best.pt`` lies beside it when ``validate`` is given.

    Raises:
        DataError: See `split_people`.
        ConfigError: The checkpoint in ``OUT`` belongs to another recipe, or the people of a batch cannot be divided
            among the processes.
        FolderBusy: Another training writes to ``OUT``.
        StreamReIDError: The loss is not finite; the pictures of that batch are named and nothing is overwritten.
    """
    fabric = _fabric(config)
    out = Path(config.out)
    with FolderLock(out, option="'out' of the recipe") if fabric.global_rank == 0 else nullcontext():
        return _train(fabric, config, out, validate, tell)


def _train(
    fabric: Any,
    config: TrainConfig,
    out: Path,
    validate: Validate | None,
    tell: Callable[[dict[str, Any]], None] | None,
) -> Path:
    torch.manual_seed(config.seed)
    split = split_people(config.data)
    config = _with_parts(config, split.parts)
    cache = _open_cache(fabric, config, split.train)
    network, heads = _networks(config, cache, split.identities)
    average = MovingAverage(network, config.schedule.average)
    optimizer = make_optimizer(network, heads, config.schedule)
    state = Checkpoint(out, config, network, heads, average, optimizer)
    first = state.load()
    if config.compile:
        network.backbone.compile()
    for module in (network, heads, average):
        module.to(fabric.device)
    _follow(optimizer)
    if first == 0 and config.imprint and not config.start:
        imprint(heads, network, cache, bf16=config.precision == "bf16-mixed")
    teacher = _Teacher(config.teacher, fabric) if config.teacher and config.losses.teacher else None
    learner = fabric.setup_module(Learner(network, heads, config.losses))
    logbook = Logbook(out, first, config.tensorboard) if fabric.global_rank == 0 else None
    share = (fabric.global_rank, fabric.world_size)
    with closing(_batches(cache, config, first, network.map_size, share)) as batches:
        for step, batch in batches:
            began = time.perf_counter()
            factor = rate_factor(step, config.schedule.steps, config.schedule.warmup)
            for group in optimizer.param_groups:
                group["lr"] = group["highest"] * factor
            numbers = _step(fabric, learner, optimizer, batch, config, teacher)
            if not math.isfinite(numbers["loss"]):
                raise StreamReIDError(_not_finite(step, cache, config))
            average.update(network)
            numbers |= {"step": step, "rate": factor, "seconds": time.perf_counter() - began}
            done = step + 1
            due = done % config.validate_every == 0 or done == config.schedule.steps
            if logbook is not None:
                if validate and split.validation and due:
                    numbers |= _validated(validate, network, average, split.validation)
                logbook.write(numbers)
                state.keep(
                    numbers.get("score", -1.0),
                    done,
                    last=done % config.save_every == 0 or done == config.schedule.steps,
                )
                if tell:
                    tell(numbers)
            if due:
                fabric.barrier()  # the others wait for the first one's validation
    if logbook is not None:
        logbook.close()
    return out / "last.pt"


def first_process() -> bool:
    """Whether this is the process that writes and speaks; also before and without any group of processes."""
    ranks = (
        (os.environ.get("RANK"),)
        if "RANK" in os.environ
        else (os.environ.get("NODE_RANK"), os.environ.get("LOCAL_RANK"))
    )
    return all(r in (None, "0") for r in ranks)


class _Teacher:
    """A frozen global network whose features of the unoccluded pictures are learnt from."""

    def __init__(self, path: str, fabric: Any) -> None:
        if not path.endswith(".xml"):
            raise ConfigError(f"teacher: {path} is no OpenVINO IR (.xml)")
        self._network = read_ir(path).eval().requires_grad_(False).to(fabric.device)
        self._fabric = fabric

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        if pictures.shape[2:] != _TEACHER_SIZE:
            pictures = F.interpolate(pictures, _TEACHER_SIZE, mode="bilinear", antialias=True)
        with self._fabric.autocast():
            found: Tensor = self._network(pictures)
        return found.float().flatten(1)


def _fabric(config: TrainConfig) -> Any:
    from lightning.fabric import Fabric
    from lightning.fabric.strategies import DDPStrategy

    world = int(os.environ.get("WORLD_SIZE", config.devices * config.nodes))
    if config.schedule.people % world or config.schedule.people // world < 2:
        raise ConfigError(
            f"schedule.people: {config.schedule.people} people per batch cannot be divided among {world} processes, "
            "at least 2 each"
        )
    # Losses that are switched off leave parameters without gradient.
    strategy = DDPStrategy(find_unused_parameters=True) if world > 1 else "auto"
    fabric = Fabric(
        accelerator="auto",
        devices=config.devices,
        num_nodes=config.nodes,
        strategy=strategy,
        precision=training_precision(config.precision),
    )
    if world > 1:
        fabric.launch()
    return fabric


def _with_parts(config: TrainConfig, parts: tuple[str, ...]) -> TrainConfig:
    """The recipe with the parts its labels tell apart."""
    if "parts" in config.network.model_fields_set and config.network.parts != parts:
        raise ConfigError(
            f"network.parts: {', '.join(config.network.parts)}, but the labels tell {', '.join(parts)} apart; leave "
            "it out"
        )
    return config.model_copy(update={"network": config.network.model_copy(update={"parts": parts})})


def _open_cache(fabric: Any, config: TrainConfig, pictures: list[Picture]) -> PictureCache:
    """The first process decodes, the others wait and read."""
    folder = Path(config.cache) if config.cache else Path(config.out) / "cache"
    if fabric.global_rank:
        fabric.barrier()
    cache = PictureCache(pictures, folder, config.size, config.network.parts)
    if not fabric.global_rank:
        fabric.barrier()
    return cache


def _networks(config: TrainConfig, cache: PictureCache, identities: int) -> tuple[PartNetwork, nn.ModuleDict]:
    """Network and classifiers, from the weights the recipe names."""
    network = PartNetwork(config.network, config.size).to(memory_format=torch.channels_last)
    heads = identity_heads(network.shape[0], network.shape[1], identities, isinstance(network.head, PooledHead))
    network.usual.copy_(torch.from_numpy(cache.usual_areas()))
    if config.start:
        take_over(config.start, network, heads)
    return network, heads


def _follow(optimizer: torch.optim.Optimizer) -> None:
    """Put the optimiser's moments on the device of their parameters."""
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            if isinstance(value, Tensor) and value.ndim:
                moments[key] = value.to(parameter.device)


def _step(
    fabric: Any,
    learner: Any,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    config: TrainConfig,
    teacher: _Teacher | None,
) -> dict[str, float]:
    set_training(learner.network, learner.heads, config.schedule.only)
    pictures = torch.from_numpy(batch.pictures).to(fabric.device).permute(0, 3, 1, 2).float()
    arrays = {name: getattr(batch, name) for name in ("labels", "usable", "identities", "sides", "shares")}
    tensors = {name: torch.from_numpy(values).to(fabric.device) for name, values in arrays.items()}
    if teacher is not None:
        tensors["teacher"] = teacher(pictures[: batch.whole])
    terms = learner(pictures, tensors, batch.whole)
    loss = torch.stack([t.float() for t in terms.values()]).sum()
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    norm = gradient_norm([p for g in optimizer.param_groups for p in g["params"]], config.schedule.clip)
    found = {"loss": loss.detach().float()} | {k: v.detach().float() for k, v in terms.items()}
    values = fabric.all_reduce(torch.stack(list(found.values())), reduce_op="mean").tolist()
    numbers = dict(zip(found, values, strict=True))
    if math.isfinite(numbers["loss"]) and math.isfinite(norm):
        optimizer.step()
    return numbers | {"loss": numbers["loss"] if math.isfinite(norm) else norm, "norm": norm}


def _batches(
    cache: PictureCache, config: TrainConfig, first: int, map_size: tuple[int, int], share: tuple[int, int]
) -> Generator[tuple[int, Batch], None, None]:
    """Steps and their batches, prepared ahead."""
    with ThreadPoolExecutor(config.workers) as pool:
        steps = iter(range(first, config.schedule.steps))
        upcoming = deque(
            (s, pool.submit(prepare_batch, cache, config, s, map_size, share))
            for s in islice(steps, 2 * config.workers)
        )
        while upcoming:
            step, batch = upcoming.popleft()
            found = batch.result()
            upcoming.extend(
                (s, pool.submit(prepare_batch, cache, config, s, map_size, share)) for s in islice(steps, 1)
            )
            yield step, found


def prepare_batch(
    cache: PictureCache, config: TrainConfig, step: int, map_size: tuple[int, int], share: tuple[int, int]
) -> Batch:
    """One process' people of a batch; each picture is augmented as it would be in a single process."""
    schedule = config.schedule
    rows = batch_rows(
        cache.identities, cache.cameras, people=schedule.people, pictures=schedule.pictures, seed=config.seed, step=step
    )
    places = np.arange(len(rows)).reshape(-1, schedule.pictures)[share[0] :: share[1]].ravel()
    return make_batch(
        cache, rows[places], config.augmentation, seed=config.seed, step=step, map_size=map_size, places=places
    )


def _validated(
    validate: Validate, network: PartNetwork, average: MovingAverage, pictures: list[Picture]
) -> dict[str, float]:
    """Score the averaged weights, then put the trained ones back."""
    own = {k: v.detach().clone() for k, v in network.state_dict().items()}
    network.load_state_dict(average.state)
    try:
        return validate(network, pictures)
    finally:
        network.load_state_dict(own)


def _not_finite(step: int, cache: PictureCache, config: TrainConfig) -> str:
    rows = batch_rows(
        cache.identities,
        cache.cameras,
        people=config.schedule.people,
        pictures=config.schedule.pictures,
        seed=config.seed,
        step=step,
    )
    names = ", ".join(cache.pictures[r].path.name for r in rows)
    return (
        f"step {step}: the loss or its gradient is not finite. Checkpoints are untouched. Lower schedule.rate, or "
        f"look at the pictures of this batch: {names}"
    )
