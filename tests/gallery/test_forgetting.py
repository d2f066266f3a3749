"""Erasure and its proof: no byte of the features is left in any file."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from streamreid.errors import GalleryError
from streamreid.gallery import Gallery
from streamreid.gallery import erasure_proof as residue_module
from streamreid.gallery.erasure_proof import ByteSignatures, find_residue
from streamreid.gallery.export import export_gallery

JPEG = b"\xff\xd8\xff" + np.random.default_rng(0).bytes(697)  # what all pictures of an encoder begin with


def test_the_search_for_remains_finds_them(tmp_path):
    rng = np.random.default_rng(0)
    value = rng.bytes(400)
    path = tmp_path / "file"
    for offset in (0, 1, 7, 4096 - 8, (1 << 25) - 5):
        path.write_bytes(bytes(offset) + value[32:64] + bytes(1000))
        places, searched = find_residue([path], ByteSignatures([value]))
        assert places
        assert {int(p.rsplit(":", 1)[1]) - offset for p in places} <= set(range(17))
        assert searched == path.stat().st_size
    path.write_bytes(rng.bytes(100_000))
    assert find_residue([path, tmp_path / "missing"], ByteSignatures([value])) == ([], 100_000)
    assert find_residue([path], ByteSignatures()) == ([], 100_000)
    assert len(ByteSignatures([bytes(64), b"short"])) == 0
    assert len(ByteSignatures([value]) | ByteSignatures([value])) == len(ByteSignatures([value])) == 400 - 15


def test_of_very_many_values_a_part_of_each_is_searched_for(tmp_path, monkeypatch):
    monkeypatch.setattr(residue_module, "_MOST", 5000)
    values = [np.random.default_rng(n).bytes(3000) for n in range(20)]
    wanted = ByteSignatures(values)
    assert len(wanted) == 20 * (256 - 15)
    for n, value in enumerate(values):
        path = tmp_path / str(n)
        path.write_bytes(value)
        assert find_residue([path], wanted)[0]


@pytest.fixture
def store(tmp_path, make):
    with Gallery.open(tmp_path / "people.db") as store:
        store.claim(make.stamp)
        batch = make.batch(*range(1, 31), views=3)
        batch.crops = {("hall", track): JPEG + np.random.default_rng(track).bytes(3000) for track in range(1, 31)}
        batch.colours = {key: colours_of(key[1]) for key in batch.crops}
        store.write(batch)
        yield store


def colours_of(track):
    """What a run would have seen of the clothes of a track."""
    return np.random.default_rng(1000 + track).bytes(16)


def stored_pieces(store, who):
    features = store.tables.database.rows(
        "SELECT p.features FROM prototypes p JOIN appearances a ON a.id = p.appearance WHERE a.identity = ?", (who,)
    )
    pictures = store.tables.database.rows(
        "SELECT picture FROM crops c JOIN appearances a ON a.id = c.appearance WHERE a.identity = ?", (who,)
    )
    return ByteSignatures(f for (f,) in features) | ByteSignatures((p for (p,) in pictures), pictures=True)


def test_no_byte_is_left(store):
    wanted = stored_pieces(store, 7)
    assert find_residue(store.tables.database.files(), wanted)[0]
    store.rename(7, "Ann")
    assert list(store.part_colours(sorted(store.track_records([7]))).values()) == [colours_of(7)]
    erasure = store.forget([7])
    assert not any(colours_of(7) in path.read_bytes() for path in store.tables.database.files())
    assert any(colours_of(8) in path.read_bytes() for path in store.tables.database.files())
    assert erasure.removed == {
        "identities": 1,
        "appearances": 1,
        "prototypes": 3,
        "crops": 1,
        "part_colours": 1,
        "events": 1,
        "constraints": 0,
        "corrections": 1,
    }
    assert erasure.searched > 100_000
    assert find_residue(store.tables.database.files(), wanted)[0] == []
    assert b"Ann" not in Path(store.place).read_bytes()
    assert find_residue(store.tables.database.files(), stored_pieces(store, 8))[0]  # the others are still there


def test_replaced_and_expired_views_leave_nothing_either(store, make):
    first = stored_pieces(store, 5)
    changed = make.batch(5, first_track=5)
    changed.prototypes = {("hall", 5): (make.look(5, seed=12345), np.ones(1, np.float32))}
    store.write(changed)
    second = stored_pieces(store, 5)
    store.forget([5])
    assert find_residue(store.tables.database.files(), first | second)[0] == []


def test_a_reader_in_the_way(store, tmp_path):
    store.close()
    store = Gallery.open(tmp_path / "people.db", patience=0.3)
    other = sqlite3.connect(store.place)
    cursor = other.execute("SELECT * FROM appearances")
    cursor.fetchone()  # an open read holds the old pages
    with pytest.raises(GalleryError, match="the rows are erased, but the log"):
        store.forget([7])
    cursor.close()
    other.close()
    erasure = store.forget([7])  # once more: nothing new, but now it is thorough
    assert erasure.identities == [7]
    assert (tmp_path / "people.db-wal").stat().st_size == 0
    store.close()


def test_exports_are_training_data_and_forget_too(store, tmp_path):
    store.rename(2, "Bob")
    store.merge(1, 2)
    store.separate(1, 3)
    folder = tmp_path / "export"
    counts = export_gallery(store, folder)
    assert counts == {"identities": 29, "views": 29 * 3 + 3, "pairs": 2, "pictures": 30}
    with pytest.raises(GalleryError, match="not empty"):
        export_gallery(store, folder)
    with np.load(folder / "features.npz") as data:
        assert data["parts"].shape == (90, 3, 32)
        assert (data["global_id"] == 1).sum() == 6
        assert set(data["camera"]) == {"hall"}
    assert (folder / "pairs.csv").read_text().splitlines()[1].startswith("same,1,2,")
    assert sorted(p.name for p in (folder / "images").iterdir())[0].startswith("0001_c1s1_")
    wanted = stored_pieces(store, 1)
    erasure = store.forget([1])
    assert erasure.done == [str(folder)]
    assert erasure.complete
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {1, 2} & {i["global_id"] for i in manifest["identities"]} == set()
    assert "Bob" not in (folder / "manifest.json").read_text()
    assert (folder / "pairs.csv").read_text() == "kind,one,other,stored\n"
    assert not list((folder / "images").glob("0001_*"))
    assert find_residue(list(folder.rglob("*.*")), wanted)[0] == []
    with np.load(folder / "features.npz") as data:
        assert len(data["global_id"]) == 84
        assert 1 not in data["global_id"]


def test_a_damaged_export_is_reported_not_ignored(store, tmp_path):
    folder = tmp_path / "export"
    export_gallery(store, folder, [1])
    (folder / "features.npz").write_bytes(b"broken")
    erasure = store.forget([1])
    assert list(erasure.unreachable) == [str(folder)]
    assert not erasure.complete
