"""A plan for this machine is taken; one for another is rebuilt, left for another runtime, or refused, as configured,
and the log says why."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from streamreid.compiling import policy, tensorrt_builder
from streamreid.compiling.machine import Gpu, differences
from streamreid.compiling.policy import LoadOptions, open_build, open_graph
from streamreid.compiling.records import BuildRecord, DeviceFingerprint, ParityReport, PrecisionFound
from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.reid import engine_build, load_bundle, open_embedder, proven_engine
from streamreid.reid.bundle import Bundle, write_bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.weights import sha256_file

HERE = {
    "library_version": "11.4.0",
    "driver": "610.1",
    "device": "GPU A",
    "compute_capability": "9.0",
    "system": "linux x86_64",
}


class Machine:
    """A pretended machine with a GPU, and what the runtimes were asked for."""

    def __init__(self) -> None:
        self.gpu: Gpu | None = Gpu("GPU A", "9.0", "610.1")
        self.asked: list[tuple[str, Path | None]] = []
        self.built = 0
        self.broken = False


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    pretended = Machine()
    real = policy.load_runtime

    def load(files, *, runtime="auto", **rest):
        pretended.asked.append((runtime, files.plan))
        if runtime == "tensorrt" and pretended.broken:
            raise EngineError("the plan cannot be read")
        return real(files.model, runtime="onnxruntime", precision="fp32", image=rest["image"])

    def build(graph, target, shapes):
        pretended.built += 1
        return tensorrt_builder.Plan(b"rebuilt", PrecisionFound(precision="fp16", source="plan"))

    monkeypatch.setattr(policy, "load_runtime", load)
    monkeypatch.setattr(policy, "find_gpu", lambda: pretended.gpu)
    for module in (policy, engine_build, proven_engine):
        monkeypatch.setattr(module, "fingerprint", lambda target: DeviceFingerprint(library=target, **HERE))
    monkeypatch.setattr(tensorrt_builder, "build_plan", build)
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    return pretended


@pytest.fixture
def planned(make_bundle, tmp_path: Path):
    """A bundle with a TensorRT plan; keywords replace values of its fingerprint."""

    def make(
        name: str = "planned", target: str = "tensorrt", parity: ParityReport | None = None, **fingerprint: str
    ) -> Bundle:
        bundle = make_bundle(f"{name}-source")
        (tmp_path / "plan").write_bytes(b"compiled")
        record = BuildRecord(
            target=target,
            precision="fp16",
            found=PrecisionFound(precision="fp16", source="inspector"),
            graph="model.onnx",
            plan="model.plan",
            max_batch=4,
            weights=sha256_file(bundle.model),
            fingerprint=DeviceFingerprint(library=target, **{**HERE, **fingerprint}),
            parity=parity,
        )
        manifest = bundle.manifest.model_copy(update={"builds": {record.key: record}})
        return write_bundle(
            tmp_path / "bundles" / name, manifest, {"model.onnx": bundle.model, "model.plan": tmp_path / "plan"}
        )

    return make


def test_a_plan_for_this_machine_is_taken(planned, machine: Machine) -> None:
    bundle = planned()
    open_graph(bundle.compiled, image=bundle.manifest.input.image())
    assert machine.asked == [("tensorrt", bundle.folder / "model.plan")]
    assert bundle.compiled.graphs(None, bundle.manifest.builds["tensorrt/fp16"]).max_batch == 4


OTHERS = [
    ({"device": "GPU B"}, "device GPU B when built, GPU A here"),
    ({"driver": "580.9"}, "driver 580.9 when built, 610.1 here"),
    ({"library_version": "10.9"}, "tensorrt version 10.9 when built, 11.4.0 here"),
    ({"compute_capability": "8.6"}, "compute capability 8.6 when built, 9.0 here"),
]


class TestAnotherMachine:
    @pytest.mark.parametrize(("changed", "sentence"), OTHERS)
    def test_stop(self, planned, machine: Machine, changed: dict, sentence: str) -> None:
        bundle = planned(**changed)
        with pytest.raises(
            EngineError, match=f"built for another machine: {sentence}.*streamreid build-engine .* --target tensorrt"
        ):
            open_graph(bundle.compiled, on_mismatch="stop", image=bundle.manifest.input.image())
        assert machine.asked == []

    def test_fallback(self, planned, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
        bundle = planned(device="GPU B")
        open_graph(bundle.compiled, on_mismatch="fallback", image=bundle.manifest.input.image())
        assert machine.asked == [("auto", None)]
        assert "not TensorRT, because" in caplog.text
        assert "device GPU B when built, GPU A here" in caplog.text
        with pytest.raises(EngineError, match="built for another machine"):
            open_graph(
                bundle.compiled, LoadOptions("tensorrt"), on_mismatch="fallback", image=bundle.manifest.input.image()
            )

    def test_rebuilt_once(self, planned, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
        bundle = planned(device="GPU B")
        for _ in range(3):
            open_graph(bundle.compiled, image=bundle.manifest.input.image())
        assert machine.built == 1
        plans = {plan for _, plan in machine.asked}
        (plan,) = plans
        assert plan.read_bytes() == b"rebuilt"
        assert "rebuilding it" in caplog.text
        assert (bundle.folder / "model.plan").read_bytes() == b"compiled"
        plan.write_bytes(b"damaged")
        open_graph(bundle.compiled, image=bundle.manifest.input.image())
        assert (machine.built, plan.read_bytes()) == (2, b"rebuilt")

    def test_a_rebuilt_plan_is_compared_before_it_is_used(
        self, planned, machine: Machine, caplog: pytest.LogCaptureFixture
    ) -> None:
        bundle = planned(device="GPU B")
        image = bundle.manifest.input.image()
        open_graph(bundle.compiled, image=image, failures=lambda runtime, record: ("cosine is 0.5",))
        assert [runtime for runtime, _ in machine.asked] == ["tensorrt", "auto"]
        assert "rebuilt for this machine is too far from its reference: cosine is 0.5" in caplog.text
        compared: list[str] = []
        for _ in range(2):
            open_graph(bundle.compiled, image=image, failures=lambda runtime, record: compared.append(record.key) or ())
        assert (compared, machine.built) == (["tensorrt/fp16"], 2)

    def test_opening_an_engine_compares_it(self, planned, machine: Machine, tmp_path: Path) -> None:
        bundle = planned(device="GPU B")
        assert open_embedder(EngineConfig(model=str(bundle.folder))).dim == 16
        assert machine.built == 1
        assert len(list((tmp_path / "cache").rglob("*.sha256"))) == 1

    def test_rtx_plans_are_portable_but_not_between_versions(self, planned, machine: Machine) -> None:
        bundle = planned("rtx", target="tensorrt-rtx", device="GPU B", compute_capability="8.6", driver="")
        open_graph(bundle.compiled, on_mismatch="stop", image=bundle.manifest.input.image())
        assert machine.asked[0][0] == "tensorrt"
        other = planned("rtx2", target="tensorrt-rtx", library_version="1.2")
        with pytest.raises(EngineError, match=r"tensorrt-rtx version 1\.2 when built, 11\.4\.0 here"):
            open_graph(other.compiled, on_mismatch="stop", image=bundle.manifest.input.image())

    def test_what_is_not_said_does_not_differ(self) -> None:
        here = DeviceFingerprint(library="tensorrt-rtx", **HERE)
        assert differences(DeviceFingerprint(library="tensorrt-rtx", library_version="11.4.0"), here) == []
        assert differences(DeviceFingerprint(library="tensorrt"), here) == [
            "library tensorrt when built, tensorrt-rtx here"
        ]


class TestNoWayWithThePlan:
    def test_without_a_gpu(self, planned, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
        machine.gpu = None
        bundle = planned()
        with caplog.at_level(logging.INFO):
            open_graph(bundle.compiled, image=bundle.manifest.input.image())
        assert machine.asked == [("auto", None)]
        assert "no NVIDIA GPU" in caplog.text
        with pytest.raises(EngineError, match="no NVIDIA GPU"):
            open_graph(bundle.compiled, LoadOptions("tensorrt"), image=bundle.manifest.input.image())

    def test_a_plan_that_the_library_refuses(self, planned, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
        machine.broken = True
        bundle = planned()
        open_graph(bundle.compiled, image=bundle.manifest.input.image())
        assert [runtime for runtime, _ in machine.asked] == ["tensorrt", "auto"]
        assert "not TensorRT, because the plan cannot be read" in caplog.text

    def test_a_plan_that_failed_its_proof(self, planned, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
        report = ParityReport(
            probe="x", count=1, machine=DeviceFingerprint(library="t"), reference="r", failures=("cosine is 0.5",)
        )
        bundle = planned(parity=report)
        open_graph(bundle.compiled, image=bundle.manifest.input.image())
        assert machine.asked == [("auto", None)]
        assert "left out: cosine is 0.5" in caplog.text

    def test_no_plan_at_all(self, make_bundle, machine: Machine) -> None:
        bundle = make_bundle()
        with pytest.raises(EngineError, match="holds no TensorRT plan; build one with: streamreid build-engine"):
            open_graph(bundle.compiled, LoadOptions("tensorrt"), image=bundle.manifest.input.image())
        with pytest.raises(EngineError, match="holds no engine 'tensorrt/fp16'; it holds: none"):
            open_build(bundle.compiled, "tensorrt/fp16")


class TestProvenElsewhere:
    @pytest.fixture
    def proven(self, make_bundle, tmp_path: Path):
        def make(failures: tuple[str, ...] = (), **fingerprint: str) -> Bundle:
            bundle = make_bundle()
            machine = DeviceFingerprint(library="onnxruntime", **{**HERE, **fingerprint})
            report = ParityReport(probe="x", count=1, machine=machine, reference="r", failures=failures)
            record = BuildRecord(
                target="onnxruntime",
                precision="fp32",
                found=PrecisionFound(precision="fp32", source="runtime"),
                graph="model.onnx",
                max_batch=4,
                weights=bundle.manifest.files["model.onnx"],
                fingerprint=machine,
                parity=report,
            )
            manifest = bundle.manifest.model_copy(update={"builds": {record.key: record}})
            return write_bundle(tmp_path / "proven", manifest, {"model.onnx": bundle.model})

        return make

    def test_it_runs_and_the_log_says_so(self, proven, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
        bundle = proven(device="CPU B")
        with caplog.at_level(logging.INFO):
            open_graph(bundle.compiled, image=bundle.manifest.input.image())
        assert (
            "onnxruntime/fp32 was proven on another machine: device CPU B when built, GPU A here; prove it here with"
            in caplog.text
        )
        with pytest.raises(EngineError, match="proven on another machine"):
            open_graph(bundle.compiled, on_mismatch="stop", image=bundle.manifest.input.image())

    def test_int8_of_other_weights_is_left_out(
        self, proven, engine_graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        bundle = proven()
        record = bundle.manifest.builds["onnxruntime/fp32"].model_copy(
            update={"precision": "int8", "graph": "model.int8.onnx"}
        )
        manifest = bundle.manifest.model_copy(
            update={"variants": {"int8": "model.int8.onnx"}, "builds": {record.key: record}}
        )
        files = {"model.onnx": bundle.model, "model.int8.onnx": bundle.model}
        right = write_bundle(tmp_path / "right", manifest, files).compiled.graphs()
        assert (set(right.variants), right.verified) == ({"int8"}, {"onnxruntime/int8": True})
        files["model.onnx"] = engine_graph(tmp_path / "other.onnx", 3, 16, half=True)
        swapped = write_bundle(tmp_path / "swapped", manifest, files).compiled.graphs()
        assert (swapped.variants, swapped.verified) == ({}, {})
        assert "model.int8.onnx is left out, because it was made from another graph" in caplog.text

    def test_who_is_strict_gets_no_int8_that_was_proven_elsewhere(
        self, proven, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        bundle = proven(device="CPU B")
        record = bundle.manifest.builds["onnxruntime/fp32"].model_copy(
            update={"precision": "int8", "graph": "model.int8.onnx"}
        )
        manifest = bundle.manifest.model_copy(
            update={"variants": {"onnxruntime/int8": "model.int8.onnx"}, "builds": {record.key: record}}
        )
        both = write_bundle(
            tmp_path / "both", manifest, {"model.onnx": bundle.model, "model.int8.onnx": bundle.model}
        ).compiled
        taken = []
        monkeypatch.setattr(policy, "load_runtime", lambda files, **_: taken.append(files.verified) or EngineEmbedder)
        monkeypatch.setattr(policy, "_check_proof", lambda *_: None)
        monkeypatch.setattr(policy, "fingerprint", lambda target: DeviceFingerprint(library=target, **HERE))
        for on_mismatch in ("rebuild", "fallback", "stop"):
            open_graph(both, on_mismatch=on_mismatch)
        open_graph(both, LoadOptions(precision="int8"), on_mismatch="stop")
        assert taken == [{"onnxruntime/int8": good} for good in (True, True, False, True)]

    def test_a_failed_proof_is_never_silent(self, proven, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
        bundle = proven(failures=("cosine is 0.5",))
        open_graph(bundle.compiled, on_mismatch="stop", image=bundle.manifest.input.image())
        assert "onnxruntime/fp32 missed its thresholds: cosine is 0.5" in caplog.text


class TestDamage:
    @pytest.mark.parametrize("name", ["model.plan", "model.onnx"])
    def test_a_changed_file_is_refused_by_its_checksum(self, planned, name: str) -> None:
        folder = planned().folder
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 0xFF
        (folder / name).write_bytes(data)
        with pytest.raises(EngineError, match=rf"'{name}' is not the file that bundle\.json describes"):
            load_bundle(folder)

    def test_a_swapped_graph_with_a_right_checksum_is_found_by_the_plan(
        self, planned, engine_graph, machine: Machine, caplog
    ) -> None:
        bundle = planned()
        engine_graph(bundle.model, 3, 16, half=True)
        file = bundle.folder / "bundle.json"
        content = json.loads(file.read_text())
        content["files"]["model.onnx"] = sha256_file(bundle.model)
        file.write_text(json.dumps(content))
        swapped = load_bundle(bundle.folder)
        with pytest.raises(EngineError, match="'tensorrt/fp16' was compiled from another graph than the one beside it"):
            open_build(swapped.compiled, "tensorrt/fp16", image=swapped.manifest.input.image())
        open_graph(swapped.compiled, image=swapped.manifest.input.image())
        assert machine.asked == [("auto", None)]
        assert "compiled from another graph" in caplog.text

    def test_a_key_or_record_that_makes_no_sense(self, planned) -> None:
        file = planned().folder / "bundle.json"
        content = json.loads(file.read_text())
        content["builds"] = {"abacus/fp16": content["builds"]["tensorrt/fp16"]}
        file.write_text(json.dumps(content))
        with pytest.raises(EngineError, match=r"bundle\.json: builds"):
            load_bundle(file.parent)


def test_a_plan_does_not_change_what_features_may_be_compared_with(planned, make_bundle) -> None:
    assert planned().fingerprint == make_bundle("plain").fingerprint


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_batches_around_the_largest(make_bundle, runtime: str, count: int) -> None:
    engine = EngineEmbedder(make_bundle(), EngineConfig(runtime=runtime, precision="fp32", batch=4))
    crops = np.random.default_rng(count).integers(0, 256, (count, *engine.size, 3), dtype=np.uint8)
    features = engine.embed(crops)
    assert features.parts.shape == (count, 3, 16)
    for row in range(count):
        np.testing.assert_allclose(features.parts[row], engine.embed(crops[row : row + 1]).parts[0], atol=1e-4)
