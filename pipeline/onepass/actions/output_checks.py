"""Refuse output directories in the lake or the model, and output names that collide."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from onepass.actions.outputs import Output, resolved
from onepass.cloud.url import is_url
from onepass.errors import JobError
from onepass.lake.discover import LakeFile


def output_name(key: str) -> str:
    """Return the name of the predictions for a file, relative to the output directory.

    The key of a file in a list is an absolute path; the name keeps all of it but the root.
    """
    return key.replace("://", "/").lstrip("/")


def refuse_output(
    out: Output, lake: str | list[str], files: Sequence[LakeFile], model: str | Path
) -> None:
    """Refuse an output directory that cannot be used.

    Raises
    ------
    JobError
        If the output lies in the lake or in the model directory, if a name leads out of the output
        directory, or if two files would have the same name in it.
    """
    _refuse_lake(out, lake, files)
    _refuse_names(out, files)
    if _is_within(resolved(out.place), resolved(str(model))):
        raise JobError(
            f"--out {out.place!r} lies in the model directory, which holds nothing but its model; "
            "choose another directory"
        )


def _refuse_lake(out: Output, lake: str | list[str], files: Sequence[LakeFile]) -> None:
    is_below = not isinstance(lake, list) and _is_within(resolved(out.place), resolved(lake))
    # To resolve the folder of each of ten thousand files takes longer than to list them.
    folder = lru_cache(resolved)
    if is_below or any(
        _location(out.location(output_name(file.key)), folder) == _location(file.location, folder)
        for file in files
    ):
        raise JobError(
            f"--out {out.place!r} lies in the lake, where predictions would be taken for rows; "
            "choose another directory"
        )


def _location(location: str, folder: Callable[[str], str]) -> str:
    if is_url(location):
        return location
    above, name = os.path.split(location)
    return os.path.join(folder(above), name)


def _refuse_names(out: Output, files: Sequence[LakeFile]) -> None:
    taken: dict[str, LakeFile] = {}
    for file in files:
        name = output_name(file.key)
        if ".." in name.split("/"):
            raise JobError(
                f"the predictions for {file.location!r} would be {name!r}, outside of "
                f"--out {out.place!r}; name the file without '..'"
            )
        other = taken.setdefault(name, file)
        if other is not file:
            raise JobError(
                f"the predictions for {other.location!r} and {file.location!r} would both be "
                f"{name!r} in --out {out.place!r}; score them into two directories"
            )


def _is_within(place: str, root: str) -> bool:
    return place == root or place.startswith(root.rstrip("/") + "/")
