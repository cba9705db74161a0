"""Date literals as spans of days, on Wednesday 13 May 2026."""

from datetime import UTC, datetime

import pytest
from dative_sandbox.salesforce.soql.periods import COUNTED, FIXED, span

NOW = datetime(2026, 5, 13, 10, 20, 30, tzinfo=UTC)

SPANS = [
    ("TODAY", 0, "2026-05-13", "2026-05-14"),
    ("YESTERDAY", 0, "2026-05-12", "2026-05-13"),
    ("TOMORROW", 0, "2026-05-14", "2026-05-15"),
    ("THIS_WEEK", 0, "2026-05-10", "2026-05-17"),  # a week begins on Sunday
    ("LAST_WEEK", 0, "2026-05-03", "2026-05-10"),
    ("NEXT_WEEK", 0, "2026-05-17", "2026-05-24"),
    ("THIS_MONTH", 0, "2026-05-01", "2026-06-01"),
    ("LAST_MONTH", 0, "2026-04-01", "2026-05-01"),
    ("THIS_QUARTER", 0, "2026-04-01", "2026-07-01"),
    ("LAST_QUARTER", 0, "2026-01-01", "2026-04-01"),
    ("NEXT_QUARTER", 0, "2026-07-01", "2026-10-01"),
    ("THIS_YEAR", 0, "2026-01-01", "2027-01-01"),
    ("LAST_90_DAYS", 0, "2026-02-12", "2026-05-14"),
    ("NEXT_90_DAYS", 0, "2026-05-14", "2026-08-12"),
    ("LAST_N_DAYS", 3, "2026-05-10", "2026-05-14"),
    ("NEXT_N_DAYS", 3, "2026-05-14", "2026-05-17"),
    ("N_DAYS_AGO", 3, "2026-05-10", "2026-05-11"),
    ("LAST_N_WEEKS", 2, "2026-04-26", "2026-05-10"),
    ("N_MONTHS_AGO", 5, "2025-12-01", "2026-01-01"),
    ("LAST_N_QUARTERS", 2, "2025-10-01", "2026-04-01"),
    ("NEXT_N_YEARS", 2, "2027-01-01", "2029-01-01"),
]


@pytest.mark.parametrize(("literal", "count", "start", "end"), SPANS)
def test_a_literal_covers_exactly_these_days(literal: str, count: int, start: str, end: str) -> None:
    assert span(literal, count, NOW, "UTC").bounds("date") == (start, end)


def test_a_day_is_the_users_day_summer_time_included() -> None:
    # 29 March 2026 has 23 hours in Paris.
    day = span("TODAY", 0, datetime(2026, 3, 29, 12, tzinfo=UTC), "Europe/Paris")
    assert day.bounds("datetime") == ("2026-03-28T23:00:00.000+0000", "2026-03-29T22:00:00.000+0000")


def test_last_n_days_ends_now_and_not_at_midnight() -> None:
    assert span("LAST_N_DAYS", 1, NOW, "UTC").bounds("datetime")[1] == "2026-05-13T10:20:31.000+0000"


@pytest.mark.parametrize("literal", sorted(FIXED | COUNTED))
def test_every_literal_has_a_span_that_goes_forward(literal: str) -> None:
    found = span(literal, 2, NOW, "America/New_York")
    assert found.start < found.end
