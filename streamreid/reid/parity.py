"""How near an engine is to its reference: the same crops through both, in batches of several sizes."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamreid.compiling.records import DeviceFingerprint, ParityReport, Thresholds
from streamreid.features.similarity import part_similarity
from streamreid.reid.probe_set import Probe
from streamreid.types import FloatArray, PartFeatures

__all__ = ["Embeds", "Score", "batch_sizes", "compare", "judge", "measure", "widened"]

Score = Callable[[FloatArray, Probe], "tuple[float, float] | None"]
"""Rank-1 accuracy and mAP of a similarity matrix ``[N, N]`` of a labelled probe set; None if nobody is seen by two
cameras."""

_SEEN = 0.1
"""Visibility above which a part is compared."""

_NEAREST = 10
"""Nearest neighbours whose order is compared."""


class Embeds(Protocol):
    """Anything that turns crops into features; ``EngineEmbedder`` is one."""

    def embed(self, crops: NDArray[np.uint8]) -> PartFeatures: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Difference:
    median: FloatArray
    p01: FloatArray
    visibility: float
    ranks: float


def batch_sizes(max_batch: int) -> tuple[int, ...]:
    """The sizes of batch that find what goes wrong: one, two, an odd one, the largest, and one more than that, which is
    split."""
    return tuple(sorted({1, 2, 3, max(1, max_batch // 2 + 1), max_batch, max_batch + 1}))


def measure(
    reference: Embeds,
    engine: Embeds,
    probe: Probe,
    *,
    batches: Sequence[int],
    machine: DeviceFingerprint,
    reference_name: str,
    score: Score | None = None,
) -> ParityReport:
    """Compare an engine with its reference, which sees the crops one by one.

    Args:
        reference: The graph as it was trained.
        engine: Its compiled form.
        probe: What both are shown.
        batches: Sizes of batch in which the engine sees them; the worst counts.
        machine: Where this is.
        reference_name: For the report.
        score: For a labelled probe set.

    Returns:
        A report without verdict; see ``judge``.
    """
    wanted = _embed(reference, probe.crops, 1)
    found = {size: _embed(engine, probe.crops, size) for size in batches}
    differences = {size: compare(wanted, features) for size, features in found.items()}
    worst = min(
        differences, key=lambda size: (float(differences[size].p01.min()) - differences[size].visibility, -size)
    )
    r1 = mean = None
    if score is not None and probe.persons is not None:
        # The worst batch's features: an engine that is wrong for one size only must not pass by another.
        before, after = (score(part_similarity(f, f)[0], probe) for f in (wanted, found[worst]))
        if before is not None and after is not None:
            r1, mean = (before[0], after[0]), (before[1], after[1])
    every = list(differences.values())
    return ParityReport(
        probe=probe.source,
        count=len(probe),
        batches=tuple(batches),
        worst_batch=worst,
        cosine_median=_rounded(np.min([d.median for d in every], axis=0)),
        cosine_p01=_rounded(np.min([d.p01 for d in every], axis=0)),
        visibility_error=round(max(d.visibility for d in every), 6),
        rank_agreement=round(min(d.ranks for d in every), 6),
        r1=r1,
        map=mean,
        machine=machine,
        reference=reference_name,
        created=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    )


def compare(wanted: PartFeatures, found: PartFeatures) -> _Difference:
    """Differences of features of the same crops.

    Cosines are of parts that the reference sees (visibility above 0.1), because the feature of a covered part means
    nothing; all crops count for a part that is never seen. A part that the engine has lost altogether has cosine 0.
    """
    cosine = np.einsum("nkd,nkd->nk", wanted.parts, found.parts, dtype=np.float64)
    cosine = np.where(np.isfinite(cosine), cosine, 0.0)
    median, p01 = [], []
    for part in range(cosine.shape[1]):
        seen = wanted.visibility[:, part] > _SEEN
        values = cosine[seen, part] if seen.any() else cosine[:, part]
        median.append(float(np.median(values)))
        p01.append(float(np.percentile(values, 1)))
    error = np.abs(wanted.visibility.astype(np.float64) - found.visibility)
    return _Difference(
        np.array(median, np.float32),
        np.array(p01, np.float32),
        float(np.percentile(error, 99)),
        _rank_agreement(wanted, found),
    )


def judge(report: ParityReport, limits: Thresholds) -> ParityReport:
    """The report with one sentence per threshold that was missed."""
    failures: list[str] = []

    def least(name: str, value: float | None, limit: float | None) -> None:
        if limit is not None and value is not None and not value >= limit:
            failures.append(f"{name} is {value:.4f}, below {limit:g}")

    least(
        f"the lowest part's median cosine (batch {report.worst_batch})",
        min(report.cosine_median, default=None),
        limits.cosine_median,
    )
    least(
        f"the lowest part's 1st percentile of the cosine (batch {report.worst_batch})",
        min(report.cosine_p01, default=None),
        limits.cosine_p01,
    )
    least("rank agreement", report.rank_agreement, limits.rank_agreement)
    least("agreement of boxes", report.matched_boxes, limits.matched_boxes)
    if (
        limits.visibility_error is not None
        and report.visibility_error is not None
        and not report.visibility_error <= limits.visibility_error
    ):
        failures.append(
            f"visibility is off by {report.visibility_error:.4f}, more than {limits.visibility_error:g} (batch "
            f"{report.worst_batch})"
        )
    for name, pair, limit in (("rank-1 accuracy", report.r1, limits.r1_drop), ("mAP", report.map, limits.map_drop)):
        if pair is not None and limit is not None and not pair[0] - pair[1] <= limit:
            failures.append(f"{name} falls from {pair[0]:.4f} to {pair[1]:.4f}, by more than {limit:g}")
    return report.model_copy(update={"failures": tuple(failures)})


def widened(limits: Thresholds, factor: float = 3.0) -> Thresholds:
    """Thresholds that leave so many times the room.

    Drawn figures lie outside what int8's ranges were measured on: they can show that a compilation is wrong, not how
    accurate it is.
    """
    values = {key: getattr(limits, key) for key in ("cosine_median", "cosine_p01", "rank_agreement")}
    below = {key: None if value is None else 1 - factor * (1 - value) for key, value in values.items()}
    error = None if limits.visibility_error is None else factor * limits.visibility_error
    return limits.model_copy(update={**below, "visibility_error": error})


def _embed(embedder: Embeds, crops: NDArray[np.uint8], size: int) -> PartFeatures:
    return PartFeatures.concatenate([embedder.embed(crops[i : i + size]) for i in range(0, len(crops), size)])


def _rank_agreement(wanted: PartFeatures, found: PartFeatures) -> float:
    """Mean share of every crop's nearest others that are the same by both."""
    count = len(wanted)
    if count < 3:
        return 1.0
    most = min(_NEAREST, count - 2)
    nearest = []
    for features in (wanted, found):
        similarity = part_similarity(features, features)[0].copy()
        np.fill_diagonal(similarity, -np.inf)
        nearest.append(np.argsort(-similarity, axis=1, kind="stable")[:, :most])
    return float(np.mean([len(np.intersect1d(a, b)) / most for a, b in zip(*nearest, strict=True)]))


def _rounded(values: FloatArray) -> tuple[float, ...]:
    return tuple(round(float(v), 6) for v in values)
