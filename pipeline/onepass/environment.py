"""Describe this process: its library versions, its kind of machine and its memory.

The last bits of a state depend on the versions and on the kind of machine.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np


@cache
def environment() -> dict[str, str]:
    """Return the versions and the kind of machine that the last bits of a state depend on."""
    return {
        "onepass": onepass_version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": version("numba"),
        "pyarrow": version("pyarrow"),
        "machine": f"{platform.system()} {platform.machine()} {_simd()}".strip(),
    }


def onepass_version() -> str:
    """Return the version of the installed distribution; ``unknown`` in a bare source tree."""
    try:
        return version("onepass")
    except PackageNotFoundError:
        return "unknown"


def peak_rss_bytes() -> int:
    """Return the highest resident memory of this process so far, in bytes."""
    try:
        # On Linux `ru_maxrss` survives exec, so it may be the peak of a large parent process.
        with open("/proc/self/status", "rb", buffering=0) as file:
            status = file.read(8192)
        return int(status.split(b"VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def physical_bytes() -> int:
    """Return the physical memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _simd() -> str:
    # numpy and OpenBLAS choose kernels by these extensions; kernels differ in last bits of sums.
    found = np.show_config(mode="dicts")
    extensions = found.get("SIMD Extensions", {}).get("found", []) if found else []
    return extensions[-1] if extensions else ""
