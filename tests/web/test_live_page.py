"""The frame and the pages Live and Run, of a live run, in a browser."""

from tests.support.browser import unreadable


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


def test_the_doctor_examines_the_cameras_of_the_run(live_site, visit, monkeypatch):
    monkeypatch.setattr("streamreid.serving.camera_setup._TEST_SECONDS", 0.3)

    def act(page):
        page.goto(f"{live_site.address}/page/run")
        page.click("#examine")
        page.wait_for_selector("#examining:has-text('2 cameras examined, 0 of them with a fault')")
        return page.locator("#examined tbody tr").evaluate_all(
            "rows => rows.map((row) => [...row.children].slice(0, 3).map((cell) => cell.textContent))"
        )

    assert visit(act) == [["entrance", "good", "320 x 240"], ["hall", "good", "320 x 240"]]


def test_every_page_can_be_read_by_everybody_and_on_a_phone(live_site, visit, axe):
    def act(page):
        page.goto(f"{live_site.address}/page/people")
        one = page.locator("#people-cards h2 a").first.get_attribute("href")
        return unreadable(page, live_site.address, axe, [*listed(page), one])

    assert visit(act, width=390) == {}


def test_every_page_of_a_finished_run_can_too(finished_site, visit, axe):
    def act(page):
        page.goto(f"{finished_site}/page/")
        return unreadable(page, finished_site, axe, listed(page))

    assert visit(act, width=390) == {}


def listed(page):
    """Paths of all pages in the navigation."""
    return page.locator("header nav a").evaluate_all("links => links.map((link) => link.pathname)")
