"""A run whose worker has been killed has nobody who reads its output."""

from __future__ import annotations

import os
import subprocess
import sys

_RUN = """
import sys
from prefect.logging import get_logger
from prefect.logging.configuration import setup_logging
from prefect_onepass.console import outlive_console

setup_logging()
outlive_console()
for _ in range(3):
    get_logger("engine").error("a line that nobody reads")
with open(sys.argv[1], "w") as sink:
    sink.write("trained")
"""


def test_a_run_goes_on_when_nobody_reads_its_log_any_more(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", _RUN, str(tmp_path / "sink")]
    subprocess.run(command, stdout=writer, stderr=writer, timeout=120)
    os.close(writer)
    assert (tmp_path / "sink").read_text() == "trained"
