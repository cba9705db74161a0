"""The examples are what they say: valid, tested, and understood by an editor with the schema."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from dative.process import reference
from dative.process.cases import load_test
from dative.process.findings import Report
from dative.process.load import check
from dative.process.schema import process_schema
from dative.process.tables import RatesTable
from dative.process.text import read_yaml
from jsonschema import Draft202012Validator

FOLDERS = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/process.yaml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_example_has_no_finding_and_tests_that_fit_it(folder: Path) -> None:
    checked = check((folder / "process.yaml").read_bytes(), filename="process.yaml")
    assert checked.findings == []
    assert checked.process is not None
    assert checked.process.name == folder.name
    assert (folder / "README.md").is_file()
    tests = sorted((folder / "tests").glob("*.yaml"))
    assert tests
    for path in tests:
        loaded = load_test(path.read_bytes(), filename=path.name, process=checked.process)
        assert loaded.findings == []
        assert loaded.test is not None
    for table in checked.process.spec.tables.values():
        assert table.file is None or (folder / table.file).is_file()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_example_is_valid_for_an_editor(folder: Path) -> None:
    data = read_yaml((folder / "process.yaml").read_bytes(), Report("process.yaml"))
    assert [error.message for error in Draft202012Validator(process_schema()).iter_errors(data)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("overlap: skip", "overlap: slip"),
        ("database.upsert:", "database.upsrt:"),
        ("mask: {phone", "maks: {phone"),
        ("keep_last(2)", "keep_lost(2)"),
        ("max_attempts: 6", "max_attempts: 600"),
        ("connection: erp, ", ""),
        ("decide: industry", "stop: {}\n          decide: industry"),
        ("kind: rates", "kind: rate"),
        ("crm: salesforce", "crm: salesfarce"),
    ],
)
def test_an_editor_sees_what_is_wrong(old: str, new: str, example: str) -> None:
    assert example.count(old) == 1
    data = read_yaml(example.replace(old, new), Report("process.yaml"))
    assert list(Draft202012Validator(process_schema()).iter_errors(data))


def test_the_rates_of_the_example_cover_every_currency_of_the_sandbox_but_one(examples: Path) -> None:
    folder = examples / "account-to-erp"
    process = check((folder / "process.yaml").read_bytes(), filename="p").process
    assert process is not None
    table = process.spec.tables["rates"]
    assert isinstance(table, RatesTable)
    assert table.file is not None
    with (folder / table.file).open() as lines:
        rows = list(csv.DictReader(lines))
    assert {row["from"] for row in rows} == {"USD", "GBP", "CHF", "JPY", "SEK"}
    assert {row["to"] for row in rows} == {"EUR"}


@pytest.mark.parametrize("path", reference.generated(), ids=lambda path: path.name)
def test_what_is_made_from_the_language_is_fresh(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == reference.generated()[path], (
        "run python -m dative.process.reference --write"
    )


def test_the_reference_names_every_verb_function_and_modifier() -> None:
    from dative.process.functions import FUNCTIONS
    from dative.process.shapes import MODIFIERS, VERBS

    page = reference.reference()
    for name in (*FUNCTIONS, *VERBS, *MODIFIERS):
        assert name in page
