"""Several cameras at once, each process one after the other.

Plain child processes that read pickled shots: unlike those of ``multiprocessing`` they do not import the program that
called (the command line takes longer to import than all of this room), need no ``__main__`` guard there, and end when
the pipe to the parent does.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from streamreid.errors import OutputError, StreamReIDError
from streamreid.synth.camera_recording import Film, Shot, film

__all__ = ["film_all"]


def film_all(
    shot: Callable[[int], Shot], count: int, processes: int, tick: Callable[[], None] | None = None
) -> list[Film]:
    """Make the films of all cameras.

    Args:
        shot: Makes what is needed for a camera, by number, when its turn has come.
        count: Cameras.
        processes: Cameras at once; with 1 they are made here, one after the other.
        tick: Called after every picture, from any thread but never twice at once.

    Returns:
        One film per camera; they do not depend on ``processes``.

    Raises:
        OutputError: Something cannot be written, or a process died.
    """
    processes = min(processes, count)
    if processes <= 1:
        return [film(shot(number), tick) for number in range(count)]
    lock = threading.Lock()

    def advance() -> None:
        if tick:
            with lock:
                tick()

    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(count):
        waiting.put(number)
    films: dict[int, Film] = {}

    def work(child: subprocess.Popen[bytes]) -> None:
        with suppress(queue.Empty):
            while True:
                number = waiting.get_nowait()
                films[number] = _ask(child, shot(number), advance)

    with _children(processes) as children, ThreadPoolExecutor(processes) as pool:
        futures = [pool.submit(work, child) for child in children]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            for child in children:  # before the pool waits for the threads that wait for them
                child.kill()
            raise
    return [films[number] for number in range(count)]


@contextmanager
def _children(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", "from streamreid.synth.process_pool import serve; serve()"]
    children: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            # A session of its own: an interrupt of the terminal is for the parent, which ends its children.
            children.append(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
                )
            )
        yield children
    finally:
        for child in children:
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    with suppress(OSError):
                        pipe.close()
            with suppress(subprocess.TimeoutExpired):
                child.wait(1)
            child.kill()
            child.wait()


def _ask(child: subprocess.Popen[bytes], shot: Shot, tick: Callable[[], None]) -> Film:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        pickle.dump(shot, child.stdin, pickle.HIGHEST_PROTOCOL)
        child.stdin.flush()
        while (answer := pickle.load(child.stdout)) is None:  # noqa: S301 (from our own child)
            tick()
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        with suppress(subprocess.TimeoutExpired):
            child.wait(2)
        raise OutputError(
            f"the process that made {shot.view.name} ended (exit code {child.poll()}); with too little memory make "
            "fewer cameras at once (--processes 1)"
        ) from error
    if isinstance(answer, BaseException):
        raise answer
    result: Film = answer
    return result


def serve() -> None:
    """In the child: make films until the parent closes the pipe."""
    import cv2

    cv2.setNumThreads(1)
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers

    def tell(answer: Any) -> None:
        pickle.dump(answer, answers)
        answers.flush()

    # A parent that is gone needs nothing any more.
    with suppress(EOFError, BrokenPipeError):
        while True:
            shot: Shot = pickle.load(asked)  # noqa: S301 (from our own parent)
            try:
                answer: Any = film(shot, lambda: tell(None))
            except StreamReIDError as error:
                answer = error
            tell(answer)
