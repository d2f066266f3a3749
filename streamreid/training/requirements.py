"""What training needs beyond the light install."""

from __future__ import annotations

import importlib.util

from streamreid.errors import MissingExtraError

__all__ = ["need_torch"]


def need_torch(purpose: str) -> None:
    """Check that torch and lightning are installed, without importing them.

    Args:
        purpose: What needs them, for the message.

    Raises:
        MissingExtraError: One is missing.
    """
    for package in ("torch", "lightning"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "train", purpose)
