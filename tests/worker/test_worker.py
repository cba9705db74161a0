"""The worker outlives everything that an execution can do, and answers every message."""

from __future__ import annotations

from pathlib import Path

import msgspec
from dative_atom.worker.protocol import (
    Binding,
    CancelExecution,
    CheckConnection,
    Checks,
    Finished,
    Limits,
    Progress,
    RunExecution,
    Shutdown,
)


def test_a_worker_runs_one_execution_after_another_and_leaves_when_told(site) -> None:
    worker = site.worker()
    for number in (1, 2):
        message = site.plan(number)
        worker.send(message)
        finished = worker.until(Finished)
        assert finished.execution_id == message.execution_id
        assert finished.failure is None
    assert any(isinstance(heard, Progress) for heard in worker.heard)
    worker.send(Shutdown())
    assert worker.process.wait(timeout=30) == 0


def test_a_worker_leaves_when_its_agent_has_gone(site) -> None:
    worker = site.worker()
    worker.connection.close()
    assert worker.process.wait(timeout=30) == 0


def test_bad_input_is_a_coded_failure_and_the_worker_goes_on(site, tmp_path: Path) -> None:
    worker = site.worker()
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    good = site.plan(1)
    cases = {
        "engine.process_unreadable": msgspec.structs.replace(site.plan(2), artifacts={"sync.json": str(broken)}),
        "engine.binding_missing": msgspec.structs.replace(site.plan(3), bindings=[]),
        "journal.unknown_execution": msgspec.structs.replace(good, execution_id="01JXNOBODY"),
        "database.table_unknown": msgspec.structs.replace(
            site.plan(4),
            bindings=[
                Binding(name, "database", {"url": f"sqlite:///{tmp_path / 'target.db'}"}, {}) for name in ("crm", "erp")
            ],
        ),
    }
    for code, message in cases.items():
        worker.send(message)
        finished = worker.until(Finished)
        assert (finished.state, finished.failure["code"]) == ("failed", code), finished.failure
        assert finished.failure["next"]
    worker.send(good)
    assert worker.until(Finished).state == "partial"


def test_a_memory_limit_ends_the_execution_and_not_the_worker(site) -> None:
    worker = site.worker()
    message: RunExecution = msgspec.structs.replace(site.plan(1), limits=Limits(memory_bytes=1 << 20, batch_rows=10))
    worker.send(message)
    finished = worker.until(Finished)
    assert finished.failure["code"] == "engine.out_of_memory", finished.failure
    worker.send(site.plan(2))
    assert worker.until(Finished).state == "partial"


def test_an_execution_that_is_not_running_is_cancelled_without_harm(site) -> None:
    worker = site.worker()
    worker.send(CancelExecution("01JXNOBODY"))
    worker.send(site.plan())
    assert worker.until(Finished).state == "partial"


def test_a_connection_is_checked_and_a_bad_one_is_an_answer(site, tmp_path: Path) -> None:
    worker = site.worker()
    good = Binding("erp", "database", {"url": f"sqlite:///{tmp_path / 'target.db'}"}, {})
    for binding, passed in ((good, True), (Binding("x", "no-such", {}, {}), False)):
        worker.send(CheckConnection("r1", binding))
        checks = worker.until(Checks)
        assert checks.request_id == "r1"
        assert all(check[1] for check in checks.checks) is passed, checks


def test_a_running_execution_is_cancelled_and_what_was_settled_stays(site) -> None:
    with site.database("source") as source:
        source.executemany(
            "INSERT INTO account VALUES (?, 'more', '01/31/2024', 1)", ((row,) for row in range(1000, 6000))
        )
    source.close()
    worker = site.worker()
    message = site.plan()
    worker.send(message)
    assert worker.until(Progress) is not None
    worker.send(CancelExecution(message.execution_id))
    finished = worker.until(Finished)
    assert (finished.state, finished.failure["code"]) == ("cancelled", "engine.cancelled")
    assert 0 < finished.counts["read"] < 5040
    target = site.database("target")
    assert target.execute("SELECT count(*) FROM customer").fetchone() == (finished.counts["written"],)
    target.close()
