"""`--update` writes the expected part of a failed case anew, and only that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dative_atom.testing.main import main

CASES = """\
# what we promise
- name: first  # stays
  input:
    - {Id: A1, Name: "ada: x", Since: 01/31/2024}
  # said before
  expect:
    written:
      upsert:
        - id: WRONG   # gone with the rest
          name: WRONG
    filtered: 3

# between the cases
- name: second
  input: [{Id: A2, Since: soon}]
- {name: third, input: [{Id: A3}], expect: {written: {upsert: {count: 7}}}}
- name: fourth
  input: [{Id: A3}]
  expect: {written: {upsert: [{id: A3}]}}
"""
UPDATED = """\
# what we promise
- name: first  # stays
  input:
    - {Id: A1, Name: "ada: x", Since: 01/31/2024}
  # said before
  expect:
    written:
      upsert:
        - {id: A1, name: "ADA: X"}
    filtered: 0

# between the cases
- name: second
  input: [{Id: A2, Since: soon}]
- {name: third, input: [{Id: A3}], expect: {written: {upsert: {count: 1}}}}
- name: fourth
  input: [{Id: A3}]
  expect: {written: {upsert: [{id: A3}]}}
"""


def test_only_the_expected_part_of_what_failed_is_written_anew(
    folder: Path, write: Callable[[str], Path], tmp_path: Path
) -> None:
    path = write(CASES)
    assert main([str(folder), "--update"]) == 1
    assert path.read_text() == write(UPDATED).read_text()
    assert main([str(folder)]) == 0


def test_a_case_that_fails_gets_what_came_of_it(folder: Path, write: Callable[[str], Path]) -> None:
    path = write("- name: a\n  input: [{Id: A2, Since: soon}]\n  expect: {failure: connector.timeout}")
    assert main([str(folder), "--update"]) == 1
    assert main([str(folder)]) == 0
    assert "{code: expression.date_unreadable, field: since}" in path.read_text().replace('"', "")
