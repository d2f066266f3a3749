"""Every shipped engine gives the same features and visibilities on every runtime and for every size of batch."""

import numpy as np
import pytest

from streamreid.config import EngineConfig
from streamreid.reid import EngineEmbedder, load_bundle, shipped_engines


@pytest.mark.parametrize("name", sorted(shipped_engines()))
def test_a_batch_gives_what_single_pictures_give(name):
    bundle = load_bundle(shipped_engines()[name])
    rng = np.random.default_rng(0)
    embedders = [EngineEmbedder(bundle, EngineConfig(runtime=r, precision="fp32")) for r in ("openvino", "onnxruntime")]
    crops = rng.integers(0, 256, (8, *embedders[0].size, 3), dtype=np.uint8)
    one = [embedders[1].embed(crops[i : i + 1]) for i in range(8)]
    for embedder in embedders:
        for size in (1, 2, 4, 8):
            many = [embedder.embed(crops[i : i + size]) for i in range(0, 8, size)]
            for field in ("parts", "visibility"):
                got, want = (np.concatenate([getattr(f, field) for f in side]) for side in (many, one))
                np.testing.assert_allclose(
                    got, want, atol=2e-3, err_msg=f"{embedder.runtime}, batches of {size}, {field}"
                )
