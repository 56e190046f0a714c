"""A search database that cannot be used is told with its real cause, and no trial in it is lost."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage

from cxr_mtl.base.errors import InputError
from cxr_mtl.training import trial_database
from cxr_mtl.training.losses import LossWeights
from cxr_mtl.training.trial_database import open_study, told
from cxr_mtl.training.weight_search import search_weights

KEPT = "the finished trials in it are kept"


def value_of(weights, report):
    return -weights.bce


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A database with three finished trials."""
    path = tmp_path_factory.mktemp("searched") / "search.db"
    search_weights(value_of, path, "a", trials=3)
    return path


@pytest.fixture
def database(searched, tmp_path, monkeypatch):
    monkeypatch.setattr(trial_database, "LOCK_SECONDS", 0.05)
    return shutil.copy(searched, tmp_path / "search.db")


def change(database, *statements):
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def overwritten(database, start, stop):
    content = bytearray(database.read_bytes())
    content[start:stop] = b"\xa5" * (len(content[start:stop]))
    database.write_bytes(content)


DAMAGES = {
    "text": (lambda db: db.write_text("no database " * 99), "is no SQLite database: move it away"),
    "pointer": (
        lambda db: db.write_text("version https://git-lfs.github.com/spec/v1\nsize 9\n" * 9),
        "is no SQLite database: move it away",
    ),
    "truncated": (
        lambda db: db.write_bytes(db.read_bytes()[:20_000]),
        "is a damaged SQLite database: mend it with `sqlite3 .*search.db .recover",
    ),
    "a page overwritten": (
        lambda db: overwritten(db, 4096, 8192),
        "is a damaged SQLite database: mend it with",
    ),
    "another program's": (
        lambda db: (db.unlink(), change(db, "CREATE TABLE studies (patient)")),
        "is the database of another program: move it away",
    ),
    "older": (
        lambda db: change(db, "UPDATE alembic_version SET version_num = 'v2.6.0.a'"),
        rf"was made by an older Optuna: run `optuna storage upgrade --storage .*, {KEPT}",
    ),
    "newer": (
        lambda db: change(db, "UPDATE alembic_version SET version_num = 'v99.0.0.a'"),
        "was made by another Optuna than the .* here: install a newer one",
    ),
    "minimised": (
        lambda db: change(db, "UPDATE study_directions SET direction = 'MINIMIZE'"),
        "holds another search under the name a: move it away",
    ),
    "an unknown state": (
        lambda db: change(db, "UPDATE trials SET state = 'DREAMT'"),
        r"cannot be read by Optuna \(LookupError: .*\): move it away",
    ),
    "a folder": (lambda db: (db.unlink(), db.mkdir()), "is a folder, not a search database"),
    "a pipe": (lambda db: (db.unlink(), os.mkfifo(db)), "is a named pipe"),
}


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES.values(), ids=DAMAGES)
def test_what_is_wrong_with_a_database_is_told_and_nothing_is_changed(database, damage, sentence):
    damage(database)
    before = database.read_bytes() if database.is_file() else None
    with pytest.raises(InputError, match=rf"search\.db {sentence}"):
        search_weights(value_of, database, "a", trials=4)
    assert before == (database.read_bytes() if database.is_file() else None)


@pytest.mark.parametrize("lock", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_database_that_another_program_holds_is_told_and_its_trials_are_kept(database, lock):
    held = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        f"c.execute('BEGIN {lock}'); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", held, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        named = (
            rf"is locked, .*\(process {holder.pid}\) has it open: close that and run again, {KEPT}"
        )
        with pytest.raises(InputError, match=named):
            search_weights(value_of, database, "a", trials=4)
        holder.stdin.close()
    seen = []
    search_weights(value_of, database, "a", trials=4, on_trial=lambda t: seen.append(t.number))
    assert seen == [3]


def test_a_lock_is_waited_for(database, monkeypatch):
    monkeypatch.setattr(trial_database, "LOCK_SECONDS", 60)
    held = (
        "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); time.sleep(0.5)"
    )
    command = [sys.executable, "-c", held, str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        assert len(open_study(database, "a").trials) == 3


def test_a_lock_that_comes_while_trials_run_loses_none_that_is_kept(database):
    with closing(sqlite3.connect(database, isolation_level=None)) as other:

        def locks(weights, report):
            if locks.calls == 1:
                other.execute("BEGIN EXCLUSIVE")
            locks.calls += 1
            return value_of(weights, report)

        locks.calls = 0
        with pytest.raises(InputError, match=rf"is locked, .*{KEPT}"):
            search_weights(locks, database, "a", trials=8)
        other.execute("ROLLBACK")
    seen = []
    search_weights(value_of, database, "a", trials=8, on_trial=lambda t: seen.append(t.number))
    assert seen == [4, 5, 6, 7]


def test_a_read_only_folder_is_told(read_only_folder):
    with pytest.raises(InputError, match=r"search\.db cannot be written \(Permission denied\)"):
        open_study(read_only_folder / "search.db", "a")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (sqlite3.SQLITE_READONLY, f"cannot be written: .*{KEPT}"),
        (sqlite3.SQLITE_READONLY_DBMOVED, f"cannot be written: .*{KEPT}"),
        (sqlite3.SQLITE_CANTOPEN, f"cannot be opened: .*{KEPT}"),
        (sqlite3.SQLITE_FULL, f"cannot grow, the disk is full: .*{KEPT}"),
        (sqlite3.SQLITE_IOERR_FSYNC, f"cannot be read or written, the disk fails: .*{KEPT}"),
    ],
)
def test_what_the_system_refuses_is_told(code, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = sqlite3.OperationalError("refused")
    error.sqlite_errorcode = code
    with pytest.raises(InputError, match=rf"search\.db {sentence}"), told(Path("search.db")):
        raise optuna.exceptions.StorageInternalError("An exception is raised") from error


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR_WRITE])
def test_a_disk_that_holds_no_more_files_is_told_however_sqlite_calls_it(
    code, tmp_path, monkeypatch
):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = code
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with (
        pytest.raises(InputError, match=r"the disk is full .*search\.db: free some space"),
        told(tmp_path / "search.db"),
    ):
        raise error


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM trial_user_attributes",
        "UPDATE trial_user_attributes SET value_json = '\"first\"'",
        "UPDATE trial_params SET param_name = 'focal' WHERE param_name = 'bce'",
    ],
)
def test_trials_of_another_kind_are_not_mixed_with_ours(database, statement):
    change(database, statement)
    with pytest.raises(InputError, match=r"search\.db holds trials of another program or version"):
        search_weights(value_of, database, "a", trials=4, first=LossWeights(1, 1, 1))


@pytest.mark.parametrize("empty", [False, True])
def test_a_new_database_is_whole_or_not_there(tmp_path, monkeypatch, empty):
    storage = tmp_path / "search.db"
    if empty:
        storage.touch()

    def seen(*arguments, **keywords):
        assert not storage.exists() or storage.stat().st_size == 0
        made = RDBStorage(*arguments, **keywords)
        assert not storage.exists() or storage.stat().st_size == 0
        monkeypatch.undo()
        return made

    monkeypatch.setattr(trial_database, "RDBStorage", seen)
    open_study(storage, "a").add_trial(optuna.trial.create_trial(value=1.0))
    assert trial_database.RDBStorage is RDBStorage
    assert len(open_study(storage, "a").trials) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["search.db"]
