"""Which fields the documents have at every step: their types, where they come from, and which class they carry.

One pass over the steps, in the order documents take them, that tells everything depending on it: unknown fields, types,
classified values on their way to a target, steps that nothing reaches. Lineage is what the same pass writes down. What
a verb makes of the fields stands in its own file in `shapes`; it asks here what an expression reads and gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from dative.errors import expression as expression_codes
from dative.errors import process as codes
from dative.process import classify
from dative.process.caches import Caches
from dative.process.called import follow_call
from dative.process.catalog import Catalog, CatalogConnector, CatalogOperation
from dative.process.chains import read_chains
from dative.process.classes import Classification
from dative.process.datatypes import ANY, DataType, parse_type
from dative.process.expression import Expression, OwnCall, read_expression
from dative.process.fields import Fields, FieldState, together
from dative.process.findings import Path, Report, nearest
from dative.process.functions import PROPERTIES
from dative.process.head import check_head
from dative.process.model import FieldClass, Process
from dative.process.problems import literal_text
from dative.process.properties import RunningProperties
from dative.process.results import property_key
from dative.process.shapes import (
    DocumentsSettings,
    NothingSettings,
    OperationSettings,
    ShapeSettings,
    Step,
    UnknownSettings,
)
from dative.process.spread import check_spread
from dative.process.tables import LookupTable, RatesTable, SequenceTable, XrefTable
from dative.process.targets import TargetProfile

_Table = TypeVar("_Table", bound=XrefTable | LookupTable | SequenceTable)

Processes = Callable[[str], Process | None]
"""Finds a process by its name, as a file beside holds it; None where there is none."""


@dataclass
class Lineage:
    """Per step: target field -> the source fields it was made of, and the classes that no mask has dealt with.

    open: steps after which the documents may have more fields than are known. states: the same in one, with functions
    and masks, for `explain`.
    """

    states: dict[str, dict[str, FieldState]] = field(default_factory=dict)
    sources: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    classes: dict[str, dict[str, frozenset[FieldClass]]] = field(default_factory=dict)
    types: dict[str, dict[str, DataType]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def take_in(self, other: Lineage, prefix: str) -> None:
        """What another process' steps are known by, under the step that called it."""
        self.sources.update({f"{prefix}{step}": known for step, known in other.sources.items()})
        self.classes.update({f"{prefix}{step}": known for step, known in other.classes.items()})
        self.types.update({f"{prefix}{step}": known for step, known in other.types.items()})
        self.open.update(f"{prefix}{step}" for step in other.open)

    def record(self, step: Step, fields: Fields) -> None:
        states = {name: fields.fields[name] for name in fields.names()}
        self.states[step.id] = states
        self.sources[step.id] = {name: state.sources for name, state in states.items()}
        self.classes[step.id] = {name: state.classes for name, state in states.items()}
        self.types[step.id] = {name: state.type for name, state in states.items()}
        if fields.open:
            self.open.add(step.id)


class FlowCheck:
    """Follows the documents of a process and reports what can not be. Used once."""

    def __init__(
        self,
        process: Process,
        report: Report,
        catalog: Catalog,
        profiles: Mapping[str, Mapping[str, DataType]],
        partial: frozenset[Path],
        processes: Processes | None = None,
        trail: tuple[str, ...] = (),
    ) -> None:
        """processes: finds what is called; None where nothing is known of other files. trail: who called this one."""
        self.process = process
        self.spec = process.spec
        self.processes = processes
        self.trail = (*trail, process.name)
        self.report = report
        self._catalog = catalog
        self._profiles = profiles
        self._partial = partial
        self.targets: Mapping[str, TargetProfile] = {}
        self.classified = Classification.of(process.spec)
        self.lineage = Lineage()
        self._returns: list[Fields] = []
        self.properties = RunningProperties()
        self.caches = Caches()
        self.chains = read_chains({} if self.head_is_partial else process.spec.functions)

    def run(self) -> None:
        """The whole process, source first."""
        if not self.head_is_partial:
            check_head(self)
        fields = self._source()
        self._tracked(fields)
        self._units(fields)
        self.steps(self.spec.steps, ("spec", "steps"), fields)
        if not self._partial:
            self.properties.never_set(self.report)

    @property
    def head_is_partial(self) -> bool:
        """Tables, parameters or connections may have been left out of the draft: nothing is said of them."""
        return ("spec",) in self._partial

    # Where the fields come from.

    def _source(self) -> Fields:
        step = self.spec.source
        known = self._profiles.get(step.id) or self._declared(step)
        # Classified fields are listed even where the source does not say its fields, so that their class travels.
        names = known if known is not None else dict.fromkeys(self.classified.plain_names(), ANY)
        fields = Fields({name: self.source_field(name, kind) for name, kind in names.items()}, open=known is None)
        self.lineage.record(step, fields)
        if known is not None and not self.head_is_partial:
            classify.unclassified(self, step, known)
        classify.position(self, step)
        return fields

    def call(self, name: str, step_id: str, path: Path, fields: Fields, parameters: Mapping[str, str]) -> Fields:
        """What a called process returns. Findings are about the value at `path`, which names it."""
        return follow_call(self, name, step_id, path, fields, parameters)

    def inside(self, process: Process) -> FlowCheck:
        """A check of a process that this one calls, with findings of its own."""
        report = Report(process.name)
        return FlowCheck(process, report, self._catalog, {}, frozenset(), self.processes, self.trail)

    def entered(self, fields: Fields) -> Fields:
        """This process as another one calls it, with these documents; returns what it returns."""
        known = {}
        for name, state in fields.fields.items():
            classes = self.classified.classes(name)
            known[name] = replace(state, classes=state.classes | classes, carried=state.carried | classes)
        end = self.steps(self.spec.steps, ("spec", "steps"), replace(fields, fields=known))
        return together(self._returns) if self._returns else end

    def returned(self, fields: Fields) -> None:
        """These documents go back to the process that called this one."""
        self._returns.append(fields)

    def source_field(self, name: str, kind: DataType = ANY) -> FieldState:
        """A field as the source gives it, with its classes."""
        classes = self.classified.classes(name)
        return FieldState(kind, frozenset((name,)), classes, carried=classes)

    def reads(self, name: str, fields: Fields) -> FieldState | None:
        """`fields.reads`, where a field that nobody listed has the classes that a pattern gives it."""
        parts = name.split(".")
        listed = any(".".join(parts[:end]) in fields.fields for end in range(1, len(parts) + 1))
        return fields.reads(name) if listed or not fields.open else self.source_field(name)

    def _declared(self, step: Step) -> dict[str, DataType] | None:
        if isinstance(step.settings, DocumentsSettings):
            return dict(step.settings.types)
        if isinstance(step.settings, NothingSettings):
            return {}
        operation = self.operation(step.settings)
        if operation is None or _is_partial(self._partial, ("spec", "source"), step):
            return None
        options = cast(OperationSettings, step.settings).options
        declared = operation.source_fields(options)
        return None if declared is None else {name: _type_or_any(text) for name, text in declared.items()}

    def operation(self, settings: object) -> CatalogOperation | None:
        """The catalog's entry of an operation; None for what is none, or is not known."""
        if not isinstance(settings, OperationSettings):
            return None
        connector = self._catalog.connectors.get(settings.connector)
        return connector.operations.get(settings.operation) if connector else None

    def connector(self, name: str) -> CatalogConnector | None:
        """The catalog's entry of a connector; None where it is not known."""
        return self._catalog.connectors.get(name)

    def _tracked(self, fields: Fields) -> None:
        for entry in self.classified.entries:
            path: Path = ("spec", "classify", entry.kind, entry.place)
            if not entry.pattern and not any(entry.covers(name) for name in fields.names()):
                self.known(entry.field, fields, path)
        for index, key in enumerate(self.spec.tracked_keys):
            path = ("spec", "track", index)
            if not self.known(key.field, fields, path) or key.hashed:
                continue
            if classes := self.classified.classes(key.field):
                kinds = ", ".join(sorted(classes))
                message = f'"{key.field}" is classified {kinds} and would be tracked in the clear: hash({key.field})'
                self.report.value(codes.CLASSIFIED_TRACKED, message, path, offset=0)

    def _units(self, fields: Fields) -> None:
        control = self.spec.flow_control
        if control is None:
            return
        for index, name in enumerate(control.by):
            self.known(name, fields, ("spec", "flow_control", "by", index))
        for index, name in enumerate(control.partitions.by if control.partitions else ()):
            self.known(name, fields, ("spec", "flow_control", "partitions", "by", index))
        check_spread(self)

    def known(self, name: str, fields: Fields, path: Path, *, key: bool = False, offset: int | None = 0) -> bool:
        """Whether the documents have that field; a finding when not. key: it stands as a key at `path`."""
        if fields.reads(name) is not None:
            return True
        message = f'unknown field "{name}"{nearest(name, fields.names())}'
        if key:
            self.report.key(codes.UNKNOWN_FIELD, message, path)
        else:
            self.report.value(codes.UNKNOWN_FIELD, message, path, offset=offset)
        return False

    # Steps.

    def steps(self, steps: tuple[Step, ...], path: Path, fields: Fields) -> Fields:
        """What the documents have after these steps. path: of the list that holds them."""
        told = False
        for index, step in enumerate(steps):
            here = (*path, index)
            if fields.ended and not told:
                self.report.key(codes.UNREACHABLE, f'no document reaches "{step.id}"', here)
                told = True
                # Its own findings are still told, as if everything were known.
                fields = replace(fields, open=True)
            ended = fields.ended
            fields = self._step(step, here, replace(fields, ended=False))
            fields = replace(fields, ended=fields.ended or ended)
        return fields

    def _step(self, step: Step, path: Path, fields: Fields) -> Fields:
        settings = cast(ShapeSettings, step.settings)
        after = settings.follow(step, path, fields, self)
        # Whatever a step makes of the fields, properties go on with the document.
        after = replace(after, properties={**fields.properties, **after.properties})
        if _is_partial(self._partial, path, step) or isinstance(settings, UnknownSettings):
            # What was left out may have made fields or masked them: nothing is said of either from here on.
            unclassified = {name: replace(state, classes=frozenset()) for name, state in after.fields.items()}
            after = replace(after, fields=unclassified, open=True)
        self.lineage.record(step, after)
        return after

    def value(
        self, sql: str, path: Path, fields: Fields, *, results: Mapping[str, FieldState] | None = None
    ) -> FieldState:
        """The field that an expression makes. results: what may stand behind `result.`, where anything may."""
        expression = self.expression(sql, path, fields, results=results)
        if expression is None:
            return FieldState()
        answers = {f"result.{name}": state for name, state in (results or {}).items()}
        found = (answers.get(name) or self.reads(name, fields) for name in expression.fields)
        read = [state for state in found if state is not None]
        read += [state for call in expression.calls if (state := self._cached(call)) is not None]
        read += [state for name in expression.properties if (state := self._property(name, fields)) is not None]
        return FieldState(
            expression.type,
            frozenset().union(*(state.sources for state in read)),
            frozenset().union(*(state.classes for state in read)),
            functions=expression.functions.union(*(state.functions for state in read)),
            masks=frozenset().union(*(state.masks for state in read)),
            carried=frozenset().union(*(state.carried for state in read)),
        )

    def expression(
        self, sql: str, path: Path, fields: Fields, *, results: Mapping[str, FieldState] | None = None
    ) -> Expression | None:
        """The expression, its findings reported; None when it has no tree."""
        types = fields.types()
        types |= {
            property_key(name): state.type for name, state in {**fields.properties, **self.properties.known}.items()
        }
        expression, problems = read_expression(sql, types, self.chains)
        for problem in problems:
            self.report.value(problem.code, problem.message, path, offset=problem.offset)
        if expression is None:
            return None
        for name in sorted(expression.fields):
            head, _, rest = name.partition(".")
            if results is not None and head == "result":
                if results and rest not in results:
                    message = f'the operation gives back no "{name}"{nearest(rest, results)}'
                    self.report.value(codes.UNKNOWN_FIELD, message, path)
                continue
            self.known(name, fields, path, offset=_place_of(name, sql))
        for name in sorted(expression.properties):
            self._known_property(name, path, fields)
        for call in expression.calls:
            self.own_call(call, path)
            self._keys_in_the_clear(call, path, fields)
        return expression

    def _property(self, name: str, fields: Fields) -> FieldState | None:
        return fields.properties.get(name) or self.properties.known.get(name)

    def _known_property(self, name: str, path: Path, fields: Fields) -> None:
        """A property that the process sets is read: something before must set it."""
        if name in PROPERTIES or self._partial:
            return
        if name.startswith("persisted.") or self._property(name, fields) is not None:
            self.properties.read(name, path)
            return
        note = nearest(name, [*fields.properties, *self.properties.known])
        self.report.value(codes.PROPERTY_UNSET, f'no step before this one sets "{name}"{note}', path)

    def condition(self, sql: str, path: Path, fields: Fields) -> Expression | None:
        """An expression that is true or false."""
        condition = self.expression(sql, path, fields)
        if condition is not None and condition.type.kind not in ("any", "boolean"):
            message = f"a condition is true or false, this one gives {condition.type}"
            self.report.value(expression_codes.WRONG_TYPE, message, path)
        return condition

    def own_call(self, call: OwnCall, path: Path) -> None:
        """What a call of an own function names must be there."""
        if self.head_is_partial:
            return  # tables and parameters may have been left out of the draft
        if call.name == "param":
            name = literal_text(call.arguments[0]) if call.arguments else None
            if name is not None and name not in self.spec.parameters:
                note = nearest(name, self.spec.parameters)
                self.report.value(codes.UNKNOWN_PARAMETER, f'unknown parameter "{name}"{note}', path)
        elif call.name in ("xref", "lookup") and call.table is not None:
            columns = [*call.columns(), *([want] if (want := literal_text(call.named.get("want"))) else [])]
            self._columns(call.table, columns, path, XrefTable if call.name == "xref" else LookupTable)
            self._keyed(call, path)
        elif call.name == "sequence" and call.table is not None:
            self._table(call.table, SequenceTable, path)
        elif call.name == "currency":
            self._rates(call.table, path)
        elif call.name == "cache" and not self._partial:
            self.caches.looked_up(call, path, self.report)

    def _cached(self, call: OwnCall) -> FieldState | None:
        name = literal_text(call.arguments[0]) if call.name == "cache" and call.arguments else None
        return self.caches.known.get(name or "", {}).get(literal_text(call.named.get("want")) or "")

    def _keys_in_the_clear(self, call: OwnCall, path: Path, fields: Fields) -> None:
        """Keys that are stored as they are, or sent to another system to find their rows."""
        table = self.spec.tables.get(call.table or "")
        if isinstance(table, SequenceTable) or (isinstance(table, LookupTable) and table.keyed):
            read = [state for name in call.key_fields() if (state := self.reads(name, fields)) is not None]
            classes = frozenset[FieldClass]().union(*(state.classes for state in read))
            classify.kept_in_the_clear(self, FieldState(classes=classes), path, f'a key of "{call.table}"')

    def xref_columns(self, name: str) -> tuple[str, ...] | None:
        """The columns of a cross-reference table; None when there is no such table."""
        table = self.spec.tables.get(name)
        return table.columns if isinstance(table, XrefTable) else None

    def xref(self, name: str, columns: list[str], path: Path) -> None:
        """A table of kind xref with these columns; a finding about the value at `path` when there is none."""
        self._columns(name, columns, path, XrefTable)

    def _table(self, name: str, kind: type[_Table], path: Path) -> _Table | None:
        table = self.spec.tables.get(name)
        wanted = kind.model_fields["kind"].default
        if table is None:
            note = nearest(name, self.spec.tables)
            self.report.value(codes.UNKNOWN_TABLE, f'no table "{name}"{note}', path)
        elif not isinstance(table, kind):
            message = f'table "{name}" is of kind {table.kind}, here it must be {wanted}'
            self.report.value(codes.WRONG_TABLE, message, path)
        else:
            return table
        return None

    def _columns(self, name: str, columns: list[str], path: Path, kind: type[XrefTable | LookupTable]) -> None:
        table = self._table(name, kind, path)
        if table is None:
            return
        for column in columns:
            if column not in table.columns:
                message = f'table "{name}" has no column "{column}"{nearest(column, table.columns)}'
                self.report.value(codes.UNKNOWN_COLUMN, message, path)

    def _keyed(self, call: OwnCall, path: Path) -> None:
        """What is compared by pattern, or asked by key, goes by one column."""
        table = self.spec.tables.get(call.table or "")
        by_one = (isinstance(table, XrefTable) and table.match != "exact") or (
            isinstance(table, LookupTable) and table.keyed
        )
        if by_one and len(call.columns()) > 1:
            message = f'table "{call.table}" is looked up by one column, here are {len(call.columns())}'
            self.report.value(codes.WRONG_TABLE, message, path)

    def _rates(self, name: str | None, path: Path) -> None:
        rates = [key for key, table in self.spec.tables.items() if isinstance(table, RatesTable)]
        if name is not None and name not in rates:
            self.report.value(codes.UNKNOWN_TABLE, f'no rates table "{name}"{nearest(name, rates)}', path)
        elif name is None and len(rates) != 1:
            next_step = "Declare `rates: {kind: rates, file: rates.csv}` under spec.tables." if not rates else (
                f"Say which: currency(…, rates => '{rates[0]}')."
            )  # fmt: skip
            message = f"currency() reads the rates table, and the process has {len(rates) or 'none'}"
            self.report.value(codes.UNKNOWN_TABLE, message, path, next_step=next_step)


def _is_partial(partial: frozenset[Path], path: Path, step: Step) -> bool:
    return path in partial or (*path, step.verb) in partial


def _type_or_any(text: str) -> DataType:
    try:
        return parse_type(text)
    except ValueError:
        return ANY  # the operation's own schema says what is wrong with it


def _place_of(name: str, sql: str) -> int | None:
    place = sql.find(name)
    return place if place >= 0 else None
