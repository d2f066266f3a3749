from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from streamreid.config import OutputConfig
from streamreid.errors import DataError, OutputError, SourceError
from streamreid.sinks import DrawStyle, Mosaic, MosaicSink, Painter, VideoSink, render_videos
from streamreid.sinks.drawing import clock_text, colour_of, draw_text, pixelate
from streamreid.sinks.mosaic import Shot
from streamreid.sinks.video_encoder import VideoWriter, Worker, fit
from streamreid.types import Frame, FrameResult, Image, Tracks


def picture(width: int = 96, height: int = 64, value: int = 100) -> Image:
    return np.full((height, width, 3), value, np.uint8)


def frame(camera: str, index: int, time: float, size: tuple[int, int] = (96, 64), value: int = 100) -> Frame:
    return Frame(camera, index, time, picture(*size, value))


def result(of: Frame, who: int = 1) -> FrameResult:
    tracks = Tracks(
        np.array([1]), np.array([[20, 10, 50, 60]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)
    )
    return FrameResult(of, tracks, np.array([who]), np.ones(1, np.float32), np.ones((1, 1), np.float32))


def shot(camera: str, time: float, size: tuple[int, int] = (96, 64), value: int = 100, who: int = 1) -> Shot:
    return Shot(
        camera, time, picture(*size, value), np.array([[20, 10, 50, 60]], np.float32), np.array([who]), np.array([1])
    )


def read(path: Path) -> list[tuple[float, Image]]:
    with av.open(str(path)) as container:
        return [(float(f.time), f.to_ndarray(format="bgr24")) for f in container.decode(video=0)]


def test_video_keeps_capture_times_and_even_size(tmp_path: Path) -> None:
    times = [5.0, 5.1, 5.35, 5.4, 9.4]
    writer = VideoWriter(tmp_path / "a.mp4")
    for time in times:
        writer.write(picture(97, 65), time)
    writer.close()
    found = read(tmp_path / "a.mp4")
    assert [round(time, 3) for time, _ in found] == [0.0, 0.1, 0.35, 0.4, 4.4]
    assert found[0][1].shape == (64, 96, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_video_shortens_long_gaps_and_survives_a_clock_that_goes_back(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", max_gap=2.0)
    for time in (0.0, 1.0, 3600.0, 10.0, 10.5):
        writer.write(picture(), time)
    writer.close()
    assert [round(time, 2) for time, _ in read(tmp_path / "a.mp4")] == [0.0, 1.0, 3.0, 3.0, 3.5]


def test_video_takes_pictures_of_another_size(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4")
    writer.write(picture(96, 64), 0.0)
    writer.write(picture(200, 64, value=255), 0.1)
    writer.close()
    second = read(tmp_path / "a.mp4")[1][1]
    assert second.shape == (64, 96, 3)
    assert second[32].mean() > 230
    assert second[4].mean() < 60, "bars above and below"


def test_a_killed_writer_leaves_a_playable_file(tmp_path: Path) -> None:
    code = f"""
        import os, numpy as np
        from streamreid.sinks.video_encoder import VideoWriter
        writer = VideoWriter({str(tmp_path / "a.mp4")!r})
        for i in range(300):
            writer.write(np.full((64, 96, 3), i % 200, np.uint8), i / 10)
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    found = read(tmp_path / "a.part.mp4")
    assert len(found) >= 100
    assert found[50][0] == pytest.approx(5.0, abs=1e-3)


def test_without_pictures_there_is_no_file(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "a.mp4").close()
    MosaicSink(tmp_path / "m.mp4", ["a"]).close({})
    assert not list(tmp_path.iterdir())


def test_a_video_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    sink = VideoSink(tmp_path / "taken")
    sink.write(result(frame("a", 0, 0.0)))
    with pytest.raises(OutputError, match="cannot write the video"):
        sink.close({})


def test_worker_drops_when_full_and_counts() -> None:
    gate, done = threading.Event(), []

    def work(item: int) -> None:
        gate.wait(10)
        done.append(item)

    worker = Worker(work, name="test", length=2)
    for item in range(10):
        worker.put(item)
    gate.set()
    worker.finish()
    assert done == sorted(done)
    assert worker.dropped == 10 - len(done)
    assert 2 <= len(done) <= 3


def test_worker_waits_when_told_to_and_passes_errors_on() -> None:
    done: list[int] = []
    worker = Worker(done.append, name="test", length=1, drop=False)
    for item in range(50):
        worker.put(item)
    worker.finish()
    assert done == list(range(50))

    def fail(item: int) -> None:
        raise ZeroDivisionError("oh")

    broken = Worker(fail, name="films", length=1)
    broken.put(1)
    with pytest.raises(OutputError, match="films failed: ZeroDivisionError: oh"):
        broken.finish()


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0.0, "00:00.0"),
        (83.46, "01:23.5"),
        (3599.97, "1:00:00.0"),
        (-1.5, "-00:01.5"),
        (1700000000.25, "2023-11-14 22:13:20.2 UTC"),
    ],
)
def test_capture_times_for_people(time: float, text: str) -> None:
    assert clock_text(time) == text


def test_colours_are_stable_and_differ_between_neighbours() -> None:
    assert colour_of(5) == colour_of(5)
    assert colour_of(5) != colour_of(6)
    assert colour_of(0) == (150, 150, 150)
    some = np.array([colour_of(i) for i in range(1, 11)], int)
    apart = np.abs(some[:, None] - some[None]).sum(-1) + 1000 * np.eye(10, dtype=int)
    assert apart.min() > 60


def test_people_are_drawn_in_their_colour_and_undecided_ones_grey() -> None:
    boxes = np.array([[20, 30, 60, 110], [100, 30, 140, 110]], np.float32)
    drawn = Painter().draw(picture(200, 150, 0), boxes, np.array([7, 0]), np.array([1, 2]))
    left, right = drawn[70, 18:24].max(0), drawn[70, 98:104].max(0)
    assert tuple(left) == colour_of(7)
    assert tuple(right) == colour_of(0)


@pytest.mark.parametrize("box", [[-50, -50, -10, -10], [500, 500, 600, 700], [10, 10, 10, 10], [-20, -20, 400, 400]])
def test_boxes_outside_the_picture_are_harmless(box: list[float]) -> None:
    boxes = np.array([box], np.float32)
    for blur in ("head", "body"):
        assert Painter(DrawStyle(blur=blur)).draw(picture(), boxes, np.array([3])).shape == (64, 96, 3)  # type: ignore[arg-type]


def test_text_stays_inside_the_picture() -> None:
    image = picture(80, 40, 0)
    width, height = draw_text(image, "camera", (1000, 1000), 12, ground=(9, 9, 200), opacity=1.0)
    assert tuple(image[39, 79]) == (9, 9, 200)
    assert tuple(image[39 - height, 79 - width]) == (0, 0, 0)


@pytest.mark.parametrize(("part", "hidden", "kept"), [("head", (20, 50), (60, 110)), ("body", (20, 110), None)])
def test_blur_hides_the_head_or_everything(part: str, hidden: tuple[int, int], kept: tuple[int, int] | None) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (150, 200, 3), np.uint8)
    before = image.copy()
    pixelate(image, np.array([[40, 20, 80, 110]], np.float32), part)  # type: ignore[arg-type]
    assert image[slice(*hidden), 40:80].std() < 0.5 * before[slice(*hidden), 40:80].std()
    assert np.array_equal(image[:, :40], before[:, :40])
    if kept is not None:
        assert np.array_equal(image[slice(*kept)], before[slice(*kept)])


def test_fit_keeps_the_shape() -> None:
    inner, scale, left, top = fit(picture(100, 50, 255), 60, 60)
    assert (inner.shape, scale, left, top) == ((60, 60, 3), 0.6, 0, 15)
    assert inner[30].min() == 255
    assert inner[5].max() < 60


def moments(mosaic: Mosaic, shots: list[Shot]) -> list[tuple[float, Image]]:
    found = []
    for one in shots:
        found += [(time, image.copy()) for time, image in mosaic.add(one)]
    return found + [(time, image.copy()) for time, image in mosaic.finish()]


def test_mosaic_joins_cameras_by_capture_time() -> None:
    mosaic = Mosaic(["a", "b"])
    shots = [shot("a", 0.0), shot("b", 0.01), shot("a", 0.1), shot("b", 0.11), shot("a", 0.2)]
    found = moments(mosaic, shots)
    assert [time for time, _ in found] == [0.0, 0.1, 0.2]
    assert len({image.shape for _, image in found}) == 1
    assert found[0][1].shape[1] % 2 == found[0][1].shape[0] % 2 == 0


def test_mosaic_thins_fast_cameras_to_its_rate() -> None:
    found = moments(Mosaic(["a"], max_fps=30), [shot("a", i / 60) for i in range(60)])
    assert len(found) == 30
    assert np.allclose(np.diff([time for time, _ in found]), 1 / 30, atol=1e-3)


def test_mosaic_dims_a_camera_that_ended_and_one_that_is_silent() -> None:
    style = DrawStyle(traces=False)
    mosaic = Mosaic(["a", "b"], style, silent_after=1.0)
    both = moments(mosaic, [shot("a", 0.0, value=200), shot("b", 0.0, value=200)])[0][1]
    mosaic.end("b")
    later = moments(mosaic, [shot("a", 0.5, value=200)])[0][1]
    half = both.shape[1] // 2
    probe = slice(55, 60), slice(half + 4, half + 9)
    assert both[probe].mean() == pytest.approx(200, abs=3)
    assert later[probe].mean() == pytest.approx(70, abs=3)
    silent = Mosaic(["a", "b"], style, silent_after=1.0)
    last = moments(
        silent,
        [shot("a", 0.0, value=200), shot("b", 0.0, value=200), shot("a", 0.9, value=200), shot("a", 1.5, value=200)],
    )
    assert [round(float(image[probe].mean())) for _, image in last] == [200, 200, 70]


def test_mosaic_letterboxes_other_shapes_and_stays_within_its_width() -> None:
    mosaic = Mosaic(["a", "b", "c"], max_width=640)
    image = moments(mosaic, [shot("a", 0, (1280, 720)), shot("b", 0, (1280, 720)), shot("c", 0, (480, 640))])[0][1]
    assert image.shape[1] <= 640
    assert image.shape[0] <= 640


def test_mosaic_survives_clocks_that_jump() -> None:
    times = [0.0, 0.1, 0.2, 3600.0, 3600.1, 0.3, 0.4, 0.5, 1.4, 1.5]
    found = moments(Mosaic(["a"]), [shot("a", t) for t in times])
    assert [time for time, _ in found][:5] == [0.0, 0.1, 0.2, 3600.0, 3600.1]
    assert found[-1][0] == 1.5
    skewed = [s for i in range(20) for s in (shot("a", 100 + i / 10), shot("b", 95 + i / 10))]
    times = [time for time, _ in moments(Mosaic(["a", "b"]), skewed)]
    assert len(times) == 20
    assert times == sorted(times)


def test_films_of_a_running_pipeline(tmp_path: Path) -> None:
    sinks = [VideoSink(tmp_path / "videos", drop=False), MosaicSink(tmp_path / "mosaic.mp4", ["a", "b"], drop=False)]
    for index in range(6):
        for camera in ("a", "b"):
            for sink in sinks:
                sink.write(result(frame(camera, index, index / 10)))
    for sink in sinks:
        sink.close({})
        sink.close({})
        assert sink.dropped == 0
    assert [len(read(tmp_path / name)) for name in ("videos/a.mp4", "videos/b.mp4", "mosaic.mp4")] == [6, 6, 6]


def test_rendering_shows_final_ids(tmp_path: Path) -> None:
    (tmp_path / "mot" / "global").mkdir(parents=True)
    rows = [f"{n},{9 if n < 4 else 12},40,40,60,90,1,-1,-1,-1\n" for n in (1, 2, 4, 5)]
    (tmp_path / "mot" / "global" / "a.txt").write_text("".join(rows))

    def frames(camera: str, count: int) -> Iterator[Frame]:
        for index in range(count):
            yield frame(camera, index, index / 10, (200, 150), 0)
        if camera == "b":
            raise SourceError("cut off")

    seen: list[str] = []
    written = render_videos(
        {"a": lambda: frames("a", 6), "b": lambda: frames("b", 3)},
        tmp_path,
        OutputConfig(video=True, mosaic=True),
        style=DrawStyle(traces=False),
        progress=lambda f: seen.append(f.camera),
    )
    assert [p.relative_to(tmp_path).as_posix() for p in written] == ["mosaic.mp4", "videos/a.mp4", "videos/b.mp4"]
    assert (seen.count("a"), seen.count("b")) == (6, 3)
    film = read(tmp_path / "videos" / "a.mp4")
    assert len(film) == 6

    def border(image: Image) -> np.ndarray:
        return image[80:90, 38:43].reshape(-1, 3).astype(int)

    for number, who in ((0, 9), (1, 9), (3, 12), (4, 12)):
        strongest = border(film[number][1])[border(film[number][1]).sum(1).argmax()]
        assert np.abs(strongest - colour_of(who)).max() < 60, "encoding changes colours a little"
    for number in (2, 5):
        assert border(film[number][1]).max() < 20, "nobody in this frame"


def test_rendering_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"output\.mot: true"):
        render_videos({}, tmp_path, OutputConfig(mosaic=True))
    (tmp_path / "mot" / "global").mkdir(parents=True)
    (tmp_path / "mot" / "global" / "a.txt").write_text("1,1,0,0,5,5,1\nnonsense\n")
    with pytest.raises(DataError, match=r"a\.txt:2: expected"):
        render_videos({"a": lambda: iter([frame("a", 0, 0.0)])}, tmp_path, OutputConfig(mosaic=True))
