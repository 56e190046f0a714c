"""The SQLite file in which Optuna keeps finished trials: opened whole, or told why it cannot be."""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import optuna
import psutil
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import check_writable, write_beside

LOCK_SECONDS = 20
"""How long another program's lock is waited for."""

_KEPT = "the finished trials in it are kept"
_AWAY = "move it away and run again, which searches anew"
_READ_ONLY = f"make it and its folder writable for you and run again, {_KEPT}"
_SENTENCES = {
    sqlite3.SQLITE_READONLY: f"cannot be written: {_READ_ONLY}",
    sqlite3.SQLITE_PERM: f"cannot be written: {_READ_ONLY}",
    sqlite3.SQLITE_CANTOPEN: f"cannot be opened: {_READ_ONLY}",
    sqlite3.SQLITE_NOTADB: f"is no SQLite database: {_AWAY}",
    sqlite3.SQLITE_CORRUPT: (
        "is a damaged SQLite database: mend it with `sqlite3 FILE .recover | sqlite3 mended.db`, "
        f"or {_AWAY}"
    ),
    sqlite3.SQLITE_FULL: f"cannot grow, the disk is full: free some space and run again, {_KEPT}",
    sqlite3.SQLITE_IOERR: f"cannot be read or written, the disk fails: run again, {_KEPT}",
}


def open_study(storage: Path, name: str) -> optuna.Study:
    """The study `name`, to be maximised, in the database `storage`; either is made if absent.

    Raises:
        InputError: as in `told`, or the file is no database of Optuna's, of another version of
            Optuna's, or holds under that name a study to be minimised.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    check_writable(storage)
    if storage.is_dir():
        raise InputError(f"{storage} is a folder, not a search database: {_AWAY}")
    storage.parent.mkdir(parents=True, exist_ok=True)
    with told(storage):
        if not storage.exists() or storage.stat().st_size == 0:
            # Whoever is killed here leaves no half of Optuna's tables.
            with write_beside(storage) as new:
                _database(new).engine.dispose()
        with closing(sqlite3.connect(storage, timeout=LOCK_SECONDS)) as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {table for (table,) in found}
        if tables and "alembic_version" not in tables:
            raise InputError(f"{storage} is the database of another program: {_AWAY}")
        try:
            database = _database(storage)
        except RuntimeError as error:
            raise InputError(f"{storage} {_other_version(error, storage)}") from error
        study = optuna.create_study(
            storage=database, study_name=name, direction="maximize", load_if_exists=True
        )
        if study.directions != [StudyDirection.MAXIMIZE]:
            raise InputError(f"{storage} holds another search under the name {name}: {_AWAY}")
    return study


def _database(path: Path) -> RDBStorage:
    return RDBStorage(
        f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}}
    )


@contextmanager
def told(storage: Path) -> Iterator[None]:
    """Tell in one sentence why the database cannot be used.

    Raises:
        InputError: another program holds it longer than `LOCK_SECONDS`, it is read-only, no
            database or damaged, the disk is full or fails, or what is in it cannot be read.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # Optuna and SQLAlchemy hand on what the file's content raises
        cause = _sqlite_error(error)
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
            check_writable(storage)  # SQLite says so, too, of a disk that holds no more files
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            sentence = f"is locked, {_holders(storage)}: close that and run again, {_KEPT}"
        else:
            reason = f"{type(cause).__name__}: {str(cause).splitlines()[0]}"
            sentence = _SENTENCES.get(code, f"cannot be read by Optuna ({reason}): {_AWAY}")
        raise InputError(
            f"{storage} {sentence.replace('FILE', shlex.quote(str(storage)))}"
        ) from error


def _sqlite_error(error: BaseException) -> BaseException:
    """The first cause of an error that is SQLite's, else the error itself."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, sqlite3.Error):
        cause = cause.__cause__ or cause.__context__
    return cause or error


def _holders(storage: Path) -> str:
    """Which other processes have the file open, as far as this user may know."""
    names = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            own = process.pid == psutil.Process().pid
            opened = {Path(file.path) for file in process.open_files()}
            if storage.resolve() in opened and not own:
                names.append(f"{process.name()} (process {process.pid})")
    return f"{' and '.join(names) or 'another program'} has it open"


def _other_version(error: RuntimeError, storage: Path) -> str:
    if "storage upgrade" in str(error):
        return (
            "was made by an older Optuna: run "
            f"`optuna storage upgrade --storage {shlex.quote(f'sqlite:///{storage}')}` and run "
            f"again, {_KEPT}"
        )
    return (
        f"was made by another Optuna than the {optuna.__version__} here: install a newer one, or "
        f"{_AWAY}"
    )
