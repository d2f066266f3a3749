"""The frame and the pages Live and Run, of a live run, in a browser."""

import pytest


def test_a_person_moves_on_the_page(live_site, visit):
    def act(page):
        page.goto(f"{live_site.address}/")
        assert page.url.endswith("/page/live")
        box = "camera-view[camera=entrance] rect"
        page.wait_for_selector(box, state="attached")
        first = page.locator(box).first.get_attribute("x")
        page.wait_for_function("([box, x]) => document.querySelector(box)?.getAttribute('x') !== x", arg=[box, first])
        page.wait_for_selector("#people button")
        page.locator("#people button").first.click()
        page.wait_for_selector("#followed:not([hidden])")
        return page.locator("#followed-name").text_content()

    assert visit(act).startswith("#")


@pytest.mark.parametrize("path", ["/page/live", "/page/live/hall", "/page/run"])
@pytest.mark.parametrize("dark", [False, True])
def test_pages_can_be_read_by_everybody(live_site, visit, axe, path, dark):
    def act(page):
        page.goto(live_site.address + path)
        page.wait_for_selector("#connection:has-text('connected')")
        return axe(page), page.evaluate("document.documentElement.scrollWidth - innerWidth")

    assert visit(act, width=390, dark=dark) == ([], 0)
