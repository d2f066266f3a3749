"""Fine-tuning an engine on the tracks of a site, which nobody named.

Pictures of one person, as far as is known, are drawn together and pushed away from those of people who surely are
others (InfoNCE, van den Oord et al., arXiv 1807.03748, on the similarity by parts that both show); whoever may or may
not be the same person is left out of it. Every picture comes covered on one side, too (OAMN, ICCV 2021): parts that
stay visible keep their features. Only the last layers change; where parts are seen is held where it was.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from streamreid.datasets.occlusion import Occlusion, corner_patch, cover, draw_occlusion
from streamreid.datasets.site_people import SitePeople
from streamreid.errors import ConfigError, StreamReIDError
from streamreid.files import atomic_write
from streamreid.training.graph_module import EngineModule
from streamreid.training.losses import agreement_loss
from streamreid.training.precision import computes_bf16
from streamreid.types import FloatArray, Image

__all__ = ["TuningSettings", "blended", "contrastive_loss", "tune"]

STATE = "tuning.pt"
"""In the folder that is written to: what an interrupted training goes on from. Holds no pictures."""


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """How an engine is fine-tuned.

    Args:
        steps: Optimiser steps.
        people: Per step.
        pictures: Per person, spread over cameras and tracks.
        rate: Highest learning rate (AdamW).
        share: Of the layers with weights, the last, that are trained.
        temperature: Of the contrastive loss; different people's similarities are spread by about as much.
        agreement: Weight of the loss that keeps visible parts under occlusion.
        kept: Weight of the loss that keeps visibilities.
        save_every: Steps between two saved states.
        seed: Of what is drawn.
    """

    steps: int = 60
    people: int = 8
    pictures: int = 3
    rate: float = 1e-4
    share: float = 0.5
    temperature: float = 0.07
    agreement: float = 0.5
    kept: float = 1.0
    save_every: int = 10
    seed: int = 0


def tune(
    module: EngineModule,
    people: SitePeople,
    visibility: FloatArray,
    settings: TuningSettings,
    folder: Path,
    tell: Callable[[int, float], None] | None = None,
) -> None:
    """Train a network in place; goes on from ``FOLDER/tuning.pt`` where there is one.

    Args:
        module: The network.
        people: Whom it learns from.
        visibility: ``[M, K]`` of the pictures, by the network as it was.
        settings: How.
        folder: Where the state is kept.
        tell: Called after every step with the number of steps done and the loss.

    Raises:
        ConfigError: The state in the folder is that of another training.
        StreamReIDError: The loss is not finite.
    """
    torch.manual_seed(settings.seed)
    parameters = module.train_last(settings.share)
    optimizer = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=0.0)
    first = _resume(module, optimizer, folder, _key(module, people, settings))
    bf16 = computes_bf16(torch.device("cpu"))
    for step in range(first, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * _rate(step, settings.steps)
        rows = draw_rows(people, settings, step)
        pictures, seen = _batch(people, rows, settings, step), torch.from_numpy(visibility[rows])
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            parts, visible = module(pictures)
        loss = _loss(parts, visible, seen, people, rows, settings)
        if not math.isfinite(float(loss.detach())):
            raise StreamReIDError(f"step {step}: the loss is not finite; nothing was written. Try a lower rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        done = step + 1
        if done % settings.save_every == 0 or done == settings.steps:
            _save(module, optimizer, folder, _key(module, people, settings), done)
        if tell:
            tell(done, float(loss.detach()))


@torch.no_grad()
def blended(module: EngineModule, before: EngineModule, share: float) -> EngineModule:
    """Move a trained network part of the way back to what it was (WiSE-FT, Wortsman et al., CVPR 2022); changed in
    place and returned.

    Args:
        module: Trained.
        before: As it was.
        share: Of the old weights, in [0, 1].
    """
    for own, old in zip(module.parameters(), before.parameters(), strict=True):
        own.lerp_(old, share)
    return module


def draw_rows(people: SitePeople, settings: TuningSettings, step: int) -> NDArray[np.intp]:
    """``[P * K]`` pictures of a step: people by lot, each with some who surely are others, and pictures of each from
    as many tracks as it has, those of several cameras first. Depends on the seed and the step only."""
    random = np.random.default_rng((settings.seed, step))
    count = len(people.apart)
    chosen: list[int] = []
    for one in random.permutation(count).tolist():
        others = np.flatnonzero(people.apart[one])
        if one not in chosen and len(others):
            chosen += [one, *(o for o in random.permutation(others)[:3].tolist() if o not in chosen)]
        if len(chosen) >= settings.people:
            break
    owner, rows = people.person[people.track], []
    for one in chosen[: settings.people]:
        own = random.permutation(np.flatnonzero(owner == one))
        track = people.track[own]
        turn = np.array([(track[:i] == t).sum() for i, t in enumerate(track)])
        order = own[np.argsort(turn, kind="stable")]  # one of each track, then the second of each, ...
        rows += np.resize(order, settings.pictures).tolist()
    return np.array(rows, np.intp)


def _batch(people: SitePeople, rows: NDArray[np.intp], settings: TuningSettings, step: int) -> Tensor:
    """``[2 M, 3, H, W]`` the pictures, then the same covered on one side."""
    random = np.random.default_rng((settings.seed, step, 1))
    whole, covered = [], []
    for row in rows.tolist():
        image = _changed(people.pictures[row], random)
        other = people.pictures[int(random.choice(rows))]
        drawn = draw_occlusion(random)
        if random.random() < 0.5:
            drawn = Occlusion(drawn.side, float(random.uniform(0.15, 0.5)))
        occluder = corner_patch(other, random) if random.random() < 0.5 else other
        whole.append(image)
        covered.append(cover(image, occluder, drawn)[0])
    both = np.stack(whole + covered).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(both)).float()


def _changed(image: Image, random: np.random.Generator) -> Image:
    """Mirrored every second time, moved by a few pixels, and a little brighter or darker."""
    if random.random() < 0.5:
        image = image[:, ::-1]
    dy, dx = (round(side * random.uniform(-0.03, 0.03)) for side in image.shape[:2])
    moved = cv2.warpAffine(
        np.ascontiguousarray(image),
        np.array([[1, 0, dx], [0, 1, dy]], np.float32),
        image.shape[1::-1],
        borderMode=cv2.BORDER_REPLICATE,
    )
    lit = moved * random.uniform(0.85, 1.15) + random.uniform(-12, 12)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _loss(
    parts: Tensor,
    visible: Tensor,
    seen: Tensor,
    people: SitePeople,
    rows: NDArray[np.intp],
    settings: TuningSettings,
) -> Tensor:
    count = len(rows)
    who = people.person[people.track[rows]]
    who = np.concatenate([who, who])
    same = torch.from_numpy(who[:, None] == who[None])
    apart = torch.from_numpy(people.apart[who[:, None], who[None]])
    loss = contrastive_loss(parts, visible.detach(), same, apart, settings.temperature)
    still = torch.minimum(visible[:count], visible[count:]).detach()
    loss = loss + settings.agreement * agreement_loss(parts[:count], parts[count:], still)
    return loss + settings.kept * F.mse_loss(visible[:count], seen)


def contrastive_loss(parts: Tensor, visible: Tensor, same: Tensor, apart: Tensor, temperature: float) -> Tensor:
    """``mean over pairs of one person of -log(e^s / (e^s + sum over different people e^s'))``, s the similarity over
    parts that both show, divided by the temperature.

    Args:
        parts: ``[N, K, D]`` L2-normalised.
        visible: ``[N, K]`` in [0, 1].
        same: ``[N, N]`` bool, one person.
        apart: ``[N, N]`` bool, surely two people; whoever is neither does not count.
        temperature: Positive.
    """
    root = visible.clamp(min=1e-6).sqrt()
    weight = torch.einsum("ik,jk->ij", root, root)
    weighted = parts * root[..., None]
    similarity = torch.einsum("ikd,jkd->ij", weighted, weighted) / weight / temperature
    others = torch.logsumexp(similarity.masked_fill(~apart, -1e4), 1)
    pairs = same & ~torch.eye(len(parts), dtype=torch.bool) & apart.any(1, keepdim=True)
    if not bool(pairs.any()):
        return parts.sum() * 0
    each = F.softplus(others[:, None] - similarity)
    return each[pairs].mean()


def _rate(step: int, steps: int) -> float:
    """A short rise, then half a cosine."""
    warm = max(1, steps // 12)
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _key(module: EngineModule, people: SitePeople, settings: TuningSettings) -> str:
    """What a training depends on; all but how often it is saved."""
    kept = asdict(settings) | {"save_every": 0}
    digest = hashlib.sha256(f"{module.bundle.fingerprint} {sorted(kept.items())}".encode())
    for array in (people.pictures, people.track, people.person, people.camera, people.apart):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _resume(module: EngineModule, optimizer: torch.optim.Optimizer, folder: Path, key: str) -> int:
    path = folder / STATE
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler fails in many ways
        raise ConfigError(f"{path}: cannot be read ({type(error).__name__}); delete it to start anew") from error
    if state.get("key") != key:
        raise ConfigError(
            f"{path}: an interrupted fine-tuning on other pictures or with other settings; delete it to start anew, or "
            "choose another --out"
        )
    module.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save(module: EngineModule, optimizer: torch.optim.Optimizer, folder: Path, key: str, step: int) -> None:
    state = {"key": key, "step": step, "network": module.state_dict(), "optimizer": optimizer.state_dict()}
    with atomic_write(folder / STATE, durable=True) as part:
        torch.save(state, part)
