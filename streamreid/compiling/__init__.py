"""Compiled forms of a graph: how they are built, what they depend on, and how near they are to the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamreid._lazy import lazily

if TYPE_CHECKING:
    from streamreid.compiling.build import BuildOptions, build_form
    from streamreid.compiling.policy import CompiledGraph, LoadOptions, open_build, open_graph
    from streamreid.compiling.records import BuildRecord, DeviceFingerprint, ParityReport, Thresholds


__all__ = [
    "BuildOptions",
    "BuildRecord",
    "CompiledGraph",
    "DeviceFingerprint",
    "LoadOptions",
    "ParityReport",
    "Thresholds",
    "build_form",
    "open_build",
    "open_graph",
]

__getattr__ = lazily(
    __name__,
    {
        "BuildOptions": "build",
        "build_form": "build",
        "CompiledGraph": "policy",
        "LoadOptions": "policy",
        "open_build": "policy",
        "open_graph": "policy",
        "BuildRecord": "records",
        "DeviceFingerprint": "records",
        "ParityReport": "records",
        "Thresholds": "records",
    },
)
