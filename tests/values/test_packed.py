"""Packed people: the same numbers as the unpacked ones, however they were added, replaced, removed and picked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.errors import EngineMismatchError
from streamreid.features import packed as packed_module
from streamreid.features.similarity import PackedParts, part_similarity
from streamreid.types import PartFeatures


def people(rng: np.random.Generator, n: int, k: int = 3, d: int = 8) -> PartFeatures:
    parts = rng.normal(size=(n, k, d)).astype(np.float32)
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    return PartFeatures(parts, (rng.random((n, k)) * (rng.random((n, k)) > 0.3)).astype(np.float32))


def by_parts(a: PartFeatures, b: PartFeatures) -> tuple[np.ndarray, np.ndarray]:
    """The formula as it stands, in float64."""
    weights = np.sqrt(a.visibility.astype(float)[:, None] * b.visibility.astype(float)[None])
    dots = np.einsum("nkd,mkd->nmk", a.parts.astype(float), b.parts.astype(float))
    total = weights.sum(2)
    return np.divide((weights * dots).sum(2), total, out=np.zeros_like(total), where=total > 1e-6), total / a.shape[0]


@given(st.integers(0, 70), st.integers(0, 70), st.integers(1, 4), st.integers(0, 999))
def test_many_small_blocks_equal_the_formula(n: int, m: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = people(rng, n, k), people(rng, m, k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_module, "_BLOCK", 1)
        patch.setattr(packed_module, "_NARROWEST", 5)
        for left, right in ((a, b), (PackedParts(a), b), (a, PackedParts(b))):
            similarity, common = part_similarity(left, right)
            expected, share = by_parts(a, b)
            np.testing.assert_allclose(similarity, expected, atol=1e-5)
            np.testing.assert_allclose(common, share, atol=1e-5)
        np.testing.assert_array_equal(PackedParts(a).similarity(PackedParts(b)), similarity)


def test_results_of_two_blocks_do_not_share_memory() -> None:
    rng = np.random.default_rng(3)
    a, b = PackedParts(people(rng, 300)), PackedParts(people(rng, 9000))
    first, share = a.compare(b)
    kept, shared = first.copy(), share.copy()
    a.compare(PackedParts(people(rng, 9000)))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(share, shared)
    expected, _ = by_parts(a.features()[:20], b.features()[4000:4100])
    np.testing.assert_allclose(first[:20, 4000:4100], expected, atol=1e-5)


def test_rows_come_and_go() -> None:
    rng = np.random.default_rng(0)
    all_people, probe = people(rng, 40), people(rng, 4)
    packed = PackedParts(all_people[:0], capacity=3)
    for start in range(0, 40, 7):
        packed.append(all_people[start : start + 7])
    order = np.arange(40)
    packed.replace(np.array([3, 39]), all_people[[5, 6]])
    order[[3, 39]] = [5, 6]
    packed.remove(np.array([0, 17]))
    order = np.delete(order, [0, 17])
    assert len(packed) == 38
    assert repr(packed) == "PackedParts(n=38, parts=3, dim=8)"
    np.testing.assert_allclose(
        part_similarity(probe, packed)[0], part_similarity(probe, all_people[order])[0], atol=1e-6
    )
    picked = packed[np.array([4, 2])]
    np.testing.assert_allclose(
        part_similarity(probe, picked)[0], part_similarity(probe, all_people[order[[4, 2]]])[0], atol=1e-6
    )


def test_a_slice_that_grows_leaves_the_whole_alone() -> None:
    rng = np.random.default_rng(0)
    packed = PackedParts(people(rng, 6))
    before = packed.features().parts.copy()
    part = packed[:2]
    part.append(people(rng, 3))
    assert (len(part), len(packed)) == (5, 6)
    np.testing.assert_array_equal(packed.features().parts, before)


def test_features_come_back() -> None:
    found = people(np.random.default_rng(1), 20)
    back = PackedParts(found).features()
    np.testing.assert_allclose(back.visibility, found.visibility, atol=1e-6)
    np.testing.assert_allclose(back.parts, found.parts * (found.visibility > 0)[..., None], atol=1e-6)


@given(
    st.integers(0, 12),
    st.integers(0, 60),
    st.integers(0, 9),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([7, 64]),
    st.integers(0, 99),
)
def test_the_best_are_those_of_the_whole_matrix(
    n: int, m: int, count: int, least: float, narrowest: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = PackedParts(people(rng, n)), PackedParts(people(rng, m))
    similarity, common = a.compare(b)
    allowed = np.where(common > max(least - 1e-6, 1e-6), similarity, -np.inf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_module, "_BLOCK", 1)
        patch.setattr(packed_module, "_NARROWEST", narrowest)
        rows, values = a.best(b, count, least_common=least)
    assert rows.shape == values.shape == (n, min(count, m))
    expected = -np.sort(-allowed, axis=1)[:, :count]
    np.testing.assert_allclose(values, np.where(np.isinf(expected), -1.0, expected), atol=1e-6)
    for i, found in enumerate(rows):
        real = found[found >= 0]
        assert len(set(real.tolist())) == len(real) == np.isfinite(expected[i]).sum()
        np.testing.assert_allclose(allowed[i, real], values[i, : len(real)], atol=1e-6)


def test_wrong_rows_and_other_engines_are_refused() -> None:
    rng = np.random.default_rng(0)
    packed = PackedParts(people(rng, 4))
    for wrong in (lambda: packed.append(people(rng, 1, k=2)), lambda: packed.compare(PackedParts(people(rng, 1, d=9)))):
        with pytest.raises(EngineMismatchError, match="different engines"):
            wrong()
    for rows in ([4], [-1], [0, 1]):
        with pytest.raises(IndexError):
            packed.replace(np.array(rows), people(rng, 1))
    for row in (7, -1):
        with pytest.raises(IndexError, match="no row"):
            packed.remove(np.array([row]))
    assert len(packed) == 4
