"""A name that a person gives in the gallery while a run goes on shows in everything that the run tells from then on."""

import json
import time

import numpy as np

from streamreid import Pipeline
from streamreid.gallery import Gallery
from streamreid.runs import run
from streamreid.serving.event_stream import EventHub
from streamreid.serving.live_sink import LiveSink
from streamreid.serving.resources import identity_views
from streamreid.sinks.drawing import Painter


class Renamer:
    """A sink that renames person 1, as another process would, as soon as that is stored, and sees who is listed."""

    def __init__(self, pipeline, path):
        self.pipeline, self.path = pipeline, path
        self.renamed, self.listed = False, []

    def write(self, result):
        if self.renamed:
            time.sleep(0.02)
            self.listed = identity_views(self.pipeline)
            return
        with Gallery.open(self.path) as other:
            if {r.global_id for r in other.identities()} >= {1, 2}:
                other.rename(1, "Anna")
                self.renamed = True
        time.sleep(0.02)

    def event(self, event):
        pass

    def finalize_tracks(self, identities):
        pass

    def close(self, identities):
        self.last = identities

    def abort(self):
        pass


class Hub(EventHub):
    """Keeps what is told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def wanted(self, topic):
        return True

    def publish(self, topic, data):
        self.told.append((topic, data))


def test_a_name_shows_while_the_run_goes_on_and_in_the_next_run(scene, colours, tmp_path):
    path = tmp_path / "people.db"
    config = scene.config(
        scene.camera("left", [0, 1], frames=120),
        gallery={"store": str(path), "commit_seconds": 0.1},
        association={"confirm_observations": 5, "confirm_seconds": 0.5},
        output={"jsonl": True},
    )
    hub = Hub()
    with Pipeline(config, embedder=colours) as pipeline:
        renamer = Renamer(pipeline, path)
        run(pipeline, tmp_path / "out", listeners=[renamer, LiveSink(hub)])
    assert renamer.renamed
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    people = [line for line in lines if line["type"] == "person" and line["global_id"] == 1]
    assert "name" not in people[0]
    assert people[-1]["name"] == "Anna"
    renames = [line for line in lines if line.get("kind") == "rename"]
    assert [(line["global_id"], line["name"]) for line in renames] == [(1, "Anna")]
    finals = {line["global_id"]: line.get("name") for line in lines if line["type"] == "identity"}
    assert finals == {1: "Anna", 2: None}
    assert renamer.last.names == {1: "Anna"}
    assert {view["global_id"]: view["name"] for view in renamer.listed} == {1: "Anna", 2: None}
    told = [data for topic, data in hub.told if topic == "identity" and data["kind"] == "rename"]
    assert [(data["global_id"], data["name"]) for data in told] == [(1, "Anna")]
    shown = [data for topic, data in hub.told if topic == "people"][-1]["people"]
    assert {row["global_id"]: row["name"] for row in shown} == {1: "Anna", 2: None}
    # In the next run the name is known from the first sight of the person.
    with Pipeline(config, embedder=colours) as pipeline:
        results = list(pipeline)
        events = pipeline.drain_events()
    assert {name for r in results for name in r.names.values()} == {"Anna"}
    assert all(r.names == {1: "Anna"} for r in results if 1 in r.global_ids)
    assert [e.name for e in events if e.kind == "link" and e.global_id == 1] == ["Anna"]
    with Gallery.open(path) as store:  # the name is the gallery's own fact, not an event of a run
        assert "rename" not in {e.event.kind for e in store.events(1)}


def test_the_label_in_a_film_has_the_name():
    def label(names):
        image = np.full((240, 320, 3), 90, np.uint8)
        boxes = np.array([[40, 80, 90, 220]], np.float32)
        drawn = Painter().draw(image, boxes, np.array([7]), names=names)
        return np.count_nonzero((drawn != 90).any(2)[:78].any(0))

    assert label({7: "Anna Maria"}) > 2 * label(None)
    assert label({8: "somebody else"}) == label(None)
    assert label({7: "x" * 500}) <= 320
