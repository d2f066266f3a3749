"""The focuser's layers against numbers of the reference and by hand."""

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.training.heads import PooledHead  # noqa: E402
from streamreid.training.papers.focuser import FeatureFocuser, FocuserBlock  # noqa: E402


def parameters(module: "torch.nn.Module") -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_of_the_reference() -> None:
    # AMD-Net's block holds one more convolution n -> 1 without bias that it never uses.
    assert [parameters(FocuserBlock(n)) + n for n in (6, 9)] == [1_449, 3_198]
    assert parameters(FocuserBlock(512)) == pytest.approx(9.97e6, rel=1e-3)


@torch.no_grad()
def test_the_block_by_hand() -> None:
    block = FocuserBlock(1).eval()
    for layers in (block.first, block.second):
        for layer in (layers[0], layers[3]):
            layer.weight.zero_()
            layer.weight[0, 0, 1, 1] = (
                2.0  # every branch multiplies by 4 (normalisation does nothing yet, up to its epsilon)
            )
    block.gate[1].weight.zero_()
    block.gate[1].bias.fill_(1.0)
    block.gate[3].weight.fill_(0.5)
    block.gate[3].bias.zero_()
    block.mix.weight.fill_(0.1)
    u0 = torch.tensor([[[[1.0, -1.0]]]])
    # d0 = 4 (-1 gives relu(-2) = 0 inside); u1 = 1 + 4 = 5 and relu(-1 + 0) = 0; u2 = 20 and 0; gate = sigmoid(0.5 *
    # 1).
    gate = 1 / (1 + 2.718281828**-0.5)
    expected = [3 * 4 + 20 + 0.1 * 20 * (1 + gate), 0.0]
    assert block(u0)[0, 0, 0].tolist() == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_focused_features_start_as_the_features() -> None:
    features = torch.randn(2, 12, 4, 2)
    torch.testing.assert_close(FeatureFocuser(12, 8, restore=True).eval()(features), features)
    reduced = FeatureFocuser(12, 8).eval()
    torch.testing.assert_close(reduced(features), reduced.reduce(features))
    reduced.scale.fill_(0.5)
    torch.testing.assert_close(
        reduced(features), reduced.reduce(features) + 0.5 * reduced.block(reduced.reduce(features))
    )


@torch.no_grad()
def test_only_parts_are_pooled_from_focused_features() -> None:
    head = PooledHead(3, 4, part_channels=2).eval()
    features, attention = torch.rand(1, 3, 2, 2), torch.softmax(torch.rand(1, 3, 2, 2), 1)
    some, other = (head(features, attention, torch.rand(1, 2, 2, 2)) for _ in range(2))
    torch.testing.assert_close(some[:, 0], other[:, 0])
    assert (some[:, 1:] != other[:, 1:]).any()
