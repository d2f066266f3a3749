"""Where the clothes of generated people come from: each file is fetched once, and kept only with the right checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid._download import DownloadError, ProgressFunction
from streamreid.errors import WeightsError, WeightsUnavailableError
from streamreid.synth.people import makehuman
from streamreid.synth.people.makehuman import clothes_folder
from streamreid.weights import sha256_file

MESH = b"# released as CC0\nv 0 0 0\n"
LARGE = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), np.uint8)
TEXTURE = cv2.imencode(".png", LARGE)[1].tobytes()


class Server:
    """Answers with what is published at each address."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = {"shoes01.obj": MESH, "shoes01_diffuse.png": TEXTURE}
        self.broken = ""

    def __call__(self, url: str, folder: Path, progress: ProgressFunction) -> Path:
        self.asked.append(url)
        name = url.rsplit("/", 1)[1]
        if name == self.broken:
            raise DownloadError(f"{url}: cannot be reached")
        path = folder / name
        path.write_bytes(self.answers[name])
        return path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("STREAMREID_MAKEHUMAN", raising=False)
    monkeypatch.delenv("STREAMREID_OFFLINE", raising=False)
    published = [
        makehuman._File("shoes01/" + n, "clothes/shoes01/" + n, len(b), hashlib.sha256(b).hexdigest())
        for n, b in (("shoes01.obj", MESH), ("shoes01_diffuse.png", TEXTURE))
    ]
    monkeypatch.setattr(makehuman, "_published", lambda: published)
    return Server()


def test_clothes_are_fetched_once(server: Server) -> None:
    folder = clothes_folder(downloader=server)
    assert (folder / "shoes01" / "shoes01.obj").read_bytes() == MESH
    small = cv2.imread(str(folder / "shoes01" / "shoes01_diffuse.png"))
    assert small is not None
    assert np.array_equal(small, cv2.resize(LARGE, (512, 512), interpolation=cv2.INTER_AREA))
    assert [u.split("/")[2] for u in server.asked] == ["raw.githubusercontent.com", "media.githubusercontent.com"]
    assert clothes_folder(downloader=server) == folder
    assert len(server.asked) == 2
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["shoes01.obj", "shoes01_diffuse.png"]


def test_an_interrupted_fetch_goes_on(server: Server) -> None:
    server.broken = "shoes01_diffuse.png"
    with pytest.raises(WeightsUnavailableError, match=r"shoes01_diffuse.png: cannot be reached; .*--clothes"):
        clothes_folder(downloader=server)
    server.broken = ""
    clothes_folder(downloader=server)
    assert [u.rsplit("/", 1)[1] for u in server.asked].count("shoes01.obj") == 1


def test_what_was_changed_on_the_way_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.answers["shoes01.obj"] = MESH + b"v 1 1 1\n"
    with pytest.raises(WeightsError, match=r"shoes01.obj.*wrong checksum: expected sha256 .*--clothes"):
        clothes_folder(downloader=server)
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_nothing_is_fetched_offline(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREID_OFFLINE", "1")
    with pytest.raises(WeightsUnavailableError, match="switched off"):
        clothes_folder(downloader=server)
    assert not server.asked


def test_the_list_holds_all_that_people_wear(shared: Path) -> None:
    folder = shared / "data" / "makehuman"
    if not folder.is_dir():
        pytest.skip(f"needs MakeHuman's clothes in {folder}")
    published = makehuman._published()
    here = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert {f.name for f in published} == set(here)
    for file in published:
        if not file.is_texture:  # textures are stored smaller
            assert sha256_file(here[file.name]) == file.sha256, file.name
            assert here[file.name].stat().st_size == file.size
