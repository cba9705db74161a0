"""The outcome of a dry run as text: what an atom answers, shown by both command lines alike.

The outcome is JSON: state, failure, counts, cut, links, targets (step -> counts, reasons, notes), documents (step, outcome,
changed, before, after, code, reason) and dead_letters (step, code, field, reason). Classified values are not in it.
"""

from __future__ import annotations

from typing import Any, Final

PURPOSE: Final = "dative/dry-run/v1"
"""What the sealed outcome is sealed for; the other part is the process' name."""
ANSWERS: Final = ("change", "no_change", "cannot_know", "rejected")


def lines(outcome: dict[str, Any]) -> list[str]:
    """Totals, then each target with why it can not know, then the documents field by field."""
    counts = outcome["counts"]
    told = [f"{counts[name]} {name.replace('_', '-')}" for name in ("read", "written", "filtered", "dead_lettered")]
    found = [", ".join(told) + (" (there is more; see --documents)" if outcome["cut"] else "")]
    if outcome["failure"]:
        found.append(f"would fail: {outcome['failure']['message']} ({outcome['failure']['code']})")
    found += [f"note: {note}" for note in outcome.get("notes", ())]
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
