"""The list of verbs that ``streamreid --help`` prints. Typer's own prints the same, but first imports readers of
Markdown and source code, which takes longer than all the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = ["print_help"]

_NAME = "bold cyan"
_BORDER = "dim"


def print_help(
    usage: str, text: str, options: Iterable[tuple[str, str]], verbs: Iterable[tuple[str, str, str]]
) -> None:
    """Print usage, a sentence, options, and verbs under their headings.

    Args:
        usage: The line of usage.
        text: What the program is for.
        options: How an option is written, and what it does.
        verbs: Heading, name and sentence of each verb, in the order of the list.
    """
    console, panels = Console(emoji=False), defaultdict[str, list[tuple[str, str]]](list)
    for heading, name, sentence in verbs:
        panels[heading].append((name, sentence))
    widest = max((len(name) for listed in panels.values() for name, _ in listed), default=0)
    console.print(Padding(Text(usage, "bold"), 1))
    console.print(Padding(Text(text), (0, 1, 1, 1)))
    console.print(_panel("Options", options, 0))
    for heading, listed in panels.items():
        console.print(_panel(heading, listed, widest))


def _panel(heading: str, rows: Iterable[tuple[str, str]], width: int) -> Any:
    table = Table(box=None, show_header=False, expand=True, pad_edge=False, padding=(0, 1))
    table.add_column(style=_NAME, no_wrap=True, min_width=width or None)
    table.add_column(ratio=1)
    for name, sentence in rows:
        table.add_row(name, Text(sentence))
    return Panel(table, title=heading, title_align="left", border_style=_BORDER)
