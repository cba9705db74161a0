"""Every function of the language: allow-list, reference page and completion all come from here.

The lines stand in `library`. Each is a signature, what it does, and an example with its result; a test runs every
example in the engine's database. A function that is not here does not exist, whatever the database knows.

Signature: `name(a: type, b?: type, *rest: type, word => type) -> type`. `?` may be left out, `*` is any number, `=>` is
named and may be left out, `!` is named and needed. `const`: a literal. `<=n`: a literal of at most n, because memory
limits do not bound what these build. `@a`: the type of argument a.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from dative.process.library import TABLE, Category

Volatility = Literal["pure", "per execution", "table", "set"]
"""set: the value depends on the documents that are together in a batch, or in the list of an `each`."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function."""

    name: str
    type: str
    optional: bool = False
    variadic: bool = False
    named: bool = False
    constant: bool = False
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """One function. own: the engine compiles it itself. grows: its result may be longer than its arguments."""

    name: str
    category: Category
    signature: str
    parameters: tuple[Parameter, ...]
    returns: str
    doc: str
    example: str
    result: str
    grows: bool = False
    volatility: Volatility = "pure"
    own: bool = field(default=False)

    @property
    def positional(self) -> tuple[Parameter, ...]:
        return tuple(parameter for parameter in self.parameters if not parameter.named)

    @property
    def named(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters if parameter.named}


_PARAMETER = re.compile(r"(\*?)(\w+|…)([?!]?)\s*(:|=>)\s*(const )?(\w+)(?:<=(\d+))?")

_GROWS = frozenset(("replace", "regexp_replace"))
_VOLATILITY: dict[str, Volatility] = {
    "currency": "table",
    "xref": "table",
    "lookup": "table",
    "sequence": "table",
    "cache": "table",
    "param": "per execution",
    "property": "per execution",
    "today": "per execution",
}
_OF_THE_ENGINE = """
    kana precision round_currency number_format date_add local_date format_timestamp today
    list_count list_get list_join list_distinct pluck parse_json
"""
_COMPILED = frozenset(_OF_THE_ENGINE.split())
"""What the engine writes itself, beside the functions of the category `own` and those over sets."""


def _function(category: Category, signature: str, doc: str, example: str, result: str) -> Function:
    name, _, rest = signature.partition("(")
    inside, _, returns = rest.rpartition(") -> ")
    parameters = tuple(
        Parameter(
            name=found[2],
            type=found[6],
            optional=found[3] == "?" or (found[4] == "=>" and found[3] != "!"),
            variadic=bool(found[1]),
            named=found[4] == "=>",
            constant=bool(found[5]),
            most=int(found[7]) if found[7] else None,
        )
        for found in _PARAMETER.finditer(inside)
    )
    return Function(
        name=name,
        category=category,
        signature=signature.replace("const ", "").replace("!", ""),
        parameters=parameters,
        returns=returns,
        doc=doc,
        example=example,
        result=result,
        grows=name in _GROWS,
        volatility="set" if category == "set" else _VOLATILITY.get(name, "pure"),
        own=category in ("own", "set") or name in _COMPILED,
    )


FUNCTIONS: dict[str, Function] = {found.name: found for found in (_function(*row) for row in TABLE)}
"""Every function by its name, in lower case, in the order of the reference."""

PROPERTIES: dict[str, tuple[str, str]] = {
    "execution.id": ("text", "Id of the execution."),
    "execution.started_at": ("timestamp", "When it started, UTC; the same after a resume."),
    "process.name": ("text", "Name of the process."),
    "environment.name": ("text", "Name of the environment."),
}
"""What property() reads: name -> (type, description)."""
