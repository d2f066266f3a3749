"""Pictures reach the detector as a player shows them: square pixels, whole and progressive, upright, not mirrored, in
the right colours."""

from __future__ import annotations

import http.server
import struct
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.codec.context import Flags

from streamreid.config import CameraConfig
from streamreid.sources import StreamSource, VideoFileSource
from streamreid.sources.display import shown_size
from streamreid.types import Frame

WIDTH, HEIGHT = 160, 120


def read(path: Path, **settings: Any) -> tuple[list[Frame], VideoFileSource]:
    with VideoFileSource(CameraConfig(name="cam", uri=str(path), **settings)) as source:
        return list(source), source


def write(
    path: Path,
    images: list[np.ndarray],
    codec: str = "libx264",
    *,
    aspect: Fraction | None = None,
    rate: int = 10,
    interlaced: bool = False,
    options: dict[str, str] | None = None,
    field_order: int = 0,
    pix_fmt: str = "yuv420p",
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.bit_rate = 8_000_000
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if interlaced:
            stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        if field_order:
            stream.codec_context.field_order = field_order
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame = top_first(frame.reformat(format=pix_fmt)) if interlaced else frame
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def top_first(frame: av.VideoFrame) -> av.VideoFrame:
    """Mark a frame as interlaced with the top field first, which PyAV cannot do by itself."""
    graph = av.filter.Graph()
    buffer = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1))
    graph.link_nodes(buffer, graph.add("setfield", "tff"), graph.add("buffersink"))
    graph.configure()
    graph.vpush(frame)
    return graph.vpull()


def bar(moment: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """A bright bar that moves by six pixels from moment to moment, over stripes of four lines, which stand still."""
    width, height = size
    image = np.full((height, width, 3), 40, np.uint8)
    image[(np.arange(height) // 4) % 2 == 1] = 60
    left = 10 + 6 * moment
    image[:, left : left + 24] = 200
    return image


def woven(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The even lines of one moment and the odd lines of the next: a picture of an interlaced camera, top field
    first."""
    image = first.copy()
    image[1::2] = second[1::2]
    return image


def combing(image: np.ndarray) -> float:
    """How much more neighbouring lines differ than lines of the same field: about 0 in a progressive picture."""
    grey = image.astype(np.float32).mean(2)
    return float(np.abs(np.diff(grey, axis=0))[10:-10].mean() - np.abs(grey[2:] - grey[:-2])[10:-10].mean() / 2)


# ---------------------------------------------------------------- interlaced

INTERLACED = [woven(bar(2 * k), bar(2 * k + 1)) for k in range(8)]
X264 = {"x264-params": "tff=1:interlaced=1"}


@pytest.mark.parametrize(
    ("name", "codec", "how"),
    [
        ("cctv.ts", "libx264", {"interlaced": True, "options": X264}),
        ("cctv.mp4", "libx264", {"interlaced": True, "options": X264}),
        ("dvd.mpg", "mpeg2video", {"interlaced": True}),
        ("dvd.vob", "mpeg2video", {"interlaced": True}),
        (
            "container.mkv",
            "mjpeg",
            {"field_order": 2, "pix_fmt": "yuvj420p"},
        ),  # MJPEG has no mark of its own; the container's counts
    ],
)
def test_interlaced_video_is_deinterlaced(tmp_path: Path, name: str, codec: str, how: dict[str, Any]) -> None:
    rate = 25 if codec == "mpeg2video" else 10
    path = write(tmp_path / name, INTERLACED, codec, rate=rate, **how)
    frames, source = read(path)
    assert combing(INTERLACED[3]) > 10, "the test's own picture is combed"
    assert [f.size for f in frames] == [(WIDTH, HEIGHT)] * 8, "nothing is lost, and nothing is halved"
    assert max(combing(f.image) for f in frames) < 3
    np.testing.assert_allclose([f.time for f in frames], np.arange(8) / rate, atol=1e-3)
    # Of the two moments, the first is shown, where it was.
    for k, frame in enumerate(frames[1:], 1):
        assert np.abs(frame.image[20:100].astype(int) - bar(2 * k)[20:100]).mean() < 6
    assert sum("deinterlaced" in warning for warning in source.warnings) == 1
    # What stands still keeps its full height.
    assert np.abs(frames[4].image[20:100, 130:].astype(int) - bar(0)[20:100, 130:]).mean() < 4


def test_deinterlacing_can_be_turned_off_and_forced(tmp_path: Path) -> None:
    marked = write(tmp_path / "marked.ts", INTERLACED, interlaced=True, options=X264)
    frames, source = read(marked, deinterlace="off")
    assert len(frames) == 8
    assert combing(frames[3].image) > 8
    assert source.warnings == []
    unmarked = write(tmp_path / "unmarked.mp4", INTERLACED, options={"crf": "5"})
    assert combing(read(unmarked)[0][3].image) > 8, "nothing says that it is interlaced"
    forced, source = read(unmarked, deinterlace="on")
    assert [round(f.time, 3) for f in forced] == [k / 10 for k in range(8)]
    assert max(combing(f.image) for f in forced) < 3


def test_on_and_off_are_words_in_yaml_too() -> None:
    values = [
        CameraConfig(name="a", uri="b", deinterlace=value).deinterlace for value in (True, False, "on", "off", "auto")
    ]
    assert values == ["on", "off", "on", "off", "auto"]


def test_progressive_video_passes_no_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("a filter was made")

    monkeypatch.setattr("streamreid.sources.deinterlace.Graph", refuse)
    frames, source = read(write(tmp_path / "a.mp4", [bar(k) for k in range(6)]))
    assert len(frames) == 6
    assert source.warnings == []


def fields(pictures: list[np.ndarray]) -> list[np.ndarray]:
    return [picture[parity::2] for picture in pictures for parity in (0, 1)]


def hevc(path: Path, images: list[np.ndarray], more: str = "keyint=8") -> Path:
    options = {"x265-params": f"interlace=tff:log-level=error:crf=10:{more}", "preset": "fast"}
    return write(path, images, "libx265", rate=20, options=options)


@pytest.mark.parametrize("name", ["fields.mp4", "fields.ts", "fields.mkv"])
def test_fields_of_hevc_are_woven(tmp_path: Path, name: str) -> None:
    frames, source = read(hevc(tmp_path / name, fields(INTERLACED)), deinterlace="off")
    assert [f.size for f in frames] == [(WIDTH, HEIGHT)] * 8
    np.testing.assert_allclose([f.time for f in frames], np.arange(8) / 10, atol=2e-3)
    for frame, right in zip(frames, INTERLACED, strict=True):
        assert np.abs(frame.image.astype(int) - right).mean() < 3
    assert source.expected_frames == 8
    assert source.warnings == ["every picture of the stream is one field, 160x60: two are woven into one"]
    frames, source = read(tmp_path / name)
    assert len(frames) == 8
    assert max(combing(f.image) for f in frames) < 3


def test_a_field_whose_partner_is_lost_does_not_shift_the_pairs(tmp_path: Path) -> None:
    path = hevc(tmp_path / "fields.mp4", fields(INTERLACED), "keyint=1")
    with av.open(str(path)) as source, av.open(str(tmp_path / "cut.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            if number != 7:  # the bottom field of the fourth picture
                packet.stream = stream
                target.mux(packet)
    frames, read_source = read(tmp_path / "cut.mkv", deinterlace="off")
    assert len(frames) == 7
    np.testing.assert_allclose([f.time for f in frames], [0.0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7], atol=2e-3)
    for frame, right in zip(frames, INTERLACED[:3] + INTERLACED[4:], strict=True):
        assert np.abs(frame.image.astype(int) - right).mean() < 3
    assert "1 field without its partner left out" in read_source.warnings


def test_interlaced_live_stream(tmp_path: Path) -> None:
    data = write(tmp_path / "cctv.ts", INTERLACED * 3, interlaced=True, options=X264, aspect=Fraction(2)).read_bytes()

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_address[1]}/live"
        source = StreamSource(CameraConfig(name="gate", uri=uri, timeout=5, frames=20))
        frames = list(source)
        source.close()
        server.shutdown()
    assert [f.size for f in frames] == [(2 * WIDTH, HEIGHT)] * 20
    assert max(combing(f.image) for f in frames) < 3
    assert any("deinterlaced" in warning for warning in source.warnings)
    steps = np.diff([f.time for f in frames])
    assert (steps > 0).all()


# ---------------------------------------------------------------- pixel aspect


@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((352, 576), Fraction(24, 11), (768, 576)),  # half D1
        ((704, 288), Fraction(6, 11), (704, 528)),  # 2CIF: lines are doubled rather than columns thrown away
        ((720, 576), Fraction(16, 11), (1047, 576)),  # PAL shown 16:9
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),  # HDV
        ((640, 480), Fraction(1), (640, 480)),
        ((640, 480), None, (640, 480)),
        ((640, 480), Fraction(1, 1000), (640, 480)),
        ((640, 480), Fraction(0), (640, 480)),
    ],
)
def test_shown_size(size: tuple[int, int], aspect: Fraction | None, shown: tuple[int, int]) -> None:
    assert shown_size(*size, aspect) == shown


@pytest.mark.parametrize(
    ("name", "codec", "stored", "aspect"),
    [
        ("half_d1.mp4", "libx264", (80, 120), Fraction(2)),
        ("half_d1.mkv", "libx264", (80, 120), Fraction(2)),
        ("half_d1.ts", "libx264", (80, 120), Fraction(2)),
        ("half_d1.avi", "mpeg4", (80, 120), Fraction(2)),
        ("2cif.mp4", "libx264", (160, 60), Fraction(1, 2)),
        ("2cif.ts", "mpeg4", (160, 60), Fraction(1, 2)),
    ],
)
def test_anamorphic_video_is_its_square_twin(
    tmp_path: Path, name: str, codec: str, stored: tuple[int, int], aspect: Fraction
) -> None:
    step = WIDTH // stored[0], HEIGHT // stored[1]
    twins = [
        np.ascontiguousarray(bar(k)[:: step[1], :: step[0]].repeat(step[1], 0).repeat(step[0], 1)) for k in range(5)
    ]
    path = write(
        tmp_path / name, [np.ascontiguousarray(t[:: step[1], :: step[0]]) for t in twins], codec, aspect=aspect
    )
    frames, source = read(path)
    assert [f.size for f in frames] == [(WIDTH, HEIGHT)] * 5
    for frame, twin in zip(frames, twins, strict=True):
        # The bar, which a detector would find, is where it is in the twin; edges differ by the interpolation.
        assert np.abs(frame.image[:, 100:].astype(int) - twin[:, 100:]).mean() < 8
        columns = np.flatnonzero(frame.image[60, :, 1] > 120)
        right = np.flatnonzero(twin[60, :, 1] > 120)
        assert abs(columns[0] - right[0]) <= 1
        assert abs(columns[-1] - right[-1]) <= 1
    assert source.warnings == [
        f"its pixels are not square ({aspect.numerator}:{aspect.denominator}): frames and boxes have the size that a "
        f"player shows, 160x120, not {stored[0]}x{stored[1]} as stored"
    ]


# ---------------------------------------------------------------- display matrices


def quarters() -> np.ndarray:
    """The left half red, the right half green above and black below: no two of the eight ways to turn and mirror it
    look alike."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32, 2] = 255
    image[:24, 32:, 1] = 255
    return image


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a b, c d into the matrix of the track header: sizes and offsets do not matter to how it is turned."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 4 + 20 + 8 + 8
    assert struct.unpack(">i", data[at : at + 4])[0] == 65536
    a, b, c, d = (65536 * value for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((1, 0, 0, 1), lambda i: i),
        ((0, 1, -1, 0), lambda i: np.rot90(i, -1)),  # a quarter clockwise
        ((-1, 0, 0, -1), lambda i: np.rot90(i, 2)),
        ((0, -1, 1, 0), lambda i: np.rot90(i, 1)),
        ((-1, 0, 0, 1), lambda i: i[:, ::-1]),  # front cameras of phones
        ((1, 0, 0, -1), lambda i: i[::-1]),
        ((0, 1, 1, 0), lambda i: i.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda i: np.rot90(i, 2).transpose(1, 0, 2)),
    ],
)
def test_display_matrices(tmp_path: Path, matrix: tuple[int, int, int, int], turned: Any) -> None:
    path = with_matrix(write(tmp_path / "a.mp4", [quarters()] * 2, options={"crf": "5", "bf": "0"}), matrix)
    frames, _ = read(path)
    right = turned(quarters())
    assert frames[0].size == (right.shape[1], right.shape[0])
    assert np.abs(frames[0].image.astype(int) - right).mean() < 12, "chroma of half the size blurs the edges"


def test_rotation_comes_after_the_pixel_aspect(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [quarters()] * 2, aspect=Fraction(2), options={"bf": "0"})
    frames, _ = read(with_matrix(path, (0, 1, -1, 0)))
    assert frames[0].size == (48, 128)


def test_interlaced_and_turned(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", INTERLACED, interlaced=True, options={**X264, "bf": "0"})
    frames, _ = read(with_matrix(path, (0, 1, -1, 0)))
    assert [f.size for f in frames] == [(HEIGHT, WIDTH)] * 8
    assert max(combing(np.rot90(f.image)) for f in frames) < 3


# ---------------------------------------------------------------- colours

BARS = ((0, 0, 255), (0, 255, 0), (255, 0, 0), (0, 255, 255))
"""Red, green, blue, yellow, as BGR."""


@pytest.mark.parametrize(
    ("matrix", "colorspace", "coefficients"),
    [("bt709", 1, (0.2126, 0.0722)), ("bt601", 6, (0.299, 0.114)), ("bt2020", 9, (0.2627, 0.0593))],
)
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_right_for_every_matrix_and_range(
    tmp_path: Path, matrix: str, colorspace: int, coefficients: tuple[float, float], full: bool
) -> None:
    red, blue = coefficients
    planes = [np.zeros((64, 128), np.uint8) for _ in range(3)]
    for number, (b, g, r) in enumerate(BARS):
        y = red * r + (1 - red - blue) * g + blue * b
        values = np.array([y, (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)])
        gain, zero = ((1, 1, 1), (0, 128, 128)) if full else ((219 / 255, 224 / 255, 224 / 255), (16, 128, 128))
        stored = values * gain + np.array(zero)
        for plane, value in zip(planes, stored, strict=True):
            plane[:, 32 * number : 32 * number + 32] = np.clip(round(value), 0, 255)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = colorspace, 2 if full else 1
        for pts in range(2):
            frame = av.VideoFrame.from_ndarray(np.stack(planes), format="yuv444p")
            frame.pts, frame.colorspace, frame.color_range = pts, colorspace, 2 if full else 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    image = read(tmp_path / "a.mkv")[0][0].image
    for number, colour in enumerate(BARS):
        np.testing.assert_allclose(image[32, 32 * number + 16], colour, atol=4)
