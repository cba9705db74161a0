"""The pure parts: the next manifest, the plan's words, the waterfall."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from dative.bundle.manifest import Signer
from dative.bundle.pack import ConnectionConfig, EnvironmentConfig
from dative_controller.cli.deploying import Frame, next_manifest, packed, parts_of, renumbered, versions_of
from dative_controller.cli.plan import diff_environment, diff_process, missing
from dative_controller.cli.waterfall import Bar, duration, render
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def environment(**connections: str) -> EnvironmentConfig:
    bound = {name: ConnectionConfig(connector) for name, connector in connections.items()}
    return EnvironmentConfig(environment="dev", environment_id="01E", production=False, version=1, connections=bound)


def frame(current: Any = None) -> Frame:
    return Frame("01O", "01E", "default", 1, 1, current.generation if current else 0, current, environment(), None)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([b"1", b"2", b"3"]), st.booleans()), max_size=12))
def test_whatever_is_deployed_and_removed_only_what_was_named_changes(changes: list[tuple[str, bytes, bool]]) -> None:
    """And no counter of a process ever falls, whatever was taken out and brought back."""
    current, history, highest = None, [], dict[str, int]()
    expected: dict[str, bytes] = {}
    for name, content, remove in changes:
        if remove and name not in expected:
            continue
        put = [] if remove else [packed(name, content, {}, current, versions_of(name, history))]
        made = next_manifest(
            frame(current), put=put, remove=(name,) if remove else (), now=NOW, signer=Signer("a", ""), request_id=""
        ).manifest
        expected.pop(name, None) if remove else expected.update({name: content})
        former = parts_of(current)
        parts = parts_of(made)
        assert parts.keys() == expected.keys()
        assert all(parts[other].entry == former[other].entry for other in parts if other != name)
        for other, part in parts.items():
            assert part.entry.release_counter >= highest.get(other, 0)
            highest[other] = part.entry.release_counter
        assert made.previous_digest == (current.digest if current else None)
        current = made
        history += [f"{entry.process_id}@{entry.version}" for entry in made.processes]


def test_promoting_what_runs_there_already_keeps_its_version() -> None:
    part = packed("a", b"1", {}, None, [4])
    made = next_manifest(frame(), put=[part], now=NOW, signer=Signer("a", ""), request_id="").manifest
    assert renumbered(parts_of(made)["a"], made, [5]).entry.version == 5
    assert renumbered(packed("a", b"2", {}, None, []), made, [5]).entry.version == 6


def process(**changes: Any) -> dict[str, Any]:
    spec = {
        "connections": {"crm": "salesforce"},
        "parameters": {"region": {"default": None}},
        "source": {"id": "read", "verb": "salesforce.query", "settings": {"options": {"where": "a"}}},
        "steps": [
            {"id": "map", "verb": "map", "settings": {"shape": "map", "fields": {"x": "A", "y": "B"}}},
            {"id": "check", "verb": "decide", "settings": {"condition": "x", "then": [
                {"id": "mask", "verb": "mask", "settings": {"fields": {"x": "drop"}}}]}},
        ],
    }  # fmt: skip
    return {"metadata": {"name": "p"}, "spec": {**spec, **changes}}


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({}, []),
        ({"connections": {"crm": "hubspot"}}, ["~ connections.crm: salesforce → hubspot"]),
        ({"track": ["Id", "Name"]}, ["+ track: Id, Name"]),
        ({"steps": []}, ["- step map (map)", "- step check (decide)", "- step mask (mask)"]),
        (
            {"source": {"id": "read", "verb": "salesforce.query", "settings": {"options": {"where": "b"}}}},
            ["~ read.where: a → b"],
        ),
        (
            {"steps": [
                {"id": "mask", "verb": "mask", "settings": {"fields": {"x": "token"}}},
                {"id": "map", "verb": "map", "settings": {"shape": "map", "fields": {"x": "A", "z": "C"}}}]},
            [
                "- step check (decide)", "~ step mask: from check.then to the main line", "~ mask.x: drop → token",
                "- map.y: B", "+ map.z: C", "~ order of steps: read, mask, map",
            ],
        ),
    ],
)  # fmt: skip
def test_a_difference_is_told_by_step_and_field(change: dict[str, Any], lines: list[str]) -> None:
    assert [f"{line.sign} {line.text}" for line in diff_process(process(), process(**change))] == lines


def test_what_the_environment_lacks_comes_with_the_command_that_sets_it() -> None:
    assert missing(process(), environment(), (), {}) == (
        "connection crm (salesforce): dative env set dev crm.connector=salesforce …",
        "parameter region: dative env set dev --override p.region=VALUE",
    )
    wrong = EnvironmentConfig(
        environment="dev", environment_id="01E", production=False, version=1, overrides={"p.region": "EU"},
        connections={"crm": ConnectionConfig("salesforce", {}, {"key": "sealed:crm.key", "other": "env:X"})},
    )  # fmt: skip
    assert missing(process(), wrong, (), {}) == (
        "secret crm.key (of crm.key): dative env secret set crm.key --env dev",
    )
    assert missing(process(), wrong, {"crm.key"}, {}) == ()
    needed = missing(process(), wrong, {"crm.key"}, {"salesforce": ("client_id", "key")})
    assert needed == ("setting crm.client_id: dative env set dev crm.client_id=VALUE",)
    assert missing(process(), environment(crm="disk"), {"crm.key"}, {})[0].startswith("connection crm is a disk")


def test_settings_differ_by_name() -> None:
    lines = diff_environment(environment(crm="salesforce"), environment(crm="salesforce", erp="database"))
    assert [(line.sign, line.text) for line in lines] == [("+", "connection erp: database")]


# ---- waterfall --------------------------------------------------------------------------------------------------


def bar(span: str, parent: str, start: int, end: int, **more: Any) -> Bar:
    return Bar(span, parent, span, "svc", start, end, **more)


def test_the_waterfall_is_ordered_by_cause_even_when_clocks_disagree() -> None:
    lines = render(
        [
            bar("child", "root", 50_000_000, 150_000_000, error=True, message="429", links=("linked trace x",)),
            bar("root", "", 100_000_000, 200_000_000),
            bar("orphan", "gone", 180_000_000, 190_000_000),
        ],
        width=100,
        unicode=False,
    )
    assert lines == [
        "root                                         svc    100 ms              ==========================",
        "  x child                                    svc    100 ms ========================== (clock)",
        "    429",
        "    -> linked trace x",
        "orphan                                       svc     10 ms                                  ===",
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcdef")), max_size=8, unique_by=lambda pair: pair[0])
)
def test_every_span_is_drawn_once_whatever_the_parents_say(pairs: list[tuple[str, str]]) -> None:
    """Circles, orphans and spans that are their own parent included."""
    lines = render([bar(span, parent, 0, 1) for span, parent in pairs])
    assert sorted(line.strip()[0] for line in lines) == sorted(span for span, _ in pairs)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 us"),
        (0.00005, "50 us"),
        (0.084, "84 ms"),
        (4.512, "4.51 s"),
        (291, "4m51s"),
        (7500, "2h05m"),
        (-1, "0 ms"),
    ],
)
def test_a_duration_shows_three_digits_that_matter(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("masks", "track", "needed"),
    [
        ({"x": "token"}, [], True),
        ({"x": "date_shift(9, key => y)"}, [], True),
        ({"x": "keep_last(2)", "y": "drop"}, ["Id"], False),
        ({"x": "drop"}, ["hash(Id)"], True),
    ],
)
def test_what_needs_a_mask_key_is_known_before_a_deployment(
    masks: dict[str, str], track: list[str], needed: bool
) -> None:
    hidden = {"id": "m", "verb": "mask", "settings": {"shape": "mask", "fields": masks}}
    fork = {"id": "f", "verb": "decide", "settings": {"shape": "decide", "condition": "a", "then": [hidden]}}
    made = {"metadata": {"name": "p"}, "spec": {"steps": [fork], "track": track}}
    assert any("dative vault key create" in one for one in missing(made, environment(), (), {})) == needed
    assert missing(made, environment(), {"dative.mask-key.1"}, {}) == ()


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ({"shape": "script"}, "scripts"),
        ({"shape": "program_command", "command": ["/usr/bin/rates", "-v"]}, "command:/usr/bin/rates"),
        ({"shape": "decide", "then": [{"settings": {"shape": "script"}}]}, "scripts"),
    ],
)
def test_what_a_process_needs_to_be_allowed_is_said_until_the_environment_allows_it(step: Any, word: str) -> None:
    made = process(steps=[{"id": "s", "settings": step}])
    assert f"permission {word}: dative env set dev --allow {word}" in missing(made, environment(), (), {})
    allowing = msgspec.structs.replace(environment(), allows=(word,))
    assert not any("permission" in one for one in missing(made, allowing, (), {}))
