"""Recorded traffic: scrubbed, readable, whole; replayed byte for byte with no network and no secret."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dative.errors.base import DativeError
from dative.process.load import load
from dative.process.model import Process
from dative_atom.connectors.wire import HttpAnswer, HttpRequest
from dative_atom.testing.cases import Verdict, drift_verdicts, run_path
from dative_atom.testing.main import main
from dative_atom.testing.recorded import drifted
from dative_atom.testing.recording import RecordedConnection, Recording, save, scrubber_of
from dative_atom.testing.recording import load as load_recording
from dative_atom.testing.scrub import Scrubber, stand_in
from dative_atom.testing.tape import BODY_BYTES_MAX, BYTES_MAX, Recorder, Replay, Tape
from dative_sandbox.server import SalesforceSandbox

PHONE = "+49 30 777123"
Play = Callable[[str], list[Verdict]]


@pytest.fixture
def org() -> Iterator[SalesforceSandbox]:
    with SalesforceSandbox(clock_start=datetime(2026, 3, 1, 12, tzinfo=UTC), clock_frozen=True) as sandbox:
        yield sandbox


@pytest.fixture
def process(folder: Path) -> Process:
    loaded = load((folder / "process.yaml").read_bytes(), filename="process.yaml")
    assert loaded.process is not None
    return loaded.process


@pytest.fixture
def crm(folder: Path, org: SalesforceSandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """A simulated org with two accounts, and what binds it."""
    path = folder / "process.yaml"
    path.write_text(
        path.read_text()
        .replace("[Id, Name, Since, Active, Phone]", "[Id, Name, Customer_Since__c, Phone, Industry]")
        .replace("Active", "Industry")
        .replace("date(Since,", "date(Customer_Since__c,")
    )
    for number in (1, 2):
        fields = {"Name": f"ada {number}", "Customer_Since__c": "01/31/2024", "Phone": PHONE, "Industry": "Retail"}
        org.org.put("Account", org.org.complete("Account", fields, org.user.id))
    monkeypatch.setenv("KEY", org.private_key_pem.decode())
    binding = folder / "crm.yaml"
    binding.write_text(
        json.dumps(
            {
                "settings": {"login_url": org.url, "client_id": org.consumer_key, "username": org.user.username},
                "secrets": {"private_key": "env:KEY"},
            }
        )
    )
    return f"--connection=crm={binding}"


@pytest.fixture
def recorded(folder: Path, crm: str, org: SalesforceSandbox) -> Path:
    """The folder of a recording whose system has gone."""
    assert main([str(folder / "process.yaml"), "--record", "accounts", crm]) == 0
    org.stop()
    return folder / "tests" / "recordings" / "accounts"


def test_a_recorded_run_is_replayed_with_no_network_and_no_secret(
    folder: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEY")
    (verdict,) = run_path(folder)
    assert verdict.message == ""
    assert len(verdict.steps["upsert"]) == 2
    # The expectation that was written with it compares every document and field.
    assert "ADA 1" in (folder / "tests" / "accounts.yaml").read_text()


def test_a_replay_gives_the_recorded_bytes(recorded: Path, process: Process) -> None:
    recording = load_recording(recorded)
    replay = Replay(recording.exchanges, scrubber_of(process)).wire("crm")
    for exchange in recording.exchanges:
        asked, answer = exchange["request"], exchange["answer"]
        request = HttpRequest(asked["method"], asked["url"], {}, asked["body"].encode())
        found = replay.http(request, lambda: pytest.fail("the network was asked"))
        assert (found.status, found.body) == (answer["status"], answer["body"].encode())


def test_no_secret_and_no_classified_value_stands_in_the_files(recorded: Path, org: SalesforceSandbox) -> None:
    text = "".join(path.read_text() for path in recorded.iterdir())
    key = org.private_key_pem.decode().splitlines()[1]
    for secret in (key, "777123", "Bearer 00D", *org.org.sessions):
        assert secret not in text, secret[:8]
    assert "+11 11 111111" in text
    assert "[secret]" in text
    assert "ada 1" in text


def test_a_recorded_answer_is_given_once(recorded: Path, process: Process) -> None:
    recording = load_recording(recorded)
    replay = Replay(recording.exchanges, scrubber_of(process)).wire("crm")
    asked = recording.exchanges[-1]["request"]
    request = HttpRequest(asked["method"], asked["url"], {}, asked["body"].encode())
    replay.http(request, lambda: pytest.fail("the network was asked"))
    with pytest.raises(DativeError, match="once more than it was recorded"):
        replay.http(request, lambda: pytest.fail("the network was asked"))


def test_a_request_that_was_not_recorded_names_the_nearest_one(folder: Path, recorded: Path) -> None:
    path = folder / "process.yaml"
    path.write_text(
        path.read_text()
        .replace("Phone, Industry]", "Phone, Industry]\n    , where: \"Name = 'x'\"")
        .replace("\n    ,", ",")
    )
    (verdict,) = run_path(folder)
    assert "testing.request_not_recorded" in verdict.message
    assert "the nearest recorded one is crm: GET http" in verdict.message
    assert "FROM+Account" in verdict.message or "FROM%20Account" in verdict.message


FAULTS = {
    "429 in the middle": "{connection: crm, kind: rate_limited, retry_after: 20s, call: 3}",
    "503 twice": "{connection: crm, kind: unavailable, call: 2, times: 2}",
    "no answer": "{connection: crm, kind: timeout, call: 3}",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_in_recorded_traffic_is_an_answer_of_the_system(folder: Path, recorded: Path, fault: str) -> None:
    test = folder / "tests" / "accounts.yaml"
    test.write_text(test.read_text().replace("    recording:", f"    faults: [{fault}]\n    recording:"))
    (verdict,) = run_path(folder)
    assert verdict.message == ""


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "an exchange cut short": (lambda folder: _cut(sorted(folder.glob("0002*"))[0]), "is not as it was recorded"),
    "an exchange that is gone": (lambda folder: sorted(folder.glob("0002*"))[0].unlink(), "lacks a file"),
    "an index cut short": (lambda folder: _cut(folder / "recording.json"), "does not read"),
    "an index of another form": (lambda folder: (folder / "recording.json").write_text("[]"), "does not read"),
    "an index that leads out": (
        lambda folder: (folder / "recording.json").write_text(
            (folder / "recording.json").read_text().replace('"file": "0001', '"file": "../0001')
        ),
        "names a file elsewhere",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_recording_is_no_answer(
    folder: Path, recorded: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(recorded)
    (verdict,) = run_path(folder)
    assert message in verdict.message
    assert "testing.recording_damaged" in verdict.message


def test_a_field_that_the_live_system_no_longer_has_fails_with_its_name(
    folder: Path, crm: str, org: SalesforceSandbox
) -> None:
    assert main([str(folder / "process.yaml"), "--record", "accounts", crm]) == 0
    bound = [crm.partition("=")[2]]
    assert [verdict.message for verdict in drift_verdicts(folder, bound)] == [""]
    org.org.remove_field("Account", "Customer_Since__c")
    (verdict,) = drift_verdicts(folder, bound)
    assert "Account has no field Customer_Since__c" in verdict.message
    assert "testing.contract_drift" in verdict.message


def test_a_type_that_changed_and_a_field_that_went_are_told_when_the_process_reads_them(process: Process) -> None:
    recorded = {"Id": "string", "Name": "string", "Since": "string", "Phone": "string"}
    now = {"Id": "int64", "Name": "string", "Since": "string", "More": "string"}
    assert list(drifted(process, recorded, now)) == [
        "field Id was string when it was recorded and is int64 now",
        "field Phone (string when it was recorded) is gone",
    ]


CANARY = 'c4n4ry/+ s=cr"et'
SPELLINGS = (
    CANARY, "c4n4ry%2F%2B%20s%3Dcr%22et", "c4n4ry%2F%2B+s%3Dcr%22et", "YzRuNHJ5Lysgcz1jciJldA", "c4n4ry/+ s=cr\\",
)  # fmt: skip
PLANTED = {
    "url": (f"https://x/a?key={CANARY}", "", {}),
    "quoted url": ("https://x/a?key=c4n4ry%2F%2B%20s%3Dcr%22et", "", {}),
    "form": ("https://x/a", "user=a&password=c4n4ry%2F%2B+s%3Dcr%22et", {}),
    "form, under any name": ("https://x/a", "user=a&note=c4n4ry%2F%2B+s%3Dcr%22et", {}),
    "json": ("https://x/a", json.dumps({"note": f"it is {CANARY}."}), {}),
    "base64": ("https://x/a", "YzRuNHJ5Lysgcz1jciJldA==", {}),
    "header": ("https://x/a", "", {"x-custom": CANARY, "location": f"https://y/{CANARY}"}),
    "xml": ("https://x/a", f"<n:password>other</n:password><a>{CANARY}</a>", {}),
}


@pytest.mark.parametrize(("url", "body", "headers"), PLANTED.values(), ids=PLANTED)
def test_a_planted_secret_is_in_no_file(
    tmp_path: Path, process: Process, url: str, body: str, headers: dict[str, str]
) -> None:
    tape = Tape()
    answer = HttpAnswer(200, headers, body.encode())
    Recorder(tape, "crm").http(HttpRequest("POST", url, headers, body.encode()), lambda: answer)
    scrubber = scrubber_of(process, [CANARY])
    made = Recording("sync", datetime(2026, 1, 1, tzinfo=UTC), {}, {}, tape.exchanges)
    folder = save(tmp_path / "r", made, scrubber)
    text = "".join(path.read_text() for path in folder.iterdir())
    for spelled in SPELLINGS:
        assert spelled not in text
    assert "[secret]" in text


def test_a_secret_that_would_stand_in_a_file_keeps_the_recording_from_being_written(
    tmp_path: Path, process: Process
) -> None:
    exchange = {"connection": "crm", "kind": "http", "request": {"method": "hunter22"}, "answer": {"status": 200}}
    made = Recording(
        "sync", datetime(2026, 1, 1, tzinfo=UTC), {"hunter22": RecordedConnection("x", {}, {})}, {}, [exchange]
    )
    with pytest.raises(DativeError) as refused:
        save(tmp_path / "r", made, scrubber_of(process, ["hunter22"]))
    assert refused.value.code.name == "testing.recording_leaks"
    assert not (tmp_path / "r").exists()
    assert "hunter22" not in str(refused.value)


def test_a_token_that_an_answer_hands_out_is_a_secret_wherever_it_stands() -> None:
    scrubber = Scrubber([], [])
    scrubber.learn('{"access_token": "00Dabcdef!AQ", "id": "x"}')
    assert scrubber.text("https://x/?sid=00Dabcdef!AQ and 00Dabcdef!AQ") == "https://x/?sid=[secret] and [secret]"
    assert scrubber.text('{"access_token": "later-one"}') == '{"access_token": "[secret]"}'


CLASSIFIED = {
    "json": ('{"Phone": "+49 30 777", "b": 1.10}', '{"Phone": "+11 11 111", "b": 1.10}'),
    "json number": ('{"phone": 4930}', '{"phone": 1111}'),
    "nested": (
        '{"Phone": {"home": "+49 30 777"}, "x": "+49 30 777"}',
        '{"Phone": {"home": "+11 11 111"}, "x": "+11 11 111"}',
    ),
    "form": ("a=1&Phone=%2B4930&b=2", "a=1&Phone=%1X1111&b=2"),
    "xml": ("<n:Phone>4930</n:Phone>", "<n:Phone>1111</n:Phone>"),
    "csv": ("Id,Phone\nA1,+49 30 777\n", "Id,Phone\nA1,+11 11 111\n"),
    "a pattern": ('{"home_phone": "+49"}', '{"home_phone": "+11"}'),
    "elsewhere": ('{"Phone": "+49 30 777"} q=%2B49+30+777', '{"Phone": "+11 11 111"} q=%2B11+11+111'),
}


@pytest.mark.parametrize(("text", "expected"), CLASSIFIED.values(), ids=CLASSIFIED)
def test_a_classified_value_keeps_its_form_only_and_scrubbing_twice_changes_nothing(text: str, expected: str) -> None:
    scrubber = Scrubber([], ["Contact.Phone", "*_phone"])
    scrubber.learn(text)
    assert scrubber.text(text) == expected
    assert scrubber.text(expected) == expected
    assert stand_in("Ada Lovelace 1815-12-10") == "Xxx Xxxxxxxx 1111-11-11"


def test_a_huge_body_is_not_recorded(process: Process) -> None:
    huge = HttpAnswer(200, {}, b"x" * (BODY_BYTES_MAX + 1))
    with pytest.raises(DativeError) as refused:
        Recorder(Tape(), "crm").http(HttpRequest("GET", "https://x/", {}), lambda: huge)
    assert refused.value.code.name == "testing.recording_too_large"
    tape, answer = Tape(), HttpAnswer(200, {}, b"x" * (BODY_BYTES_MAX - 1))
    ask = functools.partial(Recorder(tape, "crm").http, HttpRequest("GET", "https://x/", {}), lambda: answer)
    for _ in range(BYTES_MAX // BODY_BYTES_MAX - 1):
        ask()
    with pytest.raises(DativeError) as refused:
        ask()
    assert refused.value.code.name == "testing.recording_too_large"


DATABASE = """\
apiVersion: dative/v1
kind: Process
metadata: {name: copy}
spec:
  connections: {crm: database, erp: database}
  source: {id: read, database.query: {connection: crm, table: account, key: [id]}}
  classify: {phi: [born], pii: [name]}
  steps:
    - {id: shape, map: {fields: {id: id, name: name, amount: amount, born: born}}}
    - {id: mask-name, mask: {name: token}}
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [id]}, discloses: {born: the registry needs it}}
"""


def test_a_database_is_recorded_and_replayed_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "process.yaml").write_text(DATABASE)
    (tmp_path / "tests").mkdir()
    bound = []
    for name, table in (("crm", "account"), ("erp", "customer")):
        with sqlite3.connect(tmp_path / f"{name}.db") as database:
            database.execute(
                f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, name TEXT, amount DECIMAL(12,2), born DATE)"
            )
            if name == "crm":
                database.executemany("INSERT INTO account VALUES (?, ?, ?, ?)", [(1, "ada", "1.50", "1815-12-10")])
        database.close()
        (tmp_path / f"{name}.yaml").write_text(f"settings: {{url: 'sqlite:///{tmp_path / name}.db'}}")
        bound.append(f"--connection={name}={tmp_path / name}.yaml")
    assert main([str(tmp_path / "process.yaml"), "--record", "copied", *bound]) == 0
    for name in ("crm", "erp"):
        (tmp_path / f"{name}.db").unlink()
    text = "".join(path.read_text() for path in (tmp_path / "tests" / "recordings" / "copied").iterdir())
    assert "1815-12-10" not in text
    (verdict,) = run_path(tmp_path)
    assert verdict.message == ""
    (written,) = verdict.steps["upsert"]
    # The mask of a stand-in is another one than the recorded, and the replay knows that it may be.
    assert written.pop("name").startswith("tok_")
    assert written == {"id": 1, "amount": "1.50", "born": "1111-11-11"}
