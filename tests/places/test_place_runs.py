"""Places in whole runs: files, replays, runs that were killed, zones that are drawn afterwards."""

import json

import pytest

from streamreid import Pipeline, Replay
from streamreid.config import LineConfig, ZoneConfig
from streamreid.errors import ConfigError, DataError
from streamreid.runs import run
from streamreid.runs.place_log import read_place_log
from streamreid.sinks import SinkGroup
from streamreid.sinks.result_erasure import erase_people

# A person walks from 26 to 104 pixels in 40 frames, with the feet at 120 of 240 (the second at 145).
# No border lies where somebody stands in a frame: boxes are written with two digits.
ZONE = {"name": "shop", "camera": "left", "polygon": [[50, 0], [81, 0], [81, 240], [50, 240]]}
LINE = {"name": "door", "camera": "left", "from": [0.203125, 1], "to": [0.203125, 0]}
PLACES = {"zones": [ZONE], "lines": [LINE], "alerts": [{"when": "line door in"}]}


def lines(folder, kind=None):
    items = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [item for item in items if kind in (None, item["type"])]


def followed(scene, colours, folder, **more):
    with Pipeline(scene.config(scene.camera("left", [0, 1]), **PLACES), embedder=colours, **more) as pipeline:
        run(pipeline, folder)
    return pipeline


def test_a_run_writes_events_and_visits_that_are_read_again(scene, colours, tmp_path):
    pipeline = followed(scene, colours, tmp_path / "run")
    kinds = [item["kind"] for item in lines(tmp_path / "run", "place") if item["place"] == "shop"]
    assert kinds.count("zone_entered") == kinds.count("zone_left") >= 1
    assert {"line_crossed", "alert", "first_seen", "last_seen"} <= {i["kind"] for i in lines(tmp_path / "run", "place")}
    log = pipeline.places.log()
    assert log.visits
    assert log.crossings
    assert read_place_log(tmp_path / "run") == log
    assert lines(tmp_path / "run")[-1]["type"] == "end"


def test_a_replay_gives_the_same_and_takes_other_zones(scene, colours, tmp_path):
    pytest.importorskip("pyarrow")
    pipeline = followed(scene, colours, tmp_path / "run", cache=tmp_path / "cache")
    with Replay(tmp_path / "cache") as replay:
        run(replay, tmp_path / "again")
    assert replay.places.log() == pipeline.places.log()
    wide = {**ZONE, "polygon": [[0, 0], [320, 0], [320, 240], [0, 240]]}
    with Replay(tmp_path / "cache", replay.config.with_settings({"zones": [wide]})) as other:
        assert len(list(other)) == 40
    assert [(v.entered, v.left) for v in other.places.log().visits] == [(False, False)] * 2


def test_zones_can_be_drawn_when_the_run_is_over(scene, colours, tmp_path):
    pipeline = followed(scene, colours, tmp_path / "run")
    anew = read_place_log(
        tmp_path / "run", zones=[ZoneConfig.model_validate(ZONE)], lines=[LineConfig.model_validate(LINE)]
    )
    log = pipeline.places.log()
    assert anew.visits == log.visits
    told = [[(c.line, c.time, c.direction) for c in one.crossings] for one in (anew, log)]
    assert told[0] == told[1] != []


def test_a_run_that_was_killed_closes_its_visits_where_the_tracks_end(scene, colours, tmp_path):
    folder = tmp_path / "run"
    followed(scene, colours, folder)
    whole = (folder / "results.jsonl").read_text().splitlines(keepends=True)
    entered = next(k for k, line in enumerate(whole) if '"zone_entered"' in line)
    (folder / "results.jsonl").write_text("".join(whole[: entered + 5]) + '{"type":"per')
    (folder / "summary.json").unlink()
    log = read_place_log(folder)
    (visit,) = log.visits
    assert (visit.place, visit.left) == ("shop", False)
    assert visit.end == max(s.end for s in log.spans if s.key == visit.key)
    with pytest.raises(DataError, match="how large the pictures"):
        read_place_log(folder, lines=[LineConfig.model_validate(LINE)])


def test_a_folder_without_results_is_no_run(tmp_path):
    with pytest.raises(DataError, match=r"no results\.jsonl"):
        read_place_log(tmp_path)


def test_nobody_and_no_zone_give_an_empty_log(scene, colours, tmp_path):
    with Pipeline(scene.config(scene.camera("left", [])), embedder=colours) as pipeline:
        run(pipeline, tmp_path / "run")
    log = read_place_log(tmp_path / "run")
    assert (log.visits, log.crossings, log.spans) == ((), (), ())
    assert log.place_names[-1] == "everywhere"


def test_sinks_that_know_no_places_go_on(scene, colours):
    class Old:
        def __init__(self):
            self.frames = 0

        def write(self, result):
            self.frames += 1

        def event(self, event):
            pass

        def finalize_tracks(self, identities):
            pass

        def close(self, identities):
            pass

        def abort(self):
            pass

    old = Old()
    group = SinkGroup([old])
    with Pipeline(scene.config(scene.camera("left", [0]), **PLACES), embedder=colours) as pipeline:
        for result in pipeline:
            group.write(result)
            for event in pipeline.drain_place_events():
                group.place(event)
        for visit in pipeline.places.drain_visits():
            group.visit(visit)
    assert (old.frames, group.failures) == (40, {})


def test_a_rule_about_a_name_needs_a_gallery(scene, colours, tmp_path):
    config = scene.config(scene.camera("left", [0]), alerts=[{"when": "identity Anna seen"}])
    with pytest.raises(ConfigError, match=r"alerts\[0\]\.when: .* can never hold: names .* gallery"):
        Pipeline(config, embedder=colours)
    with Pipeline(config.with_settings({"gallery.store": str(tmp_path / "people.db")}), embedder=colours) as pipeline:
        assert len(list(pipeline)) == 40


def test_listeners_by_http_are_told_what_happens_at_places(scene, colours):
    pytest.importorskip("fastapi")
    from streamreid.serving.event_stream import EventHub
    from streamreid.serving.live_sink import LiveSink

    hub = EventHub()
    board = LiveSink(hub)
    with Pipeline(scene.config(scene.camera("left", [0]), **PLACES), embedder=colours) as pipeline:
        for _ in pipeline:
            pass
        for event in pipeline.drain_place_events():
            board.place(event)
    told, _, lost = hub.after(0, ["place"])
    assert lost == 0
    entered = next(e.data for e in told if e.data["kind"] == "zone_entered")
    assert (entered["place"], entered["camera"], entered["entered"], entered["occupancy"]) == ("shop", "left", True, 1)


def test_what_a_forgotten_person_did_at_places_is_erased(scene, colours, tmp_path):
    pipeline = followed(scene, colours, tmp_path / "run")
    who = {found for found, _ in pipeline.identities.values()}
    gone = min(who)
    before = lines(tmp_path / "run", "place")
    assert any(item.get("global_id") == gone for item in before)
    erase_people(tmp_path / "run", [gone])
    after = lines(tmp_path / "run")
    tracks = [track for (_, track), (found, _) in pipeline.identities.items() if found == gone]
    assert not [
        i for i in after if i.get("global_id") == gone or (i["type"] != "header" and i.get("track_id") in tracks)
    ]
    assert [i for i in after if i["type"] in ("place", "visit")]
