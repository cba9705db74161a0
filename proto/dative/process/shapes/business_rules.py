"""business_rules: many named conditions about a document; everything that does not hold is told at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from dative.errors import process as codes
from dative.process.datatypes import TEXT
from dative.process.fields import Fields, FieldState
from dative.process.findings import Path
from dative.process.scalars import FieldName, Name, Sql
from dative.process.shapes.base import Settings, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

RULES_MAX = 200
DEPTH_MAX = 4
TOLD_CHARACTERS_MAX = 1_000
_Message = Annotated[str, Field(min_length=1, max_length=300)]


class RuleSettings(Settings):
    """One rule, or a group of them: `check` is a condition; of `all` each must hold, of `any` at least one.

    A group of `any` is told as one; of a group of `all` the rules that do not hold are.
    """

    name: Name = Field(description="Stands before the message, and in the counts.")
    check: Sql | None = Field(None, description="A condition that holds for a good document; NULL does not hold.")
    all: tuple[RuleSettings, ...] = Field((), description="Rules that must all hold.")
    any: tuple[RuleSettings, ...] = Field((), description="Rules of which one must hold.")
    message: _Message = Field("does not hold", description="What people read when it does not hold.")
    severity: Literal["error", "warning"] = Field("error", description="Of the rules of a group, the group's counts.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.check is not None) + bool(self.all) + bool(self.any) != 1:
            raise ValueError("a rule has exactly one of check, all and any")
        return self

    def told(self) -> Iterator[RuleSettings]:
        """The rules that are told by themselves: itself, or those of a group of `all`."""
        if not self.all:
            yield self
        for rule in self.all:
            yield from rule.model_copy(update={"severity": self.severity}).told()


class BusinessRulesSettings(ShapeSettings):
    """Checks each document against all rules; what does not hold is told together, `name: message; name: message`.

    A document with an error fails, with all of its errors in one reason; with `into`, the text of errors and warnings
    goes into that field, NULL where there is none, and with `errors: keep` such documents go on too. How often each rule
    did not hold is counted in the execution's report.
    """

    shape: Literal["business_rules"] = "business_rules"
    rules: tuple[RuleSettings, ...] = Field(min_length=1, max_length=RULES_MAX, description="All of them must hold.")
    into: FieldName | None = Field(None, description="The field that gets what does not hold; warnings need it.")
    errors: Literal["fail", "keep"] = Field("fail", description="What becomes of a document with an error.")

    @model_validator(mode="after")
    def _told_somewhere(self) -> Self:
        told = [rule for outer in self.rules for rule in outer.told()]
        if self.into is None and (self.errors == "keep" or any(rule.severity == "warning" for rule in told)):
            raise ValueError("warnings, and errors that are kept, need a field: into")
        names = [rule.name for rule in _walk(self.rules)]
        if len(names) > RULES_MAX or len(names) != len(set(names)):
            raise ValueError(f"at most {RULES_MAX} rules with groups and all, each with a name of its own")
        if _depth(self.rules) > DEPTH_MAX:
            raise ValueError(f"groups stand at most {DEPTH_MAX} deep")
        return self

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        self._conditions(self.rules, (*path, step.verb, "rules"), fields, check)
        if self.into is None:
            return fields
        if self.into.startswith("_"):
            message = f'"{self.into}" can not be a field: it begins with _'
            check.report.value(codes.RESERVED_FIELD, message, (*path, step.verb, "into"))
        # Messages are written out in the process: they hold no value, and so no class.
        return replace(fields, fields={**fields.fields, self.into: FieldState(TEXT)})

    def _conditions(self, rules: tuple[RuleSettings, ...], path: Path, fields: Fields, check: FlowCheck) -> None:
        for index, rule in enumerate(rules):
            here = (*path, index)
            if rule.check is not None:
                check.condition(rule.check, (*here, "check"), fields)
            self._conditions(rule.all, (*here, "all"), fields, check)
            self._conditions(rule.any, (*here, "any"), fields, check)


def _walk(rules: tuple[RuleSettings, ...]) -> Iterator[RuleSettings]:
    for rule in rules:
        yield rule
        yield from _walk((*rule.all, *rule.any))


def _depth(rules: tuple[RuleSettings, ...]) -> int:
    return 1 + max((_depth((*rule.all, *rule.any)) for rule in rules), default=-1)
