"""A browser in a thread of its own: Playwright's sync API keeps an event loop running in its thread, which must not be
that of the tests."""

from __future__ import annotations

import json
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

__all__ = ["AXE", "Browser", "axe_findings", "missing", "unreadable"]

AXE = "STREAMREID_AXE"
"""Environment variable: the file axe.min.js of the npm package axe-core."""

_CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)
_SECONDS = 280.0


def missing() -> str | None:
    """Why there is no browser; None if there is one."""
    return None if Path(_CHROMIUM).exists() else "needs Chromium (Debian: chromium)"


def axe_findings(page: Any) -> list[str]:
    """Serious and critical findings of axe on a page, in light, and of its colours also in dark; one line each."""
    page.emulate_media(color_scheme="light")
    session = page.context.new_cdp_session(page)  # the page's policy lets no foreign script in
    session.send("Runtime.evaluate", {"expression": Path(os.environ[AXE]).read_text(encoding="utf-8")})
    found = page.evaluate("async () => (await axe.run()).violations")
    page.emulate_media(color_scheme="dark")
    found += page.evaluate("async () => (await axe.run({runOnly: ['color-contrast']})).violations")
    page.emulate_media(color_scheme=None)
    return [
        f"{item['impact']}: {item['id']}: {json.dumps([node['html'][:200] for node in item['nodes'][:5]])}"
        for item in found
        if item["impact"] in ("serious", "critical")
    ]


def unreadable(
    page: Any, address: str, axe: Callable[[Any], list[str]], paths: Iterable[str]
) -> dict[str, tuple[list[str], int]]:
    """By page, what axe finds (in light, and colours also in dark), and pixels by which it is wider than the window;
    pages without a fault are left out."""
    found = {}
    for path in paths:
        page.goto(address + path)
        page.wait_for_selector("#connection:has-text('connected')")
        findings, wider = axe(page), page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if findings or wider > 0:
            found[path] = findings, wider
    return found


class Browser:
    """Chromium. `visit` may be called from any one thread at a time."""

    def __init__(self) -> None:
        self._calls: queue.Queue[tuple[Callable[[Any], Any] | None, queue.Queue[Any]]] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="browser", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=_CHROMIUM, args=list(_FLAGS))
            while True:
                call, answer = self._calls.get()
                if call is None:
                    break
                try:
                    answer.put((call(browser), None))
                except BaseException as error:
                    answer.put((None, error))
            browser.close()
        answer.put((None, None))

    def run(self, call: Callable[[Any], Any] | None) -> Any:
        """What a function of the browser returns, called in the browser's thread."""
        answer: queue.Queue[Any] = queue.Queue()
        self._calls.put((call, answer))
        value, error = answer.get(timeout=_SECONDS)
        if error is not None:
            raise error
        return value

    def visit(
        self,
        act: Callable[[Any], Any],
        *,
        width: int = 1280,
        dark: bool = False,
        errors: tuple[str, ...] = (),
        **options: Any,
    ) -> Any:
        """Do something with a fresh page, in a context of its own; no error may be left in its console.

        Args:
            act: Called with the page.
            width: Of the window, pixels.
            dark: Whether the viewer's system is dark.
            errors: Parts of messages that are meant to be there.
            options: Further ones of the context.
        """

        def call(browser: Any) -> Any:
            scheme = "dark" if dark else "light"
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, **options)
            context.set_default_timeout(90_000)
            said: list[str] = []
            context.on("page", lambda page: _listen(page, said))
            try:
                value = act(context.new_page())
            finally:
                context.close()
            bad = [text for text in said if not any(part in text for part in errors)]
            assert not bad, bad
            return value

        return self.run(call)

    def close(self) -> None:
        """End it."""
        self.run(None)
        self._thread.join(10)


def _listen(page: Any, said: list[str]) -> None:
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(f"uncaught: {error}"))
