"""OpenVINO's first conversion of an array is over before a second thread touches it: two at once can wait for each
other for ever."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper, save

import streamreid

PACKAGE = Path(streamreid.__file__).parent

RECORD = """
import json, sys, threading, time
import openvino

events = []

class Tensor(openvino.Tensor):
    def __init__(self, *args, **options):
        events.append(("convert", threading.get_ident()))
        time.sleep(0.05)  # long enough for every other thread to come by
        super().__init__(*args, **options)
        events.append(("converted", threading.get_ident()))

class Core(openvino.Core):
    def __init__(self):
        events.append(("core", threading.get_ident()))
        super().__init__()

openvino.Tensor, openvino.Core = Tensor, Core
"""

THREADS = """
from pathlib import Path
from streamreid.runtimes import load_runtime
import numpy as np

barrier = threading.Barrier(6)

def open_graph():
    barrier.wait()
    load_runtime(Path(sys.argv[1]), runtime="openvino", precision="fp32", threads=1)(np.zeros((1, 3, 8, 6), np.float32))

threads = [threading.Thread(target=open_graph) for _ in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
print(json.dumps(events))
"""

PIPELINE = """
from streamreid import Pipeline

engine = {"model": "auto", "runtime": "openvino", "precision": "fp32"}
detector = {"model": sys.argv[1], "runtime": "openvino", "precision": "fp32", "classes": [0]}
try:
    Pipeline.from_sources(sys.argv[2], engine=engine, detector=detector)
except Exception as error:  # the graph is no detector: opening is all that counts here
    print(error, file=sys.stderr)
print(json.dumps(events))
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph that does nothing."""
    shape = ["n", 3, 8, 6]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    model = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", tensors[:1], tensors[1:])
    path = tmp_path / "relu.onnx"
    save(helper.make_model(model, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize("script", [THREADS, PIPELINE], ids=["six threads", "detector and engine of a run"])
def test_the_first_conversion_is_over_before_anything_else(script: str, graph: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RECORD + script, str(graph), str(tmp_path / "no.mp4")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    events = [tuple(event) for event in json.loads(done.stdout.splitlines()[-1])]
    kinds = [kind for kind, _ in events]
    first = kinds.index("core")
    conversions = events[:first]
    assert [kind for kind, _ in conversions][:2] == ["convert", "converted"]
    assert len(conversions) % 2 == 0  # none is under way
    assert len({thread for _, thread in conversions}) == 1
    assert len({thread for kind, thread in events if kind == "core"}) == (6 if script is THREADS else 2)


def test_there_is_one_way_to_openvino() -> None:
    """A second import would be a second thread's first conversion."""
    importing = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name == "openvino" or name.startswith("openvino.") for name in names):
                importing.add(path.relative_to(PACKAGE).as_posix())
    assert importing == {"runtimes/openvino_module.py"}
