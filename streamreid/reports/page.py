"""The HTML of a report: one file that works without a network, in light and dark, on a phone, and without pictures."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from streamreid.errors import MissingExtraError
from streamreid.reports.charts import Chart
from streamreid.types import Image

__all__ = ["Page", "Picture", "Section", "Table", "bullets", "numbers", "pair", "paragraphs", "plotly_script"]

_JPEG_QUALITY = 82
"""Of maps: a line of two pixels stays a line, and a map of 960 x 720 takes about 120 KB."""

_MOST_ROWS = 500
"""Rows of a table on the page; the CSV has all."""


_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
"""The browser itself keeps the page from fetching anything."""


def plotly_script() -> str:
    """The text of plotly.js, as the Python package plotly has it.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError("plotly", "report", "A page with charts") from error
    return str(get_plotlyjs())


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Args:
        columns: Headings; one that ends in a colon is of text, the others of numbers.
        rows: Cells; None is empty.
        caption: What the table is of.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str

    def html(self) -> str:
        """The table in a box that scrolls."""
        kinds = [' class="text"' if name.endswith(":") else "" for name in self.columns]
        head = "".join(
            f'<th scope="col"{kind}>{_text(name.removesuffix(":"))}</th>'
            for name, kind in zip(self.columns, kinds, strict=True)
        )
        shown = self.rows[:_MOST_ROWS]
        body = "".join(
            "<tr>" + "".join(f"<td{kind}>{_cell(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
            for row in shown
        )
        more = len(self.rows) - len(shown)
        rest = f'<p class="quiet">{more} more rows are left out here; the CSV has all.</p>' if more else ""
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(self.caption)}">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{rest}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture.

    Args:
        image: ``[H, W, 3]`` uint8 BGR.
        title: What it is of.
        alt: What it shows, for those who cannot see it.
        note: Below the picture.
    """

    image: Image
    title: str
    alt: str
    note: str = ""

    def html(self) -> str:
        """The picture, its data included."""
        data = cv2.imencode(".jpg", self.image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
        height, width = self.image.shape[:2]
        note = f'<p class="quiet">{_text(self.note)}</p>' if self.note else ""
        return (
            f"<figure><figcaption><h3>{_text(self.title)}</h3></figcaption>"
            f'<img width="{width}" height="{height}" alt="{_text(self.alt)}" '
            f'src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">{note}</figure>'
        )


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Args:
        key: For links to it.
        title: Its heading.
        parts: Pieces of HTML, in order.
    """

    key: str
    title: str
    parts: Sequence[str]

    def html(self) -> str:
        """The section."""
        return (
            f'<section id="{self.key}" aria-labelledby="{self.key}-title">'
            f'<h2 id="{self.key}-title">{_text(self.title)}</h2>{"".join(self.parts)}</section>'
        )


@dataclass
class Page:
    """A page while it is made.

    Args:
        title: Of the page.
        subtitle: Below it.
        notices: What whoever reads it must know first.
    """

    title: str
    subtitle: str
    notices: Sequence[str] = ()
    sections: list[Section] = field(default_factory=list)
    _charts: list[Chart] = field(default_factory=list)

    def add(self, key: str, title: str, *parts: str) -> None:
        """Append a section; without parts there is none."""
        if parts:
            self.sections.append(Section(key, title, parts))

    def chart(self, chart: Chart, table: Table) -> str:
        """A chart and, beside it, its table."""
        self._charts.append(chart)
        return (
            f'<figure><figcaption><h3 id="{chart.key}-name">{_text(chart.title)}</h3>'
            f'<p class="quiet" id="{chart.key}-says">{_text(chart.says)}</p></figcaption>'
            f'<div class="chart" id="{chart.key}" role="img" '
            f'aria-labelledby="{chart.key}-name" aria-describedby="{chart.key}-says"></div>'
            f"<details><summary>{_text(table.caption)} as a table</summary>{table.html()}</details></figure>"
        )

    def html(self, footer: str) -> str:
        """The whole file."""
        links = "".join(f'<li><a href="#{s.key}">{_text(s.title)}</a></li>' for s in self.sections)
        notices = "".join(f'<p class="notice" role="note">{_text(notice)}</p>' for notice in self.notices)
        scripts = ""
        if self._charts:
            data = [{"key": c.key, "traces": list(c.traces), "layout": dict(c.layout)} for c in self._charts]
            scripts = (
                f'<script type="application/json" id="charts">{_script_json(data)}</script>'
                f"<script>{plotly_script()}</script><script>{_file('page.js')}</script>"
            )
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
            f"<title>{_text(self.title)}</title><style>{_file('page.css')}</style></head><body>"
            '<a class="skip" href="#content">Skip to the content</a>'
            f'<header><h1>{_text(self.title)}</h1><p class="quiet">{_text(self.subtitle)}</p>{notices}'
            f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>'
            f'<main id="content">{"".join(section.html() for section in self.sections)}</main>'
            f"<footer>{footer}</footer>{scripts}</body></html>\n"
        )


def numbers(cells: Sequence[tuple[str, str, str]]) -> str:
    """A row of large numbers: what, the number, a remark."""
    return (
        '<dl class="numbers">'
        + "".join(
            f"<div><dt>{_text(what)}</dt><dd>{_text(value)}<small>{_text(remark)}</small></dd></div>"
            for what, value, remark in cells
        )
        + "</dl>"
    )


def paragraphs(*texts: str, quiet: bool = False) -> str:
    """Paragraphs of text."""
    kind = ' class="quiet"' if quiet else ""
    return "".join(f"<p{kind}>{_text(text)}</p>" for text in texts)


def bullets(items: Sequence[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{_text(item)}</li>" for item in items) + "</ul>"


def pair(*parts: str) -> str:
    """Parts side by side where there is room."""
    return f'<div class="pair">{"".join(parts)}</div>'


def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _text(text: object) -> str:
    return html.escape(str(text), quote=True)


def _cell(value: Any) -> str:
    if value is None:
        return '<span class="quiet">–</span>'
    if isinstance(value, float):
        return f"{value:.1f}"
    return _text(value)


def _script_json(data: Any) -> str:
    """JSON that cannot end its script element."""
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
