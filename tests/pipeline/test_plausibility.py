"""What the first minute shows is said once, in one sentence; what is right is not called wrong."""

import json
import logging

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.ground.body_model import body_boxes
from streamreid.ground.camera_model import GroundCamera
from streamreid.pipeline.plausibility import PlausibilityChecks
from streamreid.runs import run
from streamreid.runs.doctor import examine
from streamreid.types import Detections, PartFeatures

SIZE = (768, 432)


def camera_matrix(scale=1.0):
    """A camera 4 m high that looks at the origin from 9 m; ``scale`` world units per metre."""
    eye, target = np.array([9.0, 0.0, 4.0]), np.array([0.0, 0.0, 0.8])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    inner = np.array([[500.0, 0, SIZE[0] / 2], [0, 500.0, SIZE[1] / 2], [0, 0, 1]])
    return (
        inner
        @ np.concatenate([rotation, -(rotation @ eye)[:, None]], 1)
        @ np.diag([1 / scale, 1 / scale, 1 / scale, 1])
    )


def people(rng, count=4):
    true = GroundCamera.from_matrix("true", camera_matrix())
    boxes = body_boxes(true, np.concatenate([rng.uniform(-2, 2, (count, 2)), rng.normal(1.7, 0.1, (count, 1))], 1))
    return Detections(boxes.astype(np.float32), np.full(count, 0.9, np.float32), np.zeros(count, np.int64))


def features(count, alike, rng):
    parts = rng.normal(size=(count, 2, 64)) + alike
    return PartFeatures(
        (parts / np.linalg.norm(parts, axis=2, keepdims=True)).astype(np.float32), np.ones((count, 2), np.float32)
    )


def minute(check, *, seconds=70, alike=0.0, found=people, best=None, name="gate"):
    rng, said = np.random.default_rng(0), []
    for step in range(seconds * 2):
        detections = found(rng)
        looks = features(len(detections), alike, rng)
        said += check.observe(name, step / 2, detections, looks, SIZE, best_score=best)
    return said + check.finish()


def nobody(_):
    return Detections.empty()


def test_what_is_right_says_nothing():
    cameras = {"gate": GroundCamera.from_matrix("gate", camera_matrix())}
    assert minute(PlausibilityChecks(0.5, "engine", cameras)) == []
    assert minute(PlausibilityChecks(0.5, "engine", cameras), seconds=3) == []


def test_nobody_found_is_said_once_with_frames_seconds_and_best_score():
    ((camera, sentence),) = minute(PlausibilityChecks(0.5, "engine"), found=nobody, best=0.07)
    assert camera == "gate"
    assert "nobody was found in its first 61 frames (30 s)" in sentence
    assert "the best score was 0.07, and people count from 0.5" in sentence
    assert "If the scene was empty, all is well" in sentence


def pictures(moving):
    """A scene in which a box the size of a person walks to and fro, or stands."""
    rng = np.random.default_rng(1)
    ground = rng.integers(60, 120, (432, 768, 3))

    def picture(step):
        image = ground + rng.normal(0, 6, ground.shape)
        left = 100 + (40 * step) % 500 if moving else 100
        image[150:330, left : left + 60] = 220
        return image.clip(0, 255).astype(np.uint8)

    return picture


def watched(found, moving, frames=130):
    check, picture, said = PlausibilityChecks(0.5, "none"), pictures(moving), []
    for step in range(frames):
        people = found(step)
        looks = PartFeatures.unseen(len(people))
        said += check.observe("gate", step / 4, people, looks, SIZE, image=picture(step))
    return [sentence for _, sentence in said + check.finish()]


def test_movement_tells_a_blind_detector_from_an_empty_scene():
    (moving,) = watched(nobody, True)
    assert "although something moves in 100% of them" in moving
    assert "If these are people, this detector does not find them" in moving
    assert "detector bench" in moving
    (still,) = watched(nobody, False)
    assert "and nothing moves in them" in still
    assert "If the scene was empty, all is well" in still


def test_one_box_in_a_minute_is_not_finding_people():
    one = Detections(np.array([[1, 1, 30, 90]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    (sentence,) = watched(lambda step: one if step == 7 else Detections.empty(), True)
    assert "somebody was found in only 1 of its first 121 frames (30 s), although something moves" in sentence
    assert watched(lambda step: one if step == 7 else Detections.empty(), False) == []
    assert watched(lambda step: one if step > 60 else Detections.empty(), True) == []


def test_light_that_changes_and_a_camera_that_turns_are_no_movement():
    check = PlausibilityChecks(0.5, "none")
    rng, said = np.random.default_rng(2), []
    for step in range(130):
        light = np.full((432, 768, 3), 60 + step, np.uint8)
        turned = rng.integers(0, 2, (9, 16, 1), np.uint8).repeat(48, 0).repeat(48, 1).repeat(3, 2) * 200
        for camera, image in (("light", light), ("turned", turned)):
            said += check.observe(camera, step / 4, Detections.empty(), PartFeatures.unseen(0), SIZE, image=image)
    assert len(said) == 2
    assert not [sentence for _, sentence in said if "although something moves" in sentence]


def test_a_short_recording_is_judged_at_its_end():
    check = PlausibilityChecks(0.5, "engine")
    assert [c for c, _ in minute(check, seconds=5, found=nobody)] == ["gate"]
    assert check.finish() == []
    assert minute(PlausibilityChecks(0.5, "engine"), seconds=1, found=nobody) == []  # two frames say nothing


def test_cameras_are_judged_one_by_one():
    check, rng, said = PlausibilityChecks(0.5, "engine"), np.random.default_rng(0), []
    for step in range(100):
        said += check.observe("yard", step / 2, nobody(rng), features(0, 0, rng), SIZE)
        said += check.observe("hall", step / 2, people(rng), features(4, 0, rng), SIZE)
    assert [c for c, _ in said] == ["yard"]


def test_strangers_who_are_all_alike_are_said_of_the_engine_once():
    ((camera, sentence),) = minute(PlausibilityChecks(0.5, "osnet"), alike=8.0)
    assert camera == ""
    assert "engine 'osnet' hardly tells people apart" in sentence
    assert "100%" in sentence


def test_a_run_by_motion_alone_is_not_judged_by_its_engine():
    assert minute(PlausibilityChecks(0.5, "none"), alike=8.0) == []


def test_one_person_in_two_boxes_is_no_pair_of_strangers():
    def twice(rng):
        one = people(rng, 1)
        return Detections(np.repeat(one.boxes, 4, 0), np.repeat(one.scores, 4), np.repeat(one.classes, 4))

    assert minute(PlausibilityChecks(0.5, "osnet"), alike=8.0, found=twice) == []


@pytest.mark.parametrize(
    ("scale", "advice"),
    [
        (100.0, "with 0.01 times its unit"),
        (1000.0, "with 0.001 times"),
        (0.01, "with 100 times"),
        (0.55, "check its unit"),
    ],
)
def test_a_calibration_by_which_nobody_is_a_human_is_said(scale, advice):
    cameras = {"gate": GroundCamera.from_matrix("gate", camera_matrix(scale))}
    ((camera, sentence),) = minute(PlausibilityChecks(0.5, "engine", cameras))
    assert camera == "gate"
    assert "its calibration is probably wrong" in sentence
    assert advice in sentence


def test_people_above_the_horizon_are_said():
    upwards = camera_matrix() @ np.diag([1.0, 1, 1, 1])
    upwards[1] = upwards[1] + 700 * upwards[2]  # the picture is 700 pixels lower: people stand in the sky
    ((_, sentence),) = minute(PlausibilityChecks(0.5, "engine", {"gate": GroundCamera.from_matrix("gate", upwards)}))
    assert "stand above the horizon" in sentence


def test_children_and_people_who_sit_do_not_make_a_calibration_wrong():
    def sitting(rng):
        found = people(rng)
        found.boxes[1:, 1] += 0.45 * (found.boxes[1:, 3] - found.boxes[1:, 1])
        return found

    cameras = {"gate": GroundCamera.from_matrix("gate", camera_matrix())}
    assert minute(PlausibilityChecks(0.5, "engine", cameras), found=sitting) == []


class Blind:
    """A detector whose scores are all too low."""

    name = fingerprint = "blind"
    best_scores = {"left": 0.04, "right": 0.06}  # noqa: RUF012

    def __call__(self, frames):
        return [Detections.empty() for _ in frames]


def test_a_run_says_it_while_it_goes_on_and_in_the_summary(scene, colours, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("streamreid"), "propagate", True)
    config = scene.config(scene.camera("left", [0, 1]), scene.camera("right", [2]))
    with Pipeline(config, detector=Blind(), embedder=colours) as pipeline:
        run(pipeline, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    for name, score in Blind.best_scores.items():
        (sentence,) = summary["cameras"][name]["warnings"]
        assert "nobody was found in its first 40 frames (4 s), although something moves in" in sentence
        assert f"; the best score was {score:.2f}" in sentence
        assert caplog.text.count(f"camera '{name}': nobody was found") == 1


def test_an_engine_that_sees_all_alike_is_in_the_summary_of_the_run(scene, colours, tmp_path):
    colours.__class__ = type(
        "Alike",
        (type(colours),),
        {
            "__call__": lambda self, frames, found: [
                PartFeatures(np.ones((len(d), 1, 3), np.float32) / np.float32(3**0.5), np.ones((len(d), 1), np.float32))
                for d in found
            ]
        },
    )
    config = scene.config(scene.camera("left", [0, 1, 2, 3]), engine={"look_interval": 0})
    with Pipeline(config, embedder=colours) as pipeline:
        run(pipeline, tmp_path / "out")
    (warning,) = json.loads((tmp_path / "out" / "summary.json").read_text())["warnings"]
    assert "engine 'colour' hardly tells people apart" in warning


def test_doctor_says_the_same(scene, monkeypatch):
    config = scene.config(scene.camera("left", [0, 1]))
    monkeypatch.setattr("streamreid.runs.doctor.open_detectors", lambda config: Blind())
    found = examine(config, seconds=1.0)
    assert [w for w in found.cameras[0].warnings if "nobody was found in its first" in w and "best score was 0.04" in w]


def test_a_right_run_has_no_findings(scene, colours, tmp_path):
    with Pipeline(scene.config(scene.camera("left", [0, 1, 2])), embedder=colours) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert (summary.warnings, summary.cameras["left"].warnings) == ([], [])
