"""What moved between two sets of benchmark results.

    python -m benchmarks.compare A B [--above 0.02] [--fail-above PERCENT]

A and B are JSON files of ``benchmarks/results/``, or folders of them. Printed per figure: both values and B / A;
figures that moved by less than ``--above`` (a share) are left out. Another machine, other versions, another seed or
command are said, because ratios then mean little. With ``--fail-above`` the exit code is 1 where a figure moved by more
than so many percent, up or down, or is in A and not in B.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def load(path: Path) -> dict[str, dict[str, Any]]:
    """Records by the name of their file; a single file by its benchmark."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        sys.exit(f"{path}: no results (*.json) in this folder")
    records = {}
    for file in files:
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            records[file.stem if path.is_dir() else record["benchmark"]] = record
            record["figures"].keys()
        except OSError as error:
            sys.exit(f"{file}: {error.strerror}")
        except (ValueError, KeyError, TypeError, AttributeError):
            sys.exit(f"{file}: not what a benchmark's --json writes")
    return records


def differences(a: dict[str, Any], b: dict[str, Any], above: float) -> list[tuple[str, float | None, float | None]]:
    """Figures that only one has, or that moved by more than ``above``."""
    x, y = a["figures"], b["figures"]
    moved = []
    for key in sorted(x.keys() | y.keys()):
        p, q = x.get(key), y.get(key)
        if p is None or q is None or abs(q - p) > above * max(abs(p), 1e-12):
            moved.append((key, p, q))
    return moved


def conditions(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What else is different: processor, cores, versions, seed, command."""
    found = [key for key in ("cpu", "cores") if a["machine"].get(key) != b["machine"].get(key)]
    found += [key for key, value in a["versions"].items() if b["versions"].get(key, value) != value]
    return found + [key for key in ("seed", "command") if a.get(key) != b.get(key)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--above", type=float, default=0.02)
    parser.add_argument("--fail-above", type=float, metavar="PERCENT")
    options = parser.parse_args()
    a, b = load(options.a), load(options.b)
    failed = 0
    for name in sorted(a.keys() | b.keys()):
        if name not in a or name not in b:
            print(f"{name}: only in {options.a if name in a else options.b}")
            failed += name in a
            continue
        other = conditions(a[name], b[name])
        print(
            f"{name}: {a[name]['commit']} -> {b[name]['commit']}" + (f" (differs: {', '.join(other)})" if other else "")
        )
        for key, p, q in differences(a[name], b[name], options.above):
            ratio = f"{q / p:8.3f}" if p and q is not None else "       -"
            print(f"  {key:50} {'-' if p is None else f'{p:.6g}':>12} {'-' if q is None else f'{q:.6g}':>12} {ratio}")
        if options.fail_above is not None:
            failed += sum(p is not None for _, p, _ in differences(a[name], b[name], options.fail_above / 100))
    if options.fail_above is not None and failed:
        print(f"{failed} moved by more than {options.fail_above:g} %, or are gone")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
