"""One process: perception (cameras, batches, inference, tracks) feeds the site (identities, gallery, events)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamreid.pipeline.perception import Perception
    from streamreid.pipeline.pipeline import Pipeline
    from streamreid.pipeline.run import Run
    from streamreid.pipeline.site import Site

__all__ = ["Perception", "Pipeline", "Run", "Site"]


def __getattr__(name: str) -> Any:
    """Imported when it is used: a worker of a cluster needs the cameras' half only, and a second less to start."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{name.lower()}"), name)
