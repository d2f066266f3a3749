"""Classifiers that start from pretrained embeddings."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.training.heads import identity_heads  # noqa: E402
from streamreid.training.weight_imprinting import imprint, some_rows  # noqa: E402


def test_rows_cover_every_person_and_camera() -> None:
    identities, cameras = np.repeat([0, 1], 8), np.tile([1, 1, 1, 1, 1, 2, 2, 2], 2)
    rows = some_rows(identities, cameras, 2)
    assert len(rows) == len(set(rows.tolist())) == 8
    assert {(identities[r], cameras[r]) for r in rows} == {(0, 1), (0, 2), (1, 1), (1, 2)}


class Colours(torch.nn.Module):
    """Stands in for a network: the embedding is the mean colour and its square, in two slots."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(()))

    def forward(self, pictures: "torch.Tensor") -> SimpleNamespace:
        mean = pictures.mean((2, 3)) / 255
        return SimpleNamespace(embeddings=torch.stack([mean, mean**2], 1))


def test_imprinted_heads_know_their_people(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    colours = random.integers(30, 220, (7, 3))
    identities, cameras = np.repeat(np.arange(7), 6), np.tile([1, 1, 1, 2, 2, 2], 7)
    order = random.permutation(42)
    images = np.clip(colours[identities][:, None, None] + random.integers(-3, 4, (42, 8, 4, 3)), 0, 255).astype(
        np.uint8
    )[order]
    cache = SimpleNamespace(images=images, identities=identities[order], cameras=cameras[order])
    heads = identity_heads(2, 3, 7)
    imprint(heads, Colours(), cache, batch=5, bf16=False)  # type: ignore[arg-type]
    heads.eval()
    embeddings = Colours()(torch.from_numpy(images).permute(0, 3, 1, 2).float()).embeddings
    for logits in (heads["whole"](embeddings[:, 0]), heads["parts"](embeddings[:, 1:].flatten(1))):
        assert (logits.argmax(1).numpy() == cache.identities).mean() > 0.95
