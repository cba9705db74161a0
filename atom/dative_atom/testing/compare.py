"""What a case expected against what came of it, field by field.

A fraction equals the same number with more zeros, a moment the same moment written otherwise; nothing else is bent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from dative.process.case_model import Case, Documents, Expectation, ExpectedDeadLetter, ExpectedDocuments

from dative_atom.journal.contract import DeadLetter
from dative_atom.testing.stage import Played

DIFFERENCES_MAX: Final = 100
"""Of one case; what is more is counted."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """One thing that is not as expected. where: "upsert 1" (a document, from 1) or "counts"; field: empty for all of it."""

    where: str
    field: str
    expected: Any
    actual: Any
    note: str = ""

    def __str__(self) -> str:
        if self.note:
            return f"{self.where}: {self.note}"
        return f"{self.where}: {self.field} is {self.actual!r}, expected {self.expected!r}"


def differences(case: Case, played: Played) -> list[Difference]:
    """Everything that is not as the case wants it, at most DIFFERENCES_MAX of them and a line that counts the others."""
    found = list(_failure(case.expect, played))
    if not found and case.expect.failure is None:
        found = list(_documents_of(case.expect, played))
    found += _counted(case.expect, played)
    if len(found) > DIFFERENCES_MAX:
        more = len(found) - DIFFERENCES_MAX
        return [*found[:DIFFERENCES_MAX], Difference("case", "", None, None, f"and {more} more differences")]
    return found


def _failure(expect: Expectation, played: Played) -> Iterator[Difference]:
    if played.failure is not None and played.failure["code"] != expect.failure:
        failure = played.failure
        where = f" at {failure['where']}" if failure["where"] else ""
        yield Difference(
            "execution", "", expect.failure, failure["code"], f"{failure['message']} ({failure['code']}){where}"
        )
    elif played.failure is None and expect.failure is not None:
        yield Difference("execution", "failure", expect.failure, None)


def _documents_of(expect: Expectation, played: Played) -> Iterator[Difference]:
    for step, documents in expect.written.items():
        yield from _compared(step, documents, played.written(step), "written")
    for step, documents in expect.steps.items():
        yield from _compared(step, documents, played.steps.get(step, ()), "there after it")
    if expect.dead_lettered is not None:
        yield from _dead_letters(expect.dead_lettered, played.dead_letters)


def _compared(step: str, wanted: Documents, given: Sequence[Row], what: str) -> Iterator[Difference]:
    if isinstance(wanted, ExpectedDocuments):
        if wanted.count is not None and wanted.count != len(given):
            yield _number(step, len(given), wanted.count, what)
        if wanted.exactly is not None:
            yield from _in_order(step, wanted.exactly, given, what, whole=True)
        yield from _included(step, wanted.includes or (), given)
    else:
        yield from _in_order(step, wanted, given, what, whole=False)


def _number(step: str, given: int, wanted: int, what: str) -> Difference:
    return Difference(step, "", wanted, given, f"{given} documents {what}, {wanted} expected")


def _in_order(
    step: str, wanted: Sequence[Row], given: Sequence[Row], what: str, *, whole: bool
) -> Iterator[Difference]:
    if len(given) != len(wanted):
        yield _number(step, len(given), len(wanted), what)
    for number, (expected, row) in enumerate(zip(wanted, given, strict=False), 1):
        yield from _fields(f"{step} {number}", expected, row)
        for name in row:
            if whole and name not in expected:
                yield Difference(
                    f"{step} {number}", name, None, row[name], f"{name} is {row[name]!r} and was not expected"
                )


def _included(step: str, wanted: Sequence[Row], given: Sequence[Row]) -> Iterator[Difference]:
    """Each expected document takes one that nobody took; where none fits, the nearest one shows the difference."""
    left = list(range(len(given)))
    for number, expected in enumerate(wanted, 1):
        misfits = [(len(list(_fields("", expected, given[index]))), index) for index in left]
        fewest, index = min(misfits, default=(1, -1))
        if fewest == 0:
            left.remove(index)
        elif index < 0:
            yield Difference(step, "", expected, None, f"nothing is left that could be document {number} of includes")
        else:
            yield from _fields(f"{step} includes {number} (nearest: document {index + 1})", expected, given[index])


def _fields(where: str, expected: Row, row: Row) -> Iterator[Difference]:
    for name, value in expected.items():
        if not equal(value, row.get(name)):
            yield Difference(where, name, value, row.get(name))


def _dead_letters(wanted: Sequence[ExpectedDeadLetter], letters: Sequence[DeadLetter]) -> Iterator[Difference]:
    if len(letters) != len(wanted):
        given = [f"{letter.parked.code} at {letter.parked.step}" for letter in letters[:10]]
        note = f"{len(letters)} documents dead-lettered ({', '.join(given) or 'none'}), {len(wanted)} expected"
        yield Difference("dead letters", "", len(wanted), len(letters), note)
    for number, (expected, letter) in enumerate(zip(wanted, letters, strict=False), 1):
        parked, where = letter.parked, f"dead letter {number}"
        for name, value in (("code", expected.code), ("field", expected.field), ("step", expected.step)):
            actual = getattr(parked, name)
            if value is not None and value != actual:
                yield Difference(where, name, value, str(actual))
        yield from _fields(where, expected.document or {}, parked.payload)


def _counted(expect: Expectation, played: Played) -> Iterator[Difference]:
    wanted = {"filtered": expect.filtered, **(expect.counts.model_dump() if expect.counts else {})}
    if expect.filtered is not None and wanted["filtered"] is None:
        wanted["filtered"] = expect.filtered
    for name, value in wanted.items():
        actual = getattr(played.counts, name)
        if value is not None and value != actual:
            yield Difference("counts", name, value, actual)
    if expect.waited is not None and played.waited_s < expect.waited.total_seconds():
        yield Difference("clock", "waited", f"{expect.waited.total_seconds():g} s", f"{played.waited_s:g} s")


def equal(expected: Any, actual: Any) -> bool:
    """A fraction equals the same number with more zeros, a moment the same moment written otherwise."""
    if expected == actual and isinstance(expected, bool) == isinstance(actual, bool):
        return True
    if isinstance(expected, bool) or isinstance(actual, bool) or expected is None or actual is None:
        return False
    if isinstance(expected, dict) and isinstance(actual, Mapping):
        return expected.keys() == actual.keys() and all(equal(value, actual[name]) for name, value in expected.items())
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        return len(expected) == len(actual) and all(map(equal, expected, actual))
    return _same(expected, actual, _number_of) or _same(expected, actual, _moment)


def _same(expected: Any, actual: Any, read: Any) -> bool:
    first, second = read(str(expected)), read(str(actual))
    return first is not None and first == second


def _number_of(text: str) -> Decimal | None:
    # 007 is a key and no number.
    if text.startswith("0") and text[1:2].isdigit():
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        return None
