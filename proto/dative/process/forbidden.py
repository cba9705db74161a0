"""Functions that somebody who knows the database will look for, and why they are not in the language."""

from __future__ import annotations

_MANY = (
    "it works over many documents; an expression sees one; see line_number(), running_total(), group_total(), "
    "group_count(), and list_…() for lists"
)
_VOLATILE = "it gives another value at every call, so a retry would not repeat the document; see property()"
_MACHINE = "it reaches outside the document"
_UNBOUNDED = "its result has no bound"
_FORMATLESS = "reading is strict here: use date(), timestamp() or number()"
_REASONS: dict[str, str] = {
    _MANY: "sum count avg min max mean median mode list array_agg string_agg group_concat listagg first last any_value "
    "arg_min arg_max min_by max_by stddev variance corr quantile histogram bool_and bool_or product fsum count_star "
    "row_number rank dense_rank percent_rank ntile lag lead first_value last_value nth_value unnest columns",
    _VOLATILE: "now random setseed uuid uuidv4 uuidv7 gen_random_uuid current_timestamp get_current_timestamp "
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
    "position": "instr", "strpos": "instr", "substr": "substring", "char_length": "length",
    "pow": "power", "ceiling": "ceil", "nvl": "ifnull", "isnull": "ifnull", "iif": "if", "ucase": "upper",
    "lcase": "lower", "datediff": "date_diff", "datetrunc": "date_trunc", "to_char": "strftime", "suffix": "ends_with",
    "prefix": "starts_with", "append": "concat", "prepend": "concat", "remove": "replace", "split": "split_part",
    "string_split": "split_part", "len": "length", "array_to_string": "list_join", "dateadd": "date_add",
    "round_even": "precision", "convert_timezone": "format_timestamp",
    "dayofmonth": "day", "weekday": "isodow", "json_value": "json_extract_string",
}  # fmt: skip

FORBIDDEN_PREFIXES = ("read_", "write_", "duckdb_", "pragma_", "sniff_", "parquet_", "pg_", "sqlite_", "postgres_")


def why_forbidden(name: str) -> str | None:
    """Why a function that the database has is not in the language; None when it just does not exist here."""
    if name in _HERE_CALLED:
        return f"here it is {_HERE_CALLED[name]}()"
    return _MACHINE if name.startswith(FORBIDDEN_PREFIXES) else FORBIDDEN.get(name)
