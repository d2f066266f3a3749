"""Copies know each other, everything that shows people is in the audit log, and files are their owner's."""

import json
import os
import stat
from pathlib import Path

import pytest

from streamreid import Pipeline
from streamreid.gallery import Gallery
from streamreid.gallery.cipher import new_key
from streamreid.gallery.export import export_gallery
from streamreid.gallery.postgres_database import without_password


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def people(tmp_path, make):
    path = tmp_path / "new" / "people.db"
    with Gallery.open(path) as store:
        store.claim(make.stamp)
        store.write(make.batch(1, 2, 3, views=2))
    return path


@pytest.fixture
def loose_umask():
    before = os.umask(0o000)
    yield
    os.umask(before)


def actions(path):
    with Gallery.open(path) as store:
        return [entry.action for entry in store.audit_log()]


@pytest.mark.parametrize("where", ["original", "copy"])
def test_who_is_forgotten_in_one_copy_is_forgotten_in_all(people, tmp_path, call, where):
    copies = [tmp_path / "one.db", tmp_path / "two.db"]
    assert call("gallery", "copy", people, copies[0])[0] == 0
    assert call("gallery", "copy", copies[0], copies[1])[0] == 0  # a copy of a copy
    code, out, _ = call(
        "gallery", "forget", 2, "--yes", "--json", "--gallery", people if where == "original" else copies[1]
    )
    assert code == 0
    found = json.loads(out)
    assert found["complete"]
    for path in (people, *copies):
        with Gallery.open(path) as store:
            assert [r.global_id for r in store.identities()] == [1, 3]
            assert store.forgotten() == [2]


@pytest.mark.parametrize("where", ["original", "copy"])
def test_an_encrypted_copy_is_known_to_forget(people, tmp_path, call, monkeypatch, where):
    pytest.importorskip("cryptography", reason="needs cryptography: pip install 'streamreid[encryption]'")
    monkeypatch.setenv("STREAMREID_GALLERY_KEY", new_key())
    copy = tmp_path / "sealed.db"
    assert call("gallery", "copy", people, copy, "--encrypt")[0] == 0
    code, out, _ = call("gallery", "forget", 2, "--yes", "--json", "--gallery", people if where == "original" else copy)
    assert code == 0
    assert json.loads(out)["complete"]
    for path in (people, copy):
        with Gallery.open(path) as store:
            assert [r.global_id for r in store.identities()] == [1, 3]
            assert store.forgotten() == [2]


def test_an_encrypted_copy_without_its_key_is_named(people, tmp_path, call, monkeypatch):
    pytest.importorskip("cryptography", reason="needs cryptography: pip install 'streamreid[encryption]'")
    monkeypatch.setenv("STREAMREID_GALLERY_KEY", new_key())
    assert call("gallery", "copy", people, tmp_path / "sealed.db", "--encrypt")[0] == 0
    monkeypatch.delenv("STREAMREID_GALLERY_KEY")
    code, _, errors = call("gallery", "forget", 2, "--yes", "--gallery", people)
    assert code != 0
    assert "sealed.db" in errors.replace("\n", "")
    assert "STREAMREID_GALLERY_KEY" in " ".join(errors.split())


@pytest.mark.parametrize("where", ["original", "copy"])
def test_a_copy_in_postgresql_is_known_to_forget(people, database, call, where):
    assert call("gallery", "copy", people, database)[0] == 0
    code, out, _ = call(
        "gallery", "forget", 2, "--yes", "--json", "--gallery", people if where == "original" else database
    )
    assert code == 0
    assert json.loads(out)["complete"]
    for store in (Gallery.open(people), Gallery.open(database)):
        with store:
            assert [r.global_id for r in store.identities()] == [1, 3]
            assert store.forgotten() == [2]


def test_a_copy_that_was_moved_is_named(people, tmp_path, call):
    assert call("gallery", "copy", people, tmp_path / "one.db")[0] == 0
    (tmp_path / "one.db").rename(tmp_path / "moved.db")
    code, _, errors = call("gallery", "forget", 2, "--yes", "--gallery", people)
    assert code != 0
    assert "one.db" in errors.replace("\n", "")


def test_copy_backup_and_rename_are_audited(people, tmp_path, call):
    call("gallery", "backup", tmp_path / "backup.db", "--gallery", people)
    call("gallery", "copy", people, tmp_path / "copy.db")
    call("gallery", "rename", 1, "Ann Example", "--gallery", people)
    assert actions(people) == ["backup", "copy", "rename"]
    assert "copy" in actions(tmp_path / "copy.db")
    with Gallery.open(people) as store:
        assert "Ann" not in str(store.audit_log())


def test_files_are_their_owners(people, tmp_path, call, make, loose_umask):
    os.chmod(people, 0o644)  # as older versions left it
    with Gallery.open(people) as store:
        store.write(make.batch(4, run="later"))
        assert {mode(f) for f in store.tables.database.files() if f.exists()} == {0o600}
        store.backup(tmp_path / "backups" / "a.db")
        export_gallery(store, tmp_path / "export")
    assert mode(tmp_path / "backups") == 0o700
    assert mode(tmp_path / "backups" / "a.db") == 0o600
    assert mode(tmp_path / "export") == 0o700
    assert {mode(p) for p in (tmp_path / "export").iterdir()} == {0o600}
    with Gallery.open(tmp_path / "fresh" / "b.db") as fresh:
        assert mode(Path(fresh.place)) == 0o600
        assert mode(Path(fresh.place).parent) == 0o700
        with Gallery.open(people) as store:
            store.copy_to(fresh)
    call("gallery", "forget", 1, "--yes", "--gallery", people)
    assert {mode(p) for p in (tmp_path / "export").iterdir()} == {0o600}


def test_an_open_gallery_is_a_setting(tmp_path, make, loose_umask):
    with Gallery.open(tmp_path / "open" / "a.db", private=False) as store:
        assert mode(Path(store.place)) & 0o044
        assert mode(Path(store.place).parent) & 0o055


def test_addresses_are_kept_without_password():
    assert (
        without_password("postgresql://u:p%40ss@db:5432/x?sslmode=require&password=p")
        == "postgresql://u@db:5432/x?sslmode=require"
    )
    assert without_password("postgresql://db/x") == "postgresql://db/x"


def test_caches_are_named_by_forget_and_removed_by_it(scene, tmp_path, colours, call):
    store, cache = tmp_path / "people.db", tmp_path / "cache"
    config = scene.config(scene.camera("hall", [0]), gallery={"store": str(store)})
    with Pipeline(config, embedder=colours, cache=cache) as pipeline:
        for _ in pipeline:
            pass
    assert mode(cache) == 0o700
    assert {mode(p) for p in cache.rglob("*.parquet")} == {0o600}
    code, _, errors = call("gallery", "forget", 1, "--yes", "--gallery", store)
    assert code != 0
    assert f"--also {cache}" in " ".join(errors.split())
    assert (
        call("gallery", "forget", 1, "--yes", "--gallery", store, "--also", tmp_path)[0] != 0
    )  # no cache: nothing is touched
    code, out, errors = call("gallery", "forget", 1, "--yes", "--gallery", store, "--also", cache)
    assert code == 0
    assert "removed the cache" in out
    assert "nobody in this gallery" not in errors  # who was forgotten was there once
    assert not [p for p in cache.rglob("*") if p.name != ".cache.lock"]  # and no empty folder of a camera
    assert "remove cache" in actions(store)


def test_a_number_that_nobody_has_is_named(scene, tmp_path, colours, call):
    store = tmp_path / "people.db"
    config = scene.config(scene.camera("hall", [0]), gallery={"store": str(store)})
    with Pipeline(config, embedder=colours) as pipeline:
        for _ in pipeline:
            pass
    _, _, errors = call("gallery", "forget", 999, "--yes", "--gallery", store)
    assert "nobody in this gallery has or had the number 999" in errors
