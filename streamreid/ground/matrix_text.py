"""Matrices in text files: one, or one per camera under titles, as EPFL's multi-camera sequences have them.

Messages say where a file is wrong, never what stands there: by HTTP, whoever adds a camera chooses the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from streamreid.errors import ConfigError
from streamreid.types import Float64Array

__all__ = ["one_matrix"]


Rows = list[list[float]]

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?|nan|[+-]?inf", re.IGNORECASE
)
_CAMERA = re.compile(r"(?:camera|cam|view|c)[\s_#-]*0*([0-9]{1,4})(?![0-9])", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"0*([0-9]{1,4})$")
_SIZES = (9, 12, 16)
"""Numbers of a 3x3, 3x4 and 4x4 matrix."""

_MOST_OF_ONE = 64
"""Numbers that are still described as rows and columns of a wrong matrix."""

_MOST_NUMBERS = 64 * max(_SIZES)
"""Of a file: 64 cameras."""


@dataclass(slots=True)
class _Block:
    """A matrix with the titles above it.

    Args:
        camera: The last title that names a camera.
        title: The title just above.
        line: Where it begins, from 1.
        rows: Its numbers.
    """

    camera: str
    title: str
    line: int
    rows: Rows = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return sum(map(len, self.rows))


def one_matrix(text: str, where: str, key: str = "", camera: str = "", file: str = "FILE.txt") -> Float64Array:
    """The matrix of a text file, in rows; comments, labels and brackets are passed over.

    Args:
        text: The file.
        where: For messages.
        key: Which of several matrices: the number or the name of the camera in the title above it.
        camera: Name of the camera, which picks the matrix where ``key`` is empty.
        file: Name of the file, for messages.

    Raises:
        ConfigError: It is no matrix, or holds several and neither ``key`` nor ``camera`` picks one.
    """
    blocks = _blocks(text, where)
    rows = [row for block in blocks for row in block.rows]
    if key or sum(map(len, rows)) > max(_SIZES):
        several = [b for b in blocks if b.count in _SIZES]
        if len(several) > 1 or (key and several):
            rows = _picked(several, where, key, camera, file).rows
        elif sum(map(len, rows)) > _MOST_OF_ONE:
            raise ConfigError(
                f"{where}: holds more numbers than one matrix has; expected 3x3 or 3x4, of several cameras each under "
                "a title with the camera's name or number"
            )
    if not rows or len({len(r) for r in rows}) != 1:
        shape = f"rows of {sorted({len(r) for r in rows})} numbers" if rows else "no numbers"
        raise ConfigError(f"{where}: not a matrix of numbers ({shape}); expected 3x3 or 3x4")
    return np.array(rows, np.float64)


def _blocks(text: str, where: str) -> list[_Block]:
    """The numbers of a file by the titles between them."""
    blocks = [_Block("", "", 1)]
    camera = title = ""
    total = 0
    for number, line in enumerate(text.split("\n"), 1):
        rows = _rows(line, f"{where} line {number}")
        words = line.strip().lstrip("\ufeff#%/ ").strip()[:200]
        label = words if not rows else words.partition(":")[0] if ":" in words else ""
        if label:
            title = label
            camera = label if _CAMERA.search(label) else camera
        if rows:
            if label or title != blocks[-1].title or camera != blocks[-1].camera:
                blocks.append(_Block(camera, title, number))
            blocks[-1].rows += rows
            total += sum(map(len, rows))
        if total > _MOST_NUMBERS:
            raise ConfigError(
                f"{where}: holds more numbers than one matrix has; expected 3x3 or 3x4, one camera per file"
            )
    return blocks


def _picked(blocks: list[_Block], where: str, key: str, camera: str, file: str) -> _Block:
    """The block that is meant; of several planes of one camera, the ground."""
    found = _named(blocks, key or camera)
    ground = [b for b in found if "ground" in b.title.lower()]
    found = ground or [b for b in found if "head" not in b.title.lower()] or found
    if len(found) == 1:
        return found[0]
    lines = ", ".join(str(b.line) for b in blocks[:12])
    missed = "none" if not found else "more than one"
    raise ConfigError(
        f"{where}: holds {len(blocks)} matrices (lines {lines}), and {missed} of them is under a title with "
        f"{'the name or number given' if key else 'the name or number of this camera'}. Say which camera of the file "
        f"is meant, by the name or number in the title: calibration: '{file}:2'"
    )


def _named(blocks: list[_Block], wanted: str) -> list[_Block]:
    """Blocks whose titles name a camera: by all of its name, else by its number."""
    plain = _plain(wanted)
    exact = [b for b in blocks if plain and plain in (_plain(b.camera), _plain(b.title))]
    last = _LAST_NUMBER.search(wanted.strip())
    if exact or last is None:
        return exact
    number = int(last.group(1))
    return [b for b in blocks if (there := _CAMERA.search(b.camera)) is not None and int(there.group(1)) == number]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name[:200].lower())


def _rows(line: str, where: str) -> list[list[float]]:
    text = line.strip().lstrip("\ufeff")
    if not text or text.startswith(("#", "%", "//")):
        return []
    label, colon, rest = text.partition(":")
    if colon and not _NUMBER.fullmatch(label.split(maxsplit=1)[0][:80]):
        text = rest.strip()  # Homography matrix: 1 2 3;4 5 6;7 8 9
    text = text.replace("[", " ").replace("]", " ").replace("(", " ").replace(")", " ")
    semicolons = text.split(";")
    if len(semicolons) > 1 and all(len(s.split()) <= 1 for s in semicolons):
        pieces = [" ".join(s.strip().replace(",", ".") for s in semicolons)]  # a spreadsheet with decimal commas
    else:
        pieces = semicolons
    rows = []
    for piece in pieces:
        words = piece.replace(",", " ").split()
        if not words:
            continue
        if any(len(w) > 80 or not _NUMBER.fullmatch(w) for w in words):
            if not _NUMBER.fullmatch(words[0][:80]):
                return []  # a title
            raise ConfigError(f"{where}: not a row of numbers; expected a 3x3 or 3x4 matrix")
        rows.append([float(w) for w in words])
    return [] if colon and sum(map(len, rows)) < 3 else rows  # Reprojection error: 1.2
