"""The tree that a SOQL query is parsed into. `at` is the offset in the query, for errors."""

from dataclasses import dataclass, field

from dative_sandbox.salesforce.soql.lexer import Token


@dataclass(frozen=True)
class Path:
    """A field, perhaps over parents: Owner.Name is ("Owner", "Name")."""

    parts: tuple[str, ...]
    at: int

    @property
    def text(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class Aggregate:
    """COUNT, COUNT_DISTINCT, SUM, MIN, MAX or AVG. path None is COUNT() or COUNT(Id) without a field."""

    function: str
    path: Path | None
    at: int
    alias: str | None = None


@dataclass(frozen=True)
class Aliased:
    """A grouped field under another name."""

    path: Path
    alias: str


@dataclass(frozen=True)
class AllFields:
    """FIELDS(ALL), FIELDS(STANDARD) or FIELDS(CUSTOM)."""

    which: str
    at: int


@dataclass(frozen=True)
class Literal:
    """One value. kind: string, number, date, datetime, boolean, null, or period for a date literal such as LAST_N_DAYS:3."""

    kind: str
    token: Token
    count: int = 0


@dataclass(frozen=True)
class Comparison:
    """`left operator value`; operator one of = != < <= > >= LIKE."""

    left: "Path | Aggregate"
    operator: str
    value: Literal


@dataclass(frozen=True)
class Membership:
    """`left IN|NOT IN|INCLUDES|EXCLUDES (values)`."""

    left: Path
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class SemiJoin:
    """`left IN (SELECT …)` or NOT IN."""

    left: Path
    negated: bool
    query: "Query"
    at: int


@dataclass(frozen=True)
class Combined:
    """operator AND, OR, or NOT with one operand."""

    operator: str
    operands: "tuple[Condition, ...]"


Condition = Comparison | Membership | SemiJoin | Combined


@dataclass(frozen=True)
class Order:
    by: Path | Aggregate
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Subquery:
    query: "Query"
    at: int


Selected = Path | Aggregate | Aliased | AllFields | Subquery


@dataclass(frozen=True)
class Query:
    """One SELECT. source: the object's name, in a subquery the child relationship's."""

    text: str
    selected: tuple[Selected, ...]
    source: str
    source_at: int
    where: Condition | None = None
    group_by: tuple[Path, ...] = ()
    having: Condition | None = None
    order_by: tuple[Order, ...] = field(default=())
    limit: int | None = None
    offset: int = 0
    alias: str | None = None
