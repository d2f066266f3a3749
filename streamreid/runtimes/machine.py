"""What this machine's CPU is, as far as the speed of graphs and compiled graphs depend on it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

__all__ = ["BF16_FLAGS", "cpu_flags", "cpu_name", "machine_key", "versions"]

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Instruction sets that compute bfloat16 in hardware."""


@lru_cache(maxsize=1)
def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty on other systems."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if not line.strip() and found:
                break
            found[key.strip().lower()] = value.strip()
    return found


def cpu_name() -> str:
    """As its maker calls it."""
    info = _cpuinfo()
    return info.get("model name") or info.get("model") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Instruction sets, as Linux names them; empty where they cannot be read."""
    info = _cpuinfo()
    return frozenset((info.get("flags") or info.get("features") or "").split())


def versions() -> dict[str, str]:
    """Versions of the libraries that run graphs on CPUs; those that are not installed are left out."""
    found = {}
    for package in ("openvino", "onnxruntime", "torch"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


@lru_cache(maxsize=1)
def machine_key() -> str:
    """Short hash of the CPU and of the libraries: what was measured or compiled under another one does not hold."""
    parts = [platform.machine(), cpu_name(), *sorted(cpu_flags()), *(f"{k} {v}" for k, v in sorted(versions().items()))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
