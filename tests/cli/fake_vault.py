"""What the fake controller answers about tokens: the values that a test put into its vault, sealed to the reader."""

from __future__ import annotations

from typing import Any

from dative.errors import DativeError
from dative.errors.masks import TOKEN_UNKNOWN
from dative.secrets import seal, seal_info
from dative.v1 import control_pb2


class Vault:
    def __init__(self, state: Any) -> None:
        self.s = state

    def RevealToken(self, request: Any) -> Any:
        value = self.s.vault.get(request.token)
        if value is None:
            raise DativeError("none of the 1 connected atoms holds it", code=TOKEN_UNKNOWN)
        environment_id = self.s.environment(request.environment).environment_id
        info = seal_info("dative/vault-reveal/v1", environment_id, request.token)
        return control_pb2.ControlRevealTokenResponse(
            sealed_value=seal(value.encode(), request.reader_public_key, info),
            environment_id=environment_id,
            atom="hq-1",
        )
