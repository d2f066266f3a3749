"""A global ReID model is tried on pictures before it becomes an engine: which output is the feature, what input it
wants, whether strangers differ.

A wrong range of values hardly shows in a single feature, but it does in many: with OSNet and pixels from 0 to 255 where
ImageNet's normalisation is wanted, drawn strangers have a cosine of 0.94 instead of 0.58, and a pair of one person is
ranked above a pair of two in 65 % instead of 99 % of all cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamreid.drawn_people import drawn_crops
from streamreid.errors import EngineError
from streamreid.reid.probe_set import read_probe
from streamreid.runtimes import ImageInput, Runtime, output_sources
from streamreid.types import FloatArray

__all__ = ["GOOD", "Figures", "Pictures", "faults", "feature_output", "measure_preset", "trial_pictures"]

_PEOPLE, _VIEWS = 16, 3
"""Drawn people, and pictures of each: enough to tell presets apart, a second of work."""

_PICTURES = 64  # of the user's own folder

_ALIKE = 0.95
"""Mean cosine of strangers above which nobody can be told from anybody: good models stay below 0.7, wrong inputs give
0.94 to 0.99."""

_CONSTANT = 0.9995  # mean cosine of strangers of a feature that does not depend on the picture

_RANKED = 0.6
"""Share of pairs ranked right below which features say nothing (0.5 is chance). Drawn figures are no photographs, so
this is a low bar."""

GOOD = 0.8
"""Share of pairs ranked right from which a way of feeding the model is known to work."""

_MIRROR = 0.7  # cosine of a crop and its mirror image; 0.98 and more for models that were trained with mirrored crops
_BATCH = 0.02  # difference of a unit feature's values, alone and in a batch; half precision stays below 0.005
_CLASS_NAMES = ("logit", "score", "prob", "class", "cls", "softmax")
_FEATURE_NAMES = ("feat", "emb", "reid", "global", "bn", "vector", "descriptor")
# People in the training sets of Market-1501, DukeMTMC-reID, CUHK03 (old, new), MSMT17, and MSMT17's whole: outputs of
# such lengths are class scores.
_TRAINING_PEOPLE = {
    751: "Market-1501",
    702: "DukeMTMC-reID",
    1367: "CUHK03",
    767: "CUHK03",
    1041: "MSMT17",
    4101: "MSMT17",
}


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What a model is tried on.

    Args:
        crops: ``[N, H, W, 3]`` uint8 BGR.
        persons: ``[N]`` who is shown; None if that is not known.
        source: What they are, for messages.
    """

    crops: NDArray[np.uint8]
    persons: NDArray[np.int64] | None
    source: str


@dataclass(frozen=True, slots=True)
class Figures:
    """How a model does on the pictures, fed in one way.

    Args:
        ranked: Share of (pair of one person, pair of strangers) in which the first is more alike, in [0, 1]; 0.5 is
            chance, None if nobody is known.
        same: Mean cosine of two crops of one person; None likewise.
        strangers: Mean cosine of crops of different people (of all crops, if nobody is known).
        mirror: Mean cosine of a crop and its mirror image.
        batch: Largest difference of a feature's values when a crop is alone and in a batch.
        usable: Whether all features are finite and not zero.
        source: What it was tried on.
    """

    ranked: float | None
    same: float | None
    strangers: float
    mirror: float
    batch: float
    usable: bool
    source: str

    def __str__(self) -> str:
        known = "" if self.ranked is None else f"pairs ranked right {self.ranked:.3f}, one person {self.same:.2f}, "
        return (
            f"{known}strangers {self.strangers:.2f}, mirrored {self.mirror:.2f}, batch {self.batch:.1g} ({self.source})"
        )


def trial_pictures(size: tuple[int, int], folder: Path | None) -> list[Pictures]:
    """Drawn people, and those of a folder, first where their names say who they are.

    Raises:
        DataError: No such folder, or no readable picture in it.
    """
    crops, who = drawn_crops(size, people=_PEOPLE, views=_VIEWS)
    drawn = Pictures(crops, who, f"{len(crops)} crops of {_PEOPLE} drawn people")
    if folder is None:
        return [drawn]
    probe = read_probe(folder, size, most=_PICTURES)
    known = probe.persons is not None and 1 < len(np.unique(probe.persons)) < len(probe)
    own = Pictures(probe.crops, probe.persons if known else None, probe.source)
    return [own, drawn] if known else [drawn, own]


def feature_output(runtime: Runtime, size: tuple[int, int], path: Path, wanted: str | None) -> tuple[str, int]:
    """Name and length of the output that is the feature.

    Raises:
        EngineError: None is, several may be, or only class scores are there; says what can be passed.
    """
    crops = drawn_crops(size, people=_PEOPLE, views=_VIEWS)[0][:2]
    outputs = runtime(ImageInput("rgb", scale=(1.0, 1.0, 1.0)).graph_input(crops, runtime.inputs[0]))
    infos = dict(zip((i.name for i in runtime.outputs), outputs, strict=True))
    free = runtime.inputs[0].shape[0] is None
    # An output whose first axis is always 1 mixes up pictures, even if it looks right for one.
    batched = {i.name for i in runtime.outputs if not (free and i.shape[:1] == (1,))}
    found = {name: int(o.size // 2) for name, o in infos.items() if name in batched and _is_vector(o)}
    listed = ", ".join(f"{i} -> {list(o.shape)}" for i, o in zip(runtime.outputs, outputs, strict=True))
    if wanted is not None:
        if wanted not in found:
            raise EngineError(f"{path}: output '{wanted}' is no feature [N, D]; its outputs for two pictures: {listed}")
        return wanted, found[wanted]
    if not found:
        raise EngineError(
            f"{path}: no global feature [N, D] or [N, D, 1, 1] among its outputs for two pictures: {listed}. Export "
            "the model with a free batch as its first axis"
        )
    left = _without_scores(found, output_sources(path))
    if len(left) > 1 and len({found[name] for name in left}) > 1:
        raise EngineError(f"{path}: several outputs may be the feature: {listed}. Say which one with --output NAME")
    name = left[0]
    _check_no_scores(name, infos[name].reshape(2, -1), path, listed)
    return name, found[name]


def _is_vector(output: FloatArray) -> bool:
    return output.ndim >= 2 and len(output) == 2 and output.size // 2 in output.shape[1:] and output.size >= 16


def _without_scores(found: Mapping[str, int], sources: Mapping[str, set[str]]) -> list[str]:
    """Outputs that are not class scores: those are computed from the feature and have another length, or are named
    so."""
    left = [
        n for n in found if not any(found.get(before, found[n]) != found[n] for before in sources.get(n, ()))
    ] or list(found)
    named = [n for n in left if any(word in n.lower() for word in _FEATURE_NAMES)]
    plain = [n for n in left if not any(word in n.lower() for word in _CLASS_NAMES)]
    return (named if len(named) == 1 else plain) or left


def _check_no_scores(name: str, values: FloatArray, path: Path, listed: str) -> None:
    length = values.shape[1]
    reason = ""
    if (values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=0.01):
        reason = "its values are probabilities that add up to 1"
    elif any(word in name.lower() for word in _CLASS_NAMES):
        reason = "it is named so"
    elif length in _TRAINING_PEOPLE:
        reason = f"{length} people are in {_TRAINING_PEOPLE[length]}'s training set"
    if reason:
        raise EngineError(
            f"{path}: output '{name}' of {length} values looks like class scores ({reason}), which say nothing about "
            "people outside the training. Export the model without its classifier, or name the feature with --output "
            f"NAME; its outputs for two pictures: {listed}"
        )


def measure_preset(runtime: Runtime, output: str, image: ImageInput, pictures: Pictures) -> Figures:
    """Try the model, fed in one way, on pictures."""
    column = [i.name for i in runtime.outputs].index(output)

    def features(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        raw = runtime(image.graph_input(crops, runtime.inputs[0]))[column]
        return raw.reshape(len(crops), -1).astype(np.float64)

    raw = features(pictures.crops)
    length = np.linalg.norm(raw, axis=1, keepdims=True)
    usable = bool(np.isfinite(raw).all() and (length > 1e-9).all())
    if not usable:
        return Figures(0.5, 0.0, 1.0, 0.0, 0.0, False, pictures.source)
    unit = raw / length
    few = np.linspace(0, len(unit) - 1, min(6, len(unit))).astype(int)
    alone = np.concatenate([_normed(features(pictures.crops[i : i + 1])) for i in few])
    mirrored = _normed(features(np.ascontiguousarray(pictures.crops[few][:, :, ::-1])))
    figures = Figures(
        None,
        None,
        0.0,
        float((unit[few] * mirrored).sum(axis=1).mean()),
        float(np.abs(alone - unit[few]).max()),
        True,
        pictures.source,
    )
    rows, columns = np.triu_indices(len(unit), 1)
    cosine = (unit @ unit.T)[rows, columns]
    if pictures.persons is None:
        return replace(figures, strangers=float(cosine.mean()))
    same = pictures.persons[rows] == pictures.persons[columns]
    return replace(
        figures, ranked=_ranked(cosine, same), same=float(cosine[same].mean()), strangers=float(cosine[~same].mean())
    )


def faults(figures: Sequence[Figures]) -> tuple[list[str], list[str]]:
    """What forbids the model's use, and what speaks against it, one sentence each; empty if nothing does."""
    wrong, found = [], []
    for f in figures:
        if not f.usable:
            wrong.append(f"features of {f.source} are not finite, or zero")
            continue
        if f.strangers > _CONSTANT:
            wrong.append(f"all pictures have the same feature (mean cosine {f.strangers:.4f}, {f.source})")
        elif f.strangers > _ALIKE:
            found.append(f"strangers all look alike (mean cosine {f.strangers:.3f}, {f.source})")
        if f.ranked is not None and f.ranked < _RANKED:
            found.append(
                f"one person is hardly more alike than strangers (pairs ranked right {f.ranked:.2f}, chance is 0.5; "
                f"{f.source})"
            )
        if f.batch > _BATCH:
            wrong.append(f"a crop's feature depends on the others in its batch (by up to {f.batch:.2g}, {f.source})")
        if f.mirror < _MIRROR:
            found.append(f"a mirrored crop is another person (cosine {f.mirror:.2f}, {f.source})")
    return wrong, found


def _normed(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12), np.float64)


def _ranked(cosine: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, by ranks (Mann and Whitney)."""
    order = np.argsort(cosine, kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    positive = int(same.sum())
    negative = len(same) - positive
    return float((ranks[same].sum() - positive * (positive + 1) / 2) / max(1, positive * negative))
