"""`kill: every-boundary`: workers are killed at every boundary that the case passes, and every kill is resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dative.process.load import load
from dative_atom.engine.failpoints import NAMES
from dative_atom.testing.cases import Verdict
from dative_atom.testing.chaos import _unlike
from dative_atom.testing.stage import Played
from dative_atom.testing.system import Effect

Play = Callable[[str], list[Verdict]]


def test_every_kill_ends_as_the_run_without_one(play: Play) -> None:
    (verdict,) = play("""
    - name: a
      batch_rows: 2
      kill: every-boundary
      input: [{Id: A1, Name: ada}, {Id: A2, Since: soon}, {Id: A3, Active: "no"}, {Id: A4, Name: eve}, {Id: A5}]
      faults: [{step: upsert, kind: reject, where: {id: [A5]}}]
      expect: {counts: {read: 5, written: 2, filtered: 1, dead_lettered: 2}}
    """)
    assert verdict.message == ""
    # Three batches pass every boundary of a batch, and the execution's own ones come once or more.
    assert verdict.kills >= len(NAMES) + 2 * sum(name.startswith("batch.") for name in NAMES) - 2


def test_a_target_that_forgets_its_mark_is_found_out(folder: Path) -> None:
    loaded = load((folder / "process.yaml").read_bytes(), filename="p.yaml")
    assert loaded.process is not None
    whole = Played(effects=[Effect("upsert", '["A1"]', {"id": "A1"})])
    twice = Played(effects=[*whole.effects, *whole.effects])
    (found,) = _unlike(loaded.process, ("batch.committed", 1), whole, twice)
    assert str(found) == 'killed at batch.committed, time 1: step upsert applied ["A1"] 2 times, expected 1'
