"""The local etcd: started again it has the same keys and ports; what keeps it from starting is said; nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from dative.errors import DativeError
from dative.errors.molecule import ETCD_MISSING, ETCD_NOT_STARTED
from dative_atom.molecule.coordination import Put
from dative_atom.molecule.embedded import EmbeddedEtcd, etcd_program
from dative_atom.molecule.etcd import EtcdCoordination


async def test_started_again_it_has_the_same_ports_and_keys(tmp_path):
    with EmbeddedEtcd(tmp_path) as cluster:
        addresses, client = cluster.addresses, EtcdCoordination(cluster.addresses)
        await client.transact([], [Put("/a", b"1")])
        first = (await client.status()).cluster_id
        await client.close()
    with EmbeddedEtcd(tmp_path) as cluster:
        assert cluster.addresses == addresses
        client = EtcdCoordination(cluster.addresses)
        assert [one.value for one in (await client.load("/a")).items] == [b"1"]
        assert (await client.status()).cluster_id == first
        await client.close()


async def test_a_cluster_made_anew_on_the_same_ports_has_another_id(tmp_path):
    ids, layouts = [], []
    for name in "ab":
        (tmp_path / name).mkdir()
        if layouts:
            # What is left of the first one are its ports.
            layout = {**layouts[0], "token": "made anew"}
            (tmp_path / name / "cluster.json").write_text(json.dumps(layout))
        with EmbeddedEtcd(tmp_path / name) as cluster:
            layouts.append(json.loads((tmp_path / name / "cluster.json").read_text()))
            client = EtcdCoordination(cluster.addresses)
            ids.append((await client.status()).cluster_id)
            await client.close()
    assert ids[0] != ids[1]


def test_another_number_of_members_in_the_same_directory_is_refused(tmp_path):
    EmbeddedEtcd(tmp_path)
    with pytest.raises(DativeError) as refused:
        EmbeddedEtcd(tmp_path, members=3)
    assert refused.value.code is ETCD_NOT_STARTED


def test_a_port_that_is_taken_is_said_with_the_words_of_etcd(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cluster = EmbeddedEtcd(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(DativeError, match="address already in use") as refused:
            cluster.start()
    assert refused.value.code is ETCD_NOT_STARTED
    assert cluster.members[0].pid == 0


def test_a_program_that_is_none_is_said(tmp_path):
    with pytest.raises(DativeError, match="DATIVE_ETCD") as refused:
        etcd_program({"DATIVE_ETCD": str(tmp_path / "none")})
    assert refused.value.code is ETCD_MISSING


def test_the_command_says_where_it_listens_and_ends_with_sigterm(tmp_path):
    command = [sys.executable, "-m", "dative_atom.agent", "etcd", "start", "--data-dir", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        endpoint = running.stdout.readline().strip()
        host, _, port = endpoint.removeprefix("http://").partition(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(20) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
