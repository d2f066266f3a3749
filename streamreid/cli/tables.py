"""Tables that stay readable in narrow terminals: no date, number or name is ever broken."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

__all__ = ["print_table"]

_LEAST_FOLDED = 24
"""Characters that a column of sentences or paths (``overflow="fold"``) needs to be readable over several lines."""

_GAP = " · "
_INDENT = "  "


def print_table(console: Console, table: Table) -> None:
    """Print a table; where its columns do not fit side by side, a block per row: the first cell, and below it each
    heading with its value.

    Args:
        console: Where to.
        table: Without a box. Columns with ``overflow="fold"`` may be broken over lines, others may not.
    """
    for column in table.columns:
        column.no_wrap = column.no_wrap or column.overflow != "fold"
    needed, gaps = sum(_needed(console, column) for column in table.columns), len(table.columns) - 1
    if needed + gaps <= console.width:
        if needed + 2 * gaps > console.width:
            table.padding = (0, 1, 0, 0)
        console.print(table)
        return
    names = [_text(console, column.header).plain.replace("\n", " ") for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *values = (_text(console, cell) for cell in row)
        if first:  # else it goes on with the one before
            console.print(first, soft_wrap=True)
        said = [
            Text.assemble((f"{name} ", table.header_style or "bold"), value)
            for name, value in zip(names[1:], values, strict=True)
            if value
        ]
        for line in _lines(said, console.width - len(_INDENT)):
            console.print(Text(_INDENT).append_text(line), soft_wrap=True)


def _needed(console: Console, column: Column) -> int:
    """Characters that a column needs."""
    cells = [_text(console, column.header), *(_text(console, cell) for cell in column.cells)]
    widest = max(Measurement.get(console, console.options, cell).maximum if cell else 0 for cell in cells)
    folded = column.overflow == "fold"
    return min(widest, max(_LEAST_FOLDED, cells[0].cell_len)) if folded else widest


def _text(console: Console, cell: object) -> Text:
    return cell if isinstance(cell, Text) else console.render_str(str(cell), highlight=False)


def _lines(said: list[Text], width: int) -> list[Text]:
    """As many on a line as there is room for."""
    lines: list[Text] = []
    for text in said:
        if lines and lines[-1].cell_len + len(_GAP) + text.cell_len <= width:
            lines[-1].append(_GAP).append_text(text)
        else:
            lines.append(text.copy())
    return lines
