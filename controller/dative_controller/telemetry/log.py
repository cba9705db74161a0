"""Structured log lines on stderr: JSON for machines, text on a terminal. Events are `noun.verb_in_past_tense`."""

from __future__ import annotations

import logging
import sys
from typing import cast

import structlog
from structlog.typing import FilteringBoundLogger

log = cast(FilteringBoundLogger, structlog.get_logger("dative.controller"))


def configure(level: str = "info") -> None:
    """Set up once, by the program that serves; a test that embeds the controller leaves logging alone."""
    console = sys.stderr.isatty()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if not console else structlog.dev.set_exc_info,
            structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
