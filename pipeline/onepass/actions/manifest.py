"""The manifest of an output: which prediction file is of which version of the model.

Readers of a directory of Parquet files leave the manifest out, because its name begins with an
underscore. A run replaces it twice. Before the first file is written, `complete` becomes false, and
the files that will be rewritten leave it. After the last file it lists all files and is complete.
So a reader that finds the same complete manifest before and after it reads the files has read one
state of the output.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from onepass.actions.outputs import Output, Stamp, taken

MANIFEST = "_onepass_manifest.json"
"""Name of the manifest in the output."""

_FORBID = ConfigDict(extra="forbid")


class ScoredFile(BaseModel):
    """A prediction file: what it was made of, and how to tell that it is unchanged."""

    model_config = _FORBID

    version: int | None
    """Version of the model; None for a file of an older onepass, which did not tell it."""
    rows: int
    """Number of rows."""
    size: int
    """Length in bytes."""
    changed: str
    """Time of the last change in nanoseconds, or etag; see `Stamp`."""
    input: str
    """Fingerprint of the file of the lake: its size, the digest of its footer, its etag."""
    model: str
    """Id of the model."""
    state: str
    """Digest of the state of the version."""
    columns: str
    """Columns that were copied from the lake, that of the version, and the intervals; see
    `column_key`."""

    def is_of(self, stamp: Stamp | None) -> bool:
        """Return whether a file is still the one that this entry is about."""
        # Some stores quote the etag of an object, and not the same etag in a listing.
        return stamp is not None and (stamp.size, stamp.changed.strip('"')) == (
            self.size,
            self.changed.strip('"'),
        )

    def serves(self, wanted: ScoredFile, *, any_version: bool) -> bool:
        """Return whether the file may stay where another one is wanted.

        Parameters
        ----------
        any_version
            Whether a file of another version of the model may stay.
        """
        same = all(
            getattr(self, name) == getattr(wanted, name) for name in ("input", "model", "columns")
        )
        return same and (any_version or self.state == wanted.state)


class Manifest(BaseModel):
    """The files of an output, and the run that has written to it last."""

    model_config = _FORBID

    format: Literal[1] = 1
    complete: bool
    """Whether no run is at work, and every file of the lake has its prediction file."""
    run: str
    """Random id of the run."""
    time: str
    """Time at which the manifest was written, UTC."""
    model: str
    """Id of the model."""
    version: int
    """Version by which the run predicts."""
    state_sha256: str
    """Digest of the state of the version."""
    asked: str
    """Name by which the version was asked for: `current`, `newest`, a tag or a number."""
    keep: list[str]
    """Columns copied from the lake."""
    version_column: str | None
    """Column that holds the version."""
    rows: int
    """Rows of all `files`."""
    versions: dict[str, int] = Field(default_factory=dict)
    """Number of `files` by version, or `unknown`. There are several if earlier ones were kept."""
    files: dict[str, ScoredFile] = Field(default_factory=dict)
    """Prediction files of the lake, by name in the output."""
    others: dict[str, ScoredFile] = Field(default_factory=dict)
    """Further prediction files, whose inputs the lake of the run did not have."""

    def same_as(self, other: Manifest | None) -> bool:
        """Return whether both tell the same of the same files."""
        if other is None:
            return False
        told = {"complete", "files", "others", "versions"}
        return all(getattr(self, one) == getattr(other, one) for one in told)


def column_key(keep: str, version_column: str | None, interval: str | None = None) -> str:
    """Return the columns of a prediction file beside the predictions, as one text."""
    of_version = f";{version_column}" if version_column else ""
    return keep + of_version + (f";;{interval}" if interval else "")


class Record:
    """The manifest and the listing of an output, which tell of its files without opening them.

    Attributes
    ----------
    manifest
        The manifest; None if there is none that can be read.
    listed
        Identity of each file, as it was when the record was made.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self.listed = output.listed()
        self.manifest, self._stamp = _read(output)

    def known(self) -> dict[str, ScoredFile]:
        """Return the entries of the manifest whose files are unchanged, by name."""
        if self.manifest is None:
            return {}
        entries = self.manifest.others | self.manifest.files
        return {name: one for name, one in entries.items() if one.is_of(self.listed.get(name))}

    def write(self, manifest: Manifest) -> Stamp:
        """Replace the manifest that was read or written last; return the identity of the new one.

        Raises
        ------
        OutputTaken
            If another run has replaced it meanwhile.
        """
        data = manifest.model_dump_json(indent=1).encode()
        self._stamp = self._output.swap(MANIFEST, data, self._stamp)
        self.manifest = manifest
        return self._stamp


def read_manifest(output: Output) -> Manifest | None:
    """Return the manifest of an output; None if there is none that can be read."""
    return _read(output)[0]


def check_claim(output: Output, claim: Stamp) -> None:
    """Check that the manifest is still the one by which a run has claimed the output.

    Raises
    ------
    OutputTaken
        If another run has replaced it.
    """
    if output.stamp(MANIFEST) != claim:
        raise taken(output.place)


def _read(output: Output) -> tuple[Manifest | None, Stamp | None]:
    """Read the manifest and its identity; read again if it is replaced between the two."""
    while True:
        stamp = output.stamp(MANIFEST)
        data = None if stamp is None else output.read(MANIFEST)
        if output.stamp(MANIFEST) == stamp:
            return _parsed(data), stamp


def _parsed(data: bytes | None) -> Manifest | None:
    try:
        return None if data is None else Manifest.model_validate_json(data)
    except ValidationError:
        # A damaged manifest costs a look into each file, which tells the same.
        return None
