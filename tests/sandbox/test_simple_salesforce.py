"""simple-salesforce, unmodified, as a referee: it logs in through the CONNECT proxy over TLS and reads and writes."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from dative_sandbox import SalesforceSandbox
from dative_sandbox.certificates import TestAuthority
from dative_sandbox.connect_proxy import ConnectProxy
from simple_salesforce import Salesforce, SalesforceMalformedRequest
from simple_salesforce.exceptions import SalesforceAuthenticationFailed


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def secured(authority: TestAuthority) -> Iterator[SalesforceSandbox]:
    instance = "https://dative-sandbox.my.salesforce.com"
    with SalesforceSandbox(accounts=5_000, tls=authority.issue(), instance_url=instance) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def proxy(secured: SalesforceSandbox) -> Iterator[ConnectProxy]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = ConnectProxy(("127.0.0.1", int(secured.url.rsplit(":", 1)[1])))
    asyncio.run_coroutine_threadsafe(made.start(), loop).result(10)
    yield made
    asyncio.run_coroutine_threadsafe(made.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def session(proxy: ConnectProxy, authority: TestAuthority) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.proxies = {"https": proxy.url}
        made.verify = str(authority.ca_file)
        made.trust_env = False
        yield made


def by_jwt(sandbox: Any, session: requests.Session) -> Salesforce:
    key = sandbox.private_key_pem.decode()
    return Salesforce(
        username=sandbox.user.username, consumer_key=sandbox.consumer_key, privatekey=key, session=session
    )


def by_password(sandbox: Any, session: requests.Session) -> Salesforce:
    user = sandbox.user
    return Salesforce(
        username=user.username, password=user.password, security_token=user.security_token, session=session
    )


@pytest.mark.parametrize("login", [by_jwt, by_password])
def test_it_logs_in_and_reads_every_page(
    secured: Any, session: requests.Session, proxy: ConnectProxy, login: Any
) -> None:
    client = login(secured, session)
    assert client.sf_instance == "dative-sandbox.my.salesforce.com"
    soql = "SELECT Id, Name, Owner.Username FROM Account WHERE Type = 'Customer'"
    first = client.query(soql)
    assert (first["totalSize"], len(first["records"]), first["done"]) == (5_000, 2_000, False)
    second = client.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    rows = client.query_all(soql)["records"]
    assert rows[2_000:4_000] == second["records"]
    assert len({row["Id"] for row in rows}) == 5_000
    assert client.api_usage["api-usage"].total == 100_000
    assert {"login.salesforce.com", "dative-sandbox.my.salesforce.com"} <= set(proxy.connects)


def test_it_writes_describes_and_meets_the_vendors_errors(secured: Any, session: requests.Session) -> None:
    client = by_jwt(secured, session)
    made = client.Account.create({"Name": "Made by simple-salesforce", "ERP_Id__c": "SS-1"})
    assert client.Account.get_by_custom_id("ERP_Id__c", "SS-1")["Id"] == made["id"]
    assert client.Account.update(made["id"], {"Name": "Changed"}) == 204
    assert client.Account.upsert("ERP_Id__c/SS-1", {"Name": "Again"}) == 200
    assert client.Account.delete(made["id"]) == 204
    assert client.Account.describe()["name"] == "Account"
    assert client.limits()["DailyApiRequests"]["Max"] == 100_000
    with pytest.raises(SalesforceMalformedRequest, match="MALFORMED_QUERY"):
        client.query("SELECT Id FROM Account WHERE")


def test_it_logs_in_again_when_its_session_dies(secured: Any, session: requests.Session) -> None:
    client = by_jwt(secured, session)
    secured.org.expire_tokens()
    assert client.query("SELECT COUNT() FROM Contact")["totalSize"] == 500


def test_its_wrong_password_and_wrong_key_are_refused(secured: Any, session: requests.Session) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_LOGIN"):
        Salesforce(username=secured.user.username, password="no", security_token="no", session=session)
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid_client_id"):
        Salesforce(
            username=secured.user.username,
            consumer_key="x",
            privatekey=secured.private_key_pem.decode(),
            session=session,
        )


def test_the_proxy_leads_nowhere_else(proxy: ConnectProxy, authority: TestAuthority, session: requests.Session) -> None:
    assert Path(authority.ca_file).exists()
    with pytest.raises(requests.exceptions.ProxyError):
        session.get("https://example.org/", timeout=10)
