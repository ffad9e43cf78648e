"""Classify failures of an object store, and repeat the requests that may still succeed.

A request fails for good (no access, no bucket), or the failure may pass (no answer, 5xx, too many
requests). A request with a passing failure is repeated with growing pauses until a deadline.
obstore's messages print whole requests, for some stores with signatures. So the messages of this
module quote only the status and the code.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from onepass.errors import JobError, StoreRefused, StoreUnavailable

T = TypeVar("T")

DEADLINE_SECONDS = 120.0
"""Seconds for which a failing operation is repeated, unless ONEPASS_STORE_DEADLINE is set."""

TIMEOUT_SECONDS = 30.0
"""Seconds that one request may take, unless ONEPASS_STORE_TIMEOUT is set."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_KEY = re.compile(r'[Pp]ath "([^"]{1,1024})"')
_METADATA_SERVICE = re.compile(r"169\.254\.\d+\.\d+|metadata\.google\.internal")

_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}

_PASSING = {"RequestTimeout", "SlowDown", "InternalError", "OperationAborted"}
"""Error codes of passing failures, whatever the status: RequestTimeout comes with a 400,
OperationAborted with a 409."""


class Deadline:
    """The time left to an operation, and the pauses between its attempts.

    Raises
    ------
    JobError
        If ONEPASS_STORE_DEADLINE is not a positive number.
    """

    def __init__(self) -> None:
        self.seconds = setting("ONEPASS_STORE_DEADLINE", DEADLINE_SECONDS)
        self._end = time.monotonic() + self.seconds
        self._pause = _FIRST_PAUSE

    def passed(self) -> bool:
        """Return whether no time is left."""
        return time.monotonic() >= self._end

    def pause(self) -> None:
        """Wait before the next attempt.

        Pauses grow, so that a busy store recovers, and are random, so that clients spread out.
        """
        left = max(0.0, self._end - time.monotonic())
        time.sleep(min(left, self._pause * random.uniform(0.5, 1.0)))
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


def persevere(action: Callable[[], T], place: str, deadline: Deadline | None = None) -> T:
    """Repeat an action until it succeeds, and return its result.

    Parameters
    ----------
    action
        Makes a request; calling it again must be harmless.
    place
        URL that error messages name.
    deadline
        Deadline that several actions share; a new one by default.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    StoreRefused
        If the store denies the request for good.
    StoreUnavailable
        If the action has not succeeded by the deadline.
    """
    deadline = deadline or Deadline()
    while True:
        try:
            return action()
        except Exception as error:
            refuse_or_pass(error, place)
            if deadline.passed():
                raise unavailable(error, place, deadline) from None
        deadline.pause()


def unavailable(error: Exception, place: str, deadline: Deadline) -> StoreUnavailable:
    """Return the error to raise when the deadline has passed."""
    return StoreUnavailable(
        f"{place}: no success within {deadline.seconds:g} s ({_brief(error)})\n"
        "Run again when the store answers; what was committed is kept."
    )


def refuse_or_pass(error: Exception, place: str) -> None:
    """Return if a repeated request may succeed; otherwise raise the error for the failure.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    StoreRefused
        If the store denies the request for good.
    Exception
        The failure itself, if no store caused it.
    """
    from obstore.exceptions import BaseError

    code = _CODE.search(str(error))
    if code and code.group(1) in _NO_BUCKET:
        raise StoreRefused(
            f"{place}: the bucket does not exist\nCreate it, or correct its name."
        ) from None
    if isinstance(error, FileNotFoundError):
        raise FileNotFoundError(2, "no such object", place) from None
    if not isinstance(error, BaseError | TimeoutError | ConnectionError):
        raise error
    if code and code.group(1) in _PASSING:
        return
    refusal = _refusal(error, place)
    if refusal is not None:
        raise refusal from None


def _refusal(error: Exception, place: str) -> StoreRefused | None:
    """Return the error to raise if the store has refused a request; None if it may yet succeed."""
    from obstore.exceptions import GenericError, InvalidPathError, JoinError

    text = str(error)
    if isinstance(error, InvalidPathError):
        key = _KEY.search(text)
        return StoreRefused(
            f"{place}: expected keys without empty, '.' or '..' parts, found "
            f"{key.group(1) if key else 'another'!r}\nRename the object, or leave its prefix out."
        )
    if not isinstance(error, GenericError | JoinError | TimeoutError | ConnectionError):
        return _refused(error, place)
    status = _STATUS.search(text)
    is_busy = status and (int(status.group(1)) >= 500 or status.group(1) in {"408", "429"})
    if _METADATA_SERVICE.search(text) and not is_busy:
        return StoreRefused(
            f"{place}: no credentials were found\n"
            "Set them in the environment or a profile, or run where the machine has a role."
        )
    if (status and not is_busy) or "incorrectly configured region" in text:
        return _refused(error, place)
    return None


def _refused(error: Exception, place: str) -> StoreRefused:
    return StoreRefused(
        f"{place}: the store refuses the request ({_brief(error)})\n"
        "Check the credentials, their rights to read, write and list, the region and the endpoint."
    )


def _brief(error: Exception) -> str:
    """Describe an error by kind, status and code, without its text, which may hold a signature."""
    text = str(error)
    if "incorrectly configured region" in text:
        return "wrong region"
    found = [m.group(1) for m in (_STATUS.search(text), _CODE.search(text)) if m]
    if found:
        return " ".join(found)
    if "timed out" in text or "Timeout" in text or "TimedOut" in text:
        return "no answer in time"
    return "no connection" if "error sending request" in text else type(error).__name__


def setting(name: str, default: float) -> float:
    """Return the seconds that an environment variable sets, or the default if it sets none.

    Raises
    ------
    JobError
        If it is not a positive number below a day.
    """
    text = os.environ.get(name, "")
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise JobError(f"{name}: expected seconds above 0, found {text!r}")
    return seconds
