"""Global ids for one process, in blocks, so that several processes never give the same one and a run never waits for
the gallery."""

from __future__ import annotations

import threading

from streamreid.gallery.gallery import Gallery

__all__ = ["IdAllocator"]


class IdAllocator:
    """Gives one id per call. The next block is taken before the last one is used up.

    Args:
        store: Where blocks come from.
        least: No id is below.
        block: Ids taken at a time; None for what suits the gallery's database.

    Raises:
        GalleryError: The store cannot be written.
    """

    def __init__(self, store: Gallery, least: int = 1, *, block: int | None = None) -> None:
        self._store = store
        self._least = least
        self._block = block or store.id_block
        self._next = self._end = 0
        self._ahead: tuple[int, int] | None = None
        self._fetching = threading.Lock()
        self.fetch()

    def __repr__(self) -> str:
        return f"IdAllocator(next={self._next}, end={self._end}, ahead={self._ahead})"

    def __call__(self) -> int:
        """The next id.

        Raises:
            GalleryError: All are used up and the gallery cannot be written.
        """
        if self._next >= self._end:
            if self._ahead is None:
                self.fetch()
            assert self._ahead is not None
            (self._next, self._end), self._ahead = self._ahead, None
        self._next += 1
        return self._next - 1

    def fetch(self) -> None:
        """Take a block if less than half of one is left; any thread may call this."""
        with self._fetching:
            if self._ahead is None and self._end - self._next < self._block // 2:
                first = self._store.reserve_ids(self._block, least=self._least)
                self._ahead = (first, first + self._block)

    def give_back(self) -> None:
        """Let the next run use what is left, as far as nobody took a block later."""
        if self._ahead is not None:
            self._store.return_ids(*self._ahead)
            self._ahead = None
        self._store.return_ids(self._next, self._end)
        self._end = self._next
