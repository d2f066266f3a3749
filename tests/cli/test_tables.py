"""Tables in narrow terminals: every date, name and number stays in one piece, and none is left out."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.table import Table

from streamreid.cli import gallery as gallery_commands
from streamreid.cli import search as search_command
from streamreid.cli.console import errors, output
from streamreid.cli.run_summary import print_summary
from streamreid.cli.tables import print_table
from streamreid.config import AssociationConfig
from streamreid.gallery import Batch, EngineStamp, Gallery, TrackRecord
from streamreid.gallery.search_report import MatchedIdentity, MatchedTrackRecord
from streamreid.runs.summary import CameraSummary, LiveSummary, Summary
from streamreid.types import IdentityEvent

WHEN = 1_790_000_000.0


def console(width):
    return Console(file=io.StringIO(), width=width)


def camera(**more):
    age = {"p50": 0.12, "p95": 0.4, "p99": 12.875}
    live = LiveSummary(age, 0, None, 0)
    given = {"drops": {"slow": 1234}, "clocks": {"arrival": 5}, "warnings": [], "error": None, "live": live}
    return CameraSummary(123456, 789, 1011, **{**given, **more})


def summary(**cameras):
    return Summary("out", cameras, 1, 1, 10, 1.0, 10.0, {}, "yolo11n", "none", False)


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize("name", ["gate", "the-long-way-to-the-car-park-behind-the-house"])
def test_the_end_table_of_a_live_run_breaks_nothing(width, name):
    where = console(width)
    print_summary(summary(**{name: camera(), "b": camera(file="Büro Süd.mp4")}), where)
    text = where.file.getvalue()
    for value in (name, "123456", "789", "1011", "1234", "120/400/12875", "arrival"):
        assert value in text
    assert max(len(line) for line in text.split("\n\n")[0].splitlines()) <= max(width, len(name))


def test_in_80_columns_the_end_table_of_usual_cameras_is_a_table():
    where = console(80)
    print_summary(summary(gate=camera(), yard=camera()), where)
    lines = where.file.getvalue().splitlines()
    assert lines[1].split()[:6] == ["camera", "frames", "people", "confirmed", "unlinked", "tracks"]
    assert next(line for line in lines if line.startswith("gate")).split() == [
        *("gate", "123456", "789", "0", "0", "1011", "1234", "120/400/12875", "arrival")
    ]


def test_sentences_are_folded_and_all_else_is_whole():
    table = Table("file", "when", box=None, pad_edge=False)
    table.add_column("why", overflow="fold")
    table.add_row(
        "left.mp4", "2026-09-21 12:53:20", "the video ends in the middle of a picture and nothing after it can be read"
    )
    where = console(60)
    print_table(where, table)
    lines = where.file.getvalue().splitlines()
    assert "2026-09-21 12:53:20" in lines[1]
    assert len(lines) > 3
    where = console(40)
    print_table(where, table)
    assert where.file.getvalue().splitlines()[:2] == ["left.mp4", "  when 2026-09-21 12:53:20"]


@pytest.fixture
def people(tmp_path):
    """Somebody a run confirmed, somebody seen long, somebody seen too little, and somebody confirmed under an earlier
    id."""
    batch = Batch("run")
    for who, seconds, count in ((1, 1.0, 6), (2, 9.0, 40), (3, 1.0, 12), (4, 1.0, 7), (5, 0.5, 5)):
        batch.track_records["gate", who] = TrackRecord("run", "gate", who, who, WHEN, WHEN + seconds, 0.9, count)
    batch.events += [IdentityEvent("confirm", WHEN, who) for who in (1, 5)]
    with Gallery.open(tmp_path / "people.db") as store:
        store.claim(EngineStamp("none", "0" * 64, 1, 3))
        store.write(batch)
        store.merge(4, 5)
        store.rename(2, "Anna of the night shift at the gate")
    return tmp_path / "people.db"


def test_a_gallery_says_who_is_confirmed(people):
    with Gallery.open(people) as store:
        assert {r.global_id: r.confirmed for r in store.identities()} == {1: True, 2: True, 3: False, 4: True}
        assert [r.confirmed for r in store.identities([3, 4])] == [False, True]
        counts = store.stats()
        assert (counts["identities"], counts["confirmed"], counts["unconfirmed"]) == (4, 3, 1)


def test_lists_of_people_keep_their_dates_in_80_columns(people, call, monkeypatch):
    where = console(80)
    monkeypatch.setattr(gallery_commands, "output", where)
    monkeypatch.setattr(search_command, "output", where)
    assert call("gallery", "list", "--gallery", people)[0] == 0
    text = where.file.getvalue()
    assert text.count("2026-09-21") >= 8
    for value in (
        "2026-09-21 14:13:20",
        "2026-09-21 14:13:29",
        "Anna of the night shift at the gate",
        "4 identities, 3 of them confirmed",
    ):
        assert value in text
    assert call("gallery", "show", 3, "--gallery", people)[0] == 0
    assert "2026-09-21 14:13:21" in where.file.getvalue()[len(text) :]
    assert "not confirmed" in where.file.getvalue()[len(text) :]
    assert call("gallery", "stats", "--gallery", people)[0] == 0
    assert "unconfirmed: 1" in where.file.getvalue()
    record = TrackRecord("run", "the-long-way-to-the-car-park", 1, 2, WHEN, WHEN + 9)
    found = (MatchedTrackRecord(1, record, 0.8, 0.5),) * 2
    before = where.file.tell()
    search_command.print_identities([MatchedIdentity(2, "Anna", 0.9, 0.8, 1.0, found)])
    assert where.file.getvalue()[before:].count("2026-09-21 14:13:29") == 2


def test_that_nobody_is_confirmed_in_a_short_recording_is_explained():
    def told(confirmed, **more):
        where = console(80)
        print_summary(replace(summary(gate=camera(live=None, **more)), confirmed=confirmed), where, AssociationConfig())
        return where.file.getvalue()

    assert "it takes 10 frames and 2 s in view" in told(0)
    assert "in view" not in told(1)


def test_names_between_colons_are_no_pictures():
    """A camera or a file may be named like one of the pictures that rich writes for words between colons."""
    with output.capture() as said:
        output.print("hall:door:2  rtsp://10.0.0.1/:car:")
    assert said.get().strip() == "hall:door:2  rtsp://10.0.0.1/:car:"
    with errors.capture() as said:
        errors.print("camera 'yard:bus:' failed")
    assert said.get().strip() == "camera 'yard:bus:' failed"
