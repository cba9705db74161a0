"""What each mask makes of a value, over real columns; and that nothing it should hide is left."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from dative.errors import StopRun
from dative.errors.masks import KEY_MISSING
from dative.process.identifiers import IDENTIFIERS, Identifier
from dative.process.scalars import parse_mask
from dative.secrets import MaskKeys


@pytest.mark.parametrize(
    ("mask", "values", "masked"),
    [
        ("redact", ["a", None], ["***", None]),
        ("redact", [1, None], [None, None]),
        ("keep_last(2)", ["12345", "12", "", None], ["***45", "**", "", None]),
        ("keep_first(3)", ["Ärzte", "abc"], ["Ärz**", "***"]),
        ("keep_last(0)", ["abc"], ["***"]),
        ("zip3", ["02139", "02139-4307", "021394307", " 94110 ", None], ["021", "021", "021", "941", None]),
        ("zip3", ["03601", "10275", "89301", "SW1A 1AA", "1234", ""], ["000"] * 6),
        ("zip3", [2139, 94110], ["021", "941"]),
        ("year", [date(1980, 5, 1), date(1936, 1, 1), date(1901, 1, 1), None], [1980, 1936, 1936, None]),
        ("year", ["1980-05-01", "nonsense", "1900-01-01", None], [1980, None, 1936, None]),
        ("age", [89, 90, 104, 0, None], [89, 90, 90, 0, None]),
        ("age", ["89.9", "117", "old", None], [89, 90, None, None]),
        ("age", [float("nan"), float("inf"), 1e300, 34.0], [None, None, None, 34]),
    ],
)
def test_a_mask_gives_exactly_this(masking: Any, mask: str, values: list[Any], masked: list[Any]) -> None:
    assert masking.one(mask, pa.array(values)) == masked


def test_drop_takes_the_field_away(masking: Any) -> None:
    assert masking.apply({"value": "drop"}, pa.table({"value": ["x"], "other": [1]})).to_pylist() == [{"other": 1}]


def test_a_hash_is_the_hmac_that_the_manual_says(masking: Any) -> None:
    expected = hmac.new(masking.keys.key("hash"), "Ärzte".encode(), hashlib.sha256).hexdigest()
    assert masking.one("hash", pa.array(["Ärzte", None])) == [expected, None]


def test_equal_values_get_equal_tokens_and_each_kind_and_version_has_its_own(masking: Any) -> None:
    values = pa.array(["ada", "bob", "ada"])
    first, second, again = masking.one("token", values)
    assert first == again != second
    hashed = masking.one("hash", values)[0]
    assert hashed[:20] != first[4:]
    masking.keys = MaskKeys({1: b"\x11" * 32, 2: b"\x22" * 32})
    assert masking.one("token", values)[0] != first


@pytest.mark.parametrize("mask", ["hash", "token", "date_shift(30)"])
def test_a_keyed_mask_without_a_key_does_not_run_and_says_what_to_do(masking: Any, mask: str) -> None:
    masking.keys = MaskKeys({})
    with pytest.raises(StopRun) as stopped:
        masking.one(mask, pa.array(["2020-01-01"]))
    assert stopped.value.code is KEY_MISSING
    assert "dative vault key create" in stopped.value.next


def test_a_mask_that_needs_no_key_runs_without_one(masking: Any) -> None:
    masking.keys = MaskKeys({})
    assert masking.one("redact", pa.array(["x"])) == ["***"]


DAYS = [date(2020, 1, 1) + timedelta(days=number * 37) for number in range(40)]


@pytest.mark.parametrize("kind", ["date", "timestamp", "text"])
def test_the_dates_of_one_subject_keep_the_days_between_them(masking: Any, kind: str) -> None:
    columns = {
        "date": pa.array(DAYS),
        "timestamp": pa.array([datetime(day.year, day.month, day.day, 13, 5, tzinfo=UTC) for day in DAYS]),
        "text": pa.array([day.isoformat() for day in DAYS]),
    }
    patients = pa.array([f"P{number % 4}" for number in range(40)])
    masks = {"value": "date_shift(60, key => Patient)", "Patient": "token"}
    out = masking.apply(masks, pa.table({"value": columns[kind], "Patient": patients}))
    shifted = [date.fromisoformat(str(value)[:10]) for value in out.column("value").to_pylist()]
    shifts = {patients[row].as_py(): set() for row in range(40)}
    for row, day in enumerate(shifted):
        shifts[patients[row].as_py()].add((day - DAYS[row]).days)
    assert all(len(one) == 1 and 1 <= abs(min(one)) <= 60 for one in shifts.values()), shifts
    assert len(set().union(*shifts.values())) > 1


def test_a_date_without_a_subject_is_gone_rather_than_told(masking: Any) -> None:
    table = pa.table({"value": DAYS[:2], "Patient": pa.array([None, "P1"], pa.string())})
    first, second = masking.apply({"value": "date_shift(9, key => Patient)"}, table).column("value").to_pylist()
    assert first is None
    assert second is not None
    nobody = masking.apply({"value": "date_shift(9, key => Nobody)"}, table).column("value").to_pylist()
    assert nobody == [None, None]


def test_a_date_shift_without_a_subject_follows_from_the_value(masking: Any) -> None:
    one, same, other = masking.one("date_shift(30)", pa.array([DAYS[0], DAYS[0], DAYS[1]]))
    assert one == same
    assert 1 <= abs((one - DAYS[0]).days) <= 30
    assert 1 <= abs((other - DAYS[1]).days) <= 30


SAMPLES: dict[str, list[str]] = {
    "name": ["Ada Lovelace"],
    "geography": ["02139-4307", "12 Main Street", "SW1A 1AA"],
    "date": ["1936-02-29", "2025-03-04"],
    "phone": ["+1 617 555 0142"],
    "fax": ["+1 617 555 0143"],
    "email": ["ada@example.org"],
    "ssn": ["078-05-1120"],
    "mrn": ["MRN-0004711"],
    "health_plan": ["1EG4-TE5-MK73"],
    "account": ["DE89370400440532013000"],
    "license": ["S99988801"],
    "vehicle": ["1HGCM82633A004352"],
    "device": ["(01)00844588003288"],
    "url": ["https://example.org/~ada"],
    "ip": ["203.0.113.7", "2001:db8::7"],
    "biometric": ["Rk1SACAyMAAAAAE"],
    "photo": ["iVBORw0KGgo"],
    "other": ["K-4711"],
}
SHOWN = {"keep_last": 4, "zip3": 3, "year": 4, "age": 2}
"""Characters of a value that these masks may leave; every other one leaves none that three in a row would tell."""


@pytest.mark.parametrize("identifier", IDENTIFIERS, ids=lambda one: one.kind)
def test_each_recommended_mask_hides_each_of_the_eighteen_identifiers(masking: Any, identifier: Identifier) -> None:
    for mask in identifier.masks:
        kind = parse_mask(mask).kind
        for value in SAMPLES[identifier.kind]:
            table = pa.table({"value": pa.array([value]), "subject": pa.array(["P1"])})
            out = masking.apply({"value": mask}, table).to_pylist()[0]
            left = str(out.get("value"))
            assert value not in left, mask
            if kind == "date_shift":
                assert date.fromisoformat(left) != date.fromisoformat(value)
                continue
            shown = SHOWN.get(kind, 2)
            told = [value[at : at + shown + 1] for at in range(len(value) - shown)]
            assert [piece for piece in told if piece in left] == [], (mask, left)
