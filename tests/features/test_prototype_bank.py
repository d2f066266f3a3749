"""Templates learn only what was visible."""

import numpy as np
import pytest

from streamreid.errors import EngineMismatchError
from streamreid.features.prototype_bank import PrototypeBank
from streamreid.features.similarity import part_similarity, similarity_of_pairs
from streamreid.types import PartFeatures


def unit(*rows):
    a = np.array(rows, np.float32)
    return a / np.linalg.norm(a, axis=-1, keepdims=True)


def person(parts, visibility):
    return PartFeatures(unit(*parts)[None], np.array([visibility], np.float32))


def test_a_hidden_part_is_not_learnt():
    bank = PrototypeBank()
    bank.add(person([[1, 0], [1, 0]], [1, 1]), np.ones(1, np.float32))
    for _ in range(20):
        bank.update(np.array([0]), person([[1, 0], [0, 1]], [1, 0]), np.ones(1, np.float32))
    assert bank.features.parts[0, 1] == pytest.approx([1, 0])


def test_a_part_never_seen_says_nothing_until_it_is_seen():
    bank = PrototypeBank()
    bank.add(person([[1, 0], [1, 0]], [1, 0]), np.ones(1, np.float32))
    other = person([[1, 0], [0, 1]], [1, 1])
    similarity, _ = bank.similarity(np.array([0]), other)
    assert similarity[0, 0] == pytest.approx(1.0)
    bank.update(np.array([0]), other, np.ones(1, np.float32))
    assert bank.features.parts[0, 1] == pytest.approx([0, 1])


def test_young_templates_are_averages():
    bank = PrototypeBank(rate=0.1, mass=10.0, prototypes=1)
    vectors = [[1, 0], [0.6, 0.8], [0, 1]]
    bank.add(person([vectors[0]], [1]), np.ones(1, np.float32))
    for v in vectors[1:]:
        bank.update(np.array([0]), person([v], [1]), np.ones(1, np.float32))
    # Running means of unit vectors, renormalised at each step: ((1,0)+(.6,.8))/|.| then (2 m + (0,1))/|.|
    m = np.array([1.6, 0.8]) / np.hypot(1.6, 0.8)
    m = (2 * m + [0, 1]) / np.linalg.norm(2 * m + [0, 1])
    assert bank.features.parts[0, 0] == pytest.approx(m, abs=1e-5)


def test_quality_zero_changes_nothing():
    bank = PrototypeBank()
    bank.add(person([[1, 0]], [1]), np.ones(1, np.float32))
    bank.update(np.array([0]), person([[0, 1]], [1]), np.zeros(1, np.float32))
    assert bank.features.parts[0, 0] == pytest.approx([1, 0])


def test_two_views_stay_two_prototypes_and_both_are_known_again():
    front, side, stranger = [1, 0, 0], [0.3, 0.954, 0], [0, 0, 1]
    bank = PrototypeBank(join=0.65, prototypes=3)
    one = PrototypeBank(join=0.65, prototypes=1)
    for b in (bank, one):
        b.add(person([front], [1]), np.ones(1, np.float32))
        for v in [front, side] * 10:
            b.update(np.array([0]), person([v], [1]), np.ones(1, np.float32))
    for view in (front, side):
        assert bank.similarity(np.array([0]), person([view], [1]))[0][0, 0] == pytest.approx(1.0, abs=1e-3)
        assert one.similarity(np.array([0]), person([view], [1]))[0][0, 0] < 0.9
    assert bank.similarity(np.array([0]), person([stranger], [1]))[0][0, 0] == pytest.approx(0.0, abs=1e-5)


def test_a_track_that_absorbs_another_knows_the_looks_of_both():
    front, side, stranger = [1, 0, 0], [0.3, 0.954, 0], [0, 0, 1]
    bank, one = PrototypeBank(join=0.65, prototypes=3), np.ones(1, np.float32)
    for look in (front, side, stranger):
        bank.add(person([look], [1]), one)
        for _ in range(5):
            bank.update(np.array([len(bank) - 1]), person([look], [1]), one)
    bank.absorb(np.array([1]), np.array([0]))
    asked = PartFeatures(unit(front, side, stranger)[:, None], np.ones((3, 1), np.float32))
    between = asked.parts[0, 0] @ asked.parts[1, 0]
    known = [[1, between, 0], [1, 1, 0], [0, 0, 1]]
    assert bank.similarity(slice(None), asked)[0] == pytest.approx(np.array(known), abs=1e-5)


def test_a_half_hidden_view_begins_no_prototype():
    bank = PrototypeBank(join=0.65)
    bank.add(person([[1, 0]], [1]), np.ones(1, np.float32))
    bank.update(np.array([0]), person([[0, 1]], [1]), np.full(1, 0.4, np.float32))
    assert bank.similarity(np.array([0]), person([[0, 1]], [1]))[0][0, 0] < 0.7


def test_features_of_another_engine_are_refused():
    bank = PrototypeBank()
    bank.add(person([[1, 0]], [1]), np.ones(1, np.float32))
    with pytest.raises(EngineMismatchError, match="1 parts of 2 values"):
        bank.similarity(np.array([0]), person([[1, 0, 0]], [1]))


def test_tracks_begun_without_looks_learn_them_later():
    bank = PrototypeBank()
    bank.add(PartFeatures.unseen(2), np.ones(2, np.float32))
    bank.update(np.array([1]), person([[0, 1]], [1]), np.ones(1, np.float32))
    similarity, common = bank.similarity(np.array([0, 1]), person([[0, 1]], [1]))
    assert common[0, 0] == 0
    assert similarity[1, 0] == pytest.approx(1.0)


@pytest.mark.parametrize("prototypes", [1, 3])
def test_pairs_are_as_alike_as_among_all(prototypes):
    rng = np.random.default_rng(2)
    bank = PrototypeBank(prototypes=prototypes, join=0.5)

    def drawn(count):
        parts = rng.normal(size=(count, 4, 16)).astype(np.float32)
        parts /= np.linalg.norm(parts, axis=2, keepdims=True)
        return PartFeatures(parts, (rng.random((count, 4)) * (rng.random((count, 4)) > 0.3)).astype(np.float32))

    bank.add(drawn(5), np.ones(5, np.float32))
    for _ in range(4):
        bank.update(np.arange(4), drawn(4), np.full(4, 0.9, np.float32))
    bank.keep(np.array([True, False, True, True, True]))
    people = drawn(6)
    rows, others = np.repeat(np.arange(4), 6), np.tile(np.arange(6), 4)
    similarity, common = bank.similarity(slice(None), people)
    found = bank.similarity_of_pairs(rows, people, others)
    assert found[0] == pytest.approx(similarity.reshape(-1), abs=1e-5)
    assert found[1] == pytest.approx(common.reshape(-1), abs=1e-6)
    assert bank.similarity_of_pairs(rows[:0], people, others[:0])[0].shape == (0,)
    one, two = np.array([0, 3, 5]), np.array([1, 1, 5])
    dense = part_similarity(people, people)
    for pair, all_of_them in zip(similarity_of_pairs(people, one, two), dense, strict=True):
        assert pair == pytest.approx(all_of_them[one, two], abs=1e-5)
