"""Four cameras, a gallery in PostgreSQL, and something bad every five seconds: is anything lost, given twice, or late?

    python benchmarks/chaos.py [--minutes 20] [--seed 0] [--cameras 4] [--fps 3] [--faults kill,disk] [--json FILE]
    [--logs DIR]

``streamreid serve`` runs as a child, with RTSP servers of this machine as cameras behind proxies, results on a small
tmpfs (needs root), and a gallery in a PostgreSQL server of its own (Debian: postgresql). People stand in drawn
pictures, their boxes are read from files and the engine tells colours, so that two shared cores suffice: no model
decides anything here. Every five seconds comes the next of: kill -9 and start anew in the same folder; SIGTERM and
start anew; disk full; no descriptors, with idle connections; no memory (RLIMIT_AS just above what is used); database
stopped; a second writer on the folder, who must be refused at once; a second writer of the gallery, who names somebody;
the clock set (time.time of the child, never the machine's); hostile requests; a camera killed; a camera stalled. Most
last some seconds and overlap the next. They come in rounds shuffled by the seed, each of which has every one twice, the
first two once. ``--faults`` keeps to some of them (the names in ``KINDS``).

How rates are counted: frames with a result (`GET /cameras`, every half second) over what the camera sends, in windows
of ten seconds, one each second. Left out are windows that touch the seconds in which that camera was killed or stalled,
or the process was stopped, and ten seconds from its return or from the first answer of the new process. A start that
ends for want of disk, database, descriptors or memory is repeated, and counted. Nothing else is excused: full disk,
missing memory, an absent database and the rest count. A process that ends by itself is started anew and is an error.
Rates and SIGTERM need the machine: where it does other work, start this with ``nice -n -12``, and where Linux groups
processes by session (``sched_autogroup_enabled``), in which case ``nice`` counts inside of one only, write -12 to
/proc/self/autogroup first, too.

The exit code is 1 where anything is wrong, with a sentence for each: what was confirmed is missing (lines once on disk,
identities once in the gallery, names given, people confirmed four seconds before the process or the database went), an
id or frame number comes twice, a file cannot be read, a second writer is not refused within a second, a camera stays
below 90 % of its rate for longer than ten seconds, SIGTERM takes longer than five seconds, a process does not answer
for longer than 25 seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import resource
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import _root  # noqa: F401
import av
import numpy as np
from _chaos import Lines, Rates, Repeated, check_files, check_gallery
from _faults import chosen_of
from _results import add_json, save_asked

from streamreid.errors import FolderBusy
from streamreid.gallery import Gallery
from streamreid.reid.bundle import InputFormat
from streamreid.runs.result_folder import ResultsFolder
from tests.support.faults import FaultyProxy
from tests.support.live import looped_clip
from tests.support.rtsp_camera import RtspCamera, missing

TESTS = Path(__file__).resolve().parent.parent / "tests"
EVERY = 5.0
EXIT_SECONDS = 5.0
REFUSE_SECONDS = 1.0
START_SECONDS = 60.0
SILENT_SECONDS = 25.0
"""Without descriptors for eight seconds, and with 300 idle connections that are closed after ten, requests may fail."""
DISK = 256 << 20
"""Bytes of the tmpfs with the results; four cameras write about 25 MB in twenty minutes."""
FRAMES = 12_000
"""Numbers of frames for which there are boxes: more than an hour."""
STEPS = (-172_800.0, -36_000.0, -3_600.0, -30.0, 0.0, 30.0, 3_600.0, 172_800.0)
"""Seconds by which the child's clock may differ: two days are twice ``gallery.retention_hours``, and nobody may be
erased for that."""

HOSTILE: tuple[bytes, ...] = (
    b"GET /cameras/" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /cameras HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n",
    b"POST /cameras HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n" + b"[" * 65_536,
    b"POST /cameras HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n[[[[[[[[",
    b"\x16\x03\x01" + bytes(range(256)) * 16,
    b"GET / HTTP/1.1\r\nHost: ",
)
KINDS = (
    "kill",
    "term",
    "disk",
    "descriptors",
    "memory",
    "database",
    "second run",
    "second gallery",
    "clock",
    "requests",
    "camera killed",
    "camera stalled",
)
NEEDED = ("disk", "database", "descriptors", "memory")
"""What a start needs: one that ends for want of it is counted as refused, and is repeated."""

LATE_SECONDS = 15.0
"""For so long after such a fault an end may be due to it: a start takes a while to say what it lacks."""

ENDS = ("kill", "term")
"""Once a round, everything else twice: after each start there must be time in which rates can be judged."""

Camera = tuple[RtspCamera, FaultyProxy, Path]


def support(name: str) -> Any:
    """A module of the tests' support."""
    spec = importlib.util.spec_from_file_location(f"support_{name.replace('/', '_')}", TESTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def street(folder: Path, name: str, pair: int, fps: int) -> Path:
    """Five minutes of a camera, in which two people at a time stand in two places, others after each minute; and the
    boxes of who is there at the moment.

    Cameras of one pair see the same people.
    """
    dice = random.Random(pair)
    path = folder / f"{name}.once.avi"
    width, height, box = 192, 144, (40, 100)
    places = [(20, 22), (120, 22)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 1_000_000
        for number in range(300 * fps):
            if number % (60 * fps) == 0:
                picture = np.full((height, width, 3), 96, np.uint8)
                for left, top in places:
                    picture[top : top + box[1], left : left + box[0]] = [dice.randrange(256) for _ in range(3)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    with open(folder / "boxes" / f"{name}.txt", "w") as file:
        for number in range(1, FRAMES + 1):
            for place, (left, top) in enumerate(places):
                if (number + 20 * place) % 50 < 36:  # a visit of twelve seconds, and five without anybody
                    file.write(f"{number},-1,{left},{top},{box[0]},{box[1]},0.9,-1,-1,-1\n")
    return path


def child(offset: Path, arguments: list[str]) -> None:
    """The process under test: streamreid, with a clock that is as far from the machine's as a file says."""
    real, difference = time.time, [0.0]

    def follow() -> None:
        while True:
            with contextlib.suppress(OSError, ValueError):
                difference[0] = float(offset.read_text())
            time.sleep(0.2)

    threading.Thread(target=follow, daemon=True).start()
    time.time = lambda: real() + difference[0]
    sys.argv = ["streamreid", *arguments]
    runpy.run_module("streamreid", run_name="__main__", alter_sys=True)


class Site:
    """The child, started anew whenever it ends.

    Args:
        folder: Of everything.
        data: Its cameras file.
        rates: Told when it is away.
    """

    def __init__(self, folder: Path, data: dict[str, Any], rates: Rates) -> None:
        self._make: Callable[..., Any] = support("adversary/conftest").Service
        self.folder, self.offset, self._data, self.rates = folder, folder / "clock", data, rates
        self.results = folder / "results"
        self.lives = 0
        self.refused = 0
        self.wrong: list[str] = []
        self.died: list[str] = []
        self.starts: list[float] = []
        self.exits: list[float] = []
        self.away: list[float] = []
        self.answered = (0, 0.0)
        self.silent = 0.0
        """Longest time for which a process did not say how many frames there were: nobody knows its rates then."""
        self.disturbed: set[str] = set()
        self.ended: dict[str, float] = {}
        self.lock = threading.RLock()
        self.service: Any = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def start(self) -> None:
        """Start, again and again until it serves."""
        began = time.monotonic()
        while time.monotonic() < began + START_SECONDS:
            self.lives += 1
            options = ("--listen", f"127.0.0.1:{self._port}")
            program = (str(Path(__file__).resolve()), "--child", str(self.offset))
            self.service = self._make(self.folder, self._data, options=options, program=program)
            try:
                self.service.wait()
                self.starts.append(time.monotonic() - began)
                self.answered = self.lives, time.monotonic()
                return
            except AssertionError:
                self._keep_log()
                self.refused += 1
                if not self._lacks():
                    self.wrong.append(f"start {self.lives} failed: {' '.join(self.service.output.split())[-300:]}")
                time.sleep(1)
        raise RuntimeError(f"it cannot be started any more: {self.service.output[-1000:]}")

    def end(self, number: signal.Signals, *, again: bool = True) -> float:
        """End it by a signal, and start anew. Returns seconds until it was gone."""
        with self.lock:
            began = time.monotonic()
            self.away.append(began)
            process = self.service.process
            process.send_signal(number)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            took = time.monotonic() - began
            if number == signal.SIGTERM:
                self.exits.append(took)
                if took > EXIT_SECONDS:
                    self.wrong.append(
                        f"SIGTERM took {took:.1f} s ({', '.join(sorted(self.disturbed)) or 'nothing else wrong'})"
                    )
            self._keep_log()
            if again:
                self.start()
                self.rates.excuse("", began, time.monotonic())
            return took

    def watch(self) -> None:
        """Start it anew where it ended by itself."""
        with self.lock:
            code = self.service.process.poll()
            if code is None:
                return
            began = time.monotonic()
            self.away.append(began)
            followed = any(
                life == self.lives and frames for rows in self.rates.samples.values() for life, _, frames in rows[-1:]
            )
            if not followed and self._lacks():
                self.refused += 1
            else:
                self.died.append(
                    f"exit code {code} during {', '.join(sorted(self.disturbed))}: "
                    f"{' '.join(self.service.output.split())[-400:]}"
                )
            self._keep_log()
            self.start()
            self.rates.excuse("", began, time.monotonic())

    def _lacks(self) -> bool:
        """Whether there is, or was until just now, something missing without which a process cannot start."""
        now = time.monotonic()
        return any(
            kind in self.disturbed or now - self.ended.get(kind, -LATE_SECONDS) < LATE_SECONDS for kind in NEEDED
        )

    def sample(self) -> None:
        """How many frames each camera has had."""
        life, service = self.lives, self.service
        try:
            rows = service.get("/cameras").json()
        finally:
            now = time.monotonic()
            if life == self.answered[0]:
                self.silent = max(self.silent, now - self.answered[1])
        if service is self.service and life == self.lives:
            self.answered = life, now
            for row in rows:
                self.rates.samples[row["name"]].append((life, now, row["frames"]))

    def _keep_log(self) -> None:
        (self.folder / f"output-{self.lives}.txt").write_text(self.service.output)


class Faults:
    """Makes the faults, each in a thread of its own.

    Args:
        site: The child.
        database: Its PostgreSQL server.
        cameras: By name: server, proxy, and what the server plays.
        seed: Of order and durations.
        kinds: Which faults, of ``KINDS``.
    """

    def __init__(
        self, site: Site, database: Any, address: str, cameras: dict[str, Camera], seed: int, kinds: Sequence[str]
    ) -> None:
        self.kinds = kinds
        self.site, self.database, self.address, self.cameras = site, database, address, cameras
        self.dice = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.names: dict[int, str] = {}
        self.log: list[tuple[float, str, float]] = []
        self.wrong: list[str] = []
        self.busy: set[str] = set()
        self._deck: list[str] = []
        self._threads: list[threading.Thread] = []

    def next(self) -> None:
        """The next fault."""
        if not self._deck:
            self._deck = [*self.kinds, *(kind for kind in self.kinds if kind not in ENDS)]
            self.dice.shuffle(self._deck)
        # One that still lasts, and another end of a process that is just being started, come later.
        kind = next((k for k in self._deck if k not in self.busy and not (k in ENDS and self.busy & set(ENDS))), None)
        if kind is None:
            return
        self._deck.remove(kind)
        camera = self.dice.choice([name for name in self.cameras if name not in self.busy] or [""])
        seconds = self.dice.uniform(2, 8)
        if kind.startswith("camera") and not camera:
            return
        self.busy |= {kind, camera} if kind.startswith("camera") else {kind}
        self._threads.append(threading.Thread(target=self._do, args=(kind, camera, seconds), daemon=True))
        self._threads[-1].start()

    def wait(self) -> None:
        """Until all are over."""
        for thread in self._threads:
            thread.join(90)

    def _do(self, kind: str, camera: str, seconds: float) -> None:
        began = time.monotonic()
        self.counts[kind] += 1
        self.site.disturbed.add(kind)
        try:
            getattr(self, "_" + kind.replace(" ", "_"))(camera, seconds)
        except Exception as error:
            self.wrong.append(f"{kind}: {type(error).__name__}: {error}")
        finally:
            self.site.disturbed.discard(kind)
            self.site.ended[kind] = time.monotonic()
            self.busy -= {kind, camera} if kind.startswith("camera") else {kind}
            self.log.append((began, f"{kind} {camera if kind.startswith('camera') else ''}".strip(), time.monotonic()))

    def _kill(self, camera: str, seconds: float) -> None:
        self.site.end(signal.SIGKILL)

    def _term(self, camera: str, seconds: float) -> None:
        self.site.end(signal.SIGTERM)

    def _disk(self, camera: str, seconds: float) -> None:
        path = self.site.results / "somebody-elses"
        try:
            with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
                while file.write(bytes(1 << 20)):
                    pass
            end = time.monotonic() + seconds
            while time.monotonic() < end:  # also what is freed meanwhile
                with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
                    while file.write(bytes(512)):
                        pass
                time.sleep(0.2)
        finally:
            path.unlink(missing_ok=True)

    def _limited(self, what: int, limit: int, seconds: float) -> None:
        process = self.site.service.process
        _, hard = resource.prlimit(process.pid, what)
        before = resource.prlimit(process.pid, what, (limit, hard))
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, what, before)

    def _until_started(self) -> None:
        """A process that is being started is no target: what it lacks at its start ends it, and it is started anew, as
        it should be."""
        with self.site.lock:
            pass

    def _descriptors(self, camera: str, seconds: float) -> None:
        self._until_started()
        used = max(int(n) for n in os.listdir(f"/proc/{self.site.service.process.pid}/fd"))
        idle: list[socket.socket] = []
        try:
            for _ in range(300):
                with contextlib.suppress(OSError):
                    idle.append(self.site.service.connect(b"GET / HTTP/1.1\r\n"))
            self._limited(resource.RLIMIT_NOFILE, used + 1, seconds)
        finally:
            for connection in idle:
                connection.close()

    def _memory(self, camera: str, seconds: float) -> None:
        self._until_started()
        status = Path(f"/proc/{self.site.service.process.pid}/status").read_text()
        used = int(status.split("VmSize:")[1].split()[0]) * 1024
        self._limited(resource.RLIMIT_AS, used + (2 << 20), min(seconds, 4))

    def _database(self, camera: str, seconds: float) -> None:
        self.site.away.append(time.monotonic())
        self.database.stop()
        time.sleep(seconds)
        self.site.away.append(time.monotonic())
        self.database.start()

    def _second_run(self, camera: str, seconds: float) -> None:
        with self.site.lock:  # while nobody writes, nobody is refused
            began = time.monotonic()
            try:
                with ResultsFolder(self.site.results, overwrite=True):
                    pass
                try:  # one that is ending by itself, for want of something at its start, has let the folder go
                    self.site.service.process.wait(EXIT_SECONDS)
                    self.notes["second writers after an end"] += 1
                except subprocess.TimeoutExpired:
                    self.wrong.append("a second writer was let into the folder")
                return
            except FolderBusy:
                self.notes["second writers refused"] += 1
            if time.monotonic() - began > REFUSE_SECONDS:
                self.wrong.append(f"a second writer was refused after {time.monotonic() - began:.1f} s")

    def _second_gallery(self, camera: str, seconds: float) -> None:
        if "database" in self.busy:
            self.notes["second gallery writers without a database"] += 1
            return
        try:
            with Gallery.open(self.address, patience=3) as store:
                people = [r.global_id for r in store.identities()]
                if people:
                    who, name = self.dice.choice(people), f"chaos {len(self.log)}"
                    store.rename(who, name)
                    self.names[who] = name
        except Exception:
            self.notes["second gallery writers not confirmed"] += 1

    def _clock(self, camera: str, seconds: float) -> None:
        self._until_started()  # nothing tells a process that the clock was set before its start
        self.site.offset.write_text(str(self.dice.choice(STEPS)))

    def _requests(self, camera: str, seconds: float) -> None:
        held: list[socket.socket] = []
        for number in range(60):
            with contextlib.suppress(OSError):
                held.append(self.site.service.connect(HOSTILE[number % len(HOSTILE)]))
        time.sleep(min(seconds, 3))
        for connection in held:
            connection.close()

    def _camera_killed(self, camera: str, seconds: float) -> None:
        began, (server, _, clip) = time.monotonic(), self.cameras[camera]
        server.kill()
        time.sleep(seconds)
        server.start("--clip", str(clip), "--seconds", "10000000")
        self.site.rates.excuse(camera, began, time.monotonic())

    def _camera_stalled(self, camera: str, seconds: float) -> None:
        began, (_, proxy, _) = time.monotonic(), self.cameras[camera]
        proxy.mode = "stall"
        time.sleep(seconds)
        proxy.mode = "pass"
        self.site.rates.excuse(camera, began, time.monotonic())


@contextlib.contextmanager
def small_disk(folder: Path) -> Any:
    """A folder with so much room and no more."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", folder], capture_output=True, text=True
    )
    if made.returncode:
        sys.exit(f"a disk that can be filled needs a tmpfs of its own: run as root ({made.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def chaos(args: argparse.Namespace, folder: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    """Run all of it; the figures, with what is wrong."""
    (folder / "boxes").mkdir()
    tiny = support("reid/conftest")
    # Colours around grey, so that they point in all directions and many people can be told apart.
    colours = InputFormat(height=tiny.HEIGHT, width=tiny.WIDTH, color="rgb", scale=(1 / 127.5,) * 3, bias=(-1.0,) * 3)
    bundle = tiny.write_tiny_bundle(folder, input=colours)
    database = support("gallery/conftest").PostgresServer(folder)
    database.start()
    stack.callback(database.stop)
    address = f"{database.address}/postgres"
    results = stack.enter_context(small_disk(folder / "results"))
    cameras: dict[str, Camera] = {}
    for number in range(args.cameras):
        name = f"cam{number}"
        clip = looped_clip(
            street(folder, name, number // 2, args.fps), 60 * args.minutes + 180, folder / f"{name}.mp4", fps=args.fps
        )
        server = stack.enter_context(RtspCamera("--clip", str(clip), "--seconds", "10000000"))
        cameras[name] = server, stack.enter_context(FaultyProxy(server.port, seed=number)), clip
    entries = [
        {"name": name, "uri": f"rtsp://127.0.0.1:{proxy.port}/live", "timeout": 3, "connect_timeout": 2}
        for name, (_, proxy, _) in cameras.items()
    ]
    models = {"detector": {"model": f"mot:{folder / 'boxes'}"}, "engine": {"model": str(bundle.folder)}}
    data = {"cameras": entries, **models, "gallery": {"store": address}, "output": {"parquet": True}}
    site = Site(folder, data, Rates(args.fps))
    site.offset.write_text("0")
    faults = Faults(site, database, address, cameras, args.seed, args.faults)
    lines = Lines(results / "results.jsonl")
    seen: dict[int, float] = {}

    def remember() -> None:
        with Gallery.open(address, read_only=True, patience=1) as store:
            seen.update((r.global_id, time.time() - r.stored) for r in store.identities())

    site.start()
    stack.callback(lambda: site.service.kill())
    began = time.monotonic()
    watchers = [Repeated(site.sample, 0.5), Repeated(lines.read, 0.5), Repeated(site.watch, 0.5), Repeated(remember, 5)]
    load = [os.getloadavg()[0]]
    time.sleep(15)
    due = time.monotonic()
    while time.monotonic() < began + 60 * args.minutes - 20:
        faults.next()
        due += EVERY
        time.sleep(max(0.0, due - time.monotonic()))
        load.append(os.getloadavg()[0])
    faults.wait()
    time.sleep(15)
    for watcher in watchers[2:]:
        watcher.stop()
    last = site.end(signal.SIGTERM, again=False)
    code = site.service.process.returncode
    for watcher in watchers[:2]:
        watcher.stop()
    lines.read()
    return report(
        args, site, faults, lines, seen, {"began": began, "last": last, "code": code, "load": load, "address": address}
    )


def report(
    args: argparse.Namespace, site: Site, faults: Faults, lines: Lines, seen: dict[int, float], end: dict[str, Any]
) -> dict[str, Any]:
    """Figures, and what is wrong."""
    rates, late = site.rates.judge(end["began"])
    files, twice = check_files(site.results)
    with Gallery.open(end["address"]) as store:
        records = store.identities()
        gallery, lost = check_gallery(records, store.resolve, seen, faults.names, lines.confirmed, site.away)
    files.pop("merged")
    wrong = [*faults.wrong, *site.wrong, *late, *twice, *lost]
    if site.silent > SILENT_SECONDS:
        wrong.append(f"a process that was there did not answer GET /cameras for {site.silent:.0f} s")
    wrong += [f"the process ended by itself: {text}" for text in site.died]
    wrong += [] if lines.unchanged() else ["lines that were on disk are not there any more"]
    wrong += [] if end["code"] in (2, 130) else [f"exit code {end['code']} after SIGTERM"]
    return {
        "seed": args.seed,
        "minutes": args.minutes,
        "faults": dict(sorted(faults.counts.items())),
        "notes": dict(faults.notes),
        "starts": {"count": site.lives, "refused": site.refused, "longest": round(max(site.starts), 1)},
        "exits": {
            "count": len(site.exits),
            "longest": round(max(site.exits), 2),
            "last": round(end["last"], 2),
            "code": end["code"],
        },
        "rates": rates,
        "longest_without_answer": round(site.silent, 1),
        "files": files,
        "gallery": gallery,
        "load": {
            "mean": round(sum(end["load"]) / len(end["load"]), 1),
            "most": round(max(end["load"]), 1),
            "cores": os.cpu_count(),
        },
        "timeline": [
            (round(a - end["began"], 1), what, round(b - end["began"], 1)) for a, what, b in sorted(faults.log)
        ],
        "wrong": wrong,
    }


def figures_of(found: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a report, with those of all faults and cameras together."""
    every = {"faults": sum(found["faults"].values())}
    every |= {key: min(row[key] for row in found["rates"].values()) for key in ("median", "least")}
    return {**found, "wrong": len(found["wrong"]), "all": every}


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fps", type=int, default=3)
    parser.add_argument(
        "--faults", type=chosen_of(KINDS), default=KINDS, metavar="A,B", help=f"only these: {', '.join(KINDS)}"
    )
    add_json(parser, "chaos")
    parser.add_argument("--logs", type=Path, help="keep what the process printed in this folder")
    args = parser.parse_args()
    if missing() is not None:
        sys.exit(f"{missing()}")
    with tempfile.TemporaryDirectory(prefix="chaos") as text, contextlib.ExitStack() as stack:
        folder = Path(text)
        folder.chmod(0o755)  # the database is another user's
        try:
            found = chaos(args, folder, stack)
        finally:
            if args.logs is not None:
                args.logs.mkdir(parents=True, exist_ok=True)
                for path in folder.glob("output*.txt"):
                    shutil.copy(path, args.logs)
    save_asked(args, figures_of(found))
    print(json.dumps({k: v for k, v in found.items() if k not in ("timeline", "wrong")}, indent=1))
    print("\n".join(found["wrong"]))
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
