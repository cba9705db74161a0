"""Every function of the language, in one table: allow-list, reference page and completion all come from it.

Each line is a signature, what it does, and an example with its result; a test runs every example in the engine's
database. A function that is not here does not exist, whatever the database knows.

Signature: `name(a: type, b?: type, *rest: type, word => type) -> type`. `?` may be left out, `*` is any number, `=>` is
named and may be left out, `!` is named and needed. `const`: a literal. `<=n`: a literal of at most n, because memory
limits do not bound what these build. `@a`: the type of argument a.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Category = Literal["own", "text", "number", "date", "condition", "json"]


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
    volatility: Literal["pure", "per execution", "table"] = "pure"
    own: bool = field(default=False)

    @property
    def positional(self) -> tuple[Parameter, ...]:
        return tuple(parameter for parameter in self.parameters if not parameter.named)

    @property
    def named(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters if parameter.named}


_PARAMETER = re.compile(r"(\*?)(\w+|…)([?!]?)\s*(:|=>)\s*(const )?(\w+)(?:<=(\d+))?")

# (category, signature, doc, example, its result as the engine prints it, or the reason why there is none)
_TABLE: tuple[tuple[Category, str, str, str, str], ...] = (
    ("own", "currency(amount: number, from: text, to: text, on => date, rates => const text) -> decimal",
     "Converts an amount by the dated rates table, in exact decimals, rounded half to even to the minor "
     "units of `to`. `on`: the day of the rate, by default the day the execution started. `rates`: the table, "
     "where there are several. A missing rate is an error, never 0 or 1; the same currency needs none; a NULL "
     "amount stays NULL.", "currency(AnnualRevenue, CurrencyIsoCode, 'EUR', on => CloseDate)", ""),
    ("own", "date(value: text, format: const text, *formats: const text) -> date",
     "Reads a date in one of the given formats (%d %m %Y %y %b %B …). A text that fits none is an error of that "
     "document. There is no reading without a format: 01/02/03 has six.", "date(Customer_Since__c, '%m/%d/%Y')", ""),
    ("own", "timestamp(value: text, format: const text, *formats: const text, zone => const text) -> timestamp",
     "Reads a date and time. `zone`: IANA name of the zone it was written in, by default UTC; a time that a "
     "clock change skipped is an error.", "timestamp(Shipped__c, '%d.%m.%Y %H:%M', zone => 'Europe/Berlin')", ""),
    ("own", "number(value: text, scale => const integer) -> decimal",
     "Reads a decimal number, strictly: digits, a sign, a point; no thousands separators. `scale`: digits after "
     "the point, 0..18, by default 6.", "number(Credit_Limit__c)", ""),
    ("own", "xref(table: const text, …! => any, want! => const text, missing => const text) -> text",
     "Looks a reference up in a cross-reference table: `xref('account-customer', salesforce => Id, want => "
     "'erp')`. A missing row is an error of that document, or NULL with missing => 'null'. A NULL key gives "
     "NULL.", "xref('account-customer', salesforce => Id, want => 'erp')", ""),
    ("own", "param(name: const text) -> text",
     "The value of a parameter of the process, as the environment sets it.", "param('company_code')", ""),
    ("own", "property(name: const text) -> any", "What is known about the execution (the names are listed below), and what "
     "`set_properties` has set.",
     "property('execution.started_at')", ""),

    ("text", "concat(*values: any) -> text", "Joins texts; NULL counts as empty.", "concat('a', NULL, 'b')", "ab"),
    ("text", "concat_ws(separator: text, *values: any) -> text",
     "Joins texts with a separator that stands only between values that are there.",
     "concat_ws(' ', 'Ada', NULL, 'L')", "Ada L"),
    ("text", "upper(value: text) -> text", "Upper case.", "upper('abc')", "ABC"),
    ("text", "lower(value: text) -> text", "Lower case.", "lower('ABC')", "abc"),
    ("text", "trim(value: text, characters?: text) -> text",
     "Without spaces, or the given characters, at both ends.", "trim('  a ')", "a"),
    ("text", "ltrim(value: text, characters?: text) -> text", "The same at the left end.", "ltrim('00042', '0')", "42"),
    ("text", "rtrim(value: text, characters?: text) -> text", "The same at the right end.", "rtrim('a.. ', '. ')", "a"),
    ("text", "length(value: text) -> integer", "Characters in a text.", "length('Zoë')", "3"),
    ("text", "left(value: text, count: integer) -> text", "The first characters.", "left('abcdef', 2)", "ab"),
    ("text", "right(value: text, count: integer) -> text", "The last characters.", "right('abcdef', 2)", "ef"),
    ("text", "substring(value: text, start: integer, length?: integer) -> text",
     "A part of a text; the first character is 1.", "substring('abcdef', 2, 3)", "bcd"),
    ("text", "split_part(value: text, separator: text, index: integer) -> text",
     "One part of a separated text; the first is 1.", "split_part('a-b-c', '-', 2)", "b"),
    ("text", "replace(value: text, old: text, new: text) -> text", "Replaces every occurrence.",
     "replace('1.234', '.', '')", "1234"),
    ("text", "translate(value: text, old: text, new: text) -> text", "Replaces character by character.",
     "translate('a-b', '-', '_')", "a_b"),
    ("text", "lpad(value: text, length: const integer<=1000, fill: text) -> text", "Fills up on the left, or cuts.",
     "lpad('42', 5, '0')", "00042"),
    ("text", "rpad(value: text, length: const integer<=1000, fill: text) -> text", "Fills up on the right, or cuts.",
     "rpad('ab', 4, '.')", "ab.."),
    ("text", "reverse(value: text) -> text", "Backwards.", "reverse('abc')", "cba"),
    ("text", "instr(value: text, part: text) -> integer", "Where a part begins, from 1; 0 when it is not there.",
     "instr('abc', 'c')", "3"),
    ("text", "contains(value: text, part: text) -> boolean", "Whether a part is there.", "contains('abc', 'b')",
     "True"),
    ("text", "starts_with(value: text, part: text) -> boolean", "Whether it begins so.", "starts_with('abc', 'ab')",
     "True"),
    ("text", "ends_with(value: text, part: text) -> boolean", "Whether it ends so.", "ends_with('abc', 'bc')", "True"),
    ("text", "strip_accents(value: text) -> text", "Without accents.", "strip_accents('Zoë')", "Zoe"),
    ("text", "regexp_matches(value: text, pattern: const text, options?: const text) -> boolean",
     "Whether a regular expression (RE2) is found.", "regexp_matches('DE123', '^[A-Z]{2}[0-9]+$')", "True"),
    ("text", "regexp_extract(value: text, pattern: const text, group?: const integer) -> text",
     "What a regular expression finds; empty when nothing.", "regexp_extract('No. 42', '([0-9]+)', 1)", "42"),
    ("text", "regexp_replace(value: text, pattern: const text, new: text, options?: const text) -> text",
     "Replaces what a regular expression finds; option 'g' everywhere.",
     "regexp_replace('+49 (0)30', '[^0-9]', '', 'g')", "49030"),
    ("text", "ascii(value: text) -> integer", "Code of the first character.", "ascii('A')", "65"),
    ("text", "chr(code: integer) -> text", "The character of a code.", "chr(65)", "A"),
    ("text", "url_encode(value: text) -> text", "Escaped for a URL.", "url_encode('a b&c')", "a%20b%26c"),
    ("text", "url_decode(value: text) -> text", "The reverse of it.", "url_decode('a%20b')", "a b"),
    ("text", "md5(value: text) -> text", "MD5 as hex: a fingerprint for keys of other systems, no protection.",
     "md5('a')", "0cc175b9c0f1b6a831c399e269772661"),
    ("text", "sha256(value: text) -> text", "SHA-256 as hex. To protect a value use a mask.", "left(sha256('a'), 8)",
     "ca978112"),

    ("number", "abs(value: number) -> @value", "Without its sign.", "abs(-2)", "2"),
    ("number", "round(value: number, digits?: integer) -> @value", "Rounded half away from zero.", "round(2.345, 2)",
     "2.35"),
    ("number", "trunc(value: number) -> number", "Towards zero.", "trunc(-2.7)", "-2"),
    ("number", "floor(value: number) -> number", "Down.", "floor(-2.1)", "-3"),
    ("number", "ceil(value: number) -> number", "Up.", "ceil(2.1)", "3"),
    ("number", "sign(value: number) -> integer", "-1, 0 or 1.", "sign(-7)", "-1"),
    ("number", "mod(value: number, divisor: number) -> @value", "The rest of a division.", "mod(7, 3)", "1"),
    ("number", "power(value: number, exponent: number) -> double", "A power.", "power(2, 3)", "8.0"),
    ("number", "sqrt(value: number) -> double", "Square root.", "sqrt(9)", "3.0"),
    ("number", "greatest(*values: any) -> @values", "The largest; NULL is left out.", "greatest(1, NULL, 3)", "3"),
    ("number", "least(*values: any) -> @values", "The smallest; NULL is left out.", "least(2, NULL, 3)", "2"),

    ("date", "year(value: temporal) -> integer", "The year.", "year(DATE '2024-03-05')", "2024"),
    ("date", "quarter(value: temporal) -> integer", "The quarter, 1..4.", "quarter(DATE '2024-03-05')", "1"),
    ("date", "month(value: temporal) -> integer", "The month, 1..12.", "month(DATE '2024-03-05')", "3"),
    ("date", "week(value: temporal) -> integer", "The ISO week.", "week(DATE '2024-01-01')", "1"),
    ("date", "day(value: temporal) -> integer", "The day of the month.", "day(DATE '2024-03-05')", "5"),
    ("date", "isodow(value: temporal) -> integer", "The day of the week, Monday is 1.", "isodow(DATE '2024-03-05')",
     "2"),
    ("date", "dayofyear(value: temporal) -> integer", "The day of the year.", "dayofyear(DATE '2024-02-01')", "32"),
    ("date", "hour(value: any) -> integer", "The hour of a time or timestamp.",
     "hour(TIMESTAMP '2024-03-05 10:20:30')", "10"),
    ("date", "minute(value: any) -> integer", "The minute.", "minute(TIMESTAMP '2024-03-05 10:20:30')", "20"),
    ("date", "second(value: any) -> integer", "The second.", "second(TIMESTAMP '2024-03-05 10:20:30')", "30"),
    ("date", "date_trunc(part: const text, value: temporal) -> timestamp",
     "The beginning of the year, month, week, day, hour.", "date_trunc('month', DATE '2024-03-05')",
     "2024-03-01 00:00:00"),
    ("date", "date_diff(part: const text, from: temporal, to: temporal) -> integer",
     "Borders of a part between two dates.", "date_diff('day', DATE '2024-02-28', DATE '2024-03-01')", "2"),
    ("date", "last_day(value: temporal) -> date", "The last day of the month.", "last_day(DATE '2024-02-05')",
     "2024-02-29"),
    ("date", "make_date(year: integer, month: integer, day: integer) -> date", "A date from its parts.",
     "make_date(2024, 3, 5)", "2024-03-05"),
    ("date", "strftime(value: temporal, format: const text) -> text", "A date or timestamp as text.",
     "strftime(DATE '2024-03-05', '%d.%m.%Y')", "05.03.2024"),
    ("date", "epoch_ms(value: temporal) -> integer", "Milliseconds since 1970.",
     "epoch_ms(TIMESTAMP '1970-01-01 00:00:01')", "1000"),

    ("condition", "coalesce(*values: any) -> @values", "The first value that is not NULL.", "coalesce(NULL, 'a')", "a"),
    ("condition", "ifnull(value: any, otherwise: any) -> @value", "The value, or the other one when it is NULL.",
     "ifnull(NULL, 'a')", "a"),
    ("condition", "nullif(value: any, other: any) -> @value", "NULL when both are equal.", "nullif('', '')", "None"),
    ("condition", "if(condition: boolean, then: any, otherwise: any) -> @then",
     "One of two values; CASE WHEN in short.", "if(1 < 2, 'a', 'b')", "a"),

    ("json", "json_extract_string(value: json, path: const text) -> text", "A value inside JSON, as text.",
     '''json_extract_string('{"a": {"b": 1}}', '$.a.b')''', "1"),
    ("json", "json_extract(value: json, path: const text) -> json", "A part of JSON, as JSON.",
     '''json_extract('{"a": [1]}', '$.a')''', "[1]"),
    ("json", "json_array_length(value: json, path?: const text) -> integer", "Items in a JSON list.",
     "json_array_length('[1, 2]')", "2"),
    ("json", "json_valid(value: text) -> boolean", "Whether a text is JSON.", "json_valid('{}')", "True"),
)  # fmt: skip

_GROWS = frozenset(("replace", "regexp_replace"))
_VOLATILITY: dict[str, Literal["per execution", "table"]] = {
    "currency": "table",
    "xref": "table",
    "param": "per execution",
    "property": "per execution",
}


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
        volatility=_VOLATILITY.get(name, "pure"),
        own=category == "own",
    )


FUNCTIONS: dict[str, Function] = {found.name: found for found in (_function(*row) for row in _TABLE)}
"""Every function by its name, in lower case, in the order of the reference."""

PROPERTIES: dict[str, tuple[str, str]] = {
    "execution.id": ("text", "Id of the execution."),
    "execution.started_at": ("timestamp", "When it started, UTC; the same after a resume."),
    "process.name": ("text", "Name of the process."),
    "environment.name": ("text", "Name of the environment."),
}
"""What property() reads: name -> (type, description)."""

MINOR_UNITS: dict[str, int] = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
"""Digits after the point of the currencies that have not two. Source: ISO 4217, list one."""

MINOR_UNITS_DEFAULT = 2


def minor_units(currency: str) -> int:
    """Digits after the point of a currency, by its three-letter code."""
    return MINOR_UNITS.get(currency, MINOR_UNITS_DEFAULT)


_MANY = "it works over many documents; an expression sees one"
_VOLATILE = "it gives another value at every call, so a retry would not repeat the document; see property()"
_MACHINE = "it reaches outside the document"
_UNBOUNDED = "its result has no bound"
_FORMATLESS = "reading is strict here: use date(), timestamp() or number()"
_REASONS: dict[str, str] = {
    _MANY: "sum count avg min max mean median mode list array_agg string_agg group_concat listagg first last any_value "
    "arg_min arg_max min_by max_by stddev variance corr quantile histogram bool_and bool_or product fsum count_star "
    "row_number rank dense_rank percent_rank ntile lag lead first_value last_value nth_value unnest columns",
    _VOLATILE: "now random setseed uuid uuidv4 uuidv7 gen_random_uuid current_timestamp get_current_timestamp today "
    "current_date current_time transaction_timestamp nextval currval age hash",
    _MACHINE: "getenv query query_table glob current_setting getvariable current_user current_database current_schema "
    "current_schemas version txid_current pg_typeof write_log parse_path which_secret load_aws_credentials checkpoint "
    "force_checkpoint sql_auto_complete json_execute_serialized_sql json_serialize_sql",
    _UNBOUNDED: "repeat format printf range generate_series list_resize array_resize bar",
    _FORMATLESS: "strptime try_strptime to_date to_timestamp to_number make_timestamp",
}
FORBIDDEN: dict[str, str] = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""Functions that somebody who knows the database will look for, and why they are not here."""

_HERE_CALLED = {
    "position": "instr", "strpos": "instr", "substr": "substring", "len": "length", "char_length": "length",
    "pow": "power", "ceiling": "ceil", "nvl": "ifnull", "isnull": "ifnull", "iif": "if", "ucase": "upper",
    "lcase": "lower", "datediff": "date_diff", "datetrunc": "date_trunc", "to_char": "strftime", "suffix": "ends_with",
    "prefix": "starts_with", "dayofmonth": "day", "weekday": "isodow", "json_value": "json_extract_string",
}  # fmt: skip

FORBIDDEN_PREFIXES = ("read_", "write_", "duckdb_", "pragma_", "sniff_", "parquet_", "pg_", "sqlite_", "postgres_")


def why_forbidden(name: str) -> str | None:
    """Why a function that the database has is not in the language; None when it just does not exist here."""
    if name in _HERE_CALLED:
        return f"here it is {_HERE_CALLED[name]}()"
    return _MACHINE if name.startswith(FORBIDDEN_PREFIXES) else FORBIDDEN.get(name)
