"""Moments as people type them: how long ago, or when."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import click

_AGO = re.compile(r"\A(\d{1,6})([smhd])\Z")


def since(text: str, now: datetime, option: str = "--since") -> datetime:
    """ "30m", "24h", "7d" before now, or a moment in ISO 8601; without a zone it is in that of `now`."""
    found = _AGO.match(text)
    if found is not None:
        return now - timedelta(seconds=int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]])
    try:
        moment_given = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option} {text}: give 30m, 24h, 7d, or a moment in ISO 8601") from None
    return moment_given if moment_given.tzinfo else moment_given.replace(tzinfo=now.tzinfo)
