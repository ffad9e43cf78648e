"""Run calls on a Dask cluster, and end with the same results whichever workers fail.

`distributed` carries calls and results. Who runs what is decided here (`dispatch`), because a call
must not run twice as often in one process as its memory allows, and a worker that stops answering
must not hold up a round until the scheduler gives it up after five minutes.
"""

from onepass.stream.cluster.cluster import Cluster

__all__ = ["Cluster"]
