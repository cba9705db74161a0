"""`make demo`, and with KEEP=1 a house that stays up until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from demo.house import House, remove
from demo.story import Story

DIRECTORY = Path(__file__).parents[2] / ".demo"
TRY_NEXT = """
The house stays up. In another terminal:
    export DATIVE_HOME={home} DATIVE_KEYRING=file PATH={programs}:$PATH
    dative status
    dative execution list --env dev
    dative dlq list --env dev
    dative find NAME-OR-ID
    dative plan examples/account-to-erp --env dev
Ctrl-C ends it."""


def main() -> int:
    keep = os.environ.get("KEEP", "") not in ("", "0")
    remove(DIRECTORY)
    house = House(DIRECTORY, verbose=True)
    started = time.monotonic()
    try:
        Story(house).tell()
        print(f"\nEvery count is what the seed says it must be. {time.monotonic() - started:.0f} s", flush=True)
        if keep:
            print(TRY_NEXT.format(home=DIRECTORY / "cli", programs=Path(sys.executable).parent), flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        house.close()
    remove(DIRECTORY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
