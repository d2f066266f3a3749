"""Who looks like this: exact, with the index, while the store changes."""

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from streamreid.errors import EngineMismatchError
from streamreid.features.similarity import Calibration, PackedParts, part_similarity
from streamreid.gallery import Gallery, GallerySearch
from streamreid.gallery import prototype_matrix as matrix_module
from streamreid.gallery import search as search_module
from streamreid.gallery.candidate_index import CandidateIndex
from streamreid.gallery.fixed_point import numkong, products, rough_products, split, wide
from streamreid.gallery.prototype_matrix import PrototypeMatrix, greatest
from streamreid.types import PartFeatures


def random_features(count, shape=(4, 24), seed=0):
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((count, *shape)).astype(np.float32)
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    visibility = rng.random((count, shape[0])).astype(np.float32)
    visibility[rng.random((count, shape[0])) < 0.3] = 0
    return PartFeatures(parts, visibility)


@pytest.fixture(params=["numkong", "numpy"])
def arithmetic(request, monkeypatch):
    """With NumKong, and as it is without."""
    if request.param == "numkong":
        pytest.importorskip("numkong", reason="needs numkong: pip install 'streamreid[index]'")
    else:
        monkeypatch.setitem(sys.modules, "numkong", None)


@pytest.mark.parametrize("queries", [1, 12])
@pytest.mark.parametrize("mapped", [True, False])
def test_the_matrix_computes_the_part_similarity(tmp_path, arithmetic, queries, mapped):
    stored, query = random_features(700), random_features(queries, seed=1)
    matrix = PrototypeMatrix((4, 24), folder=tmp_path if mapped else None)
    for start in range(0, 700, 300):
        rows = np.arange(start, min(start + 300, 700))
        matrix.add(rows + 1, rows % 50 + 1, stored[rows])
    similarity, common = matrix.compare(PackedParts(query))
    expected, expected_common = part_similarity(query, stored)
    assert similarity == pytest.approx(expected, abs=3e-4)
    assert common == pytest.approx(expected_common, abs=1e-5)
    some = np.array([3, 600, 77])
    assert matrix.compare(PackedParts(query), some)[0] == pytest.approx(expected[:, some], abs=3e-4)
    assert list(tmp_path.iterdir()) == []  # the files have no name
    matrix.close()


def test_numbers_of_16_bits(arithmetic):
    rng = np.random.default_rng(3)
    values = (rng.standard_normal((300, 70)) * np.exp(4 * rng.standard_normal((300, 1)))).astype(np.float32)
    values[:2], values[2, :5] = 0, -np.abs(values[2]).max() * 3
    rows, query = split(values), rng.standard_normal((3, 70)).astype(np.float32)
    step = np.abs(values).max(1) / 32512
    assert (np.abs(wide(rows) - values).max(1) <= 0.51 * step).all()
    assert not wide(rows[np.array([0, 1])]).any()
    true = query.astype(np.float64) @ wide(rows).astype(np.float64).T
    lengths, long = np.linalg.norm(query, axis=1)[:, None], np.linalg.norm(wide(rows), axis=1)
    assert (np.abs(products(query, rows, numkong()) - true) <= 1e-4 * lengths * long).all()
    rough, rest = rough_products(query, rows.high, rows.scale, numkong())
    low = rows.scale * np.linalg.norm(rows.low.astype(np.float64), axis=1)
    bound = low * (lengths + rest[:, None]) + long * rest[:, None]
    assert (np.abs(rough - true) <= bound + 1e-6 * lengths * long).all()
    assert np.abs(rough - true).max() > 1e-3 * lengths.max()  # rough indeed


def brute_force(query, stored, owners, top, *, least, without=()):
    """The people who look most like any of the queries, from all similarities in float64."""
    w, v = np.sqrt(query.visibility.astype(np.float64)), np.sqrt(stored.visibility.astype(np.float64))
    weight = w @ v.T
    value = np.einsum("ak,akd,bkd,bk->ab", w, query.parts.astype(np.float64), stored.parts.astype(np.float64), v)
    similarity = np.where(weight / w.shape[1] >= least, value / np.maximum(weight, 1e-9), -np.inf).max(0)
    best = {who: similarity[owners == who].max() for who in set(owners.tolist()) - {0, *without}}
    return sorted((who for who in best if best[who] > -np.inf), key=lambda who: -best[who])[:top], best


@pytest.mark.parametrize("least", [0.1, 0.6])
def test_the_likely_rows_hold_all_who_look_most_alike(monkeypatch, arithmetic, least):
    monkeypatch.setattr(matrix_module, "_BLOCK", 700)
    monkeypatch.setattr(matrix_module, "_SAMPLED", 2)
    stored, owners = random_features(3000), np.random.default_rng(5).integers(1, 400, 3000)
    matrix = PrototypeMatrix((4, 24))
    matrix.add(np.arange(1, 3001), owners, stored)
    matrix.keep_only(np.array([7]), np.array([0]))
    owners = np.where(owners == 7, 0, owners)
    few = []
    for seed in range(30):
        query = random_features(1 + seed % 3, seed=100 + seed)
        expected, best = brute_force(query, stored, owners, 5, least=least, without=(3, 9))
        rows = matrix.likely(PackedParts(query), 5, least=least, without=(3, 9))
        similarity, common = matrix.compare(PackedParts(query), rows)
        similarity = np.where(common >= least, similarity, -np.inf).max(0)
        for who in expected:
            assert similarity[owners[rows] == who].max() == pytest.approx(best[who], abs=1e-4)
        assert not {0, 3, 9} & set(owners[rows].tolist())
        few.append(len(rows))
        some = np.arange(seed % 2, 3000, 2)
        here = np.where(np.isin(np.arange(3000), some), owners, 0)
        expected = brute_force(query, stored, here, 5, least=least)[0]
        assert set(expected) <= set(owners[matrix.likely(PackedParts(query), 5, least=least, among=some)].tolist())
    assert np.median(few) < 30


def test_where_fewer_people_are_there_than_asked_for_all_are_likely():
    matrix = PrototypeMatrix((4, 24))
    matrix.add(np.arange(1, 41), np.repeat([1, 2], 20), random_features(40))
    query = random_features(1, seed=8)
    query.visibility[:] = 1
    seen = part_similarity(query, random_features(40))[1][0] >= 0.1
    rows = matrix.likely(PackedParts(query), 5, least=0.1)
    assert rows.tolist() == np.flatnonzero(seen).tolist()


def test_the_greatest_values_are_found_by_a_sample(monkeypatch):
    monkeypatch.setattr(matrix_module, "_SAMPLED", 4)
    values = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    for case in (values, np.sort(values), np.where(values > 1, values, -np.inf), np.zeros_like(values)):
        for count in (1, 300, 2000, 8000):
            found = greatest(case, count)
            assert len(np.unique(found)) == len(found) == count
            assert np.array_equal(np.sort(case[found]), np.sort(case)[-count:])


def test_dropped_rows_are_zero_and_used_again(tmp_path):
    features = random_features(10)
    matrix = PrototypeMatrix((4, 24), folder=tmp_path)
    matrix.add(np.arange(1, 11), np.repeat([1, 2], 5), features)
    matrix.keep_only(np.array([1]), np.array([2]))
    assert len(matrix) == 6
    assert not matrix.packed(np.array([0, 2, 3, 4])).any()
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
    monkeypatch.setattr(search_module, "_PIECE", 8)
    half, go = threading.Event(), threading.Event()

    class Slow(CandidateIndex):
        def put(self, matrix, rows):
            super().put(matrix, rows)
            if rows[0] == 16:  # the builder holds the lock: the test goes on when it has let go of it
                half.set()

    class Waiting:
        """The lock of a search, which the builder gets only while it may go on."""

        def __init__(self, lock):
            self.lock = lock

        def __enter__(self):
            if half.is_set() and threading.current_thread().name == "gallery-index":
                assert go.wait(10)
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()

    monkeypatch.setattr(search_module, "CandidateIndex", Slow)
    monkeypatch.setattr(search_module, "threading", SimpleNamespace(Lock=lambda: Waiting(threading.Lock())))
    finder = GallerySearch(store, index_from=10)
    assert half.wait(10)
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


def people_of(count, seed=0):
    """``count`` people of three views each in a space of 12 dimensions, six parts of 32 values, some parts hidden."""
    rng = np.random.default_rng(seed)
    maps = np.random.default_rng(77).standard_normal((6, 12, 32)) / 4
    points = np.repeat(np.random.default_rng(78).standard_normal((count, 12)), 3, 0)
    parts = np.einsum("nz,kzd->nkd", points + 0.2 * rng.standard_normal(points.shape), maps)
    parts += 0.1 * rng.standard_normal(parts.shape)
    visibility = np.clip(1.4 * rng.random((3 * count, 6)) - 0.2, 0, 1).astype(np.float32)
    return PartFeatures((parts / np.linalg.norm(parts, axis=2, keepdims=True)).astype(np.float32), visibility)


def test_the_index_names_those_who_look_most_alike_and_follows_its_rows(monkeypatch):
    monkeypatch.setattr(search_module, "_CANDIDATES", 60)
    stored, query = people_of(500), people_of(500, seed=1)
    matrix = PrototypeMatrix((6, 32))
    matrix.add(np.arange(1, 1501), np.repeat(np.arange(1, 501), 3), stored)
    index = CandidateIndex(matrix.packed(np.arange(0, 1500, 2)))
    index.put(matrix, np.arange(1000))
    index.put(matrix, np.arange(1000, 1500))
    shares = []
    for number in range(0, 1500, 30):
        one = query[number : number + 1]
        expected = brute_force(one, stored, matrix.global_ids, 5, least=0.1)[0]
        rows = index.search(matrix, PackedParts(one), 60, least=0.1)
        assert len(rows) == 60
        shares.append(len(set(matrix.global_ids[rows].tolist()) & set(expected)) / 5)
    assert np.mean(shares) > 0.97
    gone = matrix.rows_of([10])
    matrix.keep_only(np.array([10]), np.array([0]))
    index.put(matrix, gone)
    assert not index._rows[gone].any()
    assert not set(gone.tolist()) & set(index.search(matrix, PackedParts(query[27:28]), 60, least=0.1).tolist())


def test_searches_with_and_without_the_index_agree(store, make, monkeypatch):
    monkeypatch.setattr(search_module, "FEW", 0)
    monkeypatch.setattr(matrix_module, "FEW", 0)
    exact, near = GallerySearch(store, Calibration(12, -6)), GallerySearch(store, Calibration(12, -6), index_from=10)
    assert near.wait_for_index()
    for who in (1, 17, 40):
        looks = PartFeatures.concatenate([make.look(who, seed=999), make.look(who, seed=998)])
        assert near.search(looks, 4) == exact.search(looks, 4) == near.search(looks, 4, exact=True)


def test_a_small_gallery_is_searched_by_a_copy_that_follows_its_rows(store, make, monkeypatch):
    """Up to a number of rows they are kept in float32 as well; what is found is the same as without the copy."""
    small = GallerySearch(store, Calibration(12, -6))
    looks = PartFeatures.concatenate([make.look(17, seed=999), make.look(17, seed=998)])
    assert small.search(looks, 4)[0].global_id == 17
    copied = small.nbytes
    store.write(make.batch(*range(100, 140), first_track=1000))
    store.forget([17])
    small.refresh()
    assert small.search(make.look(120), 1)[0].global_id == 120
    assert small.nbytes > copied  # the copy is counted and has grown
    monkeypatch.setattr(search_module, "FEW", 0)
    monkeypatch.setattr(matrix_module, "FEW", 0)
    plain = GallerySearch(store, Calibration(12, -6))
    for one in (looks, looks[:1], make.look(17), make.look(3)):
        for a, b in zip(small.search(one, 6), plain.search(one, 6), strict=True):
            assert a.global_id == b.global_id != 17
            assert a.similarity == pytest.approx(b.similarity, abs=2e-5)


def test_the_index_is_learnt_anew_where_the_gallery_has_outgrown_it(store, make, monkeypatch):
    finder = GallerySearch(store, index_from=10)
    assert finder.wait_for_index()
    first = finder._index
    for start in range(0, 240, 40):
        store.write(make.batch(*range(100 + start, 140 + start), first_track=1000 + start))
    finder.refresh()
    assert finder.wait_for_index()
    assert finder._index is not first
    assert finder.search(make.look(205), 1)[0].global_id == 205


@pytest.mark.parametrize("top", [1, 3, 10])
def test_the_best_people_are_those_of_a_whole_sort(top):
    """Sorting only the greatest similarities gives the same people in the same order, equal ones included."""
    rng = np.random.default_rng(top)
    for count, levels in ((5, 3), (200, 4), (400, 1000)):
        similarity = np.round(rng.random((2, count)) * levels).astype(np.float32) / levels
        similarity[:, rng.random(count) < 0.2] = -np.inf
        people, views = rng.integers(0, max(count // 6, 2), count), rng.permutation(count) + 1
        seen = search_module._Compared(similarity, np.ones_like(similarity), people, views)
        order = sorted(range(count), key=lambda r: (-similarity[:, r].max(), views[r]))
        usable = [r for r in order if similarity[:, r].max() > -np.inf and people[r] not in (0, 1)]
        wanted = list(dict.fromkeys(people[usable].tolist()))
        assert search_module._best_people(seen, top, {1}) == wanted[:top]
