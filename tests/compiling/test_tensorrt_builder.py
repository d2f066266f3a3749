"""The real graph through TensorRT for RTX, which builds without a GPU; the precision is read back from the plan. Skips
without its bindings."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import onnx
import pytest

from streamreid.compiling import tensorrt_builder
from streamreid.compiling.machine import find_gpu, fingerprint, import_bindings
from streamreid.compiling.mixed_precision import half_graph
from streamreid.compiling.tensorrt_builder import Shapes, build_plan, profile_of, read_precision
from streamreid.errors import EngineError

ENGINE = Path(__file__).resolve().parents[2] / "engines" / "pab-osnet-small" / "model.onnx"
rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None and importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs TensorRT for RTX: pip install 'streamreid[tensorrt-rtx]'",
)


@pytest.fixture(scope="module")
def full_plan():
    return build_plan(ENGINE, "tensorrt-rtx", profile_of(ENGINE, 8))


@rtx
@pytest.mark.slow
def test_the_real_graph_in_fp32(full_plan):
    assert full_plan.found.precision == "fp32"
    assert full_plan.found.source == ("plan" if find_gpu() is None else "inspector")
    assert set(full_plan.found.counts) == {"fp32"}


@rtx
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_the_real_graph_in_half_precision(precision, full_plan, tmp_path):
    graph = tmp_path / "typed.onnx"
    onnx.save(half_graph(onnx.load(str(ENGINE)), precision), str(graph))
    plan = build_plan(graph, "tensorrt-rtx", profile_of(graph, 8))
    assert plan.found.precision == precision
    assert plan.found.counts[precision] > plan.found.counts["fp32"] > 0
    # Half of the weights' bytes are gone, which no flag and no message can pretend.
    assert 1_000_000 < len(plan.data) < 0.8 * len(full_plan.data)


@rtx
def test_a_graph_that_it_cannot_read_is_refused_with_its_reason(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(ENGINE.read_bytes()[:5000])
    with pytest.raises(EngineError, match=r"tensorrt-rtx cannot read broken\.onnx"):
        build_plan(broken, "tensorrt-rtx", Shapes((1, 3, 256, 128), (1, 3, 256, 128), (1, 3, 256, 128)))


@rtx
def test_the_fingerprint_names_the_library():
    assert re.match(r"\d+\.\d+", fingerprint("tensorrt-rtx").library_version)
    assert import_bindings("tensorrt-rtx").Builder


def test_missing_bindings_are_named_with_their_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"'tensorrt' is not installed.*streamreid\[tensorrt\]"):
        import_bindings("tensorrt")


class TestReadingBack:
    @pytest.fixture(autouse=True)
    def without_a_gpu(self, monkeypatch):
        monkeypatch.setattr(tensorrt_builder, "find_gpu", lambda: None)

    @staticmethod
    def plan(**counts: int) -> bytes:
        one = 'tensor={ alignment=128 dims={ 1 } name="a{b" offset=0 strides={ 1 } type=%s }\n'.replace("a{b", "ab")
        return b"\x00\xff".join((one % kind).encode() for kind, number in counts.items() for _ in range(number))

    @pytest.mark.parametrize(
        ("counts", "network", "expected"),
        [
            ({"float": 90, "int64": 5, "int8": 60}, {"fp32": 10}, "fp32"),  # int8 alone is scratch memory
            ({"float": 90, "half": 2}, {"fp32": 10}, "fp32"),  # a flag that was ignored: only exceptions are half
            ({"float": 20, "half": 70}, {"fp16": 10}, "fp16"),
            ({"float": 20, "bf16": 70, "int8": 30}, {"bf16": 10}, "bf16"),
            ({"float": 20, "half": 30, "int8": 90}, {"fp16": 10, "int8": 8}, "int8"),
        ],
    )
    def test_what_counts_is_what_most_tensors_are(self, counts, network, expected):
        assert read_precision(self.plan(**counts), "tensorrt", network).precision == expected

    def test_without_descriptions_the_network_is_asked(self):
        found = read_precision(b"opaque", "tensorrt", {"fp16": 30, "fp32": 1})
        assert (found.precision, found.source) == ("fp16", "network")


class TestProfile:
    def test_of_the_shipped_engine(self):
        assert profile_of(ENGINE, 32) == Shapes((1, 3, 256, 128), (16, 3, 256, 128), (32, 3, 256, 128))

    def test_open_sizes_need_one(self, tmp_path):
        from onnx import TensorProto, helper

        def graph(shape):
            info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "xy"]
            path = tmp_path / "g.onnx"
            onnx.save(
                helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])),
                str(path),
            )
            return path

        with pytest.raises(EngineError, match="pass --size"):
            profile_of(graph(["n", 3, "h", "w"]), 8)
        assert profile_of(graph(["n", 3, "h", "w"]), 8, (640, 640)).most == (8, 3, 640, 640)
        with pytest.raises(EngineError, match="made for batches of 4 only"):
            profile_of(graph([4, 3, 8, 8]), 8)
        assert profile_of(graph([4, 3, 8, 8]), 4).least == (4, 3, 8, 8)
        with pytest.raises(EngineError, match=r"pictures \[N, 3, H, W\]"):
            profile_of(graph(["n", 16]), 8)
