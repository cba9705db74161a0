"""Cross-references as an atom would answer, in memory, for the command's tests."""

from __future__ import annotations

import csv
import io
from typing import Any

from dative.v1 import control_pb2, types_pb2

PAGE = 3


class Xrefs:
    def __init__(self, state: Any) -> None:
        self.s = state
        self.tables: dict[str, list[dict[str, str]]] = {}
        self.pieces = 0

    def ReadXref(self, request: Any) -> Any:
        asked = request.question
        rows = self.tables.get(asked.table, [])
        if not asked.table:
            tables = [
                types_pb2.XrefTable(name=name, columns=list(found[0]), unique=list(found[0]), rows=len(found))
                for name, found in self.tables.items()
            ]
            return control_pb2.ControlReadXrefResponse(answer=types_pb2.XrefAnswer(tables=tables))
        if asked.column:
            rows, after = [row for row in rows if row[asked.column] == asked.value], 0
        else:
            after = asked.after + PAGE if asked.after + PAGE < len(rows) else 0
            rows = rows[asked.after : asked.after + PAGE]
        out = io.StringIO()
        writer = csv.DictWriter(out, ["crm", "erp"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        answer = types_pb2.XrefAnswer(csv=out.getvalue().encode(), next_after=after)
        return control_pb2.ControlReadXrefResponse(answer=answer, atom="hq-1")

    def ChangeXref(self, request: Any) -> Any:
        change, rows = request.change, self.tables.setdefault(request.change.table, [])
        before = len(rows)
        if change.column:
            rows[:] = [row for row in rows if row[change.column] not in change.values]
        else:
            rows += [row for row in csv.DictReader(io.StringIO(change.csv.decode())) if row not in rows]
            self.pieces += 1
        changed = types_pb2.XrefChanged(read=self.pieces, changed=abs(len(rows) - before))
        return control_pb2.ControlChangeXrefResponse(changed=changed, atom="hq-1")
