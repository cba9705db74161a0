"""Files of the atom's own machine: settings of a connection and options of its operations."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator

from dative_atom.connectors.spec import ConnectorSpec, Duration, OperationSpec, Settings, describe

COLUMN_TYPE = r"^(text|integer|double|boolean|date|timestamp|time|binary|json|decimal\((\d{1,2}),\s*(\d{1,2})\))$"


class DiskSettings(Settings):
    """A folder; nothing outside of it can be named."""

    root: str = describe("Absolute path of the folder that holds the files.", pattern=r"^(/|[A-Za-z]:[\\/])")


class ReadOptions(Settings):
    """Reads files of one format."""

    path: str = describe("File or pattern below the root, as in/orders-*.csv; ** goes into folders.", min_length=1)
    format: Literal["csv", "jsonl"] = describe("csv: with a header line; jsonl: one JSON object a line.")
    columns: dict[str, str] = describe(
        "Column -> type (text, integer, decimal(p,s), double, boolean, date, timestamp, time, binary, json). Only these "
        "are read. Text that does not read as its type stops the run with file and line; declare text and convert in a map "
        "to have single documents take the catch route instead.",
        min_length=1,
    )
    delimiter: str = describe("CSV: between the fields.", default=",", min_length=1, max_length=1)
    encoding: str = describe("Encoding of the text.", default="utf-8")
    stable_for: Duration = describe("Read only files that were not touched for this long.", default="2s")

    @field_validator("columns")
    @classmethod
    def _types_are_known(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = [f"{name}: {kind}" for name, kind in value.items() if not re.match(COLUMN_TYPE, kind)]
        if wrong:
            raise ValueError(f"unknown type of {', '.join(wrong)}")
        return value


class WriteOptions(Settings):
    """Writes each batch to a file of its own."""

    path: str = describe(
        "File below the root. {execution} and {batch} name the execution and the batch, as out/{execution}-{batch}.csv; "
        "both must be there, so that no batch writes over another.",
        min_length=1,
    )
    format: Literal["csv", "jsonl"] = describe("csv: with a header line; jsonl: one JSON object a line.")
    delimiter: str = describe("CSV: between the fields.", default=",", min_length=1, max_length=1)

    @field_validator("path")
    @classmethod
    def _batches_stay_apart(cls, value: str) -> str:
        if "{execution}" not in value or "{batch}" not in value:
            raise ValueError("must hold {execution} and {batch}, so that no batch writes over another")
        return value


SPEC = ConnectorSpec(
    doc="CSV and JSON lines in folders of the atom's machine.",
    settings=DiskSettings,
    secrets={},
    operations={
        "read": OperationSpec(
            "source", "Read files that have come to rest, each line once.", ReadOptions, True, divisible=True
        ),
        "write": OperationSpec(
            "target",
            "Write each batch whole as a new file; it appears under its name only when the batch is committed.",
            WriteOptions,
            True,
            {"id": "Name of the file and row in it, as out/x-0.csv#3."},
            transactional=True,
        ),
    },
)
