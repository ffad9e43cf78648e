"""A build step of `prefect.yaml`: the folder from which its paths start."""

from __future__ import annotations

import os
from pathlib import Path


def places() -> dict[str, str]:
    """Return the folder from which the paths in `prefect.yaml` start.

    It is `ONEPASS_HOME` if that is set, or else the checkout from which the package is installed.
    `prefect deploy` runs the step, and writes absolute paths into the deployments, so the folder in
    which it or a worker is started does not matter.

    Raises
    ------
    ValueError
        If `ONEPASS_HOME` is not an absolute path of a folder, or is needed and not set.
    """
    given = os.environ.get("ONEPASS_HOME")
    folder = Path(given) if given else Path(__file__).parents[2]
    if given and not (folder.is_absolute() and folder.is_dir()):
        raise ValueError(f"ONEPASS_HOME must be the absolute path of a folder, found {given!r}")
    if not given and not (folder / "prefect.yaml").is_file():
        raise ValueError(
            "onepass is not installed from a checkout: set ONEPASS_HOME to the absolute path of "
            "the folder from which the paths in prefect.yaml start"
        )
    return {"folder": str(folder)}
