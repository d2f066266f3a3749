"""What a replay reports, as tables that can be scored."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from streamreid.config import Config
from streamreid.evaluation import Table
from streamreid.evaluation.table import one_of_each
from streamreid.replay import trials
from streamreid.types import Tracks


class OnePerson:
    """A replay in which track 1 is carried on in the second frame, while track 2 of the same person begins."""

    def __init__(self, *_: object, **__: object) -> None:
        self.identities = {("a", 1): (7, 1.0), ("a", 2): (7, 1.0)}

    def __iter__(self):
        for index, seen in enumerate([{1: 0.9}, {1: 0.0, 2: 0.6}, {2: 0.8}]):
            boxes = np.array([[track, 0, track + 10, 20] for track in seen], np.float32)
            ids, scores = np.array(list(seen)), np.array(list(seen.values()), np.float32)
            yield SimpleNamespace(
                frame=SimpleNamespace(camera="a", index=index), tracks=Tracks(ids, boxes, scores, np.arange(len(seen)))
            )


def test_a_person_has_one_box_in_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "Replay", OnePerson)
    recording = trials.Recording(Path(), Config.from_sources("a.mp4"), [], {"a": Table.empty()}, {})
    people = recording.replay({}, "global")["a"]
    assert (people.frames.tolist(), people.ids.tolist()) == ([1, 2, 3], [7, 7, 7])
    assert people.boxes[:, 0].tolist() == [1, 2, 2]
    assert recording.replay({}, "local")["a"].ids.tolist() == [1, 1, 2, 2]


def test_the_best_of_each_by_hand() -> None:
    frames, ids = np.array([2.0, 1, 1, 1, 2]), np.array([5.0, 5, 6, 5, 5])
    assert one_of_each(frames, ids, np.array([0.1, 0.5, 0.0, 0.9, 0.3])).tolist() == [2, 3, 4]
    assert one_of_each(frames[:0], ids[:0], ids[:0]).tolist() == []
