"""Lineage: where a value comes from, and that its class goes with it."""

from __future__ import annotations

from dative.process.findings import Finding
from dative.process.lineage import follow, lineage
from dative.process.load import check, load
from dative.process.model import Process

PROFILE = {"read": {"Id": "text", "Name": "text", "Phone": "text", "Amount": "decimal(18,2)", "Born": "date"}}
HEAD = """\
apiVersion: dative/v1
kind: Process
metadata: {name: demo}
spec:
  connections: {crm: salesforce, erp: database}
  source:
    id: read
    salesforce.query: {connection: crm, object: Contact, fields: [Id, Name, Phone, Amount, Born]}
  classify: {phi: [Phone, Born], pii: [Name]}
  steps:
"""
WRITE = "    - id: write\n      database.upsert: {connection: erp, table: t, key: [id]}\n"


def process(steps: str) -> Process:
    loaded = load(HEAD + steps, filename="p.yaml")
    assert loaded.process is not None, loaded.findings
    return loaded.process


def findings(steps: str) -> list[Finding]:
    found = check(HEAD + steps, filename="p.yaml", profiles=PROFILE).findings
    return [finding for finding in found if finding.severity == "error"]


def leaks(steps: str) -> list[str]:
    found = [finding for finding in findings(steps) if finding.code.name == "process.classified_unmasked"]
    return [finding.message.split('"')[1] for finding in found]


def test_a_value_knows_every_field_it_was_made_of() -> None:
    steps = """\
    - id: one
      map:
        fields:
          id: Id
          label: concat_ws(' ', Name, Phone)
          fixed: 42
    - id: two
      map:
        keep: rest
        fields:
          both: label || id
"""
    assert lineage(process(steps)) == {
        "read": {name: frozenset((name,)) for name in ("Id", "Name", "Phone", "Amount", "Born")},
        "one": {"id": frozenset({"Id"}), "label": frozenset({"Name", "Phone"}), "fixed": frozenset()},
        "two": {
            "id": frozenset({"Id"}),
            "label": frozenset({"Name", "Phone"}),
            "fixed": frozenset(),
            "both": frozenset({"Id", "Name", "Phone"}),
        },
    }


def test_a_class_follows_the_value_through_maps_until_a_mask() -> None:
    steps = """\
    - id: one
      map: {fields: {id: Id, call: Phone, age: "date_diff('year', Born, DATE '2024-01-01')", who: upper(Name)}}
    - id: two
      map: {keep: rest, fields: {text: "concat(call, who)"}}
"""
    assert sorted(leaks(steps + WRITE)) == ["age", "call", "text", "who"]
    mask = "    - id: hide\n      mask: {age: drop, call: keep_last(2), text: redact, who: token}\n"
    assert leaks(steps + mask + WRITE) == []
    followed = follow(process(steps + mask + WRITE), profiles=PROFILE)
    assert followed.classes["two"]["text"] == {"phi", "pii"}
    assert followed.classes["write"]["text"] == frozenset()
    assert "age" not in followed.sources["write"]


def test_masking_after_the_copy_does_not_mask_the_copy() -> None:
    steps = """\
    - id: one
      map: {fields: {id: Id, call: Phone, copy: Phone}}
    - id: hide
      mask: {call: drop}
"""
    assert leaks(steps + WRITE) == ["copy"]


def test_a_condition_reveals_no_value_and_a_disclosed_field_passes() -> None:
    steps = """\
    - id: one
      map: {fields: {id: Id, who: Name}}
    - id: write
      database.upsert: {connection: erp, table: t, key: [id]}
      discloses: {who: The ERP prints it on the invoice.}
"""
    assert findings(steps) == []


def test_arms_come_together_with_what_either_knows() -> None:
    steps = """\
    - id: one
      map: {fields: {id: Id, amount: Amount}}
    - id: fork
      decide: amount > 10
      then:
        - id: big
          map: {keep: rest, fields: {size: "'big'"}}
      else:
        - id: small
          map: {keep: rest, fields: {size: "'small'", note: id}}
"""
    followed = follow(process(steps + WRITE), profiles=PROFILE)
    assert followed.sources["write"] == {
        "id": frozenset({"Id"}),
        "amount": frozenset({"Amount"}),
        "size": frozenset(),
        "note": frozenset({"Id"}),
    }
    assert str(followed.types["write"]["amount"]) == "decimal(18,2)"


def test_an_arm_that_ends_brings_no_fields() -> None:
    steps = """\
    - id: one
      map: {fields: {id: Id, who: Name}}
    - id: fork
      decide: who IS NULL
      then: [{id: lost, dead_letter: {queue: q}}]
      else: [{id: hide, mask: {who: hash}}]
"""
    assert leaks(steps + WRITE) == []


def test_the_catch_path_sees_the_original_document_and_the_error() -> None:
    steps = """\
    - id: guard
      try:
        - id: one
          map: {fields: {id: Id}}
      catch:
        - id: note
          map: {fields: {id: Id, why: _error_code}}
        - id: late
          decide: id = 'x' AND _error_step = 'one'
"""
    codes = [finding.code.name for finding in findings(steps)]
    assert codes == ["process.unknown_field"]  # _error_step: the map before left it behind
    outside = steps.replace("        - id: late\n", "    - id: late\n").replace("          decide", "      decide")
    assert all("_error_step" in finding.message for finding in findings(outside))
    assert findings(outside)


def test_types_of_the_profile_find_what_can_not_work() -> None:
    steps = "    - id: one\n      map: {fields: {id: Id, total: Amount + Name}}\n"
    assert [finding.code.name for finding in findings(steps)] == ["expression.wrong_type"]
    process(steps)
    unknown = check(HEAD + steps, filename="p.yaml")
    assert unknown.process is not None  # without a profile the types are open, and nothing is claimed


def test_a_source_that_does_not_say_its_fields_lets_every_name_through_and_still_classifies() -> None:
    text = HEAD.replace(
        "salesforce.query: {connection: crm, object: Contact, fields: [Id, Name, Phone, Amount, Born]}",
        "database.query: {connection: erp, table: contact}",
    ).replace("crm: salesforce, ", "")
    steps = "    - id: one\n      map: {fields: {id: anything, call: Phone}}\n"
    found = check(text + steps + WRITE, filename="p.yaml").findings
    assert [finding.code.name for finding in found] == ["process.classified_unmasked"]
