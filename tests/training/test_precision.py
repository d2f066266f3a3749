"""bfloat16 is computed where the hardware has it: elsewhere it is many times slower than float32."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.training import precision  # noqa: E402
from streamreid.training.embed import embed  # noqa: E402


class Means(torch.nn.Module):
    """Stands in for a part network: one part, the mean colour; remembers the size and the arithmetic of every run."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.runs: list[tuple[int, bool]] = []

    def forward(self, pictures: torch.Tensor) -> SimpleNamespace:
        self.runs.append((len(pictures), torch.is_autocast_enabled("cpu")))
        return SimpleNamespace(
            embeddings=pictures.mean((2, 3))[:, None] * self.scale, visibility=torch.ones(len(pictures), 1)
        )


PICTURES = [np.full((8, 4, 3), (10 * i, 5, 200 - i), np.uint8) for i in range(1, 6)]


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        ({"avx2"}, False),
        ({"avx512f", "avx512bw"}, False),
        ({"avx2", "avx512_bf16"}, True),
        ({"amx_bf16"}, True),
        (set(), True),
    ],
)
def test_bf16_runs_where_the_cpu_computes_it(monkeypatch, caplog, flags, native):
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    network = Means()
    embed(network, PICTURES, (8, 4), bf16=True)  # type: ignore[arg-type]
    embed(network, PICTURES, (8, 4), bf16=False)  # type: ignore[arg-type]
    assert [half for _, half in network.runs] == [native, False]
    with caplog.at_level(logging.INFO, "streamreid"):
        assert precision.training_precision("bf16-mixed") == ("bf16-mixed" if native else "32-true")
    assert ("training runs in float32" in caplog.text) is not native
    assert precision.training_precision("32-true") == "32-true"


def test_a_gpu_computes_bf16_whatever_the_cpu_has(monkeypatch):
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"avx2"}))
    assert precision.computes_bf16(torch.device("cuda"))


def test_only_a_compiled_network_gets_full_batches():
    plain, compiled = Means(), Means()
    compiled.compile(backend="eager")
    found = [embed(n, PICTURES, (8, 4), batch=4) for n in (plain, compiled)]  # type: ignore[arg-type]
    assert [count for count, _ in plain.runs] == [4, 1]
    assert {count for count, _ in compiled.runs} <= {4}
    np.testing.assert_allclose(found[0].parts, found[1].parts, rtol=1e-6)
    assert found[0].parts.shape == (5, 1, 3)
