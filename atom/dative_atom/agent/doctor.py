"""What stands between this host and a controller, step by step, each with the sentence that helps.

Reads only; the join token is not needed and never sent. The steps stop where the next one can not work.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from dative.errors import DativeError
from dative.errors.agent import NOT_TLS

from dative_atom.agent import molecule_reach, pin, proxy
from dative_atom.agent.finding import Line
from dative_atom.agent.identity import read_certificate, read_identity
from dative_atom.agent.paths import DataDir

DISK_FREE_MIN_MB = 512
SKEW_MAX_S = 120.0


@dataclass(frozen=True)
class Subject:
    """What to look at. controller: host:port; ca_pin: "" when there is none to compare with."""

    controller: str
    ca_pin: str
    proxy: str
    data_dir: Path
    now: datetime
    timeout_s: float = 10.0
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


def examine(subject: Subject) -> Iterator[Line]:
    """All findings, in the order of the way. Blocks, bounded by `timeout_s` a step. Raises nothing for a finding."""
    yield from _disk(subject.data_dir)
    yield from _joined(subject)
    yield from molecule_reach.examine(DataDir(subject.data_dir))
    if subject.controller:
        yield from _network(subject)


def _disk(data_dir: Path) -> Iterator[Line]:
    there = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield Line("data dir", False, f"{there} can not be written", "run as the atom's user, or choose --data-dir")
    elif there == data_dir and stat.S_IMODE(there.stat().st_mode) & 0o077:
        yield Line("data dir", False, f"others can look into {data_dir}", f"chmod 700 {data_dir}")
    else:
        yield Line("data dir", True, str(data_dir))
    free_mb = shutil.disk_usage(there).free >> 20
    enough = free_mb >= DISK_FREE_MIN_MB
    yield Line("disk", enough, f"{free_mb} MB free", "" if enough else f"free at least {DISK_FREE_MIN_MB} MB")


def _joined(subject: Subject) -> Iterator[Line]:
    directory = DataDir(subject.data_dir)
    if not directory.identity.exists():
        return
    try:
        identity = read_identity(directory)
        certificate = read_certificate(directory)
        certificate.check(subject.now)
    except DativeError as wrong:
        yield Line("identity", False, wrong.message, wrong.next)
    else:
        until = f"{certificate.not_after:%Y-%m-%d %H:%M} UTC"
        yield Line("identity", True, f"{identity.name} in {identity.environment}, certificate until {until}")


def _network(subject: Subject) -> Iterator[Line]:
    try:
        host, _ = proxy.split_address(subject.controller)
        way = proxy.choose(subject.controller, subject.proxy, subject.environ)
    except DativeError as wrong:
        yield Line("address", False, wrong.message, wrong.next)
        return
    dns = _dns(way.host if way else host, "the proxy" if way else "the controller")
    yield dns
    if dns.passed:
        yield from _handshake(subject, way)


def _dns(host: str, what: str) -> Line:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as unknown:
        reason = unknown.strerror or str(unknown)
        return Line("dns", False, f"{host}: {reason}", f"ask for a name record of {what}, or use its address")
    return Line("dns", True, f"{host} is {', '.join(sorted(found))}")


def _handshake(subject: Subject, way: proxy.Proxy | None) -> Iterator[Line]:
    step = f"tcp via proxy {way} (CONNECT)" if way else "tcp"
    try:
        presented = pin.look(subject.controller, way, timeout_s=subject.timeout_s)
    except DativeError as failed:
        reached = failed.code is NOT_TLS
        yield Line(step, reached, "connected" if reached else failed.message, "" if reached else failed.next)
        if reached:
            yield Line("tls", False, failed.message, failed.next)
        return
    yield Line(step, True, subject.controller)
    yield from _tls(subject, presented)


def _tls(subject: Subject, presented: pin.Presented) -> Iterator[Line]:
    yield _pin(subject, presented)
    if presented.alpn == "h2":
        yield Line("http/2", True, "negotiated")
    else:
        fix = "ask for a bypass of whatever ends TLS in between: the link needs HTTP/2"
        yield Line("http/2", False, "stripped in between", fix)
    yield _clock(subject, presented)


def _pin(subject: Subject, presented: pin.Presented) -> Line:
    if not subject.ca_pin:
        shown = pin.pin_of(presented.chain[-1])
        return Line("tls", True, f'issued by "{presented.issuer}", {shown}; compare it, or give --ca-pin')
    try:
        wanted = pin.check_pin_form(subject.ca_pin)
    except DativeError as wrong:
        return Line("tls", False, wrong.message, wrong.next)
    if any(pin.pin_of(certificate) == wanted for certificate in presented.chain):
        return Line("tls", True, "the pinned CA")
    host = proxy.split_address(subject.controller)[0]
    fix = f"ask the network team not to inspect TLS to {host}; if they do not, compare the pin: dative atom invite"
    return Line("tls", False, f'INSPECTED by "{presented.issuer}", or another server than the pin names', fix)


def _clock(subject: Subject, presented: pin.Presented) -> Line:
    """By the proxy's date where there is one, else by the certificate's own time."""
    fix = "set the clock: timedatectl set-ntp true, or chronyc makestep"
    if presented.proxy is not None and presented.proxy.date:
        try:
            skew_s = (subject.now - parsedate_to_datetime(presented.proxy.date)).total_seconds()
        except (ValueError, TypeError):
            skew_s = 0.0
        wrong = abs(skew_s) > SKEW_MAX_S
        return Line("clock", not wrong, f"{skew_s:+.0f} s against the proxy", fix if wrong else "")
    try:
        pin.check_clock(presented.chain[0], subject.now)
    except DativeError as wrong_clock:
        return Line("clock", False, wrong_clock.message, fix)
    return Line("clock", True, "within the certificate's time")
