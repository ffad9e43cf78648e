"""Write the name of a column into advice, such that the user can copy the advice."""

from __future__ import annotations

import json
import shlex


def naming(flag: str, column: str) -> str:
    """Return a flag with a column as its value, quoted for a shell.

    A name that no flag can carry is written as a line of a ``--config`` file.
    """
    # The names in a flag's value are separated by commas, and blanks around them are stripped.
    if column != column.strip() or "," in column or not column:
        return f"{flag}: [{json.dumps(column, ensure_ascii=False)}] in --config"
    return f"--{flag} {shlex.quote(column)}"
