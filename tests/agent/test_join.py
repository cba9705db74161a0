"""Joining: the pin is checked before the secret leaves, and every refusal says why."""

import stat

import pytest
from dative.errors import DativeError
from dative_atom.agent import identity as identities


async def test_join_gives_an_identity_whose_keys_were_made_here(atom, controller):
    joined = await atom.join(name="hq-7")
    assert (joined.identity.name, joined.identity.environment, joined.already) == ("hq-7", "prod", False)
    assert identities.read_certificate(atom.directory).names() == ("org1", "env1", joined.identity.atom_id)
    assert identities.read_seal_key(atom.directory).public_raw == controller.enrolments[0].seal_public_key
    assert not atom.directory.joining_key.exists()


async def test_everything_in_the_data_directory_is_the_owners_alone(joined):
    root = joined.directory.root
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for path in root.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_a_second_join_says_already_joined_and_needs_no_token(joined):
    again = await joined.join(token="not a token")
    assert again.already
    assert len(joined.controller.enrolments) == 1


async def test_a_data_directory_of_another_controller_is_not_taken_over(joined, tools):
    with pytest.raises(DativeError) as refused:
        await joined.join(pin=tools.Authority().pin)
    assert refused.value.code.name == "agent.joined_elsewhere"


@pytest.mark.parametrize(
    ("invitation", "code"),
    [
        ({"expired": True}, "enrol.token_expired"),
        ({"uses": 0}, "enrol.token_used"),
    ],
)
async def test_a_token_that_does_not_count_is_refused_with_the_controllers_reason(atom, controller, invitation, code):
    with pytest.raises(DativeError) as refused:
        await atom.join(controller.invite(**invitation))
    assert refused.value.code.name == code
    assert not atom.directory.identity.exists()


async def test_a_foreign_token_is_refused(atom, controller):
    foreign = controller.invite()
    del controller.invitations[foreign]
    with pytest.raises(DativeError) as refused:
        await atom.join(foreign)
    assert refused.value.code.name == "enrol.token_invalid"


@pytest.mark.parametrize("token", ["", "at1.x.y.z", "at1.T1.short.0000", "x" * 5000])
async def test_a_malformed_token_is_refused_before_anything_is_sent_and_not_shown(atom, controller, token):
    with pytest.raises(DativeError) as refused:
        await atom.join(token or " ")
    assert refused.value.code.name == "enrol.token_invalid"
    assert not token or token not in refused.value.message
    assert controller.enrolments == []


async def test_a_wrong_pin_is_explained_and_the_secret_never_sent(atom, controller, tools):
    with pytest.raises(DativeError) as refused:
        await atom.join(pin=tools.Authority().pin)
    assert refused.value.code.name == "agent.ca_pin_mismatch"
    assert 'issued by "Dative test CA"' in refused.value.message
    assert "INSPECTED" in refused.value.message
    assert controller.enrolments == []


async def test_an_inspecting_proxy_that_makes_its_own_certificates_is_named(atom, controller, tools):
    """The inspected connection: another authority answers for the controller's host."""
    inspected = tools.FakeController()
    inspected.ca = tools.Authority("Corp Root CA")
    await inspected.start()
    try:
        with pytest.raises(DativeError) as refused:
            await atom.join(address=inspected.address, pin=controller.ca.pin)
    finally:
        await inspected.stop()
    assert 'issued by "Corp Root CA"' in refused.value.message
    assert inspected.enrolments == []


async def test_a_trust_document_other_than_the_tokens_is_refused(atom, controller):
    text = controller.invite()
    other = text.rsplit(".", 1)[0] + "." + "0" * 64
    controller.invitations[other] = controller.invitations.pop(text)
    with pytest.raises(DativeError) as refused:
        await atom.join(other)
    assert refused.value.code.name == "trust.not_pinned"
    assert not atom.directory.identity.exists()


async def test_an_answer_that_names_another_ca_than_the_pin_is_refused(atom, controller, tools):
    serving = controller.ca
    controller.ca = tools.Authority()
    with pytest.raises(DativeError) as refused:
        await atom.join(pin=serving.pin)
    assert refused.value.code.name == "agent.ca_pin_mismatch"


async def test_join_waits_for_an_approval_and_goes_on_with_the_same_keys(atom, controller, tools):
    token = controller.invite(pending=True)
    with pytest.raises(DativeError) as waiting:
        await atom.join(token, wait_s=0.05)
    assert waiting.value.code.name == "agent.approval_pending"
    controller.invitations[token].pending = False
    joined = await atom.join(token)
    assert not joined.already
    assert len({request.seal_public_key for request in controller.enrolments}) == 1
    assert len({request.csr_der[:200] for request in controller.enrolments}) >= 1


async def test_join_survives_a_kill_before_the_identity_is_written(atom, controller):
    token = controller.invite()
    first = await atom.join(token)
    atom.directory.identity.unlink()
    atom.directory.joining_key.write_bytes(identities.read_certificate(atom.directory).key_pem)
    again = await atom.join(token)
    assert again.identity.atom_id == first.identity.atom_id


async def test_a_controller_that_is_not_there_is_said_with_the_address(atom, controller):
    await controller.stop()
    with pytest.raises(DativeError) as refused:
        await atom.join()
    assert refused.value.code.name == "agent.controller_unreachable"
    assert controller.address in refused.value.message
