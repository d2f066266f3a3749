"""docs/where-is-it.md names files that exist and names that are defined in them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "where-is-it.md"
ROWS = re.findall(r"^\| (.+\?) \| `(.+)` \| `(.+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def defined(body):
    """Names that a module's or class's statements define, by their nodes."""
    names = {}
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names[node.name] = node
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                names[target.id] = node
    return names


def test_there_are_at_least_twenty_questions():
    text = PAGE.read_text(encoding="utf-8")
    assert len(ROWS) >= 20
    assert len(ROWS) == sum(line.startswith("|") and "?" in line for line in text.splitlines())
    assert len({question for question, _, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("question", "file", "name"), ROWS)
def test_the_answer_is_there(question, file, name):
    path = ROOT / "streamreid" / file
    assert path.is_file(), f"{question} {file} does not exist"
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for part in name.split("."):
        names = defined(body)
        assert part in names, f"{question} {file} defines no {name}"
        body = getattr(names[part], "body", [])
