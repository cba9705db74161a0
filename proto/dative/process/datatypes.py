"""The data types of a field, and how they combine. Knows no SQL dialect and no engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "any", "text", "integer", "decimal", "double", "boolean", "date", "timestamp", "time", "binary", "json", "interval",
    "list", "struct",
]  # fmt: skip
PRECISION_MAX = 38
INTEGER_DIGITS = 19
"""Of 64 bits."""
DEPTH_MAX = 6
"""How deep lists and structs may stand in one another."""
FIELDS_MAX = 1000
"""Fields of one struct, those of the structs inside it included."""

_DECIMAL = re.compile(r"decimal\(\s*([0-9]{1,2})\s*,\s*([0-9]{1,2})\s*\)")
_TEXT = re.compile(r"text\(\s*([0-9]{1,9})\s*\)")
_WORD = re.compile(
    r"\s*(?:(?P<plain>(?:decimal|text)\([^()]{1,20}\)|\w+)|(?P<quoted>\"(?:[^\"]|\"\")+\")|(?P<sign>[(){}:,]))"
)


@dataclass(frozen=True, slots=True)
class DataType:
    """One type. precision, scale: of decimals; precision of a text: its characters at most, 0 where there is no bound;
    precision of an integer that is written out: its digits, 0 for every other one.

    item: of lists. fields: of structs, in their order. `any`: not known before the first document. Timestamps are UTC.
    """

    kind: Kind
    precision: int = 0
    scale: int = 0
    item: DataType | None = None
    fields: tuple[tuple[str, DataType], ...] = ()

    def __str__(self) -> str:
        if self.kind == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.kind == "text" and self.precision:
            return f"text({self.precision})"
        if self.kind == "list":
            return f"list({self.item})"
        if self.kind == "struct":
            return f"{{{', '.join(f'{_named(name)}: {kind}' for name, kind in self.fields)}}}"
        return self.kind

    @property
    def known(self) -> bool:
        return self.kind != "any"

    @property
    def nested(self) -> bool:
        return self.kind in ("list", "struct")

    @property
    def is_number(self) -> bool:
        return self.kind in ("integer", "decimal", "double")

    @property
    def whole_digits(self) -> int:
        """Digits before the point, of a number that is no double."""
        return (self.precision or INTEGER_DIGITS) if self.kind == "integer" else self.precision - self.scale

    @property
    def unsized(self) -> DataType:
        """The type of a field that may hold other values too: an integer with any digits."""
        return INTEGER if self.kind == "integer" else self

    @property
    def is_temporal(self) -> bool:
        return self.kind in ("date", "timestamp")


ANY = DataType("any")
TEXT = DataType("text")
INTEGER = DataType("integer")
DOUBLE = DataType("double")
BOOLEAN = DataType("boolean")
DATE = DataType("date")
TIMESTAMP = DataType("timestamp")
TIME = DataType("time")
BINARY = DataType("binary")
JSON = DataType("json")
INTERVAL = DataType("interval")
_PLAIN: dict[str, DataType] = {
    t.kind: t for t in (ANY, TEXT, INTEGER, DOUBLE, BOOLEAN, DATE, TIMESTAMP, TIME, BINARY, JSON, INTERVAL)
}


def decimal(precision: int, scale: int) -> DataType:
    """decimal(precision, scale), cut to what the engine holds. Raises ValueError when scale > precision."""
    if not 0 <= scale <= precision:
        raise ValueError("decimal(p,s) needs 0 <= s <= p")
    return DataType("decimal", min(precision, PRECISION_MAX), min(scale, PRECISION_MAX))


def list_of(item: DataType) -> DataType:
    return DataType("list", item=item)


def struct_of(fields: dict[str, DataType]) -> DataType:
    return DataType("struct", fields=tuple(fields.items()))


def parse_type(text: str) -> DataType:
    """A type from its text, as profiles write it: "text", "decimal(18,2)", "list({sku: text, qty: integer})".

    Raises ValueError.
    """
    if plain := _PLAIN.get(text.strip()):
        return plain
    return _Reader(text).whole()


class _Reader:
    """Reads the text of one type, its depth and its fields counted as they come."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words: list[str] = []
        place = 0
        while text[place:].strip() and (found := _WORD.match(text, place)) is not None:
            self._words.append(found[0].strip())
            place = found.end()
        if text[place:].strip() or len(self._words) > 6 * FIELDS_MAX:
            raise self._wrong()
        self._words.reverse()
        self._fields = 0

    def _wrong(self) -> ValueError:
        return ValueError(
            f'"{self._text[:60]}" is no type: text, integer, decimal(p,s), double, boolean, date, timestamp, list(…), …'
        )

    def whole(self) -> DataType:
        found = self._one(0)
        if self._words:
            raise self._wrong()
        return found

    def _next(self, wanted: str = "") -> str:
        word = self._words.pop() if self._words else ""
        if not word or (wanted and word != wanted):
            raise self._wrong()
        return word

    def _one(self, depth: int) -> DataType:
        if depth > DEPTH_MAX:
            raise ValueError(f"a type is nested at most {DEPTH_MAX} deep")
        word = self._next()
        if word == "{":
            return self._struct(depth)
        if word == "list":
            self._next("(")
            item = self._one(depth + 1)
            self._next(")")
            return list_of(item)
        found = _DECIMAL.fullmatch(word)
        if found:
            return decimal(int(found[1]), int(found[2]))
        found = _TEXT.fullmatch(word)
        if found:
            return DataType("text", int(found[1]))
        plain = _PLAIN.get(word)
        if plain is None:
            raise self._wrong()
        return plain

    def _struct(self, depth: int) -> DataType:
        fields: dict[str, DataType] = {}
        while True:
            word = self._next()
            name = word[1:-1].replace('""', '"') if word.startswith('"') else word
            self._next(":")
            self._fields += 1
            if name in fields or not name or word in "(){}:," or self._fields > FIELDS_MAX:
                raise self._wrong()
            fields[name] = self._one(depth + 1)
            if self._next() == "}":
                return struct_of(fields)


def _named(name: str) -> str:
    return name if re.fullmatch(r"\w+", name) else '"' + name.replace('"', '""') + '"'


def joined(first: DataType, second: DataType) -> DataType | None:
    """The type of a value that is either; None when the two do not fit together."""
    if first == second:
        return first
    if not (first.known and second.known):
        return ANY
    if first.kind == second.kind == "text":
        return (
            DataType("text", max(first.precision, second.precision)) if first.precision and second.precision else TEXT
        )
    if first.is_number and second.is_number:
        return _joined_numbers(first, second)
    if first.is_temporal and second.is_temporal:
        return TIMESTAMP
    if first.nested and first.kind == second.kind:
        return _joined_nested(first, second)
    return JSON if {first.kind, second.kind} == {"json", "text"} else None


def _joined_nested(first: DataType, second: DataType) -> DataType | None:
    if first.kind == "list":
        item = joined(first.item or ANY, second.item or ANY)
        return None if item is None else list_of(item)
    one, other = dict(first.fields), dict(second.fields)
    if one.keys() != other.keys():
        return None
    both = {name: joined(kind, other[name]) for name, kind in one.items()}
    return None if None in both.values() else struct_of({name: kind or ANY for name, kind in both.items()})


def _joined_numbers(first: DataType, second: DataType) -> DataType:
    if "double" in (first.kind, second.kind):
        return DOUBLE
    if first.kind == second.kind == "integer":
        return (
            DataType("integer", max(first.precision, second.precision))
            if first.precision and second.precision
            else INTEGER
        )
    scale = max(first.scale, second.scale)
    whole = max(first.whole_digits, second.whole_digits)
    return decimal(min(whole + scale, PRECISION_MAX), scale)


def fits(wanted: str, given: DataType) -> bool:
    """Whether a value of type `given` can stand where a function's signature says `wanted`."""
    if not given.known or wanted == "any" or wanted == given.kind:
        return True
    accepted = {
        "number": given.is_number,
        "decimal": given.is_number,
        "double": given.is_number,
        "temporal": given.is_temporal,
        "date": given.is_temporal,
        "timestamp": given.is_temporal,
        "text": given.kind == "json",
        "json": given.kind == "text",
        "binary": given.kind == "text",
    }
    return accepted.get(wanted, False)
