"""Who looks like this: exact, with the index, while the store changes."""

import sys
import threading

import numpy as np
import pytest

from streamreid.errors import EngineMismatchError
from streamreid.features.similarity import Calibration, PackedParts, part_similarity
from streamreid.gallery import Gallery, GallerySearch
from streamreid.gallery import prototype_matrix as matrix_module
from streamreid.gallery import search as search_module
from streamreid.gallery.prototype_matrix import PrototypeMatrix
from streamreid.types import PartFeatures


def random_features(count, shape=(4, 24), seed=0):
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((count, *shape)).astype(np.float32)
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    visibility = rng.random((count, shape[0])).astype(np.float32)
    visibility[rng.random((count, shape[0])) < 0.3] = 0
    return PartFeatures(parts, visibility)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("mapped", [True, False])
def test_the_matrix_computes_the_part_similarity(tmp_path, monkeypatch, direct, queries, mapped):
    if direct:
        pytest.importorskip("numkong", reason="needs numkong: pip install 'streamreid[index]'")
    else:
        monkeypatch.setitem(sys.modules, "numkong", None)
    stored, query = random_features(700), random_features(queries, seed=1)
    matrix = PrototypeMatrix((4, 24), folder=tmp_path if mapped else None)
    for start in range(0, 700, 300):
        rows = np.arange(start, min(start + 300, 700))
        matrix.add(rows + 1, rows % 50 + 1, stored[rows])
    similarity, common = matrix.compare(PackedParts(query))
    expected, expected_common = part_similarity(query, stored)
    assert similarity == pytest.approx(expected, abs=3e-3)
    assert common == pytest.approx(expected_common, abs=1e-5)
    some = np.array([3, 600, 77])
    assert matrix.compare(PackedParts(query), some)[0] == pytest.approx(expected[:, some], abs=3e-3)
    assert list(tmp_path.iterdir()) == []  # the file has no name
    matrix.close()


def test_every_half_precision_number_is_widened_exactly():
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)].reshape(-1, 64)
    wide = matrix_module.widened(every, np.empty(every.shape, np.int32))
    assert np.array_equal(wide, every.astype(np.float32))


def test_dropped_rows_are_zero_and_used_again(tmp_path):
    features = random_features(10)
    matrix = PrototypeMatrix((4, 24), folder=tmp_path)
    matrix.add(np.arange(1, 11), np.repeat([1, 2], 5), features)
    matrix.keep_only(np.array([1]), np.array([2]))
    assert len(matrix) == 6
    assert not matrix.stored(np.array([0, 2, 3, 4])).any()
    assert matrix.global_ids.tolist() == [0, 1, 0, 0, 0, 2, 2, 2, 2, 2]
    matrix.add(np.array([20, 21]), np.array([3, 3]), features[:2])
    assert len(matrix.ids) == 10
    assert {20, 21} <= set(matrix.ids.tolist())


@pytest.fixture
def store(tmp_path, make):
    with Gallery.open(tmp_path / "people.db") as store:
        store.claim(make.stamp)
        for who in range(1, 41):
            store.write(make.batch(who, who, first_track=2 * who, time=float(who)))
        yield store


@pytest.mark.parametrize("index_from", [10, None])
def test_people_are_found_by_looks(store, make, index_from):
    if index_from == 10:
        pytest.importorskip("usearch", reason="needs usearch: pip install 'streamreid[index]'")
    finder = GallerySearch(store, Calibration(12, -6), index_from=index_from)
    assert finder.wait_for_index() is (index_from == 10)
    for who in (1, 17, 40):
        matches = finder.search(make.look(who, seed=999), 3)
        assert matches[0].global_id == who
        assert len(matches) == 3
        assert matches[0].probability > 0.9 > matches[1].probability
        assert [m.similarity for m in matches] == sorted((m.similarity for m in matches), reverse=True)
        assert len(matches[0].prototypes) == 2
    assert finder.search(make.look(17, seed=999), 3, without=[17])[0].global_id != 17
    assert [m.global_id for m in finder.search(make.look(17), 5, among=[3, 17])] == [17, 3]
    assert finder.search(make.look(1), 0) == []
    with pytest.raises(EngineMismatchError, match="2 parts of 8 values"):
        finder.search(random_features(1, (2, 8)))
    finder.close()
    assert finder.search(make.look(17), 3) == []


def test_nothing_in_common_is_no_match(store, make):
    query = make.look(5)
    query.visibility[:] = 0
    assert GallerySearch(store).search(query) == []


@pytest.mark.parametrize("index_from", [10, None])
def test_it_follows_the_store(store, make, index_from):
    if index_from == 10:
        pytest.importorskip("usearch", reason="needs usearch: pip install 'streamreid[index]'")
    finder = GallerySearch(store, index_from=index_from)
    assert finder.wait_for_index() is (index_from == 10)
    with Gallery.open(store.place) as other:
        other.write(make.batch(77, first_track=500))
        other.merge(1, 2)
        other.forget([3])
        other.split(4, sorted(other.track_records([4]))[1:])
    kinds = {(c.identity, c.kind) for c in finder.refresh()}
    assert {(77, "write"), (2, "merge"), (3, "forget"), (4, "split")} <= kinds
    assert finder.search(make.look(77), 1)[0].global_id == 77
    assert finder.search(make.look(2), 1)[0].global_id == 1
    assert finder.search(make.look(3), 1)[0].global_id != 3
    assert {m.global_id for m in finder.search(make.look(4), 2)} == {4, 78}
    assert 3 not in finder.people()
    assert finder.knows(77)
    assert not finder.knows(3)
    assert finder.refresh() == []


def test_it_reads_everything_anew_where_it_missed_too_much(store, make):
    finder = GallerySearch(store)
    store.write(make.batch(90, first_track=600))
    store.tables.database.rows("DELETE FROM changes WHERE id <= (SELECT MAX(id) - 1 FROM changes)")
    assert {c.kind for c in finder.refresh()} == {"write"}
    assert finder.search(make.look(90), 1)[0].global_id == 90


def test_an_empty_gallery(tmp_path, make):
    with Gallery.open(tmp_path / "empty.db") as store:
        finder = GallerySearch(store)
        assert finder.search(make.look(1)) == []
        store.claim(make.stamp)
        store.write(make.batch(1))
        finder.refresh()
        assert finder.search(make.look(1))[0].global_id == 1


def test_the_index_is_made_beside_and_takes_in_what_happens_meanwhile(store, make, monkeypatch):
    index_module = pytest.importorskip("usearch.index", reason="needs usearch: pip install 'streamreid[index]'")
    assert index_module
    monkeypatch.setattr(search_module, "_PIECE", 8)
    begun, go = threading.Event(), threading.Event()

    class Slow(search_module.CandidateIndex):
        def add(self, ids, vectors):
            begun.set()
            assert go.wait(10)
            super().add(ids, vectors)

    monkeypatch.setattr(search_module, "CandidateIndex", Slow)
    finder = GallerySearch(store, index_from=10)
    assert begun.wait(10)
    assert not finder.indexed
    assert finder.search(make.look(17), 1)[0].global_id == 17  # exact meanwhile
    store.write(make.batch(90, first_track=600))
    store.forget([5])
    finder.refresh()
    go.set()
    assert finder.wait_for_index()
    assert finder.search(make.look(90), 1)[0].global_id == 90
    assert finder.search(make.look(5), 1)[0].global_id != 5
    assert finder.indexed_count == len(finder)


def test_without_usearch_searches_stay_exact(store, make, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    finder = GallerySearch(store, index_from=10)
    assert finder.wait_for_index() is False
    assert "streamreid[index]" in caplog.text
    assert finder.search(make.look(17), 1)[0].global_id == 17
