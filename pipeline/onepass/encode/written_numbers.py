"""Read numbers as people write them: with groups of thousands, signs of currencies and of percent.

``1,234.50``, ``$1,234`` and ``12.5 %`` have a point as decimal mark, ``1.234,50 €`` a comma. Signs
are left out: 12.5 % is 12.5. The texts of a column have one decimal mark, which its schema names.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

MARKS = (".", ",")
"""Decimal marks."""

_SIGNS = r"[$€£¥%]"
_BLANK = "[ \u00a0\u202f]"


def _pattern(groups: str, mark: str) -> str:
    whole = rf"([1-9][0-9]{{0,2}}({groups}[0-9]{{3}})+|[0-9]+)"
    sign = rf"([+-]?{_SIGNS}?|{_SIGNS}{_BLANK}?[+-])"
    return rf"^{sign}{_BLANK}?{whole}({mark}[0-9]+)?{_BLANK}?{_SIGNS}?$"


_PATTERNS = {".": _pattern(rf"(,|{_BLANK}|')", r"\."), ",": _pattern(rf"(\.|{_BLANK}|')", ",")}


def are_written(texts: pa.Array, mark: str) -> pa.Array:
    """Whether each text is a number with this decimal mark, blanks around it apart."""
    return pc.match_substring_regex(pc.utf8_trim_whitespace(texts), _PATTERNS[mark])


def written_numbers(texts: pa.Array, mark: str) -> pa.Array:
    """Return the numbers that texts hold as float64, null for any other text."""
    bare = pc.utf8_trim_whitespace(texts)
    kept = pc.replace_substring_regex(
        pc.if_else(are_written(bare, mark), bare, None), rf"{_SIGNS}|{_BLANK}|'|\{_other(mark)}", ""
    )
    return pc.replace_substring(kept, mark, ".").cast(pa.float64())


def _other(mark: str) -> str:
    return "," if mark == "." else "."
