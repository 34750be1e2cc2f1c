"""What the service logs: one line an event, as JSON for programs or as text for people.

Whatever came from a client is escaped, so that nobody forges a line. What is secret is not there
to begin with: no header, no query string and no body is ever given to a logger.
"""

from __future__ import annotations

import json
import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from finetag_model.console import printable

LogFormat = Literal["json", "text"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered, in its task and in the threads that work for it."""

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "asctime",
    "color_message",  # uvicorn's message again, for terminals
    "message",
    "taskName",  # from Python 3.12 on
}


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: time, level, event, request_id, and what was given as extra."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in ASCII."""
        return json.dumps(_told(record), default=str)


class TextFormatter(logging.Formatter):
    """A record as one readable line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without what moves a terminal's cursor."""
        told = _told(record)
        first = [str(told.pop(each)) for each in ("time", "level", "event")]
        rest = (f"{name}={value}" for name, value in told.items() if value is not None)
        return printable("  ".join([*first, *rest]))


def log_config(form: LogFormat) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes, of which uvicorn gives it to each process."""
    formatter = {"json": JsonFormatter, "text": TextFormatter}[form]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": f"{formatter.__module__}.{formatter.__qualname__}"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {"finetag": {"level": "INFO"}, "uvicorn": {"level": "WARNING"}},
    }


def _told(record: logging.LogRecord) -> dict[str, Any]:
    told: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        "request_id": request_id.get(),
    }
    told |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    if record.exc_info and record.exc_info[0] is not None:
        told["traceback"] = "".join(traceback.format_exception(*record.exc_info))
    return told
