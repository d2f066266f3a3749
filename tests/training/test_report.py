"""Report pictures: written, plausible, and without recognisable faces."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.errors import DataError  # noqa: E402
from streamreid.training.figures import blur_faces, draw_parts, draw_ranks  # noqa: E402
from streamreid.training.report import draw_curves, draw_distances, read_log  # noqa: E402


class Fixed(torch.nn.Module):
    """Stands in for a network: head above, legs below."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(()))
        self.config = SimpleNamespace(parts=("head", "torso", "arms", "legs", "feet"))

    def forward(self, pictures: "torch.Tensor") -> SimpleNamespace:
        attention = torch.zeros(len(pictures), 6, 16, 8)
        attention[:, 1, :3], attention[:, 2, 3:9], attention[:, 4, 9:] = 1, 1, 1
        return SimpleNamespace(attention=attention, visibility=torch.ones(len(pictures), 6))


def test_part_maps_are_drawn_below_blurred_crops(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 128, 3)).astype(np.uint8)
    path = draw_parts(Fixed(), [noise, noise], tmp_path / "parts.png")  # type: ignore[arg-type]
    drawn = cv2.imread(str(path))
    assert drawn.shape[1] == 256
    top, middle = drawn[:48, :128], drawn[100:148, :128]
    assert np.abs(np.diff(top.astype(int), axis=0)).mean() < 0.2 * np.abs(np.diff(middle.astype(int), axis=0)).mean()
    maps = drawn[256:512, :128].reshape(256, -1, 3).mean(1)
    assert maps[20, 2] > maps[20, 0] + 30  # red heads
    assert maps[240, 0] > maps[240, 1] + 10  # blue legs


def test_only_the_own_body_below_the_head_stays_sharp() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 128, 3)).astype(np.uint8)
    attention = np.zeros((6, 16, 8), np.float32)
    attention[0], attention[2, :10] = 1, 1
    attention[0, :10] = 0
    found = blur_faces(noise, attention)
    assert (found[70:140] == noise[70:140]).all()
    assert (found[:50] != noise[:50]).mean() > 0.9  # the upper fifth, whatever the maps say
    assert (found[180:] != noise[180:]).mean() > 0.9  # somebody or something else


def test_curves_and_distances(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "log.csv").write_text("step,name,value\n0,loss,5\n1,loss,4\n1,parts_clean_map,0.5\n")
    log = read_log(tmp_path / "log.csv")
    assert log["loss"] == ([0, 1], [5.0, 4.0])
    assert cv2.imread(str(draw_curves(log, tmp_path / "curves.png"))) is not None
    people = np.array([[0, 1, 1], [0, 1, 2], [0, 2, 1], [0, 2, 2]])
    assert cv2.imread(str(draw_distances(np.eye(4, dtype=np.float32), people, tmp_path / "d.png"))) is not None
    with pytest.raises(DataError, match="no training log"):
        read_log(tmp_path / "none.csv")


def test_ranked_lists_frame_right_and_wrong_matches(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 128, 3)).astype(np.uint8)
    people = np.array([[0, 1, 1], [0, 1, 2], [0, 2, 1], [0, 2, 2]])
    similarity = np.array(
        [[1, 0.9, 0.99, 0.2], [0.9, 1, 0.1, 0.95], [0.99, 0.1, 1, 0.3], [0.2, 0.95, 0.3, 1]], np.float32
    )
    path = draw_ranks(Fixed(), [noise] * 4, people, similarity, tmp_path / "ranks.png", queries=2, ranks=3)  # type: ignore[arg-type]
    drawn = cv2.imread(str(path))
    tile = 128 + 8
    assert drawn.shape[1] == 4 * tile
    # Row 0 is the query whose best match is wrong: picture 2 ranks (2 has camera 1, so 1 and 3 of camera 2): 3 (.3,
    # right) before 1 (.1, wrong).
    frames = [tuple(int(c) for c in drawn[2, i * tile + 60]) for i in range(4)]
    assert frames[0] == (255, 255, 255)
    assert set(frames[1:3]) <= {(0, 170, 0), (0, 0, 220)}
    assert frames[3] == (255, 255, 255)  # only two pictures of other cameras
    with pytest.raises(DataError, match="nothing to rank"):
        draw_ranks(Fixed(), [noise], people[:1], similarity[:1, :1], path)  # type: ignore[arg-type]
