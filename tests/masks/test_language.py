"""classify: names, patterns, nested names, HIPAA's identifiers; and a class that can not get away."""

from __future__ import annotations

import random
import re
from typing import Any, get_args

import pytest
from dative.process.classes import Classification
from dative.process.datatypes import parse_type
from dative.process.findings import Finding
from dative.process.identifiers import BY_KIND, IDENTIFIERS, IdentifierKind, looks_like
from dative.process.lineage import explain, follow
from dative.process.load import canonical_process, check, load
from dative.process.model import Process
from dative.process.scalars import parse_mask

HEAD = """\
apiVersion: dative/v1
kind: Process
metadata: {name: demo}
spec:
  connections: {crm: database, erp: database}
  source:
    id: read
    database.query: {connection: crm, table: t, key: [Id]%s}
  classify: %s
  steps:
%s
    - id: write
      database.upsert: {connection: erp, table: t, key: [id]}
"""
MAP = '    - id: one\n      map: {fields: {id: Id, out: "%s"}}'


def findings(classify: str, steps: str, columns: str = "", **profile: str) -> list[Finding]:
    text = HEAD % (f", columns: {columns}" if columns else "", classify, steps)
    profiles = {"read": profile} if profile else None
    return list(check(text, filename="p.yaml", profiles=profiles).findings)


def codes(found: list[Finding], severity: str = "error") -> list[str]:
    return [one.code.name.removeprefix("process.") for one in found if one.severity == severity]


def process(classify: str, steps: str, columns: str = "") -> Process:
    loaded = load(HEAD % (f", columns: {columns}" if columns else "", classify, steps), filename="p.yaml")
    assert loaded.process is not None, loaded.findings
    return loaded.process


@pytest.mark.parametrize(
    ("entry", "covered", "left"),
    [
        ("Phone", ["Phone", "phone", "Phone.Extension"], ["PhoneHome", "Home.Phone"]),
        ("*__ssn", ["Patient__ssn", "PATIENT__SSN"], ["ssn", "Patient__ssn2"]),
        ("contact.*", ["contact.Phone"], ["contact"]),
        ("patient.ssn", ["patient.ssn", "patient"], ["patient.name", "patients"]),
        ("b?rth", ["birth"], ["bth"]),
    ],
)
def test_an_entry_covers_what_it_says_and_no_more(entry: str, covered: list[str], left: list[str]) -> None:
    known = Classification.of(process(f'{{phi: ["{entry}"], none: [left]}}', MAP % "Id").spec)
    assert [name for name in covered if name not in known] == []
    assert [name for name in left if name in known] == []
    assert known.classes(covered[0]) == {"phi"}


def test_a_pattern_finds_its_fields_in_the_profile() -> None:
    steps = MAP % "Patient__ssn"
    assert codes(findings("{phi: ['*__ssn']}", steps, Id="text", Patient__ssn="text")) == ["classified_unmasked"]


def test_a_pattern_over_unknown_fields_reaches_no_target_unnoticed() -> None:
    """Neither by the name it is read under, nor in a document that takes along whatever the source gives."""
    assert codes(findings("{phi: ['*__ssn']}", MAP % "Patient__ssn")) == ["classified_unmasked"]
    keep = "    - id: one\n      map: {keep: rest, fields: {id: Id}}"
    (one,) = [found for found in findings("{phi: ['*__ssn']}", keep) if found.severity == "error"]
    assert one.code.name == "process.classified_unmasked"
    assert "*__ssn" in one.message
    assert codes(findings("{phi: ['*__ssn']}", MAP % "Other")) == []


def test_a_nested_name_protects_the_field_that_holds_it() -> None:
    steps = MAP % "json_extract_string(patient, '$.ssn')"
    assert codes(findings("{phi: [patient.ssn]}", steps, Id="text", patient="json")) == ["classified_unmasked"]
    assert codes(findings("{phi: [patient.ssn]}", MAP % "Id", Id="text", patient="json")) == []


def test_the_advice_names_the_identifiers_own_masks() -> None:
    by_name = findings("{phi: [HomePhone]}", MAP % "upper(HomePhone)", Id="text", HomePhone="text")
    said = findings("{phi: [{field: X, identifier: mrn}]}", MAP % "X", Id="text", X="text")
    assert "phone: keep_last(2) or token" in by_name[0].next
    assert "mrn: token or hash" in said[0].next


LOOKS = {
    "name": ["FirstName", "last_name", "PatientName"],
    "geography": ["MailingPostalCode", "ZIP", "BillingStreet", "home_address", "City", "County__c"],
    "date": ["Birthdate", "DOB__c", "date_of_birth", "Admission_Date__c", "PersonBirthdate"],
    "phone": ["Phone", "MobilePhone", "work_phone"],
    "fax": ["Fax"],
    "email": ["Email", "PersonEmail", "e_mail"],
    "ssn": ["SSN__c", "social_security_number"],
    "mrn": ["MRN", "medical_record_number", "Patient_ID__c"],
    "health_plan": ["Member_Id__c", "InsuranceNumber", "medicaid_id"],
    "account": ["BankAccountNumber", "IBAN", "card_number"],
    "license": ["License_Number__c", "drivers_license", "PassportNumber"],
    "vehicle": ["VIN", "License_Plate__c", "plate"],
    "device": ["Device_Serial__c", "serial_number", "IMEI", "MacAddress"],
    "url": ["Website", "photo.url", "LinkedIn_URL__c"],
    "ip": ["IpAddress", "ip", "LastLoginIp"],
    "biometric": ["Fingerprint__c", "voice_print"],
    "photo": ["PhotoUrl", "portrait"],
}
INNOCENT = [
    "Id", "Name", "AccountId", "Industry", "AnnualRevenue", "CreatedDate", "SystemModstamp", "Type", "Description",
    "ShippingMethod", "Capacity", "Zipper", "Tips", "IsPhone", "Customer_Since__c", "Credit_Limit__c", "Velocity",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in LOOKS.items() for name in names])
def test_a_name_that_looks_like_an_identifier_is_seen(kind: str, name: str) -> None:
    found = looks_like(name, parse_type("text"))
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("name", INNOCENT)
def test_ordinary_fields_are_left_alone(name: str) -> None:
    assert looks_like(name, parse_type("boolean" if name == "IsPhone" else "text")) is None


def test_an_unclassified_identifier_is_a_warning_at_its_field_until_somebody_looked() -> None:
    warned = findings("{phi: [Fax]}", MAP % "Id", "[Id, Fax, MRN, Name]")
    assert codes(warned, "warning") == ["unclassified_identifier"]
    assert warned[0].message.startswith('"MRN"')
    assert "token or hash" in warned[0].next
    assert codes(findings("{phi: [Fax], none: [MRN]}", MAP % "Id", "[Id, Fax, MRN, Name]"), "warning") == []


def test_all_eighteen_identifiers_are_there_with_masks_that_exist() -> None:
    assert len(IDENTIFIERS) == len({one.letter for one in IDENTIFIERS}) == 18
    assert tuple(BY_KIND) == get_args(IdentifierKind)
    for one in IDENTIFIERS:
        assert [parse_mask(mask) for mask in one.masks]


def test_what_a_target_tells_back_has_the_class_of_what_it_was_given() -> None:
    def steps(key: str, link: str) -> str:
        return f"""\
    - id: one
      map: {{fields: {{id: Id, mrn: Mrn}}}}
    - id: first
      database.upsert: {{connection: erp, table: t, key: [{key}]}}
      discloses: {{mrn: The hospital knows its own numbers.}}
      link: {{xref: pairs, a: id, b: {link}}}
    - id: hide
      mask: {{mrn: token}}
"""

    tables = "{phi: [Mrn]}\n  tables: {pairs: {kind: xref, columns: [a, b]}}"
    assert codes(findings(tables, steps("id", "result.id"), "[Id, Mrn]")) == []
    assert codes(findings(tables, steps("mrn", "result.id"), "[Id, Mrn]")) == ["classified_unmasked"]


def test_a_classified_process_is_read_back_as_it_was_written() -> None:
    made = process("{phi: [Fax, {field: '*__ssn', identifier: ssn}], none: [Url]}", MAP % "Id")
    assert Process.model_validate_json(canonical_process(made)) == made


# Lineage (G12): equal to a recomputation that shares nothing with the validator but the text.

_FUNCTIONS = ("upper", "lower", "trim", "concat", "coalesce")
_NAME = re.compile(r"\bf\d+\b")


def _random_steps(random_: random.Random, fields: list[str], count: int) -> list[tuple[str, dict[str, str]]]:
    steps: list[tuple[str, dict[str, str]]] = []
    for number in range(count):
        made: dict[str, str] = {}
        for index in range(random_.randint(2, 6)):
            read = [random_.choice(fields) for _ in range(random_.randint(1, 3))]
            function = random_.choice(_FUNCTIONS)
            one = function in ("upper", "lower", "trim")
            made[f"f{(number + 1) * 100 + index}"] = f"{function}({read[0] if one else ', '.join(read)})"
        mask = random_.random() < 0.4
        steps.append(("mask" if mask else "map", {random_.choice(fields): "token"} if mask else made))
        fields = fields if mask else list(made)
    return steps


def _recomputed(steps: list[tuple[str, dict[str, str]]], fields: list[str]) -> dict[str, tuple[set[str], ...]]:
    known: dict[str, tuple[set[str], ...]] = {name: ({name}, set(), set()) for name in fields}
    for number, (verb, said) in enumerate(steps):
        if verb == "mask":
            known = {
                name: (one[0], one[1], one[2] | ({f"s{number}: {said[name]}"} if name in said else set()))
                for name, one in known.items()
            }
            continue
        known = {
            name: tuple(
                set().union(
                    *(known[read][part] for read in _NAME.findall(sql)), {sql.split("(")[0]} if part == 1 else ()
                )
                for part in range(3)
            )
            for name, sql in said.items()
        }
    return known


def test_lineage_equals_its_recomputation_for_a_thousand_fields() -> None:
    random_, checked = random.Random(20260301), 0
    while checked < 1000:
        fields = [f"f{number}" for number in range(8)]
        steps = _random_steps(random_, fields, random_.randint(1, 5))
        written = "".join(
            f"    - id: s{number}\n      {verb}: "
            + ("{" + ", ".join(f"{name}: {mask}" for name, mask in said.items()) + "}\n" if verb == "mask" else
               "{fields: {" + ", ".join(f'{name}: "{sql}"' for name, sql in said.items()) + "}}\n")
            for number, (verb, said) in enumerate(steps)
        )  # fmt: skip
        made = process("{phi: [f1, f2]}", written, f"[{', '.join(fields)}]")
        expected = _recomputed(steps, fields)
        for told in explain(made, step=f"s{len(steps) - 1}"):
            sources, functions, masks = expected[told.field]
            assert (set(told.sources), set(told.functions), set(told.masks)) == (sources, functions, masks)
            assert set(told.classes) == ({"phi"} if sources & {"f1", "f2"} else set())
            checked += 1


def test_a_mask_takes_the_class_from_its_own_field_and_every_copy_before_it_keeps_it() -> None:
    steps = """\
    - id: one
      map: {fields: {id: Id, a: Mrn, b: upper(Mrn)}}
    - id: two
      mask: {a: hash}
"""
    followed: Any = follow(process("{phi: [Mrn]}", steps, "[Id, Mrn]"))
    assert followed.classes["write"] == {"id": frozenset(), "a": frozenset(), "b": frozenset({"phi"})}
    assert followed.states["write"]["a"].carried == {"phi"}


def test_what_comes_together_again_was_made_by_either_arm() -> None:
    steps = """\
    - id: one
      map: {fields: {id: Id, a: Mrn}}
    - id: fork
      decide: id > 5
      then: [{id: hide, mask: {a: hash}}]
      else: [{id: cut, map: {keep: rest, fields: {a: upper(a)}}}, {id: veil, mask: {a: token}}]
"""
    (told,) = explain(process("{phi: [Mrn]}", steps, "[Id, Mrn]"), field="a")
    assert (told.masks, told.functions) == (("hide: hash", "veil: token"), ("upper",))
    assert (told.classes, told.unmasked) == (("phi",), ())


@pytest.mark.parametrize(
    ("tables", "call", "told"),
    [
        ("{numbers: {kind: sequence}}", "sequence('numbers', key => Mrn)", True),
        ("{numbers: {kind: sequence}}", "sequence('numbers', key => Id)", False),
        ("{wards: {kind: lookup, connection: crm, sql: 'SELECT a, b FROM t WHERE a IN (:keys)', columns: [a, b]}}",
         "lookup('wards', a => upper(Mrn), want => 'b')", True),
        ("{wards: {kind: lookup, connection: crm, sql: 'SELECT a, b FROM t', columns: [a, b]}}",
         "lookup('wards', a => Mrn, want => 'b')", False),
    ],
)  # fmt: skip
def test_a_key_that_is_stored_or_sent_in_the_clear_is_not_protected(tables: str, call: str, told: bool) -> None:
    steps = (
        f'    - id: one\n      map: {{fields: {{id: Id, out: "{call}"}}}}\n    - id: hide\n      mask: {{out: drop}}'
    )
    found = findings("{phi: [Mrn]}\n  tables: " + tables, steps, "[Id, Mrn]")
    assert codes(found) == (["classified_unmasked"] if told else []), found


def test_a_message_over_unknown_fields_has_the_class_that_a_pattern_gives() -> None:
    steps = """\
    - id: one
      map: {keep: rest, fields: {id: Id}}
    - id: two
      message: {into: text, template: 'of {Home_ssn}'}
    - id: three
      map: {fields: {id: id, text: text}}
"""
    (one,) = [found for found in findings("{phi: ['*_ssn']}", steps) if found.severity == "error"]
    assert one.message.startswith('"text" reaches')


def test_what_is_inside_a_protected_value_is_protected_where_other_fields_are_unknown() -> None:
    steps = """\
    - id: one
      map: {keep: rest, fields: {id: Id, who: Phone}}
    - id: two
      map: {fields: {id: id, out: who.number}}
"""
    assert codes(findings("{phi: [Phone]}", steps)) == ["classified_unmasked"]


def test_what_is_inside_a_struct_has_the_class_of_the_struct() -> None:
    def told(field: str, classified: str = "patient.ssn") -> list[str]:
        return codes(findings(f"{{phi: [{classified}]}}", MAP % field, Id="text", patient="{ssn: text, ward: text}"))

    assert told("patient.ssn") == told("patient.ward") == ["classified_unmasked"]
    assert told("Id") == []
