"""Servers of Prefect with this folder in their ``PYTHONPATH`` collect no cyclic garbage.

On SQLite a collection can stop the server for a minute (Prefect 3.8.8 and Python 3.11.7: ten tests
of flows took a minute or two longer). It frees a cursor in the thread of the event loop, which then
waits for a connection whose own thread waits for a transaction, which only that event loop can end.
SQLite gives up after the 60 seconds of its busy timeout.
"""

import gc

gc.disable()
