"""What a cluster costs on one machine: cameras in one process, and the same through `--cluster local` with one worker.

    python benchmarks/cluster_overhead.py [--video FILE] [--frames 150] [--rounds 3] [--json]

Both are the command `streamreid run`, in turns, with the same number of threads for detector and engine. The rate is
that of the summary, without the start of Ray and of the models; ``cpu`` is the processor time of all processes of a
command per frame, start included, and ``cpu_without_start`` the same less that of a run of a single frame. On a busy
machine the ratio of processor times says more than that of the rates. ``KB_per_camera_and_second``: what track updates
of these recordings take as bytes; ``share_of_features``: of these, features; ``entropy_of_features``: what zlib leaves
of these when the bytes of equal weight lie side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import zlib
from pathlib import Path

import _root  # noqa: F401
import numpy as np
from _results import add_json, save_asked

from streamreid import Pipeline
from streamreid.cluster.leases import SiteLeases
from streamreid.cluster.site_service import SiteService
from streamreid.cluster.worker import PerceptionWorker
from streamreid.config.inputs import configure
from streamreid.features.eight_bits import to_eight_bits
from streamreid.pipeline import Run
from streamreid.pipeline.detectors import open_detectors
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.reid import open_embedder
from streamreid.track_update import TrackUpdate

MARK = "STREAMREID_BENCHMARK"
TICK = os.sysconf("SC_CLK_TCK")


def spent(mark: str, known: dict[int, float]) -> None:
    """Note the processor seconds of all processes that were started with a mark."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if mark.encode() in (folder / "environ").read_bytes():
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    known[int(folder.name)] = (int(fields[11]) + int(fields[12])) / TICK
            except OSError:
                continue


def command(cameras: Path, out: Path, *more: str) -> tuple[dict, float]:
    """Run the command; its summary, and the processor seconds of all its processes."""
    mark = f"{MARK}={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    words = [sys.executable, "-m", "streamreid", "run", str(cameras), "--out", str(out), "--quiet", *more]
    known: dict[int, float] = {}
    process = subprocess.Popen(words, env={**os.environ, name: value})
    while process.poll() is None:
        time.sleep(0.2)
        spent(mark, known)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return json.loads((out / "summary.json").read_text()), sum(known.values())


def wire(cameras: Path) -> dict[str, float]:
    """What track updates of the recordings take."""
    sizes, features, left, until = [], 0, 0, {}
    with Pipeline(configure([str(cameras)])) as pipeline:

        def take(update: TrackUpdate) -> None:
            nonlocal features, left
            sizes.append(len(update.to_bytes()))
            if update.frame is not None:
                until[update.frame.camera] = update.frame.time
            for seen in update.observations:
                parts = seen.features.parts[seen.features.visibility.any(1)].astype("<f4")
                sent = to_eight_bits(parts) if pipeline.config.engine.feature_bits == 8 else parts
                planes = np.ascontiguousarray(np.frombuffer(sent.tobytes(), np.uint8).reshape(-1, sent.itemsize).T)
                features += sent.nbytes
                left += len(zlib.compress(planes.tobytes(), 6)) if sent.nbytes else 0

        for _ in Run(pipeline.perception, pipeline.tracking, pipeline.site, observers=[take]):
            pass
    return {
        "KB_per_camera_and_second": sum(sizes) / sum(until.values()) / 1000,
        "share_of_features": features / sum(sizes),
        "entropy_of_features": left / max(features, 1),
    }


def in_turns(cameras: Path, rounds: int) -> dict[str, float]:
    """Processor milliseconds per frame of one process, and of a worker and a site that hand bytes to each other in one
    process, without Ray; models are opened once."""
    config = configure([str(cameras)])
    detector, embedder = open_detectors(config), open_embedder(config.engine)

    def alone() -> int:
        with Pipeline(config, detector=detector, embedder=embedder) as pipeline:
            return sum(1 for _ in pipeline)

    def divided() -> int:
        service = SiteService(config, EngineDescription.of(embedder))
        worker = PerceptionWorker(config, "w", SiteLeases(), service.receive, detector=detector, embedder=embedder)
        try:
            for camera in config.cameras:
                worker.add(camera.name)
            return sum(1 for _ in service.run)
        finally:
            worker.close()
            service.close()

    taken: dict[str, list[float]] = {"alone": [], "divided": []}
    for _ in range(rounds + 1):
        for name, run in (("alone", alone), ("divided", divided)):
            begin = time.process_time()
            frames = run()
            taken[name].append(1000 * (time.process_time() - begin) / frames)
    found = {f"in_turns.{name}": statistics.median(values[1:]) for name, values in taken.items()}  # the first warms up
    return found | {"in_turns.ratio": found["in_turns.alone"] / found["in_turns.divided"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=Path("../shared/data/video/vtest.avi"))
    parser.add_argument("--frames", type=int, default=150, help="of each of the two cameras")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add_json(parser, "cluster_overhead")
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="co") as text:
        folder = Path(text)

        def cameras(frames: int) -> Path:
            path = folder / f"cams-{frames}.yaml"
            listed = [{"name": n, "uri": str(options.video.resolve()), "frames": frames} for n in ("one", "two")]
            path.write_text(json.dumps({"cameras": listed}))
            return path

        local = ["--cluster", "local", "--set", "cluster.workers=1", "--set", f"cluster.cpus={options.threads}"]
        kinds = {"plain": [], "cluster": local}
        for number in range(options.rounds):
            for kind, more in kinds.items():
                _, start = command(cameras(1), folder / f"{kind}-{number}-start", *more)
                summary, cpu = command(cameras(options.frames), folder / f"{kind}-{number}", *more)
                values = {
                    "rate": summary["frames_per_second"],
                    "cpu": 1000 * cpu / summary["frames"],
                    "cpu_without_start": 1000 * (cpu - start) / (summary["frames"] - 2),
                }
                for name, value in values.items():
                    found.setdefault(f"{kind}.{name}", []).append(value)
                print(kind, {k: round(v, 2) for k, v in values.items()}, flush=True)
        same = (folder / "plain-0" / "results.jsonl").read_bytes() == (
            folder / "cluster-0" / "results.jsonl"
        ).read_bytes()
        figures = {name: statistics.median(values) for name, values in found.items()} | wire(cameras(options.frames))
        figures |= in_turns(cameras(options.frames), options.rounds)
    figures["rate_ratio"] = figures["cluster.rate"] / figures["plain.rate"]
    figures["cpu_ratio"] = figures["plain.cpu_without_start"] / figures["cluster.cpu_without_start"]
    figures["same_results"] = float(same)
    print(json.dumps({k: round(v, 3) for k, v in figures.items()}, indent=1))
    save_asked(options, figures)


if __name__ == "__main__":
    main()
