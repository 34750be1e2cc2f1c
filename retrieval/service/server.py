"""The options of uvicorn that the service is made for."""

from __future__ import annotations

from typing import Any

from retrieval.service.connections import Connection
from retrieval.service.logs import LogFormat, log_config


def uvicorn_options(form: LogFormat) -> dict[str, Any]:
    """Return them, with what it logs."""
    return {
        "http": Connection,
        "ws": "none",
        "server_header": False,
        "access_log": False,
        "log_config": log_config(form),
    }
