"""Scores of an engine on a ReID data set as one HTML page without scripts, network or further files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from streamreid.evaluation.occluded import OccludedScores
from streamreid.evaluation.reid import ReidScores
from streamreid.evaluation.reid_gaps import GapScores, group_tables

__all__ = ["reid_page"]

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#222;background:#fff}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.15rem .8rem;text-align:right;"
    "border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
    ".bar{display:inline-block;height:.7rem;background:#1f5fa8}"
)


def reid_page(engine: str, dataset: str, found: OccludedScores, groups: GapScores | None) -> str:
    """The page.

    Args:
        engine: Its name.
        dataset: Its name.
        found: Clean and occluded queries.
        groups: By gap, viewpoint and visible share, where asked for.
    """
    rows = [
        (f"{kind}, {name}", *_cells(scores[kind]))
        for kind in found.parts
        for name, scores in (("parts", found.parts), ("whole person", found.whole), ("unified", found.unified))
        if kind in scores
    ]
    body = _table(("queries", "R1", "R5", "R10", "mAP", "mINP"), rows)
    if found.sides:
        sides = [(name, *_cells(scores)) for name, scores in found.sides.items()]
        body += "<h2>By covered side</h2>" + _table(("queries", "R1", "R5", "R10", "mAP", "mINP"), sides)
    for title, some in group_tables(groups) if groups is not None else ():
        lines = [(g.name, f"{g.queries}", f"{g.r1:.3f}", f"{g.map:.3f}", _bar(g.map)) for g in some]
        body += f"<h2>By {escape(title)}</h2>" + _table((title.split(" (")[0], "queries", "R1", "mAP", ""), lines)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(engine)} on {escape(dataset)}</title>"
        f"<style>{_STYLE}</style><h1>{escape(engine)} on {escape(dataset)}</h1>"
        f"<p>{found.parts['clean'].queries} queries, Market-1501 protocol.</p>{body}</html>\n"
    )


def _cells(s: ReidScores) -> list[str]:
    return [f"{v:.3f}" for v in (s.r1, s.r5, s.r10, s.map, s.minp)]


def _bar(share: float) -> str:
    return f'<span class=bar style="width:{100 * share:.0f}px"></span>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(
        "<tr>" + "".join(f"<td>{c if c.startswith('<span class=bar') else escape(c)}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{''.join(f'<th>{escape(c)}</th>' for c in head)}</tr>{lines}</table>"
