"""What is sent again, and when: what changes nothing, a few times, later each time."""

from __future__ import annotations

import logging
import random

from retrieval.client.calls import Call
from retrieval.client.errors import Busy, ServiceError, Unreachable

FIRST_PAUSE = 0.25  # seconds

_log = logging.getLogger("finetag.client")


def pause(call: Call[object], error: ServiceError, sent: int, retries: int, most: float) -> float:
    """Return the seconds to wait before a call is sent again.

    Args:
        call: what was sent.
        error: what came of it.
        sent: how often it was sent.
        retries: how often it may be sent again.
        most: seconds; a service that wants to be left alone for longer is.

    Raises:
        ServiceError: the same, if the call is not to be sent again.
    """
    # Who has waited in vain for the whole timeout would only add to what the service has to do.
    passing = isinstance(error, Busy) or (isinstance(error, Unreachable) and not error.timed_out)
    if not passing or not call.repeatable or sent > retries:
        raise error
    # Random, so that many clients do not come back all at once.
    seconds = FIRST_PAUSE * 2.0 ** (sent - 1) * random.uniform(0.5, 1.5)  # noqa: S311
    seconds += error.retry_after or 0
    if seconds > most:
        raise error
    _log.info("sent again in %.1f s: %s", seconds, error)
    return seconds
