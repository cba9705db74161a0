"""What the validator says about protected fields beyond "it reaches a target": advice, hints, positions, answers.

Decisions on a classified value are not tracked: which arm a document took says something about it, as does a count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from dative.errors import process as codes
from dative.process.catalog import SOURCE_FIELD_OPTIONS
from dative.process.datatypes import DataType
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.identifiers import Identifier, looks_like

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck
    from dative.process.shapes import Step

CLOSE: Final = "Map the fields that the target needs by name (a `map` keeps no others), or list those of the source."


def advice(check: FlowCheck, name: str, state: FieldState) -> str:
    """The next step for a protected value that reaches a target."""
    identifier = _identifier(check, state)
    suggestion = f" ({identifier.kind}: {identifier.advice})" if identifier is not None else ""
    return f'Mask "{name}" before this step{suggestion}, or say in `discloses:` why this target may have it.'


def _identifier(check: FlowCheck, state: FieldState) -> Identifier | None:
    found = (check.classified.identifier(source) or looks_like(source, state.type) for source in sorted(state.sources))
    return next((one for one in found if one is not None), None)


def kept_in_the_clear(check: FlowCheck, state: FieldState, path: Path, what: str) -> None:
    """An error where a protected value would stand in something that is stored or shown as it is. what: 'column "a"'."""
    if state.classes:
        message = f"{what} would hold a classified value ({'/'.join(sorted(state.classes))})"
        check.report.value(codes.CLASSIFIED_UNMASKED, message, path)


def unclassified(check: FlowCheck, step: Step, known: Mapping[str, DataType]) -> None:
    """A warning for each source field whose name looks like an identifier and of which nothing was said."""
    for name, kind in known.items():
        identifier = None if check.classified.looked_at(name) else looks_like(name, kind)
        if identifier is not None:
            check.report.warn(
                codes.UNCLASSIFIED_IDENTIFIER,
                f'"{name}" looks like {identifier.what.partition(":")[0].lower()} and is not classified',
                _place(step, name),
                next_step=f"Classify it (phi or pii) and mask it with {identifier.advice}; or, if somebody looked and it "
                f"is none: `classify: {{none: [{name}]}}`.",
            )


def _place(step: Step, name: str) -> Path:
    """Where the source step lists the field; the step itself where it does not."""
    here: Path = ("spec", "source", step.verb)
    options = _options(step)
    for option in SOURCE_FIELD_OPTIONS:
        listed = options.get(option)
        if isinstance(listed, list) and name in listed:
            return (*here, option, listed.index(name))
        if isinstance(listed, dict) and name in listed:
            return (*here, option, name)
    return here


def position(check: FlowCheck, step: Step) -> None:
    """Invariant 6: what a read resumes from is stored at the target and told to the controller."""
    options, verb = _options(step), step.verb
    named: list[tuple[Path, str]] = [(("spec", "source", verb, "key"), key) for key in options.get("key") or ()]
    incremental = options.get("incremental")
    if isinstance(incremental, dict):
        named.append((("spec", "source", verb, "incremental", "field"), str(incremental.get("field", ""))))
        named += [(("spec", "source", verb, "incremental", "key"), key) for key in incremental.get("key") or ()]
    for path, name in named:
        if name in check.classified:
            kinds = "/".join(sorted(check.classified.classes(name)))
            message = f'"{name}" is {kinds} and would be part of the position that is saved'
            check.report.value(codes.CLASSIFIED_POSITION, message, path)


def _options(step: Step) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], getattr(step.settings, "options", {}))


def told_back(names: Iterable[str], options: Mapping[str, Any], fields: Fields) -> dict[str, FieldState]:
    """Each name behind `result.`: a target tells of what it was given, of a protected value that it may have too.

    `id` is the first of the columns asked for, else of the key; where the options do not say which, it may be any.
    """
    told = {}
    for name in names:
        chosen = (options.get("result_columns") or options.get("key") or ()) if name == "id" else (name,)
        of = [str(chosen[0])] if chosen and name == "id" else [str(one) for one in chosen] or fields.names()
        states = [state for one in of if (state := fields.fields.get(one)) is not None]
        classes = frozenset[Any]().union(*(state.classes for state in states))
        told[name] = FieldState(classes=classes, carried=classes)
    return told
