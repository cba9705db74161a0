"""The way of an execution through a molecule, in words."""

from __future__ import annotations

from typing import Any

import pytest
from dative.v1 import types_pb2
from dative_controller.cli.commands.execution import attempt_lines
from dative_controller.cli.plain import plain

WAYS = [
    ([("hq-2", "lost"), ("hq-3", "")], ["ended by loss of hq-2, continued on hq-3", ""]),
    ([("hq-2", ""), ("hq-3", "")], ["ended by loss of hq-2, continued on hq-3", ""]),
    ([("hq-2", ""), ("hq-2", "")], ["ended by a crash of its worker on hq-2, continued there", ""]),
    ([("hq-2", "drained"), ("hq-3", "")], ["handed over by hq-2, which drains, continued on hq-3", ""]),
    ([("hq-2", "stalled"), ("hq-1", "")], ["ended on hq-2, where it did not get on, continued on hq-1", ""]),
    ([("hq-2", "its disk is full"), ("hq-1", "")], ["ended on hq-2: its disk is full, continued on hq-1", ""]),
    ([("hq-2", "")], []),
    ([], []),
]


@pytest.mark.parametrize(("way", "told"), WAYS)
def test_each_attempt_says_who_had_it_and_how_it_went_on(way: list[tuple[str, str]], told: list[str]) -> None:
    attempts = [
        plain(types_pb2.Attempt(attempt=number, atom=atom, reason=reason))
        for number, (atom, reason) in enumerate(way, 1)
    ]
    lines = list(attempt_lines(attempts))
    assert len(lines) == len(told)
    assert all(text in line for line, text in zip(lines, told, strict=True))


def test_show_tells_the_way_with_its_moments(admin: Any, fake: Any) -> None:
    run = types_pb2.Execution(execution_id="01JEXECUTION", process="orders", state=3)
    for number, atom, second in ((1, "hq-2", 1), (2, "hq-3", 20)):
        attempt = run.attempts.add(attempt=number, atom=atom)
        attempt.started_at.FromJsonString(f"2026-03-01T12:00:{second:02}Z")
        attempt.ended_at.FromJsonString(f"2026-03-01T12:00:{second + 8:02}Z")
    fake.state.executions["01JEXECUTION"] = run
    shown = admin("execution", "show", "01JEXECUTION").stdout
    assert "attempt 1 on hq-2  12:00:01–12:00:09  ended by loss of hq-2, continued on hq-3" in shown
    assert "attempt 2 on hq-3  12:00:20–12:00:28" in shown
