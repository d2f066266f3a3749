"""How fresh and how complete results will be: the pipeline's way of taking newest frames in turn, played through with
measured figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from streamreid.cameras.batch_scheduler import BatchScheduler
from streamreid.cameras.latency_histogram import Quantiles

__all__ = ["CameraForecast", "Forecast", "forecast"]

_SECONDS = 60.0
"""Seconds that are played through."""

_SETTLE = 2.0
"""Seconds at the beginning that are not counted: queues fill."""


@dataclass(frozen=True, slots=True)
class CameraForecast:
    """What to expect of one camera.

    Args:
        rate: Frames per second with a result.
        of: Frames per second that come.
        age: How old frames will be when their results come; None where none would.
    """

    rate: float
    of: float
    age: Quantiles | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What to expect of a run.

    Args:
        load: Seconds of inference that one second of frames needs; above 1, frames are dropped.
        cameras: By name.
    """

    load: float
    cameras: dict[str, CameraForecast]


def forecast(
    rates: Mapping[str, float], delays: Mapping[str, float], cost: float, *, turn_seconds: float, batch: int
) -> Forecast:
    """Play a minute of live cameras through.

    Args:
        rates: Frames per second that come, by camera.
        delays: Seconds from capture to arrival, by camera.
        cost: Seconds of inference per frame.
        turn_seconds: As in the configuration.
        batch: Frames per batch at most.

    Returns:
        Rates and ages. Jitter of network and machine is not in it.
    """
    names = [name for name, rate in rates.items() if rate > 0]
    dice = np.random.default_rng(0)
    phase = {name: float(dice.uniform(0, 1 / rates[name])) for name in names}
    turns = BatchScheduler(turn_seconds, batch)
    turns.record_inference(1, cost)
    last = dict.fromkeys(names, -1)
    ages: dict[str, list[float]] = {name: [] for name in names}
    now = 0.0
    while now < _SECONDS and names:
        newest = {name: int(np.floor((now - delays[name] - phase[name]) * rates[name] + 1e-9)) for name in names}
        ready = turns.choose([n for n in names if newest[n] > last[n]])
        if not ready:
            now = min(phase[n] + (last[n] + 1) / rates[n] + delays[n] for n in names) + 1e-9
            continue
        now += cost * len(ready)
        for name in ready:
            last[name] = newest[name]
            if now > _SETTLE:
                ages[name].append(now - phase[name] - newest[name] / rates[name])
    cameras = {}
    for name, rate in rates.items():
        values = ages.get(name, [])
        age = Quantiles(*(float(v) for v in np.percentile(values, (50, 95, 99)))) if values else None
        cameras[name] = CameraForecast(len(values) / (_SECONDS - _SETTLE), rate, age)
    return Forecast(sum(rates.values()) * cost, cameras)
