"""Shapes that gather, cut and compare, killed at every boundary that they pass: each effect once, each document once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dative_atom.testing.cases import Verdict

HEAD = """\
apiVersion: dative/v1
kind: Process
metadata: {name: sync}
spec:
  connections: {crm: salesforce, erp: database}
  batch_rows: 3
  source: {id: read, salesforce.query: {connection: crm, object: Account, fields: [Id, k, v]}}
"""
WRITE = "    - {id: write, database.upsert: {connection: erp, table: t, key: [%s]}}\n"
INPUT = (
    "input: [{Id: a, k: x, v: 1}, {Id: b, k: x, v: '2,3'}, {Id: c, k: y, v: bad}, {Id: d, k: y}, {Id: e, k: z, v: 5}]"
)
SHAPES = {
    "find_changes": (
        "  steps:\n    - {id: changes, find_changes: {key: [Id]}}\n" + WRITE % "Id",
        "written: {write: {count: 5}}, counts: {read: 5, written: 5}",
    ),
    "units by key": (
        "  flow_control: {by: [k]}\n  steps:\n    - {id: one, combine: {by: [k], into: all, form: json}}\n"
        + WRITE % "k",
        "written: {write: {count: 3}}, counts: {read: 5, written: 5}",
    ),
    "a unit of all": (
        "  flow_control: {unit: all}\n  steps:\n    - {id: one, combine: {totals: {n: count()}}}\n" + WRITE % "n",
        "written: {write: [{n: 5}]}, counts: {read: 5, written: 5}",
    ),
    "one by one, split": (
        "  flow_control: {unit: one_by_one}\n  steps:\n"
        "    - {id: parts, split: {field: v, by: text, separator: ',', into: p, number: n, empty: keep}}\n"
        + WRITE
        % "Id, n",
        "written: {write: {count: 6}}, counts: {read: 5, written: 5}",
    ),
    "a script": (
        "  steps:\n    - id: s\n      script:\n        inputs: [v]\n        outputs: {n: integer}\n"
        '        code: \'def row(r): return {"n": len(r["v"])}\'\n' + WRITE % "Id",
        "written: {write: {count: 4}}, counts: {read: 5, written: 4, dead_lettered: 1}",
    ),
}


@pytest.mark.parametrize(("steps", "expect"), SHAPES.values(), ids=SHAPES)
def test_killed_at_every_boundary_each_effect_happens_once(
    folder: Path, play: Callable[[str], list[Verdict]], steps: str, expect: str
) -> None:
    (folder / "process.yaml").write_text(HEAD + steps)
    (verdict,) = play(f"- name: killed everywhere\n  {INPUT}\n  kill: every-boundary\n  expect: {{{expect}}}\n")
    assert verdict.passed, verdict.message
    assert verdict.kills >= 10
