"""`dative-atom execution receipts`: an execution's receipts from the journal on this host, whether its agent runs or not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from dative.clock import SystemClock
from dative.errors import DativeError
from dative.errors.journal import UNKNOWN_EXECUTION
from dative.ids import ExecutionId
from dative.receipts import FORMATS, About, Receipt, lines, receipts
from dative.v1 import agent_pb2

from dative_atom.journal.contract import Journal, ReceiptRecord
from dative_atom.journal.open import open_journal


def receipts_of_execution(journal: Journal, execution_id: ExecutionId) -> Iterator[Receipt]:
    """In the order of settling, a few records in memory at a time. Errors: journal.unknown_execution."""
    execution = journal.execution(execution_id)
    if execution is None:
        raise DativeError(f"execution {execution_id} is not on this atom", code=UNKNOWN_EXECUTION)
    about = About(execution_id, execution.process, execution.process_version)
    after = 0
    while records := journal.receipts(execution_id, after, limit=8):
        for record in records:
            yield from receipts(about, _part(record))
        after = records[-1].sequence


def _part(record: ReceiptRecord) -> agent_pb2.ReceiptPart:
    return agent_pb2.ReceiptPart(
        sequence=record.sequence,
        batch=record.batch,
        step=record.receipts.step,
        attempt=record.attempt,
        fencing_token=record.fencing_token,
        settled_at_ms=int(record.at.timestamp() * 1000),
        rows=record.receipts.rows,
        size=len(record.receipts.body),
        data=record.receipts.body,
    )


def main(arguments: list[str]) -> int:
    """`JOURNAL EXECUTION --output table|csv|jsonl`. The exit code is the error's."""
    parser = argparse.ArgumentParser(prog="dative-atom execution receipts")
    parser.add_argument("journal", type=Path)
    parser.add_argument("execution")
    parser.add_argument("--output", choices=FORMATS, default="table")
    given = parser.parse_args(arguments)
    journal = open_journal(given.journal, SystemClock())
    try:
        for line in lines(receipts_of_execution(journal, ExecutionId(given.execution)), given.output):
            sys.stdout.write(line + "\n")
    except DativeError as error:
        sys.stderr.write(f"error: {error.message}\nwhy:   {error.code.means}\nnext:  {error.next}\n")
        sys.stderr.write(f"code:  {error.code.name}\n")
        return error.code.exit_code
    except BrokenPipeError:
        # Whoever reads has enough: `… | head`.
        sys.stderr.close()
    finally:
        journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
