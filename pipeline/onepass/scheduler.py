"""The address of a Dask scheduler, from what users have at hand."""

from __future__ import annotations

from typing import Any


def scheduler_address(given: Any) -> str | None:
    """Return the address of a scheduler.

    Parameters
    ----------
    given
        An address; a cluster such as `distributed.LocalCluster`; a client, such as
        `distributed.Client` or that of `prefect_dask.get_dask_client`; or None.

    Raises
    ------
    ValueError
        If it is something else, or a client or cluster that has been closed.
    """
    if given is None or isinstance(given, str):
        return given
    # By their attributes: importing `distributed` takes half a second.
    address = getattr(given, "scheduler_address", None)
    address = address or getattr(getattr(given, "scheduler", None), "address", None)
    if not isinstance(address, str) or "://" not in address:
        raise ValueError(
            "expected the address of a Dask scheduler, or a running Dask client or cluster, "
            f"found {type(given).__name__}"
        )
    return address
