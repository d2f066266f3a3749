"""Pictures for viewers: made once for all of them, only while somebody looks, hidden as was asked for, never held."""

import asyncio
import gc
import json
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from streamreid import Config
from streamreid.types import Frame, FrameResult, Tracks
from streamreid.web.live_page import LiveView
from streamreid.web.pictures import EncodedPicture, PictureFeed, width_for
from streamreid.web.socket import Ticks


def result(camera="hall", number=0, *, blur=None):
    """A frame with one person in its left half, who is bright."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[:, :160:2] = 255
    frame = Frame(camera, number, number / 10, image)
    tracks = Tracks(np.array([7]), np.array([[0, 0, 160, 240]], np.float32), np.array([0.9], np.float32), np.array([0]))
    return FrameResult(
        frame, tracks, np.array([3]), np.array([0.5], np.float32), np.ones((1, 1), np.float32), blur_boxes=blur,
        names={3: "Anna"},
    )  # fmt: skip


def wait(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def feed():
    made = PictureFeed()
    yield made
    made.abort()


def test_nothing_is_made_or_held_while_nobody_looks(feed):
    shown = result()
    kept = weakref.ref(shown.frame.image)
    feed.write(shown)
    del shown
    gc.collect()
    assert kept() is None
    feed.subscribe([("entrance", 320)])
    feed.write(result("hall"))
    assert feed.encoded == 0


def test_one_picture_per_frame_and_size_for_all_viewers(feed):
    for _ in range(20):
        feed.subscribe([("hall", 320), ("hall", 640)])
    for number in range(3):
        before = feed.encoded
        feed.write(result(number=number))
        wait(lambda before=before: feed.encoded == before + 2)
    picture = feed.newest(("hall", 320))
    header = json.loads(picture.header)
    assert header["people"] == [
        {"box": [0, 0, 0.5, 1], "track_id": 7, "global_id": 3, "name": "Anna", "probability": 0.5, "visibility": [1]}
    ]
    assert header["time"] == 0.2
    for _ in range(19):
        feed.unsubscribe([("hall", 320), ("hall", 640)])
    assert feed.newest(("hall", 320)) is picture
    feed.unsubscribe([("hall", 320), ("hall", 640)])
    assert feed.newest(("hall", 320)) is None
    feed.write(result())
    assert feed.encoded == 6


def test_a_frame_is_let_go_when_its_picture_is_made(feed):
    feed.subscribe([("hall", 320)])
    shown = result()
    kept = weakref.ref(shown.frame.image)
    feed.write(shown)
    del shown
    wait(lambda: feed.encoded == 1)
    wait(lambda: gc.collect() >= 0 and kept() is None)
    assert kept() is None


def test_pictures_are_no_wider_than_asked_and_never_enlarged(feed):
    assert [width_for(width) for width in (1, 320, 321, 5000)] == [320, 320, 480, 1920]
    feed.subscribe([("hall", 1920)])
    feed.write(result())
    wait(lambda: feed.encoded == 1)
    image = cv2.imdecode(np.frombuffer(feed.newest(("hall", 1920)).jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (240, 320, 3)


@pytest.mark.parametrize(("part", "rows"), [("body", slice(0, 240)), ("head", slice(0, 60))])
def test_people_are_hidden_for_viewers(part, rows):
    feed = PictureFeed(part)
    feed.subscribe([("hall", 320)])
    feed.write(result(blur=np.array([[0, 0, 160, 240]], np.float32)))
    wait(lambda: feed.encoded == 1)
    image = cv2.imdecode(np.frombuffer(feed.newest(("hall", 320)).jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    columns = image[rows, 16:144].astype(int)
    assert np.abs(np.diff(columns, axis=1)).mean() < 20  # the stripes are gone
    if part == "head":
        assert np.abs(np.diff(image[180:, 16:144].astype(int), axis=1)).mean() > 100
    feed.abort()


def test_what_viewers_see_does_not_depend_on_files():
    cameras = [{"name": "hall", "uri": "hall.mp4"}]

    def hidden(files, **server):
        sections = {"output": {"blur": files}, "server": server}
        return Config.from_dict({"cameras": cameras, **sections}).page_blur

    assert hidden("none", listen="8080", blur="people") == "people"
    assert hidden("people", listen="8080", blur="none") == "none"
    assert hidden("faces", listen="8080") == "faces"
    assert hidden("people") == "none"  # there is no page
    assert hidden("people", listen="8080", page=False) == "none"


def test_stored_crops_are_not_shown_where_viewers_may_see_less():
    class Site:
        """A live run whose gallery holds the crop of one track."""

        def __init__(self, files, page):
            sections = {"output": {"blur": files}, "server": {"listen": "8080", "blur": page}}
            config = Config.from_dict({"cameras": [{"name": "hall", "uri": "hall.mp4"}], **sections})
            memory = SimpleNamespace(crops=SimpleNamespace(jpeg={("hall", 1): b"crop"}.get))
            self.pipeline = SimpleNamespace(memory=memory, config=config)

    def shown(files, page):
        return LiveView.crop(Site(files, page), ("hall", 1))

    assert (
        shown("none", None) == shown("people", None) == shown("people", "none") == shown("people", "faces") == b"crop"
    )
    assert shown("none", "people") is shown("none", "faces") is shown("faces", "people") is None


def test_viewers_of_the_same_pictures_are_sent_the_same_bytes_at_one_tick():
    picture, other = (EncodedPicture(n, b"{}", bytes(9), time.monotonic()) for n in (1, 2))

    async def look():
        ticks, seen = Ticks(), []

        async def viewer(*pictures):
            await ticks.next(viewers=20)
            seen.append((ticks.number, ticks.message(pictures)))

        began = time.monotonic()
        await asyncio.gather(*(viewer(picture) for _ in range(19)), viewer(picture, other))
        await ticks.next(viewers=1)
        return seen, ticks.number, time.monotonic() - began

    with ThreadPoolExecutor() as pool:  # this thread may have the loop of a browser
        seen, later, seconds = pool.submit(asyncio.run, look()).result()
    assert {number for number, _ in seen} == {2}
    assert later == 3
    assert len({id(data) for _, data in seen}) == 2
    assert seen[0][1][:4] == (2).to_bytes(4, "big")
    assert seconds > 0.1  # the tick of twenty viewers, and that of one
