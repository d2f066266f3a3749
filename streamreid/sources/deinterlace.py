"""Interlaced video: the two fields of a picture were taken at two moments, and whoever moves between them has combed
edges.

FFmpeg's own filters do the work: ``bwdif`` computes the lines of the later field anew (one picture out per picture in),
``weave`` joins pictures that hold one field each, as interlaced HEVC has them. Progressive video passes by without a
filter.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast

from av.error import BlockingIOError as NothingYet
from av.error import EOFError as AtEnd
from av.error import FFmpegError
from av.filter import Graph

from streamreid.config import CameraConfig
from streamreid.sources.base import Notes

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["DeinterlaceMode", "Deinterlacer"]

log = logging.getLogger(__name__)

DeinterlaceMode = Literal["auto", "on", "off"]
Tag = TypeVar("Tag")

_FIELD_CODECS = frozenset({"hevc", "vvc"})
"""Codecs that know no interlaced pictures: one that is marked as interlaced is a single field of half the height
(H.265, D.3.3, pic_struct)."""

_TOP_FIRST = frozenset({2, 4})
_BOTTOM_FIRST = frozenset({3, 5})
"""Values of FFmpeg's ``AVFieldOrder`` by the field that was taken first, as FFmpeg's own decoders read them."""

_TICK = Fraction(1, 1)


class Deinterlacer(Generic[Tag]):
    """Hands progressive pictures on as they are, and makes progressive ones of interlaced ones; the latter come one
    picture late.

    Every picture comes out with what was handed in beside it (its time stamp, say); of two fields, with what came with
    the first.

    Args:
        camera: ``deinterlace`` "auto" treats pictures that the codec marks as interlaced, and all pictures where only
            the container says so; "on" treats all; "off" none (pictures of one field are still woven).
        stream: Opened, not decoded yet.
        notes: Where it is said what was done.
    """

    def __init__(self, camera: CameraConfig, stream: VideoStream, notes: Notes) -> None:
        self._mode: DeinterlaceMode = camera.deinterlace
        self._field_codec = stream.codec_context.name in _FIELD_CODECS
        # By the container; older PyAV does not tell.
        self._order = getattr(stream.codec_context, "field_order", 0)
        self._camera = camera.name
        self._notes = notes
        self._filter: _Filter[Tag] | None = None
        self._weaver: _Weaver[Tag] | None = None
        self._begun = False
        self._always = self._mode == "on"

    @property
    def weaves(self) -> bool:
        """Whether two pictures of the stream make one of the video."""
        return self._weaver is not None

    def push(self, picture: VideoFrame, tag: Tag) -> list[tuple[VideoFrame, Tag]]:
        """Take the next decoded picture; returns what is ready."""
        interlaced = picture.interlaced_frame
        if not self._begun:
            self._begun = True
            if not interlaced and self._order in _TOP_FIRST | _BOTTOM_FIRST and self._mode == "auto":
                self._always = True  # the codec has no marks of its own, or they contradict the container
        if not (interlaced or self._always or self._filter is not None):
            return [(picture, tag)]
        try:
            return self._treat(picture, tag, interlaced)
        except FFmpegError as error:
            self._mode, self._always, self._filter = "off", False, None
            self._say(
                f"interlaced video cannot be deinterlaced ({error.strerror or error}); pictures are used as they were "
                "decoded"
            )
            return [(picture, tag)]

    def flush(self) -> list[tuple[VideoFrame, Tag]]:
        """What was held back, at the end of the stream."""
        held, self._filter = self._filter, None
        if self._weaver is not None:
            self._weaver.drop(self._notes)
        try:
            return [] if held is None else held.flush()
        except FFmpegError:
            return []

    def _treat(self, picture: VideoFrame, tag: Tag, interlaced: bool) -> list[tuple[VideoFrame, Tag]]:
        if self._field_codec and interlaced:
            if self._weaver is None:
                self._weaver = _Weaver()
                self._say(
                    f"every picture of the stream is one field, {picture.width}x{picture.height}: two are woven into "
                    "one"
                )
            woven = self._weaver.push(picture, tag, self._notes)
            if woven is None:
                return []
            picture, tag = woven
        if self._mode == "off":
            return [(picture, tag)]
        if self._filter is not None and self._filter.fits(picture):
            return self._filter.push(picture, tag)
        before = [] if self._filter is None else self._filter.flush()
        if self._filter is None:
            self._say("interlaced video: deinterlaced with FFmpeg's bwdif (deinterlace: off leaves it as it is)")
        parity = "auto" if interlaced else "bff" if self._order in _BOTTOM_FIRST else "tff"
        which = "all" if self._always else "interlaced"
        self._filter = _Filter(picture, "bwdif", f"mode=send_frame:parity={parity}:deint={which}")
        return [*before, *self._filter.push(picture, tag)]

    def _say(self, text: str) -> None:
        if text not in self._notes.all():
            log.info("camera '%s': %s", self._camera, text)
        self._notes.add(text)


class _Filter(Generic[Tag]):
    """One FFmpeg filter between a source and a sink of pictures of one size and format. Pictures are numbered, because
    filters change time bases."""

    def __init__(self, like: VideoFrame, name: str, arguments: str) -> None:
        self._shape = _shape(like)
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(width=like.width, height=like.height, format=like.format, time_base=_TICK)
        self._graph.link_nodes(source, self._graph.add(name, arguments), self._graph.add("buffersink"))
        self._graph.configure()
        self._count = 0
        self._tags: dict[int, Tag] = {}

    def fits(self, picture: VideoFrame) -> bool:
        """Whether a picture has the size and format that the filter was made for."""
        return _shape(picture) == self._shape

    def push(self, picture: VideoFrame, tag: Tag) -> list[tuple[VideoFrame, Tag]]:
        """Take a picture; returns those that are ready, of a filter that hands out one picture per picture."""
        self._tags[self._count] = tag
        self._put(picture)
        return self._ready()

    def flush(self) -> list[tuple[VideoFrame, Tag]]:
        """The pictures that were held back. The filter takes no more."""
        self._graph.vpush(None)
        return self._ready()

    def passes(self, picture: VideoFrame) -> bool:
        """Whether a filter that selects lets a picture through."""
        self._put(picture)
        return bool(self._pulled())

    def join(self, first: VideoFrame, second: VideoFrame) -> VideoFrame:
        """The one picture that comes of two."""
        self._put(first)
        self._put(second)
        (woven,) = self._pulled()
        return woven

    def _put(self, picture: VideoFrame) -> None:
        picture.pts, picture.time_base = self._count, _TICK
        self._count += 1
        self._graph.vpush(picture)

    def _ready(self) -> list[tuple[VideoFrame, Tag]]:
        ready = []
        for picture in self._pulled():
            number = round(cast(int, picture.pts) * cast(Fraction, picture.time_base))
            ready.append((picture, self._tags.pop(number)))
            for lost in [n for n in self._tags if n < number]:
                del self._tags[lost]
        return ready

    def _pulled(self) -> list[VideoFrame]:
        pictures: list[VideoFrame] = []
        while True:
            try:
                pictures.append(self._graph.vpull())
            except (NothingYet, AtEnd):
                return pictures


class _Weaver(Generic[Tag]):
    """Pairs fields of opposite parity into pictures of full height. A field whose partner was lost is left out."""

    def __init__(self) -> None:
        self._held: tuple[VideoFrame, Tag, bool] | None = None
        self._parity: _Filter[Tag] | None = None
        self._join: dict[bool, _Filter[Tag]] = {}

    def push(self, field: VideoFrame, tag: Tag, notes: Notes) -> tuple[VideoFrame, Tag] | None:
        """Take a field; the picture that it completes, or None."""
        if self._parity is None or not self._parity.fits(field):
            self.drop(notes)
            self._join = {}
            # PyAV does not tell which field a picture is; FFmpeg's filter of pictures knows.
            self._parity = _Filter(field, "select", r"eq(interlace_type\,TOPFIRST)")
        top = self._parity.passes(field)
        if self._held is None or self._held[2] == top:
            self.drop(notes)
            self._held = field, tag, top
            return None
        (first, tag, top_first), self._held = self._held, None
        if top_first not in self._join:
            self._join[top_first] = _Filter(field, "weave", f"first_field={'top' if top_first else 'bottom'}")
        return self._join[top_first].join(first, field), tag

    def drop(self, notes: Notes) -> None:
        """Leave out the field that waits for a partner."""
        if self._held is not None:
            notes.count("1 field without its partner left out", "{n} fields without their partners left out")
        self._held = None


def _shape(picture: VideoFrame) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name
