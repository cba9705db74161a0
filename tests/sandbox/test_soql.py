"""SOQL: a table from query to records, a table from query to the exact error, and what must hold for every query."""

from typing import Any

import pytest
from dative_sandbox.salesforce.errors import ApiError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def filled(org: Any) -> Any:
    """Five accounts named a..e (ä for d), their contacts, an invoice and a task."""
    rows = [
        ("Alpha", "Customer", 100.0, "Bulk;Cloud", "2026-05-13", "2026-05-13T09:00:00.000+0000"),
        ("beta", "Customer", 200.0, "Cloud", "2026-05-12", "2026-05-12T23:30:00.000+0000"),
        ("Gamma 100%", "Partner", None, None, "2026-04-30", "2026-04-30T00:00:00.000+0000"),
        ("Delta_x", "Prospect", 400.0, "Support", None, "2025-12-31T23:59:59.000+0000"),
        ("O'Neil", None, 50.5, "Bulk", "2026-05-20", "2026-05-01T00:00:00.000+0000"),
    ]
    ids = {}
    for name, type_, revenue, interests, audit, stamp in rows:
        ids[name] = org.insert(
            "Account",
            Name=name,
            Type=type_,
            AnnualRevenue=revenue,
            Interests__c=interests,
            Last_Audit__c=audit,
            SystemModstamp=stamp,
        )
    for name, account in (("Ann", "Alpha"), ("Bob", "Alpha"), ("Cid", "beta")):
        org.insert("Contact", FirstName=name, LastName="Smith", AccountId=ids[account], Email=f"{name}@x.org".lower())
    org.insert("Contact", FirstName="Dan", LastName="Free")
    org.insert("Invoice__c", Name="I-1", Account__c=ids["beta"], Amount__c=10.0)
    org.insert("Task", Subject="Call", WhatId=ids["Alpha"])
    org.insert("Task", Subject="Old", WhatId=ids["Alpha"], IsArchived=True)
    return org


A, B, G, D, N = "Alpha", "beta", "Gamma 100%", "Delta_x", "O'Neil"
FILTERS = [
    ("Name = 'alpha'", [A]),
    ("Name != 'Alpha'", [B, G, D, N]),
    ("Name = 'O\\'Neil'", [N]),
    ("Type = null", [N]),
    ("Type != null", [A, B, G, D]),
    ("Type != 'Customer'", [G, D, N]),
    ("AnnualRevenue > 100", [B, D]),
    ("AnnualRevenue >= 100", [A, B, D]),
    ("AnnualRevenue < 100", [N]),
    ("AnnualRevenue = 50.5", [N]),
    ("Name LIKE 'a%'", [A]),
    ("Name LIKE '%A'", [A, B]),
    ("Name LIKE '_eta'", [B]),
    ("Name LIKE '%100\\%'", [G]),
    ("Name LIKE 'Delta\\_x'", [D]),
    ("Name LIKE 'DeltaZx'", []),
    ("Name LIKE 'Alph\\%'", []),
    ("Name LIKE 'Delta\\_\\_'", []),
    ("Name LIKE 'Alph\\_'", []),
    ("Name IN ('ALPHA', 'Beta')", [A, B]),
    ("Name NOT IN ('Alpha', 'beta')", [G, D, N]),
    ("Type = 'Customer' AND AnnualRevenue > 100", [B]),
    ("Type = 'Partner' OR AnnualRevenue > 300", [G, D]),
    ("(Type = 'Partner' OR Type = 'Customer') AND AnnualRevenue < 150", [A]),
    ("NOT Type = 'Customer'", [G, D, N]),
    ("NOT (Type = 'Customer' OR Type = 'Partner')", [D, N]),
    ("Interests__c INCLUDES ('Bulk')", [A, N]),
    ("Interests__c INCLUDES ('Bulk;Cloud', 'Support')", [A, D]),
    ("Interests__c EXCLUDES ('Cloud')", [G, D, N]),
    ("Id IN (SELECT AccountId FROM Contact WHERE FirstName = 'Cid')", [B]),
    ("Id NOT IN (SELECT AccountId FROM Contact)", [G, D, N]),
    ("SystemModstamp >= 2026-05-12T23:30:00Z", [A, B]),
    ("SystemModstamp > 2026-05-13T01:30:00+02:00", [A]),
    ("SystemModstamp = TODAY", [A]),
    ("SystemModstamp = YESTERDAY", [B]),
    ("SystemModstamp < TODAY", [B, G, D, N]),
    ("SystemModstamp >= YESTERDAY", [A, B]),
    ("SystemModstamp = LAST_N_DAYS:1", [A, B]),
    ("SystemModstamp = N_DAYS_AGO:13", [G]),
    ("SystemModstamp = THIS_WEEK", [A, B]),
    ("SystemModstamp = THIS_MONTH", [A, B, N]),
    ("SystemModstamp = LAST_MONTH", [G]),
    ("SystemModstamp = LAST_YEAR", [D]),
    ("SystemModstamp = LAST_QUARTER", []),
    ("SystemModstamp = LAST_N_MONTHS:1", [G]),
    ("SystemModstamp = LAST_N_HOURS:3", [A]),
    ("Last_Audit__c = TODAY", [A]),
    ("Last_Audit__c = 2026-05-12", [B]),
    ("Last_Audit__c = NEXT_N_DAYS:7", [N]),
    ("Last_Audit__c = NEXT_WEEK", [N]),
    ("Owner.Username = 'ida@dative.example' AND Name = 'beta'", [B]),
    ("Account.Name = 'beta'", [B]),
    ("name = 'BETA'", [B]),
]


@pytest.mark.parametrize(("where", "names"), FILTERS)
def test_a_filter_finds_exactly_its_records(filled: Any, where: str, names: list[str]) -> None:
    assert [row["Name"] for row in filled.query(f"SELECT Name FROM Account WHERE {where}")] == names


ORDERS = [
    ("ORDER BY Name", [A, B, D, G, N]),
    ("ORDER BY Name DESC", [N, G, D, B, A]),
    ("ORDER BY AnnualRevenue", [G, N, A, B, D]),
    ("ORDER BY AnnualRevenue NULLS LAST", [N, A, B, D, G]),
    ("ORDER BY AnnualRevenue DESC", [D, B, A, N, G]),
    ("ORDER BY AnnualRevenue DESC NULLS FIRST", [G, D, B, A, N]),
    ("ORDER BY Type DESC, Name DESC", [D, G, B, A, N]),
    ("ORDER BY Name LIMIT 2", [A, B]),
    ("ORDER BY Name LIMIT 2 OFFSET 3", [G, N]),
    ("ORDER BY Name LIMIT 0", []),
    ("ORDER BY Name FOR VIEW", [A, B, D, G, N]),
]


@pytest.mark.parametrize(("clause", "names"), ORDERS)
def test_order_limit_and_offset(filled: Any, clause: str, names: list[str]) -> None:
    assert [row["Name"] for row in filled.query(f"SELECT Name FROM Account {clause}")] == names


AGGREGATES: list[tuple[str, list[dict[str, Any]]]] = [
    ("SELECT COUNT(Id) FROM Account", [{"expr0": 5}]),
    ("SELECT COUNT(AnnualRevenue) n, SUM(AnnualRevenue) s FROM Account", [{"n": 4, "s": 750.5}]),
    ("SELECT MIN(Name), MAX(AnnualRevenue), AVG(AnnualRevenue) FROM Account WHERE Type = 'Customer'",
     [{"expr0": "Alpha", "expr1": 200.0, "expr2": 150.0}]),
    ("SELECT COUNT_DISTINCT(Type) FROM Account", [{"expr0": 3}]),
    ("SELECT Type, COUNT(Id) n FROM Account GROUP BY Type HAVING COUNT(Id) > 1", [{"Type": "Customer", "n": 2}]),
    ("SELECT Type t, COUNT(Id) FROM Account WHERE Type != null GROUP BY Type ORDER BY COUNT(Id) DESC, Type",
     [{"t": "Customer", "expr0": 2}, {"t": "Partner", "expr0": 1}, {"t": "Prospect", "expr0": 1}]),
    ("SELECT Account.Name, COUNT(Id) FROM Contact WHERE AccountId != null GROUP BY Account.Name ORDER BY Account.Name",
     [{"Name": "Alpha", "expr0": 2}, {"Name": "beta", "expr0": 1}]),
    ("SELECT SUM(AnnualRevenue) FROM Account WHERE Name = 'nobody'", [{"expr0": None}]),
]  # fmt: skip


@pytest.mark.parametrize(("soql", "groups"), AGGREGATES)
def test_aggregates(filled: Any, soql: str, groups: list[dict[str, Any]]) -> None:
    found = filled.query(soql)
    assert [row.pop("attributes") for row in found] == [{"type": "AggregateResult"}] * len(found)
    assert found == groups


def test_count_without_a_field_gives_a_total_and_no_records(filled: Any) -> None:
    assert filled.total("SELECT COUNT() FROM Account WHERE Type = 'Customer'") == 2
    assert filled.query("SELECT COUNT() FROM Account") == []


def test_a_parent_is_a_record_of_its_own_and_a_missing_one_is_null(filled: Any) -> None:
    soql = "SELECT FirstName, Account.Name, Account.Owner.Username FROM Contact WHERE FirstName IN ('Ann', 'Dan')"
    ann, dan = filled.query(soql)
    assert list(ann) == ["attributes", "FirstName", "Account"]
    assert ann["Account"]["Name"] == "Alpha"
    assert ann["Account"]["attributes"]["type"] == "Account"
    assert ann["Account"]["Owner"]["Username"] == "ida@dative.example"
    assert dan["Account"] is None


def test_children_come_as_a_result_of_their_own_and_none_is_null(filled: Any) -> None:
    contacts = "(SELECT FirstName FROM Contacts ORDER BY FirstName DESC LIMIT 1)"
    soql = f"SELECT Name, {contacts}, (SELECT Name FROM Invoices__r) FROM Account"
    alpha, beta, *_ = filled.query(soql)
    assert alpha["Contacts"]["totalSize"] == 1
    assert [row["FirstName"] for row in alpha["Contacts"]["records"]] == ["Bob"]
    assert alpha["Invoices__r"] is None
    assert beta["Invoices__r"]["records"][0]["Name"] == "I-1"


def test_a_reference_to_several_kinds_shows_the_kind_that_it_is(filled: Any) -> None:
    (task,) = filled.query("SELECT Subject, What.Name FROM Task")
    assert task["What"] == {
        "attributes": {"type": "Account", "url": task["What"]["attributes"]["url"]},
        "Name": "Alpha",
    }


def test_archived_and_deleted_records_are_seen_by_query_all_only(filled: Any) -> None:
    account = filled.query("SELECT Id FROM Account WHERE Name = 'Alpha'")[0]["Id"]
    filled.org.delete("Account", account, filled.org.main_user.id)
    assert len(filled.query("SELECT Id FROM Task")) == 1
    assert len(filled.query("SELECT Id FROM Task", deleted=True)) == 2
    assert len(filled.query("SELECT Id FROM Account")) == 4
    assert [row["Name"] for row in filled.query("SELECT Name FROM Account WHERE IsDeleted = true", deleted=True)] == [
        "Alpha"
    ]


def test_compound_addresses_are_built_from_their_parts(org: Any) -> None:
    org.insert("Account", Name="x", BillingCity="Paris", BillingCountry="France")
    org.insert("Account", Name="y")
    first, second = org.query("SELECT BillingAddress FROM Account")
    assert first["BillingAddress"]["city"] == "Paris"
    assert first["BillingAddress"]["street"] is None
    assert second["BillingAddress"] is None


def test_fields_all_gives_every_field(filled: Any) -> None:
    row = filled.query("SELECT FIELDS(ALL) FROM Account LIMIT 1")[0]
    assert set(row) == {"attributes", *filled.org.schema["Account"].fields}
    assert all(
        name.endswith("__c")
        for name in filled.query("SELECT FIELDS(CUSTOM) FROM Account LIMIT 1")[0]
        if name != "attributes"
    )


def test_today_is_the_users_today(filled: Any) -> None:
    # 23:30 UTC of the 12th is the 13th in Tokyo.
    soql = "SELECT Name FROM Account WHERE SystemModstamp = TODAY"
    assert [row["Name"] for row in filled.query(soql, timezone="Asia/Tokyo")] == ["Alpha", "beta"]


NO_COLUMN = (
    "No such column '{}' on entity '{}'. If you are attempting to use a custom field, be sure to append the '__c' after the "
    "custom field name. Please reference your WSDL or the describe call for the appropriate names."
)
ERRORS = [
    ("SELECT Id FROM Account WHERE Name = 'a' AND Type = 'b' OR Id = null", "MALFORMED_QUERY", 56, "unexpected token: 'OR'"),
    ("SELECT Id FROM Account WHERE Name = 'a' OR Type = 'b' AND Id = null", "MALFORMED_QUERY", 55, "unexpected token: 'AND'"),
    ("SELECT Id FORM Account", "MALFORMED_QUERY", 16, "unexpected token: 'Account'"),
    ("SELECT FROM Account", "MALFORMED_QUERY", 8, "unexpected token: 'FROM'"),
    ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", 29, "unexpected token: '<EOF>'"),
    ("SELECT Id FROM Account WHERE Name = \"a\"", "MALFORMED_QUERY", 37, "unexpected token: '\"'"),
    ("SELECT Id FROM Account WHERE Name = 'a", "MALFORMED_QUERY", 37, "unexpected token: '''"),
    ("SELECT Id FROM Account LIMIT x", "MALFORMED_QUERY", 30, "unexpected token: 'x'"),
    ("SELECT Id FROM Account ALL ROWS", "MALFORMED_QUERY", 24, "ALL ROWS not allowed in this context"),
    ("SELECT Foo FROM Account", "INVALID_FIELD", 8, NO_COLUMN.format("Foo", "Account")),
    ("SELECT Id FROM Account WHERE Bar__c = 1", "INVALID_FIELD", 30, NO_COLUMN.format("Bar__c", "Account")),
    ("SELECT Owner.Foo FROM Account", "INVALID_FIELD", 8, NO_COLUMN.format("Foo", "User")),
    ("SELECT Boss.Name FROM Account", "INVALID_FIELD", 8,
     "Didn't understand relationship 'Boss' in field path. If you are attempting to use a custom relationship, be sure to append "
     "the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."),
    ("SELECT Id FROM Foo", "INVALID_TYPE", 16,
     "sObject type 'Foo' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the "
     "entity name. Please reference your WSDL or the describe call for the appropriate names."),
    ("SELECT Id, (SELECT Id FROM Foos) FROM Account", "INVALID_TYPE", 28,
     "Didn't understand relationship 'Foos' in FROM part of query call. If you are attempting to use a custom relationship, be "
     "sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the "
     "appropriate names."),
    ("SELECT Id FROM Account WHERE AnnualRevenue > '1'", "INVALID_FIELD", 46,
     "value of filter criterion for field 'AnnualRevenue' must be of type double and should not be enclosed in quotes"),
    ("SELECT Id FROM Account WHERE Name = 1", "INVALID_FIELD", 37,
     "value of filter criterion for field 'Name' must be of type string and should be enclosed in quotes"),
    ("SELECT Id FROM Account WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD", 47,
     "value of filter criterion for field 'SystemModstamp' must be of type dateTime and should not be enclosed in quotes"),
    ("SELECT Id FROM Account WHERE SystemModstamp > 2026-01-01", "INVALID_FIELD", 47,
     "value of filter criterion for field 'SystemModstamp' must be of type dateTime and should not be enclosed in quotes"),
    ("SELECT Id FROM Account WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", 35, "invalid ID field: abc"),
    ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", 8, "The SOQL FIELDS function must have a LIMIT of at most 200"),
]  # fmt: skip


@pytest.mark.parametrize(("soql", "code", "column", "message"), ERRORS)
def test_an_error_is_drawn_with_its_caret_and_says_what_the_vendor_says(
    org: Any, soql: str, code: str, column: int, message: str
) -> None:
    with pytest.raises(ApiError) as caught:
        org.query(soql)
    assert (caught.value.status, caught.value.code) == (400, code)
    _, shown, caret, place, text = caught.value.message.split("\n", 4)
    assert place == f"ERROR at Row:1:Column:{column}"
    assert text == message
    # The caret stands under the very character.
    assert (soql + " ")[column - 1] == (shown + " ")[caret.index("^")]


PLAIN_ERRORS = [
    ("", "MALFORMED_QUERY", "SOQL statements cannot be empty or null"),
    ("SELECT Id FROM Legacy_Log__c WHERE SystemModstamp > 2026-01-01T00:00:00Z", "INVALID_FIELD",
     "field 'SystemModstamp' can not be filtered in a query call"),
    ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "field 'Description' can not be filtered in a query call"),
    ("SELECT Id FROM AccountChangeEvent", "INVALID_TYPE_FOR_OPERATION", "entity type AccountChangeEvent does not support query"),
    ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
    ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
    ("SELECT Id, id FROM Account", "MALFORMED_QUERY", "duplicate field selected: id"),
    ("SELECT Id FROM ContentDocumentLink", "MALFORMED_QUERY",
     "Implementation restriction: ContentDocumentLink requires a filter by a single Id on ContentDocumentId or LinkedEntityId "
     "using the equals operator or multiple Id's using the IN operator."),
    (f"SELECT Id FROM Account WHERE Name = '{'x' * 100_000}'", "QUERY_TOO_COMPLICATED",
     "SOQL statement is too long: 100038 of 100000"),
    ("SELECT Id FROM Account WHERE " + "NOT " * 5000 + "Id = null", "QUERY_TOO_COMPLICATED",
     "the filter conditions are too complicated"),
    ("SELECT Id FROM Account WHERE " + "(" * 5000 + "Id = null", "QUERY_TOO_COMPLICATED",
     "the filter conditions are too complicated"),
]  # fmt: skip


@pytest.mark.parametrize(("soql", "code", "message"), PLAIN_ERRORS, ids=range(len(PLAIN_ERRORS)))
def test_errors_without_a_place(org: Any, soql: str, code: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        org.query(soql)
    assert (caught.value.code, caught.value.message) == (code, message)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.sampled_from(list("SELCTFROMWHIdNameAcount =<>!()',.:*%-_\\ 019\n\t")), max_size=80))
def test_no_text_gets_anything_but_records_or_a_refusal(org: Any, text: str) -> None:
    refused = None
    try:
        org.query(text)
    except ApiError as error:
        refused = error
    assert refused is None or (refused.status == 400 and refused.code)


NAMES = st.lists(st.text("abAB%_'\\é \n", min_size=1, max_size=6), min_size=1, max_size=8)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES, st.data())
def test_a_quoted_value_finds_itself_by_equality_and_by_escaped_like(org: Any, names: list[str], data: Any) -> None:
    org.org.tables["Account"].clear()
    for name in names:
        org.insert("Account", Name=name)
    wanted = data.draw(st.sampled_from(names))
    quoted = wanted.replace("\\", "\\\\").replace("'", "\\'")
    expected = [name for name in names if name.casefold() == wanted.casefold()]
    found = [row["Name"] for row in org.query(f"SELECT Name FROM Account WHERE Name = '{quoted}'")]
    pattern = quoted.replace("%", "\\%").replace("_", "\\_")
    liked = [row["Name"] for row in org.query(f"SELECT Name FROM Account WHERE Name LIKE '{pattern}'")]
    assert found == liked == expected


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=12), st.integers(-5, 5))
def test_not_splits_the_records_in_two(org: Any, values: list[int | None], border: int) -> None:
    org.org.tables["Account"].clear()
    for value in values:
        org.insert("Account", Name="x", AnnualRevenue=None if value is None else float(value))
    for condition in (f"AnnualRevenue > {border}", f"AnnualRevenue = {border}", f"AnnualRevenue IN ({border}, null)"):
        inside = {row["Id"] for row in org.query(f"SELECT Id FROM Account WHERE {condition}")}
        outside = {row["Id"] for row in org.query(f"SELECT Id FROM Account WHERE NOT {condition}")}
        assert not inside & outside
        assert inside | outside == set(org.org.tables["Account"])
