"""A long pass over a lake tells how far it has come; a short one says nothing."""

from __future__ import annotations

import logging

from prefect_onepass import pass_log
from prefect_onepass.pass_log import PassLog


def test_long_pass_tells_rows_speed_and_time_left_now_and_then(caplog, monkeypatch):
    times = iter([0.0, 0.0, 5.0, 20.0, 25.0, 40.0])
    logger = logging.getLogger("of-the-run")
    monkeypatch.setattr(pass_log, "run_logger", lambda: logger)
    log = PassLog("scored", clock=lambda: next(times))
    with caplog.at_level(logging.INFO):
        log.started(10, 100_000)
        for _ in range(4):
            log.advanced(25_000)
    assert [one.getMessage() for one in caplog.records] == [
        "scored 50,000 of 100,000 rows, 2,500 rows/s, about 20 s left"
    ]
