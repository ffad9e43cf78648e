"""Arrow's memory stays with a program, and with nobody who only imports the library."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAME = "MIMALLOC_PURGE_DELAY"
TOLD = f"import os; print(os.environ.get('{NAME}'), 'pyarrow' in __import__('sys').modules)"


@pytest.mark.parametrize(
    ("code", "given", "expected"),
    [
        ("import pipeline.cli", None, "None False"),
        ("from pipeline import train", None, "None True"),
        ("import flows", None, "-1 False"),
        ("import flows", "7", "7 False"),
        (f"import sys, atexit; atexit.register(lambda: exec({TOLD!r}))", None, "-1 False"),
    ],
)
def test_pages_are_kept_by_programs_alone_and_before_pyarrow_is_there(code, given, expected):
    """The last is the command itself, told when it ends."""
    told = f"{code}; {TOLD}"
    if "atexit" in code:
        told = f"{code}; sys.argv = ['onepass', '--help']; from pipeline.cli import main; main()"
    environ = {name: value for name, value in os.environ.items() if name != NAME}
    environ |= {NAME: given} if given else {}
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True, env=environ
    )
    assert done.stdout.splitlines()[-1] == expected
