"""How a column is named in advice, such that it can be typed as it stands."""

from __future__ import annotations

import json
import shlex


def naming(flag: str, column: str) -> str:
    """A flag with a column, quoted for a shell; for ``--config`` where no flag can name it."""
    # Lists of a flag are separated by commas, with blanks around them as one likes.
    if column != column.strip() or "," in column or not column:
        return f"{flag}: [{json.dumps(column, ensure_ascii=False)}] in --config"
    return f"--{flag} {shlex.quote(column)}"
