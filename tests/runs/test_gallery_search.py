"""A Python caller searches a gallery and gets values: identities, probabilities given the others, track records."""

import cv2
import numpy as np
import pytest

import streamreid
from streamreid import Pipeline
from streamreid.config import GalleryConfig
from streamreid.errors import ConfigError, EngineMismatchError, GalleryError, SourceError
from streamreid.gallery import Gallery


@pytest.fixture
def path(scene, colours, tmp_path):
    """A gallery with the identities 1 to 3, seen by one camera."""
    path = tmp_path / "people.db"
    config = scene.config(
        scene.camera("hall", [0, 1, 2]),
        gallery={"store": str(path)},
        association={"confirm_observations": 5, "confirm_seconds": 0.5},
    )
    with Pipeline(config, embedder=colours) as pipeline:
        list(pipeline)
    return path


@pytest.fixture
def picture(scene):
    """A picture of identity 2."""
    return np.full((90, 32, 3), scene.COLOURS[1], np.uint8)


def test_a_picture_is_answered_with_identities_and_where_they_were_seen(path, picture, colours, tmp_path, call):
    cv2.imwrite(str(tmp_path / "person.png"), picture)
    expected = None
    for pictures in (picture, tmp_path / "person.png", str(tmp_path / "person.png"), [picture]):
        result = streamreid.search_gallery(pictures, gallery=path, engine=colours, actor="tester")
        first = result.identities[0]
        assert first.global_id == 2
        assert first.probability > 0.9
        assert sum(i.probability for i in result.identities) <= 1 + 1e-6
        (match,) = first.track_records
        assert (match.record.camera, match.record.global_id) == ("hall", 2)
        assert match.similarity == pytest.approx(first.similarity)
        assert expected in (None, result)
        expected = result
    with Gallery.open(path) as gallery:
        assert match.record == gallery.track_records([2])[match.row]
        log = gallery.audit_log()
    assert [(e.actor, e.action) for e in log] == [("tester", "search")] * 4
    assert (log[0].detail["found"], len(log[0].detail["picture_sha256"])) == (
        [i.global_id for i in result.identities],
        64,
    )
    assert result.as_dict()["identities"][0]["appearances"][0]["camera"] == "hall"
    assert result.prototypes == result.as_dict()["views_searched"] > 0


def test_several_pictures_and_boxes_are_one_person(path, picture, scene, colours):
    wide = np.zeros((90, 200, 3), np.uint8)
    wide[:, 100:132] = scene.COLOURS[1]
    boxes = [(0, 0, 32, 90), (100, 0, 132, 90)]
    result = streamreid.search_gallery([picture, wide], gallery=path, boxes=boxes, engine=colours, top=1)
    assert [i.global_id for i in result.identities] == [2]
    assert len(result.query["picture_sha256"]) == len(result.query["box"]) == 2


def test_an_identity_is_left_out_of_its_own_search(path, colours):
    with Gallery.open(path) as gallery:
        gallery.rename(3, "Ann")
        result = streamreid.search_gallery(identity=3, gallery=gallery, engine=colours)
        assert 3 not in {i.global_id for i in result.identities}
        assert gallery.resolve(3) == 3  # it was not closed
    config = GalleryConfig(store=str(path))
    found = streamreid.search_gallery(identity=1, gallery=config, engine=colours).identities
    assert {i.global_id: i.name for i in found}[3] == "Ann"


def test_only_some_cameras_and_probabilities(path, picture, colours):
    assert streamreid.search_gallery(picture, gallery=path, engine=colours, cameras=["door"]).identities == ()
    found = streamreid.search_gallery(picture, gallery=path, engine=colours, min_probability=0.5, cameras={"hall"})
    assert [i.global_id for i in found.identities] == [2]


def test_a_gallery_that_cannot_be_written_is_searched_without_a_note(path, picture, colours):
    with Gallery.open(path, read_only=True) as gallery:
        result = streamreid.search_gallery(picture, gallery=gallery, engine=colours)
        assert result.identities[0].global_id == 2
        assert not result.audited
        assert gallery.audit_log() == []


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({}, ConfigError, "either pictures of a person or the identity"),
        ({"pictures": "a.jpg", "identity": 1}, ConfigError, "either pictures of a person or the identity"),
        ({"pictures": []}, ConfigError, "at least one picture"),
        ({"pictures": "missing.jpg"}, SourceError, "missing.jpg"),
        ({"identity": 99}, GalleryError, "no views of identity 99"),
        ({"identity": 1, "top": 0}, ConfigError, "top must be at least 1"),
        ({"identity": 1, "prior": 0.0}, ConfigError, "prior must be above 0 and at most 1"),
        ({"pictures": np.zeros((9, 9, 3), np.uint8), "boxes": []}, ConfigError, "1 pictures need as many boxes, got 0"),
    ],
)
def test_mistakes(path, colours, words, error, message):
    with pytest.raises(error, match=message):
        streamreid.search_gallery(words.pop("pictures", None), gallery=path, engine=colours, **words)


def test_another_engine_and_an_empty_gallery_are_refused(path, picture, colours, tmp_path):
    with pytest.raises(GalleryError, match="there is no gallery"):
        streamreid.search_gallery(picture, gallery=tmp_path / "new.db", engine=colours)
    assert not (tmp_path / "new.db").exists()
    with Gallery.open(tmp_path / "new.db") as empty, pytest.raises(ConfigError, match="is empty"):
        streamreid.search_gallery(picture, gallery=empty)
    colours.fingerprint = "other"
    with pytest.raises(EngineMismatchError, match="holds features of engine 'colour'"):
        streamreid.search_gallery(picture, gallery=path, engine=colours)
