"""Comparing tracks view by view, only as far as both were seen."""

import numpy as np
import pytest

from streamreid.association.link_model import Sides, explain, link_log_odds, link_terms
from streamreid.association.similarity_cache import SimilarityCache
from streamreid.association.track_evidence import Evidence, Presence, descriptors
from streamreid.association.track_similarity import compare, stack
from streamreid.config import LinkConfig
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.features.similarity import part_similarity
from streamreid.types import PartFeatures


def unit(*axes, dim=8):
    v = np.zeros(dim, np.float32)
    v[list(axes)] = 1
    return v / np.linalg.norm(v)


def track(*looks, slots=3):
    """looks: (parts [K, D], visibility [K]) seen ten times each."""
    made = Evidence([Presence("a", 0.0, 0.0)], PrototypeSums(slots))
    for parts, visibility in looks:
        for i in range(10):
            made.observe(float(i), np.asarray(parts, np.float32), np.asarray(visibility, np.float32))
    return made


def random_tracks(rng, n, parts=4, dim=16, slots=1):
    made = []
    for _ in range(n):
        mean = rng.normal(size=(parts, dim))
        looks = []
        for _ in range(3):
            p = mean + rng.normal(size=mean.shape)
            looks.append(
                (
                    p / np.linalg.norm(p, axis=1, keepdims=True),
                    rng.uniform(0, 1, parts) * (rng.uniform(size=parts) > 0.3),
                )
            )
        made.append(track(*looks, slots=slots))
    return made


def test_with_one_view_per_part_it_is_the_part_similarity():
    items = random_tracks(np.random.default_rng(0), 12)
    found = compare(stack(items), stack(items))
    features = descriptors(items)
    similarity, common = part_similarity(features, features)
    assert found.similarity == pytest.approx(similarity, abs=1e-5)
    assert found.common == pytest.approx(common, abs=1e-5)


def test_front_and_back_stay_two_views():
    both = track(([unit(0)], [1.0]), ([unit(1)], [1.0]))
    assert both.prototypes.mass.shape == (2, 1)
    front = track(([unit(0)], [1.0]))
    blurred = track(([unit(0)], [1.0]), ([unit(1)], [1.0]), slots=1)
    assert compare(stack([front]), stack([both])).similarity[0, 0] == pytest.approx(
        0.75
    )  # all of the front, and half of both
    assert compare(stack([front]), stack([blurred])).similarity[0, 0] == pytest.approx(0.7071, abs=1e-3)


def test_a_part_that_was_never_seen_says_nothing():
    a = track(([unit(0), unit(1)], [1.0, 1.0]))
    b = track(([unit(0), unit(7)], [1.0, 0.0]))
    found = compare(stack([a]), stack([b]))
    assert found.similarity[0, 0] == pytest.approx(1.0)
    assert found.common[0, 0] == pytest.approx(0.5)
    assert compare(stack([a]), stack([b]), "off").similarity[0, 0] == pytest.approx(np.sqrt(0.5), abs=1e-4)


def test_graded_trusts_the_whole_person_only_as_far_as_the_same_parts_made_it_up():
    upper = track(([unit(0), unit(1), unit(2)], [1.0, 1.0, 0.1]))
    lower = track(([unit(5), unit(1), unit(2)], [1.0, 0.1, 1.0]))
    plain, graded = (compare(stack([upper]), stack([lower]), how).similarity[0, 0] for how in ("parts", "graded"))
    assert graded > plain + 0.2


def test_of_whom_nothing_was_seen_nothing_is_known():
    nobody = Evidence([Presence("a", 0.0, 1.0)])
    found = compare(stack([nobody, track(([unit(0)], [1.0]))]), stack([nobody]))
    assert (found.common == 0).all()
    assert (found.similarity == 0).all()


def test_sums_can_be_added_in_any_order():
    rng = np.random.default_rng(1)
    one, two = random_tracks(rng, 2, slots=3)
    total = Evidence([], PrototypeSums(3))
    total.absorb(one)
    total.absorb(two)
    assert total.observations == one.observations + two.observations
    assert total.prototypes.mass.sum(0) == pytest.approx(
        one.prototypes.mass.sum(0) + two.prototypes.mass.sum(0), rel=1e-4
    )
    assert total.prototypes.square == pytest.approx(one.prototypes.square + two.prototypes.square, rel=1e-3)


def test_packed_takes_half_and_says_the_same():
    rng = np.random.default_rng(5)
    loose, packed = (random_tracks(np.random.default_rng(6), 12, parts=6, dim=256, slots=3) for _ in range(2))
    before = sum(item.prototypes.vectors.nbytes for item in packed)
    for item in packed:
        item.prototypes.pack()
    assert sum(item.prototypes.vectors.nbytes for item in packed) == before // 2
    query = stack(random_tracks(rng, 5, parts=6, dim=256))
    mixed = stack([*packed[:6], *loose[6:]])
    expected, found = compare(query, stack(loose)), compare(query, mixed)
    assert found.similarity == pytest.approx(expected.similarity, abs=2e-5)
    assert found.common == pytest.approx(expected.common, abs=1e-6)
    assert descriptors(packed).parts == pytest.approx(descriptors(loose).parts, abs=1e-4)


def test_what_is_packed_goes_on_learning():
    first, second = random_tracks(np.random.default_rng(7), 2, parts=6, dim=256, slots=3)
    plain, packed = Evidence([], PrototypeSums(3)), Evidence([], PrototypeSums(3))
    packed.prototypes.pack()  # nothing is known yet
    for item in (first, second, first):
        plain.absorb(item)
        packed.absorb(item)
        packed.prototypes.pack()
        packed.prototypes.pack()
    assert packed.prototypes.total == pytest.approx(plain.prototypes.total, rel=1e-3, abs=1e-3)
    assert packed.prototypes.mass == pytest.approx(plain.prototypes.mass)
    assert packed.remember(1, "a", 0.0, 1.0).prototypes.parts == pytest.approx(
        plain.remember(1, "a", 0.0, 1.0).prototypes.parts, abs=1e-4
    )
    packed.observe(1.0, first.prototypes.total[0], np.ones(6, np.float32))
    assert packed.prototypes.length is None


def test_the_table_of_pairs_is_what_comparing_all_anew_would_give():
    rng = np.random.default_rng(2)
    items = random_tracks(rng, 30, slots=3)
    table, tracks = SimilarityCache(), {}
    for i, item in enumerate(items):
        tracks["a", i] = item
        if i % 7 == 6:
            tracks.pop(("a", i - 5))
        table.refresh(tracks)
    tracks["a", 0].absorb(items[3])
    assert table.refresh(tracks) == [("a", 0)]
    assert table.refresh(tracks) == []
    keys = sorted(tracks)
    views = stack([tracks[k] for k in keys])
    found = compare(views, views)
    similarity, common = table.select(keys)
    assert similarity == pytest.approx(found.similarity, abs=1e-5)
    assert common == pytest.approx(found.common, abs=1e-5)
    assert len(table) == len(keys)


def test_log_odds_are_the_sum_of_their_reasons():
    items = random_tracks(np.random.default_rng(3), 4, slots=3)
    found = compare(stack(items), stack(items))
    sides = Sides(np.full(4, 6, np.float32), np.full(4, 0.8, np.float32))
    gap, other = np.full((4, 4), 3.0, np.float32), np.ones((4, 4), np.float32)
    place = np.full((4, 4), -1.5, np.float32)
    terms = link_terms(found, 10 * found.similarity - 5, sides, sides, gap=gap, other=other, place=place)
    model = LinkConfig(
        intercept=-1.0,
        looks=0.5,
        looks_common=0.3,
        looks_crops=0.2,
        common=1.0,
        crops=0.4,
        quality=0.1,
        gap=-0.2,
        other_camera=0.7,
    )
    total = link_log_odds(model, terms)
    reasons = explain(model, {name: term[1, [2]] for name, term in terms.items()})
    assert sum(reasons.values()) == pytest.approx(float(total[1, 2]) + model.exclusion, abs=1e-4)
    assert reasons["place"] == pytest.approx(-1.5)
    assert reasons["gap"] == pytest.approx(-0.2 * np.log(4.0), abs=1e-4)


def test_remembered_people_look_as_they_did():
    item = random_tracks(np.random.default_rng(4), 1, slots=3)[0]
    known = item.remember(5, {"a"}, 0.0, 9.0)
    again = Evidence.remembered(known)
    before, after = descriptors([item]), descriptors([again])
    assert known.prototypes.parts.shape[0] == len(item.prototypes.mass)
    assert compare(stack([item]), stack([again])).similarity[0, 0] > 0.95
    seen = before.visibility[0] > 0.2
    assert (np.sum(before.parts[0] * after.parts[0], 1)[seen] > 0.9).all()
    assert isinstance(known.prototypes, PartFeatures)
