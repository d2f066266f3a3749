"""Charts say what they show in words and units that fit."""

from typing import Any

import pytest

from streamreid.places import CountsTable
from streamreid.places.counts import COLUMNS
from streamreid.reports.charts import dwell_chart, people_chart


def table(**values: Any) -> CountsTable:
    row = {**dict.fromkeys(COLUMNS), "place": "everywhere", "start": 0.0, "end": 60.0, **values}
    return CountsTable((row,))


@pytest.mark.parametrize(
    ("median", "most", "words", "unit", "bars"),
    [
        (1.5, 1.6, "at least 1.5 s, one of ten at least 1.6 s", "seconds", [1.5, 1.6]),
        (75.0, 90.0, "at least 75 s, one of ten at least 90 s", "seconds", [75.0, 90.0]),
        (60.0, 720.0, "at least 60 s, one of ten at least 12 min", "minutes", [1.0, 12.0]),
        (7200.0, 12_600.0, "at least 2.0 h, one of ten at least 3.5 h", "hours", [2.0, 3.5]),
    ],
)
def test_how_long_people_stayed_is_told_in_the_unit_that_fits(
    median: float, most: float, words: str, unit: str, bars: list[float]
) -> None:
    chart = dwell_chart(table(dwell_median=median, dwell_p90=most))
    assert chart.says == f"everywhere: half of the people stayed {words}."
    assert chart.layout["yaxis"]["title"]["text"] == unit
    assert [trace["y"] for trace in chart.traces] == [[bars[0]], [bars[1]]]


def test_there_is_no_chart_of_times_that_nobody_knows() -> None:
    assert dwell_chart(table(unique=3)) is None


def test_the_interval_is_told_with_its_probability() -> None:
    assert people_chart(table(unique=3, unique_low=3, unique_high=3)).says.endswith(
        "with a probability of 90 % or more."
    )
    known = people_chart(table(unique=3, unique_low=3, unique_high=4))
    assert (
        known.says
        == "everywhere: 3 different people; with a probability of 90 % between 3 and 4 (the thin line on a bar)."
    )
    assert people_chart(table(unique=3)).says == "everywhere: 3 different people."
