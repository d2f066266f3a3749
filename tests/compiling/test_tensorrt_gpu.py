"""On a machine with a GPU: plans of the real engine are built, read back by the inspector, proven, and refused when
they are damaged."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from streamreid.compiling.build import BuildOptions
from streamreid.compiling.machine import BINDINGS, find_gpu
from streamreid.compiling.policy import open_build
from streamreid.errors import EngineError
from streamreid.reid import load_bundle, shipped_engines
from streamreid.reid.engine_build import BuildRequest, build_engine, verify_build
from streamreid.reid.probe_set import generated_probe
from streamreid.weights import sha256_file

TARGETS = [t for t, names in BINDINGS.items() if any(importlib.util.find_spec(n) for n in names[:2])]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(find_gpu() is None, reason="needs an NVIDIA GPU"),
    pytest.mark.skipif(not TARGETS, reason="needs TensorRT or TensorRT for RTX"),
]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_plan_is_the_trained_model(target: str, precision: str, tmp_path: Path) -> None:
    source = load_bundle(shipped_engines()["pab-osnet-small"])
    bundle, record = build_engine(source, tmp_path / "out", BuildRequest(BuildOptions(target, precision, 8)))
    assert (record.found.precision, record.found.source) == (precision, "inspector")
    assert record.fingerprint.device == find_gpu().name
    assert record.parity.passed
    assert record.parity.batches == (1, 2, 3, 5, 8, 9)
    again = verify_build(bundle, record.key, generated_probe((256, 128), 9))
    assert again.passed


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_plan_is_refused(target: str, damage: str, tmp_path: Path) -> None:
    source = load_bundle(shipped_engines()["pab-osnet-small"])
    bundle, record = build_engine(source, tmp_path / "out", BuildRequest(BuildOptions(target, "fp16", 2)))
    plan = bundle.folder / record.plan
    data = bytearray(plan.read_bytes())
    if damage == "flipped":
        data[: min(4096, len(data))] = bytes(b ^ 0xFF for b in data[:4096])
    plan.write_bytes({"cut": bytes(data[: len(data) // 3]), "flipped": bytes(data), "emptied": b""}[damage])
    with pytest.raises(EngineError, match="is not the file"):
        load_bundle(bundle.folder)
    file = bundle.folder / "bundle.json"
    content = json.loads(file.read_text())
    content["files"][record.plan] = sha256_file(plan)
    file.write_text(json.dumps(content))
    damaged = load_bundle(bundle.folder)  # right checksum, wrong plan
    with pytest.raises(EngineError):
        open_build(damaged.compiled, record.key, image=damaged.manifest.input.image())
