"""output.blur hides whoever may be a person, in every picture that leaves the program."""

import itertools
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.config import TrackerConfig
from streamreid.gallery import Gallery
from streamreid.pipeline.privacy_mask import PrivacyMask
from streamreid.runs import run
from streamreid.sinks.drawing import blurred, pixelate
from streamreid.tracking import Tracker
from streamreid.types import Detections

SIZE = (320, 240)


def follow(frames, *, ahead=0.0, fps=10):
    """Boxes to blur of every frame, where ``frames`` lists the detector's (box, score) pairs."""
    mask, tracker, released = PrivacyMask(ahead=ahead), Tracker(TrackerConfig()), {}
    for index, found in enumerate(frames):
        boxes = Detections.from_arrays([b for b, _ in found], [s for _, s in found])
        tracker.update(boxes, None, index / fps, size=SIZE)
        mask.push(index, index / fps, boxes, tracker.everybody, size=SIZE)
        direct = mask.boxes(index)
        if not ahead:
            released[index] = direct
        released |= {m.index: m.boxes for m in mask.drain()} if ahead else {}
    return released | ({m.index: m.boxes for m in mask.drain(rest=True)} if ahead else {})


def hidden(box, boxes):
    """Share of a box that is covered."""
    canvas = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for left, top, right, bottom in np.clip(boxes, 0, 999).astype(int).tolist():
        canvas[top:bottom, left:right] = 1
    left, top, right, bottom = box
    return canvas[top:bottom, left:right].mean()


def walker(index):
    return (40 + 6 * index, 60, 75 + 6 * index, 150)


@pytest.mark.parametrize("score", [0.9, 0.5, 0.11, 0.02])
def test_a_box_of_any_score_is_hidden_from_its_first_frame_on(score):
    masks = follow([[(walker(i), score)] for i in range(4)])
    assert min(hidden(walker(i), masks[i]) for i in range(4)) == 1


@pytest.mark.parametrize(("before", "away"), [(1, 8), (2, 10), (20, 11)])
def test_whoever_the_detector_misses_for_a_moment_stays_hidden(before, away):
    frames = [[(walker(i), 0.4)] if i < before else [] for i in range(before + away)]
    masks = follow(frames)
    assert min(hidden(walker(i), masks[i]) for i in range(len(frames))) == 1


def test_a_lost_track_is_not_hidden_for_ever():
    masks = follow([[(walker(0), 0.9)] if i < 10 else [] for i in range(80)])
    assert len(masks[79]) == 0


def test_films_of_recordings_hide_people_before_they_were_found_and_between():
    found = [*range(10, 30), *range(60, 80)]  # away for three seconds
    stands = (150, 60, 190, 160)
    masks = follow([[(stands, 0.9)] if i in found else [] for i in range(90)], ahead=15)
    assert sorted(masks) == list(range(90))
    assert all(hidden(stands, masks[i]) == 1 for i in range(80))
    walking = follow([[(walker(i), 0.3)] if i >= 8 else [] for i in range(20)], ahead=15)
    assert all(hidden(walker(i), walking[i]) == 1 for i in range(20))


def test_somebody_seen_in_part_grows_like_a_whole_body():
    """Out of cover comes the upper half of a fast walker, once; others show how tall people are here."""
    others = [[((280, 40, 315, 130), 0.8)] for _ in range(30)]
    person = [(200 - 8 * i, 60, 222 - 8 * i, 150) for i in range(30)]
    frames = [found + ([((*person[i][:3], 100), 0.2)] if i == 20 else []) for i, found in enumerate(others)]
    masks = follow(frames, ahead=15.0)
    assert min(hidden((*person[i][:3], 100), masks[i]) for i in range(15, 26)) > 0.9


def test_somebody_who_stands_still_and_flickers_hides_little_else():
    """The place between two observations is known, and a second box of the same person is nobody new."""
    whole, upper = (100, 60, 135, 150), (102, 61, 133, 105)
    frames = [[(whole, 0.9)] + ([(upper, 0.3)] if i % 2 else []) if i % 4 else [] for i in range(1, 40)]
    masks = follow(frames, ahead=15.0)
    for i in range(5, 30):
        assert hidden(whole, masks[i]) == 1
        assert hidden((0, 0, 85, 240), masks[i]) == hidden((150, 0, 320, 240), masks[i]) == 0


def test_masks_leave_most_of_the_picture_alone():
    masks = follow([[((150, 60, 190, 160), 0.9)] for _ in range(40)], ahead=15)
    canvas = [hidden((0, 0, *SIZE), m) for m in masks.values()]
    assert max(canvas) < 2 * 40 * 100 / (SIZE[0] * SIZE[1])


def test_boxes_that_are_none_are_passed_over():
    bad = [((np.nan, 0, 5, 5), 0.9), ((1e9, 0, 2e9, 5), 0.9), (walker(0), 0.9)]
    assert hidden(walker(0), follow([bad])[0]) == 1


# ------------------------------------------------------------ pictures that leave the program


def noisy(path: Path, frames: int, *, texture=8) -> None:
    """A film of fine noise: whatever is blurred lost its detail."""
    rng = np.random.default_rng(0)
    picture = cv2.resize(
        rng.integers(0, 256, (SIZE[1] // 2, SIZE[0] // 2), np.uint8), SIZE, interpolation=cv2.INTER_NEAREST
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 20_000_000
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cv2.merge([picture] * 3), format="bgr24")))
        container.mux(stream.encode())


def detail(picture, box):
    """Mean difference of neighbours in a box."""
    left, top, right, bottom = (int(v) for v in box)
    patch = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[top:bottom, left:right].astype(float)
    return float(np.abs(np.diff(patch, axis=1)).mean())


def read_film(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


STANDS = (120, 60, 180, 200)


def noisy_config(scene, frames, found, **sections):
    """A camera in which one person stands; ``found`` says in which frames, and how surely, the detector sees them."""
    path = scene.folder / "hall.mp4"
    noisy(path, frames)
    rows = [
        f"{i + 1},-1,{STANDS[0]},{STANDS[1]},{STANDS[2] - STANDS[0]},{STANDS[3] - STANDS[1]},{s},-1,-1,-1"
        for i, s in found.items()
    ]
    (scene.boxes / "hall.txt").write_text("\n".join(rows) + "\n")
    return scene.config(path, **sections)


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_no_frame_of_a_film_shows_somebody_who_was_missed_now_and_then(scene, tmp_path, delay):
    found = dict.fromkeys([*range(5, 12), *range(18, 25)], 0.9)
    config = noisy_config(
        scene, 30, found, output={"video": True, "mosaic": True, "blur": "people"}, tracker={"delay": delay}
    )
    with Pipeline(config) as pipeline:
        run(pipeline, tmp_path / "out")
    inner = (130, 100, 170, 190)
    plain = detail(read_film(scene.folder / "hall.mp4")[0], inner)
    for film in ("videos/hall.mp4", "mosaic.mp4"):
        pictures = read_film(tmp_path / "out" / film)
        assert len(pictures) == 30
        assert max(detail(p, inner) for p in pictures[:28]) < plain / 4
    assert not (tmp_path / "out" / ".masks").exists()


def test_people_outside_the_region_of_interest_are_blurred_too(scene, tmp_path):
    config = noisy_config(scene, 8, dict.fromkeys(range(8), 0.9), output={"video": True, "blur": "people"})
    roi = ((0.0, 0.0), (0.2, 0.0), (0.2, 1.0), (0.0, 1.0))
    config = config.model_copy(update={"cameras": (config.cameras[0].model_copy(update={"roi": roi}),)})
    with Pipeline(config) as pipeline:
        run(pipeline, tmp_path / "out")
    pictures = read_film(tmp_path / "out" / "videos" / "hall.mp4")
    assert max(detail(p, STANDS) for p in pictures) < detail(read_film(scene.folder / "hall.mp4")[0], STANDS) / 4


def test_crops_and_pictures_in_the_gallery_are_blurred(scene, tmp_path, colours):
    store = tmp_path / "people.db"
    settings = {"output": {"crops": True, "blur": "people"}, "gallery": {"store": str(store), "crops": True}}
    config = noisy_config(scene, 30, dict.fromkeys(range(30), 0.9), **settings)
    with Pipeline(config, embedder=colours) as pipeline:
        run(pipeline, tmp_path / "out")
    plain = detail(read_film(scene.folder / "hall.mp4")[0], STANDS)
    crops = [cv2.imread(str(p)) for p in (tmp_path / "out" / "crops").glob("*/hall/*.jpg")]
    with Gallery.open(store) as gallery:
        stored = [
            cv2.imdecode(np.frombuffer(data, np.uint8), 1)
            for data in gallery.crops(list(gallery.track_records([1]))).values()
        ]
    for picture in itertools.chain(crops, stored):
        height, width = picture.shape[:2]
        assert detail(picture, (0, 0, width, height)) < plain / 4
    assert crops
    assert stored


def test_a_picture_without_places_is_refused_rather_than_shown():
    image = np.zeros((8, 8, 3), np.uint8)
    assert blurred(image, None, "none") is not image
    with pytest.raises(ValueError, match="blur_boxes"):
        blurred(image, None, "head")


def test_the_head_of_somebody_whose_legs_are_hidden_is_blurred_whole():
    image = np.random.default_rng(1).integers(0, 256, (120, 120, 3), np.uint8)
    before = image.copy()
    pixelate(image, np.array([[30.0, 20.0, 70.0, 60.0]], np.float32), "head")
    changed = (image != before).any(2)
    assert changed[20:49, 30:70].mean() > 0.95
    assert not changed[52:].any()
