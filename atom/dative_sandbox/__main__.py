"""`python -m dative_sandbox salesforce`: runs a simulated Salesforce until it gets SIGTERM or SIGINT.

When ready it prints one JSON line with its addresses and what a client needs, and writes the same to --ready-file.
"""

import argparse
import os
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

import msgspec
from dative.errors.base import DativeError
from dative.errors.sandbox import SandboxNotStarted

from dative_sandbox.certificates import write_private
from dative_sandbox.salesforce.clock import parse_time
from dative_sandbox.server import SalesforceSandbox, SandboxSettings, tls_files


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 after a clean stop, the error's own otherwise."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        _run(options, stop)
    except DativeError as error:
        print(f"error {error.code.name}: {error.message}\nnext: {error.next}", file=sys.stderr)
        return error.code.exit_code
    return 0


def _run(options: argparse.Namespace, stop: threading.Event) -> None:
    settings = SandboxSettings(
        accounts=options.accounts,
        seed=options.seed,
        host=options.host,
        port=options.port,
        control_port=options.control_port,
        clock_start=_time(options.clock),
        public_key_pem=_read(options.certificate),
        instance_url=options.instance_url,
        tls=tls_files(options.tls_cert, options.tls_key),
    )
    with SalesforceSandbox(settings) as sandbox:
        facts = sandbox.facts()
        if options.private_key_out and sandbox.private_key_pem:
            write_private(Path(options.private_key_out), sandbox.private_key_pem)
            facts["private_key_file"] = options.private_key_out
        line = msgspec.json.encode(facts)
        if options.ready_file:
            _write_whole(Path(options.ready_file), line + b"\n")
        print(line.decode(), flush=True)
        stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dative_sandbox", description="Run a simulated system on loopback.")
    systems = parser.add_subparsers(dest="system", required=True)
    salesforce = systems.add_parser("salesforce", help="a simulated Salesforce org")
    add = salesforce.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    add("--port", type=int, default=0, help="port of the org; 0 picks a free one")
    add("--control-port", type=int, default=0, help="port of the control plane; 0 picks a free one")
    add("--accounts", type=int, default=0, help="how many customer Accounts to seed")
    add("--seed", type=int, default=1, help="the same seed gives the same records")
    add("--clock", help="the org's time at the start (ISO 8601 with an offset; default: now)")
    add("--certificate", help="PEM certificate or public key of the connected app; without it a key pair is made")
    add("--private-key-out", help="where to write the private key that was made (only its owner can read it)")
    add("--instance-url", default="", help="what tokens point to (default: the sandbox's own address)")
    add("--tls-cert", help="PEM certificate; with --tls-key the org listens with TLS")
    add("--tls-key", help="PEM key of --tls-cert")
    add("--ready-file", help="file that gets the JSON line once the sandbox is ready")
    return parser


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = parse_time(text)
    if at is None:
        raise SandboxNotStarted(f"--clock {text!r} is no ISO 8601 time with an offset")
    return at


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SandboxNotStarted(f"--certificate {path} can not be read: {error.strerror}") from error


def _write_whole(path: Path, content: bytes) -> None:
    """Whoever waits for the file sees it whole or not at all."""
    beside = path.with_name(path.name + ".part")
    write_private(beside, content)
    os.replace(beside, path)


if __name__ == "__main__":
    sys.exit(main())
