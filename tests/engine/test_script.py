"""script: computes what it is given, and whatever it tries beside that ends at a bound, for its own document alone."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dative.process.load import check
from dative_atom.engine.script.process import PROGRAM

WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: [Id]}}\n"
IN = "inputs: [Id, v], outputs: {out: text}"


def scripted(
    engine: Any, code: str, settings: str = IN, rows: dict[str, Any] | None = None
) -> tuple[dict[Any, Any], dict[int, str]]:
    """Id -> out of what was written, and document -> code of what failed."""
    engine.system.rows = pa.table(rows or {"Id": list("abcde"), "v": ["1", "2", "bad", "4", None]})
    body = textwrap.indent(textwrap.dedent(code), " " * 10)
    engine.execution = engine.run(
        f"  steps:\n    - id: compute\n      script:\n        settings\n        code: |\n{body}\n".replace(
            "        settings\n", "".join(f"        {line}\n" for line in _lines(settings))
        )
        + WRITE
    )
    target = engine.system.targets.get("write")
    written = {row["Id"]: row.get("out") for row in target.rows.values()} if target else {}
    return written, {letter.parked.document: letter.parked.code for letter in engine.journal.dead_letters()}


def _lines(settings: str) -> list[str]:
    depth, start, found = 0, 0, []
    for place, sign in enumerate(settings + ","):
        depth += (sign in "[{") - (sign in "]}")
        if sign == "," and depth == 0:
            found.append(settings[start:place].strip())
            start = place + 1
    return found


def hostile(what: str) -> str:
    """Good for every row but the one that says bad."""
    inner = textwrap.indent(textwrap.dedent(what).strip(), " " * 8)
    return f"""\
def row(record):
    if record["v"] == "bad":
{inner}
    return {{"out": (record["v"] or "") + "!"}}
"""


GOOD = {"a": "1!", "b": "2!", "d": "4!", "e": "!"}
HOSTILE = {
    "raises": ("raise ValueError(record['v'])", "script.row_failed"),
    "exits": ("raise SystemExit(3)", "script.row_failed"),
    "loops": ("while True: pass", "script.out_of_time"),
    "loops and catches everything": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "script.out_of_time",
    ),
    "sleeps": ("import time\ntime.sleep(3600)", "script.out_of_time"),
    "a regular expression without end": ("import re\nre.match('(a+)+$', 'a' * 60 + '!')", "script.out_of_time"),
    "eats memory": ("x = []\nwhile True: x.append('x' * 10_000_000)", "script.out_of_memory"),
    "one large value": ("return {'out': 'x' * (1 << 33)}", "script.out_of_memory"),
    "recurses": ("def f(n): return f(n + 1)\nf(0)", "script.row_failed"),
    "forks": ("import os\nos.fork()", "script.forbidden"),
    "a thread": ("import _thread\n_thread.start_new_thread(print, ())", "script.row_failed"),
    "a program": ("import os\nos.execv('/bin/sh', ['sh'])", "script.forbidden"),
    "os.system": ("import os\nif os.system('true') != 0: raise PermissionError(1, 'no')", "script.forbidden"),
    "opens a file": ("open('/etc/passwd')", "script.forbidden"),
    "opens its own memory": ("open('/proc/self/mem', 'rb')", "script.forbidden"),
    "writes a file": ("open('/tmp/x', 'w')", "script.forbidden"),
    "lists a folder": ("import os\nos.listdir('/')", "script.forbidden"),
    "imports a socket": ("import socket\nsocket.socket()", "script.forbidden"),
    "imports subprocess": ("import subprocess\nsubprocess.run(['true'])", "script.forbidden"),
    "imports ctypes": ("import ctypes", "script.forbidden"),
    "imports what was loaded for the filter": ("import _ctypes", "script.forbidden"),
    "kills its parent": ("import os\nos.kill(os.getpid() - 1, 9)", "script.forbidden"),
    "raises its limits": ("import resource", "script.forbidden"),
    "os._exit": ("import os\nos._exit(0)", "script.ended"),
    "writes junk to stdout": ("import os\nos.write(1, b'junk' * 9)", "script.ended"),
    "writes an answer of its own": ("import os\nos.write(1, b'\\x00\\x00\\x00\\x02{}')", "script.ended"),
    "writes without end": ("import os\nwhile True: os.write(1, b'\\xff' * 65536)", "script.ended"),
    "closes its pipes": ("import os\nos.close(0)\nos.close(1)\nwhile True: pass", "script.ended"),
    "reads the question": ("import os\nwhile os.read(0, 1): pass", "script.out_of_time"),
    "no mapping": ("return 7", "script.wrong_output"),
    "without an output": ("return {}", "script.wrong_output"),
    "a value of no type": ("return {'out': object()}", "script.wrong_output"),
    "no number": ("return {'out': float('nan')}", "script.wrong_output"),
}


@pytest.mark.parametrize(("what", "code"), HOSTILE.values(), ids=HOSTILE)
def test_whatever_it_tries_ends_at_its_bound_for_its_own_document_alone(engine: Any, what: str, code: str) -> None:
    written, failed = scripted(engine, hostile(what), IN + ", timeout: 500ms, memory: 64")
    assert engine.execution.failure is None, engine.execution.failure
    assert failed == {2: code}
    assert written == GOOD


def test_what_is_printed_goes_nowhere(engine: Any) -> None:
    code = "import sys\ndef row(r):\n    print('x' * 9999)\n    sys.stderr.write('y')\n    return {'out': r['v']}\n"
    written, failed = scripted(engine, code)
    assert (written["a"], failed) == ("1", {})


def test_a_script_that_dies_at_every_document_is_given_up_and_the_documents_are_told(engine: Any) -> None:
    rows = {"Id": [str(number) for number in range(30)], "v": ["x"] * 30}
    written, failed = scripted(engine, "import os\ndef row(record): os._exit(1)\n", rows=rows)
    assert written == {}
    assert len(failed) == 30
    assert set(failed.values()) == {"script.ended", "script.given_up"}
    assert sum(code == "script.ended" for code in failed.values()) == 10


def test_no_process_is_left_behind(engine: Any) -> None:
    scripted(engine, hostile("while True: pass"), IN + ", timeout: 300ms")
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat, command = (entry / "stat").read_text(), (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(PROGRAM).encode() in command and stat.rpartition(")")[2].split()[1] == str(os.getpid()):
                left.append(entry.name)
    assert left == []


def test_values_come_in_as_what_they_are_and_go_out_as_what_is_declared(engine: Any) -> None:
    rows = {
        "Id": ["a"],
        "v": pa.array(["12345678901234567.89"]).cast(pa.decimal128(30, 2)),
        "d": pa.array(["2024-02-28"]).cast(pa.date32()),
        "l": [[1, 2, None]],
        "b": [b"\xff"],
    }
    code = """\
    from datetime import timedelta
    def row(r):
        return {"out": f"{type(r['v']).__name__} {type(r['d']).__name__} {r['l']} {r['b']}", "v": r["v"] * 2,
                "day": r["d"] + timedelta(days=2), "n": len(r["l"]), "yes": True, "x": 0.5}
    """
    settings = (
        'inputs: [v, d, l, b], outputs: {out: text, v: "decimal(30,2)", day: date, n: integer, yes: boolean, x: double}'
    )
    scripted(engine, code, settings, rows)
    assert engine.execution.failure is None, engine.execution.failure
    row = next(iter(engine.system.targets["write"].rows.values()))
    assert {name: str(value) for name, value in row.items() if name not in ("l", "b", "d")} == {
        "Id": "a", "out": "Decimal date [1, 2, None] b'\\xff'", "v": "24691357802469135.78", "day": "2024-03-01", "n": "3",
        "yes": "True", "x": "0.5",
    }  # fmt: skip


def test_a_value_of_another_type_than_declared_fails_its_document(engine: Any) -> None:
    _, failed = scripted(engine, 'def row(r): return {"n": r["v"]}', "inputs: [v], outputs: {n: integer}")
    assert failed == {2: "script.wrong_output"}


def test_a_batch_is_computed_at_once_and_fails_at_once(engine: Any) -> None:
    code = "def batch(records): return [{'out': str(len(records))} for _ in records]\n"
    written, failed = scripted(engine, code)
    assert (written["a"], failed) == ("5", {})
    engine.afresh()
    _, failed = scripted(engine, "def batch(records): return records[1:]\n")
    assert set(failed.values()) == {"script.row_failed"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def row(:\n", "line 1: SyntaxError"),
        ("x = 1\ny = x / 0\ndef row(r): return {}\n", "line 2: ZeroDivisionError"),
        ("import socket\ndef row(r): return {}\n", "line 1: "),
        ("x = 1\n", "defines neither row nor batch"),
        ("row = 7\n", "TypeError"),
        ("raise SystemExit\n", "line 1: SystemExit"),
    ],
)
def test_code_that_can_not_be_loaded_is_refused_by_its_line_before_anything_is_read(
    engine: Any, code: str, said: str
) -> None:
    scripted(engine, code)
    assert engine.execution.failure["code"] == "script.invalid"
    assert said in engine.execution.failure["message"]
    assert engine.execution.counts.read == 0


def test_an_atom_that_does_not_allow_scripts_says_so_before_anything_is_read(engine: Any) -> None:
    engine.allows = []
    scripted(engine, hostile("pass"))
    assert engine.execution.failure["code"] == "script.not_allowed"


def test_neither_the_environment_nor_a_file_of_the_worker_reaches_it(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATIVE_SECRET", "hunter2")
    code = """\
    import os
    def row(r):
        open_files = []
        for number in range(64):
            try:
                os.write(number, b"")
                open_files.append(number)
            except OSError:
                pass
            try:
                os.read(number, 0)
                open_files.append(number)
            except OSError:
                pass
        return {"out": f"{dict(os.environ)} {sorted(set(open_files))}"}
    """
    written, _ = scripted(engine, code)
    assert "hunter2" not in written["a"]
    # The two pipes, nowhere, and the page on which it says how far it is.
    assert written["a"].endswith("[0, 1, 2, 3]")


def test_many_rows_are_led_through_one_process(engine: Any) -> None:
    rows = {"Id": [str(number) for number in range(20_000)], "v": ["x" * 100] * 20_000}
    written, failed = scripted(engine, "import os\ndef row(r): return {'out': str(os.getpid())}\n", rows=rows)
    assert failed == {}
    assert len(written) == 20_000
    assert len(set(written.values())) == 1


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        ("inputs: [Id], outputs: {o: text}, code: 'x'", ["process.classified_unmasked"]),
        ("inputs: [n], outputs: {o: text}, code: 'x'", []),
        ("inputs: [nothere], outputs: {o: text}, code: 'x'", ["process.unknown_field"]),
        ("inputs: [n], outputs: {o: strong}, code: 'x'", ["process.wrong_value"]),
        ("inputs: [n], outputs: {_o: text}, code: 'x'", ["process.reserved_field"]),
        ("inputs: [n], outputs: {o: text}, code: 'x', timeout: 2h", ["process.wrong_value"]),
        ("inputs: [n], outputs: {o: text}, code: 'x', memory: 9999", ["process.wrong_value"]),
    ],
)
def test_the_classes_of_all_inputs_go_to_all_outputs(settings: str, codes: list[str]) -> None:
    text = (
        "apiVersion: dative/v1\nkind: Process\nmetadata: {name: p}\nspec:\n  connections: {erp: database}\n"
        "  source: {id: in, documents: {fields: {Id: text, n: text}}}\n  classify: {phi: [Id]}\n"
        f"  steps:\n    - {{id: s, script: {{{settings}, keep: none}}}}\n" + WRITE.replace("key: [Id]", "key: [o]")
    )
    found = check(text, filename="p.yaml").findings
    assert [
        finding.code.name for finding in found if finding.severity == "error" and "key" not in str(finding.path)
    ] == codes
