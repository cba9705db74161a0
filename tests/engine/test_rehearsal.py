"""An edited dead letter is led through its process before it is retried: it says where it would end and writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from dative.errors import DativeError
from dative.ids import ExecutionId, ProcessName
from dative_atom.engine.dry.rehearsal import MASKED, Outcome, rehearse
from dative_atom.journal.contract import Execution, LinkRows

BODY = """
  classify: {phi: [Phone], pii: [Last]}
  track: [Id]
  tables: {link: {kind: xref, columns: [crm, erp]}}
  steps:
    - id: only-retail
      decide: Industry = 'Retail'
      else: [{id: leave, stop: {}}]
    - id: deliver
      try:
        - id: shape
          map:
            fields:
              Id: Id
              since: "date(Since, '%m/%d/%Y')"
              name: Last
              known: xref('link', crm => Id, want => 'erp')
        - {id: hide, mask: {name: keep_first(1)}}
        - id: upsert
          database.upsert: {connection: erp, table: customer, key: [Id]}
          link: {xref: link, crm: Id, erp: result.id}
      catch: [{id: park, dead_letter: {queue: review}}]
"""


def led(engine, letter, fields: dict[str, Any], body: str = BODY, **options: Any) -> Outcome:
    message = engine.message(body, ExecutionId("rehearsal"))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    execution = Execution(
        ExecutionId("rehearsal"),
        ProcessName("sync"),
        1,
        "env/sync",
        "retry",
        now,
        "",
        retry_of=(letter,),
        started_at=now,
    )
    edited = engine.journal.check_repair(letter, fields)
    return rehearse(message, execution, edited, engine.journal, engine.system.connect, engine.clock, **options)


@pytest.fixture
def letter(engine, accounts):
    """One dead letter, of an account with an unreadable date."""
    # Lookups give what the cross-reference holds; "known" may be null.
    engine.journal.xref_load(LinkRows("link", {"crm": ["A000001"], "erp": ["E-1"]}))
    engine.system.rows = accounts(2, bad={1: "soon"})
    engine.run(BODY)
    (found,) = engine.journal.dead_letters()
    return found.dead_letter_id


def test_a_good_edit_says_what_its_target_would_get_with_classified_fields_as_the_process_left_them(
    engine, letter
) -> None:
    outcome = led(engine, letter, {"Since": "12/24/2024"})
    assert (outcome.ends, outcome.step) == ("written", "upsert")
    assert list(outcome.targets) == [
        {"step": "upsert", "document": {"Id": "A000001", "since": "2024-12-24", "name": "L*", "known": "E-1"}}
    ]


EDITS = [
    ({"Since": "later"}, "dead_lettered", "shape", "since"),
    ({"Industry": "Healthcare"}, "filtered", "leave", ""),
]


@pytest.mark.parametrize(("fields", "ends", "step", "field"), EDITS, ids=[ends for _, ends, _, _ in EDITS])
def test_an_edit_that_does_not_help_says_where_it_would_end(engine, letter, fields, ends, step, field) -> None:
    outcome = led(engine, letter, fields)
    assert (outcome.ends, outcome.step, outcome.field, list(outcome.targets)) == (ends, step, field, [])
    assert (outcome.queue, bool(outcome.code)) == (("review", True) if field else ("", False))


def test_nothing_is_written_anywhere(engine, letter) -> None:
    before = engine.system.targets["upsert"].effects, engine.system.delivered[:], dump(engine)
    led(engine, letter, {"Since": "12/24/2024"})
    assert (engine.system.targets["upsert"].effects, engine.system.delivered, dump(engine)) == before


def dump(engine) -> list[str]:
    return list(engine.journal.connection().iterdump())


UNMASKED = """
  classify: {pii: [Last]}
  steps:
    - id: shape
      map: {fields: {Id: Id, since: "date(Since, '%m/%d/%Y')", name: upper(Last), both: "concat(Id, Last)"}}
    - id: upsert
      database.upsert: {connection: erp, table: customer, key: [Id]}
      discloses: {name: the ERP writes to people, both: the ERP sorts by people}
"""


def test_a_classified_value_that_reaches_a_target_is_shown_only_when_it_is_revealed(engine, letter) -> None:
    edited = {"Since": "12/24/2024"}
    (hidden,) = led(engine, letter, edited, UNMASKED).targets
    assert hidden["document"] == {"Id": "A000001", "since": "2024-12-24", "name": MASKED, "both": MASKED}
    (shown,) = led(engine, letter, edited, UNMASKED, reveal=True).targets
    assert shown["document"]["name"] == "L1"


TOKENS = UNMASKED.replace("    - id: upsert", "    - {id: hide, mask: {name: token, both: hash}}\n    - id: upsert")


def test_a_token_of_a_rehearsal_is_not_kept(engine, letter) -> None:
    before = dump(engine)
    (shown,) = led(engine, letter, {"Since": "12/24/2024"}, TOKENS).targets
    assert shown["document"]["name"] not in ("L1", MASKED, None)
    assert dump(engine) == before


REMEMBERING = """
  steps:
    - {id: before, map: {keep: rest, fields: {former: "coalesce(property('persisted.last'), 'none')"}}}
    - {id: keep, set_properties: {persisted.last: Id}}
    - id: shape
      map: {fields: {Id: Id, since: "date(Since, '%m/%d/%Y')", former: former, last: "property('persisted.last')"}}
    - {id: upsert, database.upsert: {connection: erp, table: customer, key: [Id]}}
"""


def test_what_a_process_remembers_is_read_and_never_changed(engine, letter, accounts) -> None:
    engine.system.rows = accounts(3)
    engine.run(REMEMBERING)
    before = dump(engine)
    (shown,) = led(engine, letter, {"Since": "12/24/2024"}, REMEMBERING).targets
    assert (shown["document"]["former"], shown["document"]["last"]) == ("A000002", "A000001")
    assert dump(engine) == before


def test_the_source_being_away_keeps_nobody_from_asking(engine, letter) -> None:
    connect = engine.system.connect

    def away(connection):
        if connection.name == "crm":
            raise DativeError("no route to it")
        return connect(connection)

    engine.system.connect = away
    assert led(engine, letter, {"Since": "12/24/2024"}).ends == "written"


def test_a_process_that_can_not_run_says_why(engine, letter) -> None:
    broken = BODY.replace("Industry = 'Retail'", "Industry = 'Retail' AND param('region') = 'x'")
    with pytest.raises(DativeError) as refused:
        led(engine, letter, {"Since": "12/24/2024"}, "\n  parameters: {region: {}}" + broken)
    assert refused.value.code.name == "engine.parameter_missing"
