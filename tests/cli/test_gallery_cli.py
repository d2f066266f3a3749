"""The verbs of the gallery, on people followed in generated videos."""

import json
import os

import cv2
import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.gallery import Gallery


@pytest.fixture
def gallery(scene, colours, tmp_path, monkeypatch):
    """A gallery with the people 1 to 3 of one camera, with pictures."""
    path = tmp_path / "people.db"
    config = scene.config(
        scene.camera("hall", [0, 1, 2]),
        gallery={"store": str(path), "crops": True, "retention_hours": 12},
        association={"confirm_observations": 5, "confirm_seconds": 0.5},
    )
    with Pipeline(config, embedder=colours) as pipeline:
        list(pipeline)
    monkeypatch.setenv("STREAMREID_GALLERY", str(path))
    monkeypatch.setattr("streamreid.runs.gallery_search.open_embedder", lambda config: colours)
    return path


@pytest.fixture
def person(scene, tmp_path):
    """A picture of the person of colour 1, who is number 2."""
    path = tmp_path / "person.png"
    cv2.imwrite(str(path), np.full((90, 32, 3), scene.COLOURS[1], np.uint8))
    return path


def data_of(result):
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


def test_list_show_and_stats(gallery, call):
    found = data_of(call("gallery", "list", "--json"))["identities"]
    assert [(i["global_id"], i["cameras"], i["appearances"]) for i in found] == [(g, ["hall"], 1) for g in (1, 2, 3)]
    shown = data_of(call("gallery", "show", 2, "--json"))
    assert [e["kind"] for e in shown["events"]] == ["new", "confirm"]
    assert shown["appearance_list"][0]["camera"] == "hall"
    stats = data_of(call("gallery", "stats", "--json"))
    assert (stats["identities"], stats["retention_seconds"], stats["crops"]) == (3, 12 * 3600, 3)
    assert data_of(call("gallery", "list", "--camera", "door", "--json"))["identities"] == []
    for verb in (("list",), ("show", 2), ("stats",), ("audit",), ("check",)):
        code, out, _ = call("gallery", *verb)
        assert code == 0
        assert out.strip() or verb == ("audit",)


def test_staff_and_undo(gallery, call):
    assert call("gallery", "staff", 2)[1].strip() == "#2 is staff now"
    assert call("gallery", "rename", 2, "Anna")[0] == 0
    assert data_of(call("gallery", "show", 2, "--json"))["staff"] is True
    first, second = data_of(call("gallery", "corrections", "--json"))["corrections"]
    assert (first["kind"], second["kind"]) == ("staff", "rename")
    assert "rename of #2" in call("gallery", "undo")[1]
    assert "staff of #2" in call("gallery", "undo", first["number"])[1]
    assert call("gallery", "corrections")[1].count("(undone)") == 2
    shown = data_of(call("gallery", "show", 2, "--json"))
    assert (shown["staff"], shown["name"]) == (False, "")
    code, _, err = call("gallery", "undo", 7)
    assert (code, "no correction to undo" in err) == (2, True), err
    assert [e["action"] for e in data_of(call("gallery", "audit", "--json"))["entries"]].count("undo") == 2


def test_search_by_picture_box_and_identity(gallery, person, scene, call, tmp_path):
    found = data_of(call("search", "--image", person, "--json"))["identities"]
    assert found[0]["global_id"] == 2
    assert found[0]["probability"] > 0.9
    assert found[0]["appearances"][0]["camera"] == "hall"
    box = data_of(
        call(
            "search", "--video", scene.folder / "hall.mp4", "--time", 2, "--box", "130,80,162,170", "--json", "--top", 1
        )
    )
    assert [i["global_id"] for i in box["identities"]] == [3]
    sheet = tmp_path / "sheet.html"
    alike = data_of(call("search", "--identity", 1, "--json", "--html", sheet))["identities"]
    assert 1 not in {i["global_id"] for i in alike}
    assert sheet.read_text().count("data:image/jpeg;base64,") == len(alike) == 2
    code, out, _ = call("search", "--image", person, "--least", 0.9)
    assert code == 0
    assert "#2" in out
    assert "#1" not in out
    log = data_of(call("gallery", "audit", "--json"))["entries"]
    assert [e["action"] for e in log] == ["search"] * 4
    assert len(log[0]["detail"]["picture_sha256"]) == 64
    assert log[0]["detail"]["found"][0] == 2


def test_names_in_a_sheet_are_escaped(gallery, call, tmp_path):
    assert call("gallery", "rename", 2, "<script>alert(1)</script>")[0] == 0
    call("search", "--identity", 1, "--html", tmp_path / "s.html")
    text = (tmp_path / "s.html").read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_corrections_backup_and_export(gallery, call, tmp_path):
    assert call("gallery", "merge", 1, 2)[0] == 0
    assert data_of(call("gallery", "show", 2, "--json"))["global_id"] == 1
    row = data_of(call("gallery", "show", 1, "--json"))["appearance_list"][1]["appearance"]
    assert call("gallery", "split", 1, row)[1].strip() == "1 appearances of #1 are #4 now"
    assert call("gallery", "different", 3, 4)[0] == 0
    code, _, err = call("gallery", "merge", 3, 4)
    assert code == 2
    assert "--force" in err
    assert call("gallery", "backup", tmp_path / "b.db")[0] == 0
    assert len(data_of(call("gallery", "list", "-g", tmp_path / "b.db", "--json"))["identities"]) == 3
    assert call("gallery", "export", tmp_path / "data")[0] == 0
    assert len((tmp_path / "data" / "pairs.csv").read_text().splitlines()) == 4
    assert len(list((tmp_path / "data" / "images").glob("*.jpg"))) == 3
    report = data_of(call("gallery", "forget", 4, "--yes", "--json"))
    assert report["complete"]
    assert sorted(report["copies_erased"]) == [str(tmp_path / "b.db"), str(tmp_path / "data")]
    assert len(list((tmp_path / "data" / "images").glob("*.jpg"))) == 2
    assert len(data_of(call("gallery", "list", "-g", tmp_path / "b.db", "--json"))["identities"]) == 2


def test_forget_by_picture(gallery, person, call, monkeypatch):
    code, out, _ = call("gallery", "forget", "--image", person, "--yes")
    assert code == 0
    assert "forgotten: #2" in out
    assert "0 remains" in out
    assert 2 not in {i["global_id"] for i in data_of(call("search", "--image", person, "--json"))["identities"]}
    code, out, _ = call("gallery", "forget", "--image", person, "--yes")
    assert "nothing was erased" in out
    with Gallery.open(gallery) as store:
        assert [r.global_id for r in store.identities()] == [1, 3]


def test_forgetting_says_what_could_not_be_reached(gallery, call, tmp_path):
    call("gallery", "backup", tmp_path / "b.db")
    os.rename(tmp_path / "b.db", tmp_path / "moved.db")
    code, _, err = call("gallery", "forget", 1, "--yes")
    assert code == 2
    assert "not complete" in err
    assert "b.db" in err


def test_encrypted_copy(gallery, call, tmp_path, monkeypatch):
    pytest.importorskip("cryptography", reason="needs cryptography: pip install 'streamreid[encryption]'")
    code, key, _ = call("gallery", "key")
    assert code == 0
    code, _, err = call("gallery", "copy", gallery, tmp_path / "secret.db", "--encrypt")
    assert code == 2
    assert "STREAMREID_GALLERY_KEY is not set" in err
    monkeypatch.setenv("STREAMREID_GALLERY_KEY", key.strip())
    assert call("gallery", "copy", gallery, tmp_path / "secret.db", "--encrypt")[0] == 0
    assert data_of(call("gallery", "stats", "-g", tmp_path / "secret.db", "--json"))["encrypted"]
    assert len(data_of(call("gallery", "list", "-g", tmp_path / "secret.db", "--json"))["identities"]) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("search",), "say whom to search for"),
        (("search", "--identity", 1, "--image", "x.jpg"), "say whom to search for"),
        (("search", "--identity", 99), "no views of identity 99"),
        (("search", "--image", "missing.jpg"), "missing.jpg"),
        (("search", "--video", "hall.mp4"), "needs --box"),
        (("gallery", "show", 99), "no identity 99"),
        (("gallery", "forget", "--yes"), "whom?"),
        (("gallery", "list", "-g", "none.db"), "there is no gallery"),
        (("gallery", "list", "-g", "redis://u:geheim@host"), "postgresql://"),
    ],
)
def test_mistakes(gallery, call, words, message):
    code, _, err = call(*words)
    assert code in (2, 3)
    assert message in " ".join(err.split())
    assert "geheim" not in err


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "50,10,20,90"])
def test_wrong_boxes(gallery, person, call, box):
    code, _, err = call("search", "--image", person, "--box", box)
    assert code == 2
    assert "--box" in err


def test_which_gallery(call, monkeypatch):
    monkeypatch.delenv("STREAMREID_GALLERY", raising=False)
    code, _, err = call("gallery", "list")
    assert code == 2
    assert "which gallery?" in err


def test_the_store_of_a_configuration(gallery, call, tmp_path, monkeypatch):
    monkeypatch.delenv("STREAMREID_GALLERY")
    path = tmp_path / "cams.yaml"
    path.write_text(f"cameras: [{{name: a, uri: a.mp4}}]\ngallery: {{store: {gallery}}}\n")
    assert len(data_of(call("gallery", "list", "--sources", path, "--json"))["identities"]) == 3


def test_expiry_follows_the_retention_of_the_runs(gallery, call):
    with Gallery.open(gallery) as store:
        store.tables.database.rows("UPDATE appearances SET stored = stored - 13 * 3600 WHERE identity = 2")
    code, out, _ = call("gallery", "expire")
    assert (code, out.strip()) == (0, "1 identities expired")
