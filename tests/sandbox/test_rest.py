"""REST over HTTP: the shapes of SALESFORCE §3.13, paging, records, upserts, describe, collections, updated and deleted."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

V = "/services/data/v60.0"


def make(client: Any, **fields: Any) -> str:
    answer = client("POST", "/sobjects/Account", json={"Name": "Acme", **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_the_version_list_needs_no_session_and_is_not_counted(client: Any) -> None:
    answer = client.http.get(client.sandbox.url + "/services/data", headers={"Authorization": ""}, timeout=20)
    assert answer.json()[0] == {"label": "v31", "url": "/services/data/v31.0", "version": "31.0"}
    assert "Sforce-Limit-Info" not in answer.headers
    assert client.sandbox.org.limits.used == 0


def test_a_query_page_has_the_vendors_shape(client: Any) -> None:
    client.sandbox.org.options.page_rows_max = 2
    ids = [make(client, Name=f"A{n}") for n in range(3)]
    first = client.query("SELECT Id FROM Account")
    assert list(first) == ["totalSize", "done", "nextRecordsUrl", "records"]
    assert (first["totalSize"], first["done"]) == (3, False)
    assert list(first["records"][0]) == ["attributes", "Id"]
    assert first["records"][0]["attributes"] == {"type": "Account", "url": f"{V}/sobjects/Account/{ids[0]}"}
    last = client.get(first["nextRecordsUrl"])
    assert (list(last), last["done"]) == (["totalSize", "done", "records"], True)
    # The locator works under both paths, may be read again, and a stray q does no harm.
    other = first["nextRecordsUrl"].replace("/query/", "/queryAll/") + "?q=x"
    assert client.get(other)["records"] == last["records"]
    assert client.query("SELECT COUNT() FROM Account") == {"totalSize": 3, "done": True, "records": []}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 40), st.integers(1, 12))
def test_pages_put_together_are_the_whole(client: Any, count: int, page_rows: int) -> None:
    client.sandbox.reset(accounts=count)
    token = client.sandbox.org.open_session(client.sandbox.user, None).token
    client.http.headers["Authorization"] = f"Bearer {token}"
    client.sandbox.org.options.page_rows_max = 2000
    soql = "SELECT Id, Name FROM Account ORDER BY SystemModstamp, Id"
    whole = client.query(soql)["records"]
    client.sandbox.org.options.page_rows_max = page_rows
    page = client.query(soql)
    rows = page["records"]
    while not page["done"]:
        page = client.get(page["nextRecordsUrl"])
        assert len(page["records"]) <= page_rows
        rows += page["records"]
    assert rows == whole


def test_a_page_shows_what_the_query_saw_though_records_changed_since(client: Any) -> None:
    client.sandbox.org.options.page_rows_max = 1
    make(client, Name="one")
    second = make(client, Name="two")
    first = client.query("SELECT Name FROM Account ORDER BY Name")
    client("PATCH", f"/sobjects/Account/{second}", json={"Name": "changed"})
    assert client.get(first["nextRecordsUrl"])["records"][0]["Name"] == "two"


@pytest.mark.parametrize(("asked", "rows"), [("200", 200), ("1", 200), ("5000", 450), ("300", 300)])
def test_the_batch_size_is_held_between_200_and_2000(client: Any, asked: str, rows: int) -> None:
    org = client.sandbox.org
    for n in range(450):
        org.put("Account", org.complete("Account", {"Name": str(n)}, org.main_user.id))
    page = client.query("SELECT Id FROM Account", **{"Sforce-Query-Options": f"batchSize={asked}"})
    assert len(page["records"]) == rows


def test_an_idle_locator_expires_by_the_orgs_clock(client: Any) -> None:
    client.sandbox.org.options.page_rows_max = 1
    make(client), make(client)
    url = client.query("SELECT Id FROM Account")["nextRecordsUrl"]
    client.sandbox.clock.advance(901)
    answer = client("GET", url)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_a_record_is_made_read_changed_and_deleted(client: Any) -> None:
    answer = client(
        "POST", "/sobjects/account/", json={"Name": "Acme", "AnnualRevenue": 5, "Last_Audit__c": "2026-01-31"}
    )
    assert answer.status_code == 201
    record_id = answer.json()["id"]
    assert answer.json() == {"id": record_id, "success": True, "errors": []}
    assert answer.headers["Location"] == f"{V}/sobjects/Account/{record_id}"
    row = client.get(f"/sobjects/Account/{record_id}")
    assert row["attributes"] == {"type": "Account", "url": f"{V}/sobjects/Account/{record_id}"}
    assert (row["AnnualRevenue"], row["Last_Audit__c"]) == (5.0, "2026-01-31")
    assert row["SystemModstamp"] == "2026-05-13T10:20:30.000+0000"
    client.sandbox.clock.advance(60)
    changed = client("PATCH", f"/sobjects/Account/{record_id[:15]}", json={"Name": "New", "Phone": None})
    assert (changed.status_code, changed.content) == (204, b"")
    assert client.get(f"/sobjects/Account/{record_id}?fields=Name,SystemModstamp") == {
        "attributes": row["attributes"],
        "Name": "New",
        "SystemModstamp": "2026-05-13T10:21:30.000+0000",
    }
    assert client("DELETE", f"/sobjects/Account/{record_id}").status_code == 204
    gone = client("GET", f"/sobjects/Account/{record_id}")
    assert (gone.status_code, gone.json()) == (
        404, [{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}]
    )  # fmt: skip


REFUSED: list[tuple[dict[str, Any], str, str, list[str] | None]] = [
    ({}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", ["Name"]),
    ({"Name": "a", "Foo": 1}, "INVALID_FIELD", "No such column 'Foo' on sobject of type Account", None),
    ({"Name": "a" * 256}, "STRING_TOO_LONG", f"Name: data value too large: {'a' * 100} (max length=255)", ["Name"]),
    ({"Name": "a", "Tier__c": "Iron"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
     "Tier__c: bad value for restricted picklist field: Iron", ["Tier__c"]),
    ({"Name": "a", "AnnualRevenue": "x"}, "JSON_PARSER_ERROR", "Cannot deserialize instance of currency from VALUE_STRING value x",
     ["AnnualRevenue"]),
    ({"Name": "a", "ParentId": "0015f0000000zzz"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", []),
    ({"Name": "a", "ParentId": "nonsense"}, "MALFORMED_ID", "ParentId: id value of incorrect type: nonsense", ["ParentId"]),
    ({"Name": "a", "Is_Large__c": True}, "INVALID_FIELD_FOR_INSERT_UPDATE",
     "Unable to create/update fields: Is_Large__c. Please check the security settings of this field and verify that it is "
     "read/write for your profile or permission set.", ["Is_Large__c"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code", "message", "fields"), REFUSED)
def test_a_bad_record_is_refused_in_the_vendors_words(
    client: Any, body: dict[str, Any], code: str, message: str, fields: list[str] | None
) -> None:
    answer = client("POST", "/sobjects/Account", json=body)
    expected = {"message": message, "errorCode": code} | ({} if fields is None else {"fields": fields})
    assert (answer.status_code, answer.json()) == (400, [expected])
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == 0


PATHS = [
    ("GET", "/sobjects/Nope/describe", 404, "NOT_FOUND"),
    ("GET", "/sobjects/Account/0035f0000000001", 400, "MALFORMED_ID"),
    ("GET", "/sobjects/Account/0015f0000000001", 404, "NOT_FOUND"),
    ("GET", "/nothing", 404, "NOT_FOUND"),
    ("PUT", "/limits", 405, "METHOD_NOT_ALLOWED"),
    ("POST", "/sobjects/Account", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("GET", "/query", 400, "MALFORMED_QUERY"),
    ("GET", "/query/01g5f0000000001-2000", 400, "INVALID_QUERY_LOCATOR"),
    ("GET", "/services/data/v30.0/limits", 410, "UNSUPPORTED_API_VERSION"),
    ("GET", "/services/data/v99.0/limits", 404, "NOT_FOUND"),
    ("GET", "/query?q=" + "x" * 16_400, 414, "URI_TOO_LONG"),
    ("POST", "/sobjects/TaskStatus", 415, "UNSUPPORTED_MEDIA_TYPE"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), PATHS, ids=range(len(PATHS)))
def test_a_request_that_leads_nowhere(client: Any, method: str, path: str, status: int, code: str) -> None:
    answer = client(method, path)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)
    assert answer.headers["Sforce-Limit-Info"].startswith("api-usage=")


def test_large_headers_are_431(client: Any) -> None:
    assert client("GET", "/limits", headers={"X-Big": "x" * 16_400}).status_code == 431


def test_upsert_creates_updates_and_names_several(client: Any) -> None:
    path = "/sobjects/Account/ERP_Id__c/a%20b%2Fc"
    created = client("PATCH", path, json={"Name": "One"})
    record_id = created.json()["id"]
    assert (created.status_code, created.json()) == (
        201, {"id": record_id, "success": True, "errors": [], "created": True}
    )  # fmt: skip
    updated = client("PATCH", path, json={"Name": "Two"})
    assert (updated.status_code, updated.json()["created"], updated.json()["id"]) == (200, False, record_id)
    assert client.get(path)["ERP_Id__c"] == "a b/c"
    old = client("PATCH", "/services/data/v45.0/sobjects/Account/ERP_Id__c/a%20b%2Fc", json={"Name": "Two"})
    assert (old.status_code, old.content) == (204, b"")
    refused = client("PATCH", path, json={"Name": "Two", "erp_id__c": "z"})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_FIELD")
    absent = client("PATCH", "/sobjects/Account/ERP_Id__c/none?updateOnly=true", json={"Name": "Two"})
    assert absent.status_code == 404
    unknown = client("PATCH", "/sobjects/Account/Phone/1", json={"Name": "x"}).json()[0]
    assert unknown["message"] == "Provided external ID field does not exist or is not accessible: Phone"
    ids = [make(client, Region_Code__c="R1") for _ in range(2)]
    several = client("PATCH", "/sobjects/Account/Region_Code__c/R1", json={"Name": "x"})
    assert (several.status_code, several.json()) == (300, [f"{V}/sobjects/Account/{one}" for one in ids])


def test_a_parent_may_be_named_by_its_external_id(client: Any) -> None:
    account = make(client, ERP_Id__c="E1")
    body = {"Name": "I-1", "Account__r": {"ERP_Id__c": "E1"}}
    invoice = client("POST", "/sobjects/Invoice__c", json=body).json()["id"]
    assert client.get(f"/sobjects/Invoice__c/{invoice}")["Account__c"] == account


def test_a_unique_value_is_taken_once(client: Any) -> None:
    first = make(client, ERP_Id__c="E1")
    error = client("POST", "/sobjects/Account", json={"Name": "b", "ERP_Id__c": "e1"}).json()[0]
    assert error["errorCode"] == "DUPLICATE_VALUE"
    assert error["message"] == f"duplicate value found: ERP_Id__c duplicates value on record with id: {first[:15]}"


def test_describe_answers_304_until_the_schema_changes(client: Any, control: Any) -> None:
    answer = client("GET", "/sobjects/Account/describe")
    fields = {field["name"]: field for field in answer.json()["fields"]}
    assert fields["AnnualRevenue"]["type"] == "currency"
    assert fields["BillingAddress"]["filterable"] is False
    assert (fields["ERP_Id__c"]["externalId"], fields["Is_Large__c"]["calculated"]) == (True, True)
    since = {"If-Modified-Since": answer.headers["Last-Modified"]}
    unchanged = client("GET", "/sobjects/Account/describe", headers=since)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    client.sandbox.clock.advance(10)
    control("POST", "/schema", {"object": "Account", "add": "Fresh__c"})
    fresh = client("GET", "/sobjects/Account/describe", headers=since)
    assert "Fresh__c" in {field["name"] for field in fresh.json()["fields"]}
    control("POST", "/schema", {"object": "Account", "hide": "Fresh__c"})
    assert client.query("SELECT Fresh__c FROM Account")[0]["errorCode"] == "INVALID_FIELD"
    names = {kind["name"]: kind["queryable"] for kind in client.get("/sobjects")["sobjects"]}
    assert (names["Account"], names["AccountChangeEvent"]) == (True, False)


def test_updated_and_deleted_list_what_changed_in_the_window(client: Any) -> None:
    kept, gone = make(client), make(client)
    client("DELETE", f"/sobjects/Account/{gone}")
    window = {"start": "2026-05-13T10:00:59Z", "end": "2026-05-13T10:30:59+00:00"}
    assert client.get("/sobjects/Account/updated", params=window) == {
        "ids": [kept],
        "latestDateCovered": "2026-05-13T10:30:00.000+0000",
    }
    deleted = client.get("/sobjects/Account/deleted/", params=window)
    assert deleted["deletedRecords"] == [{"id": gone, "deletedDate": "2026-05-13T10:20:30.000+0000"}]
    early = client.get(
        "/sobjects/Account/deleted", params={"start": "2026-01-01T00:00:00Z", "end": "2026-05-13T00:00:00Z"}
    )
    assert early[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def test_a_collection_answers_row_by_row_in_its_own_order(client: Any) -> None:
    attributes = {"type": "Account"}
    body = {"records": [{"attributes": attributes, "Name": "a"}, {"attributes": attributes}]}
    good, bad = client("POST", "/composite/sobjects", json=body).json()
    assert good == {"id": good["id"], "success": True, "errors": []}
    message = "Required fields are missing: [Name]"
    errors = [{"statusCode": "REQUIRED_FIELD_MISSING", "message": message, "fields": ["Name"]}]
    assert bad == {"success": False, "errors": errors}
    undone, cause = client("POST", "/composite/sobjects", json={**body, "allOrNone": True}).json()
    assert undone["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert cause["errors"] == errors
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == 1
    upserted = client("PATCH", "/composite/sobjects/Account/ERP_Id__c", json={
        "records": [{"attributes": attributes, "ERP_Id__c": "1", "Name": "x"}, {"attributes": attributes, "Name": "y"}]
    }).json()  # fmt: skip
    assert [row.get("created") for row in upserted] == [True, None]
    assert upserted[1]["errors"][0]["statusCode"] == "MISSING_ARGUMENT"
    read = client(
        "POST", "/composite/sobjects/Account", json={"ids": [good["id"], "0015f0000000zzz"], "fields": ["Name"]}
    )
    assert [row and row["Name"] for row in read.json()] == ["a", None]
    assert client("DELETE", f"/composite/sobjects?ids={good['id']}").json()[0]["success"] is True
    many = client("POST", "/composite/sobjects", json={"records": [{"attributes": attributes}] * 201})
    assert many.status_code == 400


def test_post_with_a_method_in_the_query_is_that_method(client: Any) -> None:
    record_id = make(client)
    assert client("POST", f"/sobjects/Account/{record_id}?_HttpMethod=PATCH", json={"Name": "z"}).status_code == 204
    assert client.get(f"/sobjects/Account/{record_id}")["Name"] == "z"


def test_the_date_header_is_the_orgs_clock(client: Any) -> None:
    assert client("GET", "/limits").headers["Date"] == "Wed, 13 May 2026 10:20:30 GMT"
    client.sandbox.clock.advance(3600)
    assert client("GET", "/limits").headers["Date"] == "Wed, 13 May 2026 11:20:30 GMT"
