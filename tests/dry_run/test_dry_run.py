"""A dry run writes nothing, and what it says will change is what the real run that follows changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from dative.clock import ManualClock
from dative.errors import DativeError, StopRun
from dative_atom.connectors.base import ConnectionConfig, Foresight
from dative_atom.connectors.calls import Unlogged
from dative_atom.connectors.connection import Guard, GuardedConnector, open_connection
from dative_atom.connectors.database.connector import DatabaseConnector
from dative_atom.connectors.database.postgres import PostgresSession
from dative_atom.connectors.database.spec import DatabaseSettings
from dative_atom.connectors.database.sqlite import SqliteSession
from dative_atom.connectors.registry import connector_spec
from dative_atom.engine import context
from dative_atom.engine.dry.dry_journal import READS, DryJournal
from dative_atom.engine.dry.dry_run import CAN_NOT_LOOK, dry_run
from dative_atom.engine.dry.dry_run import DryRun as Outcome
from dative_atom.engine.pipeline import Control
from dative_atom.engine.run import Surroundings
from dative_atom.journal.contract import Execution, ExecutionState, Journal
from dative_atom.testing.dry import main
from dative_atom.worker.dry_runs import dry_ran
from dative_atom.worker.protocol import Binding, DryRun

THERE = (
    "INSERT INTO customer (id, name, amount, phone) "
    "VALUES (1, 'ada', 1.50, '030 1'), (2, 'bob', NULL, NULL), (3, 'eve', 3, 'x')"
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
GIVEN: list[tuple[Any, ...]] = [
    (1, "ada", "1.500", "030 1"),  # as it is
    (2, "bob", None, "030 2"),  # a value where there was none
    (3, "EVE", "3.250", "x"),  # two fields
    (4, "new", "4.000", "030 4"),  # new
    (5, "odd", "5.005", None),  # more places than the column keeps
    (6, None, "6.000", None),  # no name
    (None, "who", "7.000", None),  # no key
]
CHANGED = {2, 3, 4}


def _set(dry: Outcome, outcome: Foresight) -> list[Any]:
    return [one for one in dry.documents if one.outcome == outcome]


def test_nothing_is_written_and_the_real_run_changes_what_was_foreseen(site: Any) -> None:
    site.run(THERE)
    site.run("DELETE FROM effect")
    site.source(GIVEN)
    before = site.customers()
    dry = site.dry()

    assert dry.execution.state is ExecutionState.PARTIAL, dry.execution.failure
    assert site.run("SELECT count(*) FROM effect") == [(0,)]
    assert site.customers() == before
    with pytest.raises(Exception, match="dative_position"):
        site.run("SELECT * FROM dative_position")
    with closing(site.journal()) as journal:
        assert (journal.position("env/sync"), journal.unfinished(), journal.outbox(0)) == (None, [], [])
        assert (journal.dead_letters(state=None), journal.xref_rows("link")) == ([], 0)

    counts = dry.steps["write"].counts
    assert counts == {"change": 3, "no_change": 1, "rejected": 3}
    diffs = [(one.changed, one.before, one.after) for one in _set(dry, Foresight.CHANGE)]
    assert Decimal(diffs[1][2].pop("amount")) == Decimal("3.25")
    assert Decimal(diffs[1][1].pop("amount")) == 3
    assert diffs == [
        (["phone"], {"phone": None}, {"phone": "•••"}),
        (["amount", "name"], {"name": "eve"}, {"name": "EVE"}),
        ((), None, {"id": 4, "name": "new", "amount": "4.000", "phone": "•••"}),
    ]
    rejected = sorted(one.code for one in _set(dry, Foresight.REJECTED))

    real = site.real()
    after = site.customers()
    assert {id_ for id_, row in after.items() if before.get(id_) != row} == CHANGED
    assert (real.counts.written, real.counts.dead_lettered) == (4, 3)
    assert (dry.execution.counts.written, dry.execution.counts.dead_lettered) == (4, 3)
    with closing(site.journal()) as journal:
        parked = sorted(one.parked.code for one in journal.dead_letters(state=None))
    assert parked == rejected


def test_a_second_dry_run_after_the_real_one_foresees_no_change(site: Any) -> None:
    site.target = "database.upsert: {connection: erp, table: customer, key: [id]}"
    site.source([row for row in GIVEN if row[0] in CHANGED])
    site.real()
    with closing(site.journal()) as journal:
        stood = journal.position("env/sync")
    # Incremental: from where the real run ended nothing is left to read, and a dry run moves nothing.
    assert site.dry().execution.counts.read == 0
    with closing(site.journal()) as journal:
        assert journal.position("env/sync") == stood
    (site.folder / "journal.db").rename(site.folder / "old.db")
    dry = site.dry()
    assert dry.steps["write"].counts == {"no_change": 3}


def test_a_key_that_comes_again_can_not_be_known_across_batches_too(site: Any) -> None:
    site.run(THERE)
    site.source(
        [(1, "a", None, None), (2, "b", None, None), (1, "c", None, None), (9, "d", None, None), (9, "e", None, None)]
    )
    site.batch_rows = 2
    dry = site.dry()
    assert dry.steps["write"].counts == {"change": 3, "cannot_know": 2}
    assert dry.steps["write"].reasons == {"an earlier document of this run has the same key": 2}


def test_what_runs_before_a_row_is_written_makes_it_unknowable(site: Any, request: pytest.FixtureRequest) -> None:
    if "sqlite" in request.node.name:
        site.run("CREATE TRIGGER early BEFORE UPDATE ON customer BEGIN SELECT RAISE(IGNORE); END")
    else:
        site.run("CREATE FUNCTION early() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
        site.run("CREATE TRIGGER early BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION early()")
    site.run(THERE)
    site.source(GIVEN[:4])
    dry = site.dry()
    assert dry.steps["write"].counts == {"cannot_know": 4}
    assert list(dry.steps["write"].reasons) == ["early of the table may change or drop the row"]


def test_what_the_database_adds_by_itself_is_said(site: Any) -> None:
    site.source(GIVEN[:1])
    notes = list(site.dry().steps["write"].notes)
    assert any("runs after each write; what it changes is not shown" in note for note in notes)
    assert "the database fills seen of a new row" in notes


def test_an_insert_of_a_key_that_is_there_is_foreseen_as_rejected(site: Any) -> None:
    site.run(THERE)
    site.target = "database.insert: {connection: erp, table: customer}"
    site.source([(1, "a", None, None), (7, "b", None, None), (7, "c", None, None)])
    dry = site.dry()
    assert dry.steps["write"].counts == {"change": 1, "rejected": 2}
    assert {one.code for one in _set(dry, Foresight.REJECTED)} == {"database.duplicate"}
    real = site.real()
    assert (real.counts.written, real.counts.dead_lettered) == (1, 2)


@pytest.mark.parametrize("outcome_max", [0, 1])
def test_what_is_shown_is_bounded_and_everything_is_counted(sqlite: Any, outcome_max: int) -> None:
    sqlite.source([(number, "a", None, None) for number in range(50)])
    dry = sqlite.dry(shown_max=outcome_max)
    assert dry.steps["write"].counts == {"change": 50}
    assert len(dry.documents) == outcome_max


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_files_every_document_is_new_and_no_file_appears(sqlite: Any, kind: str) -> None:
    out = sqlite.folder / "out"
    out.mkdir()
    sqlite.connector, sqlite.bound = "disk", {"erp": Binding("erp", "disk", {"root": str(out)}, {})}
    sqlite.target = f"disk.write: {{connection: erp, path: '{{execution}}-{{batch}}', format: {kind}}}"
    sqlite.source(GIVEN[:4])
    dry = sqlite.dry()
    assert list(out.iterdir()) == []
    assert dry.steps["write"].counts == {"change": 4}
    assert sqlite.real().counts.written == 4
    (written,) = [path for path in out.iterdir() if path.is_file()]
    lines = written.read_text().splitlines()
    assert len(lines) - (kind == "csv") == 4
    if kind == "jsonl":
        foreseen = [one.after["id"] for one in _set(dry, Foresight.CHANGE)]
        assert [json.loads(line)["id"] for line in lines] == foreseen


class Blind:
    """A connector without a previewer, and with a writer that fails the test."""

    def __init__(self, inner: Any) -> None:
        self.reader, self.close = inner.reader, inner.close

    def writer(self, *_: Any) -> Any:
        pytest.fail("a writer was opened")


def test_a_connector_that_can_not_look_makes_it_unknowable(sqlite: Any) -> None:
    def connect(config: ConnectionConfig) -> Any:
        return GuardedConnector(Blind(DatabaseConnector(config)), Guard(config), connector_spec(config.connector))

    sqlite.source(GIVEN[:2])
    message = sqlite.message()
    with closing(sqlite.journal()) as journal:
        dry = dry_run(message, journal, Surroundings(ManualClock(NOW), connect))
    assert dry.execution.failure is None
    assert dry.steps["write"].reasons == {CAN_NOT_LOOK: 2}


def test_a_target_that_is_not_there_is_the_failure_of_the_run(sqlite: Any) -> None:
    sqlite.target = "database.upsert: {connection: erp, table: custommer, key: [id]}"
    sqlite.source(GIVEN)
    dry = sqlite.dry()
    assert dry.execution.failure is not None
    assert dry.execution.failure["code"] == "database.table_unknown"


def test_the_session_that_looks_can_not_write(site: Any) -> None:
    settings, is_sqlite = DatabaseSettings(url=site.address), site.address.startswith("sqlite")
    session = (
        SqliteSession(settings, Unlogged(), read_only=True) if is_sqlite else PostgresSession(settings, "", Unlogged())
    )
    try:
        session.begin_looking()
        with pytest.raises(DativeError) as refused:
            session.run("INSERT INTO customer (id, name) VALUES (1, 'x')", "INSERT customer")
    finally:
        session.close()
    assert refused.value.code.name == ("database.denied" if is_sqlite else "database.read_only")


REFUSED: list[Callable[[Any], Any]] = [
    lambda journal: journal.plan(None),
    lambda journal: journal.keep_tokens([], 1, b""),
    lambda journal: journal.retry([], None),
    lambda journal: journal.acknowledge(1),
    lambda journal: journal.something_of_tomorrow(),
]


@pytest.mark.parametrize("call", REFUSED)
def test_a_journal_of_a_dry_run_refuses_what_it_does_not_know_to_read(tmp_path: Path, sqlite: Any, call: Any) -> None:
    with closing(sqlite.journal()) as journal:
        execution = Execution("01", "sync", 1, "env/sync", "manual", datetime(2026, 1, 1, tzinfo=UTC), "")
        with pytest.raises(StopRun, match="a dry run was asked for journal"):
            call(DryJournal(journal, execution))


def test_a_dry_run_answers_everything_that_the_engine_asks_a_journal() -> None:
    """What is new to the engine is refused until somebody says in READS that it only reads, or replaces it."""
    methods = {name for one in Journal.__mro__ for name in vars(one) if not name.startswith("_")}
    asked = {
        found[1]
        for path in Path(context.__file__).parent.glob("**/*.py")
        if path.name not in ("dry_journal.py", "rehearsal.py", "receipt_export.py")
        for found in re.finditer(r"\bjournal\.([a-z_]+)\(", path.read_text())
    }
    answered = READS | set(vars(DryJournal))
    assert asked & methods <= answered, asked & methods - answered


def test_a_dry_run_of_a_part_says_that_it_was_cut_and_its_json_holds_no_parked_document(sqlite: Any) -> None:
    sqlite.source([(number, "a", None, "secret-phone") for number in range(9)] + [(None, "b", None, "secret-phone")])
    sqlite.batch_rows = 4
    dry = sqlite.dry(documents_max=6)
    assert (dry.cut, dry.execution.counts.read) == (True, 6)
    whole = sqlite.dry()
    assert (whole.cut, whole.execution.counts.dead_lettered) == (False, 1)
    text = json.dumps(whole.as_json())
    assert "secret-phone" not in text
    assert json.loads(text)["targets"]["write"]["counts"] == {"change": 9, "rejected": 1}


def test_a_worker_answers_a_dry_run_and_its_journal_stays_as_it_is(sqlite: Any) -> None:
    sqlite.source(GIVEN)
    asked = DryRun("R1", sqlite.message(), shown_max=5, documents_max=100)
    answer = dry_ran(asked, open_connection, ManualClock(NOW), Control())
    assert answer.failure is None
    assert json.loads(answer.outcome)["targets"]["write"]["counts"] == {"change": 4, "rejected": 3}
    with closing(sqlite.journal()) as journal:
        assert (journal.unfinished(), journal.position("env/sync")) == ([], None)
    broken = msgspec.structs.replace(asked, execution=msgspec.structs.replace(asked.execution, artifacts={}))
    assert dry_ran(broken, open_connection, ManualClock(NOW), Control()).failure is not None


def test_a_dry_run_on_this_machine_needs_no_controller(sqlite: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sqlite.run(THERE)
    sqlite.source(GIVEN[:4])
    process = sqlite.folder / "sync.yaml"
    process.write_text(sqlite.text())
    (sqlite.folder / "crm.yaml").write_text(f"settings: {{url: 'sqlite:///{sqlite.folder}/crm.db'}}")
    (sqlite.folder / "erp.yaml").write_text(f"settings: {{url: '{sqlite.address}'}}")
    bound = [f"--connection={name}={sqlite.folder}/{name}.yaml" for name in ("crm", "erp")]
    assert main([str(process), *bound]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == ["4 read, 4 written, 0 filtered, 0 dead-lettered", "write: 3 change, 1 no change"]
    assert "  ~ phone: ∅ → •••" in told
    assert main([str(process), *bound, "--output", "json", "--documents", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["cut"] is True
    assert main([str(process), bound[0]]) == 1
    assert "connection erp" in capsys.readouterr().out
    assert main([str(process), "--connection=nobody=x"]) == 1
    assert "testing.binding_invalid" in capsys.readouterr().err
    assert sqlite.run("SELECT count(*) FROM effect") == [(3,)]


def test_a_dry_run_sees_the_numbers_that_would_come_and_takes_none(sqlite: Any) -> None:
    execution = Execution("01", "sync", 1, "env/sync", "manual", datetime(2026, 1, 1, tzinfo=UTC), "")
    with closing(sqlite.journal()) as journal:
        assert DryJournal(journal, execution).sequence_take("invoice", 2, 100, 5) == 100
        assert journal.sequence_peek("invoice", ["a"]) == (None, {})
        assert journal.sequence_take("invoice", 1, 100, 5) == 100
        assert journal.sequence_given("invoice", ["a"], 100, 5) == {"a": 105}
        dry = DryJournal(journal, execution)
        assert dry.sequence_given("invoice", ["b", "a", "b"], 100, 5) == {"b": 110, "a": 105}
        assert dry.sequence_take("invoice", 1, 100, 5) == 115
        assert journal.sequence_peek("invoice", ["a", "b"]) == (110, {"a": 105})
