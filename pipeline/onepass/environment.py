"""What the bytes of a state may depend on: library versions and the kind of machine."""

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
    """Versions and machine kind of this process."""
    return {
        "onepass": onepass_version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": version("numba"),
        "pyarrow": version("pyarrow"),
        "machine": f"{platform.system()} {platform.machine()} {_simd()}".strip(),
    }


def onepass_version() -> str:
    """Version of the installed distribution; ``unknown`` when run from a bare source tree."""
    try:
        return version("onepass")
    except PackageNotFoundError:
        return "unknown"


def peak_rss_bytes() -> int:
    """Highest resident memory of this process so far, in bytes."""
    try:
        # `ru_maxrss` of Linux survives exec: started by a large process, it tells that one's peak.
        with open("/proc/self/status", "rb", buffering=0) as file:
            status = file.read(8192)
        return int(status.split(b"VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def physical_bytes() -> int:
    """Memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _simd() -> str:
    # Which kernels numpy and OpenBLAS choose, and so the last bits of their sums.
    found = np.show_config(mode="dicts")
    extensions = found.get("SIMD Extensions", {}).get("found", []) if found else []
    return extensions[-1] if extensions else ""
