"""Every finding of the language: a text that earns it, and the line where it is told.

`SKELETON` is a process without a finding; each case replaces one line of it, or is a whole text.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from dative.errors.base import load_all_codes
from dative.process.catalog import Catalog, default_catalog
from dative.process.findings import Finding
from dative.process.load import check, load

SKELETON = """\
apiVersion: dative/v1
kind: Process
metadata: {name: demo}
spec:
  triggers: [{schedule: {cron: "0 6 * * 1-5"}}]
  connections: {crm: salesforce, erp: database}
  parameters: {region: {default: EMEA}}
  tables: {rates: {kind: rates, file: rates.csv}, customers: {kind: xref, columns: [crm, erp]}}
  source:
    id: read
    salesforce.query: {connection: crm, object: Account, fields: [Id, Name, Phone, Amount, Since], where: "Type = 'C'"}
  classify: {phi: [Phone]}
  track: [Id]
  steps:
    - id: shape
      map: {fields: {id: Id, name: upper(Name), phone: Phone}}
    - id: hide
      mask: {phone: keep_last(2)}
    - id: write
      database.upsert: {connection: erp, table: customer, key: [id]}
"""
MAP = "map: {fields: {id: Id, name: upper(Name), phone: Phone}}"
WRITE = "database.upsert: {connection: erp, table: customer, key: [id]}"
MASK = "mask: {phone: keep_last(2)}"


def found(text: str | bytes, catalog: Catalog | None = None) -> list[tuple[str, int]]:
    return [(finding.code.name, finding.line) for finding in check(text, filename="p.yaml", catalog=catalog).findings]


def test_the_skeleton_has_no_finding() -> None:
    assert found(SKELETON) == []


WHOLE: list[tuple[str, str | bytes, list[tuple[str, int]]]] = [
    ("a file of two megabytes", "a: " + "x" * (2 << 20), [("process.too_large", 1)]),
    ("latin-1", "name: caf\xe9".encode("latin-1"), [("process.encoding", 1)]),
    ("utf-16", "a: 1".encode("utf-16"), [("process.encoding", 1)]),
    ("a byte order mark", b"\xef\xbb\xbfa: 1", [("process.encoding", 1)]),
    ("a zero byte", "a: 1\nb: \0", [("process.encoding", 2)]),
    ("half a surrogate pair", "a: \ud800", [("process.encoding", 1)]),
    ("broken YAML", "a: [1, 2\nb: 3\n", [("process.syntax", 2)]),
    ("an open quote", "a: 'x\n", [("process.syntax", 2)]),
    ("a tab", "spec:\n\tsource: x\n", [("process.tab", 2)]),
    ("an anchor", "a: &x 1\nb: *x\n", [("process.alias", 1)]),
    ("an alias alone", "a: 1\nb: *x\n", [("process.alias", 2)]),
    ("a merge key", "a: {b: 1}\nc:\n  <<: {b: 1}\n", [("process.alias", 3)]),
    ("an alias bomb", "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9)), [("process.alias", 1)]),
    ("a tag", "a: !!python/object/apply:os.system [ls]\n", [("process.tag", 1)]),
    ("two documents", "a: 1\n---\nb: 2\n", [("process.several_documents", 2)]),
    ("a hundred thousand brackets", "[" * 100_000, [("process.too_deep", 1)]),
    ("brackets spread out", "\n".join("[x, " * 9 for _ in range(9)), [("process.too_deep", 5)]),
    ("nested blocks", "".join("  " * depth + "a:\n" for depth in range(60)), [("process.too_deep", 41)]),
    ("too many values", "[" + "1, " * 100_000 + "1]", [("process.too_many_nodes", 1)]),
    ("nothing", "", [("process.empty", 1)]),
    ("a comment only", "# later\n", [("process.empty", 1)]),
    ("a list", "- a\n", [("process.wrong_value", 1)]),
    ("a mapping as key", "{a: 1}: 2\n", [("process.wrong_value", 1)]),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_a_text_that_is_no_process_is_one_clear_finding(text: str | bytes, expected: list[tuple[str, int]]) -> None:
    assert found(text) == expected


FUNCTIONS = "  functions:\n    f: {parameters: {a: text}, expression: EXPRESSION}\n"


# (what is wrong, the line's text, what stands there instead, findings)
CASES: list[tuple[str, str, str, list[tuple[str, int]]]] = [
    # structure
    ("a duplicate key", "kind: Process", "kind: Process\nkind: Process", [("process.duplicate_key", 3)]),
    ("another version", "dative/v1", "dative/v9", [("process.wrong_kind", 1)]),
    ("another kind", "kind: Process", "kind: Flow", [("process.wrong_kind", 2)]),
    ("no kind", "kind: Process\n", "", [("process.missing_key", 1)]),
    ("an unknown key at the top", "kind: Process", "kind: Process\nkinds: x", [("process.unknown_key", 3)]),
    ("an unknown key in spec", "  track: [Id]", "  tracks: [Id]", [("process.unknown_key", 13)]),
    ("an unknown key in a map", MAP, "map: {feilds: {id: Id}}", [
        ("process.missing_key", 16), ("process.unknown_key", 16)]),
    ("a name in capitals", "name: demo", "name: Demo", [("process.wrong_value", 3)]),
    ("an unknown class", "{phi: [Phone]}", "{secret: [Phone]}", [("process.wrong_value", 12)]),
    ("steps that are no list", "  steps:\n", "  steps:\n    x: y\n    z:\n", [("process.wrong_value", 15)]),
    ("a step that is a text", "    - id: hide\n      " + MASK, "    - hide", [("process.wrong_value", 17)]),
    ("no verb", "\n      " + MASK, "", [("process.no_verb", 17)]),
    ("two verbs", MASK, MASK + "\n      stop: {}", [("process.several_verbs", 19)]),
    ("an unknown verb", MASK, "maks: {phone: drop}", [("process.unknown_verb", 18)]),
    ("an unknown verb that would have used the connection", "database.upsert:", "upsert:", [("process.unknown_verb", 20)]),
    ("a typing error beside the verb", MASK, MASK + "\n      retries: {}", [("process.unknown_key", 19)]),
    ("then without decide", MASK, MASK + "\n      then: []", [("process.misplaced", 19)]),
    ("retry at a map", MASK, MASK + "\n      retry: {on: [timeout]}", [("process.misplaced", 19)]),
    ("a write without id", "    - id: write\n      ", "    - ", [("process.missing_key", 19)]),
    ("an id with a space", "id: hide", "id: hide it", [("process.wrong_value", 17)]),
    ("two steps of one id", "id: hide", "id: shape", [("process.duplicate_step", 17)]),
    ("an id of the source", "id: hide", "id: read", [("process.duplicate_step", 17)]),
    ("a function that calls itself", "  track: [Id]\n", "  track: [Id]\n" + FUNCTIONS.replace("EXPRESSION", "f(a)"), [
        ("expression.recursive", 15)]),
    ("a function of a name that is taken", "  track: [Id]\n", "  track: [Id]\n" + FUNCTIONS.replace(
        "EXPRESSION", "a").replace("f:", "upper:"), [("process.function_twice", 15)]),
    ("no source", "    salesforce.query:", "    database.query:", [
        ("process.wrong_connector", 11), ("process.bad_option", 11), ("process.bad_option", 11)]),
    ("an empty try", MASK, "try: []", [("process.wrong_value", 18)]),
    ("a mask that is none", "keep_last(2)", "keep_lost(2)", [("process.wrong_value", 18)]),
    ("a mask out of bounds", "keep_last(2)", "keep_last(999)", [("process.wrong_value", 18)]),
    ("a duration without unit", MASK, "dead_letter: {queue: q, keep: 30}", [
        ("process.wrong_value", 18), ("process.unreachable", 19)]),
    ("retry without bound", WRITE, WRITE + "\n      retry: {on: [timeout], max_attempts: 500}", [
        ("process.wrong_value", 21)]),
    ("retry of an unknown class", WRITE, WRITE + "\n      retry: {on: [always]}", [("process.wrong_value", 21)]),
    ("a backoff upside down", WRITE, WRITE + "\n      retry: {on: [timeout], backoff: {first: 9m, max: 1m}}", [
        ("process.wrong_value", 21)]),
    ("a table of no kind", "kind: rates,", "kind: rate,", [("process.wrong_value", 8)]),
    ("an xref of one column", "[crm, erp]}}", "[crm]}}", [("process.wrong_value", 8)]),
    # triggers
    ("six cron fields", "0 6 * * 1-5", "0 0 6 * * 1", [("process.bad_cron", 5)]),
    ("minute 61", "0 6 * * 1-5", "61 6 * * *", [("process.bad_cron", 5)]),
    ("a backward range", "0 6 * * 1-5", "0 6 * * FRI-MON", [("process.bad_cron", 5)]),
    ("30 February", "0 6 * * 1-5", "0 6 30 2 *", [("process.bad_cron", 5)]),
    ("an unknown zone", '"0 6 * * 1-5"', '"0 6 * * 1", timezone: Europe/Pariss', [("process.bad_zone", 5)]),
    ("a zone that is a path", '"0 6 * * 1-5"', '"0 6 * * 1", timezone: ../etc/passwd', [("process.bad_zone", 5)]),
    ("a trigger of an unknown sort", "{schedule:", "{scedule:", [("process.missing_key", 5), ("process.unknown_key", 5)]),
    # connections and operations
    ("an unknown connector", "crm: salesforce", "crm: salesfarce", [
        ("process.unknown_connector", 6), ("process.wrong_connector", 11)]),
    ("an undeclared connection", "connection: erp", "connection: epr", [
        ("process.unused_connection", 6), ("process.unknown_connection", 20)]),
    ("a connection of another connector", "connection: erp", "connection: crm", [
        ("process.unused_connection", 6), ("process.wrong_connector", 20)]),
    ("no connection", "{connection: erp, ", "{", [("process.missing_key", 20)]),
    ("an unknown operation", "database.upsert", "database.upsrt", [("process.unknown_operation", 20)]),
    ("an unknown system", "database.upsert", "databse.upsert", [
        ("process.unknown_connector", 20), ("process.wrong_connector", 20)]),
    ("an unknown option", "table: customer", "tabel: customer", [("process.bad_option", 20), ("process.bad_option", 20)]),
    ("an option of the wrong type", "table: customer", "table: 7", [("process.bad_option", 20)]),
    ("an unknown option inside one", "where: \"Type = 'C'\"", "incremental: {feild: Id, field: SystemModstamp}", [
        ("process.bad_option", 11)]),
    ("a write as source", "salesforce.query: {connection: crm, object: Account, fields: [Id, Name, Phone, Amount, Since],"
     " where: \"Type = 'C'\"}", "database.insert: {connection: erp, table: x}",
     [("process.unused_connection", 6), ("process.wrong_direction", 11)]),
    ("a read among the steps", WRITE, "salesforce.query: {connection: crm, object: A, fields: [Id]}", [
        ("process.unused_connection", 6), ("process.wrong_direction", 20)]),
    ("an unknown bind", "Type = 'C'", "CreatedDate >= :lastRunDat", [("process.unknown_bind", 11)]),
    ("a bind that a text only looks like", "Type = 'C'", "Name = ':nobody' AND A > 2024-01-01T12:00:00Z", []),
    ("a parameter as bind", "Type = 'C'", "Region__c = :region AND CreatedDate >= :lastRunDate", []),
    (":watermark of a read of everything", "Type = 'C'", "SystemModstamp >= :watermark", [("process.no_watermark", 11)]),
    (":watermark of an incremental read", "where: \"Type = 'C'\"",
     "incremental: {field: SystemModstamp}, where: \"SystemModstamp >= :watermark\"", []),
    ("a parent's field", "Since], where: \"Type = 'C'\"", "Since, Owner.Name], incremental: {}", [
        ("process.stale_field", 11)]),
    # fields
    ("an unknown field", "id: Id,", "id: Idd,", [("process.unknown_field", 16)]),
    ("a field that the map left behind", MASK, "decide: Name = 'x'", [
        ("process.unknown_field", 18), ("process.classified_unmasked", 20)]),
    ("a reserved field", "id: Id,", "id: Id, _document: Id,", [("process.reserved_field", 16)]),
    ("a field in two spellings", "id: Id,", "id: Id, ID: Id,", [("process.field_twice", 16)]),
    ("a mask of an unknown field", "{phone: keep", "{fone: keep", [
        ("process.unknown_field", 18), ("process.classified_unmasked", 20)]),
    ("a mask that does not fit", "phone: Phone}}", "phone: Phone, since: \"date(Since, '%Y-%m-%d')\"}}\n    - id: shift\n"
     "      mask: {since: keep_last(2)}", [("process.bad_mask", 18)]),
    ("a tracked unknown field", "track: [Id]", "track: [Ident]", [("process.unknown_field", 13)]),
    ("a classified unknown field", "{phi: [Phone]}", "{phi: [Phone, Fax]}", [("process.unknown_field", 12)]),
    ("a tracked classified field", "track: [Id]", "track: [Id, Phone]", [("process.classified_tracked", 13)]),
    ("a tracked hash of an unknown field", "track: [Id]", "track: [hash(Fone)]", [("process.unknown_field", 13)]),
    ("a tracked hash of a classified field", "track: [Id]", "track: [Id, hash(Phone)]", []),
    ("an identifier that nobody classified", "{phi: [Phone]}", "{phi: [Name]}", [
        ("process.unclassified_identifier", 11), ("process.classified_unmasked", 20)]),
    ("an identifier that somebody looked at", "{phi: [Phone]}", "{none: [Phone]}", []),
    ("an identifier by its kind", "{phi: [Phone]}", "{phi: [{field: Phone, identifier: phone}]}", []),
    ("an unknown kind of identifier", "{phi: [Phone]}", "{phi: [{field: Phone, identifier: fone}]}", [
        ("process.wrong_value", 12)]),
    ("a pattern that covers a field", "{phi: [Phone]}", "{phi: ['*ame', Phone]}", [("process.classified_unmasked", 20)]),
    ("a classified field in the position", "Since], where: \"Type = 'C'\"}\n  classify: {phi: [Phone]}",
     "Since, CreatedDate], incremental: {field: CreatedDate}}\n  classify: {phi: [Phone, CreatedDate]}", [
        ("process.classified_position", 11)]),
    ("a shift by an unknown subject", "phone: Phone}}", "phone: Phone, since: \"date(Since, '%Y-%m-%d')\"}}\n    - id: s\n"
     "      mask: {since: 'date_shift(30, key => Patient)'}", [("process.unknown_field", 18)]),
    ("a key that no document has", "key: [id]", "key: [ident]", [("process.unknown_field", 20)]),
    ("a classified value unmasked", MASK, "stop: {}", [("process.unreachable", 19), ("process.classified_unmasked", 20)]),
    ("a classified value inside another", "phone: Phone}}", "phone: Phone, label: \"concat(Name, Phone)\"}}", [
        ("process.classified_unmasked", 20)]),
    ("a disclosure with its reason", MASK + "\n", "mask: {name: drop}\n", [("process.classified_unmasked", 20)]),
    ("a disclosure of an unknown field", WRITE, WRITE + "\n      discloses: {fax: the target needs it}", [
        ("process.unknown_field", 21)]),
    ("a disclosure without a reason", WRITE, WRITE + "\n      discloses: {phone: no}", [("process.wrong_value", 21)]),
    # tables and parameters
    ("an undeclared table", "upper(Name)", "\"xref('customer', crm => Id, want => 'erp')\"", [("process.unknown_table", 16)]),
    ("a table of another kind", "upper(Name)", "\"xref('rates', crm => Id, want => 'erp')\"", [("process.wrong_table", 16)]),
    ("an unknown column", "upper(Name)", "\"xref('customers', crm => Id, want => 'sap')\"", [("process.unknown_column", 16)]),
    ("no rates table", "rates: {kind: rates, file: rates.csv}, ", "", []),
    ("a link to an undeclared table", WRITE, WRITE + "\n      link: {xref: custmers, crm: id, erp: result.id}", [
        ("process.unknown_table", 21)]),
    ("a link to an unknown column", WRITE, WRITE + "\n      link: {xref: customers, crm: id, sap: result.id}", [
        ("process.unknown_column", 21)]),
    ("a link to an unknown result", WRITE, WRITE + "\n      link: {xref: customers, crm: id, erp: result.ident}", [
        ("process.unknown_field", 21)]),
    ("a link of one column", WRITE, WRITE + "\n      link: {xref: customers, crm: id}", [("process.wrong_value", 21)]),
    ("a correct link", WRITE, WRITE + "\n      link: {xref: customers, crm: id, erp: result.id}", []),
    ("an unknown parameter", "upper(Name)", "param('regoin')", [("process.unknown_parameter", 16)]),
    # paths
    ("steps after stop", MASK, "stop: {}", [("process.unreachable", 19), ("process.classified_unmasked", 20)]),
    ("steps after two arms that end", MASK, "decide: name = 'x'\n      then: [{stop: {}}]\n      else: [{stop: {}}]", [
        ("process.unreachable", 21), ("process.classified_unmasked", 22)]),
    ("a mask on one arm", MASK, "decide: name = 'x'\n      then: [{mask: {phone: drop}}]", []),
    ("no idempotency, but a mark at the target", WRITE, "database.insert: {connection: erp, table: customer}", []),
    ("a statement with bound fields", WRITE, "database.execute: {connection: erp, sql: 'CALL book(:id, :name)'}", []),
    ("a statement's unknown field", WRITE, "database.execute: {connection: erp, sql: 'CALL book(:nam)'}", [
        ("process.unknown_field", 20)]),
    ("two statements", WRITE, "database.execute: {connection: erp, sql: 'SELECT 1; SELECT 2'}", [
        ("statement.several", 20)]),
    ("a statement of a batch that binds a field", WRITE,
     "database.execute: {connection: erp, per: batch, sql: 'SELECT :id'}", [("statement.bind", 20)]),
    # expressions
    ("broken SQL", "upper(Name)", "Name ||", [("expression.syntax", 16)]),
    ("an unknown function", "upper(Name)", "uper(Name)", [("expression.unknown_function", 16)]),
    ("a function of the database", "upper(Name)", "getenv('HOME')", [("expression.forbidden_function", 16)]),
    ("a file read", "upper(Name)", "read_csv('/etc/passwd')", [("expression.forbidden_function", 16)]),
    ("a statement", "upper(Name)", "DROP TABLE customer", [("expression.not_scalar", 16)]),
    ("two statements", "upper(Name)", "Name; DROP TABLE x", [("expression.not_scalar", 16)]),
    ("a subquery", "upper(Name)", "(SELECT 1)", [("expression.not_scalar", 16)]),
    ("a window", "upper(Name)", "sum(Amount) OVER ()", [("expression.not_scalar", 16)]),
    ("an aggregate", "upper(Name)", "sum(Amount)", [("expression.forbidden_function", 16)]),
    ("a bind", "upper(Name)", "Amount + $1", [("expression.not_allowed", 16)]),
    ("a wrong number of arguments", "upper(Name)", "\"upper(Name, 1)\"", [("expression.wrong_arguments", 16)]),
    ("a wrong type", "upper(Name)", "upper(5)", [("expression.wrong_type", 16)]),
    ("a date without format", "upper(Name)", "date(Since)", [("expression.ambiguous_date", 16)]),
    ("a length without bound", "upper(Name)", "\"lpad(Name, 999999, ' ')\"", [("expression.unbounded", 16)]),
    ("an expression of 5,000 characters", "upper(Name)", "'" + "x" * 5000 + "'", [("expression.too_long", 16)]),
    ("five hundred parentheses", "upper(Name)", "(" * 500 + "Name" + ")" * 500, [("expression.too_deep", 16)]),
    ("a condition that is none", MASK, "decide: concat(name, phone)", [
        ("expression.wrong_type", 18), ("process.classified_unmasked", 20)]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_wrong_is_told_at_its_line(old: str, new: str, expected: list[tuple[str, int]]) -> None:
    assert SKELETON.count(old) == 1
    assert found(SKELETON.replace(old, new)) == expected


def test_a_currency_without_rates_says_what_to_declare() -> None:
    text = SKELETON.replace("rates: {kind: rates, file: rates.csv}, ", "").replace(
        "upper(Name)", "\"currency(Amount, 'USD', 'EUR')\""
    )
    (finding,) = check(text, filename="p.yaml").findings
    assert (finding.code.name, finding.line) == ("process.unknown_table", 16)
    assert "kind: rates" in finding.next


def test_too_many_steps_are_told_at_the_first_that_is_too_many() -> None:
    more = "".join(f"    - {{id: s{number}, mask: {{name: redact}}}}\n" for number in range(248))
    assert found(SKELETON + more)[0][0] == "process.too_many_steps"
    assert found(SKELETON + more.removesuffix("    - {id: s247, mask: {name: redact}}\n")) == []


def test_findings_of_the_structure_do_not_hide_those_of_expressions() -> None:
    text = SKELETON.replace("id: hide", "id: hide\n      tiemout: 5s").replace("upper(Name)", "uper(Nam)")
    assert found(text) == [
        ("expression.unknown_function", 16),
        ("process.unknown_field", 16),
        ("process.unknown_key", 18),
    ]


def test_a_finding_points_at_the_word_inside_the_expression() -> None:
    text = SKELETON.replace("upper(Name)", "upper(uper(Nam))")
    by_code = {finding.code.name: finding for finding in check(text, filename="p.yaml").findings}
    line = text.splitlines()[15]
    assert by_code["expression.unknown_function"].column == line.index("uper") + 1
    quoted = SKELETON.replace("upper(Name)", '"concat(Name, uper(Name))"')
    (finding,) = check(quoted, filename="p.yaml").findings
    assert finding.column == quoted.splitlines()[15].index("uper") + 1


def test_the_nearest_name_is_offered() -> None:
    def message(old: str, new: str) -> str:
        return _only(check(SKELETON.replace(old, new), filename="p.yaml").findings).message

    assert 'did you mean "track"?' in message("  track:", "  trak:")
    assert 'did you mean "upper"?' in message("upper(Name)", "uper(Name)")
    assert 'did you mean "Name"?' in message("upper(Name)", "upper(Nmae)")
    assert 'did you mean "database.upsert"?' in message("database.upsert", "database.upsrt")
    assert 'did you mean "mask"?' in message(MASK, "maks: {name: drop}\n      discloses: {}").split("\n")[0]


def _only(findings: list[Finding]) -> Finding:
    return findings[0]


def test_yaml_1_1_surprises_do_not_exist() -> None:
    text = SKELETON.replace("upper(Name)", "'NO'").replace(
        "{name: demo}", "{name: no, labels: {a: on, b: 1:30, c: 0777}}"
    )
    process = load(text, filename="p.yaml").process
    assert process is not None
    assert process.name == "no"
    assert process.metadata.labels == {"a": "on", "b": "1:30", "c": "0777"}


def test_a_warning_alone_does_not_refuse_the_process() -> None:
    text = SKELETON.replace("erp: database}", "erp: database, spare: disk}")
    checked = check(text, filename="p.yaml")
    assert [finding.severity for finding in checked.findings] == ["warning"]
    assert checked.process is not None


@pytest.mark.parametrize(
    ("transactional", "more", "expected"),
    [(True, "", []), (False, "", [("process.no_verify", 20)]), (False, "\n      verify: {key: [id]}", [])],
)
def test_only_an_operation_that_nothing_vouches_for_needs_verify(
    transactional: bool, more: str, expected: list[tuple[str, int]]
) -> None:
    text = SKELETON.replace(WRITE, f"database.insert: {{connection: erp, table: customer}}{more}")
    known = default_catalog()
    insert = replace(known.connectors["database"].operations["insert"], idempotent=False, transactional=transactional)
    database = type(known.connectors["database"])({}, (), {"insert": insert})
    assert found(text, Catalog({**known.connectors, "database": database})) == expected


def test_every_code_of_the_language_has_its_case() -> None:
    shown = {code for _, text, expected in WHOLE for code, _ in expected}
    shown |= {code for *_, expected in CASES for code, _ in expected}
    elsewhere = {
        "process.no_list",
        "process.no_verify",
        "process.too_many_steps",
        "process.test_mismatch",
    }  # the test above; test_cases.py
    elsewhere |= {"process.unknown_process", "process.not_callable", "process.call_cycle", "process.call_too_deep"}
    elsewhere |= {"process.not_spread", "process.not_divisible", "process.spread_undivided"}  # test_spread.py
    elsewhere |= {
        "process.property_unset", "process.property_read_before", "process.property_types",
        "process.property_classified", "process.property_parallel", "process.reserved_property",
        "process.classified_told", "process.bad_template",
        "process.cache_empty", "process.cache_mismatch", "process.cache_read_before",
    }  # test_properties.py, test_messages.py, test_caches.py  # fmt: skip
    at_run = {
        "cast_failed", "date_unreadable", "number_unreadable", "rate_missing", "lookup_missing", "evaluation_failed",
    }  # fmt: skip
    codes = {name for name in load_all_codes() if name.startswith(("process.", "expression."))}
    assert codes - shown - elsewhere - {f"expression.{name}" for name in at_run} == set()
