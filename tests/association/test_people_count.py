"""How many people there are, in three numbers: nobody becomes a person for being seen twice."""

import json

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.association import Associator
from streamreid.config import AssociationConfig
from streamreid.runs import run
from streamreid.serving.resources import run_view
from streamreid.sinks import FinalIdentities, PeopleCount
from streamreid.types import Detections, PartFeatures, Tracks


def see(associator, times, track, look, camera="a"):
    for time in times:
        parts = np.array(look, np.float32).reshape(1, 1, -1)
        tracks = Tracks(
            np.array([track]), np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)
        )
        associator.observe(
            camera, time, tracks, PartFeatures(parts, np.ones((1, 1), np.float32)), np.ones(1, np.float32)
        )


@pytest.mark.parametrize("offline", [False, True])
def test_scraps_are_numbered_but_nobody(offline):
    associator = Associator(AssociationConfig(offline=offline), keep_all=offline)
    see(associator, np.arange(0, 5, 0.1), 1, [1, 0, 0])
    see(associator, [5.0, 5.1], 2, [0, 1, 0])
    see(associator, [6.0], 3, [0, 0, 1])
    events = associator.step() + associator.finish()
    assert len(associator.links) == 3  # each keeps a number, for the frames it is in
    assert len(associator.unlinked) == 2
    assert associator.confirmed == {associator.link("a", 1)[0]}
    assert associator.link("a", 1)[0] not in associator.unlinked
    assert events


def test_a_scrap_that_leaves_the_window_is_nobody_either_and_goes_with_the_memory():
    associator = Associator(AssociationConfig(window=10, memory=20))
    see(associator, [0.0, 0.1], 1, [1, 0, 0])
    for time in np.arange(0.5, 15, 0.5):
        see(associator, [time], 2, [0, 1, 0])
        associator.step()
    assert associator.unlinked == {associator.link("a", 1)[0]}
    for time in np.arange(15, 60, 0.5):
        see(associator, [time], 2, [0, 1, 0])
        associator.step()
    assert associator.unlinked == frozenset()
    assert associator.people == 1


def test_counts_of_final_identities():
    found = FinalIdentities(
        {("a", 1): (5, 1.0), ("b", 1): (5, 0.9), ("a", 2): (6, 1.0), ("a", 3): (7, 1.0), ("a", 4): (0, 0.0)},
        confirmed=[5, 9],
        unlinked=[7],
    )
    assert found.count() == PeopleCount(2, 1, 2)
    assert found.people == {5, 6}
    assert FinalIdentities.of(found) is found
    assert FinalIdentities.of({("a", 1): (5, 1.0)}).count() == PeopleCount(1, 0, 0)


class Scraps:
    """Somebody who stays, and for two frames in ten somebody else, each time elsewhere."""

    name = fingerprint = "scraps"

    def __call__(self, frames):
        found = []
        for frame in frames:
            boxes = [[10 + 2 * frame.index, 30, 42 + 2 * frame.index, 120]]
            if frame.index % 10 in (4, 5):
                left = 60 + 20 * (frame.index // 10)
                boxes.append([left, 150, left + 30, 230])
            found.append(Detections.from_arrays(boxes, [0.9] * len(boxes)))
        return found


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("offline", [False, True])
def test_the_three_numbers_are_the_same_everywhere(scene, tmp_path, live, offline):
    config = scene.config(
        scene.camera("a", [0]),
        tracker={"confirm_frames": 1, "confirm_seconds": 0, "lost_seconds": 0.2},
        association={"offline": offline, "confirm_seconds": 1},
    )
    if live:
        config = config.model_copy(
            update={"cameras": tuple(c.model_copy(update={"live": True}) for c in config.cameras)}
        )
    with Pipeline(config, detector=Scraps()) as pipeline:
        summary = run(pipeline, tmp_path)
        assert {k: run_view(pipeline)[k] for k in ("identities", "confirmed", "unlinked_tracks")} == {
            "identities": 1,
            "confirmed": 1,
            "unlinked_tracks": summary.unlinked_tracks,
        }
    assert (summary.identities, summary.confirmed) == (1, 1)
    assert 2 <= summary.unlinked_tracks <= 4
    camera = summary.as_dict()["cameras"]["a"]
    assert (camera["people"], camera["confirmed"], camera["unlinked_tracks"]) == (1, 1, summary.unlinked_tracks)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert lines[-1]["identities"] == lines[-1]["confirmed"] == 1
    assert lines[-1]["unlinked_tracks"] == summary.unlinked_tracks == sum(line["type"] == "unlinked" for line in lines)
    assert [line["confirmed"] for line in lines if line["type"] == "identity"] == [True]
    assert sum(line.get("kind") == "new" for line in lines) == 1
    # They keep a number in the frames, so that scores of tracking stay what they were.
    ids = {int(line.split(",")[1]) for line in (tmp_path / "mot" / "global" / "a.txt").read_text().splitlines()}
    assert len(ids) == 1 + summary.unlinked_tracks
