"""message, notify, exception, stop: texts that hold whatever the values are, told once, and ends in good order."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from dative.ids import ExecutionId
from dative.v1 import telemetry_pb2
from dative_atom.engine.pipeline import Control
from dative_atom.engine.run import Surroundings, run_execution
from dative_atom.telemetry.recorder import Recorder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WRITE = "- {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}"


class Killed(BaseException):
    """The process is gone."""


def steps(*lines: str) -> str:
    return "  steps:\n" + "".join(f"    {line}\n" for text in lines for line in text.splitlines())


def written(engine: Any) -> list[dict[str, Any]]:
    target = engine.system.targets.get("write")
    return list(target.rows.values()) if target else []


def said(engine: Any) -> list[telemetry_pb2.Event]:
    records = [telemetry_pb2.Record.FromString(item.body) for item in engine.journal.outbox(0, rows_max=5_000)]
    return [record.event for record in records if record.WhichOneof("kind") == "event"]


def message(template: str, format_: str) -> str:
    return f"- {{id: m, message: {{into: body, format: {format_}, template: {json.dumps(template)}}}}}"


HOSTILE = [
    "O'Brien",
    'say "hi"',
    "a\\b",
    "</x>&amp;<!--",
    "l1\nl2\r\nl3\tt",
    "ü😀\u2028",
    "{Name}",
    "]]>",
    "1,2;3",
    "",
    " a ",
]


def test_json_holds_whatever_the_values_are(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": list(range(len(HOSTILE))), "Name": HOSTILE})
    ended = engine.run(
        steps(message('{"in": "<{Name}>", "bare": {Name}, "id": {Id}, "o": {"a": [{Id}]}}', "json"), WRITE)
    )
    assert ended.failure is None, ended.failure
    assert [json.loads(row["body"]) for row in written(engine)] == [
        {"in": f"<{name}>", "bare": name, "id": number, "o": {"a": [number]}} for number, name in enumerate(HOSTILE)
    ]


def test_xml_holds_whatever_the_values_are(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": list(range(len(HOSTILE))), "Name": HOSTILE})
    engine.run(steps(message("<m a='{Name}' b=\"{Id}\">{Name}</m>", "xml"), WRITE))
    found = [ET.fromstring(row["body"]) for row in written(engine)]
    assert [(item.attrib["a"], item.text or "") for item in found] == [(name, name) for name in HOSTILE]


def test_csv_holds_whatever_the_values_are(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": list(range(len(HOSTILE))), "Name": HOSTILE})
    engine.run(steps(message('{Id},{Name},"<{Name}>"', "csv"), WRITE))
    found = [next(csv.reader(io.StringIO(row["body"], newline=""))) for row in written(engine)]
    assert found == [[str(number), name, f"<{name}>"] for number, name in enumerate(HOSTILE)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=8))
def test_any_text_comes_out_of_json_and_csv_as_it_went_in(engine: Any, names: list[str]) -> None:
    names = [name.replace("\0", "") for name in names]
    engine.afresh()
    engine.system.rows = pa.table({"Id": list(range(len(names))), "Name": pa.array(names, pa.string())})
    engine.run(steps(message('["{Name}", {Name}]', "json"), WRITE))
    assert [json.loads(row["body"]) for row in written(engine)] == [[name, name] for name in names]


def test_characters_that_xml_has_not_are_replaced_and_nulls_are_nothing(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1], "Name": ["a\x01b", None]})
    engine.run(steps(message("<m>{Name}</m>", "xml"), WRITE))
    assert [row["body"] for row in written(engine)] == ["<m>a\ufffdb</m>", "<m></m>"]
    engine.afresh()
    engine.run(steps(message('{"a": {Name}, "b": "{Name}"}', "json"), WRITE))
    assert json.loads(written(engine)[1]["body"]) == {"a": None, "b": ""}


def test_a_value_that_can_not_be_computed_fails_its_own_document(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1], "Name": ["7", "x"]})
    ended = engine.run(
        steps("- {id: m, message: {into: body, template: 'n={n}', values: {n: CAST(Name AS INTEGER)}}}", WRITE)
    )
    assert (ended.counts.written, ended.counts.dead_lettered) == (1, 1)
    assert written(engine) == [{"Id": 0, "Name": "7", "body": "n=7"}]


def test_a_text_beyond_a_million_characters_fails_its_own_document(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1], "Name": ["x" * 600_000, "y"]})
    engine.run(steps(message("{Name}{Name}", "text"), WRITE))
    assert [letter.parked.code for letter in engine.journal.dead_letters()] == ["shape.message_too_long"]
    assert [row["Id"] for row in written(engine)] == [1]


# notify


def test_a_notice_is_told_once_for_each_document_when_its_batch_settles(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1, 2], "Name": ["a", None, "c"]})
    ended = engine.run(
        steps(
            "- id: d\n  decide: Id > 0\n  then: [{id: n, notify: {level: error, title: \"concat('no ', Id)\", text: Name}}]",
            WRITE,
        )
    )
    assert ended.counts.written == 3
    told = [dict(event.fields) for event in said(engine)]
    about = {
        "execution_id": ended.execution_id,
        "process": "sync",
        "environment_id": "env",
        "level": "error",
        "step": "n",
    }
    assert told == [{**about, "title": "no 1", "text": ""}, {**about, "title": "no 2", "text": "c"}]
    assert {event.kind for event in said(engine)} == {"process.notified"}


def test_a_batch_that_never_settles_tells_nothing(engine: Any) -> None:
    engine.system.rows, engine.batch_rows = pa.table({"Id": [0, 1]}), 1
    engine.target("write", key=("Id",)).faults.write = [None, RuntimeError("away")]
    assert engine.run(steps("- {id: n, notify: {title: CAST(Id AS VARCHAR)}}", WRITE)).failure is not None
    assert [event.fields["title"] for event in said(engine)] == ["0"]


def killed_after(engine: Any, body: str, batches: int) -> ExecutionId:
    execution_id, left = engine.plan(), [batches]

    def progress(_: object) -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed

    surroundings = Surroundings(engine.clock, engine.system.connect, Control(), progress=progress)
    with pytest.raises(Killed):
        run_execution(engine.message(body, execution_id), engine.journal, surroundings, Recorder())
    return execution_id


@pytest.mark.parametrize("batches", [1, 3])
def test_after_a_kill_each_document_has_been_told_of_once_and_the_bound_still_counts(engine: Any, batches: int) -> None:
    engine.system.rows, engine.batch_rows = pa.table({"Id": list(range(1_200))}), 300
    body = steps("- {id: n, notify: {title: CAST(Id AS VARCHAR)}}", WRITE)
    ended = engine.run(body, execution_id=killed_after(engine, body, batches))
    assert (ended.failure, ended.counts.written) == (None, 1_200)
    told = said(engine)
    assert [event.fields["title"] for event in told[:1_000]] == [str(number) for number in range(1_000)]
    assert [event.kind for event in told[1_000:]] == ["process.notices_left_out"]
    assert "1,000" in told[-1].status.message


def test_a_long_text_is_cut_and_says_so(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0], "Name": ["é" * 12_345]})
    engine.run(steps("- {id: n, notify: {title: Name, text: Name}}", WRITE))
    fields = said(engine)[0].fields
    assert (len(fields["title"]), len(fields["text"])) == (200, 10_000)
    assert fields["text"].endswith("it has 12,345 characters, 10,000 are told at most)")


# exception


def test_a_raised_document_takes_the_catch_route_with_its_message(engine: Any) -> None:
    engine.system.rows = pa.table({"Id": [0, 1, 2], "Name": ["a", None, "x" * 2_000]})
    engine.run(
        steps(
            "- id: t",
            "  try: [{id: e, exception: {message: Name}}]",
            "  catch: [{id: m, map: {keep: rest, fields: {code: _error_code, why: _error_reason, step: _error_step}}}]",
            WRITE,
        )
    )
    found = [(row["code"], row["why"], row["step"]) for row in written(engine)]
    silent = "the process raised an exception"
    assert found == [("shape.raised", "a", "e"), ("shape.raised", silent, "e"), ("shape.raised", "x" * 1_000, "e")]


@pytest.mark.parametrize("after_a_target", [False, True])
def test_an_exception_of_the_execution_ends_it_and_settles_nothing_of_its_batch(
    engine: Any, after_a_target: bool
) -> None:
    engine.system.rows, engine.batch_rows = pa.table({"Id": list(range(6)), "Name": list("abcdef")}), 2
    raised = (
        "- id: d\n  decide: Id = 3\n  then: [{id: e, exception: {message: \"concat('bad ', Name)\", scope: execution}}]"
    )
    ended = engine.run(steps(*([WRITE, raised] if after_a_target else [raised, WRITE])))
    assert ended.failure is not None
    assert (ended.failure["code"], ended.failure["message"]) == ("shape.raised", "step e: bad d")
    assert (ended.state.value, ended.counts.read, ended.counts.unexplained) == ("failed", 2, 0)


# stop


def test_a_stop_of_the_execution_settles_its_batch_and_reads_no_more(engine: Any) -> None:
    engine.system.rows, engine.batch_rows = pa.table({"Id": list(range(20))}), 2
    body = steps("- id: d\n  decide: Id = 4\n  then: [{id: s, stop: {scope: execution}}]", WRITE)
    ended = engine.run(body)
    assert (ended.failure, ended.state.value) == (None, "succeeded")
    assert (ended.counts.read, ended.counts.written, ended.counts.filtered) == (6, 5, 1)
    again = engine.run(steps(WRITE))
    assert (again.counts.read, len(written(engine))) == (14, 19)


def test_a_stop_of_the_execution_holds_after_a_kill(engine: Any) -> None:
    engine.system.rows, engine.batch_rows = pa.table({"Id": list(range(20))}), 2
    body = steps("- id: d\n  decide: Id = 4\n  then: [{id: s, stop: {scope: execution}}]", WRITE)
    ended = engine.run(body, execution_id=killed_after(engine, body, 3))
    assert (ended.failure, ended.attempt, ended.counts.read) == (None, 2, 6)
