"""Small files that are always complete."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from streamreid.errors import OutputError

__all__ = ["write_json"]


def write_json(path: Path, data: Any, *, private: bool = False) -> None:
    """Write ``data`` so that the file is always complete.

    Args:
        path: The file.
        data: What JSON can say.
        private: Only the owner may read it.

    Raises:
        OutputError: It cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        if private:  # one that was left behind may be readable by others
            part.unlink(missing_ok=True)
        with open(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666), "w", encoding="utf-8"
        ) as file:
            file.write(json.dumps(data, indent=2) + "\n")
        os.replace(part, path)
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror or error}. Free space or choose another folder (--out)."
        ) from error
