"""Does memory stay flat? Two live cameras through `--cluster local` for half an hour, one worker and the site.

    python benchmarks/cluster_soak.py [--minutes 30] [--warmup 10] [--cameras 2] [--fps 5] [--json]

Cameras are drawn recordings that are played as live ones, boxes are read from files and the engine tells colours, so
that a fifth of a core suffices. Somebody new comes every few seconds. People are remembered for two minutes and tracks
for one (--memory, --window; an hour and five minutes by default), so that as many are forgotten as come and what grows
beyond that is a leak; `soak.py` says the same of one process. Every half minute: resident memory of the processes of
streamreid (command, site, the site that stands by, worker), MiB. Growth is by least squares after the warm-up. The
exit code is 1 where it is more than 6 MiB an hour and more than twice its standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import _root
import yaml
from _results import add_json, save_asked
from chaos import street, support

from streamreid.reid.bundle import InputFormat
from tests.support.live import slope

MARK = "STREAMREID_SOAK"
EVERY = 30.0
LIMIT = 6.0
"""MiB an hour: the spans of all tracks of a day are kept for counts, and take about one."""

KINDS = {"SiteProcess": "site", "RunWorker": "worker", "streamreid run": "command"}
"""Processes by what their command line holds. The two processes of a site count together."""


def prepare(folder: Path, options: argparse.Namespace) -> Path:
    """Cameras, an engine of colours, and the cameras file."""
    (folder / "boxes").mkdir()
    tiny = support("reid/conftest")
    colours = InputFormat(height=tiny.HEIGHT, width=tiny.WIDTH, color="rgb", scale=(1 / 127.5,) * 3, bias=(-1.0,) * 3)
    bundle = tiny.write_tiny_bundle(folder, input=colours)
    cameras = [
        {"name": f"cam{n}", "uri": str(street(folder, f"cam{n}", n, options.fps)), "live": True, "repeat": 1000}
        for n in range(options.cameras)
    ]
    data = {
        "cameras": cameras,
        "detector": {"model": f"mot:{folder / 'boxes'}"},
        "engine": {"model": str(bundle.folder)},
        "association": {"memory": options.memory, "window": options.window},
        "cluster": {"address": "local", "workers": 1, "cpus": 1},
        "output": {"parquet": False},
    }
    path = folder / "cams.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def resident(mark: str) -> dict[str, float]:
    """MiB of the processes that were started with a mark, by kind."""
    found: dict[str, float] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() not in (path / "environ").read_bytes():
                continue
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            pages = int((path / "statm").read_text().split()[1])
            for text, kind in KINDS.items():
                if text in line:
                    found[kind] = found.get(kind, 0.0) + pages * os.sysconf("SC_PAGESIZE") / 2**20
    return found


def follow(options: argparse.Namespace, folder: Path) -> list[tuple[float, dict[str, float]]]:
    """Minutes and MiB by process of a run."""
    mark = f"{MARK}={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    words = [sys.executable, "-m", "streamreid", "run", str(prepare(folder, options)), "--out", str(folder / "out")]
    env = {**os.environ, name: value, "PYTHONPATH": str(_root.ROOT), "OMP_NUM_THREADS": "1"}
    samples: list[tuple[float, dict[str, float]]] = []
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, env=env, stdout=log, stderr=log, start_new_session=True)
        began = time.monotonic()
        try:
            while time.monotonic() - began < 60 * options.minutes:
                time.sleep(EVERY)
                if process.poll() is not None:
                    raise SystemExit(f"it ended:\n{(folder / 'log').read_text()[-2000:]}")
                samples.append(((time.monotonic() - began) / 60, resident(mark)))
                print(f"{samples[-1][0]:6.1f} min", {k: round(v, 1) for k, v in samples[-1][1].items()}, flush=True)
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
    return samples


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--warmup", type=float, default=10.0, help="minutes at the beginning that do not count")
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--fps", type=int, default=5)
    parser.add_argument("--memory", type=float, default=120.0, help="association.memory, seconds")
    parser.add_argument("--window", type=float, default=60.0, help="association.window, seconds")
    add_json(parser, "cluster_soak")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cs") as text:
        samples = follow(options, Path(text))
    counted = [(minute, found) for minute, found in samples if minute >= options.warmup]
    figures: dict[str, float] = {"minutes": options.minutes, "warmup": options.warmup}
    grows = False
    for kind in sorted(set(KINDS.values())):
        values = [(minute, found[kind]) for minute, found in counted if kind in found]
        grade, error = slope([minute for minute, _ in values], [mib for _, mib in values])
        figures |= {f"{kind}.MiB": values[-1][1], f"{kind}.MiB_per_hour": 60 * grade, f"{kind}.error": 60 * error}
        grows = grows or 60 * grade > max(LIMIT, 120 * error)
        print(f"{kind:8} {values[-1][1]:7.1f} MiB at the end, {60 * grade:+6.1f} MiB per hour (+- {120 * error:.1f})")
    save_asked(options, figures)
    sys.exit(1 if grows else 0)


if __name__ == "__main__":
    main()
