"""Folder of a prediction in progress, beside its results: what was asked, the listing, and Ray Data's checkpoint.

Ray Data writes each file of results in two phases: ids into `rows/NAME.pending.parquet`, the results, and the renaming
of the ids to `rows/NAME.parquet`. A new start deletes results whose ids are pending, and computes only the rows without
committed ids. Two states are left that Ray Data 2.60 does not see, and `mend` resolves both before and after the work:
committed ids whose results are pending once more or gone (a task that is repeated after its renaming, and then killed;
or, in object storage, a renaming of which only the copy was made), and results without any ids (a task of a killed
command that outlives it).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.cluster.storage import Place, exists, files_below, is_file, open_file_system, read_bytes, storage_error
from saccade.errors import ClusterError, DataError
from saccade.file_lock import try_lock
from saccade.sanitize import printable, shortened

_SUFFIX = ".checkpoint"
_PENDING = ".pending.parquet"
_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Done:
    """Rows that an earlier start finished.

    Attributes:
        ids: ids of the rows, int64 [n].
        unreadable: reasons of the unreadable images among them, by id.
    """

    ids: NDArray[np.int64]
    unreadable: dict[int, str]


class Checkpoint:
    """Results of a prediction, and the folder of its progress.

    Args:
        out: place of the results, a folder of Parquet files.
    """

    def __init__(self, out: Place) -> None:
        self.out = out
        self.folder = out.beside(_SUFFIX)
        self.listing = self.folder / "listing"
        self.rows = self.folder / "rows"
        self.system = open_file_system(out.scheme)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock on the folder, so that no second command on a file system writes the same results.

        Raises:
            DataError: another command holds the lock.
        """
        if self.out.is_remote:
            yield
            return
        Path(self.folder.path).mkdir(parents=True, exist_ok=True)
        held = try_lock(Path(self.folder.path, "lock"))
        if held is None:
            raise DataError(
                f"another command is writing '{printable(self.out.text)}'", remedy="wait until it has ended"
            )
        with held:
            yield

    def begin(self, request: dict[str, Any], listing: Any) -> bool:
        """Write what is asked and the listing, unless an earlier start of the same command did; return whether it did.

        Args:
            request: all that decides the results, as JSON.
            listing: table of the listing.

        Raises:
            DataError: the results exist, or an earlier start was asked for something else.
        """
        import pyarrow.parquet

        path = f"{self.folder.path}/request.json"
        if self.has_begun(request):
            return True
        try:
            self._make_folders()
            pyarrow.parquet.write_table(listing, f"{self.listing.path}/listing.parquet", filesystem=self.system)
            # Last: without this file there is no progress to continue.
            with self.system.open_output_stream(path) as stream:
                stream.write(json.dumps(request, indent=2).encode())
        except OSError as error:
            raise self._error(error) from None
        return False

    def has_begun(self, request: dict[str, Any]) -> bool:
        """Return whether an earlier start of the same command began the results; nothing is written.

        Raises:
            DataError: as for `begin`.
        """
        path = f"{self.folder.path}/request.json"
        try:
            if exists(self.system, path):
                self._require_same(request, json.loads(read_bytes(self.system, path, _MAX_BYTES)))
                return True
            if is_file(self.system, self.out.path) or files_below(self.system, self.out.path):
                raise DataError(
                    f"'{printable(self.out.text)}' exists already; nothing is overwritten",
                    expected="a path where nothing is yet",
                    remedy="name another path with --out",
                )
        except OSError as error:
            raise self._error(error) from None
        return False

    def _make_folders(self) -> None:
        if not self.out.is_remote:
            for place in (self.listing, self.rows, self.out):
                self.system.create_dir(place.path, recursive=True)

    def _require_same(self, asked: dict[str, Any], began: dict[str, Any]) -> None:
        different = [name for name in asked if asked[name] != began.get(name)]
        if different:
            raise DataError(
                f"'{printable(self.out.text)}' was begun with other settings, and can only be continued with the same",
                expected=", ".join(f"{name} {shortened(str(began.get(name)), 12)}" for name in different),
                found=", ".join(f"{name} {shortened(str(asked[name]), 12)}" for name in different),
                remedy=f"repeat the first command, name another --out, or remove {printable(self.folder.text)} and the "
                "results",
            )

    def mend(self, *, at_end: bool = False) -> None:
        """Remove ids whose results may be incomplete, and results without ids; see the docstring of the module.

        Args:
            at_end: whether the work has ended, so that pending ids are those of a task that no one waits for. At the
                start Ray Data removes pending ids and their results.
        """
        try:
            results = {_name_of(info.path): info.path for info in files_below(self.system, self.out.path)}
            ids = {info.path.rpartition("/")[2]: info.path for info in files_below(self.system, self.rows.path)}
            pending = {name.removesuffix(_PENDING) for name in ids if name.endswith(_PENDING)}
            if at_end:
                for name in pending:
                    self.system.delete_file(ids[f"{name}{_PENDING}"])
                pending = set()
            committed = {
                name.removesuffix(".parquet"): path for name, path in ids.items() if not name.endswith(_PENDING)
            }
            for name, path in committed.items():
                if name in pending or name not in results:
                    self.system.delete_file(path)
            for name, path in results.items():
                if name not in committed and name not in pending:
                    self.system.delete_file(path)
        except OSError as error:
            raise self._error(error) from None

    def done(self) -> Done:
        """Return the finished rows."""
        table = self._committed(["id", "unreadable_reason"])
        pairs = zip(table["id"].to_pylist(), table["unreadable_reason"].to_pylist(), strict=True)
        return Done(np.asarray(table["id"], np.int64), {i: reason for i, reason in pairs if reason is not None})

    def _committed(self, columns: list[str]) -> Any:
        """Return columns of the results whose ids are committed."""
        import pyarrow
        import pyarrow.dataset

        try:
            names = {info.path.rpartition("/")[2].removesuffix(".parquet") for info in self._files_of(self.rows)}
            paths = [info.path for info in self._files_of(self.out) if _name_of(info.path) in names]
            if not paths:
                empty: Any = {"id": pyarrow.array([], pyarrow.int64())}
                return pyarrow.table({name: empty.get(name, pyarrow.array([], pyarrow.string())) for name in columns})
            return pyarrow.dataset.dataset(paths, filesystem=self.system, format="parquet").to_table(columns=columns)
        except OSError as error:
            raise self._error(error) from None

    def _files_of(self, place: Place) -> list[Any]:
        return [info for info in files_below(self.system, place.path) if info.path.endswith(".parquet")]

    def finish(self, total: int) -> Done:
        """Check that each id of the listing has exactly one row, remove the progress, and return all rows.

        Raises:
            ClusterError: a row is missing or there twice; the progress is kept.
        """
        self.mend(at_end=True)
        done = self.done()
        if not np.array_equal(np.sort(done.ids), np.arange(total)):
            missing = total - len(np.unique(done.ids))
            raise ClusterError(
                f"'{printable(self.out.text)}' is not complete",
                expected=f"one row for each of the {total:,} images",
                found=f"{missing:,} missing, {len(done.ids) - len(np.unique(done.ids)):,} repeated",
                remedy="repeat the command: it computes the missing rows",
            )
        self.remove()
        return done

    def remove(self) -> None:
        """Remove the folder of the progress, its request first, so that a removal that is cut off is no progress."""
        with suppress(OSError):
            self.system.delete_file(f"{self.folder.path}/request.json")
            self.system.delete_dir(self.folder.path)

    def _error(self, error: OSError) -> DataError:
        if self.out.is_remote:
            return storage_error(self.out, error)
        return DataError(f"'{printable(self.out.text)}' can't be written", found=printable(str(error)))


def read_rows(out: Place) -> list[dict[str, Any]]:
    """Return the rows of finished results, sorted by id.

    Raises:
        DataError: the results can't be read.
    """
    import pyarrow.dataset

    system = open_file_system(out.scheme)
    try:
        paths = [info.path for info in files_below(system, out.path) if info.path.endswith(".parquet")]
        rows: list[dict[str, Any]] = (
            pyarrow.dataset.dataset(paths, filesystem=system, format="parquet").to_table().sort_by("id").to_pylist()
        )
    except OSError as error:
        raise storage_error(out, error) from None
    return rows


def _name_of(path: str) -> str:
    """Return the name that results and ids share: results have a number behind it."""
    return path.rpartition("/")[2].removesuffix(".parquet").rpartition("-")[0]
