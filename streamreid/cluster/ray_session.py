"""A connection to a Ray cluster: started on this machine or joined, with errors that say what to do."""

from __future__ import annotations

import logging
import math
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, TypeVar

from streamreid._startup import starting
from streamreid._version import __version__
from streamreid.cluster import ray_probe
from streamreid.cluster.machines import Machine, Report, check_alone
from streamreid.cluster.ray_errors import first_line, heard, reach, refused, within
from streamreid.config import ClusterConfig, DetectorConfig
from streamreid.errors import ClusterError, MissingExtraError
from streamreid.runtimes.base import available_threads

__all__ = ["NAMESPACE", "RaySession", "ray_module"]

log = logging.getLogger(__name__)
_T = TypeVar("_T")

NAMESPACE = "streamreid"
"""Of Ray's names of workers, by which `streamreid cluster status` finds them."""

STATUS_SECONDS = 3.0
"""How long a worker may take to say how it is doing."""

JOIN_SECONDS = 60.0
"""How long joining a cluster may take after that: Ray starts processes, which takes seconds, and more on a busy
machine."""

PROBE_SECONDS = 120.0
"""How long a machine may take to say what is installed there. A new process imports streamreid meanwhile."""

LOOK_SECONDS = 2.0
"""Seconds between looks at the head."""

HEAD_SECONDS = 40.0
"""How long a head may be away before a batch ends."""

STORE_BYTES = 80 * 2**20
"""Object store of a cluster that is started here. Nothing but settings, results and copies of models goes through it;
less than 75 MiB is refused by Ray."""

_LONGEST_SOCKET_FOLDER = 50
"""Characters of a folder in which Ray's sockets can lie: their paths may have 107, and Ray adds 57."""


def ray_module() -> ModuleType:
    """Ray.

    Raises:
        MissingExtraError: It is not installed.
    """
    # Statistics of use would go to the network. Under `uv run`, Ray would install packages on every machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    # Three tries of two or three seconds each, instead of thirty seconds in all.
    os.environ.setdefault("RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S", "2")
    os.environ.setdefault("RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S", "3")
    # Where the head is away, what runs goes on, and so does this process. Ray would end it after a minute.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "86400")
    try:
        return import_module("ray")
    except ImportError:
        raise MissingExtraError("ray", "cluster", "a cluster") from None


class RaySession:
    """Ray for as long as this is entered. A Ray that this process uses already is used, and left running.

    Args:
        config: ``address`` says which cluster.
        workers: For how many workers a cluster that is started here has room; by default as the configuration says.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: The cluster cannot be reached, or has another version of Ray or Python (when entered).
    """

    def __init__(self, config: ClusterConfig, *, workers: int | None = None) -> None:
        self.config = config.sized(available_threads(), workers or config.workers)
        self._workers = workers or config.workers or 1
        _send_token(config.address)
        self.ray = ray_module()
        self._own = False
        self._folder: Path | None = None
        self._head: tuple[str, int] | None = None
        self._looked = 0.0
        self._away_since: float | None = None

    def __enter__(self) -> RaySession:
        if not self.ray.is_initialized():
            logging.getLogger("ray").setLevel(logging.ERROR)  # it recommends itself
            with starting(f"Ray ({self.config.address})"), _signals_kept():
                self._begin()
            self._own = True
            _own_words(self.ray)
            if self._folder is None and os.environ.get("RAY_AUTH_MODE") != "token":
                log.warning(
                    "the cluster (%s) asks for no token: whoever reaches its ports can run programs on its machines; "
                    "see docs/cluster.md",
                    self.config.address,
                )
        context = self.ray.get_runtime_context()
        if not self.ray.util.client.ray.is_connected():  # a client learns it from its connection
            host, _, port = context.gcs_address.rpartition(":")
            self._head = (host, int(port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own:
            self._own = False
            # Without a head, Ray waits for minutes to say goodbye to it.
            within(self.ray.shutdown, 20.0, "Ray does not end")
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> None:
        address = self.config.address or "local"
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        try:
            if address == "local":
                self._start_here(quiet)
            elif address == "auto":
                self._join_here(quiet)
            else:
                reach(address)
                self._join_head(address, quiet)
        except ClusterError:
            raise
        except Exception as error:  # Ray raises many kinds
            raise ClusterError(refused(address, error)) from error

    def _start_here(self, quiet: Mapping[str, Any]) -> None:
        check_alone(self.config, available_threads(), _gpus_here())  # before Ray is started, which takes seconds
        cores = max(available_threads(), math.ceil(self._workers * self.config.cores))
        if len(tempfile.gettempdir()) > _LONGEST_SOCKET_FOLDER:
            self._folder = Path(tempfile.mkdtemp(prefix="streamreid-ray-", dir="/tmp"))
        else:
            self._folder = Path(tempfile.mkdtemp(prefix="streamreid-ray-"))
        start = partial(
            self.ray.init,
            "local",
            num_cpus=cores,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            _temp_dir=str(self._folder),
            **quiet,
        )
        try:
            start()
        except Exception as error:  # Ray's own kind: it gives itself 30 s, which is little on a busy machine
            if "timed out during startup" not in str(error):
                raise
            self.ray.shutdown()
            start()

    def _join_here(self, quiet: Mapping[str, Any]) -> None:
        services = import_module("ray._private.services")
        # Ray would try for minutes where the head is gone, or where no process of a cluster runs on this machine.
        try:
            found = services.get_ray_address_from_environment("auto", None)
            if found.startswith("ray://"):
                self._join_head(found, quiet)
                return
            reach(found)
            if not services.find_gcs_addresses():
                raise ConnectionError(found)
        except ConnectionError:
            raise ClusterError(
                f"no Ray cluster on this machine ({socket.gethostname()}): start one (ray start --head), join one (ray "
                "start --address HEAD:6379), name one (ray://HEAD:10001), or let streamreid start one (local)"
            ) from None
        try:
            self.ray.init(found, **quiet)
        except ConnectionError:
            raise ClusterError(
                f"the head of the cluster at {found} listens, but does not accept this process. Most likely it asks "
                "for another token: copy ~/.ray/auth_token of the head to this machine, or set RAY_AUTH_TOKEN. Else "
                "see whether it is well (ray status)"
            ) from None

    def _join_head(self, address: str, quiet: Mapping[str, Any]) -> None:
        with heard("ray.util.client.worker") as said, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that ports may be closed, whatever it is
            try:
                within(
                    lambda: self.ray.init(address, **quiet),
                    JOIN_SECONDS,
                    f"the cluster at {address} accepts connections but does not answer",
                )
            except ConnectionError as error:
                reasons = [text.partition("init: ")[2] for text in said if "init: " in text]
                raise ClusterError(
                    f"what listens at {address} does not answer as a Ray cluster does "
                    f"({reasons[-1] if reasons else error}). See whether this is the port for drivers (ray start "
                    "--ray-client-server-port), and whether the token of the head is on this machine "
                    "(~/.ray/auth_token, or RAY_AUTH_TOKEN)"
                ) from None

    def check_head(self) -> None:
        """Look whether the head is there; to be called about once a second. Ray itself says nothing for a minute, and
        then ends the process.

        Raises:
            ClusterError: It is away for so long that it has to be given up.
        """
        if self.head_away() > HEAD_SECONDS:
            assert self._head is not None
            raise ClusterError(
                f"the head of the cluster at {self._head[0]}, port {self._head[1]}, does not answer for "
                f"{HEAD_SECONDS:.0f} s. What is finished is kept; run the same command again when it is back"
            )

    def head_away(self) -> float:
        """Seconds since the head was last there; 0 while it is, and where a client cannot tell. Looks about every
        other second."""
        now = time.monotonic()
        if self._head is not None and now - self._looked >= LOOK_SECONDS:
            self._looked = now
            try:
                socket.create_connection(self._head, timeout=LOOK_SECONDS).close()
            except OSError:
                if self._away_since is None:
                    self._away_since = now
                    log.warning("the head of the cluster does not answer; workers go on as long as their machines do")
            else:
                if self._away_since is not None:
                    log.warning("the head of the cluster answers again")
                self._away_since = None
        return 0.0 if self._away_since is None else max(now - self._away_since, 1e-3)

    def check_node(self) -> None:
        """Look whether the Ray that was started on this machine still runs: nothing would start it again.

        Raises:
            ClusterError: It does not.
        """
        node = getattr(self.ray._private.worker, "_global_node", None) if self._own and self._folder else None
        if node is not None and any(kind == "raylet" for kind, _ in node.dead_processes()):
            raise ClusterError(
                f"the Ray that was started on this machine ({socket.gethostname()}) has ended, and all workers with it:"
                " it was killed, or memory ran out. What is finished is kept; run the same command again"
            )

    # ---------------------------------------------------------------- the machines

    def machines(self) -> list[Machine]:
        """The machines that are alive, sorted by name."""
        found = [
            Machine(
                str(node["NodeID"]),
                str(node["NodeManagerHostname"]),
                str(node["NodeManagerAddress"]),
                float(node["Resources"].get("CPU", 0)),
                float(node["Resources"].get("GPU", 0)),
                float(node["Resources"].get("memory", 0)),
                dict(node.get("Labels") or {}),
            )
            for node in self.ray.nodes()
            if node["Alive"]
        ]
        return sorted(found, key=lambda m: (m.name, m.address, m.node))

    def workers(self) -> dict[str, dict[str, Any] | None]:
        """How the workers of all runs and batches on this cluster are doing, by name; None for one that does not
        answer."""
        ray = self.ray
        asked = {}
        for actor in ray.util.list_named_actors(all_namespaces=True):
            if actor["namespace"] == NAMESPACE:
                try:
                    asked[actor["name"]] = ray.get_actor(actor["name"], NAMESPACE).status.remote()
                except ValueError:  # it ended meanwhile
                    continue
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=STATUS_SECONDS) if asked else None
        found: dict[str, dict[str, Any] | None] = {}
        for name, answer in sorted(asked.items()):
            try:
                found[name] = ray.get(answer, timeout=0.1)
            except ray.exceptions.RayError:
                found[name] = None
        return found

    def probe(
        self,
        machines: Sequence[Machine],
        paths: Sequence[str],
        detector: DetectorConfig,
        engine: str,
        versions: Mapping[str, str],
    ) -> list[Report]:
        """What machines say of themselves, all at once.

        Args:
            machines: Which.
            paths: Files and folders to look for there.
            detector: Whose file to look for.
            engine: The setting engine.model.
            versions: As `installed` gives them; a machine with others says nothing beyond its own.
        """
        self.ray.cloudpickle.register_pickle_by_value(ray_probe)
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        # No share of a processor: a machine answers also where all of them are taken.
        task = self.ray.remote(num_cpus=0, max_retries=1)(ray_probe.describe_machine)
        asked = (os.getcwd(), list(paths), detector.model_dump(mode="json"), engine, dict(versions))
        answers = [
            (machine, task.options(scheduling_strategy=strategy(machine.node, soft=False)).remote(*asked))
            for machine in machines
        ]
        deadline = time.monotonic() + PROBE_SECONDS
        reports = []
        for machine, answer in answers:
            try:
                said = self.ray.get(answer, timeout=max(0.1, deadline - time.monotonic()))
            except self.ray.exceptions.GetTimeoutError:
                problem = f"no answer within {PROBE_SECONDS:.0f} s; see whether it is reachable and not overloaded"
                reports.append(Report(machine, problem))
            except self.ray.exceptions.RayError as error:
                reports.append(Report(machine, f"cannot run a task: {first_line(error)}"))
            else:
                said.pop("models_problem", None)
                reports.append(Report(machine, **said))
        return reports


def _gpus_here() -> int | None:
    """GPUs that Ray will find on this machine; None if it cannot be asked before it runs."""
    try:
        accelerators = import_module("ray._private.accelerators")
        manager = accelerators.get_accelerator_manager_for_resource("GPU")
        found = int(manager.get_current_node_num_accelerators())
        visible = manager.get_current_process_visible_accelerator_ids()
    except Exception:  # Ray's own affair, which may change
        return None
    return found if visible is None else min(found, len(visible))


def _send_token(address: str | None) -> None:
    """A head asks for its token by default; who joins it sends one only if told to. A head that asks for none takes it,
    too. What this process is connected to already stays as it is."""
    ray = sys.modules.get("ray")
    if address in (None, "local") or "RAY_AUTH_MODE" in os.environ or (ray is not None and ray.is_initialized()):
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    if os.environ.get("RAY_AUTH_TOKEN") or path.is_file():
        os.environ["RAY_AUTH_MODE"] = "token"


def _own_words(ray: ModuleType) -> None:
    """What Ray says of lost workers it prints between the rows of our tables; the site logs the same in our words."""
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda data, **_: log.debug("Ray: %s", " ".join(data["lines"]))


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray makes SIGTERM end the process at once; what it did before counts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def installed() -> Mapping[str, str]:
    """Versions on this machine that must agree with those of all others."""
    return {"streamreid": __version__, "python": platform.python_version()}
