"""A model from plain values: what does not fit is reported, left out, and the rest is built without it.

Pydantic checks; this file turns what it says into findings at the right line, in the language's own words, with the
nearest known name. It knows no step and no shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from dative.errors import process as codes
from dative.process.findings import Path, Report, nearest

_Model = TypeVar("_Model", bound=BaseModel)
_PRUNINGS_MAX = 4


class Fitter:
    """Fits values into models and remembers where something was left out."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.partial: set[Path] = set()

    def is_mapping(self, data: Any, path: Path, message: str) -> bool:
        if not isinstance(data, dict):
            self.report.value(codes.WRONG_VALUE, message, path)
            self.partial.add(path)
        return isinstance(data, dict)

    def model(
        self, model: type[_Model], data: Any, path: Path, *, hidden: Iterable[str] = (), wrapped: str = ""
    ) -> _Model | None:
        """An instance of `model`; parts that do not fit are reported and left out. None when nothing is left.

        wrapped: a key of `data` that does not stand in the YAML. hidden: fields that are no keys of the YAML.
        """
        if not self.is_mapping(data, path, f"expected a mapping, found {shown(data)}"):
            return None
        for key in hidden:
            if key in data:
                self.report.key(codes.UNKNOWN_KEY, f'unknown key "{key}"', (*path, key))
                data = {name: value for name, value in data.items() if name != key}
        try:
            return model.model_validate(data)
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False, include_input=False)
        self.partial.add(path)
        for error in (error for error in errors if not _is_echo(error, errors)):
            self._tell(model, data, error, path, hidden, wrapped)
        return self._pruned(model, data, errors)

    def _pruned(self, model: type[_Model], data: Any, errors: Iterable[Any]) -> _Model | None:
        # Taking a wrong part out may leave something missing that encloses it; that goes next, up to the top.
        for _ in range(_PRUNINGS_MAX):
            wrong = {_existing(data, error["loc"]) for error in errors}
            if () in wrong:
                return None
            for path in sorted(wrong, key=_indexes, reverse=True):
                data = _without(data, path)
            try:
                return model.model_validate(data)
            except ValidationError as invalid:
                errors = invalid.errors(include_url=False, include_input=False)
        return None

    def _tell(
        self, model: type[BaseModel], data: Any, error: Any, path: Path, hidden: Iterable[str], wrapped: str
    ) -> None:
        existing = _existing(data, error["loc"])
        here = (*path, *(existing[1:] if wrapped and existing[:1] == (wrapped,) else existing))
        last = error["loc"][-1] if error["loc"] else ""
        if error["type"] == "extra_forbidden":
            known = _keys_at(model, error["loc"][:-1], frozenset(hidden))
            self.report.key(codes.UNKNOWN_KEY, f'unknown key "{last}"{nearest(str(last), known)}', here)
        elif error["type"] == "missing":
            self.report.key(codes.MISSING_KEY, f'"{last}" is missing', here)
        elif error["loc"][-1:] == ("[key]",):
            self.report.key(codes.WRONG_VALUE, f"{shown(here[-1])} is no name here: {_message(error)}", here)
        else:
            self.report.value(codes.WRONG_VALUE, f"{_where(here)}: {_message(error)}", here)


def _existing(data: Any, loc: Iterable[str | int]) -> Path:
    """The part of a pydantic location that is in the data: without union tags, "[key]" and missing keys."""
    path: list[str | int] = []
    for part in loc:
        in_list = isinstance(data, list | tuple) and isinstance(part, int) and 0 <= part < len(data)
        if in_list or (isinstance(data, dict) and part in data):
            data = data[part]
            path.append(part)
    return tuple(path)


def _without(data: Any, path: Path) -> Any:
    """A copy of `data` without the value at `path`, which is not empty."""
    head, rest = path[0], path[1:]
    if isinstance(data, dict) and head in data:
        if rest:
            return {**data, head: _without(data[head], rest)}
        return {key: value for key, value in data.items() if key != head}
    if isinstance(data, list) and isinstance(head, int):
        kept = [_without(item, rest) if rest and index == head else item for index, item in enumerate(data)]
        return kept if rest else kept[:head] + kept[head + 1 :]
    return data


def _indexes(path: Path) -> tuple[int, ...]:
    # Later items of a list go first, so that the indexes of the earlier ones still hold.
    return tuple(part if isinstance(part, int) else -1 for part in path)


def _keys_at(model: type[BaseModel], loc: Iterable[str | int], hidden: frozenset[str]) -> set[str]:
    """The keys that are known where a pydantic location points into `model`."""
    candidates = [model]
    for part in loc:
        inner = [found for owner in candidates for found in _models_of(owner, part)]
        tagged = [found for found in candidates if _tag_of(found) == part]
        candidates = inner or tagged or candidates
    return {info.alias or name for found in candidates for name, info in found.model_fields.items()} - hidden


def _models_of(model: type[BaseModel], key: str | int) -> list[type[BaseModel]]:
    for name, info in model.model_fields.items():
        if key in (name, info.alias):
            return list(_models_in(info.annotation))
    return []


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _tag_of(model: type[BaseModel]) -> Any:
    for name in ("kind", "shape"):
        if name in model.model_fields:
            return model.model_fields[name].default
    return None


def _where(path: Path) -> str:
    return ".".join(str(part) for part in path[-2:] if isinstance(part, str)) or "value"


_MESSAGES = {
    "string_pattern_mismatch": "must be lower case letters, digits, - and _, beginning with a letter or digit",
    "string_type": "must be a text",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "tuple_type": "must be a list",
    "union_tag_not_found": "kind is missing; known: {expected_tags}",
    "union_tag_invalid": "kind is '{tag}'; known: {expected_tags}",
    "too_short": "needs at least {min_length}, here are {actual_length}",
    "too_long": "takes at most {max_length}, here are {actual_length}",
}
"""What pydantic says in the words of its own trade, by its type of error."""


def _message(error: Any) -> str:
    if error["type"] in _MESSAGES:
        context = {"expected_tags": "'rates', 'xref', 'lookup', 'sequence'", **error.get("ctx", {})}
        return _MESSAGES[error["type"]].format(**context)
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"must be {text}" if error["msg"].startswith("Input should be ") else text


def _is_echo(error: Any, errors: Iterable[Any]) -> bool:
    """A list that is too short only because its items are wrong, which is told already."""
    loc = error["loc"]
    return error["type"] == "too_short" and any(
        other["loc"][: len(loc)] == loc for other in errors if other is not error
    )


def shown(value: Any) -> str:
    """A value as a message shows it: quoted, and not too long."""
    text = str(value)
    return f'"{text[:40]}…"' if len(text) > 40 else f'"{text}"'
