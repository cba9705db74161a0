"""Plain values to the model, with every finding of the structure.

A part that does not fit is reported, left out, and the rest is built without it: so the findings of one place do not
hide those of another. What was left out is told in `Built.partial`, because fields may be missing after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import BaseModel, create_model

from dative.errors import process as codes
from dative.process.findings import Path, Report, nearest
from dative.process.fit import Fitter, shown
from dative.process.model import API_VERSION, Metadata, Process, ScheduleTrigger, Spec
from dative.process.scalars import STEP_NAME
from dative.process.shapes import (
    BESIDE,
    MODIFIERS,
    SOURCES,
    STEPS_MAX,
    VERBS,
    Arm,
    Form,
    LinkSettings,
    Nesting,
    OperationSettings,
    Settings,
    ShapeSettings,
    Step,
    UnknownSettings,
)

_Model = TypeVar("_Model", bound=BaseModel)
_SHAPES = {**VERBS, **SOURCES}
_HIDDEN = frozenset(("shape",))  # tells the settings models apart in a bundle; no key of the YAML


def _part_of(model: type[BaseModel], name: str, leave_out: Iterable[str]) -> type[Settings]:
    """A model of some fields of another one: what can be checked at once, without the nested steps."""
    kept: dict[str, Any] = {
        key: (info.annotation, info) for key, info in model.model_fields.items() if key not in set(leave_out)
    }
    return create_model(name, __base__=Settings, **kept)


_PlainSpec = _part_of(Spec, "PlainSpec", ("triggers", "source", "steps"))
_Modifiers = _part_of(Step, "Modifiers", ("id", "verb", "settings", "link"))


@cache
def _without_steps(model: type[Settings]) -> type[Settings]:
    """A shape's settings as far as they are no steps."""
    nested = model.FORM.nested if issubclass(model, ShapeSettings) else ("steps",)
    return _part_of(model, f"Plain{model.__name__}", nested) if nested else model


def _plain(form: Form, verb: str, data: Mapping[str, Any]) -> Any:
    """What a step says of its verb, as a mapping of fields; nested steps are built apart."""
    value = data[verb]
    if form.value is not None:
        behind = {} if form.value in form.nested else {form.value: value}
    elif value is None and form.empty:
        behind = {}
    elif isinstance(value, dict):
        behind = {key: item for key, item in value.items() if key not in form.nested}
    else:
        return value
    beside = {name: data[key] for key, name in form.beside.items() if key in data and name not in form.nested}
    return {**behind, **beside}


def _at(data: Any, place: Path) -> Any:
    """The value at a place below `data`; None where there is none."""
    for key in place:
        data = data.get(key) if isinstance(data, dict) else None
    return data


@dataclass
class Built:
    """process: everything that could be built, None when nothing could. partial: places where something was left out."""

    process: Process | None = None
    partial: set[Path] = field(default_factory=set)


def build(data: Any, report: Report) -> Built:
    """The process in `data`. It is whole when `report` did not fail."""
    return _Builder(report).process(data)


class _Builder:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._fitter = Fitter(report)
        self._ids: dict[str, Path] = {}
        self._steps = 0

    def process(self, data: Any) -> Built:
        if not self._fitter.is_mapping(data, (), "a process is a mapping of apiVersion, kind, metadata and spec"):
            return Built()
        self._known_keys(data, ("apiVersion", "kind", "metadata", "spec"), ())
        self._constant(data, "apiVersion", API_VERSION)
        self._constant(data, "kind", "Process")
        metadata = self._part(Metadata, data, "metadata", ())
        spec = self._spec(data.get("spec"), "spec" in data)
        if spec is None:
            return Built()
        name = metadata or Metadata.model_construct(name="unnamed", labels={})
        values: dict[str, Any] = {"api_version": API_VERSION, "kind": "Process", "metadata": name, "spec": spec}
        make: Any = Process.model_construct if self._report.failed else Process
        return Built(make(**values), self._fitter.partial)

    def _constant(self, data: Mapping[str, Any], key: str, value: str) -> None:
        if key not in data:
            self._report.key(codes.MISSING_KEY, f'"{key}: {value}" is missing', ())
        elif data[key] != value:
            self._report.value(codes.WRONG_KIND, f'{key} is {shown(data[key])}, here it is "{value}"', (key,))

    def _spec(self, data: Any, present: bool) -> Spec | None:
        path: Path = ("spec",)
        if not present:
            self._report.key(codes.MISSING_KEY, '"spec" is missing', ())
            return None
        if not self._fitter.is_mapping(data, path, "spec is a mapping"):
            return None
        self._known_keys(data, Spec.model_fields, path)
        plain = {key: value for key, value in data.items() if key in _PlainSpec.model_fields}
        head = self._fitter.model(_PlainSpec, plain, path) or _PlainSpec.model_construct()
        return Spec.model_construct(
            **{key: getattr(head, key) for key in _PlainSpec.model_fields},
            triggers=self._triggers(data.get("triggers")),
            source=self._source(data, path),
            steps=self._step_list(data.get("steps"), (*path, "steps"), "step"),
        )

    def _triggers(self, data: Any) -> tuple[ScheduleTrigger, ...]:
        path: Path = ("spec", "triggers")
        found = []
        for index, item in enumerate(self._list(data, path)):
            here = (*path, index)
            if not self._fitter.is_mapping(item, here, "a trigger is `- schedule: {cron: …}`"):
                continue
            self._known_keys(item, ("schedule",), here)
            found.append(self._part(ScheduleTrigger, item, "schedule", here, hidden=("kind",)))
        if len(found) > 10:  # the bound stands in Spec too, for bundles
            self._report.value(codes.WRONG_VALUE, "a process has at most 10 triggers", path)
        return tuple(trigger for trigger in found if trigger is not None)

    def _source(self, data: Mapping[str, Any], path: Path) -> Step:
        if "source" in data:
            return self._step(data["source"], (*path, "source"), "source")
        self._report.key(codes.MISSING_KEY, '"source" is missing: the operation that reads the documents', path)
        return _unknown("source")

    # Steps.

    def _step_list(self, data: Any, path: Path, prefix: str) -> tuple[Step, ...]:
        items = self._list(data, path)
        return tuple(self._step(item, (*path, index), f"{prefix}-{index + 1}") for index, item in enumerate(items))

    def _step(self, data: Any, path: Path, fallback_id: str) -> Step:
        self._steps += 1
        if self._steps == STEPS_MAX + 2:  # the source is no step of the count
            self._report.key(
                codes.TOO_MANY_STEPS, f"this is step {STEPS_MAX + 1}; a process has at most {STEPS_MAX}", path
            )
        if not self._fitter.is_mapping(data, path, "a step is a mapping: an id, one verb and its settings"):
            return _unknown(fallback_id)
        verb = self._verb(data, path)
        step_id = self._step_id(data, path, verb, fallback_id)
        if verb is None:
            self._fitter.partial.add(path)
            return _unknown(step_id)
        self._misplaced(data, verb, path)
        settings = self._settings(verb, data, path, step_id)
        modifiers = {key: value for key, value in data.items() if key in _Modifiers.model_fields}
        held = self._fitter.model(_Modifiers, modifiers, path) or _Modifiers.model_construct()
        carried = {key: getattr(held, key) for key in _Modifiers.model_fields}
        carried["link"] = self._link(data["link"], (*path, "link")) if "link" in data else None
        if settings is None:
            settings = UnknownSettings()
        values: dict[str, Any] = {"id": step_id, "verb": verb, "settings": settings, **carried}
        return Step.model_construct(**values)

    def _verb(self, data: Mapping[str, Any], path: Path) -> str | None:
        candidates = [key for key in data if key != "id" and key not in MODIFIERS and key not in BESIDE]
        verbs = [key for key in candidates if key in _SHAPES or "." in key]
        for key in candidates:
            if key not in verbs and verbs:
                known = (*MODIFIERS, *(name for name, verb in BESIDE.items() if verb == verbs[0]), "id")
                self._report.key(codes.UNKNOWN_KEY, f'unknown key "{key}"{nearest(key, known)}', (*path, key))
            elif key not in verbs:
                note = nearest(key, VERBS)
                self._report.key(codes.UNKNOWN_VERB, f'unknown verb "{key}"{note}', (*path, key))
        if not candidates:
            shown = ", ".join(VERBS)
            self._report.key(codes.NO_VERB, f"the step has no verb: {shown}, or <connector>.<operation>", path)
        for extra in verbs[1:]:
            message = f'"{extra}" is a second verb beside "{verbs[0]}"'
            self._report.key(codes.SEVERAL_VERBS, message, (*path, extra))
        return verbs[0] if verbs else None

    def _step_id(self, data: Mapping[str, Any], path: Path, verb: str | None, fallback: str) -> str:
        given = data.get("id")
        if "id" not in data:
            if verb is not None and "." in verb:
                self._report.key(
                    codes.MISSING_KEY, f'the step "{verb}" needs an id: its effects are booked under it', path
                )
            step_id = fallback[-64:].lstrip("-_")
        elif isinstance(given, str) and _matches_name(given):
            step_id = given
        else:
            message = f"{shown(given)} is no step id: lower case letters, digits, - and _, at most 64"
            self._report.value(codes.WRONG_VALUE, message, (*path, "id"))
            step_id = fallback[-64:].lstrip("-_")
        return self._unique(step_id, (*path, "id") if "id" in data else path)

    def _unique(self, step_id: str, path: Path) -> str:
        if step_id in self._ids:
            line = self._report.source_map.value(self._ids[step_id]).line
            self._report.value(codes.DUPLICATE_STEP, f'step id "{step_id}" stands already on line {line}', path)
        self._ids.setdefault(step_id, path)
        return step_id

    def _misplaced(self, data: Mapping[str, Any], verb: str, path: Path) -> None:
        shape = verb if verb in _SHAPES else "operation"
        for key in data:
            if (key in BESIDE and BESIDE[key] != verb) or (key in MODIFIERS and shape not in MODIFIERS[key]):
                owners = BESIDE.get(key) or " or ".join(sorted(MODIFIERS[key]))
                message = f'"{key}" has no meaning at "{verb}"; it belongs to: {owners}'
                self._report.key(codes.MISPLACED, message, (*path, key))

    def _settings(self, verb: str, data: Mapping[str, Any], path: Path, step_id: str) -> Settings | None:
        model = _SHAPES.get(verb)
        if model is None:
            return self._operation(verb, data[verb], (*path, verb))
        plain = _plain(model.FORM, verb, data)
        wrapped = model.FORM.value or ""
        held = self._fitter.model(_without_steps(model), plain, (*path, verb), hidden=_HIDDEN, wrapped=wrapped)
        if not model.FORM.nested:
            return cast(Settings, held)
        return self._with_steps(model, held, verb, data, path, step_id)

    def _with_steps(
        self,
        model: type[ShapeSettings],
        held: BaseModel | None,
        verb: str,
        data: Mapping[str, Any],
        path: Path,
        step_id: str,
    ) -> Settings:
        """The settings with their nested steps, which are built even where the rest does not fit."""
        values = dict(held) if held is not None else {model.FORM.value or "": "NULL"}
        for name, nesting in model.FORM.nested.items():
            place = model.FORM.place(verb, name)
            steps = self._nested(nesting, _at(data, place), (*path, *place), f"{step_id}-{place[-1]}")
            if model.model_fields[name].is_required() and not steps:
                self._report.value(codes.WRONG_VALUE, f"`{place[-1]}` holds at least one step", (*path, *place))
                self._fitter.partial.add(path)
            values[name] = steps
        return model.model_construct(**values)

    def _nested(self, nesting: Nesting, value: Any, path: Path, prefix: str) -> Any:
        if nesting == "steps":
            return self._step_list(value, path, prefix)
        if nesting == "routes":
            return self._routes(value, path, prefix)
        return self._arms(value, path, prefix)

    def _routes(self, value: Any, path: Path, prefix: str) -> dict[str, tuple[Step, ...]]:
        if value is None or not self._fitter.is_mapping(value, path, f"{path[-1]} maps each value to a list of steps"):
            return {}
        return {
            str(key): self._step_list(item, (*path, key), f"{prefix}-{index + 1}")
            for index, (key, item) in enumerate(value.items())
        }

    def _arms(self, value: Any, path: Path, prefix: str) -> tuple[Arm, ...]:
        found = []
        for index, item in enumerate(self._list(value, path)):
            here = (*path, index)
            if not self._fitter.is_mapping(item, here, "an arm is a mapping of name and steps"):
                continue
            plain = {key: part for key, part in item.items() if key != "steps"}
            held = self._fitter.model(_without_steps(Arm), plain, here)
            steps = self._step_list(item.get("steps"), (*here, "steps"), f"{prefix}-{index + 1}")
            found.append(Arm.model_construct(**{"name": "", **(dict(held) if held else {}), "steps": steps}))
        return tuple(found)

    def _operation(self, verb: str, value: Any, path: Path) -> OperationSettings | None:
        if not self._fitter.is_mapping(value, path, f"the settings of {verb} are a mapping"):
            return None
        connector, _, operation = verb.partition(".")
        options = {key: item for key, item in value.items() if key != "connection"}
        wanted = {"connector": connector, "operation": operation, "options": options}
        if "connection" in value:
            wanted["connection"] = value["connection"]
        return self._fitter.model(OperationSettings, wanted, path, wrapped="options")

    def _link(self, value: Any, path: Path) -> LinkSettings | None:
        # In YAML the columns stand beside `xref`: {xref: account-customer, salesforce: source_id, erp: result.id}.
        if not self._fitter.is_mapping(value, path, "a link is a mapping: xref, and an expression for each column"):
            return None
        columns = {key: item for key, item in value.items() if key != "xref"}
        named = {"xref": value["xref"]} if "xref" in value else {}
        return self._fitter.model(LinkSettings, {**named, "columns": columns}, path, wrapped="columns")

    # Small checks.

    def _part(
        self, model: type[_Model], data: Mapping[str, Any], key: str, path: Path, hidden: Iterable[str] = ()
    ) -> _Model | None:
        if key not in data:
            self._report.key(codes.MISSING_KEY, f'"{key}" is missing', path)
            return None
        return self._fitter.model(model, data[key], (*path, key), hidden=hidden)

    def _list(self, data: Any, path: Path) -> list[Any]:
        if data is None or isinstance(data, list):
            return data or []
        self._report.value(codes.WRONG_VALUE, f"{path[-1]} is a list; each item begins with a dash", path)
        self._fitter.partial.add(path)
        return []

    def _known_keys(self, data: Mapping[str, Any], known: Iterable[str], path: Path) -> None:
        names = tuple(known)
        for key in data:
            if key not in names:
                self._report.key(codes.UNKNOWN_KEY, f'unknown key "{key}"{nearest(key, names)}', (*path, key))


def _unknown(step_id: str) -> Step:
    values: dict[str, Any] = {"id": step_id, "verb": "unknown", "settings": UnknownSettings(), "discloses": {}}
    return Step.model_construct(**values)


def _matches_name(text: str) -> bool:
    return re.fullmatch(STEP_NAME[1:-1], text) is not None
