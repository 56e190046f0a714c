"""SHA-256 of files by their state: while size and times are as they were, none is read again."""

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key, sha256_of_file

FileState = tuple[str, int, int, int]
"""Path, bytes, and when content and anything else was last changed, in nanoseconds since 1970.

-1 in place of the three of a file that is not there.
"""

_SETTLED = 10**9
"""Nanoseconds after which another change of a file surely has another time."""

_known: dict[FileState, str] = {}


def file_state(path: Path | str) -> FileState:
    """What tells cheaply whether a file is as it was."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return str(path), -1, -1, -1
    return str(path), state.st_size, state.st_mtime_ns, state.st_ctime_ns


def folder_states(folder: Path) -> Iterator[FileState]:
    """The states of all files of a folder, those behind links included, in the order of paths."""
    found, seen = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(parent))  # a link may lead back to a folder above it
        folders[:] = [
            name for name in folders if os.path.realpath(os.path.join(parent, name)) not in seen
        ]
        found += [os.path.join(parent, name) for name in names]
    yield from map(file_state, sorted(found))


def is_settled(state: FileState) -> bool:
    """Whether a file that is changed from now on will have another state."""
    return max(state[2:]) + _SETTLED < time.time_ns()


def hash_of(state: FileState) -> str | None:
    """SHA-256 of a file as it is now; None for what is no regular file, which is not opened.

    A file that had this state before when it was read is not read again.

    Raises:
        InputError: the file may not be read.
    """
    path = state[0]
    key = (os.path.abspath(path), *state[1:])
    if key in _known:
        return _known[key]
    if not stat.S_ISREG(_mode(path)):
        return None
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give yourself the right to read it"
        ) from error
    if is_settled(state):
        _known[key] = found
    return found


def known_hashes(states: Iterable[FileState]) -> dict[FileState, str]:
    """Those of these states whose files were read, with absolute paths, and their hashes."""
    keys = ((os.path.abspath(path), *state) for path, *state in states)
    return {key: _known[key] for key in keys if key in _known}


def remember(hashes: Mapping[FileState, str]) -> None:
    """Let `hash_of` believe what `known_hashes` gave, as another process kept it."""
    _known.update(hashes)


def digest(path: Path) -> str:
    """SHA-256 of a file, or a key of the names and hashes of a folder's files.

    Raises:
        InputError: as in `hash_of`, or the path is neither.
    """
    if not path.is_dir():
        found = hash_of(file_state(path))
        if found is None:
            raise InputError(f"{path} is no regular file: put the file in its place")
        return found
    return content_key(
        [[os.path.relpath(state[0], path), hash_of(state)] for state in folder_states(path)]
    )


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):
        return 0
