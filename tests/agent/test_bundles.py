"""Bundles on an atom: what is accepted, what is refused with which code, and what keeps running all the while."""

import errno
import json
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from dative.bundle import trust
from dative.bundle.blobs import BlobStore, digest_of
from dative.bundle.keys import SigningKey
from dative.bundle.manifest import Audience
from dative.v1 import types_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ACTIVE, STAGED, VERIFIED = types_pb2.PHASE_ACTIVE, types_pb2.PHASE_STAGED, types_pb2.PHASE_VERIFIED
ROLLED_BACK, REFUSED = types_pb2.PHASE_ROLLED_BACK, types_pb2.PHASE_REFUSED


async def test_a_bundle_goes_through_verified_staged_and_active(joined, controller, tools):
    async with joined.running():
        ack = await controller.deploy({"a": tools.process_json("a")})
    assert ack.phase == ACTIVE
    assert [ack.phase for ack in controller.acks] == [VERIFIED, STAGED, ACTIVE]
    assert ack.observed.generation == 1
    assert ack.observed.manifest_digest == controller.desired.manifest_digest


async def test_an_unchanged_blob_is_not_fetched_again(joined, controller, tools):
    async with joined.running():
        await controller.deploy({"a": tools.process_json("a")})
        fetched = len(controller.fetches)
        await controller.deploy({"a": tools.process_json("a"), "b": tools.process_json("b")})
    assert len(controller.fetches) == fetched + 1


async def test_a_bundle_is_a_child_of_the_deployments_trace(joined, controller, tools):
    async with joined.running():
        await controller.deploy({"a": tools.process_json("a")})
        await tools.until(lambda: controller.heard("spans"), "span")
    assert controller.heard("spans")[0].items == 1
    request = ExportTraceServiceRequest.FromString(zlib.decompress(controller.heard("spans")[0].otlp))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("apply bundle", "ab" * 16, "cd" * 8)


PAST = datetime.now(UTC) - timedelta(days=1)
REFUSALS = {
    "tampered": ("bundle.bad_signature", {}),
    "another organization": ("bundle.wrong_organization", {"organization_id": "org2"}),
    "another environment": ("bundle.wrong_environment", {"environment_id": "env2"}),
    "another molecule": ("bundle.wrong_molecule", {"audience": Audience("other")}),
    "another atom": ("bundle.wrong_atom", {"audience": Audience("default", ("ATOM9",))}),
    "expired": ("bundle.expired", {"issued_at": PAST, "expires_at": PAST + timedelta(hours=1)}),
    "a newer engine": ("bundle.engine_too_old", {"min_atom_version": "999.0.0"}),
    "an unknown key": ("bundle.bad_signature", {}),
    "the online key": ("bundle.wrong_role", {}),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refused_bundle_is_nacked_with_its_code_and_the_last_good_one_runs(joined, controller, tools, case):
    code, fields = REFUSALS[case]
    keys = {"an unknown key": [SigningKey.generate()], "the online key": [controller.online]}.get(case)
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        good = agent.bundles.active.manifest.digest
        manifest = controller.manifest({"a": tools.process_json("a", "finish:2")}, **fields)
        controller.push(manifest, keys=keys, tamper=case == "tampered")
        ack = await controller.last_word(2)
        assert (ack.phase, ack.status.code) == (REFUSED, code)
        assert ack.observed.manifest_digest == good
        result = await controller.run("a")
        assert result.status.code == ""
        await tools.until(lambda: controller.events("bundle.refused"), "event")
    assert controller.events("bundle.refused")[0].status.code == code


async def test_an_older_generation_is_refused_also_after_a_restart(joined, controller, tools):
    first = controller.manifest({"a": tools.process_json("a")})
    async with joined.running():
        controller.push(first)
        await controller.last_word(1)
        await controller.deploy({"a": tools.process_json("a", "finish:2")})
    controller.acks.clear()
    async with joined.running() as agent:
        assert agent.bundles.active.manifest.generation == 2
        controller.push(first)
        ack = await controller.last_word(1)
    assert (ack.phase, ack.status.code, ack.observed.generation) == (REFUSED, "bundle.rollback", 2)


async def test_the_same_generation_with_another_digest_is_an_equivocation(joined, controller, tools):
    async with joined.running():
        await controller.deploy({"a": tools.process_json("a")})
        controller.acks.clear()
        controller.push(controller.manifest({"a": tools.process_json("a", "finish:9")}, generation=1))
        ack = await controller.last_word(1)
    assert ack.status.code == "bundle.equivocation"


async def test_what_ran_runs_again_after_a_restart_without_the_controller(joined, controller, tools):
    async with joined.running():
        await controller.deploy({"a": tools.process_json("a")})
    await controller.stop()
    async with joined.running(wait=False) as agent:
        assert agent.bundles.active.manifest.generation == 1
        await agent.executions.run_now("a")
        await tools.until(lambda: agent.executions.running == 0 and agent.executions.waiting == 0, "run")
        assert agent.journal.unfinished() == []


async def test_a_flipped_byte_on_the_disk_is_refused_and_the_other_process_runs_on(joined, controller, tools):
    bad, good = tools.process_json("bad"), tools.process_json("good")
    async with joined.running() as agent:
        await controller.deploy({"bad": bad, "good": good})
        controller.hold_blobs.clear()  # a repair must not hide the refusal
        _flip(agent.bundles.blobs.path(digest_of(bad)))
        refused = (await controller.run("bad")).run_process.execution_id
        done = (await controller.run("good")).run_process.execution_id
        await tools.until(lambda: _state(controller, done) == types_pb2.EXECUTION_STATE_SUCCEEDED, "good one")
        await tools.until(lambda: _state(controller, refused) == types_pb2.EXECUTION_STATE_FAILED, "bad one")
        event = controller.events("bundle.refused")[0]
        assert (event.status.code, event.fields["process"]) == ("bundle.blob_mismatch", "bad")
        await tools.until(lambda: controller.component("process/bad") is not None, "health")
        controller.hold_blobs.set()
        await tools.until(lambda: controller.component("process/bad").healthy, "repaired by itself")
        again = (await controller.run("bad")).run_process.execution_id
        await tools.until(lambda: _state(controller, again) == types_pb2.EXECUTION_STATE_SUCCEEDED, "after the repair")


async def test_a_flipped_byte_found_at_a_start_breaks_its_process_alone_and_is_repaired(joined, controller, tools):
    bad, good = tools.process_json("bad"), tools.process_json("good")
    async with joined.running() as agent:
        await controller.deploy({"bad": bad, "good": good})
        path = agent.bundles.blobs.path(digest_of(bad))
    _flip(path)
    await controller.stop()
    async with joined.running(wait=False) as agent:
        assert set(agent.bundles.active.broken) == {"bad"}
        assert set(agent.bundles.active.processes) == {"good"}
        await controller.start()
        await tools.until(lambda: not agent.bundles.active.broken, "repaired once the controller is back")
        await tools.until(lambda: controller.events("bundle.refused"), "event")
    assert controller.events("bundle.refused")[0].status.code == "bundle.blob_mismatch"


async def test_a_flipped_byte_in_the_manifest_on_disk_stops_it_from_running(joined, controller, tools):
    async with joined.running():
        await controller.deploy({"a": tools.process_json("a")})
    (manifest,) = joined.directory.manifests.glob("*.json")
    _flip(manifest)
    await controller.stop()
    async with joined.running(wait=False) as agent:
        assert agent.bundles.active is None
        assert agent.health.parts()[0].error is not None


async def test_a_blob_cut_short_again_and_again_is_fetched_on_from_where_it_stood(joined, controller, tools):
    table = b"x" * 4500
    controller.cut_blobs_after = 2000
    async with joined.running() as agent:
        agent.applier._fetcher._clock = _Impatient()
        ack = await controller.deploy({"a": tools.process_json("a")}, tables={"a/rates.csv": table})
    assert ack.phase == ACTIVE
    offsets = [offset for digest, offset in controller.fetches if digest == digest_of(table)]
    assert offsets == [0, 2000, 4000]


class _Impatient:
    """Waits for nothing."""

    async def sleep(self, seconds):
        return


async def test_a_blob_of_other_bytes_than_signed_is_refused(joined, controller, tools):
    process = tools.process_json("a")
    manifest = controller.manifest({"a": process})
    controller.blobs[digest_of(process)] = process.replace(b"finish", b"hijack")
    async with joined.running() as agent:
        controller.push(manifest)
        ack = await controller.last_word(1)
        assert agent.bundles.active is None
    assert (ack.phase, ack.status.code) == (REFUSED, "bundle.blob_mismatch")
    assert json.loads(joined.directory.accepted.read_bytes())["positions"] == {}


async def test_a_newer_push_supersedes_one_that_is_still_fetching(joined, controller, tools):
    controller.hold_blobs.clear()
    async with joined.running() as agent:
        controller.push(controller.manifest({"a": tools.process_json("a")}))
        await tools.until(lambda: controller.fetches, "first fetch")
        second = tools.process_json("b")
        controller.push(controller.manifest({"b": second}))
        await tools.until(lambda: digest_of(second) in dict(controller.fetches), "second fetch")
        controller.hold_blobs.set()
        ack = await controller.last_word(2)
        assert set(agent.bundles.active.processes) == {"b"}
    assert ack.phase == ACTIVE
    assert [ack.generation for ack in controller.acks if ack.phase == ACTIVE] == [2]


async def test_a_bundle_that_can_not_be_activated_is_rolled_back_and_stays_accepted(joined, controller, tools):
    schedule = {"triggers": [{"kind": "schedule", "cron": "99 * * * *"}]}
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        ack = await controller.deploy({"a": tools.process_json("a", **schedule)})
        assert (ack.phase, ack.status.code) == (ROLLED_BACK, "agent.process_invalid")
        assert ack.observed.generation == 1
        assert agent.bundles.active.manifest.generation == 1
    controller.desired = None
    async with joined.running() as agent:
        assert agent.bundles.active.manifest.generation == 1
        hello = controller.hellos[-1]
    assert hello.observed.generation == 1
    position = json.loads(joined.directory.accepted.read_bytes())["positions"]["env1/default"]
    assert position["generation"] == 2


BINDINGS = {
    "missing": ({}, "agent.connection_missing"),
    "of another kind": ({"erp": {"connector": "disk", "settings": {}}}, "agent.connector_mismatch"),
    "without its secret": (
        {"erp": {"connector": "database", "settings": {}, "secrets": {"password": "sealed:erp.password"}}},
        "secrets.not_found",
    ),
}


@pytest.mark.parametrize("case", BINDINGS)
async def test_a_connection_that_does_not_fit_is_said_at_the_deployment(joined, controller, tools, case):
    connections, code = BINDINGS[case]
    async with joined.running():
        ack = await controller.deploy(
            {"a": tools.process_json("a", connections={"erp": "database"})}, environment={"connections": connections}
        )
    assert (ack.phase, ack.status.code) == (ROLLED_BACK, code)


async def test_a_full_disk_while_staging_is_nacked_and_what_runs_runs_on(joined, controller, tools):
    class FullDisk(BlobStore):
        full = False

        def writer(self, digest, size):
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().writer(digest, size)

    blobs = FullDisk(joined.directory.blobs)
    async with joined.running(blobs=blobs) as agent:
        await controller.deploy({"a": tools.process_json("a")})
        blobs.full = True
        ack = await controller.deploy({"a": tools.process_json("a", "finish:2")})
        assert (ack.phase, ack.status.code, ack.observed.generation) == (REFUSED, "agent.disk_full", 1)
        assert (await controller.run("a")).status.code == ""
        blobs.full = False
        controller.acks.clear()
        controller.drop()
        assert (await controller.last_word(2)).phase == ACTIVE
        assert agent.bundles.active.manifest.generation == 2


async def test_a_rotated_release_key_is_taken_over_the_chain_and_the_old_one_counts_no_more(joined, controller, tools):
    new = SigningKey.generate()
    document = trust.successor(controller.trust, expires_at=controller.trust.expires_at, release=[new.public])
    async with joined.running() as agent:
        await controller.deploy({"a": tools.process_json("a")})
        controller.trust_chain = [trust.sign_trust(document, [controller.root]).to_bytes()]
        old, controller.release = controller.release, new
        ack = await controller.deploy({"a": tools.process_json("a", "finish:2")})
        assert (ack.phase, agent.bundles.trust.version) == (ACTIVE, 2)
        controller.push(controller.manifest({"a": tools.process_json("a", "finish:3")}), keys=[old])
        assert (await controller.last_word(3)).status.code == "bundle.bad_signature"
    async with joined.running() as agent:
        assert (agent.bundles.trust.version, agent.bundles.active.manifest.generation) == (2, 2)


async def test_a_trust_document_that_the_root_did_not_sign_changes_nothing(joined, controller, tools):
    thief = SigningKey.generate()
    document = trust.successor(
        controller.trust,
        expires_at=controller.trust.expires_at,
        release=[thief.public],
        root=[SigningKey.generate().public],
    )
    controller.trust_chain = [trust.sign_trust(document, [thief]).to_bytes()]
    async with joined.running() as agent:
        controller.push(controller.manifest({"a": tools.process_json("a")}), keys=[thief])
        ack = await controller.last_word(1)
        assert agent.bundles.trust.version == 1
    assert ack.phase == REFUSED
    assert ack.status.code.startswith("trust.")


async def test_blobs_of_bundles_that_are_gone_are_swept(joined, controller, tools):
    async with joined.running(bundles_kept=1) as agent:
        first = tools.process_json("a", "finish:1")
        await controller.deploy({"a": first})
        await controller.deploy({"a": tools.process_json("a", "finish:2")})
        await tools.until(lambda: not agent.bundles.blobs.has(digest_of(first)), "swept")
        assert (await controller.run("a")).status.code == ""


def _flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _state(controller, execution_id):
    """As the controller decides it: the newest attempt's furthest state."""
    found = [(one.attempt, one.state) for one in controller.heard("execution") if one.execution_id == execution_id]
    return max(found)[1] if found else None


CALL = {"id": "call", "verb": "process_call", "settings": {"shape": "process_call", "process": "sub"}}


async def test_a_process_brings_the_files_and_connections_of_what_it_calls(joined, controller, tools):
    calling = tools.process_json("a", steps=[CALL])
    async with joined.running() as running:
        await controller.deploy({"a": calling, "sub": tools.process_json("sub")})
        content = running.bundles.active.processes["a"]
    assert content.called == ("sub",)
    assert {one.name for one in content.artifacts} >= {"a.json", "sub.json"}


@pytest.mark.parametrize(
    ("processes", "code"),
    [({"a": [CALL]}, "agent.process_unknown"), ({"a": [CALL], "sub": [CALL]}, "process.call_cycle")],
)
async def test_a_bundle_whose_calls_lead_nowhere_or_round_is_not_activated(joined, controller, tools, processes, code):
    async with joined.running():
        ack = await controller.deploy(
            {name: tools.process_json(name, steps=steps) for name, steps in processes.items()}
        )
    assert ack.phase in (ROLLED_BACK, REFUSED)
    assert ack.status.code == code
