"""What a target's fields are, and what a field loses on its way into one: findings before anything runs.

A profile of a target names every field's type as a source's does, with `!` behind it where the field is needed, and
`read_only` where nobody may write it: {"id": "text(18)!", "amount": "decimal(18,2)", "at": "timestamp read_only"}. What
would fail for every document is an error; what would be lost or refused for some is a warning that names the way out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dative.errors import targets as codes
from dative.errors.base import Code
from dative.process.datatypes import DataType, parse_type
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path, nearest
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

_READ_ONLY = " read_only"


@dataclass(frozen=True, slots=True)
class TargetField:
    """One field of a target. required: a document without it is refused. read_only: one that has it is."""

    type: DataType
    required: bool = False
    read_only: bool = False


TargetProfile = Mapping[str, TargetField]


def parse_target(fields: Mapping[str, str]) -> dict[str, TargetField]:
    """A profile from its texts. Raises ValueError for a type that does not exist."""
    return {name: _parsed(text.strip()) for name, text in fields.items()}


def _parsed(text: str) -> TargetField:
    if text.endswith(_READ_ONLY):
        return TargetField(parse_type(text.removesuffix(_READ_ONLY)), read_only=True)
    return TargetField(parse_type(text.removesuffix("!")), text.endswith("!"))


def check_target(step: Step, path: Path, fields: Fields, profile: TargetProfile, check: FlowCheck) -> None:
    """Findings about documents with these fields at a target with that profile. path: of the step."""
    here = (*path, step.verb)
    names = {name.lower(): name for name in profile}
    reaching = {name.lower(): name for name in fields.names()}
    for name, wanted in profile.items():
        if wanted.required and name.lower() not in reaching and not fields.open:
            message = f'{step.verb} needs "{name}" ({wanted.type}), which no step makes{nearest(name, fields.names())}'
            check.report.key(codes.REQUIRED_MISSING, message, here)
    for folded, name in reaching.items():
        if folded not in names:
            message = f'{step.verb} has no field "{name}"{nearest(name, profile)}'
            check.report.key(codes.UNKNOWN_FIELD, message, here)
            continue
        if profile[names[folded]].read_only:
            check.report.key(codes.READ_ONLY, f'{step.verb} can not write "{name}": it is read only', here)
            continue
        for problem in _problems(fields.fields[name], profile[names[folded]]):
            message = f'"{name}" is {fields.fields[name].type}, {step.verb} takes {profile[names[folded]].type}: {problem.why}'
            if problem.certain:
                check.report.key(problem.code, message, here)
            else:
                check.report.warn(problem.code, message, here)


@dataclass(frozen=True, slots=True)
class _Problem:
    """certain: it holds for every document."""

    code: Code
    why: str
    certain: bool = False


def _problems(state: FieldState, wanted: TargetField) -> Iterator[_Problem]:
    given, taken = state.type, wanted.type
    if wanted.required and not given.known and not state.sources and not state.functions:
        yield _Problem(codes.REQUIRED_NULL, "it is NULL, and needed", certain=True)
    if not (given.known and taken.known):
        return
    if given.nested and taken.kind not in (given.kind, "json"):
        yield _Problem(codes.NESTED, "it can not hold that", certain=True)
    elif taken.is_number and given.is_number:
        yield from _numbers(given, taken)
    elif taken.kind == "date" and given.kind == "timestamp":
        yield _Problem(codes.LOSES_TIME, "the time of day is lost")
    elif taken.kind == "text" and taken.precision and given.kind == "text" and given.precision > taken.precision:
        yield _Problem(codes.TOO_LONG, f"{given.precision} characters into {taken.precision}")
    elif given.kind == "text" and not _converts(given, taken):
        yield _Problem(codes.UNREADABLE_TEXT, f"a text that is no {taken.kind} would be refused")
    elif not _converts(given, taken):
        yield _Problem(codes.WRONG_TYPE, "no document would fit", certain=True)


def _numbers(given: DataType, taken: DataType) -> Iterator[_Problem]:
    if taken.kind == "double":
        return
    if given.kind == "double":
        yield _Problem(codes.INEXACT, "a double is not exact")
        return
    scale = 0 if taken.kind == "integer" else taken.scale
    if given.scale > scale:
        yield _Problem(codes.LOSES_SCALE, f"{given.scale} digits after the point into {scale}")
    if given.whole_digits > taken.whole_digits:
        yield _Problem(codes.MAY_OVERFLOW, f"{given.whole_digits} digits before the point into {taken.whole_digits}")


def _converts(given: DataType, taken: DataType) -> bool:
    """Whether a writer makes one of the other without any document failing for it."""
    if given.kind == taken.kind or taken.kind in ("text", "json"):
        return True
    return (given.kind, taken.kind) in (("date", "timestamp"), ("json", "text"), ("text", "binary"))
