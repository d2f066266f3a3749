"""What a training writes down at every step: ``log.csv``, and TensorBoard events where they are wanted."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from streamreid.errors import MissingExtraError

__all__ = ["Logbook"]


class Logbook:
    """Numbers by step; lines of steps that will be done again are forgotten.

    Args:
        out: Folder of the training.
        first: The step that comes next.
        tensorboard: Also write events into ``OUT/tensorboard``.

    Raises:
        MissingExtraError: TensorBoard is wanted and not installed.
    """

    def __init__(self, out: Path, first: int, tensorboard: bool = False) -> None:
        self._path = out / "log.csv"
        self._trim(first)
        self._events = _events(out / "tensorboard", first) if tensorboard else None

    def write(self, numbers: dict[str, Any]) -> None:
        """Append one step (long form: step, name, value)."""
        step = int(numbers["step"])
        new = not self._path.exists()
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "name", "value"])
            writer.writerows([step, key, f"{value:.6g}"] for key, value in numbers.items() if key != "step")
        if self._events is not None:
            for key, value in numbers.items():
                if key != "step":
                    self._events.add_scalar(key, value, step)

    def close(self) -> None:
        """Write what is left to the event file, and close it."""
        if self._events is not None:
            self._events.close()

    def _trim(self, first: int) -> None:
        if self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines()
            kept = [lines[0], *(line for line in lines[1:] if int(line.split(",", 1)[0]) < first)]
            self._path.write_text("\n".join(kept) + "\n", encoding="utf-8")


def _events(folder: Path, first: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "tensorboard", "Writing TensorBoard events") from error
    return SummaryWriter(str(folder), purge_step=first or None)
