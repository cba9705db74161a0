"""Fixtures of the sandbox's tests: an org without a server, a running sandbox, and a logged-in client."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from dative_sandbox import SalesforceSandbox
from dative_sandbox.salesforce.clock import VirtualClock
from dative_sandbox.salesforce.org import Org, User
from dative_sandbox.salesforce.soql.evaluate import Result, run

NOW = datetime(2026, 5, 13, 10, 20, 30, tzinfo=UTC)  # a Wednesday
BASE = "/services/data/v60.0"


def child_page(result: Result) -> dict[str, Any]:
    return {"totalSize": result.total, "done": True, "records": [result.render(row) for row in result.rows]}


@dataclass
class OrgHandle:
    """An org without HTTP, at a time that stands still."""

    org: Org

    def insert(self, name: str, **fields: Any) -> str:
        row = self.org.complete(name, fields, self.org.main_user.id)
        self.org.put(name, row)
        return str(row["Id"])

    def query(self, text: str, *, deleted: bool = False, timezone: str = "UTC") -> list[dict[str, Any]]:
        result = run(self.org, text, base=BASE, timezone=timezone, deleted=deleted, child_page=child_page)
        return [result.render(row) for row in result.rows]

    def total(self, text: str) -> int:
        return run(self.org, text, base=BASE, timezone="UTC", deleted=False, child_page=child_page).total


@pytest.fixture
def org() -> OrgHandle:
    made = Org(VirtualClock(NOW, frozen=True))
    made.add_user(User("", "ida@dative.example", "secret", "TOKEN", "ida@dative.example"))
    return OrgHandle(made)


@dataclass
class Client:
    """A logged-in HTTP client of a running sandbox. Redirects are not followed: a 300 is an answer here."""

    sandbox: SalesforceSandbox
    http: requests.Session

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        url = path if path.startswith("/services") else BASE + path
        return self.http.request(method, self.sandbox.url + url, timeout=20, allow_redirects=False, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self("GET", path, **options).json()

    def query(self, soql: str, **headers: str) -> Any:
        return self.get("/query", params={"q": soql}, headers=headers)


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[SalesforceSandbox]:
    with SalesforceSandbox(clock_start=NOW) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: SalesforceSandbox) -> SalesforceSandbox:
    """A running sandbox of this module, emptied, at NOW, with default limits and options."""
    shared_sandbox.clock.set(NOW)
    shared_sandbox.clock.freeze()
    shared_sandbox.reset(accounts=0, seed=1)
    options, limits = shared_sandbox.org.options, shared_sandbox.org.limits
    for name, value in type(options)().__dict__.items():
        setattr(options, name, value)
    limits.daily_requests_max, limits.concurrent_max, limits.long_request_s = 100_000, 25, 20.0
    user = shared_sandbox.user
    shared_sandbox.org.users[user.username] = user
    return shared_sandbox


@pytest.fixture
def client(sandbox: SalesforceSandbox) -> Iterator[Client]:
    with requests.Session() as http:
        session = sandbox.org.open_session(sandbox.user, None)
        http.headers["Authorization"] = f"Bearer {session.token}"
        yield Client(sandbox, http)


@pytest.fixture
def control(sandbox: SalesforceSandbox) -> Any:
    """control(method, path, body) on the control plane; returns the JSON answer."""

    def call(method: str, path: str, body: Any = None) -> Any:
        return requests.request(method, sandbox.control_url + path, json=body, timeout=20).json()

    return call
