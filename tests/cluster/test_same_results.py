"""Recordings give the same ids, probabilities and events in one process and on several workers."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.cluster.leases import SiteLeases
from streamreid.cluster.site_service import SiteService
from streamreid.cluster.worker import PerceptionWorker
from streamreid.features.similarity import Calibration
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.types import PartFeatures


class Sensitive:
    """Features that depend on what else is in the batch, in the last digits, as those of real engines do, and a
    calibration that follows the site.

    Args:
        inner: Makes them.
    """

    name, parts, dim, fingerprint = "sensitive", ("foreground",), 3, "sensitive"
    calibration = Calibration(20.0, -12.0, "test", impostor_mean=0.3, impostor_deviation=0.2)

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, frames, detections):
        crops = sum(map(len, detections))
        found = self.inner(frames, detections)
        return [PartFeatures(f.parts * np.float32(1 - 1e-4 * crops), f.visibility) for f in found]


@pytest.fixture
def sensitive(colours):
    """An engine whose results depend on the batch."""
    return Sensitive(colours)


def listed(results):
    return [
        [
            r.frame.camera,
            r.frame.index,
            r.tracks.ids.tolist(),
            r.tracks.boxes.tolist(),
            r.global_ids.tolist(),
            r.probabilities.tolist(),
            r.visibility.tolist(),
        ]
        for r in results
    ]


def plain(value):
    return sorted(value) if isinstance(value, frozenset) else float(value)


def told(run):
    events = [json.dumps(asdict(e), default=plain) for e in run.drain_events()]
    return events, sorted(map(str, run.identities.items()))


def clustered(config, workers, embedder):
    """The same run with the cameras shared among so many workers."""
    service = SiteService(config, EngineDescription.of(embedder))
    leases = SiteLeases()
    team = [
        PerceptionWorker(config, f"w{number}", leases, service.receive, embedder=embedder) for number in range(workers)
    ]
    try:
        for number, camera in enumerate(config.cameras):
            team[number % workers].add(camera.name)
        results = listed(service.run)
        return results, *told(service.run)
    finally:
        for worker in team:
            worker.close()
        service.close()


@pytest.fixture
def four(scene):
    """Four cameras of different rates and lengths, five people, some of them in several cameras."""
    return [
        scene.camera("north", [0, 1, 2], hole=range(15, 20)),
        scene.camera("east", [2, 0, 3], rate=7),
        scene.camera("south", [1, 4], frames=22, rate=25),
        scene.camera("west", [3, 2], rate=4, frames=15),
    ]


@pytest.mark.parametrize(("delay", "bits"), [(0.0, 32), (0.5, 8), (1.0, 32)])
def test_ids_probabilities_and_events_are_those_of_one_process(scene, four, sensitive, delay, bits):
    config = scene.config(*four, tracker={"delay": delay}, engine={"model": "none", "feature_bits": bits})
    with Pipeline(config, embedder=sensitive) as pipeline:
        results = listed(pipeline)
    alone = results, *told(pipeline)
    assert len(results) == 117
    assert len({who for row in results for who in row[4]} - {0}) >= 4
    for workers in (1, 2, 4):
        assert clustered(config, workers, sensitive) == alone
