"""The demonstration's seed, exactly; a page of 10,000; and the sandbox as a process of its own."""

import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
import requests
from dative.errors.sandbox import SandboxNotStarted
from dative_sandbox import SalesforceSandbox
from dative_sandbox.salesforce.seed import seed_org


@pytest.fixture(scope="module")
def ten_thousand() -> Any:
    return SalesforceSandbox(accounts=10_000)


def test_the_seed_holds_what_the_demonstration_counts_on(ten_thousand: Any) -> None:
    rows = list(ten_thousand.org.rows("Account"))
    customers = [row for row in rows if row["Type"] == "Customer"]
    expected = ten_thousand.expected
    assert (len(customers), len(rows)) == (10_000, 10_300) == (expected.customers, expected.accounts)
    healthcare = sum(row["Industry"] == "Healthcare" for row in customers)
    assert healthcare == expected.healthcare_customers
    assert 1_100 <= healthcare <= 1_300
    assert {row["Id"] for row in rows if not readable_date(row["Customer_Since__c"])} == set(
        expected.unreadable_date_ids
    )
    assert {row["Id"] for row in rows if not readable_number(row["Credit_Limit__c"])} == set(
        expected.unreadable_number_ids
    )
    assert {row["Id"] for row in rows if row["CurrencyIsoCode"] == "XTS"} == set(expected.unknown_currency_ids)
    assert [
        len(expected.unreadable_date_ids),
        len(expected.unreadable_number_ids),
        len(expected.unknown_currency_ids),
    ] == [6, 4, 5]
    assert len(expected.bad_ids) == 15
    assert expected.bad_ids <= {row["Id"] for row in customers}
    stamps = [row["SystemModstamp"] for row in rows]
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    assert max(stamps) < now
    assert len(set(stamps)) < len(stamps) / 3
    assert all(row["CreatedDate"] <= row["SystemModstamp"] for row in rows)


def readable_date(text: str | None) -> bool:
    try:
        return text is None or bool(datetime.strptime(text, "%m/%d/%Y").replace(tzinfo=UTC))
    except ValueError:
        return False


def readable_number(text: str | None) -> bool:
    try:
        return text is None or Decimal(text).is_finite()
    except InvalidOperation:
        return False


def test_the_same_seed_gives_the_same_records_and_another_gives_others() -> None:
    def names(seed: int) -> list[tuple[str, str]]:
        sandbox = SalesforceSandbox()
        seed_org(sandbox.org, 200, seed)
        return [(row["Id"], row["Name"]) for row in sandbox.org.rows("Account")]

    assert names(3) == names(3)
    assert names(3) != names(4)


def test_a_small_org_has_no_bad_records() -> None:
    assert SalesforceSandbox(accounts=14).expected.bad_ids == frozenset()


def test_a_taken_port_is_a_coded_error() -> None:
    with SalesforceSandbox() as running:
        port = int(running.url.rsplit(":", 1)[1])
        with pytest.raises(SandboxNotStarted):
            SalesforceSandbox(port=port).start()


async def test_it_starts_and_stops_in_an_async_program() -> None:
    async with SalesforceSandbox() as sandbox:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", sandbox.url)


def test_as_a_process_it_says_when_it_is_ready_and_stops_on_sigterm(tmp_path: Path) -> None:
    ready, key = tmp_path / "ready.json", tmp_path / "app.key"
    command = [sys.executable, "-m", "dative_sandbox", "salesforce", "--accounts", "20"]
    command += ["--ready-file", str(ready), "--private-key-out", str(key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        assert json.loads(ready.read_text()) == facts
        assert key.stat().st_mode & 0o777 == 0o600
        assert facts["expected"]["customers"] == 20
        assert requests.get(facts["control_url"] + "/counts", timeout=20).json()["records"]["Account"] == 20
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    "arguments", [["--certificate", "/nowhere.pem"], ["--tls-cert", "/nowhere.pem"], ["--clock", "soon"]]
)
def test_a_bad_option_is_a_coded_error_with_a_next_step(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "dative_sandbox", "salesforce", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 6
    assert "sandbox.not_started" in done.stderr
    assert "next:" in done.stderr
