"""What the atoms of a molecule ask their shared journal beside what an atom alone asks: part of `contract.Journal`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from dative.ids import ExecutionId

from dative_atom.journal.execution_types import Execution, Partition, PartitionState


class Molecular(Protocol):
    """See the module."""

    # the leader
    def schedule_last(self) -> dict[str, datetime]:
        """Up to when each schedule was considered, by its key."""
        ...

    def schedule_note(self, changes: Mapping[str, datetime | None], term: int) -> None:
        """Note these, all or none; None forgets a schedule. term: of the leader.

        Errors: molecule.leader_fenced below any term that noted before.
        """
        ...

    def cluster(self, cluster_id: str, *, adopt: bool = False) -> int:
        """The epoch of fencing tokens under the etcd cluster that this journal belongs to; the first one is taken.

        adopt: go over to another cluster, one epoch on, so that tokens never go back. Errors: molecule.wrong_cluster.
        """
        ...

    def adopt_spool(self, owner: str) -> int:
        """Take over what an atom that is gone for good left unacknowledged in the shared journal; returns how many.

        They get the next numbers of this atom's own epoch, all or none. Its spool is gone then.
        """
        ...

    # executions that several members work on
    def plan_partitions(
        self,
        parent_id: ExecutionId,
        partitions: Sequence[Partition],
        position: bytes | None,
        fencing_token: int = 0,
    ) -> list[PartitionState]:
        """Write down the parts of an execution, each an execution of its own, PENDING; once: a later call changes nothing.

        partitions: 1..PARTITIONS_MAX, numbered from 0. position: where the stream stands when all have come to rest;
        None moves none. A part that the stream's last execution, which failed, had to its end is not done again, where
        the stream has not moved since and the part has the same body.
        Returns them as they stand. Errors: journal.partitions_invalid, journal.already_finished, molecule.fenced.
        """
        ...

    def partitions(self, parent_id: ExecutionId) -> list[PartitionState]:
        """The parts in their order; none of an execution that was not divided."""
        ...

    def partition_of(self, execution_id: ExecutionId) -> Partition | None:
        """What this execution is of another one; None when it is a whole one."""
        ...

    def finish_partitioned(self, parent_id: ExecutionId, at: datetime, fencing_token: int = 0) -> Execution | None:
        """End an execution whose parts all have ended; None while some have not.

        Its counts are the sum of theirs. When all came to rest, the position, the ledger and the properties become the
        stream's in this transaction; when one failed, it fails and the position stays. Errors: molecule.fenced.
        """
        ...
