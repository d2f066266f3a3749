"""Consoles, logging and signals of the command line."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.text import Text

from streamreid.secrets import redact

__all__ = ["errors", "output", "print_notes", "set_up_logging", "stop_on_signals"]

output = Console(emoji=False)
errors = Console(stderr=True, emoji=False)


class _Redact(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


def set_up_logging(*, quiet: bool = False, verbose: bool = False) -> None:
    """Messages of the package on stderr, without secrets: errors only when quiet, details when verbose.

    A terminal gets colours; anything else gets plain lines with the time.
    """
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING
    if errors.is_terminal:
        from rich.logging import RichHandler  # brings a highlighter of source code: too slow for `streamreid --help`

        handler: logging.Handler = RichHandler(
            console=errors, show_path=False, show_time=False, markup=False, rich_tracebacks=False
        )
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(_Redact())
    logger = logging.getLogger("streamreid")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    # A start that hangs is to be explained in every case.
    logging.getLogger("streamreid._startup").setLevel(min(level, logging.WARNING))


def print_notes(console: Console, notes: Iterable[tuple[str, str, str]]) -> None:
    """Sentences about cameras, one a line and never cut: below a table, whose columns they would crush.

    Args:
        console: Where to.
        notes: Camera, sentence, colour; empty sentences are left out.
    """
    for name, sentence, colour in notes:
        if sentence:
            console.print(Text(f"{name}: {' '.join(sentence.split())}", colour), soft_wrap=True)


@contextmanager
def stop_on_signals(
    stop: Callable[[], None], said: str = "stopping: finishing the outputs (again to stop at once)"
) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM calls ``stop`` so that outputs are finished; the second one ends at once."""
    asked = False

    def handler(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        errors.print(said)
        stop()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
