"""Losses against numbers worked by hand and against independent loops."""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.training import losses  # noqa: E402


def test_identity_loss_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0]])
    total = math.exp(2) + 2
    expected = -(0.9 + 0.1 / 3) * math.log(math.exp(2) / total) - 2 * (0.1 / 3) * math.log(1 / total)
    assert float(losses.identity_loss(logits, torch.tensor([0]), 0.1)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("visible_a", "visible_b", "expected"),
    [((1, 1, 0), (1, 0, 1), 0.4), ((0.9, 0.5, 0.1), (0.8, 0.2, 0.6), 0.586721), ((1, 0, 0), (0, 1, 0), -1.0)],
)
def test_combined_distance_reference_vectors(
    visible_a: tuple[float, ...], visible_b: tuple[float, ...], expected: float
) -> None:
    distances = torch.tensor([0.4, 1.0, 0.7])[:, None, None].expand(3, 2, 2)
    combined = losses.combined_distance(distances, torch.tensor([visible_a, visible_b], dtype=torch.float32))
    assert float(combined[0, 1]) == pytest.approx(expected, abs=1e-5)


def test_head_mode_counts_the_first_part_more() -> None:
    distances = torch.tensor([0.2, 1.0, 0.6])[:, None, None].expand(3, 2, 2)
    combined = losses.combined_distance(distances, torch.ones(2, 3), "head")
    assert float(combined[0, 1]) == pytest.approx((0.2 + 1.5 * 1.0 + 0.6) / 3.5, abs=1e-6)


def test_part_distances_have_finite_gradients_on_the_diagonal() -> None:
    x = torch.randn(4, 2, 3, requires_grad=True)
    found = losses.part_distances(x)
    expected = torch.cdist(x.transpose(0, 1), x.transpose(0, 1))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    found.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("margin", [0.3, 0.0])
def test_triplet_loss_against_loops(margin: float) -> None:
    rng = np.random.default_rng(3)
    points, ids = rng.normal(size=(8, 4)), np.array([0, 0, 1, 1, 2, 2, 2, 3])
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    terms = []
    for a in range(8):
        positives = [distance[a, p] for p in range(8) if p != a and ids[p] == ids[a]]
        negatives = [distance[a, n] for n in range(8) if ids[n] != ids[a]]
        if positives:
            gap = max(positives) - min(negatives)
            terms.append(max(0.0, gap + margin) if margin > 0 else math.log1p(math.exp(gap)))
    found = losses.triplet_loss(torch.from_numpy(distance), torch.from_numpy(ids), margin)
    assert float(found) == pytest.approx(np.mean(terms), abs=1e-6)


def test_triplet_loss_leaves_out_pairs_with_nothing_in_common() -> None:
    distance = torch.tensor([[0.0, -1.0, 0.5], [-1.0, 0.0, 0.1], [0.5, 0.1, 0.0]])
    assert float(losses.triplet_loss(distance, torch.tensor([0, 0, 1]))) == 0.0


def test_part_triplet_separates_individual_from_averaged() -> None:
    # Two people with the same trousers (slot 1) and different faces (slot 0): averaged, they are far enough apart;
    # individually, the trousers cost.
    face, legs = torch.tensor([[0.0], [0.0], [3.0], [3.0]]), torch.zeros(4, 1)
    embeddings, ids = torch.stack([face, legs], 1), torch.tensor([0, 0, 1, 1])
    averaged = losses.part_triplet_loss(embeddings, torch.ones(4, 2), ids)
    individual = losses.part_triplet_loss(embeddings, torch.ones(4, 2), ids, mode="individual")
    assert float(averaged) == 0.0
    assert float(individual) == pytest.approx(0.15, abs=1e-5)


def test_pixel_loss_against_loops() -> None:
    rng = np.random.default_rng(1)
    logits, target = rng.normal(size=(2, 3, 2, 2)), rng.dirichlet(np.ones(3), (2, 2, 2)).transpose(0, 3, 1, 2)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    total = 0.0
    for c, y, x in itertools.product(range(3), range(2), range(2)):
        total -= (0.9 * target[1, c, y, x] + 0.1 / 3) * log_p[1, c, y, x]
    usable = torch.tensor([False, True])
    found = losses.pixel_loss(torch.from_numpy(logits), torch.from_numpy(target), usable)
    assert float(found) == pytest.approx(total / 4, abs=1e-5)
    assert (
        float(losses.pixel_loss(torch.from_numpy(logits), torch.from_numpy(target), torch.tensor([False, False])))
        == 0.0
    )


def test_mask_loss_teaches_only_the_occluded_side_where_the_person_shows() -> None:
    whole = torch.zeros(1, 2, 1, 2, requires_grad=True)
    occluded = torch.tensor([[[[1.0, 5.0]], [[3.0, 7.0]]]], requires_grad=True)
    loss = losses.mask_loss(whole, occluded, torch.tensor([[[[1.0, 0.0]]]]))
    assert float(loss) == pytest.approx((1 + 9) / 4)
    loss.backward()
    assert whole.grad is None
    assert float(occluded.grad[0, 0, 0, 1]) == 0.0


def test_agreement_loss_by_hand() -> None:
    whole = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    occluded = torch.tensor([[[0.0, 2.0], [0.0, 3.0]]])
    assert float(losses.agreement_loss(whole, occluded, torch.tensor([[1.0, 1.0]]))) == pytest.approx(0.5, abs=1e-6)
    assert float(losses.agreement_loss(whole, occluded, torch.tensor([[0.0, 1.0]]))) == pytest.approx(0.0, abs=1e-6)
