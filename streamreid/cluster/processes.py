"""Whether a process runs on this machine. Nothing else is imported here, so that a task that asks it begins at once."""

from __future__ import annotations

import os

__all__ = ["process_is_gone"]


def process_is_gone(pid: int) -> bool:
    """Whether no process of this number runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
