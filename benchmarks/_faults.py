"""What the benchmarks of faults share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection

__all__ = ["chosen_of"]


def chosen_of(kinds: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads some of the faults, by name, from a command line."""

    def chosen(text: str) -> tuple[str, ...]:
        found = tuple(kind.strip() for kind in text.split(","))
        if unknown := set(found) - set(kinds):
            raise argparse.ArgumentTypeError(f"no such fault: {', '.join(sorted(unknown))}")
        return found

    return chosen
