"""Before and after the fine-tuning of an engine as one HTML file without scripts, network or further files. It shows
nobody: features are drawn as colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.replay.site_tuning import Judged, TuningTask
from streamreid.types import FloatArray

__all__ = ["tuning_page", "tuning_report"]

_PAIRS = 24
"""Pairs whose colours are drawn."""

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#222;background:#fff}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.15rem .8rem;text-align:right;"
    "border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
    ".row{display:flex;gap:3rem;flex-wrap:wrap}svg{display:block}svg text{font:12px system-ui,sans-serif;fill:#444}"
)


def tuning_report(
    task: TuningTask, before: Judged, after: dict[float, Judged], taken: float | None, steps: int
) -> dict[str, Any]:
    """The figures as plain values, for JSON.

    Args:
        task: What was learnt from.
        before: The engine as it is.
        after: By the share of the old weights that was kept.
        taken: Which was; None: none was better.
        steps: Of the training.
    """
    names, counts = np.unique(task.tracks.camera, return_counts=True)
    return {
        "schema": 1,
        "tracks": {str(n): int(c) for n, c in zip(names, counts, strict=True)},
        "pairs": len(task.pairs),
        "pictures": len(task.site.pictures),
        "learnt_from": {"tracks": int(task.use.sum()), "pictures": len(task.people.pictures)},
        "steps": steps,
        "before": before.as_dict(),
        "after": {f"{share:g}": judged.as_dict() for share, judged in after.items()},
        "taken": taken,
    }


def tuning_page(
    figures: dict[str, Any], task: TuningTask, before: Judged, after: Judged, parts: Sequence[str], engine: str
) -> str:
    """The page.

    Args:
        figures: Of ``tuning_report``.
        task: What was learnt from.
        before: The engine as it is.
        after: The fine-tuned one that was taken; the best, where none was.
        parts: Names of the parts.
        engine: Name of the engine.
    """
    said = "It is better and was written." if figures["taken"] is not None else "It is not better: nothing was written."
    rows = [("as it is", figures["before"])]
    rows += [(f"fine-tuned, {float(s):.0%} of the old weights", f) for s, f in figures["after"].items()]
    table = "".join(
        f"<tr><td>{escape(name)}</td><td>{f['log_loss']:.3f}</td><td>{f['separation']:.2f}</td><td>"
        f"{'none' if f['strength'] is None else format(f['strength'], 'g')}</td></tr>"
        for name, f in rows
    )
    pairs = task.pairs[~task.use[task.pairs].any(1)][:_PAIRS]
    drawn = "".join(
        f"<div><h2>{title}</h2>{_histogram(judged)}{_colours(judged.views, pairs, parts)}</div>"
        for title, judged in (("Before", before), ("After", after))
    )
    tracks = ", ".join(f"{escape(c)} {n}" for c, n in figures["tracks"].items())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Fine-tuning</title><style>{_STYLE}</style>"
        f"<h1>Fine-tuning {escape(engine)}</h1><p>{said} Learnt from {figures['learnt_from']['tracks']} tracks in "
        f"{figures['steps']} steps; judged on the others. Tracks by camera: {tracks}; {figures['pairs']} pairs of two "
        "cameras are surely one person.</p>"
        f"<table><tr><th>engine</th><th>log-loss</th><th>separation</th><th>whitened by</th></tr>{table}</table>"
        f"<div class=row>{drawn}</div><p>Colours: each two rows are two tracks of two cameras that are surely one "
        "person, a column is a part. Features that are alike have like colours (three main directions of the part's "
        "features), so the two rows of a pair should look the same, and different pairs should not.</p></html>\n"
    )


def _histogram(judged: Judged) -> str:
    width, height, low, high = 320, 120, -0.2, 1.0
    shapes = [f'<rect x="0" y="0" width="{width}" height="{height}" fill="none" stroke="#bbb"/>']
    for values, colour in ((judged.other, "#c46a3c"), (judged.same, "#1f5fa8")):
        counts = np.histogram(values, 40, (low, high))[0].astype(float)
        counts /= max(counts.max(), 1.0)
        points = " ".join(f"{i * width / 40:.0f},{height - c * (height - 6):.1f}" for i, c in enumerate(counts))
        shapes.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return (
        f'<svg width="{width}" height="{height + 22}" role="img" aria-label="similarities">{"".join(shapes)}'
        f'<text x="0" y="{height + 16}">{low:g}</text><text x="{width - 8}" y="{height + 16}">1</text>'
        f'<text x="30" y="{height + 16}">similarity; blue: one person, brown: two people</text></svg>'
    )


def _colours(views: FloatArray, pairs: NDArray[np.intp], parts: Sequence[str]) -> str:
    """Three main directions of each part's features as red, green and blue."""
    if not len(pairs):
        return ""
    cell, gap = 40, 8
    shades = np.stack([_three(views[:, k]) for k in range(views.shape[1])], 1)
    shapes = []
    for number, pair in enumerate(pairs.tolist()):
        for line, row in enumerate(pair):
            y = 16 + number * (2 * 14 + gap) + line * 14
            shapes += [
                f'<rect x="{k * cell}" y="{y}" width="{cell}" height="14" fill="rgb({r},{g},{b})"/>'
                for k, (r, g, b) in enumerate(shades[row].tolist())
            ]
    names = "".join(f'<text x="{k * cell}" y="11">{escape(n[:6])}</text>' for k, n in enumerate(parts))
    height = 16 + len(pairs) * (2 * 14 + gap)
    return (
        f'<svg width="{max(320, cell * len(parts))}" height="{height}" role="img" aria-label="part colours">'
        f"{names}{''.join(shapes)}</svg>"
    )


def _three(features: FloatArray) -> NDArray[np.uint8]:
    centred = (features - features.mean(0)).astype(np.float64)
    found = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
    found = np.pad(found, ((0, 0), (0, 3 - found.shape[1])))
    spread = np.maximum(found.std(0), 1e-9)
    return np.asarray(np.clip(127 + 55 * found / spread, 0, 255), np.uint8)
