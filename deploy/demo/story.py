"""The main job, told step by step, each count asserted: what `make demo` prints.

From nothing to a signed process that an atom runs: first load, an incremental run, a repaired dead letter, the trace, and
a bundle that was tampered with.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from demo.house import House

PROCESS = "account-to-erp"
EXAMPLE = Path(__file__).parents[2] / "examples" / PROCESS
EDITED = 25


class Story:
    """See the module. Raises AssertionError where a count is not what the seed says it must be."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.facts: dict[str, Any] = {}

    def tell(self) -> None:
        for chapter in (self.build, self.deploy, self.first_run, self.edits, self.repair, self.trace, self.tamper):
            chapter()

    def build(self) -> None:
        _title("A simulated Salesforce, PostgreSQL as the ERP's database, a controller, and an atom that joins")
        self.house.open()
        self.facts = self.house.sandbox("/expected")
        atoms = self.house.dative("atom", "list", "-o", "json").json()["items"]
        assert len(atoms) == 1, atoms
        print(
            f"{self.facts['customers']:,} customers, {self.facts['healthcare_customers']:,} of them Healthcare;",
            end=" ",
        )
        print(f"{len(self.facts['bad_ids'])} hold something unreadable or a currency without a rate")

    def deploy(self) -> None:
        _title(f"Deploy {PROCESS}: validated, signed on this side, verified by the atom from its own disk")
        said = self.house.dative("deploy", str(EXAMPLE), "--env", "dev", "--watch")
        print(_indented(said.err))

    def first_run(self) -> None:
        _title("First load")
        execution = self.run(codes=(8,))
        counts = _counts(execution)
        bad = len(self.facts["bad_ids"])
        assert counts["read"] == self.facts["customers"], counts
        assert counts["dead_lettered"] == bad, counts
        assert counts["written"] == self.facts["customers"] - bad, counts
        assert self.house.sql("SELECT count(*) FROM customer") == [(counts["written"],)]
        open_phones = self.house.sql("SELECT count(*) FROM customer WHERE industry = 'Healthcare' AND phone !~ '^[*]'")
        assert open_phones == [(0,)], open_phones
        masked = self.house.sql("SELECT count(*) FROM customer WHERE industry = 'Healthcare'")
        assert masked == [(counts["masked"],)], (masked, counts)
        _print_counts(counts)
        reasons = Counter(letter["code"] for letter in self.letters())
        for code, count in sorted(reasons.items()):
            print(f"    {count:2} × {code}")
        expected = {
            "expression.date_unreadable": len(self.facts["unreadable_date_ids"]),
            "expression.number_unreadable": len(self.facts["unreadable_number_ids"]),
            "expression.rate_missing": len(self.facts["unknown_currency_ids"]),
        }
        assert dict(reasons) == expected, (reasons, expected)

    def edits(self) -> None:
        _title(f"Edit {EDITED} Accounts, ten minutes pass, run again: only those are read")
        edited = self.house.sandbox("/edit", {"object": "Account", "count": EDITED})
        self.house.sandbox("/clock", {"advance_s": 600})
        counts = _counts(self.run())
        assert counts["read"] == counts["written"] == EDITED, (counts, edited)
        _print_counts(counts)

    def repair(self) -> None:
        _title("Repair one dead letter and retry it: the same document, under its own identity")
        letter = next(one for one in self.letters() if one["code"] == "expression.date_unreadable")
        account = letter["keys"]["Id"]
        self.house.dative("dlq", "edit", letter["dead_letter_id"], "Customer_Since__c=02/28/2021")
        retried = self.house.dative("dlq", "retry", letter["dead_letter_id"], "--env", "dev", "-o", "json").json()
        self.house.dative("execution", "watch", retried["items"][0]["execution_id"])
        assert letter["dead_letter_id"] not in {one["dead_letter_id"] for one in self.letters()}
        (row,) = self.house.sql(f"SELECT name, since FROM customer WHERE source_id = '{account}'")
        assert str(row[1]) == "2021-02-28", row
        print(f"    {account} {row[0]} is in the ERP, customer since {row[1]}; 14 letters wait")

    def trace(self) -> None:
        _title("One trace, found by a record's key")
        key = self.house.sql("SELECT source_id FROM customer ORDER BY updated_at DESC LIMIT 1")[0][0]
        found = self.house.dative("find", key, "-o", "json").json()["items"]
        assert found, key
        said = self.house.dative("trace", "show", found[0]["execution_id"])
        assert "execute account-to-erp" in said.out, said.out
        assert "upsert" in said.out, said.out
        print(_indented(said.out))

    def tamper(self) -> None:
        _title("One byte of the bundle is flipped on the atom's disk: it is refused, and nothing runs")
        directory = self.house.atom_directory() / "blobs"
        blob = next(
            path for path in directory.rglob("*") if path.is_file() and b'"salesforce.query"' in path.read_bytes()
        )
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        blob.chmod(0o600)
        blob.write_bytes(data)
        execution = self.run(codes=(1, 6))
        failure = execution["failure"]
        assert failure["code"] == "bundle.blob_mismatch", execution
        assert _counts(execution)["read"] == 0
        print(f"    {failure['message']} ({failure['code']})\n    next: {failure['next']}")

    def run(self, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Run the process to its end; returns the execution as the controller has it."""
        self.house.dative("process", "run", PROCESS, "--env", "dev", "--watch", codes=codes)
        newest = self.house.dative("execution", "list", "--env", "dev", "-o", "json").json()["items"][0]
        shown: dict[str, Any] = self.house.dative("execution", "show", newest["execution_id"], "-o", "json").json()
        return shown

    def letters(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.house.dative("dlq", "list", "--env", "dev", "-o", "json").json()["items"]
        return items


def _counts(execution: dict[str, Any]) -> dict[str, int]:
    counts = {name: int(value) for name, value in execution.get("execution", execution)["counts"].items()}
    for name in ("read", "written", "filtered", "returned", "dead_lettered", "masked"):
        counts.setdefault(name, 0)
    explained = counts["written"] + counts["filtered"] + counts["returned"] + counts["dead_lettered"]
    assert counts["read"] == explained, counts
    return counts


def _print_counts(counts: dict[str, int]) -> None:
    print(
        f"    read {counts['read']:,} = written {counts['written']:,} + filtered {counts['filtered']:,}"
        f" + returned {counts['returned']:,} + dead-lettered {counts['dead_lettered']:,}   (masked {counts['masked']:,})"
    )


def _title(text: str) -> None:
    print(f"\n── {text}", flush=True)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines())
