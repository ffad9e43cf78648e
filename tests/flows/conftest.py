"""One Prefect server for the tests that ask for it, on a free port, in a folder of its own."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from production import python_path_of_servers

# Prefect makes its home when it is imported, which test modules do while they are collected.
_HOME = tempfile.TemporaryDirectory(prefix="prefect-", ignore_cleanup_errors=True)
os.environ |= {
    "PREFECT_HOME": _HOME.name,
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}

SERVICES = ("CANCELLATION_CLEANUP", "CLEANUP_RECONCILER", "FOREMAN", "LATE_RUNS")
SERVICES += ("PAUSE_EXPIRATIONS", "REPOSSESSOR", "SCHEDULER")
"""Services of a server that look into its database every few seconds for deployments."""


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Start the server of Prefect's test harness."""
    from prefect.testing.utilities import prefect_test_harness

    with ExitStack() as until_the_end:
        # These tests deploy nothing, and on a busy machine the services lock the database for long.
        with pytest.MonkeyPatch.context() as patch:
            for name in SERVICES:
                patch.setenv(f"PREFECT_SERVER_SERVICES_{name}_ENABLED", "false")
            patch.setenv("PYTHONPATH", python_path_of_servers())
            until_the_end.enter_context(prefect_test_harness(server_startup_timeout=120))
        yield


@pytest.fixture
def automations_of_one_test(prefect_server: None) -> Iterator[None]:
    """Take the automations away again: the server would judge the runs of all later tests."""
    from prefect.client.orchestration import get_client

    yield
    with get_client(sync_client=True) as client:
        for one in client.read_automations():
            client.delete_automation(one.id)


@pytest.fixture
def log_that_caplog_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loggers of Prefect pass their records on, whichever test was first."""
    from prefect.logging.configuration import setup_logging

    # The first run of a process would set them back.
    setup_logging()
    monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs wait a minute for the server, which may be slow on a busy machine."""
    from prefect_onepass import train
    from prefect_onepass.background import Background

    monkeypatch.setattr(train, "Background", partial(Background, grace=60.0))
