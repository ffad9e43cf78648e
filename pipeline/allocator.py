"""Arrow's memory stays with the process that it was given to.

mimalloc, Arrow's allocator, gives freed memory back to the system after 10 ms. Row groups come and
go more slowly, so each would be decoded into new pages, which the system fills with zeros first: a
quarter of the time that training on 300 columns takes.
"""

from __future__ import annotations

import os


def keep_pages() -> None:
    """Keep freed memory for what comes next, unless the environment says otherwise.

    It is for programs to say so, not for a library: it holds for the whole process, and only where
    pyarrow has not been loaded yet.
    """
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "-1")
