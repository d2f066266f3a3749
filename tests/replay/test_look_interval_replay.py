"""Who is looked at in a run is chosen again in a replay, because a cache holds the looks of everybody."""

import pytest

from streamreid import Pipeline
from streamreid.replay import Replay
from streamreid.runs import run

pytest.importorskip("pyarrow")


def test_another_interval_between_looks_can_be_replayed(scene, colours, tmp_path):
    config = scene.config(scene.camera("left", [0, 1, 2]), scene.camera("right", [2, 0, 3]))
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        list(pipeline)
    for number, interval in enumerate((0.0, 0.7, 2.0)):
        other = config.model_copy(update={"engine": config.engine.model_copy(update={"embedding_interval": interval})})
        with Pipeline(other, embedder=colours) as pipeline:
            run(pipeline, tmp_path / f"run{number}")
        run(Replay(tmp_path / "cache", other), tmp_path / f"replay{number}")
        one, two = ((tmp_path / f"{kind}{number}" / "results.jsonl").read_text() for kind in ("run", "replay"))
        assert one == two
