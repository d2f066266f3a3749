"""The script for a machine with a GPU keeps to its time, whatever its parts do, and counts operations rightly."""

import argparse
import sys
import time
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    """Scripts of benchmarks import one another by their plain names."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def asked(**values):
    return argparse.Namespace(
        **{"only": None, "dry_run": True, "detector": "d.onnx", "engine": "e", "video": None} | values
    )


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_parts_fit_into_eight_minutes(scripts, tmp_path, dry_run):
    from gpu import ALL_SECONDS, PARTS, commands

    planned = commands(asked(dry_run=dry_run), tmp_path)
    assert [part.name for part, _, _ in planned] == [part.name for part in PARTS]
    assert sum(seconds for _, _, seconds in planned) <= ALL_SECONDS <= 480
    words = {part.name: words for part, words, _ in planned}
    assert ("--dry-run" in words["crops"]) == dry_run
    assert ("--collect-only" in words["tests"]) == dry_run
    assert "tests/compiling/test_tensorrt_gpu.py" in words["tests"]
    assert [part.name for part, _, _ in commands(asked(only=["rate", "load"]), tmp_path)] == ["rate", "load"]


def test_a_part_that_fails_or_hangs_does_not_keep_the_others(scripts, tmp_path, capsys):
    from gpu import Part, run_all

    def part(name, code, seconds=20.0):
        return Part(name, seconds, seconds), [sys.executable, "-S", "-c", code], seconds

    wrote = f"open({str(tmp_path / 'hangs.json')!r}, 'w').write('{{\"done\": 2}}')"
    began = time.monotonic()
    figures = run_all(
        [
            part("fails", "raise SystemExit('no such plan')"),
            part("hangs", f"import time; {wrote}; time.sleep(600)", 1.5),
            part("goes", "pass"),
        ],
        tmp_path,
        strict=False,
    )
    assert time.monotonic() - began < 60
    assert [figures[name]["failed"] for name in ("fails", "hangs", "goes")] == [True, True, False]
    assert figures["hangs"]["done"] == 2  # what it had found before it was ended
    said = capsys.readouterr().out
    assert "no such plan" in said
    assert "took longer than 2 s" in said
    late = run_all([part("late", "pass")], tmp_path, strict=False, limit=0.0)
    assert late["late"]["failed"]


def test_operations_of_a_graph(scripts, tmp_path):
    from _gpu_parts import operations

    weight = helper.make_tensor("w", TensorProto.FLOAT, [8, 3, 3, 3], [0.0] * 216)
    dense = helper.make_tensor("d", TensorProto.FLOAT, [8, 5], [0.0] * 40)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "v"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [weight, dense],
    )
    path = tmp_path / "g.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    assert operations(path, (1, 3, 16, 8)) == 2 * (8 * 8 * 4) * 27 + 2 * 8 * 5
