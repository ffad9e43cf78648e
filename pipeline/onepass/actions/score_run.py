"""One run that scores a lake: find what is due, claim the output, write, finish the manifest."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from onepass.actions.manifest import Manifest, Record, ScoredFile
from onepass.actions.output_checks import output_name
from onepass.actions.outputs import Output, taken
from onepass.actions.planned_files import PlannedFile, Wanted, is_settled, plan_file, told
from onepass.actions.prediction_files import Scorer, is_there, write_files
from onepass.errors import BadPartition, JobError
from onepass.lake.discover import LakeFile
from onepass.lake.walk import SUFFIXES
from onepass.stream.lake_groups import check_files
from onepass.stream.workers import Workers
from onepass.training.progress import Progress


class ScoreRun:
    """Writes the prediction files of a lake that are missing or outdated.

    Parameters
    ----------
    any_version
        Whether files of other versions of the model count as up to date.
    """

    def __init__(
        self, output: Output, wanted: Wanted, *, any_version: bool, progress: Progress
    ) -> None:
        self._output, self._wanted, self._progress = output, wanted, progress
        self._any_version = any_version
        self._id = uuid.uuid4().hex
        self._record = Record(output)
        self._known = self._record.known()
        self._files: dict[str, ScoredFile] = {}
        self._others: dict[str, ScoredFile] = {}

    def write(self, files: Sequence[LakeFile], dask: str | None) -> list[ScoredFile]:
        """Write what is missing or outdated; return the entries of the files written.

        Raises
        ------
        DataError
            If a file is bad.
        OutputTaken
            If another run has begun to write to the output.
        """
        self._others = self._without_input({output_name(file.key) for file in files})
        unsettled = [file for file in files if not self._settle(file)]
        with Workers(dask, mixed=True) as workers:
            reading = self._wanted.reading()
            with _folders_explained(unsettled, self._wanted.keep):
                checked = check_files(unsettled, reading, workers)
            n_rows = checked.n_rows + _n_rows(self._files.values())
            self._progress.started(len(files), n_rows)
            due = [
                planned
                for file in checked.files
                if not self._keep(planned := plan_file(file, checked.placed(file), self._wanted))
            ]
            self._progress.advanced(n_rows - sum(one.n_rows for one in due))
            if not due:
                return []
            claim = self._record.write(self._manifest(complete=False))
            readers = self._wanted.predictor.readers(checked, reading)
            scorer = Scorer(self._output, claim, self._wanted, readers)
            written = write_files(due, scorer, workers, self._progress.advanced)
        self._check(written)
        self._files |= written
        return list(written.values())

    def _settle(self, file: LakeFile) -> bool:
        """Take a file as up to date without a look into it, if that is certain."""
        name = output_name(file.key)
        known = self._known.get(name)
        if known is None or not is_settled(
            file, known, self._wanted, any_version=self._any_version
        ):
            return False
        self._files[name] = known
        return True

    def _keep(self, planned: PlannedFile) -> bool:
        """Take a file as up to date if the manifest or the file itself tells so."""
        stamp = self._record.listed.get(planned.name)
        if stamp is None:
            return False
        found = self._known.get(planned.name) or told(self._output, planned.name, stamp)
        if found is None or not found.serves(planned.entry, any_version=self._any_version):
            return False
        if found.version is None and found.state == planned.entry.state:
            found.version = planned.entry.version
        self._files[planned.name] = found
        return True

    def _without_input(self, names: set[str]) -> dict[str, ScoredFile]:
        """Return the entries of prediction files whose inputs are not in the lake."""
        others = dict[str, ScoredFile]()
        for name, stamp in self._record.listed.items():
            if name not in names and name.lower().endswith(SUFFIXES):
                found = self._known.get(name) or told(self._output, name, stamp)
                others |= {} if found is None else {name: found}
        return others

    def _check(self, written: dict[str, ScoredFile]) -> None:
        """Check that no other run has replaced a file since, as one that was claimed from may."""
        listed = self._output.listed()
        for name, entry in written.items():
            if not entry.is_of(listed.get(name)) and not is_there(self._output, name, entry):
                raise taken(self._output.place)

    def prune(self) -> list[str]:
        """Remove the model's prediction files whose inputs are not in the lake; return their names.

        Files of another model stay: they may be an output of its own within this one.

        Raises
        ------
        OutputTaken
            If another run has begun to write to the output.
        """
        model = self._wanted.predictor.file.id
        pruned = sorted(name for name, one in self._others.items() if one.model == model)
        manifest, gone = self._record.manifest, set(pruned)
        self._others = {name: one for name, one in self._others.items() if name not in gone}
        if pruned and (manifest is None or manifest.complete):
            # Nothing was due, so nobody has been told yet that the output changes.
            self._record.write(self._manifest(complete=False))
        for name in pruned:
            self._output.delete(name)
        return pruned

    def finish(self) -> Manifest:
        """Replace the manifest by a complete one if it differs; return it.

        Raises
        ------
        OutputTaken
            If another run has begun to write to the output.
        """
        manifest = self._manifest(complete=True)
        if not manifest.same_as(self._record.manifest):
            self._record.write(manifest)
        return manifest

    def _manifest(self, *, complete: bool) -> Manifest:
        entry, files = self._wanted.predictor.entry, dict(sorted(self._files.items()))
        versions = Counter(str(one.version or "unknown") for one in files.values())
        return Manifest(
            complete=complete,
            run=self._id,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            model=self._wanted.predictor.file.id,
            version=entry.version,
            state_sha256=entry.state.sha256,
            asked=self._wanted.asked,
            keep=list(self._wanted.keep),
            version_column=self._wanted.version_column,
            rows=_n_rows(files.values()),
            versions=dict(versions),
            files=files,
            others=dict(sorted(self._others.items())),
        )


@contextmanager
def _folders_explained(files: Sequence[LakeFile], keep: tuple[str, ...]) -> Iterator[None]:
    """Say where a column to copy is, if a file lacks it and a folder has it."""
    try:
        yield
    except BadPartition as error:
        keys = {key for file in files for key, _ in file.hive}
        if error.column not in keys & set(keep):
            raise
        raise JobError(
            f"--keep={error.column} names a key=value folder of the lake, and no column of its "
            "files\nLeave it out: predictions lie in the same folders, where readers find it"
        ) from None


def _n_rows(files: Iterable[ScoredFile]) -> int:
    return sum(one.rows for one in files)
