"""The command of a dry run at the atom: answered sealed, known to no journal, within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dative.secrets import SealKey, open_sealed, seal_info
from dative.v1 import agent_pb2
from dative_atom.agent.dry_runs import ANSWER_BYTES_MAX, DOCUMENTS_MAX, SHOWN_MAX, fitting


@pytest.fixture
async def deployed(joined, controller, tools):
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a", "finish")})
        yield agent


async def asked(controller, **wanted: Any) -> Any:
    given = {"process": "a", "documents_max": 10, "shown_max": 2, "reader_public_key": b"k" * 32, **wanted}
    return await controller.answer(controller.command(dry_run=agent_pb2.DryRun(**given)))


async def test_a_dry_run_is_answered_sealed_and_is_in_no_journal(deployed, controller) -> None:
    reader = SealKey.generate()
    result = await asked(controller, parameters={"since": "canary"}, reader_public_key=reader.public_raw)
    assert result.status.code == "", result.status
    assert b"canary" not in result.SerializeToString()
    outcome = json.loads(open_sealed(result.dry_run.sealed_outcome, reader, seal_info("dative/dry-run/v1", "a")))
    assert [one["after"] for one in outcome["documents"]] == [{"since": "canary"}] * 2
    assert deployed.journal.unfinished() == []


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"documents_max": 0}, "rpc.invalid_argument"),
        ({"documents_max": DOCUMENTS_MAX + 1}, "rpc.invalid_argument"),
        ({"shown_max": SHOWN_MAX + 1}, "rpc.invalid_argument"),
        ({"process": "nobody"}, "agent.process_unknown"),
    ],
)
async def test_what_can_not_be_run_dry_is_refused(deployed, controller, wanted: dict[str, Any], code: str) -> None:
    assert (await asked(controller, **wanted)).status.code == code


def test_an_answer_carries_as_many_documents_as_fit() -> None:
    one = {"after": {"text": "x" * 1000}}
    kept = fitting({"documents": [one] * 1000, "cut": False})
    assert 400 < len(kept["documents"]) < 1000
    assert len(json.dumps(kept)) < ANSWER_BYTES_MAX + 2000
