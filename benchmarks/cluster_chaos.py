"""Cameras on a Ray cluster of three machines, and something bad every half minute: who is late, lost or given twice?

    python benchmarks/cluster_chaos.py [--minutes 60] [--every 30] [--seed 0] [--cameras 4] [--fps 3] [--cut 60]
    [--faults worker,site] [--storage rocksdb|redis|memory] [--json FILE] [--logs DIR]

Needs root, `ip netns`, and a PostgreSQL server (Debian: postgresql). The machines are network namespaces of this one
with addresses and host names of their own: *head* (Ray's head, without work, and the database), *one* (the command
`streamreid serve --cluster auto`, the site, workers) and *two* (workers). Cameras are drawn recordings that are played
as live ones, boxes are read from files and the engine tells colours, so that two shared cores suffice: no model decides
anything here. The faults come in rounds that are shuffled by the seed:

``worker``    kill -9 of a worker
``site``      kill -9 of the site
``raylet``    kill -9 of Ray on machine two, which is started again after ten seconds
``head``      kill -9 of Ray on the head; its tables' server is started again after ten seconds. With ``--storage
              memory`` it is not, and the run goes on without it for a minute
``cut5``      machine two has no network for five seconds
``cut``       machine two has no network for so many seconds (--cut); Ray, which ends there when it is back, is started
              again
``slow``      a worker is stopped (SIGSTOP) for six seconds
``hang``      the site is stopped for five seconds
``database``  PostgreSQL is stopped for two seconds

For each fault the table says how long after it the first result of a camera could be read that was hit (of all
cameras, where the site is), the longest of all; and which share of the frames that were sent the other cameras have
results of, by capture time, from the fault to ten seconds after its end; ``before`` is the same of the twenty seconds
until the fault, which shows what else runs on the machine. The exit code is 1 where a camera was owned
twice at any moment (log of the leases), an id or a frame of a track comes twice, or an identity that was confirmed four
seconds before a fault is not in the gallery. Times are given and not judged: they depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import _root
import yaml
from _chaos import Repeated, check_gallery
from _cluster_chaos import Fault, Results, check_rows
from _faults import chosen_of
from _results import add_json, save_asked
from chaos import street, support

from streamreid.cluster.leases import owned_twice
from streamreid.cluster.postgres_leases import PostgresLeases
from streamreid.errors import StreamReIDError
from streamreid.gallery import Gallery
from streamreid.reid.bundle import InputFormat

KINDS = ("worker", "site", "raylet", "head", "cut5", "cut", "slow", "hang", "database")
NETWORK = "10.231.7"
HEAD, ONE, TWO = f"{NETWORK}.1", f"{NETWORK}.2", f"{NETWORK}.3"
PORT = 6399
MARK = "STREAMREID_CHAOS"
AGAIN = 10.0
"""Seconds after which Ray is started again on a machine."""

WITHOUT_HEAD = 60.0
"""Seconds for which a run is watched that has lost its head for good."""

REDIS_PORT = 6398

TRIES = 3
"""Ray gives itself 30 seconds to start, which is little on a busy machine."""

START = 240.0
"""Seconds within which everything must run; a busy machine takes long to start Ray."""


def shell(*words: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(words, check=True, capture_output=True)


@contextlib.contextmanager
def network() -> Iterator[None]:
    """A bridge and two network namespaces."""
    _no_network()  # what a run that was killed has left
    try:
        shell("ip", "link", "add", "srchaos", "type", "bridge")
        shell("ip", "addr", "add", f"{HEAD}/24", "dev", "srchaos")
        shell("ip", "link", "set", "srchaos", "up")
        for name, address in (("srone", ONE), ("srtwo", TWO)):
            shell("ip", "netns", "add", name)
            shell("ip", "link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1", "netns", name)
            shell("ip", "link", "set", f"{name}0", "master", "srchaos", "up")
            shell("ip", "-n", name, "addr", "add", f"{address}/24", "dev", f"{name}1")
            shell("ip", "-n", name, "link", "set", f"{name}1", "up")
            shell("ip", "-n", name, "link", "set", "lo", "up")
        yield
    finally:
        _no_network()


def _no_network() -> None:
    for words in ("link del srone0", "link del srtwo0", "netns del srone", "netns del srtwo", "link del srchaos"):
        subprocess.run(["ip", *words.split()], capture_output=True)


class Cluster:
    """Ray on three machines.

    Args:
        folder: Of what Ray keeps.
        storage: What the head keeps its tables in.
    """

    def __init__(self, folder: Path, storage: str) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ADDRESS": f"{HEAD}:{PORT}",  # `auto` would find any other Ray of this machine, too
            "RAY_gcs_rpc_server_reconnect_timeout_s": "86400",
            "PYTHONPATH": str(_root.ROOT),
            "OMP_NUM_THREADS": "1",
            "RAY_worker_niceness": "0",  # cameras are to have the same priority as everything else here
            MARK: str(folder),
        }
        self.storage, self._redis = storage, None
        if storage == "rocksdb":
            (folder / "gcs").mkdir()
            self.env |= {"RAY_gcs_storage": storage, "RAY_gcs_storage_path": str(folder / "gcs")}
        if storage == "redis":
            words = ["redis-server", "--bind", HEAD, "--port", str(REDIS_PORT), "--protected-mode", "no", "--save", ""]
            self._redis = subprocess.Popen([*words, "--dir", str(folder)], stdout=subprocess.DEVNULL)
        self.ray = str(Path(sys.executable).with_name("ray"))

    def inside(self, machine: str, *words: str) -> list[str]:
        """A command on a machine."""
        own, shared = self.folder / f"ray-{machine}", self.folder / "ray"
        own.mkdir(exist_ok=True)
        shared.mkdir(exist_ok=True)
        # Of one file system for all, each would take the address of the first for its own.
        act = f'mount --bind {own} {shared}; hostname {machine}; exec "$@"'
        named = ["unshare", "--uts", "--mount", "sh", "-c", act, "sh", *words]
        return named if machine == "head" else ["ip", "netns", "exec", f"sr{machine}", *named]

    def start(self, machine: str) -> bool:
        """Start Ray on a machine; whether it runs."""
        address = {"head": HEAD, "one": ONE, "two": TWO}[machine]
        words = ["start", "--node-ip-address", address, "--object-store-memory", str(80 << 20)]
        if machine == "head":
            words += ["--head", "--port", str(PORT), "--num-cpus", "0", "--include-dashboard", "false"]
            words += ["--temp-dir", str(self.folder / "ray"), "--ray-client-server-port", "9998"]
        else:
            words += ["--address", f"{HEAD}:{PORT}", "--num-cpus", "2" if machine == "one" else "1"]
            words += ["--labels", f"on={machine}"]
        command = self.inside(machine, self.ray, *words)
        env = dict(self.env)
        if machine == "head":
            del env["RAY_ADDRESS"]
            env |= {"RAY_REDIS_ADDRESS": f"{HEAD}:{REDIS_PORT}"} if self._redis is not None else {}
        with open(self.folder / f"ray-{machine}.log", "ab") as log:
            for _ in range(TRIES):
                if not subprocess.run(command, env=env, stdout=log, stderr=log, timeout=START).returncode:
                    return True
                self.kill(machine)
        return False

    def processes(self, *names: str) -> dict[int, str]:
        """Processes of ours whose command line holds all of these, by number."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if all(name in text for name in names):
                    found[int(path.parent.name)] = text
        return found

    def of_ray(self, machine: str) -> list[int]:
        """Ray's own processes on a machine."""
        address = {"head": HEAD, "one": ONE, "two": TWO}[machine]
        found = {
            **self.processes("/raylet/raylet ", str(self.folder)),
            **self.processes("/gcs_server ", str(self.folder)),
        }
        return [pid for pid, text in found.items() if f"node_ip_address={address} " in text.replace("-", "_")]

    def kill(self, machine: str) -> None:
        """kill -9 of all that Ray runs on a machine but its workers, which notice."""
        for pid in self.of_ray(machine):
            os.kill(pid, signal.SIGKILL)

    def keep(self, machine: str) -> None:
        """What a service of the machine does: start Ray again where it has ended, as after it was cut off for long."""
        if not self.of_ray(machine):
            self.start(machine)

    def all(self) -> Iterator[Path]:
        """What began in the environment of this benchmark."""
        mark = f"{MARK}={self.folder}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    yield path.parent

    def prefer(self, nice: int) -> None:
        """Where Linux groups processes by session, their priorities count inside of one only: set those of groups."""
        for path in self.all():
            with contextlib.suppress(OSError):
                (path / "autogroup").write_text(str(nice))

    def stop(self) -> None:
        """End everything that Ray runs."""
        for path in self.all():
            with contextlib.suppress(OSError):
                os.kill(int(path.name), signal.SIGKILL)
        if self._redis is not None:
            self._redis.kill()


class Chaos:
    """Does the faults.

    Args:
        cluster: Ray.
        database: PostgreSQL.
        leases: In it.
        results: What is written.
        cameras: Names.
        cut: Seconds of the long cut.
    """

    def __init__(
        self, cluster: Cluster, database: Any, leases: PostgresLeases, results: Results, cameras: list[str], cut: float
    ) -> None:
        self.cluster, self.database, self.leases, self.results = cluster, database, leases, results
        self.cameras, self.cut = cameras, cut
        self.done: list[Fault] = []

    def owners(self) -> dict[str, int]:
        """Process of the worker of each camera."""
        with contextlib.suppress(StreamReIDError):  # its connection may be of a database that was stopped since
            self.leases.owners()
        return {name: int(lease.worker.rsplit("-", 2)[1]) for name, lease in self.leases.owners().items()}

    def machine_of(self, pid: int) -> str:
        """Where a process runs."""
        with contextlib.suppress(OSError):
            mine = os.readlink(f"/proc/{pid}/ns/net")
            for name in ("one", "two"):
                pids = subprocess.run(["ip", "netns", "pids", f"sr{name}"], capture_output=True, text=True).stdout
                if str(pid) in pids.split():
                    return name
            return mine
        return ""

    def site(self) -> int:
        """Process of the site."""
        holder = json.loads((self.results.path.parent / ".lock").read_text() or "{}")
        return int(holder.get("pid", 0))  # another process of the site stands by

    def fault(self, kind: str, dice: random.Random) -> None:
        """Do one."""
        owners = self.owners()
        pid = dice.choice(sorted(set(owners.values()))) if owners else 0
        of_worker = tuple(name for name, owner in owners.items() if owner == pid)
        of_two = tuple(name for name, owner in owners.items() if self.machine_of(owner) == "two")
        acts: dict[str, tuple[tuple[str, ...], Callable[[], None]]] = {
            "worker": (of_worker, lambda: os.kill(pid, signal.SIGKILL)),
            "site": (tuple(self.cameras), lambda: os.kill(self.site(), signal.SIGKILL)),
            "raylet": (of_two, lambda: self._ray("two")),
            "head": ((), self._head),
            "cut5": (of_two, lambda: self._cut(5.0)),
            "cut": (of_two, lambda: self._cut(self.cut)),
            "slow": (of_worker, lambda: self._stopped(pid, 6.0)),
            "hang": (tuple(self.cameras), lambda: self._stopped(self.site(), 5.0)),
            "database": ((), self._database),
        }
        hit, act = acts[kind]
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            act()
        self.done.append(Fault(kind, began, time.monotonic(), hit))
        print(f"{time.strftime('%T')} {kind} {' '.join(hit)}", file=sys.stderr, flush=True)

    def _head(self) -> None:
        # `ray start --head` would find the processes of the other machines, which are not hidden here, and refuse.
        server = next(iter(self.cluster.processes("/gcs_server ", str(self.cluster.folder))))
        command = Path(f"/proc/{server}/cmdline").read_bytes().decode().split("\0")[:-1]
        self.cluster.kill("head")
        if self.cluster.storage == "memory":  # it would have forgotten everybody: the run goes on without one
            time.sleep(WITHOUT_HEAD)
            return
        time.sleep(AGAIN)
        words = self.cluster.inside("head", *command)
        subprocess.Popen(words, env=self.cluster.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _ray(self, machine: str) -> None:
        self.cluster.kill(machine)
        time.sleep(AGAIN)
        if not self.cluster.start(machine):
            print(f"Ray does not start again on {machine}", file=sys.stderr)

    def _cut(self, seconds: float) -> None:
        shell("ip", "link", "set", "srtwo0", "down")
        time.sleep(seconds)
        shell("ip", "link", "set", "srtwo0", "up")
        again = threading.Timer(AGAIN, self.cluster.keep, ("two",))
        again.daemon = True
        again.start()

    def _stopped(self, pid: int, seconds: float) -> None:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def _database(self) -> None:
        self.database.stop()
        time.sleep(2.0)
        self.database.start()


def table(chaos: Chaos, fps: int) -> dict[str, dict[str, float]]:
    """By kind of fault: how often, the first results of cameras that were hit, the rates of the others."""
    found: dict[str, dict[str, float]] = {}
    by_kind: dict[str, list[Fault]] = defaultdict(list)
    for fault in chaos.done:
        by_kind[fault.kind].append(fault)
    for kind, faults in by_kind.items():
        late, rates, before = [], [], []
        for fault in faults:
            late += [chaos.results.first_after(name, fault.at) for name in fault.hit]
            spared = [name for name in chaos.cameras if name not in fault.hit]
            # Where the site or nobody is hit, all are to go on; where the last worker is, there are no others.
            others = list(chaos.cameras) if kind in ("site", "hang") else spared
            rates += [chaos.results.captured(name, fault.at, fault.until + 10.0) / fps for name in others]
            before += [chaos.results.captured(name, fault.at - 20.0, fault.at) / fps for name in others]
        there = [value for value in late if value is not None]
        found[kind] = {
            "count": len(faults),
            "first_median": round(median(there), 1) if there else 0.0,
            "first_longest": round(max(there), 1) if there else 0.0,
            "never": len(late) - len(there),
            "others_median": round(median(rates), 3) if rates else 0.0,
            "others_least": round(min(rates), 3) if rates else 0.0,
            "before_median": round(median(before), 3) if before else 0.0,
        }
    return found


def prepare(folder: Path, args: argparse.Namespace) -> Path:
    """Cameras, models and the cameras file."""
    (folder / "boxes").mkdir()
    tiny = support("reid/conftest")
    colours = InputFormat(height=tiny.HEIGHT, width=tiny.WIDTH, color="rgb", scale=(1 / 127.5,) * 3, bias=(-1.0,) * 3)
    bundle = tiny.write_tiny_bundle(folder, input=colours)
    cameras = [
        {"name": f"cam{n}", "uri": str(street(folder, f"cam{n}", n // 2, args.fps)), "live": True, "repeat": 1000}
        for n in range(args.cameras)
    ]
    data = {
        "cameras": cameras,
        "detector": {"model": f"mot:{folder / 'boxes'}"},
        "engine": {"model": str(bundle.folder)},
        "gallery": {"store": f"postgresql://test@{HEAD}:{args.port}/postgres"},
        "cluster": {"address": "auto", "workers": 2},
        "output": {"parquet": False},
    }
    path = folder / "cams.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def run(args: argparse.Namespace, folder: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    """All of it; the figures, with what is wrong."""
    stack.enter_context(network())
    database = support("gallery/conftest").PostgresServer(folder, f"listen_addresses={HEAD},127.0.0.1")
    args.port = database.port
    with open(database.data / "pg_hba.conf", "a") as file:
        file.write(f"host all all {NETWORK}.0/24 trust\n")
    database.start()
    stack.callback(database.stop)
    cluster = Cluster(folder, args.storage)
    stack.callback(cluster.stop)
    if args.nice is not None:
        stack.callback(Repeated(lambda: cluster.prefer(args.nice), 2.0).stop)
    for machine in ("head", "one", "two"):
        if not cluster.start(machine):
            raise SystemExit(f"Ray does not start on {machine}, see ray-{machine}.log (--logs)")
    yaml_path, out = prepare(folder, args), folder / "out"
    log = stack.enter_context((folder / "streamreid.log").open("wb"))
    words = [sys.executable, "-m", "streamreid", "serve", str(yaml_path), "--out", str(out), "--listen", "8123"]
    command = subprocess.Popen(
        cluster.inside("one", *words), env=cluster.env, stdout=log, stderr=log, cwd=folder, start_new_session=True
    )
    stack.callback(command.kill)
    results = Results(out / "results.jsonl")
    address = f"postgresql://test@{HEAD}:{database.port}/postgres"
    deadline = time.monotonic() + START
    names = [f"cam{n}" for n in range(args.cameras)]
    while not all(len(results.seen[name]) > 10 for name in names):
        if time.monotonic() > deadline or command.poll() is not None:
            raise SystemExit(f"it does not begin:\n{(folder / 'streamreid.log').read_text()[-3000:]}")
        time.sleep(0.2)
    chaos = Chaos(cluster, database, PostgresLeases(address, site=f"one:{out}"), results, names, args.cut)
    wrong, began = _faults(args, chaos, command)
    command.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        command.wait(60)
    results.stop()
    return _report(args, chaos, address, wrong, began)


def _faults(args: argparse.Namespace, chaos: Chaos, command: Any) -> tuple[list[str], float]:
    dice, began, wrong = random.Random(args.seed), time.monotonic(), []
    round_: list[str] = []
    due = began + 5.0
    while due < began + 60 * args.minutes - args.cut:
        time.sleep(max(0.0, due - time.monotonic()))
        if not round_:
            round_ = dice.sample(args.faults, len(args.faults))
        try:
            chaos.fault(round_.pop(), dice)
        except (StreamReIDError, StopIteration, OSError) as error:
            print(f"left out: {error}", file=sys.stderr)
        if command.poll() is not None:
            wrong.append(f"the command ended with {command.returncode}")
            break
        due = max(due + args.every, time.monotonic() + 12.0)
    time.sleep(30)
    return wrong, began


def _report(args: argparse.Namespace, chaos: Chaos, address: str, wrong: list[str], began: float) -> dict[str, Any]:
    twice = owned_twice(chaos.leases.log())
    wrong += [f"owned twice: {one} {two}" for one, two in twice]
    wrong += check_rows(chaos.results.rows)
    bad = [fault.at for fault in chaos.done]
    with Gallery.open(address) as store:
        confirmed = [(when, who) for who, when in chaos.results.confirmed.items()]
        gallery, lost = check_gallery(store.identities(), store.resolve, {}, {}, confirmed, bad)
    wrong += lost
    return {
        "minutes": args.minutes,
        "seed": args.seed,
        "cameras": args.cameras,
        "fps": args.fps,
        "storage": args.storage,
        "table": table(chaos, args.fps),
        "leases": len(chaos.leases.log()),
        "owned_twice": len(twice),
        "frames": sum(map(len, chaos.results.seen.values())),
        "gallery": gallery,
        "timeline": [(round(f.at - began, 1), f.kind, round(f.until - began, 1), f.hit) for f in chaos.done],
        "wrong": wrong,
    }


def show(found: dict[str, Any]) -> None:
    """The table, for people."""
    print(f"{'fault':10} {'times':>5} {'first result s (median, longest)':>34} ", end="")
    print(f"{'others (median, least)':>26} {'before':>7}")
    for kind, row in found["table"].items():
        first = f"{row['first_median']:.1f} {row['first_longest']:.1f}" if row["first_longest"] else "-"
        if row["never"]:
            first += f", {row['never']} never"
        print(f"{kind:10} {row['count']:5.0f} {first:>34} ", end="")
        print(f"{row['others_median']:18.3f} {row['others_least']:7.3f} {row['before_median']:7.3f}")
    print(json.dumps({k: v for k, v in found.items() if k not in ("table", "timeline", "wrong")}))
    print("\n".join(found["wrong"][:30]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fps", type=int, default=3)
    parser.add_argument("--cut", type=float, default=60.0, help="seconds of the long cut")
    parser.add_argument("--storage", choices=("rocksdb", "redis", "memory"), default="rocksdb")
    parser.add_argument(
        "--faults", type=chosen_of(KINDS), default=KINDS, metavar="A,B", help=f"only these: {', '.join(KINDS)}"
    )
    parser.add_argument("--nice", type=int, help="priority of all of it on a machine that does other work, as -10")
    parser.add_argument("--logs", type=Path, help="keep what the processes printed in this folder")
    add_json(parser, "cluster_chaos")
    args = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("ip") is None:
        sys.exit("needs root and `ip netns`")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that nothing is left behind
    print(f"load {os.getloadavg()[0]:.1f} on {socket.gethostname()}", file=sys.stderr)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="cc", dir=memory) as text, contextlib.ExitStack() as stack:
        folder = Path(text)
        folder.chmod(0o755)  # the database is another user's
        try:
            found = run(args, folder, stack)
        finally:
            if args.logs is not None:
                args.logs.mkdir(parents=True, exist_ok=True)
                for path in folder.glob("*.log"):
                    shutil.copy(path, args.logs)
                for path in folder.glob("ray-*/session_*/logs/*"):
                    if path.is_file() and path.name.startswith(("gcs_server", "raylet", "worker-", "python-core")):
                        kept = args.logs / path.relative_to(folder).parts[0]
                        kept.mkdir(exist_ok=True)
                        shutil.copy(path, kept)
                if (folder / "out" / "results.jsonl").exists():
                    shutil.copy(folder / "out" / "results.jsonl", args.logs)
    figures = {f"{kind}.{key}": value for kind, row in found["table"].items() for key, value in row.items()}
    save_asked(args, {**figures, **{key: found[key] for key in ("minutes", "owned_twice", "frames")}})
    show(found)
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
