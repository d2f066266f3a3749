"""Values say what is wrong with them, and travel to supervision and back."""

import numpy as np
import pytest
import supervision as sv

from streamreid.types import Detections, Frame, FrameResult, PartFeatures, Tracklet, Tracks


def test_detections_travel_to_supervision_and_back():
    there = Detections.from_arrays([[0, 0, 10, 20], [5, 5, 9, 9]], [0.9, 0.4], [0, 0]).to_supervision()
    assert isinstance(there, sv.Detections)
    back = Detections.from_supervision(there)
    assert back.boxes.tolist() == [[0, 0, 10, 20], [5, 5, 9, 9]]
    assert back.scores == pytest.approx([0.9, 0.4])
    bare = Detections.from_supervision(sv.Detections(xyxy=np.array([[0.0, 0, 1, 1]])))
    assert bare.scores.tolist() == [1.0]
    assert len(Detections.from_supervision(sv.Detections.empty())) == 0


def test_rows_and_reprs():
    d = Detections.from_arrays(np.arange(12).reshape(3, 4))
    assert len(d[np.array([True, False, True])]) == 2
    assert repr(d) == "Detections(n=3)"
    assert repr(PartFeatures.unseen(2, 6, 256)) == "PartFeatures(n=2, parts=6, dim=256)"
    assert len(Detections.empty()) == len(Tracks.empty()) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(2, np.int64)),
            r"boxes \[N, 4\].*\(2, 4\), \(1,\)",
        ),
        (
            lambda: PartFeatures(np.zeros((2, 6, 8), np.float32), np.zeros((2, 5), np.float32)),
            r"parts \[N, K, D\].*\(2, 5\)",
        ),
        (
            lambda: Tracks(
                np.zeros(2, np.int64), np.zeros((1, 4), np.float32), np.zeros(2, np.float32), np.zeros(2, np.int64)
            ),
            "ids",
        ),
        (lambda: Frame("a", 0, 0.0, np.zeros((4, 4), np.uint8)), r"camera 'a'.*\[H, W, 3\]"),
        (lambda: Tracklet("a", 1, 2.0, 1.0, 3, PartFeatures.unseen(1)), "before it starts"),
        (lambda: Tracklet("a", 1, 0.0, 1.0, 3, PartFeatures.unseen(2)), "one row"),
        (
            lambda: FrameResult(
                Frame("a", 0, 0.0, np.zeros((4, 4, 3), np.uint8)),
                Tracks.empty(),
                np.zeros(1, np.int64),
                np.zeros(0),
                np.zeros((0, 1)),
            ),
            "0 tracks",
        ),
    ],
)
def test_wrong_shapes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
