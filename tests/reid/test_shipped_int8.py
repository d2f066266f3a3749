"""The int8 form of the shipped engine: small, taken by itself where the CPU has VNNI, the same features for every size
of batch."""

import json
from pathlib import Path

import numpy as np
import pytest

from streamreid.config import EngineConfig
from streamreid.reid import EngineEmbedder, load_bundle, shipped_engines
from streamreid.reid.probe_set import generated_probe
from streamreid.runtimes import autoselect as choosing
from streamreid.runtimes.autoselect import Choice, candidates

FOLDER = shipped_engines()["pab-osnet-small"]


def test_the_whole_folder_is_at_most_12_mb():
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) <= 12_000_000


def test_the_record_says_verified_and_names_no_folder_of_the_builder():
    bundle = load_bundle(FOLDER)
    record = bundle.manifest.builds["openvino/int8"]
    assert record.parity is not None
    assert record.parity.passed
    assert record.weights == bundle.manifest.files["model.onnx"]
    assert record.parity.batches == (1, 2, 3, 17, 32, 33)
    assert not record.parity.probe.endswith("drawn figures")
    told = json.dumps(record.model_dump(mode="json", exclude={"target", "fingerprint"}))
    assert not any(word in told for word in ("/work", "/tmp", "/home", "/root"))


@pytest.mark.parametrize(
    ("flags", "first"),
    [
        ({"avx2", "avx_vnni"}, "int8"),
        ({"avx512_vnni", "avx512_bf16"}, "int8"),
        ({"avx512_bf16"}, "bf16"),
        ({"avx2"}, "fp32"),
        (set(), "auto"),  # OpenVINO's own choice between bf16 and fp32, where the instructions are not told
    ],
)
def test_auto_takes_it_where_the_cpu_has_vnni(monkeypatch: pytest.MonkeyPatch, flags: set, first: str):
    monkeypatch.setattr(choosing, "cpu_flags", lambda: frozenset(flags))
    files = load_bundle(FOLDER).compiled.graphs()
    found = candidates(files, "openvino")
    assert found[0] == Choice("openvino", first)
    assert (Choice("openvino", "int8") in found) is (first == "int8")
    assert candidates(files, "openvino", "fp32") == [Choice("openvino", "fp32")]
    assert all(
        c.precision != "int8" for c in candidates(files, "onnxruntime")
    )  # its Q/DQ pairs are where OpenVINO wants them


def test_a_gallery_or_cache_of_one_precision_holds_for_the_others():
    bundle = load_bundle(FOLDER)
    bare = bundle.manifest.model_copy(
        update={"builds": {}, "variants": {}, "files": {"model.onnx": bundle.manifest.files["model.onnx"]}}
    )
    assert type(bundle)(FOLDER, bare).fingerprint == bundle.fingerprint


@pytest.mark.slow
def test_features_are_near_the_reference_for_every_batch():
    """One load in five was wrong with weights that OpenVINO unfolds while it runs: see ``compiling.storing``."""
    if not choosing.INT8_FLAGS & choosing.cpu_flags():
        pytest.skip("this CPU has no VNNI, where int8 saturates on the way")
    bundle = load_bundle(FOLDER)
    crops = np.asarray(generated_probe((256, 128), 33).crops)
    wanted = EngineEmbedder(bundle, EngineConfig(runtime="onnxruntime", precision="fp32")).embed(crops)
    for size in (1, 3, 33):
        engine = EngineEmbedder(bundle, EngineConfig(runtime="openvino", precision="int8", threads=2))
        assert engine.precision == "int8"
        found = [engine.embed(crops[i : i + size]) for i in range(0, len(crops), size)]
        parts, visibility = (np.concatenate([getattr(f, name) for f in found]) for name in ("parts", "visibility"))
        cosine = (parts * wanted.parts).sum(-1)
        assert np.median(cosine) > 0.97, f"batches of {size}"
        assert np.quantile(cosine, 0.05) > 0.9, f"batches of {size}"
        assert np.abs(visibility - wanted.visibility).max() < 0.15, f"batches of {size}"


def test_asked_for_precisions_are_what_runs():
    bundle = load_bundle(FOLDER)
    for precision in ("fp32", "int8"):
        assert EngineEmbedder(bundle, EngineConfig(runtime="openvino", precision=precision)).precision == precision
    assert Path(FOLDER / bundle.manifest.variants["openvino/int8"]).is_file()
