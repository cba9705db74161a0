"""SOQL's date literals (TODAY, LAST_N_DAYS:3, THIS_QUARTER …) as half-open spans of time in the user's time zone.

Source: SOQL reference, "Date Formats and Date Literals". Weeks begin on Sunday, as in the vendor's English locale.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dative_sandbox.salesforce.clock import stamp, stamp_millis

_UNITS = ("WEEK", "MONTH", "QUARTER", "YEAR")
FIXED = frozenset(
    {"TODAY", "YESTERDAY", "TOMORROW", "LAST_90_DAYS", "NEXT_90_DAYS"}
    | {f"{which}_{unit}" for which in ("LAST", "THIS", "NEXT") for unit in _UNITS}
)
COUNTED = frozenset(
    shape.format(unit) for unit in ("DAY", *_UNITS) for shape in ("LAST_N_{}S", "NEXT_N_{}S", "N_{}S_AGO")
) | {"LAST_N_HOURS", "NEXT_N_HOURS", "N_HOURS_AGO"}


@dataclass(frozen=True)
class Span:
    """From start up to, not including, end."""

    start: datetime
    end: datetime
    zone: ZoneInfo

    def bounds(self, kind: str) -> tuple[str, str]:
        """As text that compares with a field of this type. A span that ends within a day covers that day for a date."""
        if kind == "datetime":
            return stamp_millis(self.start), stamp_millis(self.end)
        last = (self.end.astimezone(self.zone) - timedelta(microseconds=1)).date()
        return self.start.astimezone(self.zone).date().isoformat(), (last + timedelta(days=1)).isoformat()


def span(literal: str, count: int, now: datetime, timezone: str) -> Span:
    """The span of a literal (upper case) with its count, 0 where it takes none."""
    zone = ZoneInfo(timezone)
    if literal.endswith(("_HOURS", "_HOURS_AGO")):
        return _hours(literal, count, now, zone)
    today = now.astimezone(zone).date()
    if literal in ("LAST_N_DAYS", "LAST_90_DAYS"):
        start = today - timedelta(days=90 if literal == "LAST_90_DAYS" else count)
        return Span(_midnight(start, zone), now + timedelta(seconds=1), zone)
    if literal == "NEXT_90_DAYS":
        literal, count = "NEXT_N_DAYS", 90
    start, end = _days(literal, count, today)
    return Span(_midnight(start, zone), _midnight(end, zone), zone)


def _days(literal: str, count: int, today: date) -> tuple[date, date]:
    named = {"TODAY": 0, "YESTERDAY": -1, "TOMORROW": 1}
    if literal in named:
        start = today + timedelta(days=named[literal])
        return start, start + timedelta(days=1)
    unit = next(unit for unit in ("DAY", *_UNITS) if unit in literal)
    begin = _begin(unit, today)
    if literal.endswith("_AGO"):
        first, last = -count, -count + 1
    elif literal.startswith("LAST_N_"):
        first, last = -count, 0
    elif literal.startswith("NEXT_N_"):
        first, last = 1, count + 1
    else:
        first = {"LAST": -1, "THIS": 0, "NEXT": 1}[literal.split("_")[0]]
        last = first + 1
    return _move(unit, begin, first), _move(unit, begin, last)


def _begin(unit: str, day: date) -> date:
    if unit == "WEEK":
        return day - timedelta(days=day.isoweekday() % 7)
    if unit == "MONTH":
        return day.replace(day=1)
    if unit == "QUARTER":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day.replace(month=1, day=1) if unit == "YEAR" else day


def _move(unit: str, day: date, count: int) -> date:
    if unit in ("DAY", "WEEK"):
        return day + timedelta(days=count * (7 if unit == "WEEK" else 1))
    months = day.year * 12 + day.month - 1 + count * {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
    return date(months // 12, months % 12 + 1, 1)


def _hours(literal: str, count: int, now: datetime, zone: ZoneInfo) -> Span:
    hour = now.replace(minute=0, second=0, microsecond=0)
    if literal == "N_HOURS_AGO":
        start = hour - timedelta(hours=count)
        return Span(start, start + timedelta(hours=1), zone)
    if literal == "LAST_N_HOURS":
        return Span(hour - timedelta(hours=count), now + timedelta(seconds=1), zone)
    return Span(hour + timedelta(hours=1), hour + timedelta(hours=count + 1), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def literal_time(text: str, kind: str) -> str | None:
    """A date or datetime literal in the form that records are stored in; None when there is no such day or time."""
    try:
        if kind == "date":
            return date.fromisoformat(text).isoformat()
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return stamp_millis(at) if at.microsecond else stamp(at)
