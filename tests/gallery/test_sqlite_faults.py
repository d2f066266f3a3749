"""What goes wrong with files: kill -9, full disks, read-only folders, other processes, other versions, damage."""

import importlib.util
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from streamreid.errors import GalleryBusy, GalleryError
from streamreid.gallery import Gallery, Limits
from streamreid.gallery.schema import APPLICATION_ID, MIGRATIONS, VERSION

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def gallery(tmp_path, make):
    """A closed gallery with the people 1, 2 and 3."""
    path = tmp_path / "people.db"
    with Gallery.open(path) as store:
        store.claim(make.stamp)
        store.write(make.batch(1, 2, 3))
    return path


def people(path):
    with Gallery.open(path) as store:
        return [r.global_id for r in store.identities()]


def test_kill_9_at_random_moments(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # scripts import one another by their names
    spec = importlib.util.spec_from_file_location("gallery_kill", ROOT / "benchmarks" / "gallery_kill.py")
    killing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(killing)
    rng = random.Random(1)
    start, confirmed = 0, set()
    for _ in range(4):
        start, lines = killing.kill_once(tmp_path / "people.db", start, 0.2 * rng.random())
        confirmed |= set(lines)
        assert killing.inspect(tmp_path / "people.db", confirmed, start) == []
        start += 1
    assert confirmed


def test_a_full_disk_loses_nothing_that_was_confirmed(gallery, make):
    with Gallery.open(gallery) as store:
        pages = store.tables.database.rows("PRAGMA page_count")[0][0]
        store.tables.database.rows(f"PRAGMA max_page_count = {pages + 2}")
        written = [3]

        def fill():
            for first in range(10, 5000, 10):
                store.write(make.batch(*range(first, first + 10), first_track=first))
                written.append(10)

        with pytest.raises(
            GalleryError, match=r"people\.db' cannot be written: database or disk is full; .*free space"
        ):
            fill()
        assert len(store.identities()) == sum(written)
        store.tables.database.rows("PRAGMA max_page_count = 1073741823")
        store.write(make.batch(9000, first_track=9000))
    assert len(people(gallery)) == sum(written) + 1


def _limited(path, size):
    """Write until the operating system refuses files larger than ``size`` bytes."""
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import importlib.util
from streamreid.errors import GalleryBusy, GalleryError
from streamreid.gallery import Gallery
spec = importlib.util.spec_from_file_location("conf", {str(Path(__file__).with_name("conftest.py"))!r})
conf = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conf)
store = Gallery.open({str(path)!r})
try:
    for first in range(100, 100000, 20):
        store.write(conf.batch(*range(first, first + 20), first_track=first))
        print(first, flush=True)
except GalleryError as error:
    print("error:", error, flush=True)
"""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    done = subprocess.run([sys.executable, "-c", code], preexec_fn=limit, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_file_that_cannot_grow(gallery):
    lines = _limited(gallery, 2_000_000)
    assert lines[-1].startswith("error: gallery")
    assert "free space" in lines[-1]
    confirmed = [int(line) for line in lines[:-1]]
    assert confirmed
    expected = {1, 2, 3} | {who for first in confirmed for who in range(first, first + 20)}
    assert set(people(gallery)) == expected


def test_a_folder_that_cannot_be_written(gallery, tmp_path):
    # Root may write everywhere, so an ordinary user tries.
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    closed = Path("/tmp") / f"closed-{os.getpid()}"
    closed.mkdir(mode=0o755)
    try:
        shutil.copy(gallery, closed / "people.db")
        (closed / "people.db").chmod(0o644)  # galleries are their owner's; this one was opened for all
        code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from streamreid.errors import GalleryBusy, GalleryError
from streamreid.gallery import Gallery
os.setuid(65534)
print([r.global_id for r in Gallery.open({str(closed / "people.db")!r}, read_only=True).identities()])
for name in ("people.db", "new.db"):
    try:
        Gallery.open({str(closed)!r} + "/" + name).rename(1, "Ann")
    except GalleryError as error:
        print(error)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        first, second, third = done.stdout.splitlines()
        assert first == "[1, 2, 3]"
        assert "people.db' cannot be" in second
        assert "permissions" in second
        assert "new.db' cannot be opened" in third
        assert people(closed / "people.db") == [1, 2, 3]
    finally:
        shutil.rmtree(closed)


def test_another_process_that_holds_the_file_for_long(gallery, make):
    other = sqlite3.connect(gallery, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(GalleryBusy, match=r"another process has been using it for more than 0\.2 s"):
        Gallery.open(gallery, patience=0.2).write(make.batch(4))
    other.execute("COMMIT")
    other.close()
    assert people(gallery) == [1, 2, 3]


def test_a_file_of_a_newer_version_is_left_alone(gallery):
    db = sqlite3.connect(gallery)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.commit()
    db.close()
    before = gallery.read_bytes()
    with pytest.raises(
        GalleryError, match=rf"newer streamreid \(its tables have version {VERSION + 1}, this one knows {VERSION}\)"
    ):
        Gallery.open(gallery)
    assert gallery.read_bytes() == before


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path, make):
    path = tmp_path / "old.db"
    db = sqlite3.connect(path)
    for statement in MIGRATIONS[0]:
        db.execute(statement.format(serial="INTEGER PRIMARY KEY AUTOINCREMENT", blob="BLOB"))
    db.execute("INSERT INTO meta VALUES ('next_id', '8')")
    db.execute("INSERT INTO meta VALUES ('cipher', 'none')")
    db.execute("INSERT INTO identities VALUES (7, 'Ann', 1.0)")
    db.execute("INSERT INTO appearances VALUES (1, 'r', 'hall', 1, 7, 0, 5, 1, 3, 1.0)")
    db.execute(
        "INSERT INTO events (run, stored, kind, time, identity, other, camera, track, probability) VALUES ('r', 1, "
        "'new', 0, 7, 0, 'hall', 1, 1)"
    )
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    with pytest.raises(GalleryError, match="older version"):
        Gallery.open(path, read_only=True)
    with Gallery.open(path) as store:
        assert [(r.global_id, r.name, r.track_records) for r in store.identities()] == [(7, "Ann", 1)]
        assert store.events(7)[0].event.reasons == {}
        store.claim(make.stamp)
        store.write(make.batch(9))
        store.separate(7, 9)
        assert len(store.constraints()) == 1
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    db.close()


def test_a_damaged_file_is_named_and_not_touched(gallery):
    data = bytearray(gallery.read_bytes())
    for start in range(3 * 16384, len(data), 16384):
        data[start : start + 4000] = os.urandom(4000)
    gallery.write_bytes(data)
    with pytest.raises(GalleryError, match=r"is damaged: .*backup"):
        Gallery.open(gallery)
    assert gallery.read_bytes() == bytes(data)


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to look like one" * 20, b"SQLite format 3\x00" + bytes(90)]
)
def test_a_file_that_is_no_database(tmp_path, content):
    path = tmp_path / "people.db"
    path.write_bytes(content)
    with pytest.raises(GalleryError, match=r"damaged|not a database"):
        Gallery.open(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program(tmp_path):
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE cats (name TEXT)")
    db.commit()
    db.close()
    with pytest.raises(GalleryError, match="another program"):
        Gallery.open(path)


def test_a_gallery_that_is_not_there_is_not_made_for_reading(tmp_path):
    with pytest.raises(GalleryError, match="there is no gallery"):
        Gallery.open(tmp_path / "none.db", read_only=True)
    assert not (tmp_path / "none.db").exists()


def test_a_truncated_file(gallery):
    data = gallery.read_bytes()
    gallery.write_bytes(data[: len(data) // 2])
    with pytest.raises(GalleryError, match="damaged"):
        Gallery.open(gallery)


def test_caps_keep_the_size_predictable(tmp_path, make):
    path = tmp_path / "people.db"
    with Gallery.open(path, Limits(prototypes=2, max_identities=20, max_events=50)) as store:
        store.claim(make.stamp)
        sizes = []
        for round_ in range(30):
            first = round_ * 10 + 1
            store.write(make.batch(*range(first, first + 10), first_track=first, views=3))
            store.evict()
            sizes.append(path.stat().st_size)
        assert len(store.identities()) == 20
        assert store.stats()["prototypes"] <= 40
    assert sizes[-1] <= 1.5 * sizes[9]
