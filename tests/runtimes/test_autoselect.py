"""Which runtime and precision runs a graph: what may take part, what is measured, and what is remembered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from streamreid.errors import EngineError, MissingExtraError
from streamreid.runtimes import (
    GraphFiles,
    ImageInput,
    OpenVINORuntime,
    autoselect,
    compile_cache,
    factory,
    load_runtime,
    remeasure,
)
from streamreid.runtimes.autoselect import Choice, Settings, candidates, measure, recall
from streamreid.runtimes.base import TensorInfo
from streamreid.runtimes.compile_cache import CompiledGraphs

SHAPE = (3, 32, 16)


def write_graph(path: Path, *, quantised: bool = False, padding: int = 0) -> Path:
    """A convolution and a mean; with Q/DQ around the convolution if ``quantised``."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    values = {"w": weight, "unused": np.zeros(padding + 1, np.float32)}
    nodes, data, kernel = [], "x", "w"
    if quantised:
        values |= {
            "xs": np.float32(0.05),
            "xz": np.uint8(128),
            "q": np.clip(np.rint(weight / 0.03), -127, 127).astype(np.int8),
            "ws": np.full(8, 0.03, np.float32),
            "wz": np.zeros(8, np.int8),
        }
        del values["w"]
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
            helper.make_node("DequantizeLinear", ["q", "ws", "wz"], ["wd"], axis=0),
        ]
        data, kernel = "xd", "wd"
    nodes += [
        helper.make_node("Conv", [data, kernel], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["y"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceSum", ["unused"], ["u"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in values.items()],
    )
    graph.node.pop()  # what is unused only makes the file large
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def by_hand(data: np.ndarray) -> np.ndarray:
    """What the quantised graph says, in float64."""
    weight = (
        np.clip(np.rint(np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32) / 0.03), -127, 127) * 0.03
    )
    rounded = (np.clip(np.rint(data / np.float32(0.05)) + 128, 0, 255) - 128) * 0.05
    windows = np.lib.stride_tricks.sliding_window_view(rounded, (3, 3), axis=(2, 3))
    return np.maximum(np.einsum("nchwij,ocij->nohw", windows, weight), 0).mean((2, 3))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., GraphFiles]:
    """A graph in fp32 and int8, and a cache folder of its own."""
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    plain, quantised = write_graph(tmp_path / "m.onnx"), write_graph(tmp_path / "m.int8.onnx", quantised=True)

    def make(*verified: str, failed: str = "", identity: str = "abc") -> GraphFiles:
        known = dict.fromkeys(verified, True) | ({failed: False} if failed else {})
        return GraphFiles(plain, {"int8": quantised}, verified=known, identity=identity)

    return make


class TestCandidates:
    def test_int8_only_where_it_was_verified(
        self, files: Callable[..., GraphFiles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(autoselect, "cpu_flags", lambda: frozenset({"avx512_vnni"}))
        assert [str(c) for c in candidates(files())] == ["openvino in fp32", "onnxruntime in fp32"]
        both = candidates(files("openvino/int8", "onnxruntime/int8"))
        assert both[0] == Choice("openvino", "int8")
        assert Choice("onnxruntime", "int8") in both
        assert Choice("onnxruntime", "int8") not in candidates(files("openvino/int8"))
        assert all(c.precision != "int8" for c in candidates(files(failed="openvino/int8")))

    @pytest.mark.parametrize("flags", [{"avx2"}, {"avx2", "avx512_bf16"}, {"asimddp"}, set()])
    def test_int8_only_where_the_cpu_is_known_to_have_vnni(
        self, files: Callable[..., GraphFiles], monkeypatch: pytest.MonkeyPatch, flags: set[str]
    ) -> None:
        monkeypatch.setattr(autoselect, "cpu_flags", lambda: frozenset(flags))
        proven = files("openvino/int8", "onnxruntime/int8")
        assert all(c.precision != "int8" for c in candidates(proven))
        assert candidates(proven, "openvino", "int8") == [Choice("openvino", "int8")]  # but who asks for it gets it
        monkeypatch.setattr(autoselect, "cpu_flags", lambda: frozenset(flags | {"avx_vnni"}))
        assert candidates(proven)[0] == Choice("openvino", "int8")

    def test_bf16_where_the_cpu_has_it_or_does_not_say(
        self, files: Callable[..., GraphFiles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for flags, first in (({"avx512_bf16"}, "bf16"), (set(), "auto"), ({"avx2"}, "fp32")):
            monkeypatch.setattr(autoselect, "cpu_flags", lambda flags=flags: frozenset(flags))
            found = candidates(files(), "openvino")
            assert found[0] == Choice("openvino", first)
            assert found[-1] == Choice("openvino", "fp32")

    def test_bf16_can_be_forbidden(self, files: Callable[..., GraphFiles], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(autoselect, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
        assert candidates(files(failed="openvino/bf16"), "openvino") == [Choice("openvino", "fp32")]

    def test_what_is_asked_for_is_what_is_tried(self, files: Callable[..., GraphFiles]) -> None:
        assert candidates(files(), "onnxruntime", "int8") == [Choice("onnxruntime", "int8")]
        assert candidates(files(), "auto", "fp32") == [Choice("openvino", "fp32"), Choice("onnxruntime", "fp32")]

    def test_a_form_of_the_runtime_s_own_comes_first(self, files: Callable[..., GraphFiles], tmp_path: Path) -> None:
        own = GraphFiles(tmp_path / "a", {"openvino/int8": tmp_path / "b", "int8": tmp_path / "c"})
        assert own.graph("openvino", "int8") == tmp_path / "b"
        assert own.graph("onnxruntime", "int8") == tmp_path / "c"
        assert own.graph("openvino", "fp16") is None


class Paced:
    """A runtime that takes as long as it is told."""

    metadata: dict[str, str] = {}  # noqa: RUF012
    outputs = (TensorInfo("y", (None, 8)),)

    def __init__(
        self, clock: list[float], choice: Choice, cost: float, shape: tuple[int | None, ...] = (None, *SHAPE)
    ) -> None:
        self.name, self.precision, self._clock, self._cost = choice.runtime, choice.precision, clock, cost
        self.inputs = (TensorInfo("x", shape),)
        self.calls: list[np.ndarray] = []

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        self.calls.append(batch)
        self._clock[0] += self._cost
        return [np.zeros((len(batch), 8), np.float32)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(autoselect.time, "perf_counter", lambda: now[0])
    return now


class TestMeasuring:
    CHOICES = (Choice("openvino", "int8"), Choice("openvino", "auto"), Choice("onnxruntime", "fp32"))

    def test_the_fastest_is_taken_and_remembered(
        self, files: Callable[..., GraphFiles], clock: list[float], caplog: pytest.LogCaptureFixture
    ) -> None:
        cost = dict(zip(self.CHOICES, (0.3, 0.1, 0.9), strict=True))
        graph, settings = files("openvino/int8"), Settings(threads=2, pictures=True)
        assert recall(graph, self.CHOICES, settings) is None
        with caplog.at_level(logging.INFO, "streamreid"):
            found = measure(graph, self.CHOICES, settings, lambda c: Paced(clock, c, cost[c]))
        assert found == Choice("openvino", "auto")
        assert (
            "openvino in auto, measured as the fastest here (openvino in auto 6.25 ms, openvino in int8 18.75 ms"
            in caplog.text
        )
        assert clock[0] < 3 * 6.0 + sum(cost.values())
        assert recall(graph, self.CHOICES, settings) == found

    def test_a_memory_holds_for_the_same_graph_machine_and_settings_only(
        self, files: Callable[..., GraphFiles], clock: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = Settings(threads=2)
        measure(files(), self.CHOICES, settings, lambda c: Paced(clock, c, 0.1))
        assert recall(files(), self.CHOICES, settings) is not None
        assert recall(files(identity="other"), self.CHOICES, settings) is None
        assert recall(files(), self.CHOICES[:2], settings) is None
        assert recall(files(), self.CHOICES, Settings(threads=1)) is None
        assert recall(files(), self.CHOICES, Settings(threads=2, mode="latency")) is None
        monkeypatch.setattr(autoselect, "machine_key", lambda: "another")
        assert recall(files(), self.CHOICES, settings) is None

    def test_a_damaged_memory_is_no_memory(
        self, files: Callable[..., GraphFiles], clock: list[float], tmp_path: Path
    ) -> None:
        measure(files(), self.CHOICES, Settings(), lambda c: Paced(clock, c, 0.1))
        (file,) = (tmp_path / "cache/choices").iterdir()
        for text in ("{", "[]", '{"format": 1, "choice": ["tpu", "fp4"]}', '{"format": 0}'):
            file.write_text(text)
            assert recall(files(), self.CHOICES, Settings()) is None

    def test_without_identity_nothing_is_remembered(
        self, files: Callable[..., GraphFiles], clock: list[float], tmp_path: Path
    ) -> None:
        assert measure(files(identity=""), self.CHOICES, Settings(), lambda c: Paced(clock, c, 0.1)) in self.CHOICES
        assert not (tmp_path / "cache").exists()

    def test_what_does_not_load_is_left_out(self, files: Callable[..., GraphFiles], clock: list[float]) -> None:
        def open_choice(choice: Choice) -> Any:
            if choice.precision == "int8":
                raise EngineError("no such graph")
            return Paced(clock, choice, 0.2 if choice.runtime == "openvino" else 0.1)

        assert measure(files(), self.CHOICES, Settings(), open_choice) == Choice("onnxruntime", "fp32")

        def refuse(choice: Choice) -> Any:
            raise EngineError("nothing loads")

        assert measure(files(), self.CHOICES, Settings(), refuse) is None

    def test_pictures_of_any_size_cannot_be_measured(
        self, files: Callable[..., GraphFiles], clock: list[float]
    ) -> None:
        assert measure(files(), self.CHOICES, Settings(), lambda c: Paced(clock, c, 0.1, (None, 3, None, None))) is None


class TestLoading:
    def test_measured_anew_when_asked(
        self, files: Callable[..., GraphFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = factory.measure
        monkeypatch.setattr(factory, "measure", lambda *a, **k: real(*a, **k, seconds=0.05))
        told = remeasure(files("openvino/int8"), threads=1)
        (file,) = (tmp_path / "cache/choices").iterdir()
        written = file.stat().st_mtime_ns
        assert told in file.read_text()
        assert remeasure(files("openvino/int8"), threads=1)
        assert file.stat().st_mtime_ns > written
        loaded = load_runtime(files("openvino/int8"), threads=1)
        assert loaded.name in file.read_text()
        with pytest.raises(EngineError, match="no such file"):
            remeasure(tmp_path / "absent.onnx")

    def test_measure_once_then_use(
        self, files: Callable[..., GraphFiles], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(autoselect, "_SECONDS", 0.0)
        graph = files("openvino/int8", "onnxruntime/int8")
        assert load_runtime(graph, threads=1, choose="rule").name == "openvino"
        measured: list[object] = []
        real = factory.measure
        monkeypatch.setattr(factory, "measure", lambda *a, **k: measured.append(1) or real(*a, **k, seconds=0.05))
        load_runtime(graph, threads=1)
        assert not measured  # an ordinary start never measures
        first = load_runtime(graph, threads=1, choose="measure")
        assert len(measured) == 1
        with caplog.at_level(logging.INFO, "streamreid"):
            again = load_runtime(graph, threads=1, choose="measure")
            cached = load_runtime(graph, threads=1)
        assert len(measured) == 1
        assert (first.name, first.precision) == (again.name, again.precision) == (cached.name, cached.precision)
        assert "measured as the fastest on this machine" in caplog.text

    @pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
    @pytest.mark.parametrize("mode", ["throughput", "latency"])
    def test_int8_computes_what_its_graph_says(self, files: Callable[..., GraphFiles], runtime: str, mode: str) -> None:
        graph = files()
        loaded = load_runtime(graph, runtime=runtime, precision="int8", threads=2, mode=mode)
        assert (loaded.name, loaded.precision) == (runtime, "int8")
        data = np.random.default_rng(1).normal(size=(37, *SHAPE)).astype(np.float32)
        (found,) = loaded(data)
        expected = by_hand(data)
        assert found.shape == (37, 8)
        np.testing.assert_allclose(found, expected, atol=0.02)  # what is not quantised may run in bf16
        plain = load_runtime(graph, runtime=runtime, precision="fp32", threads=2, mode=mode)
        assert plain.precision == "fp32"
        assert np.abs(plain(data)[0] - found).max() > 1e-5

    @pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
    def test_int8_of_a_graph_that_has_none(self, files: Callable[..., GraphFiles], runtime: str) -> None:
        with pytest.raises(EngineError, match="no int8 layers"):
            load_runtime(files().model, runtime=runtime, precision="int8")

    def test_a_missing_variant_falls_back_in_auto(
        self, files: Callable[..., GraphFiles], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            autoselect, "cpu_flags", lambda: frozenset({"avx512_vnni"})
        )  # without VNNI, auto would not want int8
        graph = files("openvino/int8")
        graph.variants["int8"].unlink()
        with caplog.at_level(logging.INFO, "streamreid"):
            assert load_runtime(graph).precision in ("bf16", "fp32")
        assert "no such file" in caplog.text

    def test_a_plan_without_a_gpu_goes_on_to_the_cpu(
        self, files: Callable[..., GraphFiles], caplog: pytest.LogCaptureFixture
    ) -> None:
        graph = files()
        with_plan = GraphFiles(graph.model, plan=graph.model.with_suffix(".plan"), library="no_such_tensorrt")
        with caplog.at_level(logging.INFO, "streamreid"):
            assert load_runtime(with_plan).name == "openvino"
        assert "not TensorRT" in caplog.text
        with pytest.raises(EngineError, match="no_such_tensorrt"):
            load_runtime(with_plan, runtime="tensorrt")


class TestKeptGraphs:
    def test_compiled_graphs_come_back_and_give_the_same(
        self,
        files: Callable[..., GraphFiles],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(factory, "_WORTHWHILE", 0)
        pictures = np.random.default_rng(0).integers(0, 256, (9, *SHAPE[1:], 3), dtype=np.uint8)

        def run() -> list[np.ndarray]:
            return load_runtime(files(), runtime="openvino", precision="fp32", threads=1, image=ImageInput())(pictures)

        first = run()
        kept = sorted((tmp_path / "cache/openvino").rglob("*.graph"))
        assert kept
        np.testing.assert_array_equal(run()[0], first[0])
        assert sorted((tmp_path / "cache/openvino").rglob("*.graph")) == kept
        for damage in (b"", b"x" * 100, kept[0].read_bytes()[:-1]):
            for file in kept:
                file.write_bytes(damage)
            np.testing.assert_array_equal(run()[0], first[0])
        # A right checksum over something that is no graph: OpenVINO refuses it, and it is compiled again.
        store = CompiledGraphs(kept[0].parent)
        monkeypatch.setattr(compile_cache.CompiledGraphs, "get", lambda self, key: b"no graph at all" * 10)
        with caplog.at_level(logging.INFO, "streamreid"):
            np.testing.assert_array_equal(run()[0], first[0])
        assert "compiled again" in caplog.text
        assert isinstance(store, CompiledGraphs)

    def test_a_second_start_reads_no_file_and_what_is_prepared_gives_the_same(
        self, files: Callable[..., GraphFiles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(factory, "_WORTHWHILE", 0)
        read: list[Path] = []
        whole = OpenVINORuntime._read_file

        def noted(runtime: OpenVINORuntime) -> object:
            read.append(runtime._path)
            return whole(runtime)

        monkeypatch.setattr(OpenVINORuntime, "_read_file", noted)
        pictures = np.random.default_rng(0).integers(0, 256, (11, *SHAPE[1:], 3), dtype=np.uint8)
        found, reads = [], []
        for prepared in (False, True, True):
            runtime = load_runtime(files(), runtime="openvino", precision="fp32", threads=2, image=ImageInput())
            if prepared:
                runtime.prepare(pictures.shape[1:])  # type: ignore[attr-defined]
            found.append([runtime(pictures[:n])[0] for n in (1, 5, 11)])
            reads.append(len(read))
            assert [info.name for info in (*runtime.inputs, *runtime.outputs)] == ["x", "y"]
        assert reads[0] > 0
        assert reads == [reads[0]] * 3
        for results in found[1:]:
            for one, other in zip(results, found[0], strict=True):
                np.testing.assert_array_equal(one, other)

    def test_what_the_last_start_needed_first_is_compiled_ahead_and_let_go_where_it_is_not_needed(
        self, files: Callable[..., GraphFiles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(factory, "_WORTHWHILE", 0)
        pictures = np.random.default_rng(0).integers(0, 256, (2, *SHAPE[1:], 3), dtype=np.uint8)

        def start() -> OpenVINORuntime:
            runtime = load_runtime(files(), runtime="openvino", precision="fp32", threads=2, image=ImageInput())
            assert isinstance(runtime, OpenVINORuntime)
            runtime.expect()
            return runtime

        first = start()
        assert not first._ahead  # nothing is known yet
        assert not first.proven("rows")
        expected = first(pictures)[0]
        first.prove("rows")
        again = start()
        (key,) = again._ahead
        assert key[1:] == (1, *SHAPE[1:], 3)
        assert again.proven("rows")
        assert not again.proven("columns")
        np.testing.assert_array_equal(again(pictures)[0], expected)
        assert list(again._requests) == [key]
        assert not again._ahead
        other = start()
        np.testing.assert_array_equal(other(pictures[:1])[0], expected[:1])  # alone, on all threads
        assert not other._ahead
        assert next(iter(start()._ahead)) != key

    def test_another_precision_or_input_is_another_graph(
        self, files: Callable[..., GraphFiles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(factory, "_WORTHWHILE", 0)
        pictures = np.random.default_rng(0).integers(0, 256, (3, *SHAPE[1:], 3), dtype=np.uint8)
        found = [
            load_runtime(files(), runtime="openvino", precision="fp32", image=image)(pictures)[0]
            for image in (ImageInput(), ImageInput("bgr"), ImageInput())
        ]
        assert np.abs(found[0] - found[1]).max() > 1e-4
        np.testing.assert_array_equal(found[0], found[2])

    def test_old_graphs_make_room(self, tmp_path: Path) -> None:
        import os

        (tmp_path / "old version").mkdir()
        (tmp_path / "old version" / "a.graph").write_bytes(bytes(2000))
        os.utime(tmp_path / "old version" / "a.graph", (0, 0))
        store = CompiledGraphs(tmp_path / "new", room=3000, root=tmp_path)
        for number in range(5):
            store.put(str(number), bytes(900))
            (newest,) = (p for p in (tmp_path / "new").glob("*.graph") if p.stat().st_mtime > 10)
            os.utime(newest, (number + 1, number + 1))
        assert [store.get(str(n)) is not None for n in range(5)] == [False, False, True, True, True]
        assert not (tmp_path / "old version" / "a.graph").exists()
        store.put("large", bytes(5000))
        assert store.get("large") is None

    def test_a_folder_that_cannot_be_written_is_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        store = CompiledGraphs(tmp_path / "file" / "folder")
        store.put("a", b"data")
        assert store.get("a") is None


class TestTorch:
    def test_a_program_and_torchscript(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch")

        class Network(torch.nn.Module):
            def forward(self, x: Any) -> Any:
                return x.mean((2, 3)), x.amax((2, 3))

        program = torch.export.export(
            Network(), (torch.zeros(2, *SHAPE),), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=64)},)
        )
        torch.export.save(program, str(tmp_path / "m.pt2"))
        torch.jit.trace(Network(), torch.zeros(2, *SHAPE)).save(str(tmp_path / "m.ts"))
        image = ImageInput("rgb", (0.5, 1.0, 2.0), (1.0, 0.0, -1.0))
        pictures = np.random.default_rng(0).integers(0, 256, (5, *SHAPE[1:], 3), dtype=np.uint8)
        data = image.apply(pictures)
        for name in ("m.pt2", "m.ts"):
            files = GraphFiles(tmp_path / "absent.onnx", checkpoint=tmp_path / name)
            loaded = load_runtime(files, runtime="torch", image=image)
            assert (loaded.name, loaded.precision) == ("torch", "fp32")
            mean, most = loaded(pictures)
            np.testing.assert_allclose(mean, data.mean((2, 3)), rtol=1e-4)
            np.testing.assert_allclose(most, data.max((2, 3)), rtol=1e-4)
            assert [o.shape for o in loaded(pictures[:0])] == [(0, 3), (0, 3)]
            assert [o.name for o in loaded.outputs] == ["parts", "visibility"]
        torch.save({"weights": 1}, tmp_path / "weights.pt")
        with pytest.raises(EngineError, match="not checkpoints of weights"):
            load_runtime(GraphFiles(tmp_path / "a.onnx", checkpoint=tmp_path / "weights.pt"), runtime="torch")
        with pytest.raises(EngineError, match="does not compute in int8"):
            load_runtime(
                GraphFiles(tmp_path / "a.onnx", checkpoint=tmp_path / "m.ts"), runtime="torch", precision="int8"
            )

    def test_without_torch_or_a_program(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(EngineError, match="no torch program"):
            load_runtime(tmp_path / "a.onnx", runtime="torch")
        from streamreid.runtimes import torch_runtime

        monkeypatch.setattr(torch_runtime.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match="torch"):
            load_runtime(GraphFiles(tmp_path / "a.onnx", checkpoint=tmp_path / "m.pt2"), runtime="torch")
