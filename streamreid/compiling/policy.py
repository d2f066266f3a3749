"""Which compiled form of a graph runs here: compare the plan with this machine, then rebuild it, fall back, or stop, as
configured."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from streamreid._startup import starting
from streamreid.compiling.machine import differences, find_gpu, fingerprint
from streamreid.compiling.records import PLAN_TARGETS, BuildRecord, DeviceFingerprint, VariantKey
from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.files import atomic_write
from streamreid.runtimes import GraphFiles, ImageInput, Runtime, external_data, graph_sha256, load_runtime
from streamreid.weights import cache_folder, sha256_file

__all__ = ["CompiledGraph", "LoadOptions", "Mismatch", "open_build", "open_graph"]

log = logging.getLogger(__name__)

Mismatch = Literal["rebuild", "fallback", "stop"]
Proof = Callable[[Runtime, BuildRecord], Sequence[str]]
"""Says what is wrong with a compiled form, one sentence each."""

_LIBRARY = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
# A plan of TensorRT for RTX is finished by the driver of whatever GPU loads it.
_PORTABLE = ("device ", "compute capability ", "driver ")


@dataclass(frozen=True, slots=True)
class CompiledGraph:
    """A graph in all the forms that its bundle holds.

    Args:
        folder: Where the bundle lies.
        model: Name of the reference graph.
        files: Name -> SHA-256 of every file.
        variants: "runtime/precision", or a precision for all runtimes, -> name of an ONNX graph with that precision
            inside.
        builds: "target/precision" -> how it was made and how near it is to the reference.
        identity: Hash of the reference: forms of equal identity give features that may be compared.
        program: Name of the network as a torch program, for the torch runtime.
    """

    folder: Path
    model: str
    files: Mapping[str, str]
    variants: Mapping[VariantKey, str]
    builds: Mapping[str, BuildRecord]
    identity: str
    program: str | None = None

    @property
    def checksum(self) -> str:
        """SHA-256 of the reference, with the files that hold its weights where there are any."""
        return (
            graph_sha256(self.folder / self.model)
            if external_data(self.folder / self.model)
            else self.files.get(self.model, "")
        )

    def graphs(self, plan: Path | None = None, record: BuildRecord | None = None) -> GraphFiles:
        """As the runtimes want it, without what was compiled from another graph than the one that is there now."""
        checksum = self.checksum
        stale = {r.graph for r in self.builds.values() if r.weights != checksum}
        for name in stale & set(self.variants.values()):
            log.warning(
                "%s: %s is left out, because it was made from another graph than %s", self.folder.name, name, self.model
            )
        return GraphFiles(
            model=self.folder / self.model,
            variants={precision: self.folder / name for precision, name in self.variants.items() if name not in stale},
            plan=plan,
            checkpoint=None if self.program is None else self.folder / self.program,
            verified={
                key: r.parity.passed for key, r in self.builds.items() if r.parity is not None and r.graph not in stale
            },
            max_batch=None if record is None else record.max_batch,
            identity=self.identity,
            library=None if record is None else _LIBRARY[record.target],
            plan_precision="" if record is None else record.found.precision,
        )


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a graph is to run; see ``EngineConfig``.

    Args:
        runtime: "auto" or the name of one.
        precision: "auto" or one.
        threads: Of one run, on CPUs.
        choose: How auto finds the fastest on a CPU.
        mode: "throughput" or "latency".
    """

    runtime: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    choose: str = "cached"
    mode: str = "throughput"

    @classmethod
    def of(cls, config: EngineConfig) -> LoadOptions:
        """The options that the section ``engine`` or ``detector`` of a configuration asks for."""
        return cls(config.runtime, config.precision, config.threads, config.choose, config.mode)

    def load(self, files: GraphFiles, image: ImageInput | None, **changes: str) -> Runtime:
        """Hand over to the runtimes."""
        return load_runtime(files, image=image, **{**asdict(self), **changes})


def open_graph(
    graph: CompiledGraph,
    options: LoadOptions | None = None,
    *,
    on_mismatch: Mismatch = "rebuild",
    image: ImageInput | None = None,
    failures: Proof | None = None,
) -> Runtime:
    """Open the best form that works here: TensorRT, OpenVINO, ONNX Runtime, torch, in that order.

    Args:
        graph: The bundle's graph.
        options: Runtime, precision and the like.
        on_mismatch: What to do with a plan that was built for another machine.
        image: Take uint8 BGR pictures and convert them so.
        failures: Compares a plan that was rebuilt here with the reference; what it finds wrong keeps the plan from
            being used.

    Raises:
        EngineError: Nothing works, what was asked for does not, or the plan is for another machine and ``on_mismatch``
            is "stop".
    """
    options = options or LoadOptions()
    runtime, precision = options.runtime, options.precision
    files = graph.graphs()
    record = _plan_record(graph, precision) if runtime in ("auto", "tensorrt") else None
    if record is None and runtime == "tensorrt":
        raise EngineError(
            f"{graph.folder}: holds no TensorRT plan{'' if precision == 'auto' else f' in {precision}'}; build one "
            f"with: streamreid build-engine {graph.folder} --target tensorrt"
        )
    if record is not None:
        try:
            with starting(f"TensorRT plan of {graph.folder.name}"):
                plan = _plan_for_here(graph, record, on_mismatch)
            opened = options.load(graph.graphs(plan, record), image, runtime="tensorrt")
            _confirm(plan, graph, opened, record, failures)
            return opened
        except _Stop as stop:
            raise EngineError(str(stop)) from None
        except EngineError as error:
            if runtime == "tensorrt":
                raise
            log.log(
                logging.INFO if find_gpu() is None else logging.WARNING,
                "%s: not TensorRT, because %s",
                graph.folder.name,
                error,
            )
    if on_mismatch == "stop" and precision == "auto":
        files = _proven_here(graph, files)
    loaded = options.load(files, image)
    _check_proof(graph, loaded, on_mismatch)
    return loaded


def open_build(
    graph: CompiledGraph, key: str, *, image: ImageInput | None = None, threads: int | None = None
) -> Runtime:
    """Open exactly one compiled form, as it is, on this machine.

    Raises:
        EngineError: No such form, it does not run here, or it would compute in another precision than its name says.
    """
    if key not in graph.builds:
        known = ", ".join(graph.builds) or "none"
        raise EngineError(f"{graph.folder}: holds no engine '{key}'; it holds: {known}")
    record = graph.builds[key]
    if record.target in PLAN_TARGETS:
        return LoadOptions("tensorrt").load(graph.graphs(_plan_for_here(graph, record, "stop"), record), image)
    _check_weights(graph, record)
    loaded = LoadOptions(record.target, record.precision, threads).load(graph.graphs(), image)
    if loaded.precision != record.precision:
        raise EngineError(
            f"{graph.folder}: {record.target} would compute in {loaded.precision} on this machine, not in "
            f"{record.precision} as asked"
        )
    return loaded


def _proven_here(graph: CompiledGraph, files: GraphFiles) -> GraphFiles:
    """Without the graphs of lower precision whose proof is another machine's: who is strict gets the reference graph,
    not an error."""
    foreign = set()
    for key, record in graph.builds.items():
        if record.target not in PLAN_TARGETS and record.graph != graph.model:
            with suppress(EngineError):  # the runtime is not installed: then it is not taken anyway
                if differences(record.fingerprint, fingerprint(record.target)):
                    foreign.add(key)
    for key in sorted(foreign & set(files.verified)):
        log.info(
            "%s: %s is left out, because it was proven on another machine and engine.on_mismatch is stop",
            graph.folder.name,
            key,
        )
    return replace(files, verified={key: good and key not in foreign for key, good in files.verified.items()})


def _check_proof(graph: CompiledGraph, loaded: Runtime, on_mismatch: Mismatch) -> None:
    """A form that compiles when it loads has no plan to misfit, but its proof is another machine's."""
    record = graph.builds.get(f"{loaded.name}/{loaded.precision}")  # type: ignore[call-overload, unused-ignore]
    if record is None:
        return
    if record.parity is not None and not record.parity.passed:
        log.warning("%s: %s missed its thresholds: %s", graph.folder, record.key, "; ".join(record.parity.failures))
    found = differences(record.fingerprint, fingerprint(record.target))
    if found:
        sentence = f"{graph.folder}: {record.key} was proven on another machine: {', '.join(found)}"
        advice = f"prove it here with: streamreid engine verify {graph.folder} --only {record.key}"
        if on_mismatch == "stop":
            raise EngineError(f"{sentence}; {advice}, or set engine.on_mismatch to fallback")
        log.info("%s; %s", sentence, advice)


class _Stop(EngineError):
    """The configuration wants no other way out."""


def _plan_record(graph: CompiledGraph, precision: str) -> BuildRecord | None:
    """The plan that was built last, of the wanted precision, leaving out those that failed their parity."""
    fitting = [r for r in graph.builds.values() if r.plan and precision in ("auto", r.precision)]
    good = [r for r in fitting if r.parity is None or r.parity.passed]
    for record in fitting:
        if record not in good and record.parity is not None:
            log.warning(
                "%s: the plan %s is left out: %s", graph.folder.name, record.plan, "; ".join(record.parity.failures)
            )
    return good[-1] if good else None


def _plan_for_here(graph: CompiledGraph, record: BuildRecord, on_mismatch: Mismatch) -> Path:
    """The plan to load, rebuilt if need be."""
    _check_weights(graph, record)
    here = fingerprint(record.target)
    if find_gpu() is None:
        raise EngineError(f"{record.target}: no NVIDIA GPU, or no driver for it, on this machine")
    found = _differences(record, here)
    if not found:
        assert record.plan is not None
        return graph.folder / record.plan
    sentence = f"{graph.folder}: the plan {record.plan} was built for another machine: {', '.join(found)}"
    if on_mismatch == "stop":
        raise _Stop(
            f"{sentence}. Build it here with: streamreid build-engine {graph.folder} --target {record.target} "
            f"--precision {record.precision}, or set engine.on_mismatch to rebuild or fallback"
        )
    if on_mismatch == "fallback":
        raise EngineError(sentence)
    return _rebuilt(graph, record, here, sentence)


def _differences(record: BuildRecord, here: DeviceFingerprint) -> list[str]:
    found = differences(record.fingerprint, here)
    return [f for f in found if not f.startswith(_PORTABLE)] if record.target == "tensorrt-rtx" else found


def _rebuilt(graph: CompiledGraph, record: BuildRecord, here: DeviceFingerprint, sentence: str) -> Path:
    """Compile once per machine; kept in the cache, because the bundle itself may not be ours to write."""
    from streamreid.compiling.tensorrt_builder import build_plan, profile_of

    name = "-".join(
        p for p in (record.precision, here.library, here.library_version, here.compute_capability, here.driver) if p
    )
    place = (
        cache_folder()
        / "plans"
        / _graph_checksum(graph, record.graph)[:16]
        / f"{name}-{record.max_batch}.plan".replace(" ", "_").replace("/", "_")
    )
    mark = place.with_suffix(".sha256")
    if place.is_file() and mark.is_file() and mark.read_text(encoding="utf-8") == sha256_file(place):
        log.info("%s; using the one that was rebuilt here before", sentence)
        return place
    log.warning("%s; rebuilding it, once, which may take minutes", sentence)
    source = graph.folder / record.graph
    plan = build_plan(source, record.target, profile_of(source, record.max_batch, record.size))
    if plan.found.precision != record.found.precision:
        raise EngineError(
            f"{graph.folder}: the rebuilt plan computes in {plan.found.precision}, not in {record.found.precision}"
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(place, part=place.with_name(f"{place.name}.{os.getpid()}")) as part:
            part.write_bytes(plan.data)
            mark.unlink(missing_ok=True)
    except OSError as error:
        raise EngineError(f"{place}: the rebuilt plan cannot be written ({error.strerror or error})") from None
    return place


def _graph_checksum(graph: CompiledGraph, name: str) -> str:
    return graph.checksum if name == graph.model else graph.files[name]


def _confirm(plan: Path, graph: CompiledGraph, opened: Runtime, record: BuildRecord, failures: Proof | None) -> None:
    """Mark a rebuilt plan as good once it was compared with the reference; one without a mark is built again next
    time."""
    mark = plan.with_suffix(".sha256")
    if plan.parent == graph.folder or mark.is_file():
        return
    found = failures(opened, record) if failures is not None else ()
    if found:
        raise EngineError(
            f"{graph.folder}: the plan that was rebuilt for this machine is too far from its reference: "
            f"{'; '.join(found)}"
        )
    with suppress(OSError):
        mark.write_text(sha256_file(plan), encoding="utf-8")


def _check_weights(graph: CompiledGraph, record: BuildRecord) -> None:
    if graph.checksum != record.weights:
        raise EngineError(
            f"{graph.folder}: '{record.key}' was compiled from another graph than the one beside it (sha256 "
            f"{record.weights[:16]}..., {graph.model} has {graph.checksum[:16]}...); build it again with: streamreid "
            f"build-engine {graph.folder}"
        )
