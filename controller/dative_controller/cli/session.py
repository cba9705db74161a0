"""The session of a context: an access token of minutes, renewed by a refresh token that is good for one use.

Two commands that renew at the same time would look like theft and end the session, so that renewing happens under a
lock on disk and begins by reading what another command may have stored meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dative.clock import Clock
from dative.errors.cli import LOGIN_NEEDED, CliError

if TYPE_CHECKING:
    from dative.v1.control_pb2 import LoginResponse

    from dative_controller.cli.client import Client
    from dative_controller.signing.keyring import Keyring

TOKENS = "tokens"
RENEW_BEFORE_S = 30.0


@dataclass(frozen=True)
class Tokens:
    """expires_at: of the access token, in seconds since the epoch."""

    access: str
    refresh: str
    expires_at: float

    def __repr__(self) -> str:
        return "Tokens(hidden)"


class Session:
    """Gives out access tokens. lock: a file beside the keys."""

    def __init__(self, ring: Keyring, lock: Path, clock: Clock) -> None:
        self._ring = ring
        self._lock = lock
        self._clock = clock

    def access_token(self, client: Client, *, renew: bool = False) -> str:
        """A token that is good for the next call. renew: the last one was refused.

        Errors: cli.login_needed; those of the call that renews.
        """
        tokens = self.stored()
        if tokens is None:
            raise CliError("there is no session for this context", code=LOGIN_NEEDED)
        if not renew and self._is_fresh(tokens):
            return tokens.access
        with self._alone():
            newer = self.stored()
            if newer is not None and newer.access != tokens.access and self._is_fresh(newer):
                return newer.access
            return self._renew(client, newer or tokens).access

    def stored(self) -> Tokens | None:
        data = self._ring.get(TOKENS)
        return Tokens(**json.loads(data)) if data else None

    def keep(self, answer: LoginResponse) -> Tokens:
        """Store what a login gave."""
        expires_at = answer.expires_at.ToNanoseconds() / 1e9
        tokens = Tokens(answer.access_token, answer.refresh_token, expires_at)
        self._ring.put(TOKENS, json.dumps(asdict(tokens)).encode())
        return tokens

    def forget(self) -> None:
        self._ring.delete(TOKENS)

    def _renew(self, client: Client, tokens: Tokens) -> Tokens:
        from dative.errors import DativeError
        from dative.v1.control_pb2 import LoginRequest, LoginResponse

        try:
            return self.keep(client.login("AccessService/Login", LoginRequest(token=tokens.refresh), LoginResponse))
        except DativeError as refused:
            if refused.code.grpc != "UNAUTHENTICATED":
                raise
            self.forget()
            raise CliError(f"the session has ended: {refused.message}", code=LOGIN_NEEDED) from refused

    def _is_fresh(self, tokens: Tokens) -> bool:
        return tokens.expires_at - RENEW_BEFORE_S > self._clock.now().timestamp()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Renewing is one call of at most 30 s, so that waiting for the other command is bounded too.
        import fcntl

        self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
