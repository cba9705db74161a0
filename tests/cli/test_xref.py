"""`dative xref`: tables go out as CSV and come in, in pieces; rows are set and removed; every change says how to undo it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROWS = "crm,erp\n" + "".join(f"C{row},E{row}\n" for row in range(7))


def test_a_table_goes_out_page_by_page_and_comes_back_the_same(admin: Any, tmp_path: Path) -> None:
    file = tmp_path / "account.csv"
    file.write_text(ROWS)
    told = admin("xref", "import", "account", str(file), "--env", "dev")
    assert "7 new or changed in account" in told.stderr
    assert "xref export" in told.stderr, "how to undo it"
    assert admin("xref", "export", "account", "--env", "dev").stdout == ROWS
    (table,) = json.loads(admin("xref", "list", "--env", "dev", "-o", "json").stdout)["items"]
    assert (table["name"], table["rows"], table["columns"]) == ("account", 7, "crm, erp")


def test_a_large_file_goes_in_pieces_with_the_header_at_the_top_of_each() -> None:
    import io

    from dative_controller.cli.commands.xref import PIECE_ROWS, _pieces

    rows = [f'C{row},"E{row}\n!"' for row in range(PIECE_ROWS * 2 + 1)]
    pieces = list(_pieces(io.StringIO("crm,erp\n" + "\n".join(rows) + "\n", newline="")))
    assert len(pieces) == 3
    assert all(piece.startswith("crm,erp") for piece in pieces)
    assert sum(piece.count("!") for piece in pieces) == len(rows)


def test_a_row_is_set_found_and_removed(admin: Any) -> None:
    assert "written" in admin("xref", "set", "account", "crm=A", "erp=1", "--env", "dev").stderr
    assert "already" in admin("xref", "set", "account", "crm=A", "erp=1", "--env", "dev").stderr
    (row,) = json.loads(admin("xref", "show", "account", "crm", "A", "--env", "dev", "-o", "json").stdout)["items"]
    assert (row["crm"], row["erp"]) == ("A", "1")
    assert "1 rows removed" in admin("xref", "remove", "account", "crm", "A", "--env", "dev", "--yes").stderr
    assert admin("xref", "export", "account", "--env", "dev").stdout == "crm,erp\n"


def test_a_value_without_a_column_is_a_wrong_call(admin: Any) -> None:
    assert "COLUMN=VALUE" in admin("xref", "set", "account", "A", "--env", "dev", code=2).stderr
