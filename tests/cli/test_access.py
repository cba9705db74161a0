"""Logging in, staying logged in, contexts, and where each setting comes from."""

from __future__ import annotations

import json
import stat
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dative_controller.cli.main import dative

BOOTSTRAP = "bt1.the-bootstrap-token"


def login(cli: Any, fake: Any, *more: str, code: int = 0) -> Any:
    return cli("login", "--server", fake.address, "--ca", str(fake.ca), *more, stdin=f"{BOOTSTRAP}\n", code=code)


def test_a_bootstrap_token_on_stdin_logs_in_and_makes_the_context(cli: Any, fake: Any) -> None:
    told = login(cli, fake, "--subject", "anna")
    assert f"anna logged in to {fake.address} as context default" in told.stderr
    assert "next   dative trust init" in told.stderr
    assert json.loads(cli("whoami", "-o", "json").stdout)["subject"] == "anna"


def test_a_token_file_does_too_and_so_does_the_controllers_data_directory(cli: Any, fake: Any, tmp_path: Path) -> None:
    (tmp_path / "bootstrap-token").write_text(BOOTSTRAP)
    cli("login", "--server", fake.address, "--ca", str(fake.ca), "--token-file", str(tmp_path / "bootstrap-token"))
    cli("login", "--server", fake.address, "--name", "second", "--data-dir", str(tmp_path))
    assert {item["name"] for item in json.loads(cli("context", "list", "-o", "json").stdout)["items"]} == {
        "default",
        "second",
    }


def test_init_trust_makes_root_release_and_recovery_keys_here_only(cli: Any, fake: Any) -> None:
    login(cli, fake, "--init-trust")
    keys = cli.home / "keys" / "default"
    for name in ("root.pem", "release.pem", "recovery.key", "tokens"):
        assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
    sent = fake.state.trust
    assert b"PRIVATE" not in sent
    shown = json.loads(cli("trust", "show", "-o", "json").stdout)
    assert shown["here"] == ["recovery", "release", "root"]
    assert shown["roles"]["online"]["keyids"] == [fake.state.online.keyid]


def test_a_wrong_token_is_exit_4_and_leaves_no_context(cli: Any, fake: Any) -> None:
    told = cli("login", "--server", fake.address, "--ca", str(fake.ca), stdin="bt1.wrong", code=4)
    assert "access.token_invalid" in told.stderr
    assert cli("context", "list", "-o", "name").stdout == ""


@pytest.mark.parametrize("stdin", ["", "  \n", "x" * 9000])
def test_no_token_is_no_login(cli: Any, fake: Any, stdin: str) -> None:
    told = cli("login", "--server", fake.address, "--ca", str(fake.ca), stdin=stdin, code=1)
    assert "cli.no_input" in told.stderr
    assert fake.state.logins == []


def test_without_an_authority_nothing_is_sent(cli: Any, fake: Any) -> None:
    told = cli("login", "--server", fake.address, stdin=BOOTSTRAP, code=1)
    assert "cli.ca_unknown" in told.stderr
    assert fake.state.logins == []


def test_a_pin_finds_the_authority_in_the_handshake(cli: Any, fake: Any) -> None:
    from cryptography import x509
    from dative_controller.cli.pinning import pin_of

    pin = pin_of(x509.load_pem_x509_certificate(fake.ca.read_bytes()))
    cli("login", "--server", fake.address, "--ca-pin", pin, stdin=BOOTSTRAP)
    cli("whoami")


def test_a_wrong_pin_is_refused_before_the_token_is_sent(cli: Any, fake: Any) -> None:
    told = cli("login", "--server", fake.address, "--ca-pin", "sha256:" + "0" * 64, stdin=BOOTSTRAP, code=6)
    assert "cli.ca_pin_mismatch" in told.stderr
    assert fake.state.logins == []


def test_another_authority_is_refused_before_the_token_is_sent(cli: Any, fake: Any, tmp_path: Path) -> None:
    import trustme

    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    cli("login", "--server", fake.address, "--ca", str(tmp_path / "other.pem"), stdin=BOOTSTRAP, code=7)
    assert fake.state.logins == []


def test_an_access_token_about_to_expire_is_renewed_before_the_call(cli: Any, fake: Any) -> None:
    fake.state.access_lifetime = timedelta(seconds=5)
    login(cli, fake)
    logins = len(fake.state.logins)
    cli("whoami")
    assert len(fake.state.logins) == logins + 1
    assert fake.state.logins[-1].startswith("rt1.")


def test_a_refused_access_token_is_renewed_once_and_the_call_repeated(cli: Any, fake: Any) -> None:
    login(cli, fake)
    fake.state.access = "another key signs now"
    cli("whoami")
    assert fake.state.calls["WhoAmI"] == 2


def test_an_ended_session_is_exit_4_with_the_way_back(cli: Any, fake: Any) -> None:
    login(cli, fake)
    fake.state.access, fake.state.refresh = "other", "other"
    told = cli("whoami", code=4).stderr
    assert "cli.login_needed" in told
    assert "next   Log in: dative login" in told


def test_commands_at_the_same_time_use_a_refresh_token_once(cli: Any, fake: Any) -> None:
    """A second use would look like theft and end the session."""
    from dative.clock import SystemClock
    from dative_controller.cli.client import Client
    from dative_controller.cli.session import Session
    from dative_controller.cli.tracing import Trace
    from dative_controller.signing.keyring import FileKeyring

    fake.state.access_lifetime = timedelta(seconds=5)
    login(cli, fake)
    fake.state.access_lifetime = timedelta(minutes=15)
    logins = len(fake.state.logins)
    # Two logins that are under way at the same time meet here; one alone goes on after a moment.
    fake.state.rendezvous = threading.Barrier(2)
    failed: list[BaseException] = []

    def one() -> None:
        session = Session(
            FileKeyring(cli.home / "keys" / "default"), cli.home / "keys" / ".default.lock", SystemClock()
        )
        client = Client(fake.address, fake.ca.read_bytes(), session, Trace("test", recording=False))
        try:
            session.access_token(client)
        except BaseException as error:
            failed.append(error)
        client.close()

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(fake.state.logins) == logins + 1


def test_logout_forgets_the_session_and_keeps_the_keys(admin: Any) -> None:
    admin("logout")
    assert "cli.login_needed" in admin("whoami", code=4).stderr
    assert (admin.home / "keys" / "default" / "release.pem").exists()


def test_no_token_and_no_key_is_ever_printed(admin: Any, fake: Any) -> None:
    for arguments in (("whoami",), ("context", "show"), ("trust", "show"), ("doctor",), ("whoami", "--debug")):
        admin(*arguments, code=None)
    printed = "".join(admin.out)
    secrets = [BOOTSTRAP, fake.state.access, fake.state.refresh]
    secrets += [
        (admin.home / "keys" / "default" / name).read_text().split("\n")[1] for name in ("root.pem", "release.pem")
    ]
    for secret in secrets:
        assert secret not in printed


# ---- contexts ---------------------------------------------------------------------------------------------------


def test_a_context_is_used_by_unique_prefix(cli: Any, fake: Any) -> None:
    cli("context", "create", "production", "--server", "a:1", "--ca", str(fake.ca))
    cli("context", "create", "testing", "--server", "b:1", "--ca", str(fake.ca))
    told = cli("context", "use", "test")
    assert "context testing: b:1" in told.stderr
    assert "undo   dative context use production" in told.stderr
    cli("context", "create", "test-2", "--server", "c:1", "--ca", str(fake.ca))
    assert "test-2, testing" in cli("context", "use", "test", code=5).stderr


def test_flag_beats_environment_beats_file_and_each_origin_is_told(cli: Any, fake: Any) -> None:
    for name in ("one", "two", "three"):
        cli("context", "create", name, "--server", f"{name}:1", "--ca", str(fake.ca))

    def shown(*arguments: str, **env: str) -> Any:
        return json.loads(cli("context", "show", *arguments, "-o", "json", **env).stdout)

    assert shown()["server"] == "one:1"
    assert shown(DATIVE_CONTEXT="two")["server"] == "two:1"
    both = shown("--context", "three", DATIVE_CONTEXT="two", DATIVE_SERVER="elsewhere:9")
    assert (both["name"], both["server"]) == ("three", "elsewhere:9")
    assert both["origins"]["name"] == "--context"
    assert both["origins"]["server"] == "DATIVE_SERVER"


@pytest.mark.parametrize("name", ["../evil", "UPPER", "", "a/b", ".hidden"])
def test_a_context_name_is_never_a_path(cli: Any, fake: Any, name: str) -> None:
    cli("context", "create", name, "--server", "a:1", "--ca", str(fake.ca), code=2)


def test_deleting_a_context_keeps_its_keys_unless_told(admin: Any) -> None:
    admin("context", "delete", "default")
    assert (admin.home / "keys" / "default" / "root.pem").exists()


def test_nothing_is_asked_when_nobody_can_answer(admin: Any, fake: Any) -> None:
    admin("env", "create", "prod", "--production")
    result = CliRunner().invoke(dative, ["env", "set", "prod", "erp.connector=database"], env=admin.env, input="")
    assert result.exit_code == 6
    assert "cli.not_confirmed" in result.stderr


# ---- doctor -----------------------------------------------------------------------------------------------------


def test_doctor_checks_everything_between_here_and_the_controller(admin: Any) -> None:
    checks = json.loads(admin("doctor", "-o", "json").stdout)["items"]
    assert [check["name"] for check in checks if check["passed"]] == [
        "context", "reachable", "tls", "session", "clock", "versions", "trust", "keys",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("break_it", "failed"),
    [
        (lambda admin, fake: admin("context", "set", "server=127.0.0.1:1"), "reachable"),
        (lambda admin, fake: admin("logout"), "session"),
        (lambda admin, fake: (admin.home / "keys" / "default" / "release.pem").unlink(), "keys"),
    ],
)
def test_doctor_names_what_is_broken_and_exits_6(admin: Any, fake: Any, break_it: Any, failed: str) -> None:
    break_it(admin, fake)
    told = admin("doctor", "-o", "json", code=6)
    checks = json.loads(told.stdout)["items"]
    assert [check["name"] for check in checks if not check["passed"]] == [failed]
    assert next(check["next"] for check in checks if not check["passed"])
