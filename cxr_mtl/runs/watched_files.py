"""Files outside of a run that a stage rests on, watched by their content.

Hashing thousands of pictures at every `status` would be slow: a file whose size and times are as
they were counts as the same, and one with other times is read to see whether it is. The command
that runs chapters keeps what it has read of them, and of folders that are inputs, for later ones.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import (
    FileState,
    file_state,
    hash_of,
    is_settled,
    known_hashes,
    remember,
)
from cxr_mtl.base.files import read_table, write_table
from cxr_mtl.runs.run import Run

FOLDER = "watched"
COLUMNS = ["path", "bytes", "modified", "changed", "sha256"]
_HASHES = f"{FOLDER}/hashes.parquet"


def watched_file(stage: str) -> str:
    """Where in a run a stage keeps what it watches; the stage declares that it leaves the file."""
    return f"{FOLDER}/{stage}.parquet"


def watch(run: Run, stage: str, states: Iterable[FileState]) -> None:
    """Keep states and hashes of the files that a stage has read, as they were before that.

    A file that was not there is watched as well: when it comes, the stage is stale.

    Args:
        states: what `file_state` found before the files were read.
    """
    first: dict[str, FileState] = {}
    for state in states:
        first.setdefault(state[0], state)
    rows = [(*_trusted(state), _hash_then(state)) for state in first.values()]
    write_table(run / watched_file(stage), pd.DataFrame(rows, columns=COLUMNS))


def watched_states(run: Run, stage: str) -> list[FileState]:
    """The states that the watched files of a stage have now.

    Raises:
        InputError: the stage's table is damaged.
    """
    return [file_state(path) for path in _watched(run, stage)["path"]]


def what_changed(run: Run, stage: str) -> str | None:
    """The first watched file of a stage that is not as it was, in words; None where all are.

    Raises:
        InputError: the stage's table is damaged, or a file may not be read.
    """
    for *before, sha256 in _watched(run, stage).itertuples(index=False, name=None):
        now = file_state(before[0])
        if now == tuple(before):
            continue
        gone, new = now[1] < 0, before[1] < 0
        if gone or new or now[1] != before[1] or hash_of(now) != sha256:
            return f"{now[0]} " + ("is missing" if gone else "is new" if new else "changed")
    return None


def recall_hashes(run: Run) -> None:
    """Let no file be read again that is as `keep_hashes` found it."""
    remember(_kept(run))


def keep_hashes(run: Run, states: Iterable[FileState]) -> None:
    """Keep the hashes of those of these files that had to be read."""
    hashes = known_hashes(states)
    if hashes != _kept(run):
        rows = [(*state, sha256) for state, sha256 in hashes.items()]
        write_table(run / _HASHES, pd.DataFrame(rows, columns=COLUMNS))


def _kept(run: Run) -> Mapping[FileState, str]:
    """What was kept; nothing where the table is missing or damaged, which costs time alone."""
    try:
        table = read_table(run / _HASHES)
    except InputError:
        return {}
    if not _is_list_of_files(table):
        return {}
    return {tuple(state): sha256 for *state, sha256 in table.itertuples(index=False, name=None)}


def _watched(run: Run, stage: str) -> pd.DataFrame:
    path = run / watched_file(stage)
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    table = read_table(path)
    if not _is_list_of_files(table):
        raise InputError(f"{path} is no list of watched files: delete it and run {stage} again")
    return table


def _is_list_of_files(table: pd.DataFrame) -> bool:
    return list(table.columns) == COLUMNS and (
        all(isinstance(path, str) for path in table["path"])
        and (table.empty or all(table[name].dtype.kind == "i" for name in COLUMNS[1:4]))
    )


def _trusted(state: FileState) -> FileState:
    """A state that says whether a file is as it was; with times of none where it was just made."""
    return state if is_settled(state) else (*state[:2], 0, 0)


def _hash_then(state: FileState) -> str | None:
    """The hash of a file that still is as it was; of another, what the stage read is unknown."""
    return hash_of(state) if file_state(state[0]) == state and state[1] >= 0 else None
