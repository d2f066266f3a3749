"""Who is forgotten goes from results of runs, too, and everybody else stays byte for byte."""

import json
import os
import stat

import pyarrow.parquet as pq
import pytest

from streamreid import Pipeline
from streamreid._folders import FolderLock
from streamreid.errors import DataError, FolderBusy
from streamreid.gallery import Gallery
from streamreid.runs import run
from streamreid.runs.erasure import forget_everywhere
from streamreid.sinks import result_erasure

OUTPUTS = {
    "jsonl": True,
    "parquet": True,
    "crops": True,
    "crops_every": 0.3,
    "crops_min_height": 20.0,
    "video": True,
    "mosaic": True,
}


def follow(scene, colours, folder, *videos, gallery=None, **sections):
    sections = {"gallery": {"store": str(gallery)}} if gallery else sections
    config = scene.config(
        *videos, association={"confirm_observations": 5, "confirm_seconds": 0.5}, output=OUTPUTS, **sections
    )
    with Pipeline(config, embedder=colours) as pipeline:
        run(pipeline, folder)
    return {key: who for key, (who, _) in pipeline.identities.items()}


@pytest.fixture
def results(scene, colours, tmp_path):
    """A gallery of three people; #2 was seen by both cameras, #1 by one of them."""
    folder, gallery = tmp_path / "results", tmp_path / "people.db"
    who = follow(scene, colours, folder, scene.camera("left", [0, 1]), scene.camera("right", [2, 1]), gallery=gallery)
    assert len(set(who.values())) == 3
    return folder, gallery, who


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def lines_of(data, gone, who):
    """The lines of a file that are not about somebody; a check that knows the formats by itself."""
    tracks = {key for key, value in who.items() if value == gone}
    kept = []
    for line in data.splitlines(keepends=True):
        item = json.loads(line)
        mine = (
            gone in (item.get("global_id"), item.get("other_id"))
            or (item.get("camera"), item.get("track_id")) in tracks
        )
        kept += [] if mine else [line]
    return b"".join(kept)


def test_every_trace_goes_and_all_others_stay(results, call):
    folder, gallery, who = results
    gone = who["left", 1]
    before, table = contents(folder), pq.read_table(folder / "results.parquet").to_pylist()
    assert call("gallery", "forget", gone, "--yes", "--gallery", gallery, "--also", folder)[0] == 0
    after = contents(folder)

    assert after["results.jsonl"] == lines_of(before["results.jsonl"], gone, who) != before["results.jsonl"]
    assert after["colours.jsonl"] == lines_of(before["colours.jsonl"], gone, who) != before["colours.jsonl"]
    for camera in ("left", "right"):
        tracks = {track for (c, track), value in who.items() if c == camera and value == gone}
        for name, ids in ((f"mot/{camera}.txt", tracks), (f"mot/global/{camera}.txt", {gone})):
            expected = [line for line in before[name].splitlines(keepends=True) if int(line.split(b",")[1]) not in ids]
            assert after[name] == b"".join(expected)
    rows = pq.read_table(folder / "results.parquet").to_pylist()
    assert rows == [row for row in table if who[row["camera"], row["track_id"]] != gone]
    assert len(rows) < len(table)
    assert {row["global_id"] for row in rows} == {row["global_id"] for row in table} - {gone}
    assert {row["global_id"] for row in table} >= set(who.values())

    pictures = {name for name in before if name.endswith(".jpg")}
    theirs = {name for name in pictures if who[name.split("/")[2], int(name.split("/")[3][:6])] == gone}
    assert theirs
    assert {name for name in after if name.endswith(".jpg")} == pictures - theirs
    assert not any(
        row.split(b",")[2] == str(gone).encode() for row in after["crops/run-0001/identities.csv"].splitlines()
    )
    assert not {"videos/left.mp4", "videos/left.times.csv", "mosaic.times.csv"} & set(after)  # "left" saw them
    assert [film["file"] for film in json.loads(after["summary.json"])["films"]] == ["videos/right.mp4"]
    assert after["videos/right.mp4"] == before["videos/right.mp4"]
    assert "mosaic.mp4" not in after
    assert not set(json.loads(after["summary.json"])["files"]) & (theirs | {"videos/left.mp4", "mosaic.mp4"})
    for name in after:  # nothing else was touched, nothing was left behind
        assert name in before
        assert after[name] == before[name] or name in {
            "results.jsonl",
            "results.parquet",
            "colours.jsonl",
            "summary.json",
            "mot/left.txt",
            "mot/global/left.txt",
            "crops/run-0001/identities.csv",
        }


def test_folders_are_named_until_they_hold_them_no_more(results, call):
    folder, gallery, who = results
    gone, other = who["right", 2], who["left", 1]
    before = contents(folder)
    code, _, errors = call("gallery", "forget", gone, "--yes", "--gallery", gallery)
    assert code != 0
    assert f"--also {folder}" in " ".join(errors.split())
    assert contents(folder) == before
    code, out, _ = call("gallery", "forget", gone, "--yes", "--json", "--gallery", gallery, "--also", folder)
    assert code == 0
    found = json.loads(out)
    assert found["complete"]
    assert found["results_erased"][str(folder)]["jsonl"] > 0
    assert call("gallery", "forget", gone, "--yes", "--gallery", gallery)[0] == 0
    assert call("gallery", "forget", other, "--yes", "--gallery", gallery)[0] != 0
    with Gallery.open(gallery) as store:
        (entry,) = [e for e in store.audit_log() if e.action == "erase in results"]
    assert entry.detail["folder"] == str(folder)
    assert entry.detail["films"] == 3


def test_a_copy_of_the_gallery_erases_there_too(results, tmp_path):
    folder, gallery, who = results
    with Gallery.open(gallery) as store, Gallery.open(tmp_path / "copy.db") as copy:
        store.copy_to(copy)
        erasure, erased = forget_everywhere(copy, [who["left", 1]], [folder])
    assert erasure.complete
    assert erased[str(folder)].counts["jsonl"]


def test_results_of_another_gallery_or_of_none_are_never_touched(results, scene, colours, tmp_path, call):
    folder, gallery, who = results
    assert call("gallery", "forget", who["left", 1], "--yes", "--gallery", gallery, "--also", folder)[0] == 0
    follow(
        scene, colours, folder, scene.camera("left", [3, 4])
    )  # replaces the results; here #3 is nobody or somebody else
    follow(scene, colours, tmp_path / "other", scene.camera("left", [3, 4]))
    before, other = contents(folder), contents(tmp_path / "other")
    code, _, errors = call(
        "gallery", "forget", who["right", 1], "--yes", "--gallery", gallery, "--also", tmp_path / "other"
    )
    assert code != 0
    assert "other people" in " ".join(errors.split())
    assert contents(tmp_path / "other") == other
    assert (
        call("gallery", "forget", who["right", 1], "--yes", "--gallery", gallery)[0] != 0
    )  # crops of the first run are still there
    assert contents(folder) == before
    assert call("gallery", "forget", who["right", 1], "--yes", "--gallery", gallery, "--also", folder)[0] == 0
    changed = {name for name, data in before.items() if contents(folder).get(name) != data}
    assert changed
    assert all(
        name.startswith(("crops/run-0001/right/000001_", "crops/run-0001/identities.csv", "summary.json"))
        for name in changed
    )
    assert call("gallery", "forget", who["right", 1], "--yes", "--gallery", gallery)[0] == 0


def test_crops_of_earlier_runs_in_the_folder_are_known_by_the_gallery(results, scene, colours, call):
    folder, gallery, who = results
    gone = who["left", 1]
    follow(
        scene, colours, folder, scene.camera("left", [3, 4]), gallery=gallery
    )  # other people; crops of the first run stay
    pictures = set(folder.glob("crops/run-*/left/*.jpg"))
    assert call("gallery", "forget", gone, "--yes", "--gallery", gallery, "--also", folder)[0] == 0
    left = set(folder.glob("crops/run-*/left/*.jpg"))
    assert {(p.parts[-3], p.name[:6]) for p in pictures - left} == {("run-0001", "000001")}


def test_a_folder_that_is_written_to_is_refused_and_nothing_is_erased(results, call):
    folder, gallery, who = results
    with FolderLock(folder):
        with Gallery.open(gallery) as store, pytest.raises(FolderBusy):
            forget_everywhere(store, [who["left", 1]], [folder])
        code, _, errors = call("gallery", "forget", who["right", 1], "--yes", "--gallery", gallery)
        assert code != 0
        assert "a run is writing" in " ".join(errors.split())
    with Gallery.open(gallery) as store:
        assert who["left", 1] in [r.global_id for r in store.identities()]


def test_an_interrupted_erasure_is_completed_by_the_next(results, tmp_path, monkeypatch):
    folder, _, who = results
    gone = who["left", 1]
    expected = tmp_path / "expected"
    os.system(f"cp -a {folder} {expected}")
    result_erasure.erase_people(expected, [gone])
    replace = os.replace
    for stop in range(10):
        with monkeypatch.context() as patch:
            left = iter(range(stop))

            def killed(one, other, left=left):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                replace(one, other)

            patch.setattr(result_erasure.os, "replace", killed)
            try:
                result_erasure.erase_people(folder, [gone])
                break
            except KeyboardInterrupt:
                pass
    else:
        raise AssertionError("it never ends")
    result_erasure.erase_people(folder, [gone])
    assert contents(folder) == contents(expected)


def test_results_of_a_killed_run(results):
    """Parts of a table, no final identities, half a line at the end: the last belief counts."""
    folder, _, who = results
    gone = who["left", 1]
    lines = (folder / "results.jsonl").read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["type"] not in ("identity", "unlinked", "end")]
    (folder / "results.jsonl").write_bytes(b"".join(kept) + lines[-1][:20])
    (folder / "results.parquet.parts").mkdir()
    (folder / "results.parquet").rename(folder / "results.parquet.parts" / "part-0000000000-0000000000.parquet")
    result_erasure.erase_people(folder, [gone])
    assert (folder / "results.jsonl").read_bytes() == lines_of(b"".join(kept), gone, who)
    rows = pq.read_table(folder / "results.parquet.parts").to_pylist()
    assert {who[row["camera"], row["track_id"]] for row in rows} == set(who.values()) - {gone}


def test_pieces_and_merged_people(tmp_path):
    """Tracks are known over all pieces, and people who became one are one."""

    def line(type_, **values):
        return json.dumps({"type": type_, **values}) + "\n"

    first, second = (tmp_path / "pieces" / name for name in ("000001-20260101T000000Z", "000002-20260101T010000Z"))
    for piece in (first, second):
        (piece / "mot" / "global").mkdir(parents=True)
    person = {"camera": "a", "box": [1, 2, 3, 4]}
    early = line("person", **person, frame=1, track_id=5, global_id=None)
    other = line("person", **person, frame=1, track_id=6, global_id=8)
    (first / "results.jsonl").write_text(early + other)
    joined = line("event", kind="merge", global_id=7, other_id=9), line("event", kind="merge", global_id=3, other_id=7)
    last = line("person", **person, frame=9, track_id=5, global_id=9)
    shared = line("identity", global_id=8, members=[["a", 6], ["a", 11]], probability=1.0)
    (second / "results.jsonl").write_text(last + "".join(joined) + other + shared)
    (first / "mot" / "a.txt").write_text("2,5,1,2\n2,6,3,4\n")
    (first / "mot" / "global" / "a.txt").write_text("2,8,3,4\n")
    (tmp_path / "world.txt").write_text("1,3,-1\n1,8,-1\n1,9,-1\n")
    found = result_erasure.erase_people(tmp_path, [3], change=False)
    assert found.counts == {"jsonl": 4, "mot": 1, "world": 2}
    assert (first / "results.jsonl").read_text() == early + other
    result_erasure.erase_people(tmp_path, [3])
    assert (first / "results.jsonl").read_text() == other
    assert (second / "results.jsonl").read_text() == other + shared
    assert (first / "mot" / "a.txt").read_text() == "2,6,3,4\n"
    assert (tmp_path / "world.txt").read_text() == "1,8,-1\n"
    assert not result_erasure.erase_people(tmp_path, [3], change=False).holds


def test_only_results_and_caches_are_taken(results, tmp_path):
    _, gallery, who = results
    (tmp_path / "other").mkdir()
    with Gallery.open(gallery) as store, pytest.raises(DataError):
        forget_everywhere(store, [who["left", 1]], [tmp_path / "other"])


def test_results_with_a_gallery_or_pictures_are_their_owners(scene, colours, tmp_path):
    before = os.umask(0o022)
    try:
        follow(scene, colours, tmp_path / "closed", scene.camera("a", [0]), gallery=tmp_path / "people.db")
        config = scene.config(scene.camera("b", [0]), output={"crops": True}, gallery={"private": False})
        with Pipeline(config, embedder=colours) as pipeline:
            run(pipeline, tmp_path / "open")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o755
