"""Writes docs/benchmarks.md: its words from ``benchmarks.md.in``, its figures from ``results/*.json``.

    python -m benchmarks.report [--check]

The template refers to figures as ``{{RECORD NAME FORMAT}}``, for example ``{{speed yolo_track.whole .1f}}``: RECORD is
a file of ``benchmarks/results/`` without ``.json``, NAME a figure of it, FORMAT a format of Python. A leading zero is
left out (.868), a minus is a minus (−1.0). Several figures of one kind stand together: ``{{multicam
pab-osnet-small.streamreid.IDF1/HOTA .3f}}`` is ``.868 / .625``; they have one format, or one each (``.3f/.3f/d``). A
fourth word is a factor: ``*0.001``.

``--check`` writes nothing; the exit code is 1 where the page is not what would be written.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS, TEMPLATE, PAGE = HERE / "results", HERE / "benchmarks.md.in", HERE.parent / "docs" / "benchmarks.md"
REFERENCE = re.compile(r"\{\{(.*?)\}\}")
TABLE = "[[RECORDS]]"
"""In the template: where the table of all records stands."""

Records = Mapping[str, Mapping[str, Any]]


class UnknownFigure(ValueError):
    """The template refers to a figure that no record has."""


def load_records(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Records by the name of their file."""
    paths = sorted(folder.glob("*.json"), key=lambda path: path.stem)
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def written(value: float, form: str) -> str:
    """A figure as the page has it: .868, −1.0, 1,066."""
    text = f"{round(value) if form.endswith('d') else value:{form}}"
    return re.sub(r"^([+-]?)0\.(?=\d)", r"\1.", text).replace("-", "−")


def render(template: str, records: Records) -> str:
    """The page.

    Args:
        template: Words, and references to figures.
        records: By name.

    Raises:
        UnknownFigure: A record or figure is not there; says which, and which command makes it.
    """

    def figures(found: re.Match[str]) -> str:
        words = found.group(1).split()
        if len(words) not in (3, 4):
            raise UnknownFigure(f"{found.group(0)}: a reference is RECORD NAME FORMAT [*FACTOR]")
        record, names, forms = words[:3]
        factor = float(words[3].lstrip("*")) if len(words) == 4 else 1.0
        group, dot, last = names.rpartition(".")
        keys = [group + dot + key for key in last.split("/")]
        formats = forms.split("/")
        if len(formats) == 1:
            formats *= len(keys)
        if record not in records:
            raise UnknownFigure(f"{found.group(0)}: there is no benchmarks/results/{record}.json")
        missing = [key for key in keys if key not in records[record]["figures"]]
        if missing:
            raise UnknownFigure(
                f"{found.group(0)}: benchmarks/results/{record}.json has no figure {', '.join(missing)}; was the "
                "benchmark run with other arguments than before?"
            )
        values = (records[record]["figures"][key] * factor for key in keys)
        return " / ".join(written(value, form) for value, form in zip(values, formats, strict=True))

    page = REFERENCE.sub(figures, template)
    return page.replace(TABLE, provenance(records)) if TABLE in page else page


def provenance(records: Records) -> str:
    """A table of all records: the command, when and where it ran."""
    lines = ["| record | command | date | commit | machine |", "|---|---|---|---|---|"]
    for name, record in records.items():
        machine = record["machine"]
        place = machine["cpu"] + (f", {machine['cores']} cores" if machine.get("cores") else "")
        copied = " (copied from this page)" if record.get("transcribed") else ""
        row = (name, f"`{record['command']}`", record["date"] + copied, record["commit"], place)
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")
    options = parser.parse_args()
    try:
        page = render(TEMPLATE.read_text(encoding="utf-8"), load_records())
    except UnknownFigure as error:
        sys.exit(str(error))
    if not options.check:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page:
        return 0
    print("docs/benchmarks.md is not up to date: python -m benchmarks.report", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
