"""The reliability diagram of a calibration as one HTML file without scripts, network or further files."""

from __future__ import annotations

from html import escape

from streamreid.association.link_fitting import Reliability
from streamreid.replay.link_calibration import Calibrated

__all__ = ["calibration_page"]

_SIZE, _EDGE = 320, 40
"""Side of the diagram, and its margin, pixels."""

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 "
    "1rem;color:#222;background:#fff}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.15rem "
    ".8rem;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}.row{display:flex;gap:3rem;flex-wrap:wrap}svg text{font:12px "
    "system-ui,sans-serif;fill:#444}"
)


def calibration_page(found: Calibrated) -> str:
    """The reliability diagram and the fitted terms as one HTML page."""
    kind = (
        "ground truth"
        if found.labelled
        else "the tracks themselves: pieces of one track, and people seen by one camera at one time"
    )
    terms = "".join(
        f"<tr><td>{escape(name)}</td><td>{value:.4f}</td></tr>"
        for name, value in found.link.model_dump(exclude={"source"}).items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Link probability</title><style>{_STYLE}</style>"
        f"<h1>How honest the link probability is</h1><p>{found.same:,} pairs of one person and {found.different:,} of "
        f"two people, from {kind}. "
        "Each pair is judged by a model that was fitted on other people. A track counts the same however many pieces "
        "of it were compared.</p>"
        f"<div class=row>{_diagram('Before', found.before)}{_diagram('After', found.after)}</div>"
        f"<h2>Model</h2><p>{escape(found.link.source)}</p>"
        f"<table><tr><th>term</th><th>weight</th></tr>{terms}</table></html>\n"
    )


def _diagram(title: str, r: Reliability) -> str:
    top, width = max(max(r.count, default=0.0), 1e-9), _SIZE / len(r.count)
    shapes = [
        f'<rect x="{_EDGE}" y="10" width="{_SIZE}" height="{_SIZE}" fill="none" stroke="#bbb"/>',
        f'<line x1="{_EDGE}" y1="{_SIZE + 10}" x2="{_SIZE + _EDGE}" y2="10" stroke="#999" stroke-dasharray="4"/>',
    ]
    for i, (count, said, true) in enumerate(zip(r.count, r.said, r.true, strict=True)):
        if count <= 0:
            continue
        share = max(count / top, 0.02) * _SIZE / 4
        shapes.append(
            f'<rect x="{_EDGE + i * width + 1:.1f}" y="{_SIZE + 10 - share:.1f}" width="{width - 2:.1f}" '
            f'height="{share:.1f}" fill="#dce6f2"/><circle cx="{_EDGE + said * _SIZE:.1f}" '
            f'cy="{_SIZE + 10 - true * _SIZE:.1f}" r="5" fill="#1f5fa8"/>'
        )
    labels = (
        f'<text x="{_EDGE}" y="{_SIZE + 28}">0</text><text x="{_EDGE + _SIZE - 8}" y="{_SIZE + 28}">1</text><text '
        f'x="{_EDGE + _SIZE / 2 - 60}" y="{_SIZE + 28}">probability said</text><text x="4" y="22">1</text><text '
        f'transform="translate(18 {_SIZE / 2 + 60}) rotate(-90)">share that was true</text>'
    )
    rows = "".join(
        f"<tr><td>{low:.1f} – {high:.1f}</td><td>{n:,.0f}</td><td>{s:.3f}</td><td>{t:.3f}</td></tr>"
        for low, high, n, s, t in zip(r.edges, r.edges[1:], r.count, r.said, r.true, strict=False)
        if n > 0
    )
    return (
        f"<div><h2>{title}: expected calibration error {r.error:.3f}</h2>"
        f'<svg width="{_SIZE + _EDGE + 10}" height="{_SIZE + 36}" role="img" aria-label="reliability '
        f'diagram">{"".join(shapes)}{labels}</svg>'
        f"<table><tr><th>probability</th><th>pairs</th><th>said</th><th>true</th></tr>{rows}</table></div>"
    )
