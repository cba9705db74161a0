"""reveal_token at a running agent: keys and readers come out of the verified bundle, and nothing else counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from agent_parked import PAYLOAD, park
from dative.bundle.keys import SigningKey
from dative.secrets import MaskKeys, Recipient, SealKey, open_sealed, seal_info, seal_values
from dative.secrets.mask_keys import MASK_KEY, VAULT_READER
from dative.secrets.sealed_set import RECOVERY_ID, Recipients, sign_recipients, verify_recipients
from dative.v1 import agent_pb2
from dative_atom.journal.vault import ABOUT, block

TOKEN = "tok_0123456789abcdef0123"
KEYS = MaskKeys({1: b"\x11" * 32})


def recipients(controller, agent, recovery: SealKey) -> Recipients:
    everybody = [Recipient(agent.identity.atom_id, agent.bundles._seal_key.public_raw.hex()),
                 Recipient(RECOVERY_ID, recovery.public_raw.hex())]  # fmt: skip
    release: SigningKey = controller.release
    envelope = sign_recipients(
        everybody, [release], organization_id=controller.organization, environment_id=controller.environment,
        version=1, now=datetime.now(UTC),
    )  # fmt: skip
    return verify_recipients(envelope, trust=controller.trust, environment_id=controller.environment)


@pytest.fixture
async def vault(joined, controller, tools):
    """An agent with `anna` admitted and one token in its vault; gives a function that asks for it as somebody."""
    reader, recovery = SealKey.generate(), SealKey.generate()
    async with joined.running() as agent:
        values = {f"{MASK_KEY}1": KEYS.to_hex()[1], f"{VAULT_READER}anna": reader.public_raw.hex()}
        made = seal_values(None, recovery, values, recipients(controller, agent, recovery), controller.environment)
        await controller.deploy({"a": tools.process_json("a")}, sealed=made.to_bytes())
        about = ABOUT + controller.environment
        agent.journal.keep_tokens([TOKEN], 1, KEYS.seal(block([TOKEN], ["Ada"]), about))

        async def ask(key: SealKey = reader, token: str = TOKEN):
            wanted = agent_pb2.RevealToken(token=token, reader_public_key=key.public_raw)
            return await controller.answer(controller.command(reveal_token=wanted)), reader

        ask.agent, ask.reader = agent, reader
        yield ask


async def test_an_admitted_reader_gets_the_value_sealed_to_his_key(vault, controller):
    result, reader = await vault()
    assert result.status.code == "", result.status
    info = seal_info("dative/vault-reveal/v1", controller.environment, TOKEN)
    assert open_sealed(result.reveal_token.sealed_value, reader, info) == b"Ada"
    assert result.reveal_token.reader == "anna"


async def test_a_key_that_the_bundle_does_not_name_is_refused_whoever_sends_it(vault):
    result, _ = await vault(SealKey.generate())
    assert result.status.code == "vault.not_entitled"
    assert not result.HasField("reveal_token")


async def test_an_unknown_token_is_told_apart(vault):
    assert (await vault(token="tok_ffffffffffffffffffff"))[0].status.code == "vault.token_unknown"
    assert (await vault(token="Ada"))[0].status.code == "vault.token_malformed"


async def test_a_dead_letter_is_revealed_to_an_admitted_reader_alone_once_the_bundle_names_any(vault, controller):
    (letter,) = park(vault.agent)

    async def show(key: SealKey, *, reveal: bool) -> agent_pb2.CommandResult:
        wanted = agent_pb2.ShowDeadLetter(dead_letter_id=letter, reader_public_key=key.public_raw, reveal=reveal)
        return await controller.answer(controller.command(show_dead_letter=wanted, actor="anna"))

    assert (await show(SealKey.generate(), reveal=True)).status.code == "vault.not_entitled"
    masked = await show(SealKey.generate(), reveal=False)
    assert [event.kind for event in masked.show_dead_letter.dead_letter.history] == ["failed"]
    whole = await show(vault.reader, reveal=True)
    info = seal_info("dative/dead-letter/v1", letter)
    assert json.loads(open_sealed(whole.show_dead_letter.sealed_payload, vault.reader, info)) == PAYLOAD
