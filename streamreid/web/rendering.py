"""Templates filled with values. Everything is escaped: what a camera, a person or a file is called is text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from streamreid._version import __version__
from streamreid.serving.access_control import UPLOAD_BYTES
from streamreid.sinks.drawing import clock_text, colour_of
from streamreid.web.registry import Asked, Pages
from streamreid.web.site_view import SiteView
from streamreid.web.texts import Texts

__all__ = ["Renderer", "colour_sheet"]

_COLOURS = 96
"""Colours of people before they repeat, as in films."""


def colour_sheet() -> str:
    """A style sheet with a class per colour of a person: the same colours as in films."""
    rules = []
    for number in range(_COLOURS + 1):
        blue, green, red = colour_of(number)
        rules.append(f".id-{number} {{ --person: rgb({red} {green} {blue}); }}")
    return "\n".join(rules) + "\n"


def _colour_class(global_id: int | None) -> str:
    """The class of a person's colour; that of nobody for None."""
    return f"id-{1 + (global_id - 1) % _COLOURS}" if global_id else "id-0"


def _clock(time: float | None) -> str:
    return "–" if time is None else clock_text(float(time))


def _between(start: float | None, end: float | None) -> str:
    """From when to when; the day is said once."""
    if start is None or end is None:
        return "–" if start is None and end is None else f"{_clock(start)} – {_clock(end)}"
    first, last = _clock(start), _clock(end)
    day, _, rest = first.partition(" ")
    if rest and last.startswith(f"{day} "):
        return f"{first.removesuffix(' UTC')} – {last.removeprefix(f'{day} ')}"
    return f"{first} – {last}"


def _percent(share: float | None, digits: int = 0) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f}\u00a0%"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {whole % 60:02d} s"


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _data(value: Any) -> Markup:
    """JSON for ``<script type="application/json">``, which no browser runs; nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(text)  # noqa: S704 - escaped above


class Renderer:
    """Fills templates.

    Args:
        site: What pages show.
        pages: What is listed in the navigation.
        signed_in: Whether viewers had to sign in.
    """

    def __init__(self, site: SiteView, pages: Pages, *, signed_in: bool) -> None:
        self._site, self._pages, self._signed_in = site, pages, signed_in
        loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
        self._templates = jinja2.Environment(
            loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.filters |= {
            "clock": _clock,
            "until": _between,
            "percent": _percent,
            "duration": _duration,
            "number": _number,
            "data": _data,
            "segment": lambda text: quote(str(text), safe=""),
        }
        self._templates.globals |= {"colour": _colour_class, "static": _static_address, "upload_bytes": UPLOAD_BYTES}

    def __call__(self, template: str, texts: Texts, asked: Asked | None = None, **values: Any) -> str:
        """A page as HTML.

        Args:
            template: File in ``templates/``.
            texts: The viewer's language.
            asked: What was asked for; None before anybody has logged in.
            values: What the template needs.
        """
        common = {
            "t": texts,
            "site": self._site,
            "pages": [] if asked is None else self._pages.of(self._site),
            "can_change": asked is not None and asked.can_change,
            "role": None if asked is None else asked.role,
            "page": None,
            "signed_in": self._signed_in,
            "theme": "",
        }
        return self._templates.get_template(template).render({**common, **values})


def _static_address(name: str) -> str:
    # Modules import each other by their plain names: under two addresses one would be loaded, and act, twice.
    return f"/page/static/{name}" if name.endswith(".js") else f"/page/static/{name}?{__version__}"
