"""Four good cameras beside a bad one: the good ones keep their frames and their ids."""

import threading
import time

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.config import CameraConfig, Config

FPS = 10.0


@pytest.mark.slow
@pytest.mark.wall_time
def test_four_good_cameras_beside_one_bad(rtsp, faults, tmp_path, colours):
    names = ["good1", "good2", "good3", "good4", "bad"]
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    for name in names:
        lines = [f"{n + 1},-1,{20 + 0.2 * n:.1f},40,40,120,0.9,-1,-1,-1" for n in range(400)]
        (boxes / f"{name}.txt").write_text("\n".join(lines) + "\n")
    with rtsp.RtspCamera("--shared", "--fps", str(FPS)) as server, faults.FaultyProxy(server.port) as proxy:
        addresses = [server.uri] * 4 + [f"rtsp://127.0.0.1:{proxy.port}/live"]
        cameras = tuple(
            CameraConfig(name=n, uri=u, timeout=1, connect_timeout=1) for n, u in zip(names, addresses, strict=True)
        )
        config = Config.from_dict({"cameras": [{"name": "x", "uri": "x"}], "detector": {"model": f"mot:{boxes}"}})
        config = config.model_copy(update={"cameras": cameras})

        def trouble(pipeline):
            counts = pipeline.statistics.cameras
            deadline = time.monotonic() + 120
            while any(counts[n].frames < 5 for n in names) and time.monotonic() < deadline:
                time.sleep(0.05)
            for mode in ("stall", "garbage", "cut", "refuse", "stall"):
                proxy.mode = mode
                time.sleep(1.2)
            pipeline.stop()

        with Pipeline(config, embedder=colours) as pipeline:
            maker = threading.Thread(target=trouble, args=(pipeline,))
            maker.start()
            results = list(pipeline)
            maker.join()
            counts = pipeline.statistics.cameras
    for name in names[:4]:
        times = [r.frame.time for r in results if r.frame.camera == name]
        assert len(times) >= 0.95 * FPS * (times[-1] - times[0]), name
        assert max(np.diff(times)) < 1.0, name
        assert {i for r in results if r.frame.camera == name for i in r.tracks.ids.tolist()} == {1}, name
        assert counts[name].error is None
        assert counts[name].status is None or counts[name].status.reconnects == 0
    assert counts["bad"].error is None  # it is tried for ever
    assert counts["bad"].frames < counts["good1"].frames
    assert any("lost" in w for w in counts["bad"].warnings)
