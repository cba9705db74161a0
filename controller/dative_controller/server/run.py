"""`dative serve`: one controller in the foreground until it is told to stop, or a part of it fails."""

from __future__ import annotations

import asyncio
import signal
import sys

from dative_controller.config import Config
from dative_controller.server.controller import Controller
from dative_controller.telemetry.log import configure, log


def serve(config: Config, *, log_level: str = "info") -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0, or 1 when a part of the controller failed.

    Prints one line on stdout when it is ready: `ready public=<address> atoms=<address> [bootstrap=<file>]`.
    Errors: config.invalid, store.locked, store.newer_schema, store.unavailable, before anything listens.
    """
    configure(log_level)
    return asyncio.run(_serve(config))


async def _serve(config: Config) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Controller(config) as controller:
        first = controller.bootstrap_token_file
        hint = f" bootstrap={first}" if first.exists() else ""
        sys.stdout.write(f"ready public={controller.public_address} atoms={controller.atom_address}{hint}\n")
        sys.stdout.flush()
        log.info("controller.started", organization=controller.core.organization_id, version=controller.core.version)
        waiting = {asyncio.create_task(stop.wait()), asyncio.create_task(controller.supervisor.failed.wait())}
        _, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        failed = controller.supervisor.failed.is_set()
        log.info("controller.stopped", failed=failed, **controller.metrics.snapshot())
    return 1 if failed else 0
