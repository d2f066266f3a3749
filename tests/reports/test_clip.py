"""Clips of one person, and runs opened again."""

import json
import shutil

import av
import numpy as np
import pytest

from streamreid import Pipeline, open_run, run
from streamreid.reports.camera_pictures import CameraPictures
from streamreid.reports.clip import write_clip
from streamreid.runs.finished_identity import IdentityNotFound
from streamreid.sinks.film_times import read_film_times
from streamreid.sinks.video_encoder import VideoWriter, adopt_unfinished


def pictures(path):
    with av.open(str(path)) as container:
        return [(float(f.time), f.to_ndarray(format="bgr24")) for f in container.decode(video=0)]


@pytest.fixture
def recorded(scene, tmp_path, colours):
    """A run over two recordings, in which person 1 walks through both; its settings may be given."""

    def make(name="run", **output):
        one, two = scene.camera("entrance", [0, 1]), scene.camera("hall", [1, 2])
        cameras = [{"name": "entrance", "uri": str(one)}, {"name": "hall", "uri": str(two), "offset": 20}]
        config = scene.config(one, two, output=output)
        config = config.from_dict({**config.model_dump(), "cameras": cameras})
        with Pipeline(config, embedder=colours) as pipeline:
            run(pipeline, tmp_path / name)
        return tmp_path / name

    return make


def both(opened):
    return next(person for person in opened.identities.values() if len(person.cameras) == 2)


def test_an_opened_run_says_who_appeared_where_and_when(recorded):
    opened = open_run(recorded())
    assert opened.complete
    assert opened.cameras == ("entrance", "hall")
    assert len(opened.identities) == 3
    person = both(opened)
    first, second = person.appearances
    assert (first.camera, second.camera) == ("entrance", "hall")
    assert (first.start, first.end) == pytest.approx((0.0, 3.9), abs=0.25)
    assert (second.start, second.end) == pytest.approx((20.0, 23.9), abs=0.25)
    assert first.observations >= 37
    with pytest.raises(IdentityNotFound, match="no identity 77; it has 1, 2, 3"):
        opened.identities[77]
    assert 77 not in opened.identities


def test_parquet_alone_and_a_run_that_was_killed_tell_the_same_people(recorded):
    folder = recorded(parquet=True)
    expected = {who: [a.key for a in p.appearances] for who, p in open_run(folder).identities.items()}
    lines = (folder / "results.jsonl").read_text().splitlines(keepends=True)
    (folder / "results.jsonl").unlink()
    assert {who: [a.key for a in p.appearances] for who, p in open_run(folder).identities.items()} == expected
    (folder / "results.parquet").unlink()
    with pytest.raises(Exception, match=r"neither results\.jsonl nor results\.parquet"):
        open_run(folder)
    # Neither the last lines nor the end of one.
    kept = [line for line in lines if json.loads(line)["type"] not in ("identity", "end", "unlinked")]
    (folder / "results.jsonl").write_text("".join(kept)[:-10])
    killed = open_run(folder)
    assert not killed.complete
    assert "killed" in killed.state
    assert {who: [a.key for a in p.appearances] for who, p in killed.identities.items()} == expected


def test_merged_numbers_and_names_lead_to_the_person(tmp_path):
    lines = [
        {"type": "header", "cameras": ["a"]},
        *({"type": "person", "camera": "a", "frame": i, "time": i / 10, "box": [1, 2, 3, 4], "track_id": 1 + (i > 4),
           "global_id": 1 + (i > 4), "link_probability": 1.0} for i in range(10)),
        {"type": "event", "kind": "merge", "global_id": 1, "camera": None, "track_id": None, "probability": 0.9,
         "other_id": 2},
        {"type": "event", "kind": "rename", "global_id": 1, "camera": None, "track_id": None, "probability": 1.0,
         "other_id": None, "name": "Anna"},
    ]  # fmt: skip
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    opened = open_run(tmp_path)
    assert opened.identities[2] is opened.identities[1] is opened.identities.named("anna")
    assert [a.track_id for a in opened.identities[2].appearances] == [1, 2]
    with pytest.raises(IdentityNotFound, match="names: Anna"):
        opened.identities.named("Bob")


def test_a_clip_shows_one_person_in_all_cameras(recorded, call, tmp_path):
    folder, film = recorded(), tmp_path / "clip.mp4"
    who = both(open_run(folder)).global_id
    code, said, _ = call("clip", folder, "--identity", who, "--out", film, "--paths")
    assert code == 0, said
    assert said.index("entrance") < said.index("hall")
    shown = pictures(film)
    assert len(shown) == 80
    assert shown[-1][0] == pytest.approx(3.9 + 0.04 + 3.9, abs=0.02)
    code, _, why = call("clip", folder, "--identity", who, "--out", film)
    assert code == 2
    assert "--overwrite" in why


def test_a_clip_shows_no_more_than_the_run(recorded, tmp_path):
    folder = recorded(blur="people")
    opened = open_run(folder)
    film, sharp, strict = (tmp_path / name for name in ("clip.mp4", "sharp.mp4", "strict.mp4"))
    write_clip(CameraPictures(opened), both(opened), film)
    summary = json.loads((folder / "summary.json").read_text())
    summary["configuration"]["output"]["blur"] = "none"
    (folder / "summary.json").write_text(json.dumps(summary))
    opened = open_run(folder)
    write_clip(CameraPictures(opened), both(opened), sharp)
    write_clip(CameraPictures(opened, blur="people"), both(opened), strict)
    seen = edges(pictures(sharp)[20][1])
    assert edges(pictures(film)[20][1]) < 0.5 * seen
    assert edges(pictures(strict)[20][1]) < 0.5 * seen, "--blur hides what the run showed"


def test_where_people_are_hidden_the_films_of_the_run_are_shown(recorded):
    def drawn(opened, **more):
        return {p.drawn for p in CameraPictures(opened, **more).read("entrance", [(0.5, 2.5)])}

    hidden = open_run(recorded("hidden", blur="faces", video=True))
    assert drawn(hidden) == {True}
    assert drawn(hidden, blur="people") == {False}, "the film does not hide enough"


def edges(image):
    """How strong the upper edge of the first person is, between the lines that are drawn."""
    area = image[20:44, 60:72].astype(float)
    return np.abs(np.diff(area.mean(1), axis=0)).max()


def test_a_run_without_summary_needs_its_sources(recorded, call, tmp_path):
    folder, film = recorded(), tmp_path / "clip.mp4"
    configuration = json.loads((folder / "summary.json").read_text())["configuration"]
    (folder / "summary.json").unlink()
    who = both(open_run(folder)).global_id
    code, _, why = call("clip", folder, "-i", who, "-o", film)
    assert code == 2
    assert "--sources" in why
    assert not film.exists()
    cameras = [{key: camera[key] for key in ("name", "uri", "offset")} for camera in configuration["cameras"]]
    (tmp_path / "cams.yaml").write_text(json.dumps({"cameras": cameras}))
    code, said, _ = call("clip", folder, "-i", who, "-o", film, "--sources", tmp_path / "cams.yaml")
    assert code == 0, said
    assert len(pictures(film)) == 80


def test_a_recording_that_is_gone_is_named_and_the_others_are_shown(recorded, call, tmp_path, scene):
    folder, film = recorded(), tmp_path / "clip.mp4"
    who = both(open_run(folder)).global_id
    (scene.folder / "hall.mp4").unlink()
    code, said, _ = call("clip", folder, "-i", who, "-o", film)
    assert code == 0
    assert "hall: not shown: camera 'hall': its recording" in said.replace("\n", " ")
    assert len(pictures(film)) == 40


def test_films_tell_when_their_pictures_were_captured(tmp_path):
    film = tmp_path / "hall.mp4"
    writer = VideoWriter(film, max_gap=2.0, times=True)
    captured = [1000.0, 1000.5, 1001.0, 4000.0, 4000.5, 3000.0]
    for time in captured:
        writer.write(np.zeros((48, 64, 3), np.uint8), time)
    writer.close()
    times = read_film_times(film)
    assert times.start == 1000.0
    assert [times.captured(shown) for shown, _ in pictures(film)] == pytest.approx(captured, abs=0.01)
    assert times.intervals(4000.2, 4000.4)[0] == (pytest.approx(3.2, abs=1e-3), pytest.approx(3.4, abs=1e-3))
    assert times.intervals(2000.0, 2500.0) == []


def test_a_film_that_a_killed_run_left_keeps_its_times(tmp_path):
    writer = VideoWriter(tmp_path / "hall.mp4", live=True, times=True)
    for i in range(50):
        writer.write(np.full((48, 64, 3), i, np.uint8), 500 + i / 10)
    left = tmp_path / "left"
    left.mkdir()
    for file in tmp_path.glob("hall.part*"):
        shutil.copy(file, left)
    writer.close()
    adopt_unfinished(left)
    assert sorted(file.name for file in left.iterdir()) == ["hall.mp4", "hall.times.csv"]
    assert read_film_times(left / "hall.mp4").start == 500


def test_a_clip_of_a_live_run_comes_from_its_films(scene, colours, tmp_path, call):
    video = scene.camera("gate", [0, 1], frames=30)
    config = scene.config(video, output={"video": True, "rotate": "1d"})
    camera = config.cameras[0].model_copy(update={"live": True})
    folder = tmp_path / "live"
    with Pipeline(config.model_copy(update={"cameras": (camera,)}), embedder=colours) as pipeline:
        run(pipeline, folder)
    (film,) = json.loads((folder / "summary.json").read_text())["films"]
    assert film["camera"] == "gate"
    opened = open_run(folder)
    person = next(iter(opened.identities.values()))
    assert person.start - 1 < film["start"] <= person.start
    code, said, _ = call("clip", folder, "-i", person.global_id, "-o", tmp_path / "clip.mp4")
    assert code == 0, said
    assert len(pictures(tmp_path / "clip.mp4")) >= person.appearances[0].observations
    assert "UTC" in said
