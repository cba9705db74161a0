"""What a process calls travels with it, and calls that never end are packed nowhere."""

from __future__ import annotations

import json

import pytest
from dative.bundle.pack import EnvironmentConfig, PackedProcess, pack
from dative.errors.bundle import BundleRefused
from dative.process.calls import NODES_MAX, closure, cycle, names_called

NOWHERE = EnvironmentConfig(environment="dev", environment_id="e1", production=False, version=1)


def process(name: str, *calls: str) -> PackedProcess:
    steps = [
        {"id": f"c{index}", "settings": {"shape": "process_call", "process": one}} for index, one in enumerate(calls)
    ]
    return PackedProcess(name, 1, 1, json.dumps({"spec": {"steps": steps}}).encode())


def test_called_processes_are_packed_beside_their_caller() -> None:
    artifacts, _ = pack([process("a", "b"), process("b", "c"), process("c")], NOWHERE, None)
    assert [one.name for one in artifacts if one.name.endswith("process.json")] == [
        "a/process.json",
        "b/process.json",
        "c/process.json",
    ]


@pytest.mark.parametrize(
    ("processes", "code", "said"),
    [
        ([process("a", "b")], "process.unknown_process", "a calls b"),
        ([process("a", "a")], "process.call_cycle", "a → a"),
        ([process("a", "b"), process("b", "c"), process("c", "b")], "process.call_cycle", "b → c → b"),
    ],
)
def test_a_call_that_leads_nowhere_or_round_is_refused_by_name(
    processes: list[PackedProcess], code: str, said: str
) -> None:
    with pytest.raises(BundleRefused) as refused:
        pack(processes, NOWHERE, None)
    assert refused.value.code.name == code
    assert said in refused.value.message


def test_a_process_that_the_bundle_holds_already_may_be_called() -> None:
    pack([process("a", "b")], NOWHERE, None, beside=["b"])


def test_routes_and_defaults_are_calls_too_wherever_they_stand() -> None:
    route = {"shape": "process_route", "processes": {"x": "one", "y": "two"}, "default": "three"}
    nested = {"spec": {"steps": [{"settings": {"shape": "try", "steps": [{"settings": route}]}}]}}
    assert names_called(json.dumps(nested).encode()) == ("one", "three", "two")


@pytest.mark.parametrize("definition", [b"", b"{", b"[]", b'{"shape": "process_call", "process": 7}', b"\xff"])
def test_what_is_no_process_calls_nothing(definition: bytes) -> None:
    assert names_called(definition) == ()


def test_a_document_without_end_is_looked_at_up_to_a_bound() -> None:
    late = {"shape": "process_call", "process": "late"}
    assert names_called(json.dumps([late, *([0] * NODES_MAX)]).encode()) == ()


def test_a_wide_graph_is_walked_once_and_not_once_per_way() -> None:
    graph = {f"n{level}": [f"n{level + 1}"] * 3 for level in range(2000)}
    asked: list[str] = []

    def calls(name: str) -> list[str]:
        asked.append(name)
        return graph.get(name, [])

    assert cycle("n0", calls) is None
    assert len(asked) == 2001
    assert len(closure("n0", lambda name: graph.get(name, []))) == 2000
