"""Certificates and users of a real etcd: who is let in, who is told why not, and what is renewed on the way."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from dative.errors import DativeError
from dative.errors.molecule import COORDINATION_REFUSED
from dative_atom.molecule.connect import EtcdSettings, connect
from dative_atom.molecule.coordination import Put, Unavailable
from dative_atom.molecule.embedded import EmbeddedEtcd, ServerTls, etcd_program
from dative_atom.molecule.etcd import EtcdCoordination, TlsFiles

PASSWORDS = {"root": "r", "atom": "a"}


@dataclass
class Papers:
    """PEM files of one authority in a directory; `issue` writes them anew, by another authority."""

    directory: Path

    def issue(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca))
        for name in ("server", "client"):
            leaf = authority.issue_cert("127.0.0.1", "localhost")
            leaf.cert_chain_pems[0].write_to_path(str(self.directory / f"{name}.pem"))
            leaf.private_key_pem.write_to_path(str(self.directory / f"{name}.key"))

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    def files(self, name: str = "client") -> TlsFiles:
        return TlsFiles(self.ca, self.directory / f"{name}.pem", self.directory / f"{name}.key")

    @property
    def server(self) -> ServerTls:
        files = self.files("server")
        return ServerTls(self.ca, files.cert, files.key, self.files())

    def settings(self, cluster: EmbeddedEtcd, **other: object) -> EtcdSettings:
        files = self.files()
        given = {"ca_file": str(self.ca), "cert_file": str(files.cert), "key_file": str(files.key), **other}
        return EtcdSettings.of({"endpoints": cluster.endpoints, **{k: v for k, v in given.items() if v}})


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    papers = Papers(tmp_path)
    papers.issue()
    return papers


@pytest.fixture
def secure(tmp_path: Path, papers: Papers) -> Iterator[EmbeddedEtcd]:
    with EmbeddedEtcd(tmp_path / "etcd", tls=papers.server, flags=("--unsafe-no-fsync",)) as cluster:
        yield cluster


async def test_both_sides_show_their_certificates(secure, papers):
    client = connect(papers.settings(secure))
    assert (await client.transact([], [Put("/a", b"")])).held
    await client.close()


async def test_an_authority_given_as_text_is_trusted(secure, papers):
    client = connect(papers.settings(secure, ca_file="", ca_pem=papers.ca.read_text()))
    assert (await client.status()).leader
    await client.close()


@pytest.mark.parametrize("wrong", ["no certificate", "a stranger's certificate", "a stranger as authority"])
async def test_who_is_not_trusted_is_refused_with_the_code(secure, papers, tmp_path, wrong):
    (tmp_path / "other").mkdir()
    other = Papers(tmp_path / "other")
    other.issue()
    files = {
        "no certificate": TlsFiles(papers.ca),
        "a stranger's certificate": TlsFiles(papers.ca, other.files().cert, other.files().key),
        "a stranger as authority": TlsFiles(other.ca, papers.files().cert, papers.files().key),
    }[wrong]
    client = EtcdCoordination(secure.addresses, tls=files)
    with pytest.raises(DativeError) as refused:
        await client.load("/")
    assert refused.value.code is COORDINATION_REFUSED
    await client.close()


async def test_a_missing_certificate_file_is_named(secure, tmp_path):
    with pytest.raises(DativeError) as refused:
        EtcdCoordination(secure.addresses, tls=TlsFiles(tmp_path / "none.pem"))
    assert refused.value.code is COORDINATION_REFUSED
    assert "none.pem" in refused.value.message


async def test_new_certificates_are_taken_up_when_the_old_ones_no_longer_serve(secure, papers):
    client = connect(papers.settings(secure))
    await client.transact([], [Put("/a", b"1")])
    member = secure.members[0]
    member.stop()
    papers.issue()
    member.start()
    await asyncio.get_running_loop().run_in_executor(None, secure.wait_ready)
    async with asyncio.timeout(10):
        while True:
            try:
                found = await client.load("/a")
                break
            except DativeError:
                continue
    assert [one.value for one in found.items] == [b"1"]
    await client.close()


# ---- users ------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    """An etcd with users: atom may read and write below /dative/, root everything."""
    with EmbeddedEtcd(tmp_path / "etcd", flags=("--unsafe-no-fsync", "--bcrypt-cost=4")) as cluster:

        def tell(*words: str) -> None:
            command = [etcd_program(name="etcdctl"), f"--endpoints={cluster.endpoints[0]}", *words]
            subprocess.run(command, check=True, capture_output=True, env={"ETCDCTL_API": "3"})

        for user, password in PASSWORDS.items():
            tell("user", "add", f"{user}:{password}")
        tell("role", "add", "atoms")
        tell("role", "grant-permission", "atoms", "--prefix=true", "readwrite", "/dative/")
        tell("user", "grant-role", "root", "root")
        tell("user", "grant-role", "atom", "atoms")
        tell("auth", "enable")
        yield cluster


def as_user(cluster: EmbeddedEtcd, user: str, password: str | None = None) -> EtcdCoordination:
    word = PASSWORDS.get(user, "") if password is None else password
    return EtcdCoordination(cluster.addresses, user=user, password=lambda: word)


async def test_a_user_does_what_its_role_allows_and_nothing_else(guarded):
    client = as_user(guarded, "atom")
    lease = await client.grant(10.0)
    assert (await client.transact([], [Put("/dative/a", b"", lease=lease.lease_id)])).held
    assert await client.keep_alive(lease.lease_id) == lease.ttl_s
    assert (await client.status()).members == 1
    with pytest.raises(DativeError) as refused:
        await client.transact([], [Put("/other/a", b"")])
    assert refused.value.code is COORDINATION_REFUSED
    async with aclosing(client.watch("/other/", 1)) as watch, asyncio.timeout(10):
        with pytest.raises(DativeError) as refused:
            await anext(watch)
    assert refused.value.code is COORDINATION_REFUSED
    await client.close()


@pytest.mark.parametrize(("user", "password"), [("atom", "wrong"), ("nobody", "a"), ("", None)])
async def test_a_wrong_password_an_unknown_user_and_none_are_refused(guarded, user, password):
    client = as_user(guarded, user, password)
    with pytest.raises(DativeError) as refused:
        await client.load("/dative/")
    assert refused.value.code is COORDINATION_REFUSED
    assert "wrong" not in refused.value.message
    await client.close()


async def test_a_token_that_etcd_no_longer_knows_is_fetched_again(guarded):
    client = as_user(guarded, "atom")
    begin = await client.transact([], [Put("/dative/a", b"1")])
    # Simple tokens live in a member's memory: after its restart the token is as unknown as one that expired.
    member = guarded.members[0]
    member.stop()
    member.start()
    await asyncio.get_running_loop().run_in_executor(None, guarded.wait_ready)
    async with asyncio.timeout(10):
        while True:
            try:
                await client.transact([], [Put("/dative/a", b"2")])
                break
            except Unavailable:
                continue
        async with aclosing(client.watch("/dative/", begin.revision)) as watch:
            changes = await anext(changes async for changes in watch if changes.changes)
    assert changes.changes[0].now.value == b"2"
    await client.close()


async def test_a_change_of_rights_makes_tokens_old_and_costs_no_call(guarded):
    client = as_user(guarded, "atom")
    await client.transact([], [Put("/dative/a", b"1")])
    command = [etcd_program(name="etcdctl"), f"--endpoints={guarded.endpoints[0]}", "--user=root:r"]
    for words in (["user", "add", "late:l"], ["user", "grant-role", "late", "atoms"]):
        subprocess.run([*command, *words], check=True, capture_output=True, env={"ETCDCTL_API": "3"})
    assert (await client.transact([], [Put("/dative/a", b"2")])).held
    await client.close()
