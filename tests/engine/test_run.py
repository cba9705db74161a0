"""The straight path and its branches, each through a whole execution: counts, target, dead letters, position."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from dative.errors import StopRun
from dative.errors.engine import OUTCOME_UNKNOWN
from dative_atom.journal.contract import ExecutionState
from dative_atom.worker.protocol import Keys

ACCOUNTS = """
  tables: {rates: {kind: rates, file: rates.csv}, link: {kind: xref, columns: [crm, erp]}}
  classify: {phi: [Phone], pii: [First, Last]}
  track: [Id]
  steps:
    - id: deliver
      try:
        - id: to-customer
          map:
            fields:
              source_id: Id
              full_name: concat_ws(' ', First, Last)
              revenue: currency(Revenue, Currency, 'EUR')
              since: date(Since, '%m/%d/%Y')
              erp_id: xref('link', crm => Id, want => 'erp', missing => 'null')
              industry: Industry
              phone: Phone
        - id: hipaa
          decide: industry = 'Healthcare'
          then: [{id: mask, mask: {phone: keep_last(2), full_name: token}}]
        - id: upsert
          database.upsert: {connection: erp, table: customer, key: [source_id]}
          link: {xref: link, crm: source_id, erp: result.id}
      catch:
        - id: park
          dead_letter: {queue: accounts, keep: 7d}
"""
RATES = "from,to,date,rate\nUSD,EUR,2024-01-01,0.9\nUSD,EUR,2027-01-01,0.1\n"


@pytest.mark.parametrize("batch_rows", [1, 7, 100])
@pytest.mark.parametrize("transactional", [True, False])
def test_the_straight_path_masks_parks_and_accounts_whatever_the_batch_size(
    engine, accounts: Callable[..., pa.Table], batch_rows: int, transactional: bool
) -> None:
    engine.tables["rates"] = RATES
    engine.system.rows = accounts(20, bad={3: "31/31/2024", 8: "soon"})
    engine.batch_rows = batch_rows
    target = engine.target("upsert", key=("source_id",), transactional=transactional)

    execution = engine.run(ACCOUNTS)

    assert execution.state is ExecutionState.PARTIAL, execution.failure
    counts = execution.counts
    assert (counts.read, counts.written, counts.dead_lettered, counts.unexplained) == (20, 18, 2, 0)
    assert counts.masked == 4  # rows 0, 4, 12, 16: row 8 is parked before the mask
    assert target.effects == 18
    row = target.rows["A000001",]
    assert row == {
        "source_id": "A000001",
        "full_name": "F1 L1",
        "revenue": "1.35",
        "since": "2024-01-31",
        "erp_id": None,
        "industry": "Retail",
        "phone": "+49 30 000001",
    }
    masked = target.rows["A000004",]
    assert masked["phone"] == "*" * 11 + "04"
    assert masked["full_name"].startswith("tok_")
    letters = sorted(engine.journal.dead_letters(), key=lambda letter: letter.parked.document)
    assert [(letter.parked.document, letter.parked.code, letter.parked.field) for letter in letters] == [
        (3, "expression.date_unreadable", "since"),
        (8, "expression.date_unreadable", "since"),
    ]
    assert letters[0].parked.payload["Since"] == "31/31/2024"
    assert letters[0].parked.queue == "accounts"
    assert set(letters[0].parked.classified) == {"Phone", "First", "Last"}
    assert letters[0].parked.keys == {"Id": "A000003"}
    assert "99/99/9999" in letters[0].parked.reason
    assert "31/31" not in letters[0].parked.reason
    assert engine.journal.xref_rows("link") == 18
    assert engine.journal.position("env/sync") == b'{"row":20}'


def test_a_keyed_mask_without_the_environments_key_ends_the_run_before_anything_is_written(engine, accounts) -> None:
    engine.keys, engine.system.rows = Keys(), accounts(3)
    ended = engine.run("""
  steps:
    - {id: hide, mask: {Phone: token}}
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [Id]}}
""")
    assert ended.state.value == "failed"
    assert ended.failure["code"] == "masks.key_missing"
    assert "dative vault key create" in ended.failure["next"]
    assert ended.counts.read == 0


def test_what_a_token_hides_is_kept_before_a_target_sees_the_token(engine, accounts) -> None:
    """Also where the execution then ends for good: no token is left anywhere whose value is lost."""
    engine.system.rows, engine.batch_rows, lost = accounts(6), 2, []
    target = engine.target("upsert", key=("Id",))
    target.faults.reject = lambda row: lost.extend(engine.journal.unknown_tokens([row["Phone"]]))
    target.faults.write = [None, StopRun("the target is gone", code=OUTCOME_UNKNOWN)]
    ended = engine.run("""
  steps:
    - {id: hide, mask: {Phone: token}}
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [Id]}}
""")
    assert ended.state is ExecutionState.FAILED
    assert target.effects == 2
    assert all(row["Phone"].startswith("tok_") for row in target.rows.values())
    assert lost == []
