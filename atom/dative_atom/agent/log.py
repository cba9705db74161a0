"""Log lines of the agent: JSON on stderr, secrets taken out on the way (Invariant 6).

Events are `noun.verb_in_past_tense`, values are fields. One redactor for the process; secrets register in it before
they are used.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, cast

import structlog
from dative.secrets.redact import Redactor
from structlog.typing import EventDict, FilteringBoundLogger

log = cast(FilteringBoundLogger, structlog.get_logger("dative.atom"))
redactor = Redactor()


def _redacted(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {name: redactor.redact(value) if isinstance(value, str) else value for name, value in event.items()}


def _plain_lines(_logger: Any, _method: str, event: EventDict) -> str:
    line = structlog.processors.JSONRenderer()(_logger, _method, event)
    # A second time over the whole line: values inside lists and tracebacks.
    return redactor.redact(line if isinstance(line, str) else line.decode())


def configure(level: str = "info") -> None:
    """Once, by the program that runs; a test that embeds the agent leaves logging alone."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redacted,
            _plain_lines,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
