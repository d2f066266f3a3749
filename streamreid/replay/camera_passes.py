"""Who was where, when: from a run's results or from a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamreid.association.topology_learning import CameraPass
from streamreid.cache.manifest import MANIFEST
from streamreid.errors import DataError
from streamreid.replay.embedding_recorder import EmbeddingRecorder
from streamreid.replay.replay import Replay
from streamreid.sinks.jsonl_reader import find_results, read_lines

__all__ = ["read_sightings"]


def read_sightings(folder: Path) -> list[CameraPass]:
    """Tracks with identities.

    Args:
        folder: What ``streamreid run`` wrote (its ``results.jsonl`` counts), or a cache, which is replayed.

    Raises:
        DataError: The folder is neither, or its results are damaged.
    """
    if (folder / MANIFEST).is_file():
        recorder = EmbeddingRecorder()
        replay = Replay(folder, observers=[recorder])
        for _ in replay:
            pass
        who = replay.identities
        return [
            CameraPass(who[k][0], k[0], start, end, who[k][1])
            for k, (start, end) in sorted(recorder.spans.items())
            if who[k][0]
        ]
    if not find_results(folder):
        raise DataError(
            f"'{folder}' is neither a cache nor the results of a run: no {MANIFEST}, no results.jsonl in it"
        )
    spans: dict[tuple[str, int], tuple[float, float]] = {}
    links: dict[tuple[str, int], tuple[int, float]] = {}
    read_lines(folder, lambda item, _: _take(item, spans, links))
    return [
        CameraPass(links[k][0], k[0], start, end, links[k][1])
        for k, (start, end) in sorted(spans.items())
        if links.get(k, (0, 0))[0]
    ]


def _take(
    item: dict[str, Any],
    spans: dict[tuple[str, int], tuple[float, float]],
    links: dict[tuple[str, int], tuple[int, float]],
) -> None:
    if item["type"] == "person":
        key = item["camera"], int(item["track_id"])
        time = float(item["time"])
        start, end = spans.get(key, (time, time))
        spans[key] = min(start, time), max(end, time)
        if item["global_id"] is not None:
            links[key] = int(item["global_id"]), float(item["link_probability"])
    elif item["type"] == "identity":
        for camera, track in item["members"]:
            # The line has the least probability of all members; that of the track itself is kept where the person is
            # still the same.
            old = links.get((camera, int(track)))
            same = old is not None and old[0] == int(item["global_id"])
            links[camera, int(track)] = (int(item["global_id"]), old[1] if same and old else float(item["probability"]))
