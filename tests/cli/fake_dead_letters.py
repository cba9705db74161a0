"""Dead letters at the fake controller: it plays the atom's part too, so it can open what is sealed to it."""

from __future__ import annotations

import json
from typing import Any

from dative.errors import DativeError
from dative.errors import control as codes
from dative.errors.dead_letters import CHANGED
from dative.errors.rpc import DENIED
from dative.secrets import seal, seal_info
from dative.v1 import control_pb2


class DeadLetters:
    """payloads: whole documents; `Name` of each is classified. commands: every request that changes something."""

    def __init__(self, state: Any) -> None:
        self.s = state

    def ListDeadLetters(self, request: Any) -> Any:
        self.s.commands.append(request)
        found = sorted(self.s.dead_letters.values(), key=lambda one: one.dead_letter_id, reverse=True)
        found = [one for one in found if (request.state or "waiting") in ("all", one.state)]
        before = request.before_dead_letter_id
        page = [one for one in found if not before or one.dead_letter_id < before][: request.page_size]
        more = page[-1].dead_letter_id if page and page[-1] is not found[-1] else ""
        return control_pb2.ListDeadLettersResponse(dead_letters=page, next_before_dead_letter_id=more)

    def GetDeadLetter(self, request: Any) -> Any:
        letter = self._letter(request.dead_letter_id)
        key = next(iter(self.s.atom_keys.values())).public_raw
        answer = control_pb2.GetDeadLetterResponse(dead_letter=letter, seal_public_key=key)
        if request.reveal and self.s.revealers == 0:
            raise DativeError("anna has none of the roles revealer here", code=DENIED)
        if request.reader_public_key:
            document = json.loads(self.s.payloads[letter.dead_letter_id])
            if not request.reveal:
                document["Name"] = "***"
            info = seal_info("dative/dead-letter/v1", letter.dead_letter_id)
            answer.sealed_payload = seal(json.dumps(document).encode(), request.reader_public_key, info)
            answer.classified.append("Name")
        return answer

    def RepairDeadLetter(self, request: Any) -> Any:
        letter = self._letter(request.dead_letter_id)
        if request.expected_revision not in (0, letter.revision + self.s.behind):
            raise DativeError("it is at another revision", code=CHANGED, where=letter.dead_letter_id)
        if request.dry_run:
            info = seal_info("dative/dead-letter/v1", letter.dead_letter_id)
            sealed = seal(json.dumps(self.s.outcome).encode(), request.reader_public_key, info)
            return control_pb2.ControlRepairDeadLetterResponse(revision=letter.revision, sealed_outcome=sealed)
        self.s.repaired[request.dead_letter_id] = request.sealed_fields
        return control_pb2.ControlRepairDeadLetterResponse(revision=letter.revision + 1)

    def RetryDeadLetters(self, request: Any) -> Any:
        self.s.commands.append(request)
        return control_pb2.ControlRetryDeadLettersResponse(
            execution_ids=["01JRETRY"], dead_letters=1, retry_ids=["R.account-to-erp"]
        )

    def DiscardDeadLetters(self, request: Any) -> Any:
        return self._changed(request)

    def AssignDeadLetters(self, request: Any) -> Any:
        return self._changed(request)

    def ExpireDeadLetters(self, request: Any) -> Any:
        return self._changed(request)

    def _changed(self, request: Any) -> Any:
        self.s.commands.append(request)
        return control_pb2.ControlChangeDeadLettersResponse(dead_letters=len(request.selection.dead_letter_ids) or 7)

    def _letter(self, identity: str) -> Any:
        found = self.s.dead_letters.get(identity)
        if found is None:
            raise DativeError(f"no dead letter {identity}", code=codes.NOT_FOUND)
        return found
