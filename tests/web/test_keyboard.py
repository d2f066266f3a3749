"""The main tasks with nothing but keys: focus can be seen everywhere and stays where somebody works."""

import shutil

import pytest

from tests.support import web as sites

MOST = 60
"""Presses of Tab after which an element cannot be reached."""

FOCUSED = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one.closest("svg") ? one.firstElementChild ?? one : one);
  const seen = style.outlineStyle !== "none" || one.matches("main, body") || Boolean(one.closest("svg"));
  return { seen, what: one.outerHTML.slice(0, 120) };
}"""


@pytest.fixture
def corrected(finished_run, tmp_path):
    """The page of a copy of a run whose people can be corrected."""
    shutil.copytree(finished_run, tmp_path / "run")
    with sites.finished_page(tmp_path / "run", corrections=True) as address:
        yield address


def tab_to(page, selector):
    """Press Tab until an element has the focus; whatever has it on the way shows it."""
    for _ in range(MOST):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUSED)
        assert focus["seen"], focus["what"]
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"no way to {selector} by Tab")


def has_focus(page, selector):
    page.wait_for_function("selector => document.activeElement.matches(selector)", arg=selector)


def test_a_person_is_renamed_undone_and_not_forgotten_by_keys(corrected, visit):
    def act(page):
        page.goto(f"{corrected}/page/")
        page.wait_for_selector("#connection:text-is('connected')")
        tab_to(page, "a.skip")
        page.keyboard.press("Enter")
        has_focus(page, "main")
        page.goto(f"{corrected}/page/people")
        tab_to(page, "#people-cards a")
        page.keyboard.press("Enter")
        page.wait_for_selector("#rename")
        tab_to(page, "#rename input")
        page.keyboard.type("Anna")
        page.keyboard.press("Enter")
        page.wait_for_selector("#corrections:has-text('Anna')")
        has_focus(page, "#rename input")
        tab_to(page, "#forget")
        page.keyboard.press("Enter")
        has_focus(page, "#question button[value=no]")  # so that Enter alone erases nobody
        page.keyboard.press("Escape")
        page.wait_for_selector("#question:not([open])", state="attached")
        has_focus(page, "#forget")
        tab_to(page, "#corrections button.undo")
        page.keyboard.press("Enter")
        page.wait_for_selector("#corrections:has-text('undone')")
        has_focus(page, "#corrections")
        return page.locator("#proof:not([hidden])").count()

    assert visit(act) == 0


def test_focus_and_scroll_stay_while_a_part_refreshes_itself(live_site, visit):
    def act(page):
        page.goto(f"{live_site.address}/page/cameras")
        page.wait_for_selector("#list .state-connected")
        tab_to(page, "#list tr[data-camera=hall] button[data-test]")
        page.evaluate("document.querySelector('#list .scroll').scrollLeft = 30")
        page.evaluate("document.querySelector('#list').old = true; document.querySelector('#list tbody').append(' ')")
        page.wait_for_function("() => !document.querySelector('#list').old")  # as every two seconds
        has_focus(page, "#list tr[data-camera=hall] button[data-test]")
        return page.evaluate("document.querySelector('#list .scroll').scrollLeft")

    assert visit(act, width=390) == 30


def test_a_zone_is_drawn_by_keys(live_site, visit):
    def act(page):
        page.goto(f"{live_site.address}/page/places/hall")
        page.wait_for_selector("#connection:text-is('connected')")
        tab_to(page, "#draw [name=name]")
        page.keyboard.type("by keys")
        tab_to(page, "#draw summary")
        page.keyboard.press("Enter")
        tab_to(page, "#add-corner")
        for _ in range(3):
            page.keyboard.press("Enter")
        page.locator("#corners input").first.focus()
        for value in ("0", "0", "90", "0", "90", "90"):
            page.keyboard.press("Control+A")
            page.keyboard.type(value)
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.localName") == "button":
                page.keyboard.press("Tab")
        tab_to(page, "#draw button.primary")
        page.keyboard.press("Enter")
        page.wait_for_selector("#now tr[data-place='by keys']")
        tab_to(page, "#now tr[data-place='by keys'] button")
        page.keyboard.press("Enter")
        page.keyboard.press("Shift+Tab")
        has_focus(page, "#question button[value=yes]")
        page.keyboard.press("Enter")
        page.wait_for_selector("#now tr[data-place='by keys']", state="detached")
        return page.locator("#now tr[data-place='by keys']").count()

    assert visit(act) == 0
