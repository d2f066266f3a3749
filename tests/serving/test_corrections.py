"""People correct who is who in a live run by HTTP: it holds at once, in answers, events and files, and can be
undone."""

import json
import urllib.request
from urllib.error import HTTPError

import pytest

pytest.importorskip("fastapi")

from streamreid import Pipeline, open_run
from streamreid.config import ServerConfig
from streamreid.corrections import CorrectionLog
from streamreid.gallery import Gallery
from streamreid.serving import Server


@pytest.fixture
def live(scene, colours, tmp_path, background, until):
    """Start a live run of two people; returns how to ask it and its parts."""

    def start(**sections):
        video = scene.camera("gate", [0, 1], frames=100)
        config = scene.config(video, association={"confirm_observations": 5, "confirm_seconds": 0.3}, **sections)
        camera = config.cameras[0].model_copy(update={"live": True, "repeat": 200})
        pipeline = Pipeline(config.model_copy(update={"cameras": (camera,)}), embedder=colours)
        server = Server(pipeline, ServerConfig(listen="127.0.0.1:0")).__enter__()
        running = background(pipeline, tmp_path / "run", (server.board,))

        def ask(path, body=None, kind="application/json"):
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(server.address + path, data, {"Content-Type": kind} if data else {})
            with urllib.request.urlopen(request, timeout=30) as reply:
                return json.loads(reply.read())

        until(lambda: sum(p["confirmed"] for p in ask("/identities")) >= 2)
        return ask, pipeline, running, server

    started = []

    def begin(**sections):
        started.append(start(**sections))
        return started[-1]

    yield begin
    for _, _, running, server in started:
        running.stop()
        server.__exit__(None, None, None)


def who(ask):
    return {p["global_id"]: {tuple(t) for t in p["tracks"]} for p in ask("/identities") if p["confirmed"]}


def refused(ask, path, body, kind="application/json"):
    with pytest.raises(HTTPError) as error:
        ask(path, body, kind)
    return error.value.code, json.loads(error.value.read())["error"]


def test_corrections_hold_at_once_and_in_the_files(live, tmp_path, until):
    ask, _, running, _ = live()
    one, other = sorted(who(ask))[:2]
    said = ask(f"/identities/{one}/rename", {"name": "Anna <b>"})
    assert (said["number"], said["kind"], said["name"], said["actor"]) == (1, "rename", "Anna <b>", "HTTP")
    assert ask(f"/identities/{one}")["name"] == "Anna <b>"  # at once, whatever the cameras do
    ask(f"/identities/{one}/staff", {"staff": True})
    assert ask(f"/identities/{one}")["staff"]

    merged = ask(f"/identities/{other}/merge", {"other": one})
    assert (merged["global_id"], merged["other_id"]) == (one, other)
    assert refused(ask, f"/identities/{other}/rename", {"name": "x"})[0] == 404
    assert other not in who(ask)
    assert ask("/corrections/undo", {})["undoes"] == 3
    assert {one, other} <= who(ask).keys()

    ask(f"/identities/{one}/different", {"other": other})
    assert refused(ask, f"/identities/{one}/merge", {"other": other}) == (
        409, f"identities {one} and {other} were said to be different people; undo that first",
    )  # fmt: skip
    lines = tmp_path / "run" / "results.jsonl"
    until(lambda: '"kind":"different","time":' in lines.read_text())
    text = lines.read_text()
    people = [item for item in map(json.loads, text.splitlines()) if item.get("type") == "person"]
    assert any(item.get("name") == "Anna <b>" and item["global_id"] == one for item in people)
    assert [c["kind"] for c in ask("/corrections")] == ["rename", "staff", "merge", "undo", "different"]
    running.stop()
    assert open_run(tmp_path / "run").identities.named("Anna <b>").staff
    assert [c.kind for c in CorrectionLog(tmp_path / "run").entries][-1] == "different"


def test_tracks_are_parted(live):
    ask, *_ = live()
    one, other = sorted(who(ask))[:2]
    ask(f"/identities/{one}/merge", {"other": other})
    tracks = who(ask)[one]
    moved = min(tracks)
    said = ask(f"/identities/{one}/split", {"tracks": [list(moved)]})
    assert moved in who(ask)[said["other_id"]]
    assert moved not in who(ask)[one]
    assert refused(ask, f"/identities/{one}/split", {"at": 1e12})[0] == 409
    ask("/corrections/undo", {"number": said["number"]})
    assert moved in who(ask)[min(one, said["other_id"])]


def test_who_is_forgotten_is_found_nowhere(live, tmp_path, until):
    ask, pipeline, running, _ = live(gallery={"store": str(tmp_path / "people.db"), "commit_seconds": 0.2})
    until(lambda: len(pipeline.memory.store.identities()) >= 2)
    one, other = sorted(who(ask))[:2]
    ask(f"/identities/{one}/rename", {"name": "Anna"})
    ask(f"/identities/{other}/rename", {"name": "Bert"})
    until(lambda: {r.name for r in pipeline.memory.store.identities()} >= {"Anna", "Bert"})
    proof = ask(f"/identities/{one}/forget", {})
    assert proof["identities"] == [one]
    assert proof["found_by_search"] == []
    assert proof["erased"]["gallery prototypes"] >= 1
    assert one not in who(ask)
    assert refused(ask, f"/identities/{one}/forget", {})[0] == 404
    running.stop()
    text = (tmp_path / "run" / "results.jsonl").read_text() + (tmp_path / "run" / "corrections.jsonl").read_text()
    assert "Anna" not in text
    assert "Bert" in text
    assert one not in {item.get("global_id") for item in map(json.loads, text.splitlines()) if "type" in item}
    with Gallery.open(tmp_path / "people.db") as store:
        assert one not in {r.global_id for r in store.identities()}
        assert "Bert" in {r.name for r in store.identities()}


def test_the_gallery_follows_merges_and_their_undoing(live, tmp_path, until):
    ask, pipeline, running, _ = live(gallery={"store": str(tmp_path / "people.db"), "commit_seconds": 0.2})
    store = pipeline.memory.store
    until(lambda: len(store.identities()) >= 2)
    one, other = sorted(who(ask))[:2]
    ask(f"/identities/{one}/merge", {"other": other})
    until(lambda: store.resolve(other) == one)
    ask("/corrections/undo", {})
    until(lambda: store.resolve(other) == other)
    tracks = who(ask)
    assert {one, other} <= tracks.keys()
    running.stop()
    with Gallery.open(tmp_path / "people.db") as after:
        records = after.track_records([one, other])
        by_track = {(r.camera, r.track_id): r.global_id for r in records.values()}
        wrong = {t: (i, by_track[t]) for i in (one, other) for t in tracks[i] if by_track.get(t, i) != i}
        assert not wrong
        assert not after.constraints()


def test_bodies_that_are_wrong_are_refused(live):
    ask, *_ = live()
    one = min(who(ask))
    for path, body, status, said in (
        (f"/identities/{one}/rename", {"nam": "x"}, 422, "unknown key 'nam'"),
        (f"/identities/{one}/rename", {"name": 7}, 422, "name"),
        (f"/identities/{one}/rename", {"name": "x" * 200}, 422, "at most 100 characters"),
        (f"/identities/{one}/merge", {"other": one}, 409, "given twice"),
        (f"/identities/{one}/merge", {"other": 999_999}, 404, "is not known"),
        (f"/identities/{one}/split", {}, 422, "one of both"),
        ("/identities/999999/rename", {"name": "x"}, 404, "is not known"),
        ("/corrections/undo", {"number": 5}, 409, "no correction 5"),
    ):
        code, text = refused(ask, path, body)
        assert (code, said in text) == (status, True), (path, body, code, text)
    assert refused(ask, f"/identities/{one}/rename", {"name": "x"}, "text/plain")[0] == 422
    assert not ask("/corrections")
