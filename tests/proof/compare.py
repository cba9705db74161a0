"""`python -m tests.proof.compare CASE.json`: do receipts, targets and source agree? A program of its own.

It imports nothing of Dative: it reads receipts as `dative-atom execution receipts --output csv` prints them, asks the
databases themselves, and prints each difference. Exit code 0: none. The case is a JSON object:

    {"receipts": ["receipts.csv", …], "key": "key.id",
     "source": {"url": …, "all": SELECT of every key, "left_out": SELECT of the keys that the process leaves out},
     "targets": {step: {"url": …, "state": SELECT of the keys it has, "effects": SELECT of a key for each effect}}}
"""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

SQLITE = "sqlite:///"
SHOWN = 20
Keys = Counter[str]


def keys(url: str, query: str) -> Keys:
    """How often the query gives which key."""
    if url.startswith(SQLITE):
        connection = sqlite3.connect(url.removeprefix(SQLITE))
        try:
            return Counter(str(row[0]) for row in connection.execute(query))
        finally:
            connection.close()
    with psycopg.connect(url) as postgres:
        return Counter(str(row[0]) for row in postgres.execute(query).fetchall())


def told(files: list[str], key: str) -> dict[str, dict[str, Keys]]:
    """Outcome -> step -> how often receipts tell it of which key."""
    found: dict[str, dict[str, Keys]] = defaultdict(lambda: defaultdict(Counter))
    for file in files:
        with Path(file).open(newline="", encoding="utf-8") as lines:
            for receipt in csv.DictReader(lines):
                found[receipt["outcome"]][receipt["step"]][receipt[key]] += 1
    return found


def differences(case: dict[str, Any]) -> Iterator[str]:
    """In sentences."""
    receipts = told(case["receipts"], case["key"])
    applied = receipts["applied"]
    for step, target in case["targets"].items():
        yield from _of_target(step, target, applied[step])
    source = case["source"]
    every, left_out = keys(source["url"], source["all"]), keys(source["url"], source["left_out"])
    stopped = {key for outcome in ("parked", "rejected", "unknown") for of in receipts[outcome].values() for key in of}
    for key in every:
        has = [step for step in case["targets"] if applied[step][key]]
        everywhere = len(has) == len(case["targets"])
        if left_out[key] and (has or key in stopped):
            yield f"{key} is left out, and there are receipts of it"
        elif not (left_out[key] or everywhere or key in stopped):
            yield f"{key} is lost: receipts know it of {', '.join(has) or 'no target'}, and nothing says why"
    strange = {key for of in applied.values() for key in of} | stopped
    yield from (f"receipts know {key}, the source does not" for key in sorted(strange - set(every)))


def _of_target(step: str, target: dict[str, str], applied: Keys) -> Iterator[str]:
    state, effects = keys(target["url"], target["state"]), keys(target["url"], target["effects"])
    for key in sorted(state.keys() | effects.keys() | applied.keys()):
        if effects[key] > 1:
            yield f"{step} had {effects[key]} effects of {key}"
        if not state[key] == min(effects[key], 1) == min(applied[key], 1) or effects[key] != applied[key]:
            yield f"{step} has {state[key]} of {key}, counted {effects[key]} effects, receipts tell {applied[key]}"


def main(arguments: list[str]) -> int:
    """Print at most SHOWN differences and how many there are."""
    found = list(differences(json.loads(Path(arguments[0]).read_text(encoding="utf-8"))))
    for line in found[:SHOWN]:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{len(found)} differences\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
