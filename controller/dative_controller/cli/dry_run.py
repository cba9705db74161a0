"""`dative process dry-run`: asks an atom, opens its sealed answer on this machine, and shows what would change.

The answer crosses sealed to a key that lives for one call; nothing of it is stored here. Classified values never come.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from dative_controller.cli.app import App
from dative_controller.cli.output import Column

if TYPE_CHECKING:
    from dative.v1.control_pb2 import ControlDryRunRequest

PURPOSE = "dative/dry-run/v1"
ANSWERS = ("change", "no_change", "cannot_know", "rejected")


def show(app: App, request: ControlDryRunRequest) -> None:
    """Exit 1 when the execution would fail as a whole, 8 when documents of it would."""
    from dative.secrets import SealKey, open_sealed, seal_info
    from dative.v1.control_pb2 import ControlDryRunResponse

    reader = SealKey.generate()
    request.reader_public_key = reader.public_raw
    answer = app.client.read("ExecutionService/DryRun", request, ControlDryRunResponse)
    outcome = json.loads(open_sealed(answer.sealed_outcome, reader, seal_info(PURPOSE, request.process)))
    if app.out.is_table:
        for line in lines(outcome):
            click.echo(line)
    else:
        app.out.item("DryRun", {"process": request.process, "atom": answer.atom, **outcome}, columns(), name="process")
    app.say(f"  nothing was written; dative process run {request.process} does it")
    if outcome["failure"]:
        click.get_current_context().exit(1)
    if outcome["counts"]["dead_lettered"]:
        click.get_current_context().exit(8)


def columns() -> list[Column]:
    return [("process", "process"), ("atom", "atom"), ("state", "state")]


def lines(outcome: dict[str, Any]) -> list[str]:
    """Totals, then each target with why it can not know, then the documents field by field."""
    counts = outcome["counts"]
    told = [f"{counts[name]} {name.replace('_', '-')}" for name in ("read", "written", "filtered", "dead_lettered")]
    found = [", ".join(told) + (" (there is more; see --documents)" if outcome["cut"] else "")]
    if outcome["failure"]:
        found.append(f"would fail: {outcome['failure']['message']} ({outcome['failure']['code']})")
    for step, target in outcome["targets"].items():
        answers = [f"{target['counts'][one]} {one.replace('_', ' ')}" for one in ANSWERS if target["counts"].get(one)]
        found.append(f"{step}: {', '.join(answers) or 'nothing'}")
        found += [f"  {number} because {reason}" for reason, number in target["reasons"].items()]
        found += [f"  note: {note}" for note in target["notes"]]
        found += [line for one in outcome["documents"] if one["step"] == step for line in _document(one)]
    for letter in outcome["dead_letters"]:
        field = f", field {letter['field']}" if letter["field"] else ""
        found.append(f"dead letter: {letter['reason']} ({letter['code']} at {letter['step']}{field})")
    return found


def _document(one: dict[str, Any]) -> list[str]:
    if one["outcome"] == "no_change":
        return []
    if one["outcome"] != "change":
        return [f"  {one['outcome'].replace('_', ' ')}: {_values(one['after'])}"]
    if one["before"] is None:
        return [f"  + {_values(one['after'])}"]
    changed = [
        f"{name}: {_value(one['before'].get(name))} → {_value(one['after'].get(name))}" for name in one["changed"]
    ]
    return [f"  ~ {', '.join(changed)}"]


def _values(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{name}: {_value(value)}" for name, value in (values or {}).items())


def _value(value: Any) -> str:
    """Never a control character of a document on somebody's terminal."""
    if value is None:
        return "∅"
    return "".join(char if char.isprintable() else "·" for char in str(value))[:80]
