"""Part features of people who do not exist, for benchmarks at scale."""

from __future__ import annotations

import numpy as np


def crowd(count: int, rng: np.random.Generator, parts: int = 6, dim: int = 256, rank: int = 48) -> np.ndarray:
    """Generated looks ``[count, parts, dim]``, normalised, of the effective rank that features of an engine have."""
    basis = (
        np.random.default_rng(7).normal(size=(parts, rank, dim)).astype(np.float32)
        * np.linspace(1, 0.2, rank, dtype=np.float32)[None, :, None]
    )
    looks = np.matmul(rng.normal(size=(parts, count, rank)).astype(np.float32), basis).transpose(1, 0, 2)
    return np.asarray(looks / np.linalg.norm(looks, axis=2, keepdims=True), np.float32)
