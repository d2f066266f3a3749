"""Logistic regression by Newton's method."""

from __future__ import annotations

import numpy as np

from streamreid.types import BoolArray, Float64Array

__all__ = ["fit_logistic"]

_STEEPEST = 500.0
"""Log-odds beyond which a probability is 0 or 1 in float64, and ``exp`` near its limit."""

_SHORTEST_STEP = 1e-8
"""Share of a Newton step below which no shorter one is tried: Newton overshoots where the curve is flat."""


def fit_logistic(
    x: Float64Array,
    positive: BoolArray,
    weight: Float64Array,
    *,
    offset: Float64Array | float = 0.0,
    start: Float64Array | None = None,
    ridge: float,
    rounds: int = 100,
    tolerance: float = 1e-9,
) -> Float64Array:
    """Minimise - sum_i weight_i log p_i + ridge / 2 * |b - start|^2 with p = sigmoid(offset + x b), by Newton's method
    with step halving.

    Args:
        x: ``[N, F]``.
        positive: ``[N]`` the outcomes.
        weight: ``[N]`` how much each counts.
        offset: ``[N]`` log-odds that are given.
        start: ``[F]`` where to begin, and the centre of the prior; by default 0.
        ridge: Strength of the prior. 0 lets separable data run off to infinity.
        rounds: Most steps.
        tolerance: Decrease of the loss, relative to it where it is above 1, at which the fit ends.

    Returns:
        ``[F]`` coefficients.
    """
    y = positive.astype(np.float64)
    centre = np.zeros(x.shape[1]) if start is None else start

    def loss(b: Float64Array) -> float:
        z = offset + x @ b
        return float((weight * (np.logaddexp(0.0, z) - y * z)).sum() + ridge / 2 * ((b - centre) ** 2).sum())

    b, value = centre.copy(), loss(centre)
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-np.clip(offset + x @ b, -_STEEPEST, _STEEPEST)))
        gradient = x.T @ (weight * (p - y)) + ridge * (b - centre)
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(b))
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > _SHORTEST_STEP and loss(b - size * step) > value:
            size /= 2
        b = b - size * step
        new = loss(b)
        if value - new < tolerance * max(abs(value), 1.0):
            break
        value = new
    return np.asarray(b, np.float64)
