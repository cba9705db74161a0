"""What an answer of etcd proves about a write, word by word."""

from __future__ import annotations

import grpc
import pytest
from dative.errors.molecule import AMBIGUOUS as UNKNOWN
from dative.errors.molecule import (
    COMPACTED,
    COORDINATION_FULL,
    COORDINATION_INVALID,
    COORDINATION_REFUSED,
    COORDINATION_UNAVAILABLE,
    LEASE_GONE,
)
from dative_atom.molecule.etcd_failures import error_of, failure_of

CODE = grpc.StatusCode


class Failed(grpc.RpcError):
    def __init__(self, status: grpc.StatusCode, text: str) -> None:
        super().__init__()
        self._status, self._text = status, text

    def code(self) -> grpc.StatusCode:
        return self._status

    def details(self) -> str:
        return self._text


@pytest.mark.parametrize(
    ("status", "text", "of_a_write", "of_a_read"),
    [
        # Said before the request is proposed to the others.
        (CODE.UNAVAILABLE, "etcdserver: no leader", COORDINATION_UNAVAILABLE, COORDINATION_UNAVAILABLE),
        (CODE.UNKNOWN, "etcdserver: too many requests", COORDINATION_UNAVAILABLE, COORDINATION_UNAVAILABLE),
        (
            CODE.UNAVAILABLE,
            "failed to connect to all addresses; last error: connection refused",
            COORDINATION_UNAVAILABLE,
            COORDINATION_UNAVAILABLE,
        ),
        # Said while it may be on its way through the log.
        (CODE.UNAVAILABLE, "etcdserver: request timed out", UNKNOWN, COORDINATION_UNAVAILABLE),
        (CODE.UNAVAILABLE, "etcdserver: leader changed", UNKNOWN, COORDINATION_UNAVAILABLE),
        (CODE.UNAVAILABLE, "etcdserver: server stopped", UNKNOWN, COORDINATION_UNAVAILABLE),
        (CODE.CANCELLED, "etcdserver: request canceled", UNKNOWN, COORDINATION_UNAVAILABLE),
        (CODE.DEADLINE_EXCEEDED, "Deadline Exceeded", UNKNOWN, COORDINATION_UNAVAILABLE),
        (CODE.UNAVAILABLE, "Socket closed", UNKNOWN, COORDINATION_UNAVAILABLE),
        (CODE.UNAVAILABLE, "keepalive watchdog timeout", UNKNOWN, COORDINATION_UNAVAILABLE),
        (CODE.INTERNAL, "", UNKNOWN, COORDINATION_UNAVAILABLE),
        (CODE.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max", UNKNOWN, COORDINATION_UNAVAILABLE),
        # Refused.
        (CODE.RESOURCE_EXHAUSTED, "grpc: received message larger than max (3 vs. 2)", *[COORDINATION_INVALID] * 2),
        (CODE.INVALID_ARGUMENT, "etcdserver: request is too large", *[COORDINATION_INVALID] * 2),
        (CODE.UNIMPLEMENTED, "unknown method", *[COORDINATION_INVALID] * 2),
        (CODE.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", *[COORDINATION_FULL] * 2),
        (CODE.NOT_FOUND, "etcdserver: requested lease not found", *[LEASE_GONE] * 2),
        (CODE.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted", *[COMPACTED] * 2),
        (CODE.PERMISSION_DENIED, "etcdserver: permission denied", *[COORDINATION_REFUSED] * 2),
        (CODE.UNAUTHENTICATED, "etcdserver: invalid auth token", *[COORDINATION_REFUSED] * 2),
        (CODE.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", *[COORDINATION_REFUSED] * 2),
        (CODE.INVALID_ARGUMENT, "etcdserver: user name is empty", *[COORDINATION_REFUSED] * 2),
        (
            CODE.UNAVAILABLE,
            "failed to connect to all addresses; last error: Ssl handshake failed: CERTIFICATE_VERIFY_FAILED",
            *[COORDINATION_REFUSED] * 2,
        ),
    ],
)
def test_only_an_answer_given_before_the_proposal_proves_that_nothing_was_applied(status, text, of_a_write, of_a_read):
    failure = failure_of(Failed(status, text))
    assert error_of(failure, "etcd Txn", write=True).code is of_a_write
    assert error_of(failure, "etcd Range", write=False).code is of_a_read
