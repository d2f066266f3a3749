"""What people correct in a run that is over: whoever opens it reads it so, and who is forgotten is gone."""

import json

import pytest

from streamreid import Pipeline
from streamreid.corrections import CORRECTIONS, CorrectionLog, corrections_in
from streamreid.errors import ConfigError, CorrectionError, DataError, FolderBusy, UnknownIdentity
from streamreid.gallery import Gallery
from streamreid.runs import run
from streamreid.runs.finished_corrections import FinishedCorrections
from streamreid.runs.finished_run import open_run
from streamreid.runs.result_folder import ResultsFolder


@pytest.fixture
def made(scene, colours, tmp_path):
    """Two cameras, three people; one was seen by both."""

    def make(gallery=None):
        sections = {} if gallery is None else {"gallery": {"store": str(gallery)}}
        config = scene.config(
            scene.camera("left", [0, 1]),
            scene.camera("right", [2, 1]),
            association={"confirm_observations": 5, "confirm_seconds": 0.5},
            output={"jsonl": True, "parquet": False},
            **sections,
        )
        with Pipeline(config, embedder=colours) as pipeline:
            run(pipeline, tmp_path / "run")
        return tmp_path / "run"

    return make


def people(folder):
    return {who: {a.key for a in p.appearances} for who, p in open_run(folder).identities.items()}


def test_all_that_is_said_is_read_and_undone(made):
    folder = made()
    before, desk = people(folder), FinishedCorrections(folder)
    both = next(who for who, tracks in before.items() if len(tracks) == 2)
    one, other = sorted(set(before) - {both})

    desk.rename(one, " Anna ", actor="tester")
    desk.tag_staff(one)
    assert open_run(folder).identities.named("anna").global_id == one
    assert open_run(folder).identities[one].staff
    seen = open_run(folder)
    assert {row["unique"] for row in seen.counts() if row["place"] == "everywhere"} == {2}  # staff is not counted

    merged = desk.merge(other, one)
    assert (merged.global_id, merged.other_id, set(merged.tracks)) == (other, one, before[one])
    assert people(folder) == {other: before[one] | before[other], both: before[both]}
    assert open_run(folder).identities[one].label == f"#{other} Anna"  # the old number leads to the person
    assert open_run(folder).identities[other].staff

    moved = max(before[both])
    parted = desk.split(both, tracks=[moved])
    assert parted.other_id == max(before) + 1
    assert people(folder)[parted.other_id] == {moved}
    assert open_run(folder).identities[parted.other_id].confirmed
    assert [e.number for e in desk.history()] == [1, 2, 3, 4]
    assert desk.history()[0].actor == "tester"

    for undone in (4, 3, 2, 1):  # the newest first
        assert desk.undo().undoes == undone
    assert people(folder) == before
    assert not any(p.name or p.staff for p in open_run(folder).identities.values())
    with pytest.raises(CorrectionError, match="no correction to undo"):
        desk.undo()


def test_a_moment_parts_by_the_middle_of_tracks(made, tmp_path):
    folder = made()
    both = next(who for who, tracks in people(folder).items() if len(tracks) == 2)
    desk = FinishedCorrections(folder)
    person = desk.run.identities[both]
    middles = sorted((a.start + a.end) / 2 for a in person.appearances)
    if middles[0] == middles[1]:
        with pytest.raises(CorrectionError, match="of which 2 would leave"):
            desk.split(both, at=middles[0])
    with pytest.raises(CorrectionError, match="of which 0 would leave"):
        desk.split(both, at=1e9)
    assert people(folder)[both] == {a.key for a in person.appearances}


def test_nonsense_changes_nothing(made):
    folder = made()
    before, desk = people(folder), FinishedCorrections(folder)
    one, other = sorted(before)[:2]
    desk.separate(one, other)
    for call, error, said in (
        (lambda: desk.rename(99, "X"), UnknownIdentity, "no identity 99"),
        (lambda: desk.rename(one, "x" * 101), ConfigError, "at most 100 characters"),
        (lambda: desk.rename(one, "a\nb"), ConfigError, "one line"),
        (lambda: desk.merge(one, one), CorrectionError, "are one identity already"),
        (lambda: desk.merge(other, one), CorrectionError, "said to be different people; undo that first"),
        (lambda: desk.separate(one, one), CorrectionError, "are one identity"),
        (lambda: desk.split(one), ConfigError, "one of both"),
        (lambda: desk.split(one, tracks=[("left", 99)]), CorrectionError, "are not its"),
        (lambda: desk.undo(7), CorrectionError, "no correction 7"),
        (lambda: desk.say(("left", 1), ("left", 99), same=True), CorrectionError, "no track left/99"),
        (lambda: FinishedCorrections(folder / "nowhere"), DataError, "is not a folder"),
    ):
        with pytest.raises(error, match=said):
            call()
    assert people(folder) == before
    assert [c.kind for c in desk.history()] == ["different"]
    desk.undo()
    desk.merge(one, other)
    with ResultsFolder(folder), pytest.raises(FolderBusy):
        desk.rename(one, "Anna")


def test_who_is_forgotten_is_found_nowhere(made):
    folder = made()
    before, desk = people(folder), FinishedCorrections(folder)
    both = next(who for who, tracks in before.items() if len(tracks) == 2)
    one, other = sorted(set(before) - {both})
    desk.rename(one, "Anna")
    desk.merge(one, both)  # by what was said, three tracks of two numbers
    gone = before[one] | before[both]
    proof = desk.forget(one)
    assert proof.complete
    assert proof.identities == tuple(sorted((one, both)))
    assert proof.erased["jsonl"] > 10
    assert people(folder) == {other: before[other]}
    text = (folder / "results.jsonl").read_text() + (folder / CORRECTIONS).read_text()
    assert "Anna" not in text
    for line in map(json.loads, (folder / "results.jsonl").read_text().splitlines()):
        assert (line.get("camera"), line.get("track_id")) not in gone
    (entry,) = desk.history()
    assert (entry.kind, entry.global_id, entry.tracks) == ("forget", one, ())
    with pytest.raises(CorrectionError, match="it cannot be undone"):
        desk.undo(entry.number)
    with pytest.raises(UnknownIdentity):
        desk.forget(both)


def test_the_gallery_of_the_run_follows(made, tmp_path):
    folder = made(tmp_path / "people.db")
    with Gallery.open(tmp_path / "people.db") as store:
        desk, before = FinishedCorrections(folder, gallery=store), people(folder)
        both = next(who for who, tracks in before.items() if len(tracks) == 2)
        one, other = sorted(set(before) - {both})
        desk.rename(one, "Anna")
        desk.tag_staff(one)
        desk.merge(one, other)
        parted = desk.split(both, tracks=[max(before[both])])
        records = {r.global_id: r for r in store.identities()}
        assert set(records) == {one, both, parted.other_id}
        assert (records[one].name, records[one].staff, records[one].track_records) == ("Anna", True, 2)
        assert {(c.kind, c.one, c.other) for c in store.constraints()} == {
            ("same", one, other) if one < other else ("same", other, one), ("different", both, parted.other_id),
        }  # fmt: skip
        desk.undo()
        desk.undo()
        assert {r.global_id: r.track_records for r in store.identities()} == {one: 1, other: 1, both: 2}
        assert not store.constraints()
        proof = desk.forget(one)
        assert proof.complete, proof
        assert {r.global_id for r in store.identities()} == {other, both}
        assert people(folder).keys() == {other, both}


def test_a_half_line_does_not_spoil_the_next_and_damage_is_told(made):
    folder = made()
    one = min(people(folder))
    FinishedCorrections(folder).rename(one, "Anna")
    with (folder / CORRECTIONS).open("a") as file:
        file.write('{"number": 2, "kind": "ren')
    FinishedCorrections(folder).tag_staff(one)
    assert [c.kind for c in CorrectionLog(folder).entries] == ["rename", "staff"]
    (folder / CORRECTIONS).write_text("[]\n")
    with pytest.raises(DataError, match="line 1 is no correction"):
        open_run(folder)


def test_reading_what_was_said_writes_nothing(tmp_path):
    """Or a reader would put an old file in place of one to which somebody has just added a line."""
    log = CorrectionLog(tmp_path)
    log.add(log.next("rename", global_id=1, name="Anna"))
    path = tmp_path / CORRECTIONS
    before = path.stat()
    assert [c.name for c in corrections_in(tmp_path)] == ["Anna"]
    CorrectionLog(tmp_path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with path.open("a") as file:
        file.write('{"number":2')  # a crash
    assert [c.name for c in corrections_in(tmp_path)] == ["Anna"]
    assert path.read_text().endswith('{"number":2')
    log = CorrectionLog(tmp_path)
    log.add(log.next("rename", global_id=2, name="Berta"))
    assert [c.name for c in corrections_in(tmp_path)] == ["Anna", "Berta"]
    assert corrections_in(tmp_path / "elsewhere") == []
