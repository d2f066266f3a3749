"""Exports of models as other programs write them, made by the scripts beside the project where they are there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["made_exports"]

_SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def made_exports(script: str, folder: Path) -> Path:
    """Have a script of ../shared/cases write its exports to a folder; the test is skipped where there is none."""
    path = _SHARED / "cases" / script
    if not path.is_file():
        pytest.skip("needs ../shared/cases")
    environment = {**os.environ, "SHARED": str(_SHARED)}
    subprocess.run([sys.executable, str(path), str(folder)], check=True, env=environment, capture_output=True)
    return folder
