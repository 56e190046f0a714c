"""A folder that a command writes as a whole, and replaces only while it is as it was written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json_as, sha256_of_file, write_beside, write_json

RECORD = ".written.json"
"""In the folder: the SHA-256 of each file by its path, as it was written."""


@contextmanager
def write_own_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder` that takes its place on success, as `write_beside` does.

    Raises:
        InputError: `folder` holds what was not written so, or was changed since; or as in
            `write_beside`.
    """
    _refuse_others(folder)
    with write_beside(folder.resolve()) as beside:
        beside.mkdir()
        yield beside
        write_json(
            beside / RECORD, {name: sha256_of_file(beside / name) for name in _names(beside)}
        )


def _names(folder: Path) -> list[str]:
    """All files in a folder and links, by their paths in it."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _refuse_others(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder for the notebooks")
    if not folder.exists() or not any(folder.iterdir()):
        return
    record = folder / RECORD
    written = read_json_as(dict[str, str], record, f"move {folder} away") if record.exists() else {}
    for name in _names(folder):
        if name == RECORD:
            continue
        path = folder / name
        if name not in written:
            what = "was not written there by this command"
        elif not path.is_file() or sha256_of_file(path) != written[name]:
            what = "was changed since it was written"
        else:
            continue
        raise InputError(
            f"{folder} would be replaced as a whole and its {name} {what}: move {folder} away, or "
            "what you need of it"
        )
