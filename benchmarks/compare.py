"""What moved between two sets of benchmark results.

    python -m benchmarks.compare A B [--above 0.02]

A and B are JSON files of ``benchmarks/results/``, or folders of them. Printed per figure: both values and B / A;
figures that moved by less than ``--above`` (a share) are left out. Another machine or other versions are said, because
ratios then mean little.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def load(path: Path) -> dict[str, dict[str, Any]]:
    """Records by benchmark."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        sys.exit(f"{path}: no results (*.json) in this folder")
    records = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    return {record["benchmark"]: record for record in records}


def differences(a: dict[str, Any], b: dict[str, Any], above: float) -> list[tuple[str, float | None, float | None]]:
    """Figures that only one has, or that moved by more than ``above``."""
    x, y = a["figures"], b["figures"]
    moved = []
    for key in sorted(x.keys() | y.keys()):
        p, q = x.get(key), y.get(key)
        if p is None or q is None or abs(q - p) > above * max(abs(p), 1e-12):
            moved.append((key, p, q))
    return moved


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--above", type=float, default=0.02)
    options = parser.parse_args()
    a, b = load(options.a), load(options.b)
    for name in sorted(a.keys() | b.keys()):
        if name not in a or name not in b:
            print(f"{name}: only in {options.a if name in a else options.b}")
            continue
        other = [key for key in ("cpu", "cores") if a[name]["machine"].get(key) != b[name]["machine"].get(key)]
        other += [key for key, value in a[name]["versions"].items() if b[name]["versions"].get(key, value) != value]
        print(
            f"{name}: {a[name]['commit']} -> {b[name]['commit']}" + (f" (differs: {', '.join(other)})" if other else "")
        )
        for key, p, q in differences(a[name], b[name], options.above):
            ratio = f"{q / p:8.3f}" if p and q is not None else "       -"
            print(f"  {key:50} {'-' if p is None else f'{p:.6g}':>12} {'-' if q is None else f'{q:.6g}':>12} {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
