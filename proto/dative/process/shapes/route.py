"""route: sends each document along the way that the value of an expression names."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dative.errors import process as codes
from dative.process.datatypes import DataType
from dative.process.fields import Fields, together
from dative.process.findings import Path
from dative.process.scalars import Sql
from dative.process.shapes.base import Form, ShapeSettings
from dative.process.shapes.step import Step

if TYPE_CHECKING:
    from dative.process.flow import FlowCheck

ROUTES_MAX = 100


class RouteSettings(ShapeSettings):
    """Sends each document along the route of a value; all routes come together again after it, in no promised order.

    The values are read as what the expression gives: `10` and `10.0` are one decimal. NULL, and a value that no route
    names, take `default`; without a `default` they go on as they are.
    """

    FORM: ClassVar[Form] = Form(
        value="value",
        beside={"routes": "routes", "default": "default"},
        nested={"routes": "routes", "default": "steps"},
    )

    shape: Literal["route"] = "route"
    value: Sql = Field(description="An expression; its value names the route.")
    routes: dict[str, tuple[Step, ...]] = Field(
        min_length=1,
        max_length=ROUTES_MAX,
        description="Value: steps of its documents. No step: they go on as they are.",
    )
    default: tuple[Step, ...] = Field(default=(), description="Steps of the documents whose value no route names.")

    def follow(self, step: Step, path: Path, fields: Fields, check: FlowCheck) -> Fields:
        kind = check.value(self.value, (*path, step.verb), fields).type
        for index, key in enumerate(self.routes):
            here = (*path, "routes", key)
            if index == ROUTES_MAX:
                check.report.key(codes.WRONG_VALUE, f"a route has at most {ROUTES_MAX} values", here)
            if not reads_as(key, kind):
                check.report.key(codes.WRONG_VALUE, f'"{key[:60]}" is no {kind}, which the expression gives', here)
        return together(check.steps(steps, (*path, *place), fields) for place, steps in self.arms(step.verb))


def reads_as(text: str, kind: DataType) -> bool:
    """Whether a value written in a key can be one of that type; what is not known is left to the engine."""
    try:
        if kind.kind == "integer":
            int(text)
        elif kind.kind in ("decimal", "double"):
            Decimal(text)
        elif kind.kind == "boolean":
            return text.lower() in ("true", "false")
        elif kind.kind == "date":
            date.fromisoformat(text)
        elif kind.kind == "timestamp":
            datetime.fromisoformat(text)
    except (ValueError, InvalidOperation):
        return False
    return True
