"""Damaged Parquet files, read in a child process with limits.

Run as a script this reads a job from stdin: which samples to damage, with which seeds. It says of
each case when it begins and how it ended, so that the parent knows where it was when it crashed or
hung, and goes on behind it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import resource
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from footer_edits import Edit, edited, edits, footer_start, with_footer
from thrift import Struct, read_struct, write_struct

SPARE_BYTES = 1 << 30
"""Address space that the child may take beyond what it has when it starts to read."""

SECONDS = 30.0
"""Time that one damaged file may take; it needs a hundredth of a second on an idle machine."""


@dataclass(frozen=True)
class Case:
    """One damaged file."""

    sample: str
    kind: str
    """Name of a function of `DAMAGES`."""
    seed: int


@dataclass(frozen=True)
class Ending:
    """What became of a case."""

    case: Case
    outcome: str
    """``refused``, ``same``, ``different``, ``failed`` (another error), ``crashed``, ``hung``."""
    said: str = ""


def read_damaged(folder: Path, cases: Iterable[Case]) -> list[Ending]:
    """Read each of the damaged files in a child; `folder` holds the samples."""
    left, endings = list(cases), []
    while left:
        done = _read_some(folder, left)
        endings += done
        left = left[len(done) :]
    return endings


def _read_some(folder: Path, cases: list[Case]) -> list[Ending]:
    """Endings of the first cases, up to the first one that takes the child down."""
    # The pool of the system asks for what it needs and no more, so that the limit means something.
    child_env = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}
    command = [sys.executable, __file__, str(folder)]
    with (
        (folder / "child.err").open("w+") as err,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=child_env
        ) as child,
    ):
        assert child.stdin is not None
        child.stdin.write(json.dumps([asdict(case) for case in cases]).encode())
        child.stdin.close()
        found, how = _listen(child)
        child.kill()
        code = child.wait()
        endings = [Ending(case, *end) for case, end in zip(cases, found, strict=False)]
        if len(endings) < len(cases):
            err.seek(0)
            said = f"exit code {code}: {err.read()[-2000:]}"
            assert how != "not begun", said
            endings.append(Ending(cases[len(endings)], how, said))
        return endings


def _listen(child: subprocess.Popen[bytes]) -> tuple[list[list[str]], str]:
    assert child.stdout is not None
    found: list[list[str]] = []
    pending, how, patience = b"", "not begun", 120.0
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(patience):
                return found, "hung"
            chunk = os.read(child.stdout.fileno(), 1 << 16)
            if not chunk:
                return found, how
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event == "begin":
                    how, patience = "crashed", SECONDS
                else:
                    found.append(event)


# -- kinds of damage -------------------------------------------------------------------------------


def _flip(first: int, end: int, whole: bytes, rng: Any, n: int = 1) -> bytes:
    damaged = bytearray(whole)
    for _ in range(n):
        damaged[rng.integers(first, end)] ^= rng.integers(1, 256)
    return bytes(damaged)


def flip_page(whole: bytes, rng: Any) -> bytes:
    """One byte before the footer."""
    return _flip(4, footer_start(whole), whole, rng)


def flip_footer(whole: bytes, rng: Any) -> bytes:
    """One byte of the footer."""
    return _flip(footer_start(whole), len(whole), whole, rng)


def flip_many(whole: bytes, rng: Any) -> bytes:
    """Several bytes anywhere."""
    return _flip(0, len(whole), whole, rng, int(rng.integers(2, 30)))


def zero_run(whole: bytes, rng: Any) -> bytes:
    """A run of zeros, as after a crash of the file system."""
    first = int(rng.integers(0, len(whole)))
    run = min(int(rng.integers(1, 4096)), len(whole) - first)
    return whole[:first] + bytes(run) + whole[first + run :]


def truncate(whole: bytes, rng: Any) -> bytes:
    """The end is missing."""
    return whole[: rng.integers(0, len(whole))]


def cut_out(whole: bytes, rng: Any) -> bytes:
    """Bytes in the middle are missing."""
    first, end = sorted(rng.integers(0, len(whole), 2))
    return whole[:first] + whole[end:]


def large_number(whole: bytes, rng: Any) -> bytes:
    """A varint of the footer or of a page header that says 2^31 or so."""
    at = int(rng.integers(4, len(whole) - 8))
    number = b"\xfe\xff\xff\xff\x0f" if rng.random() < 0.5 else b"\xff\xff\xff\xff\xff\x7f"
    return whole[:at] + number + whole[at + len(number) :]


def zero_page_run(whole: bytes, rng: Any) -> bytes:
    """A run of zeros before the footer."""
    end = footer_start(whole)
    first = int(rng.integers(4, end))
    run = min(int(rng.integers(16, 512)), end - first)
    return whole[:first] + bytes(run) + whole[first + run :]


def swap_pages(whole: bytes, rng: Any) -> bytes:
    """Two stretches of equal length have changed places."""
    length = int(rng.integers(8, 256))
    end = footer_start(whole) - length
    one, other = sorted(rng.integers(4, end, 2))
    other = max(other, one + length)
    parts = whole[one : one + length], whole[other : other + length]
    between = whole[one + length : other]
    return whole[:one] + parts[1] + between + parts[0] + whole[other + length :]


def flip_nth(whole: bytes, rng: Any, seed: int) -> bytes:
    """The byte whose number is the seed."""
    return whole[:seed] + bytes([whole[seed] ^ int(rng.integers(1, 256))]) + whole[seed + 1 :]


def edit_nth(whole: bytes, rng: Any, seed: int) -> bytes:
    """The edit of the footer whose number is the seed."""
    footer, found = _edits(whole[footer_start(whole) : -8])
    return with_footer(whole, write_struct(edited(footer, found[seed])))


def n_edits(whole: bytes) -> int:
    """How many edits of its footer a file has."""
    return len(_edits(whole[footer_start(whole) : -8])[1])


@cache
def _edits(footer: bytes) -> tuple[Struct, list[Edit]]:
    fields = read_struct(footer)
    return fields, edits(fields)


_THOUSAND = b"\xd0\x0f"
_BILLION = b"\xfe\xff\xff\xff\x07"
"""Thrift's zigzag varints; a number of rows follows on the type of its field, 0x15 or 0x16."""


def billion_rows(whole: bytes, rng: Any) -> bytes:
    """Every count of 1000 in the footer is 2^30 - 1."""
    at = footer_start(whole)
    footer = whole[at:-8].replace(b"\x16" + _THOUSAND, b"\x16" + _BILLION)
    return with_footer(whole, footer)


def billion_rows_in_pages(whole: bytes, rng: Any) -> bytes:
    """As `billion_rows`, in the first page of each column, too."""
    at = footer_start(whole)
    body = whole[:at].replace(b"\x15" + _THOUSAND, b"\x15\xfe\x7f")
    return billion_rows(body + whole[at:], rng)


_ALL = (
    *(flip_page, flip_footer, flip_many, zero_run, truncate, cut_out, large_number),
    *(zero_page_run, swap_pages, flip_nth, edit_nth, billion_rows, billion_rows_in_pages),
)

DAMAGES: dict[str, Callable[..., bytes]] = {one.__name__: one for one in _ALL}

RANDOM = [one.__name__ for one in _ALL[:7]]

DAMAGES_OF_PAGES = ["flip_page", "zero_page_run", "swap_pages"]
"""Those that leave the footer alone."""


# -- the child -------------------------------------------------------------------------------------


def _say(event: object) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _rows(lake: Path, batch_rows: int, **limits: int) -> list[bytes]:
    """The blocks of a lake of one file, as training would see them."""
    import numpy as np

    from onepass.encode.encoder import Encoder
    from onepass.lake.discover import discover
    from onepass.lake.footer import partitions, read_footer
    from onepass.lake.limits import ReadLimits
    from onepass.lake.rotation import Source
    from onepass.stream.reading import Reading
    from streaming import blocks_of

    (file,) = discover(str(lake))
    footer = read_footer(file)
    reading = Reading(Encoder(SCHEMA()), batch_rows, limits=ReadLimits(**limits))
    blocks = []
    for partition in partitions(file, footer):
        for streamed in blocks_of([Source(partition, file, footer)], reading, _Here()):
            block = streamed.encoded.block
            assert np.isfinite(block.dense).all()
            assert block.slots.min(initial=0) >= 0
            assert block.slots.max(initial=0) < 1 << 10
            blocks += [a.tobytes() for a in (block.dense, block.slots, block.label, block.weight)]
    return blocks


def _look_at(lake: Path) -> None:
    """Do with the footer what a survey and a Dask cluster do."""
    from onepass.errors import BadPartition
    from onepass.lake.discover import discover
    from onepass.lake.footer import read_footer
    from onepass.stream.check_columns import ColumnCheck
    from onepass.stream.workers import Workers
    from onepass.survey.bad_files import BadFiles
    from onepass.survey.footers import null_shares, read_summaries

    files = discover(str(lake))
    null_shares(read_summaries(files, BadFiles(skip=False), Workers()))
    footer = read_footer(files[0])
    with suppress(BadPartition):
        ColumnCheck(SCHEMA(), label=True)(files[0], footer)
    assert pickle.loads(pickle.dumps(footer)).metadata.equals(footer.metadata)


class _Here:
    """Runs tasks one by one in this thread."""

    def ordered(self, tasks: Iterable[Any]) -> Any:
        for call, _ in tasks:
            yield call()


def SCHEMA() -> Any:
    """What is read of the samples."""
    from onepass.encode.scalar_kinds import Bool, Hashed, Numeric, OneHot, Time
    from onepass.encode.schema import Label, Schema

    return Schema(
        columns=[
            Numeric(name="a", center=0.0, scale=1.0, missing=True),
            Numeric(name="n", center=0.0, scale=1.0, missing=False),
            Numeric(name="c", center=0.0, scale=1.0, missing=False),
            Bool(name="flag", missing=True),
            Time(name="when", center=0.0, scale=1e9, parts=["trend", "hour"], missing=False),
            OneHot(name="level", family="text", levels=["north", "east", "south"], missing=False),
            Hashed(name="text", family="text"),
            Hashed(name="id", family="integer"),
        ],
        label=Label(name="y"),
        weight="w",
        hash_bits=10,
        hive={},
    )


def _ending(folder: Path, case: Case, expected: dict[str, Any]) -> tuple[str, str]:
    import numpy as np

    from onepass.errors import BadPartition

    whole = (folder / case.sample).read_bytes()
    rng = np.random.default_rng([case.seed, *map(ord, case.sample), *map(ord, case.kind)])
    more = [case.seed] if case.kind.endswith("_nth") else []
    damaged = DAMAGES[case.kind](whole, rng, *more)
    lake = folder / "damaged"
    lake.mkdir(exist_ok=True)
    (lake / "a.parquet").write_bytes(damaged)
    batch_rows = 4096 if case.seed % 2 else 100
    # Large row groups slice by slice, or as a whole.
    page_bytes = 0 if case.seed % 4 else 1 << 20
    try:
        _look_at(lake)
        rows = _rows(lake, batch_rows, page_bytes=page_bytes)
    except BadPartition as error:
        where = "refused" if error.path == "a.parquet" else "failed"
        return where, str(error)
    except Exception as error:
        import traceback

        return "failed", "".join(traceback.format_exception(error))
    if case.sample not in expected:
        expected[case.sample] = {}
    known = expected[case.sample]
    if batch_rows not in known:
        (lake / "a.parquet").write_bytes(whole)
        known[batch_rows] = _rows(lake, batch_rows, page_bytes=page_bytes)
    return ("same" if rows == known[batch_rows] else "different"), ""


def _main(folder: Path) -> None:
    cases = [Case(**fields) for fields in json.load(sys.stdin)]
    expected: dict[str, Any] = {}
    # Once without limits, to load and compile everything.
    sound = folder / "sound"
    sound.mkdir(exist_ok=True)
    (sound / "a.parquet").write_bytes((folder / cases[0].sample).read_bytes())
    for batch_rows in (100, 4096):
        _rows(sound, batch_rows)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for case in cases:
        _say("begin")
        # Where it hangs, if it does.
        faulthandler.dump_traceback_later(SECONDS * 0.8)
        _say(_ending(folder, case, expected))
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
