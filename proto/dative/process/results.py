"""The types of those functions whose result follows from more than their signature, and what must hold for them."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from dative.errors import expression as codes
from dative.errors.base import Code
from dative.process import datatypes as types
from dative.process.currencies import ROUNDINGS, minor_units
from dative.process.datatypes import DataType
from dative.process.findings import nearest
from dative.process.functions import FUNCTIONS, PROPERTIES
from dative.process.kana import FORMS
from dative.process.patterns import pattern_problem
from dative.process.problems import literal_text

NUMBER_PRECISION = 38
NUMBER_SCALE = 6
CURRENCY_PRECISION = 38
KEYS_MAX = 8
CALENDAR_PARTS = frozenset(("year", "quarter", "month", "week", "day"))
CLOCK_PARTS = frozenset(("hour", "minute", "second"))

_CURRENCY = re.compile(r"[A-Z]{3}")
_DIRECTIVE = re.compile(r"%(-?.|$)")
_OWN_PROPERTY = re.compile(r"(document|process|persisted)\.")
_DATE_DIRECTIVES = frozenset(["d", "m", "Y", "y", "b", "B", "a", "A", "j", "-d", "-m", "-y", "%"])
_TIME_DIRECTIVES = _DATE_DIRECTIVES | frozenset(["H", "I", "M", "S", "f", "p", "z", "-H", "-I", "-M", "-S", "g", "n"])
_LOOKUPS = ("xref", "lookup", "currency", "cache")
_SETS = frozenset(name for name, function in FUNCTIONS.items() if function.volatility == "set" or name == "sequence")


def property_key(name: str) -> str:
    """Under which key the type of a property that the process sets stands among the types of the fields."""
    return f"property:{name}"


def parameter_key(name: str) -> str:
    """Stands among the types of the fields where `name` is a parameter of a function of the process' own."""
    return f"parameter:{name}"


@dataclass(frozen=True)
class Called:
    """A call as its function sees it."""

    arguments: list[exp.Expr]
    named: Mapping[str, exp.Expr]
    node: exp.Expr

    @property
    def name(self) -> str:
        return str(self.node.name).lower()


class Results:
    """One method a function, `result_<name>`."""

    @abstractmethod
    def of(self, node: exp.Expr | None) -> DataType:
        """The type of an expression below."""

    @abstractmethod
    def wrong(self, message: str, node: exp.Expr, code: Code = codes.WRONG_TYPE) -> None:
        """One problem more."""

    @abstractmethod
    def given(self, node: exp.Expr) -> bool:
        """A parameter of the function that is declared: a literal may come in its place."""

    @abstractmethod
    def property_type(self, name: str) -> DataType:
        """The type of a property that the process sets."""

    @abstractmethod
    def zone(self, node: exp.Expr) -> None:
        """A problem where the node is no IANA zone."""

    def result_round(self, call: Called) -> DataType:
        kind, digits = self.of(call.arguments[0]), call.arguments[1].name if len(call.arguments) > 1 else "0"
        if kind.kind != "decimal" or not digits.isdigit():
            return types.ANY if kind.kind == "decimal" else kind
        return self._rounded(call, min(int(digits), kind.scale))

    def result_currency(self, call: Called) -> DataType:
        self._plain_keys([*call.arguments[1:3], *([call.named["on"]] if "on" in call.named else [])])
        for argument in call.arguments[1:3]:
            code = literal_text(argument)
            if code is not None and not _CURRENCY.fullmatch(code):
                self.wrong(f"'{code[:20]}' is no currency code such as 'EUR'", argument, codes.WRONG_ARGUMENTS)
        self._rounding(call)
        target = literal_text(call.arguments[2])
        return types.decimal(CURRENCY_PRECISION, minor_units(target) if target else max(4, NUMBER_SCALE))

    def _plain_keys(self, keys: list[exp.Expr]) -> None:
        # Lookups are joins over the batch, all at once: the key of one can not wait for the answer of another.
        for key in keys:
            if any(call.name.lower() in _LOOKUPS for call in key.find_all(exp.Anonymous)):
                message = "a lookup by a value that is itself looked up; compute that in a map before"
                self.wrong(message, key, codes.WRONG_ARGUMENTS)

    def result_date(self, call: Called) -> DataType:
        self._formats(call.arguments[1:], _DATE_DIRECTIVES)
        return types.DATE

    def result_timestamp(self, call: Called) -> DataType:
        self._formats(call.arguments[1:], _TIME_DIRECTIVES)
        self._one_of(call, "gap", ("error", "shift"))
        self._one_of(call, "fold", ("later", "earlier", "error"))
        if "zone" in call.named:
            self.zone(call.named["zone"])
        elif "gap" in call.named or "fold" in call.named:
            self.wrong("gap and fold are of a zone: say zone => …", call.node, codes.WRONG_ARGUMENTS)
        return types.TIMESTAMP

    def _formats(self, nodes: list[exp.Expr], known: frozenset[str]) -> None:
        for node in nodes:
            text = literal_text(node)
            if text is None:
                continue  # told as an argument that must be written out
            used = set(_DIRECTIVE.findall(text))
            for directive in sorted(used - known):
                self.wrong(f"%{directive} is no part of a format here", node, codes.WRONG_ARGUMENTS)
            used = {directive.lstrip("-") for directive in used}
            if not ({"d", "m"} <= used or {"d", "b"} <= used or {"d", "B"} <= used or "j" in used) or not used & {
                "Y",
                "y",
            }:
                message = f"the format '{text[:40]}' leaves day, month or year open"
                self.wrong(message, node, codes.AMBIGUOUS_DATE)

    def result_number(self, call: Called) -> DataType:
        scale = call.named.get("scale")
        digits = int(scale.name) if isinstance(scale, exp.Literal) and scale.name.isdigit() else NUMBER_SCALE
        if digits > 18:
            self.wrong("scale is 0..18", call.node, codes.WRONG_ARGUMENTS)
        return types.decimal(NUMBER_PRECISION, min(digits, 18))

    def result_xref(self, call: Called) -> DataType:
        return self._looked_up(call)

    def result_lookup(self, call: Called) -> DataType:
        return self._looked_up(call)

    def _looked_up(self, call: Called) -> DataType:
        keys = [name for name in call.named if name not in ("want", "missing")]
        if not 1 <= len(keys) <= KEYS_MAX:
            message = f"{call.name}() needs 1 to {KEYS_MAX} key columns, <column> => <expression>; it has {len(keys)}"
            self.wrong(message, call.node, codes.WRONG_ARGUMENTS)
        self._plain_keys([call.named[name] for name in keys])
        if literal_text(call.named.get("missing")) not in (None, "error", "null"):
            self.wrong("missing is 'error' or 'null'", call.node, codes.WRONG_ARGUMENTS)
        return types.TEXT

    def result_cache(self, call: Called) -> DataType:
        if "key" in call.named:
            self._plain_keys([call.named["key"]])
        if literal_text(call.named.get("missing")) not in (None, "error", "null"):
            self.wrong("missing is 'error' or 'null'", call.node, codes.WRONG_ARGUMENTS)
        return types.ANY

    def result_property(self, call: Called) -> DataType:
        name = literal_text(call.arguments[0])
        if name is not None and _OWN_PROPERTY.match(name) and name not in PROPERTIES:
            # Whether a step sets it is the validator's; its type comes with those of the fields.
            return self.property_type(name)
        if name is not None and name not in PROPERTIES:
            self.wrong(f"no property '{name[:60]}'{nearest(name, PROPERTIES)}", call.node, codes.WRONG_ARGUMENTS)
        return types.parse_type(PROPERTIES[name][0]) if name in PROPERTIES else types.ANY

    # Numbers.

    def result_precision(self, call: Called) -> DataType:
        self._rounding(call)
        digits = call.arguments[1].name
        return self._rounded(call, int(digits) if digits.isdigit() else 0)

    def result_round_currency(self, call: Called) -> DataType:
        self._rounding(call)
        currency = literal_text(call.arguments[1])
        return self._rounded(call, minor_units(currency) if currency else NUMBER_SCALE)

    def _rounded(self, call: Called, scale: int) -> DataType:
        """A number with `scale` digits after the point, and before it as many as the value has.

        The one value that rounds up into one digit more (9.99 to 10.0) is not counted: it takes the catch path, as where
        a target rounds.
        """
        kind = self.of(call.arguments[0])
        if kind.kind not in ("decimal", "integer"):
            return types.decimal(NUMBER_PRECISION, scale)
        return types.decimal(max(min(kind.whole_digits + scale, NUMBER_PRECISION), scale, 1), scale)

    def result_number_format(self, call: Called) -> DataType:
        self._rounding(call)
        pattern = literal_text(call.arguments[1])
        problem = pattern_problem(pattern) if pattern is not None else None
        if problem is not None:
            self.wrong(problem, call.arguments[1], codes.WRONG_ARGUMENTS)
        return types.TEXT

    def _rounding(self, call: Called) -> None:
        self._one_of(call, "rounding", ROUNDINGS)

    def _one_of(self, call: Called, name: str, known: tuple[str, ...]) -> None:
        given = literal_text(call.named.get(name))
        if given is not None and given not in known:
            message = f"{name} is one of {', '.join(known)}{nearest(given[:40], known)}"
            self.wrong(message, call.named[name], codes.WRONG_ARGUMENTS)

    # Dates.

    def result_date_add(self, call: Called) -> DataType:
        kind, part = self.of(call.arguments[0]), literal_text(call.arguments[2])
        if part is not None and part not in CALENDAR_PARTS | CLOCK_PARTS:
            known = sorted(CALENDAR_PARTS | CLOCK_PARTS)
            self.wrong(f"'{part[:40]}' is no part of a date{nearest(part, known)}", call.node, codes.WRONG_ARGUMENTS)
        if "zone" in call.named:
            self.zone(call.named["zone"])
        return types.DATE if kind.kind == "date" and part in CALENDAR_PARTS else types.TIMESTAMP

    def result_local_date(self, call: Called) -> DataType:
        self.zone(call.arguments[1])
        return types.DATE

    def result_format_timestamp(self, call: Called) -> DataType:
        if "zone" in call.named:
            self.zone(call.named["zone"])
        return types.TEXT

    def result_today(self, call: Called) -> DataType:
        if "zone" in call.named:
            self.zone(call.named["zone"])
        return types.DATE

    # Texts and lists.

    def result_kana(self, call: Called) -> DataType:
        form = literal_text(call.arguments[1])
        if form is not None and form not in FORMS:
            self.wrong(f"to is one of {', '.join(FORMS)}", call.arguments[1], codes.WRONG_ARGUMENTS)
        return types.TEXT

    def result_list_get(self, call: Called) -> DataType:
        return self.of(call.arguments[0]).item or types.ANY

    result_list_min = result_list_max = result_list_get

    def result_list_sum(self, call: Called) -> DataType:
        item = self.of(call.arguments[0]).item or types.ANY
        if item.known and not item.is_number:
            self.wrong(f"list_sum() needs a list of numbers, here is a list of {item}", call.node)
        return types.decimal(NUMBER_PRECISION, item.scale) if item.kind == "decimal" else types.ANY

    def result_list_distinct(self, call: Called) -> DataType:
        return self.of(call.arguments[0])

    def result_pluck(self, call: Called) -> DataType:
        item, name = self.of(call.arguments[0]).item or types.ANY, literal_text(call.arguments[1])
        if not item.known or name is None:
            return types.list_of(types.ANY)
        if item.kind != "struct" or name not in dict(item.fields):
            self.wrong(f'the items have no "{name}"{nearest(name, dict(item.fields))}', call.node)
            return types.list_of(types.ANY)
        return types.list_of(dict(item.fields)[name])

    def result_parse_json(self, call: Called) -> DataType:
        written = literal_text(call.arguments[1])
        try:
            return types.parse_type(written) if written is not None else types.ANY
        except ValueError as wrong:
            self.wrong(str(wrong), call.arguments[1], codes.WRONG_ARGUMENTS)
            return types.ANY

    # Over several documents.

    def result_line_number(self, call: Called) -> DataType:
        self._plain_sets(call)
        return types.INTEGER

    result_group_count = result_line_number

    def result_running_total(self, call: Called) -> DataType:
        self._plain_sets(call)
        kind = self.of(call.arguments[0])
        return types.decimal(NUMBER_PRECISION, kind.scale) if kind.kind in ("decimal", "integer") else kind

    result_group_total = result_running_total

    def result_sequence(self, call: Called) -> DataType:
        self._plain_sets(call)
        return types.INTEGER

    def _plain_sets(self, call: Called) -> None:
        # They are computed for all documents before anything else is: nothing that waits for another can go into them.
        for part in (*call.arguments, *call.named.values()):
            if any(inner.name.lower() in (*_LOOKUPS, *_SETS) for inner in part.find_all(exp.Anonymous)):
                message = f"{call.name}() of a value that is itself looked up or counted; compute that in a map before"
                self.wrong(message, part, codes.WRONG_ARGUMENTS)
