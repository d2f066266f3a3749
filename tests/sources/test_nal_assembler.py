"""Pictures out of RTP pieces: nothing lost, nothing invented, and early."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.sources.nal_assembler import H264Units, H265Units, WholeUnits, units_of

START = b"\0\0\0\1"


def nal(size: int, header: bytes, seed: int = 0) -> bytes:
    body = np.random.default_rng(seed).integers(2, 255, max(0, size - len(header)), np.uint8).tobytes()
    return header + body


def pieces(unit: bytes, room: int, header: int) -> list[bytes]:
    """As FFmpeg hands the RTP payloads of one unit on: the start code before the first, the payload only of those
    behind."""
    if len(unit) <= room:
        return [START + unit]
    body = unit[header:]
    cut = [body[i : i + room - header] for i in range(0, len(body), room - header)]
    return [START + unit[:header] + cut[0], *cut[1:]]


def h264(size: int, seed: int = 0) -> bytes:
    return nal(size, b"\x65", seed)


def h265(size: int, seed: int = 0, kind: int = 1) -> bytes:
    return nal(size, bytes([kind << 1, 1]), seed)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(3, 9000), min_size=1, max_size=30), room=st.integers(300, 1460))
def test_h264_units_come_out_whole_and_in_order(sizes, room):
    units, out = H264Units(), []
    sent = [h264(size, number) for number, size in enumerate(sizes)]
    for number, unit in enumerate(sent):
        for piece in pieces(unit, room, 1):
            out += units.push(piece, number)
    out += units.flush()
    assert [stamp for _, stamp in out] == sorted(stamp for _, stamp in out)
    wrong = [data for data, stamp in out if data != START + sent[stamp]]
    # A sender of smaller pieces than the first guess costs units until that was learnt, never later.
    assert len(wrong) <= (0 if room >= 1000 else 1)
    assert {stamp for _, stamp in out} == set(range(len(sent)))


def test_a_unit_is_handed_out_with_its_last_piece():
    units = H264Units()
    for number in range(5):
        parts = pieces(h264(5000, number), 1390, 1)
        got = [units.push(part, number) for part in parts]
        assert [len(g) for g in got] == [0, 0, 0, 1]
        assert got[-1] == [(START + h264(5000, number), number)]
    assert len(units.push(START + h264(200), 9)) == 1


def test_a_unit_that_fills_its_last_piece_waits_for_the_next():
    units = H264Units()
    full = h264(1 + 3 * 1389)
    assert [len(units.push(part, 0)) for part in pieces(full, 1390, 1)] == [0, 0, 0]
    assert [data for data, _ in units.push(START + h264(50), 1)] == [START + full, START + h264(50)]


def test_pieces_without_a_beginning_are_counted_and_left_out():
    units = H264Units()
    first, second, third = pieces(h264(4000), 1390, 1)
    assert units.push(second, 0) == []
    assert units.broken == 1
    assert units.push(first, 1) == []
    (broken,) = units.push(third, 1)  # the middle is missing: the decoder has to say so
    assert broken == (first + third, 1)


def test_h265_pictures_come_early_once_they_are_steady():
    units, early = H265Units(), []
    for number in range(30):
        slices = [h265(2500, number), h265(1700, 100 + number)]
        parts = [piece for unit in slices for piece in pieces(unit, 1390, 2)]
        got = [units.push(part, number) for part in parts]
        early.append(bool(got[-1]))
        for data, stamp in (unit for some in got for unit in some):
            assert data == b"".join(START + h265(s, k) for s, k in ((2500, stamp), (1700, 100 + stamp)))
    assert early == [False] * 11 + [True] * 19 or early == [False] * 10 + [True] * 20
    # More slices than before: the guess was wrong once and is given up.
    for number in range(30, 33):
        for seed in range(3):
            for part in pieces(h265(1500, seed), 1390, 2):
                units.push(part, number)
    assert units.broken == 1
    assert len(units.push(START + h265(20), 99)) == 1


@pytest.mark.parametrize("units", [H264Units(), H265Units(), WholeUnits()])
def test_streams_without_time_stamps_do_not_fill_memory(units):
    piece = bytes([7]) * 1_000_000
    held = 0
    for number in range(64):
        held += len(piece)
        held -= sum(len(data) for data, _ in units.push((START if number == 0 else b"") + piece, None))
    assert held < 40_000_000 or units.broken > 20


def test_which_codecs_are_put_together():
    assert isinstance(units_of("h264"), H264Units)
    assert isinstance(units_of("hevc"), H265Units)
    assert isinstance(units_of("mpeg4"), WholeUnits)
    assert units_of("mjpeg") is None


def test_whole_pictures_by_their_stamp():
    units = WholeUnits()
    assert units.push(b"ab", 1) == []
    assert units.push(b"cd", 1) == []
    assert units.push(b"ef", 2) == [(b"abcd", 1)]
    assert units.flush() == [(b"ef", 2)]
    assert units.flush() == []
