"""Files outside of a run that a stage rests on, watched by their size and time of change.

Hashing thousands of pictures at every `status` would be slow; a file whose size and time of change
are as they were counts as the same.
"""

from collections.abc import Iterable

import pandas as pd

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_table, write_table
from cxr_mtl.base.fingerprints import FileState, file_state
from cxr_mtl.runs.run import Run

FOLDER = "watched"
COLUMNS = ["path", "bytes", "modified"]


def watched_file(stage: str) -> str:
    """Where in a run a stage keeps what it watches; the stage declares that it leaves the file."""
    return f"{FOLDER}/{stage}.parquet"


def watch(run: Run, stage: str, states: Iterable[FileState]) -> None:
    """Keep the states of the files that a stage has read, as `file_state` found them before that.

    A file that was not there is watched as well: when it comes, the stage is stale.
    """
    table = pd.DataFrame(states, columns=COLUMNS)
    write_table(run / watched_file(stage), table.drop_duplicates("path"))


def what_changed(run: Run, stage: str) -> str | None:
    """The first watched file of a stage that is not as it was, in words; None where all are.

    Raises:
        InputError: the stage's table is damaged.
    """
    path = run / watched_file(stage)
    if not path.exists():
        return None
    table = read_table(path)
    if list(table.columns) != COLUMNS:
        raise InputError(f"{path} is no list of watched files: delete it and run {stage} again")
    for before in table.itertuples(index=False, name=None):
        now = file_state(before[0])
        if now != before:
            gone, new = now[1] < 0, before[1] < 0
            return f"{now[0]} " + ("is missing" if gone else "is new" if new else "changed")
    return None
