"""A real worker answers what an execution would change, writes nothing, and is there for the next one."""

from __future__ import annotations

import json

from dative_atom.worker.protocol import DryRan, DryRun, Finished


def test_a_worker_runs_dry_and_then_for_real(site) -> None:
    message = site.plan()
    worker = site.worker()
    worker.send(DryRun("R1", message, shown_max=2, documents_max=1000))
    answer = worker.until(DryRan)
    assert isinstance(answer, DryRan)
    outcome = json.loads(answer.outcome)
    assert outcome["failure"] is None
    assert outcome["targets"]["upsert"]["counts"] == {"change": 30}
    assert (outcome["counts"]["read"], outcome["counts"]["dead_lettered"], len(outcome["documents"])) == (40, 2, 2)
    with site.database("target") as target:
        assert target.execute("SELECT count(*) FROM customer").fetchone() == (0,)
        assert target.execute("SELECT count(*) FROM effect").fetchone() == (0,)
    target.close()
    worker.send(message)
    finished = worker.until(Finished)
    assert isinstance(finished, Finished)
    assert finished.counts["written"] == 30
