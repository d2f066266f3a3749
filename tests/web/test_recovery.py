"""What a page does when its server goes and comes back, when a camera stands still, and when what it shows is gone."""

import json
import urllib.request

import pytest

from tests.support import web as sites

GONE = ("Failed to load resource", "WebSocket connection")
"""What browsers say in their console while a server is away."""

OPERATOR = "operators-token-0123456789"


@pytest.fixture
def restarted(finished_run):
    """``restarted(corrections=True)`` gives the page of a run; calling ``again()`` on it starts its server anew, at the
    same address."""
    sites_open = []

    class Site:
        def __init__(self, **settings):
            self.settings = settings
            self.served = sites.finished_page(finished_run, **settings)
            self.address = self.served.__enter__()
            sites_open.append(self)

        def close(self):
            self.served.__exit__(None, None, None)

        def again(self):
            self.served = sites.finished_page(
                finished_run, **{**self.settings, "listen": self.address.removeprefix("http://")}
            )
            assert self.served.__enter__() == self.address

    yield Site
    for site in sites_open:
        site.close()


def test_a_page_says_that_its_server_is_away_and_comes_back_by_itself(restarted, visit):
    site = restarted()

    def act(page):
        page.goto(f"{site.address}/page/run")
        page.wait_for_selector("#connection:text-is('connected')")
        said = []
        for _ in range(2):  # the second time as the first one
            site.close()
            page.wait_for_selector("#connection:not(:text-is('connected'))")
            said.append(page.text_content("#connection"))
            site.again()
            page.wait_for_selector("#connection:text-is('connected')")
            page.wait_for_selector("#said:has-text('Connected again')")
        return said

    assert set(visit(act, errors=GONE)) <= {"the run has ended", "not connected; trying again"}


def test_who_was_signed_in_gives_the_token_again_after_a_restart(restarted, visit):
    site = restarted(token=OPERATOR)

    def act(page):
        page.goto(f"{site.address}/page/login")
        page.get_by_label("Token").fill(OPERATOR)
        page.keyboard.press("Enter")
        page.wait_for_selector("#connection:text-is('connected')")
        site.close()
        page.wait_for_selector("#connection:not(:text-is('connected'))")
        site.again()
        page.wait_for_url("**/page/login")
        return page.get_by_label("Token").count()

    assert visit(act, errors=GONE) == 1


def test_nothing_of_who_was_forgotten_stays_on_another_page(finished_run, tmp_path, visit):
    import shutil

    shutil.copytree(finished_run, tmp_path / "run")

    def act(page):
        with urllib.request.urlopen(f"{address}/identities", timeout=30) as reply:
            one = json.loads(reply.read())[0]["global_id"]
        page.goto(f"{address}/page/people/{one}")
        page.wait_for_selector("#connection:text-is('connected')")
        other = page.context.new_page()
        other.goto(f"{address}/page/people/{one}")
        other.click("#forget")
        other.click("#question button[value=yes]")
        other.wait_for_selector("#proof:not([hidden])")
        page.wait_for_selector(f"main:has-text('There is no person #{one} any more')")
        other.wait_for_selector("#person", state="detached")
        return other.locator("#proof li").count()

    with sites.finished_page(tmp_path / "run", corrections=True) as address:
        assert visit(act) > 0


def test_a_picture_that_stands_still_is_not_taken_for_what_is_to_be_seen_now(live_site, visit):
    def act(page):
        page.clock.install()
        page.goto(f"{live_site.address}/page/live/hall")
        page.wait_for_selector("camera-view[data-time]")
        fresh = page.locator("camera-view.stale").count()
        page.evaluate("import('/page/static/frame.js').then((frame) => frame.showCameras([]))")
        page.clock.run_for(8000)
        page.wait_for_selector("camera-view.stale:has-text('no new picture for')")
        page.evaluate("dispatchEvent(new Event('resize'))")
        page.clock.run_for(1000)
        page.wait_for_selector("camera-view:not(.stale)")
        return fresh

    assert visit(act) == 0
