"""Findings about texts that a process makes: templates, notices, exceptions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dative.process.load import check
from dative.process.template import Hole, TemplateError, read_template

from tests.process.customers import CUSTOMERS

STEPS = """\
    - {id: s, %s}
    - {id: k, map: {keep: rest, fields: {Phone: "'-'"}}}
    - {id: w, database.upsert: {connection: erp, table: t, key: [Id]}}
"""


def found(verb: str, settings: dict[str, Any]) -> list[str]:
    return [
        finding.code.name
        for finding in check((CUSTOMERS + STEPS) % f"{verb}: {json.dumps(settings)}", filename="p.yaml").findings
    ]


# (settings of a message, codes)
MESSAGES: list[tuple[dict[str, Any], list[str]]] = [
    ({"template": "Dear {Name}, it's {{Name}}"}, []),
    ({"template": '{"a": "{Name}", "b": {Id}, "c": {"d": [{Id}]}}', "format": "json"}, []),
    ({"template": '{"a": "{Name}", }', "format": "json"}, ["process.bad_template"]),
    ({"template": '{"a": {Name}x}', "format": "json"}, ["process.bad_template"]),
    ({"template": "<a b='{Id}'>{Name}</a>", "format": "xml"}, []),
    ({"template": "<a>{Name}</b>", "format": "xml"}, ["process.bad_template"]),
    ({"template": "<{Name}/>", "format": "xml"}, ["process.bad_template"]),
    ({"template": "<a><!-- {Name} --></a>", "format": "xml"}, ["process.bad_template"]),
    ({"template": "<a><![CDATA[{Name}]]></a>", "format": "xml"}, ["process.bad_template"]),
    ({"template": "<!DOCTYPE a [<!ENTITY b 'c'>]><a>{Name}</a>", "format": "xml"}, ["process.bad_template"]),
    ({"template": "{Nam}"}, ["process.unknown_field"]),
    ({"template": "{when}", "values": {"when": "upper(Name)"}}, []),
    ({"template": "{when}", "values": {"when": "upper(Nam)"}}, ["process.unknown_field"]),
    ({"template": "{Name}" * 201}, ["process.bad_template"]),
    ({"template": ""}, ["process.wrong_value"]),
    ({"template": "x" * 20_001}, ["process.wrong_value"]),
    ({"template": "x", "format": "yaml"}, ["process.wrong_value"]),
    ({"template": "x", "into": "_body"}, ["process.reserved_field"]),
    # The class of a value follows it into the text, and the target may not have it.
    ({"template": "call {Phone}"}, ["process.classified_unmasked"]),
    ({"template": "call {tel}", "values": {"tel": "Phone"}}, ["process.classified_unmasked"]),
]


@pytest.mark.parametrize(("settings", "codes"), MESSAGES)
def test_a_template_that_can_not_hold_is_found_before_anything_runs(settings: dict[str, Any], codes: list[str]) -> None:
    assert found("message", {"into": "body", **settings}) == codes


@pytest.mark.parametrize(
    ("verb", "settings", "codes"),
    [
        ("notify", {"title": "Name"}, []),
        ("notify", {"title": "Phone"}, ["process.classified_told"]),
        ("notify", {"title": "Id", "text": "concat(Name, right(Phone, 2))"}, ["process.classified_told"]),
        ("notify", {"title": "Id", "level": "fatal"}, ["process.wrong_value"]),
        ("notify", {"text": "Id"}, ["process.missing_key"]),
        ("exception", {"message": "Phone"}, ["process.classified_told", "process.unreachable"]),
        ("exception", {"message": "Id", "scope": "execution"}, ["process.unreachable"]),
        ("exception", {"message": "Id", "scope": "batch"}, ["process.wrong_value", "process.unreachable"]),
        ("stop", {"scope": "execution"}, ["process.unreachable"]),
        ("stop", {"scope": "all"}, ["process.wrong_value", "process.unreachable"]),
    ],
)
def test_what_people_read_holds_nothing_classified(verb: str, settings: dict[str, Any], codes: list[str]) -> None:
    assert found(verb, settings) == codes


@pytest.mark.parametrize(
    ("format_", "text", "quoted"),
    [
        ("text", '"{a}" {a}', [False, False]),
        ("json", '{"x": "{a}\\"{a}", "y": {a}}', [True, True, False]),
        ("json", '{"x\\\\": {a}}', [False]),
        ("csv", '{a};"{a}";"x""{a}"', [False, True, True]),
        ("xml", "<x y=\"{a}\" z='{a}>'>{a}</x>", [True, True, False]),
        ("xml", "<!-- ' -->{a}<?p '?>{a}", [False, False]),
    ],
)
def test_a_hole_knows_whether_it_stands_between_quotes(format_: str, text: str, quoted: list[bool]) -> None:
    assert [part.quoted for part in read_template(text, format_) if isinstance(part, Hole)] == quoted


def test_a_hole_where_nothing_can_be_escaped_is_refused_by_name() -> None:
    with pytest.raises(TemplateError, match=r"\{Name\} stands in a comment"):
        read_template("<a><!-- {Name} --></a>", "xml")
