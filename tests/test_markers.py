"""What the markers and the fixtures of all tests do: ``gpu`` under STREAMREID_REQUIRE_GPU (on a machine that should
have a GPU, no GPU test passes by being skipped), ``wall_time``, and what is captured of the log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.gpu
@pytest.mark.skipif(True, reason="no CUDA device")
def test_marked():
    pass

@pytest.mark.gpu
def test_skips_itself():
    pytest.skip("no TensorRT")

@pytest.mark.gpu
@pytest.mark.xfail(reason="known")
def test_known_fault():
    assert False

@pytest.mark.gpu
def test_runs():
    pass

def test_needs_no_gpu():
    pytest.skip("no network")
"""
MODULE = """
import pytest

pytest.importorskip("no_such_package_at_all")

@pytest.mark.gpu
def test_never_collected():
    pass
"""


TIMES = """
import pytest

runs = {"marked": 0, "slow": 0, "plain": 0}

@pytest.mark.wall_time
def test_in_time_when_the_others_are_done():
    runs["marked"] += 1
    assert runs["marked"] == 2

@pytest.mark.wall_time
def test_never_in_time():
    runs["slow"] += 1
    assert False, f"run {runs['slow']}"

def test_judges_by_no_clock():
    runs["plain"] += 1
    assert runs["plain"] == 2
"""

LOGS = """
import logging, threading
import pytest

wanted, said = threading.Event(), threading.Event()

@pytest.fixture(scope="module")
def server():
    def serve():
        wanted.wait(10)
        logging.warning("a camera of the server is lost")
        said.set()
    threading.Thread(target=serve).start()

def test_what_the_server_says_is_not_captured(server, caplog):
    thread = threading.Thread(target=logging.warning, args=("of the test's own thread",))
    thread.start()
    thread.join()
    wanted.set()
    assert said.wait(10)
    logging.warning("of the test")
    assert caplog.messages == ["of the test's own thread", "of the test"]
"""


def outcomes(pytester: pytest.Pytester, request: pytest.FixtureRequest, **modules: str) -> tuple[dict[str, int], str]:
    """How many tests passed, failed and were skipped under the hooks of this test suite, and what was printed."""
    conftest = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    assert conftest is not None
    pytester.makeini("[pytest]\nmarkers =\n  gpu\n  wall_time")
    pytester.makepyfile(**modules)
    result = pytester.runpytest_inprocess(
        "-ra", "--continue-on-collection-errors", "-p", "no:cacheprovider", plugins=[conftest]
    )
    return result.parseoutcomes(), result.stdout.str()


@pytest.mark.parametrize("value", [None, "", "0"])
def test_gpu_tests_are_skipped_where_no_gpu_is_required(pytester, request, monkeypatch, value):
    monkeypatch.delenv("STREAMREID_REQUIRE_GPU", raising=False)
    if value is not None:
        monkeypatch.setenv("STREAMREID_REQUIRE_GPU", value)
    assert outcomes(pytester, request, test_items=TESTS, test_module=MODULE)[0] == {
        "passed": 1,
        "skipped": 4,
        "xfailed": 1,
    }


def test_gpu_tests_fail_instead_of_being_skipped_where_a_gpu_is_required(pytester, request, monkeypatch):
    monkeypatch.setenv("STREAMREID_REQUIRE_GPU", "1")
    found, text = outcomes(pytester, request, test_items=TESTS, test_module=MODULE)
    assert found == {"passed": 1, "failed": 1, "errors": 2, "skipped": 1, "xfailed": 1}
    for reason in ("no CUDA device", "no TensorRT", "no_such_package_at_all"):
        assert f"STREAMREID_REQUIRE_GPU is set: Skipped: {reason}" in text.replace("could not import '", "")


def test_tests_that_judge_by_the_clock_run_again_before_they_fail(pytester, request, monkeypatch):
    conftest = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    monkeypatch.setattr(conftest, "RERUN_DELAY", 0)
    found, text = outcomes(pytester, request, test_times=TIMES)
    assert found == {"passed": 1, "failed": 2, "rerun": 1 + conftest.RERUNS}
    assert f"run {1 + conftest.RERUNS}" in text


def test_what_the_servers_of_other_tests_log_is_not_captured(pytester, request):
    assert outcomes(pytester, request, test_logs=LOGS)[0] == {"passed": 1}


def test_the_passes_of_ci_find_their_tests_by_the_words_in_their_files():
    """``.ci/run`` collects only files in which the marker stands, for tests that judge by the clock and those that
    need the machine for themselves: no other file may mark them."""
    mark = re.compile(r"mark\.(wall_time|alone)\b|add_marker\(.*(wall_time|alone)")
    others = [path for path in Path(__file__).parent.rglob("*.py") if not path.name.startswith("test_")]
    assert others
    assert [str(path) for path in others if mark.search(path.read_text(encoding="utf-8"))] == []
