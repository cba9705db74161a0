"""`dative-atom test`: the shipped example keeps its promises, and a broken promise is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dative_atom.engine.cases import _equal, run_path

EXAMPLE = Path(__file__).parents[2] / "examples" / "account-to-erp"


def test_the_shipped_example_keeps_every_promise() -> None:
    verdicts = run_path(EXAMPLE)
    assert verdicts
    assert [(verdict.name, verdict.message) for verdict in verdicts if not verdict.passed] == []


def test_a_broken_promise_is_told_and_is_exit_1(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "example")
    test = tmp_path / "example" / "tests" / "customers.yaml"
    test.write_text(test.read_text().replace("revenue_eur: 962.60", "revenue_eur: 962.61"))
    run = subprocess.run(
        [sys.executable, "-m", "dative_atom.engine.process_test", str(tmp_path), "--output", "json"],
        capture_output=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    failed = [case for case in json.loads(run.stdout)["cases"] if not case["passed"]]
    assert [case["message"] for case in failed] == ["upsert 1: revenue_eur is '962.60', expected '962.61'"]


@pytest.mark.parametrize(
    ("expected", "actual", "equal"),
    [("2500.00", "2500.000000", True), (5, "5", True), ("007", "7", False), (None, "", False), (True, 1, True),
     ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00+00:00", True), ("a", "b", False)],
)  # fmt: skip
def test_a_value_equals_what_means_the_same(expected: object, actual: object, equal: bool) -> None:
    assert _equal(expected, actual) is equal
