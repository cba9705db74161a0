"""SOQL over a seeded org: what a query finds, against the same question asked of the records in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dative_sandbox.salesforce.errors import ApiError
from dative_sandbox.salesforce.ids import checksum, to_id18
from dative_sandbox.salesforce.org import Org, User
from dative_sandbox.salesforce.queries import Queries
from dative_sandbox.salesforce.seed import Expected, seed_org

Row = dict[str, Any]

PERSON = User("", "integration@example.com", "p", "t", "integration@example.com")


@pytest.fixture(scope="module")
def seeded() -> tuple[Org, Expected]:
    org = Org()
    org.add_user(PERSON)
    return org, seed_org(org, 600)


def ask(org: Org, text: str, rows: int | None = None) -> Row:
    return Queries(org).start(text, base="/services/data/v67.0", resource="query", batch_rows=rows, timezone="UTC")


CHECKSUMS = [("0015f00002JUWMV", "AA5"), ("0GaHn000005s2T4", "KAI"), ("000000000000000", "AAA")]


@pytest.mark.parametrize(("short", "suffix"), CHECKSUMS)
def test_an_id_carries_its_published_checksum(short: str, suffix: str) -> None:
    assert checksum(short) == suffix
    assert to_id18(short) == short + suffix


FILTERS: list[tuple[str, Callable[[Row], bool]]] = [
    ("Type = 'Customer'", lambda a: a["Type"] == "Customer"),
    (
        "Type = 'customer' AND Industry = 'Healthcare'",
        lambda a: (a["Type"], a["Industry"]) == ("Customer", "Healthcare"),
    ),
    ("(Type = 'Partner' OR Type = 'Prospect')", lambda a: a["Type"] in ("Partner", "Prospect")),
    ("NOT Type IN ('Customer')", lambda a: a["Type"] != "Customer"),
    ("AnnualRevenue = null", lambda a: a["AnnualRevenue"] is None),
    ("AnnualRevenue > 500000", lambda a: a["AnnualRevenue"] is not None and a["AnnualRevenue"] > 500000),
    ("Name LIKE 'A%'", lambda a: a["Name"].lower().startswith("a")),
    ("CurrencyIsoCode NOT IN ('EUR', 'USD')", lambda a: a["CurrencyIsoCode"] not in ("EUR", "USD")),
]


@pytest.mark.parametrize(("where", "wanted"), FILTERS, ids=[where for where, _ in FILTERS])
def test_a_filter_finds_what_it_says(seeded: tuple[Org, Expected], where: str, wanted: Callable[[Row], bool]) -> None:
    org, _ = seeded
    found = ask(org, f"SELECT Id FROM Account WHERE {where}")
    expected = {row["Id"] for row in org.rows("Account") if wanted(row)}
    assert expected
    assert {record["Id"] for record in found["records"]} == expected
    assert found["totalSize"] == len(expected)


def test_pages_together_are_the_whole_in_order(seeded: tuple[Org, Expected]) -> None:
    org, expected = seeded
    queries = Queries(org)
    page = queries.start(
        "SELECT Id, SystemModstamp FROM Account ORDER BY SystemModstamp, Id",
        base="/services/data/v67.0",
        resource="query",
        batch_rows=200,
        timezone="UTC",
    )
    records = list(page["records"])
    while not page["done"]:
        page = queries.resume(page["nextRecordsUrl"].rsplit("/", 1)[1])
        records.extend(page["records"])
    keys = [(record["SystemModstamp"], record["Id"]) for record in records]
    assert len(keys) == len(set(keys)) == expected.accounts == page["totalSize"]
    assert [stamp for stamp, _ in keys] == sorted(stamp for stamp, _ in keys)
    assert len({stamp for stamp, _ in keys}) < len(keys), "ties in one second are normal"


def test_the_seed_is_the_same_each_time_and_says_what_is_bad(seeded: tuple[Org, Expected]) -> None:
    _, first = seeded
    again = Org()
    again.add_user(PERSON)
    assert seed_org(again, 600).healthcare_customers == first.healthcare_customers
    bad = (first.unreadable_date_ids, first.unreadable_number_ids, first.unknown_currency_ids)
    assert [len(ids) for ids in bad] == [6, 4, 5]
    assert len(first.bad_ids) == 15


REFUSED = [
    ("SELECT Id FROM Account WHERE Type = 'A' AND Type = 'B' OR Type = 'C'", "MALFORMED_QUERY"),
    ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
    ("SELECT Nope FROM Account", "INVALID_FIELD"),
    ("SELECT Id FROM Nope", "INVALID_TYPE"),
    ("SELECT Id FROM AccountChangeEvent", "INVALID_TYPE_FOR_OPERATION"),
]


@pytest.mark.parametrize(("text", "code"), REFUSED)
def test_a_query_that_means_nothing_is_refused_with_the_vendors_code(
    seeded: tuple[Org, Expected], text: str, code: str
) -> None:
    with pytest.raises(ApiError) as refused:
        ask(seeded[0], text)
    assert refused.value.code == code
