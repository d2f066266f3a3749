"""The state of the code in numbers: what makes it hard to read, counted.

    python benchmarks/house.py [CHECKOUT] [--list WHAT] [--json FILE]

Counted over ``streamreid/`` (and ``tests/`` where said):

``modules``           Python files per room (folder of ``streamreid/``).
``private_package``   uses of another object's or module's private name (``other._name``; not ``self``, ``cls``, dunder
                      names) in the package.
``private_tests``     the same in the tests.
``constants``         numeric constants of modules and classes (``_NAME = 3.5``) without a word: no comment beside or
                      above, no docstring below.
``docstrings``        docstrings of modules, classes and functions with four words or fewer ("See X." is not counted).
``wide_lines``        lines over 120 characters, tests and benchmarks included.
``long_modules``      modules over 400 lines.
``long_functions``    functions over 50 lines.
``inheritance``       the longest chain of the package's own classes.

``duplicates``        blocks of eight lines or more that two functions share, layout, comments and docstrings aside.

``--list`` prints the places of one count.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from _results import add_json, save_asked

Found = list[tuple[str, int, str]]
"""File, line, what."""

WIDTH, MODULE, FUNCTION, WORDS, BLOCK = 120, 400, 50, 4, 8
DOCUMENTED = {"_replace", "_asdict", "_fields", "_make", "_exit"}
"""Names with an underscore that Python's library documents as public."""


def files(root: Path, *folders: str) -> Iterator[tuple[Path, str]]:
    """All Python files of some folders with their text."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield path.relative_to(root), path.read_text(encoding="utf-8")


def private_uses(root: Path, folder: str) -> Found:
    """``something._name`` where something is not the object or class itself."""
    found: Found = []
    for path, text in files(root, folder):
        tree = ast.parse(text)
        own = {a.asname or a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
        doubles = _own_attributes(tree, own) if folder == "tests" else set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streamreid"):
                found += [
                    (str(path), node.lineno, a.name)
                    for a in node.names
                    if re.match(r"_[a-z]", a.name) and not (node.module or "").endswith("streamreid")
                ]
            if not isinstance(node, ast.Attribute) or not re.match(r"_[A-Za-z]", node.attr):
                continue
            base = node.value
            if node.attr in DOCUMENTED:
                continue
            if isinstance(base, ast.Name) and base.id in ("self", "cls") and (folder != "tests" or node in doubles):
                continue
            if isinstance(base, ast.Name) and base.id[:1].isupper() and base.id not in own:
                continue  # a class's own private constant, used in its module
            if isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super":
                continue
            if folder != "tests" and _defined(tree, node.attr):
                continue  # an object of this module's own class
            found.append((str(path), node.lineno, ast.unparse(node)))
    return found


def _own_attributes(tree: ast.Module, imported: set[str]) -> set[ast.Attribute]:
    """Uses of ``self._name`` in a test's own classes. Classes that inherit from the package borrow its private names,
    so only what they define themselves is their own."""
    found: set[ast.Attribute] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        borrowed = any(isinstance(n, ast.Name) and n.id in imported for b in node.bases for n in ast.walk(b))
        uses = [n for n in ast.walk(node) if isinstance(n, ast.Attribute) and ast.unparse(n.value) in ("self", "cls")]
        stored = {n.attr for n in uses if isinstance(n.ctx, ast.Store)}
        found.update(n for n in uses if not borrowed or n.attr in stored)
    return found


def _defined(tree: ast.Module, name: str) -> bool:
    """Whether a module defines a private name itself: as an attribute of self, a field, a method or a function."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return True
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return True
        if (
            isinstance(node, ast.Attribute)
            and node.attr == name
            and isinstance(node.ctx, ast.Store)
            and ast.unparse(node.value) in ("self", "cls")
        ):
            return True
    return False


def bare_constants(root: Path) -> Found:
    """Numbers with a name but no word about their unit or reason."""
    found: Found = []
    for path, text in files(root, "streamreid"):
        lines = text.splitlines()
        for scope in [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.Module, ast.ClassDef))]:
            for i, node in enumerate(scope.body):
                target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
                value = getattr(node, "value", None)
                if (
                    not isinstance(node, (ast.Assign, ast.AnnAssign))
                    or not isinstance(target, (ast.Name, ast.Tuple))
                    or value is None
                ):
                    continue
                name = ast.unparse(target)
                if not re.fullmatch(r"[(_A-Z0-9, )]+", name) or not _numeric(value):
                    continue
                following = scope.body[i + 1] if i + 1 < len(scope.body) else None
                told = (
                    isinstance(following, ast.Expr)
                    and isinstance(following.value, ast.Constant)
                    and isinstance(following.value.value, str)
                )
                above = lines[node.lineno - 2].lstrip() if node.lineno > 1 else ""
                if (
                    not told
                    and "#" not in "".join(lines[node.lineno - 1 : node.end_lineno])
                    and not above.startswith("#")
                ):
                    found.append((str(path), node.lineno, f"{name} = {ast.unparse(value)}"))
    return found


def _numeric(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return isinstance(value.value, (int, float)) and not isinstance(value.value, bool)
    if isinstance(value, ast.UnaryOp):
        return _numeric(value.operand)
    if isinstance(value, ast.BinOp):
        return _numeric(value.left) and _numeric(value.right)
    return isinstance(value, ast.Tuple) and bool(value.elts) and all(map(_numeric, value.elts))


def short_docstrings(root: Path) -> Found:
    """Docstrings that say next to nothing."""
    found: Found = []
    for path, text in files(root, "streamreid"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                doc = ast.get_docstring(node)
                if doc is not None and len(doc.split()) <= WORDS and not doc.startswith("See "):
                    found.append((str(path), getattr(node, "lineno", 1), doc))
    return found


def wide_lines(root: Path) -> Found:
    """Lines that do not fit beside another file."""
    everything = files(root, "streamreid", "tests", "benchmarks")
    return [
        (str(p), i, f"{len(s)} characters")
        for p, text in everything
        for i, s in enumerate(text.splitlines(), 1)
        if len(s) > WIDTH
    ]


def long_modules(root: Path) -> Found:
    """Modules that do too much."""
    return [
        (str(p), 1, f"{n} lines") for p, text in files(root, "streamreid") if (n := len(text.splitlines())) > MODULE
    ]


def long_functions(root: Path) -> Found:
    """Functions that do not fit on a screen."""
    found: Found = []
    for path, text in files(root, "streamreid"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION:
                    found.append((str(path), node.lineno, f"{node.name}: {length} lines"))
    return found


def chains(root: Path) -> Found:
    """Classes of the package that inherit from classes of the package that inherit ..., longest first."""
    bases: dict[str, list[str]] = {}
    homes: dict[str, tuple[str, int]] = {}
    for path, text in files(root, "streamreid"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [ast.unparse(b).split("[")[0].split(".")[-1] for b in node.bases]
                homes[node.name] = (str(path), node.lineno)

    def chain(name: str) -> list[str]:
        own = [b for b in bases.get(name, ()) if b in bases and b != name]
        return [name, *max((chain(b) for b in own), key=len, default=[])]

    skip = {name for name in bases if "Error" in name or "Warning" in name}
    longest = sorted((chain(n) for n in bases if n not in skip), key=lambda c: (-len(c), c))
    return [(*homes[c[0]], " -> ".join(c)) for c in longest if len(c) > 1]


def duplicates(root: Path) -> Found:
    """Blocks of lines that were met in an earlier function."""
    found: Found = []
    first: dict[tuple[str, ...], tuple[str, int, int]] = {}
    for path, text in files(root, "streamreid"):
        tree = ast.parse(text)
        functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        inner = {n for outer in functions for n in ast.walk(outer) if n is not outer}
        for node in functions:
            if node in inner:
                continue
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = [line.strip() for statement in body for line in ast.unparse(statement).splitlines()]
            last = -1
            for start in range(len(lines) - BLOCK + 1):
                block = tuple(lines[start : start + BLOCK])
                place = first.setdefault(block, (str(path), node.lineno, start))
                if place[:2] != (str(path), node.lineno) and start > last:
                    found.append((str(path), node.lineno, f"{node.name}: as in {place[0]}:{place[1]}"))
                    last = start + BLOCK - 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).resolve().parents[1])
    parser.add_argument("--list", metavar="WHAT", help="print the places of one count")
    add_json(parser, "house")
    options = parser.parse_args()
    root = options.checkout
    counts: dict[str, Found] = {
        "private_package": private_uses(root, "streamreid"),
        "private_tests": private_uses(root, "tests"),
        "constants": bare_constants(root),
        "docstrings": short_docstrings(root),
        "wide_lines": wide_lines(root),
        "long_modules": long_modules(root),
        "long_functions": long_functions(root),
        "inheritance": chains(root),
        "duplicates": duplicates(root),
    }
    if options.list:
        for path, line, what in counts[options.list]:
            print(f"{path}:{line}: {what}")
        return 0
    rooms = Counter(p.parts[1] if len(p.parts) > 2 else "." for p, _ in files(root, "streamreid"))
    longest = max((len(what.split(" -> ")) for *_, what in counts["inheritance"]), default=1)
    figures = {name: longest if name == "inheritance" else len(found) for name, found in counts.items()}
    for name, figure in figures.items():
        print(f"{name:16} {figure:5}")
    print("modules          " + "  ".join(f"{room} {n}" for room, n in sorted(rooms.items())))
    save_asked(options, {**figures, "modules": {"top" if room == "." else room: n for room, n in rooms.items()}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
