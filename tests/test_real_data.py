"""The whole product on real video with ground truth: floors that a change must not fall below."""

import pytest

from streamreid import Config, Pipeline
from streamreid.evaluation import evaluate_mot, evaluate_multicam, read_truth
from streamreid.runs import run

pytest.importorskip("trackeval", reason="needs the extra 'eval'")


@pytest.mark.slow
def test_two_real_cameras_share_identities(shared, tmp_path):
    """Above Hungarian linking of StrongSORT tracks with retail-0277 features (IDF1 .800, HOTA .611), with nothing
    fitted on this clip."""
    data = shared / "data" / "multicam" / "pets_s2l1"
    detector = {"model": str(shared / "data" / "weights" / "yolo11n.onnx")}
    with Pipeline.from_sources(data / "cam001.mp4", data / "cam005.mp4", detector=detector) as pipeline:
        summary = run(pipeline, tmp_path)
    truth = read_truth([f"cam001={data / 'gt_cam001.txt'}", f"cam005={data / 'gt_cam005_derived.txt'}"])
    found = evaluate_multicam(tmp_path, truth, frames=(1, 75), partial=["cam005"])
    assert summary.shared >= 5
    assert found.combined.idf1 > 0.80
    assert found.combined.hota > 0.611
    assert found.identities.linked >= 5


@pytest.mark.slow
def test_tracks_of_one_real_camera(shared, tmp_path):
    """Above ByteTrack on the same detections (HOTA .601, IDF1 .811)."""
    data = shared / "data"
    detector = {"model": str(data / "weights" / "yolo11n.onnx")}
    cameras = [{"name": "vtest", "uri": str(data / "video" / "vtest.avi"), "frames": 400}]
    with Pipeline(Config.from_dict({"cameras": cameras, "detector": detector})) as pipeline:
        run(pipeline, tmp_path)
    truth = data / "mot" / "PETS09-S2L1" / "gt_frames_1-400.txt"
    scores = evaluate_mot(tmp_path / "mot" / "vtest.txt", truth, frames=(1, 400), rules="mot15").combined
    assert scores.hota > 0.601
    assert scores.idf1 > 0.811
