"""The TensorRT runtime's own work on a machine without a GPU: a device that only does what was queued when its stream
is waited for, so that memory used again too early gives wrong numbers; and the same on a real GPU where there is one.
"""

from __future__ import annotations

import logging
import sys
import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from streamreid.errors import EngineError
from streamreid.runtimes import FrameRuntime, GraphFiles, ImageInput, Runtime, load_runtime
from streamreid.runtimes import cuda_device as cuda_module
from streamreid.runtimes import tensorrt_runtime as tensorrt_module
from streamreid.runtimes.crop_kernel import reference
from streamreid.runtimes.tensorrt_runtime import TensorRTRuntime

SIZE = (16, 8)
IMAGE = ImageInput("rgb", (0.5, 0.25, 2.0), (0.0, -1.0, 3.0))


class LazyStream:
    handle = 77

    def __init__(self) -> None:
        self.queue: list[Any] = []

    def synchronize(self) -> None:
        for work in self.queue:
            work()
        self.queue.clear()


class Memory:
    """Device memory with an address."""

    by_address: ClassVar[dict[int, Memory]] = {}

    def __init__(self, size: int) -> None:
        self.bytes = np.zeros(size, np.uint8)
        self.address = 4096 * (len(self.by_address) + 1)
        self.freed = False
        self.by_address[self.address] = self

    def __int__(self) -> int:
        return self.address

    def of(self, dtype: Any, count: int) -> np.ndarray:
        assert not self.freed
        return self.bytes[: count * np.dtype(dtype).itemsize].view(dtype)


class LazyDevice:
    """Stands in for `CudaDevice`."""

    name, capability = "Lazy GPU", (9, 0)

    def __init__(self) -> None:
        self.depth, self.streams, self.launches = 0, [], []

    def active(self) -> Any:
        device = self

        class Scope:
            def __enter__(self) -> None:
                device.depth += 1

            def __exit__(self, *_: object) -> None:
                device.depth -= 1

        return Scope()

    def stream(self) -> LazyStream:
        assert self.depth
        self.streams.append(LazyStream())
        return self.streams[-1]

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.zeros(shape, dtype)

    def memory(self, size: int) -> Memory:
        assert self.depth
        return Memory(size)

    def free(self, memory: Memory) -> None:
        memory.freed = True

    def upload(self, target: Memory, source: np.ndarray, stream: LazyStream) -> None:
        assert source.nbytes <= target.bytes.nbytes
        stream.queue.append(lambda: np.copyto(target.of(np.uint8, source.nbytes), source.reshape(-1).view(np.uint8)))

    def download(self, target: np.ndarray, source: Memory, stream: LazyStream) -> None:
        stream.queue.append(lambda: np.copyto(target, source.of(target.dtype, target.size).reshape(target.shape)))

    def kernel(self, code: bytes, name: str) -> str:
        assert code == b"code"
        return name

    def launch(
        self, kernel: str, arguments: list[Any], grid: tuple[int, ...], block: tuple[int, ...], stream: LazyStream
    ) -> None:
        pixels, starts, table, result, count, height, width, rgb, *numbers = arguments
        assert (kernel, grid[2]) == ("streamreid_crops", count)
        assert grid[0] * block[0] >= width
        assert grid[1] * block[1] >= height
        convert = ImageInput("rgb" if rgb else "bgr", tuple(numbers[:3]), tuple(numbers[3:]))
        self.launches.append(count)

        def work() -> None:
            out = result.of(np.float32, count * 3 * height * width).reshape(count, 3, height, width)
            rows = table.of(np.int32, count * 5).reshape(count, 5)
            for n, (start, (stride, x1, y1, x2, y2)) in enumerate(zip(starts.of(np.int64, count), rows, strict=True)):
                region = pixels.bytes[start : start + y2 * stride].reshape(y2, stride // 3, 3)
                out[n] = reference(region, (x1, y1, x2, y2), (height, width), convert)

        stream.queue.append(work)


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.addresses, self.shape = engine, {}, None

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = Memory.by_address[address]
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "images"
        self.shape = tuple(shape)
        least, most = self.engine.profile
        return least <= shape[0] <= most

    def execute_async_v3(self, handle: int) -> bool:
        assert handle == LazyStream.handle
        stream = next(s for s in self.engine.device.streams if s is self.engine.stream_of(self))
        if self.engine.fails:
            self.engine.logger.log("error", "out of memory")
            return False
        shape = self.shape
        self.engine.batches.append(shape[0])

        def work() -> None:
            images = self.addresses["images"].of(np.float32, int(np.prod(shape))).reshape(shape)
            mean = images.mean(axis=(2, 3))
            self.addresses["parts"].of(np.float32, mean.size * 2)[:] = np.stack([mean, -mean], 1).reshape(-1)
            half = self.addresses["visibility"].of(np.float16, shape[0] * 2)
            half[:] = np.stack([mean[:, 0] > 0, mean[:, 1] > 0], 1).astype(np.float16).reshape(-1)

        stream.queue.append(work)
        return True


class Engine:
    """Mean colour as parts [N, 2, 3] in float32, two flags as visibility [N, 2] in float16."""

    num_io_tensors = 3
    shapes: ClassVar = {"images": (-1, 3, *SIZE), "parts": (-1, 2, 3), "visibility": (-1, 2)}

    def __init__(self, device: LazyDevice, logger: Any, profile: tuple[int, int] = (1, 4)) -> None:
        self.device, self.logger, self.profile = device, logger, profile
        self.contexts: list[Context] = []
        self.batches: list[int] = []
        self.fails = False

    def stream_of(self, context: Context) -> LazyStream:
        return self.device.streams[self.contexts.index(context)]

    def get_tensor_name(self, i: int) -> str:
        return list(self.shapes)[i]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "images" else "out"

    def get_tensor_dtype(self, name: str) -> Any:
        return np.float16 if name == "visibility" else np.float32

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        return [(self.profile[0], 3, *SIZE), (2, 3, *SIZE), (self.profile[1], 3, *SIZE)]

    def create_execution_context(self) -> Context:
        self.contexts.append(Context(self))
        return self.contexts[-1]


@pytest.fixture
def device() -> LazyDevice:
    return LazyDevice()


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: LazyDevice) -> GraphFiles:
    """A plan file, and a module 'tensorrt' that loads it; ``plan.engine`` is not known before loading."""
    trt = types.ModuleType("tensorrt")
    trt.__spec__ = types.SimpleNamespace(name="tensorrt")  # type: ignore[assignment]
    trt.__version__ = "11.4"
    trt.nptype = lambda dtype: dtype
    trt.TensorIOMode = types.SimpleNamespace(INPUT="in")

    class ILogger:
        Severity = types.SimpleNamespace(INTERNAL_ERROR="fatal", ERROR="error")

        def __init__(self) -> None:
            pass

    class TrtRuntime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            if not data.startswith(b"plan"):
                self.logger.log("error", "magic tag does not match")
                return None
            low, high = map(int, data.split()[1:3])
            trt.engine = Engine(device, self.logger, (low, high))
            return trt.engine

    trt.ILogger, trt.Runtime = ILogger, TrtRuntime
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setattr(tensorrt_module, "compile_kernel", lambda capability: b"code")
    monkeypatch.setattr(tensorrt_module, "CudaDevice", lambda: device)
    (tmp_path / "model.plan").write_bytes(b"plan 1 4")
    return GraphFiles(tmp_path / "model.onnx", plan=tmp_path / "model.plan", library="tensorrt", plan_precision="fp16")


def expected(inputs: np.ndarray) -> list[np.ndarray]:
    mean = inputs.mean(axis=(2, 3))
    return [np.stack([mean, -mean], 1), (mean[:, :2] > 0).astype(np.float32)]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9, 23])
def test_any_batch_in_pieces_of_the_profile(plan: GraphFiles, device: LazyDevice, count: int) -> None:
    runtime = load_runtime(plan, runtime="tensorrt")
    assert isinstance(runtime, Runtime)
    assert (runtime.name, runtime.precision) == ("tensorrt", "fp16")
    data = np.random.default_rng(count).normal(size=(count, 3, *SIZE)).astype(np.float32)
    found = runtime(data)
    assert [f.shape for f in found] == [(count, 2, 3), (count, 2)]
    assert all(f.dtype == np.float32 for f in found)
    for a, b in zip(found, expected(data), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert sys.modules["tensorrt"].engine.batches == [4] * (count // 4) + [count % 4] * (count % 4 > 0)
    assert device.depth == 0


def test_rows_below_the_smallest_batch_are_thrown_away(plan: GraphFiles) -> None:
    plan.plan.write_bytes(b"plan 3 4")
    runtime = load_runtime(plan, runtime="tensorrt")
    data = np.random.default_rng(1).normal(size=(5, 3, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(runtime(data)[0], expected(data)[0], atol=1e-6)
    assert sys.modules["tensorrt"].engine.batches == [4, 3]


def test_pictures_are_converted_on_the_device(plan: GraphFiles, device: LazyDevice) -> None:
    runtime = load_runtime(plan, image=IMAGE)
    pictures = np.random.default_rng(0).integers(0, 256, (11, *SIZE, 3), dtype=np.uint8)
    np.testing.assert_allclose(runtime(pictures)[0], expected(IMAGE.apply(pictures))[0], atol=1e-4)
    assert device.launches == [4, 4, 3]
    assert len(runtime(pictures[:0])[0]) == 0


def test_boxes_of_frames_equal_crops_of_the_cpu_path(plan: GraphFiles) -> None:
    from streamreid.reid.crops import crop_batch
    from streamreid.types import Detections, Frame

    runtime = load_runtime(plan, image=IMAGE)
    assert isinstance(runtime, FrameRuntime)
    assert runtime.takes_frames
    rng = np.random.default_rng(0)
    frames = [
        Frame(str(i), 0, 0.0, rng.integers(0, 256, size, dtype=np.uint8))
        for i, size in enumerate([(90, 120, 3), (40, 30, 3)])
    ]
    boxes = [
        np.concatenate([c, c + rng.uniform(2, 40, (n, 2))], 1) for n in (9, 6) for c in [rng.uniform(-10, 30, (n, 2))]
    ]
    crops, chosen = crop_batch(frames, [Detections.from_arrays(b) for b in boxes], SIZE)
    for _ in range(2):  # the second time with memory that holds the first one's pixels
        found = runtime.from_frames([f.image for f in frames], chosen.frames, chosen.boxes)
        for a, b in zip(found, expected(IMAGE.apply(crops)), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
    assert len(runtime.from_frames([], np.zeros(0, np.int64), np.zeros((0, 4), np.int64))[0]) == 0


def test_without_a_kernel_pictures_are_converted_on_the_cpu(
    plan: GraphFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(capability: tuple[int, int]) -> bytes:
        raise EngineError("no compiler")

    monkeypatch.setattr(tensorrt_module, "compile_kernel", refuse)
    with caplog.at_level(logging.WARNING, "streamreid"):
        runtime = load_runtime(plan, image=IMAGE)
    assert "no compiler" in caplog.text
    assert not runtime.takes_frames
    pictures = np.random.default_rng(0).integers(0, 256, (6, *SIZE, 3), dtype=np.uint8)
    np.testing.assert_allclose(runtime(pictures)[0], expected(IMAGE.apply(pictures))[0], atol=1e-4)
    with pytest.raises(EngineError, match="cut them on the CPU"):
        runtime.from_frames([pictures[0]], np.array([0]), np.array([[0, 0, 4, 4]]))


def test_closing_frees_what_was_taken(plan: GraphFiles) -> None:
    before = set(Memory.by_address)
    runtime = load_runtime(plan, image=IMAGE)
    runtime(np.zeros((9, *SIZE, 3), np.uint8))
    mine = [m for a, m in Memory.by_address.items() if a not in before]
    assert mine
    runtime.close()
    assert all(m.freed for m in mine)
    with pytest.raises(EngineError, match="closed"):
        runtime(np.zeros((1, *SIZE, 3), np.uint8))


class TestFailures:
    def test_a_damaged_plan(self, plan: GraphFiles) -> None:
        plan.plan.write_bytes(b"something else")
        with pytest.raises(
            EngineError, match=r"11\.4 cannot load this plan on Lazy GPU: magic tag does not match\. Build it again"
        ):
            load_runtime(plan, runtime="tensorrt")

    def test_execution_fails_and_goes_on(self, plan: GraphFiles, device: LazyDevice) -> None:
        runtime = load_runtime(plan, runtime="tensorrt")
        data = np.ones((9, 3, *SIZE), np.float32)
        engine = sys.modules["tensorrt"].engine
        engine.fails = True
        with pytest.raises(EngineError, match="failed on a batch of 4: out of memory"):
            runtime(data)
        engine.fails = False
        assert device.depth == 0
        np.testing.assert_allclose(runtime(data)[0], expected(data)[0], atol=1e-6)

    def test_wrong_shapes(self, plan: GraphFiles) -> None:
        with pytest.raises(EngineError, match=r"cannot take an input of shape \[2, 3, 9, 8\]"):
            load_runtime(plan, runtime="tensorrt")(np.zeros((2, 3, 9, 8), np.float32))

    def test_other_precision_than_the_plan_s(self, plan: GraphFiles) -> None:
        with pytest.raises(EngineError, match="computes in fp16, not in int8"):
            load_runtime(plan, runtime="tensorrt", precision="int8")

    def test_no_plan(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match="streamreid build-engine"):
            load_runtime(tmp_path / "model.onnx", runtime="tensorrt")

    def test_no_pycuda(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cuda_module.importlib.util, "find_spec", lambda *a: None)
        with pytest.raises(EngineError, match="pip install"):
            cuda_module.CudaDevice()


class FakeDriver(types.ModuleType):
    """What of pycuda.driver is used, in host memory."""

    def __init__(self, gpus: int = 1) -> None:
        super().__init__("pycuda.driver")
        self.log: list[str] = []
        driver = self

        class Stack:
            def push(self) -> None:
                driver.log.append("push")

            def pop(self) -> None:
                driver.log.append("pop")

        class Device:
            count = staticmethod(lambda: gpus)

            def __init__(self, number: int) -> None:
                assert number == 0

            name = staticmethod(lambda: "Fake")
            compute_capability = staticmethod(lambda: (8, 9))
            retain_primary_context = staticmethod(lambda: Stack())

        self.Device, self.init = Device, lambda: None

    def module_from_buffer(self, code: bytes) -> Any:
        if code == b"bad":
            raise RuntimeError("device kernel image is invalid")
        return types.SimpleNamespace(
            get_function=lambda name: lambda *a, **k: self.log.append((name, [type(x).__name__ for x in a], k["grid"]))
        )


def test_the_device_pushes_its_context_and_types_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver()
    package = types.ModuleType("pycuda")
    package.__spec__ = types.SimpleNamespace(name="pycuda")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    device = cuda_module.CudaDevice()
    assert (device.name, device.capability) == ("Fake", (8, 9))
    with device.active():
        device.launch(device.kernel(b"ok", "k"), [Memory(4), 3, 0.5], (1, 2, 3), (32, 8, 1), None)
    assert driver.log == ["push", ("k", ["int64", "int32", "float32"], (1, 2, 3)), "pop"]
    with pytest.raises(EngineError, match="kernel image is invalid"):
        device.kernel(b"bad", "k")
    monkeypatch.setitem(sys.modules, "pycuda.driver", FakeDriver(gpus=0))
    with pytest.raises(EngineError, match="no NVIDIA GPU"):
        cuda_module.CudaDevice()


@pytest.mark.gpu
def test_a_real_plan_on_a_real_gpu(shared: Path, tmp_path: Path) -> None:
    """Build the shipped engine and compare it with the CPU, from frames and from crops."""
    pytest.importorskip("tensorrt")
    pytest.importorskip("pycuda")
    from streamreid.compiling.tensorrt_builder import Shapes, build_plan
    from streamreid.reid.bundle import load_bundle
    from streamreid.reid.factory import shipped_engines

    bundle = load_bundle(shipped_engines()["pab-osnet-small"])
    height, width = bundle.manifest.input.height, bundle.manifest.input.width
    shapes = Shapes((1, 3, height, width), (8, 3, height, width), (16, 3, height, width))
    (tmp_path / "model.plan").write_bytes(build_plan(bundle.model, "tensorrt", shapes).data)
    image = bundle.manifest.input.image()
    runtime = TensorRTRuntime(
        GraphFiles(bundle.model, plan=tmp_path / "model.plan", library="tensorrt", plan_precision="fp32"), image=image
    )
    pictures = np.random.default_rng(0).integers(0, 256, (37, height, width, 3), dtype=np.uint8)
    on_cpu = load_runtime(bundle.model, runtime="onnxruntime", precision="fp32", image=image)
    for count in (0, 1, 16, 17, 37):
        for a, b in zip(runtime(pictures[:count]), on_cpu(pictures[:count]), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)
    boxes = np.tile(np.array([0, 0, width, height]), (37, 1))
    for a, b in zip(runtime.from_frames(list(pictures), np.arange(37), boxes), runtime(pictures), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
