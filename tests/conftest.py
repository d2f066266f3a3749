"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the development data (real videos, ground truth, weights); tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("STREAMREID_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the development data: no folder {folder}/data (set STREAMREID_SHARED)")
    return folder
