"""What goes wrong with a server: not there, gone for a while, of another version."""

import subprocess
import sys

import pytest

from streamreid.errors import GalleryError, MissingExtraError
from streamreid.gallery import Gallery


def test_no_server_and_no_password_in_the_message():
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'streamreid[postgres]'")
    with pytest.raises(
        GalleryError, match=r"postgresql://anna:\*\*\*@127\.0\.0\.1:1/people cannot be opened: .*is the server running"
    ) as error:
        Gallery.open("postgresql://anna:geheim@127.0.0.1:1/people", patience=2)
    assert "geheim" not in str(error.value)


def test_without_the_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"streamreid\[postgres\]"):
        Gallery.open("postgresql://127.0.0.1/people")


def test_a_connection_that_broke_is_made_again(database, make):
    with Gallery.open(database) as store, Gallery.open(database) as other:
        store.claim(make.stamp)
        store.write(make.batch(1))
        store.wait(0.01)
        other.tables.database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
            "current_database()"
        )
        with pytest.raises(GalleryError, match="cannot be"):
            store.write(make.batch(2, first_track=2))
        store.write(make.batch(2, first_track=2))
        assert [r.global_id for r in store.identities()] == [1, 2]
        with pytest.raises(GalleryError, match="listened"):
            store.wait(0.5)
        assert store.wait(0.5)


def test_a_newer_version_is_left_alone(database):
    with Gallery.open(database) as store:
        store.tables.database.set_version(99)
    with pytest.raises(GalleryError, match="newer streamreid"):
        Gallery.open(database)


def test_another_process_that_writes_for_long(database, make):
    with Gallery.open(database) as store, Gallery.open(database, patience=0.3) as other:
        with (
            store.tables.database.writing(),
            pytest.raises(GalleryError, match=r"another process has been writing for more than 0\.3 s"),
        ):
            other.write(make.batch(1))
        other.claim(make.stamp)
        other.write(make.batch(1))
        assert len(store.identities()) == 1


def test_several_processes_make_the_tables_at_once(database):
    code = "import sys; from streamreid.gallery import Gallery; Gallery.open(sys.argv[1]).reserve_ids(10)"
    processes = [subprocess.Popen([sys.executable, "-c", code, database]) for _ in range(4)]
    assert [p.wait(60) for p in processes] == [0] * 4
    with Gallery.open(database) as store:
        assert store.reserve_ids(1) == 41


def test_the_tables_hold_no_byte_of_forgotten_people(database, make):
    with Gallery.open(database) as store:
        store.claim(make.stamp)
        store.write(make.batch(1, 2))
        (blob,) = store.tables.database.rows(
            "SELECT p.features FROM prototypes p JOIN appearances a ON a.id = p.appearance WHERE a.identity = 1"
        )
        (folder,) = store.tables.database.rows("SHOW data_directory")
        (table,) = store.tables.database.rows("SELECT pg_relation_filepath('prototypes')")
        assert store.forget([1]).complete
        store.tables.database.rows("CHECKPOINT")
        (now,) = store.tables.database.rows("SELECT pg_relation_filepath('prototypes')")
        assert now != table  # the table was rewritten
        (hits,) = store.tables.database.rows(
            "SELECT position(? IN pg_read_binary_file(?))", (bytes(blob[0])[:64], f"{folder[0]}/{now[0]}")
        )
        assert hits[0] == 0


def test_backup_of_an_encrypted_store_is_encrypted(database, make, monkeypatch, tmp_path):
    pytest.importorskip("cryptography", reason="needs cryptography: pip install 'streamreid[encryption]'")
    monkeypatch.setenv("STREAMREID_GALLERY_KEY", "correct horse battery staple")
    with Gallery.open(database, key_variable="STREAMREID_GALLERY_KEY") as store:
        store.claim(make.stamp)
        store.write(make.batch(1))
    with Gallery.open(database) as store:  # as the command line opens it
        store.backup(tmp_path / "copy.db")
    with Gallery.open(tmp_path / "copy.db") as copy:
        assert copy.encrypted
        assert len(copy.identities()) == 1
