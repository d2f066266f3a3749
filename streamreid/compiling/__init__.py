"""Compiled forms of a graph: how they are built, what they depend on, and how near they are to the reference."""

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
