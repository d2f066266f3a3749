"""Two processes, one gallery: nothing is lost, and identities are shared while both run."""

import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from streamreid import Pipeline
from streamreid.gallery import Gallery, Limits

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
spec = importlib.util.spec_from_file_location("conf", sys.argv[2])
conf = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conf)
from streamreid.gallery import Gallery, Limits
camera = sys.argv[4]
with Gallery.open(sys.argv[3], Limits(prototypes=64)) as store:
    store.claim(conf.STAMP)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(100):
        people = [number * 10 + k + 1 for k in range(10)]
        store.write(conf.batch(*people, run=camera, camera=camera, first_track=people[0]))
        if number % 25 == 12 and camera == "one":
            store.merge(people[0], people[1])
    print("done", flush=True)
"""


@pytest.mark.slow
def test_two_writers_of_1000_interleaved_tracklets_each(database, tmp_path):
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    conftest = Path(__file__).with_name("conftest.py")
    writers = [
        subprocess.Popen(
            [sys.executable, script, ROOT, conftest, database, camera],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for camera in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.stdout.readline() == "done\n"
        assert writer.wait(60) == 0
    with Gallery.open(database, Limits(prototypes=64)) as store:
        records = {r.global_id: r for r in store.identities()}
        merged = [number * 10 + 1 for number in range(100) if number % 25 == 12]
        assert len(records) == 1000 - len(merged)
        for who, record in records.items():
            assert record.cameras == {"one", "two"}
            assert (record.track_records, record.prototypes) == ((4, 4) if who in merged else (2, 2))
        stats = store.stats()
        assert (stats["appearances"], stats["prototypes"], stats["events"]) == (2000, 2000, 2000)
        order = [run for (run,) in store.tables.database.rows("SELECT run FROM appearances ORDER BY id")]
        changes = sum(a != b for a, b in itertools.pairwise(order))
        assert changes > 10  # they did write in turn


@pytest.mark.slow
@pytest.mark.wall_time
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_runs_beside_each_other_share_identities(kind, request, scene, colours, tmp_path):
    address = str(tmp_path / "people.db") if kind == "sqlite" else request.getfixturevalue("database")
    videos = {
        name: scene.camera(name, people, frames=60, rate=20) for name, people in (("left", [0, 1]), ("right", [1, 2]))
    }
    found: dict[str, dict] = {}

    def follow(name):
        config = scene.config(
            videos[name],
            gallery={"store": address, "commit_seconds": 0.2},
            association={"confirm_observations": 5, "confirm_seconds": 0.5},
        )
        camera = config.cameras[0].model_copy(update={"live": True})
        with Pipeline(config.model_copy(update={"cameras": (camera,)}), embedder=colours) as pipeline:
            list(pipeline)
        found[name] = {track: who for (_, track), (who, _) in pipeline.identities.items()}

    threads = [threading.Thread(target=follow, args=(name,)) for name in videos]
    for thread in threads:
        thread.start()
        time.sleep(0.3)
    for thread in threads:
        thread.join(60)
    left, right = found["left"], found["right"]
    # colour 1 is the second track of "left" and the first of "right"; they began as two ids
    assert left[2] == right[1]
    assert len({left[1], left[2], right[2]}) == 3
