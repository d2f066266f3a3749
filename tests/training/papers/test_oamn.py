"""OAMN's modules: parameter counts of the reference, and losses worked by hand."""

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.training.papers.oamn.losses import (  # noqa: E402
    grade_targets,
    grader_loss,
    grouped_triplet_loss,
    halves_loss,
)
from streamreid.training.papers.oamn.modules import MapGrader, MaskModule, OcclusionGrader  # noqa: E402


def count(module: "torch.nn.Module") -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_are_those_of_the_reference() -> None:
    assert count(MaskModule(1024, 16, 8)) == 398_154
    assert count(OcclusionGrader(1024)) == 6_148
    assert count(MapGrader((16, 8))) == 772


def test_a_grader_of_maps_learns_sides_that_averages_do_not_tell() -> None:
    torch.manual_seed(0)
    sides = torch.arange(64) % 5 - 1  # nothing, left, right, bottom, top
    mask = torch.ones(64, 1, 4, 4)
    for i, side in enumerate(sides.tolist()):
        if side >= 0:
            mask[i, 0][
                (slice(None), slice(0, 2))
                if side == 0
                else (slice(None), slice(2, 4))
                if side == 1
                else slice(2, 4)
                if side == 2
                else slice(0, 2)
            ] = 0
    features = torch.ones(64, 8, 4, 4)
    right = {}
    for name, grader in (("map", MapGrader((4, 4))), ("features", OcclusionGrader(8))):
        optimizer = torch.optim.Adam(grader.parameters(), lr=0.05)
        for _ in range(60):
            loss = grader_loss(grader(features, mask), sides, torch.full((64,), 0.5))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scores = grader.eval()(features, mask)
        right[name] = float((scores.argmax(1) == sides)[sides >= 0].float().mean())
    assert right["map"] == 1
    assert right["features"] < 0.5
    assert mask.grad is None


def test_mask_module_trains_itself_but_not_the_features() -> None:
    features = torch.randn(2, 32, 4, 2, requires_grad=True)
    module = MaskModule(32, 4, 2)
    mask = module(features)
    assert mask.shape == (2, 1, 4, 2)
    assert ((mask > 0) & (mask < 1)).all()
    mask.sum().backward()
    assert features.grad is None
    assert all(p.grad is not None for p in module.parameters())


def test_relations_are_rows_and_columns() -> None:
    module = MaskModule(16, 2, 2, reduction=2).eval()
    x = torch.randn(1, 16, 2, 2)
    seen = {}
    module.relations.register_forward_pre_hook(lambda _m, a: seen.update(stack=a[0]))
    with torch.no_grad():
        module(x)
        theta, phi = (f(x).flatten(2)[0] for f in (module.theta, module.phi))
    relation = torch.tensor([[float(theta[:, i] @ phi[:, j]) for j in range(4)] for i in range(4)])
    for i in range(4):
        torch.testing.assert_close(seen["stack"][0, :, i // 2, i % 2], torch.cat([relation[i], relation[:, i]]))


def test_grader_targets_and_loss_by_hand() -> None:
    sides, shares = torch.tensor([-1, 0, 3]), torch.tensor([0.0, 0.5, 0.25])
    assert grade_targets(sides, shares).tolist() == [0.25, 1.0, 0.5]
    scores = torch.tensor([[0.4, 0.2, 0.2, 0.2], [0.7, 0.1, 0.1, 0.1], [0.5, 0.1, 0.1, 0.3]])
    assert float(grader_loss(scores, sides, shares)) == pytest.approx((0.15**2 + 0.3**2 + 0.2**2) / 3, abs=1e-6)


def test_halves_add_up() -> None:
    whole = torch.ones(2, 1, 1, 2)
    left, right = torch.tensor([1.0, 0.0]).expand(2, 1, 1, 2), torch.tensor([0.0, 1.0]).expand(2, 1, 1, 2)
    masked = torch.stack([left, right, whole * 0.5, whole * 0.5])
    assert float(halves_loss(masked, whole, torch.tensor([True, True]))) == 0.0
    assert float(halves_loss(masked * 0, whole, torch.tensor([True, False]))) == pytest.approx(1.0)


def test_grouped_triplets_are_mined_within_groups() -> None:
    # Inside each group the two people are 2 apart and their pictures 0 apart; across groups they would clash.
    a, b = torch.tensor([[0.0], [0.0], [2.0], [2.0]]), torch.tensor([[2.0], [2.0], [0.0], [0.0]])
    ids = torch.tensor([0, 0, 1, 1]).repeat(2)
    assert float(grouped_triplet_loss(torch.cat([a, b]), ids, 2)) == 0.0
    assert float(grouped_triplet_loss(torch.cat([a, b]), ids, 1)) == pytest.approx(2.5)
