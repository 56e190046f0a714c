"""Files that are whole or absent: atomic writes, content hashes, JSON and Parquet."""

import csv
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_mtl.base.errors import InputError

if TYPE_CHECKING:
    import pandas as pd  # at run time only where a table is read: the command line starts without


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular_file(path: Path | str, what: str) -> None:
    """Refuse a path that is no regular file with content, without opening it.

    Opening a named pipe would wait for a writer for ever, and a device has no end.

    Args:
        what: what the file should hold, in words, as "image".

    Raises:
        InputError: nothing is there (then its cause is a `FileNotFoundError`), it is a folder, a
            pipe, a socket, a device or empty (as the files of /proc are), or it cannot be reached.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.islink(path):
            message = f"{path} is a link to {os.readlink(path)}, which is missing: mend the link"
        else:
            message = f"{path} is missing: put the {what} there or correct its path"
        raise InputError(message) from FileNotFoundError(*error.args)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path!s} cannot be reached ({reason}): correct its path") from error
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind:
        raise InputError(f"{path} is {kind}, not a file: give the file that holds the {what}")
    if found.st_size == 0:
        raise InputError(f"{path} is empty: replace it by the {what}")


def sha256_of_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_key(*parts: Any) -> str:
    """A 16-digit hexadecimal key of JSON-serialisable parts: equal content, equal key."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def write_beside(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path (file or folder) beside `path`; rename it to `path` on success.

    On any failure the temporary is removed and what stood at `path` before stays untouched.

    Raises:
        InputError: the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        if beside.is_dir() and path.is_dir():
            _exchange(beside, path)
        else:
            os.replace(beside, path)
    except BaseException as error:
        _remove(beside)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"the disk is full while writing {path}: free some space and run again, "
                "nothing was lost"
            ) from error
        raise


def _exchange(new: Path, old: Path) -> None:
    """Put the folder `new` in the place of `old`; only then delete what was there."""
    aside = new.with_suffix(".old")
    os.replace(old, aside)
    os.replace(new, old)
    shutil.rmtree(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, whole or not at all; NaN is refused."""
    with write_beside(path) as beside:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run the step that writes it first") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): delete it and run again") from error


def write_table(path: Path | str, table: "pd.DataFrame") -> None:
    """Write a table as Parquet, whole or not at all."""
    with write_beside(path) as beside:
        table.to_parquet(beside, index=False)


def read_table(path: Path | str) -> "pd.DataFrame":
    """Read a Parquet table.

    Raises:
        InputError: the file is missing or damaged.
    """
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run the chapter that writes it first") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable Parquet file ({error}): delete it and run again"
        ) from error


def read_csv(path: Path | str, columns: list[str]) -> "pd.DataFrame":
    """Read a UTF-8 CSV with a header; every value stays text, an empty field is "".

    Returns:
        All columns of the file, indexed by the line each row ends on (the header is line 1).

    Raises:
        InputError: the file is missing, not UTF-8, not a CSV, lacks one of `columns`, has a row
            with too few or too many fields, or has no rows.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError:
        raise InputError(f"{path} is missing: correct its path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it as a UTF-8 CSV") from None
    except (csv.Error, OSError) as error:
        raise InputError(f"{path} is not a readable CSV ({error}): save it again") from error
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {_in_words(missing)}: "
            f"its first line must name {_in_words(columns)}"
        )
    if len(set(header)) < len(header):
        raise InputError(f"{path} names a column twice: give every column its own name")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {line}, has {len(row)} fields instead of {len(header)}: "
                "put values with commas in double quotes"
            )
    if not rows:
        raise InputError(f"{path} has no rows: add at least one under its header")
    import pandas as pd

    lines, values = zip(*rows, strict=True)
    return pd.DataFrame(values, index=lines, columns=header, dtype=str)


def _in_words(names: list[str]) -> str:
    return " and ".join(", ".join(names).rsplit(", ", 1))
