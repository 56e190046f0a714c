"""Files that are whole or absent: atomic writes, content hashes, JSON and Parquet."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from cxr_mtl.errors import InputError


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


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table as Parquet, whole or not at all."""
    with write_beside(path) as beside:
        table.to_parquet(beside, index=False)


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a Parquet table.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run the chapter that writes it first") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable Parquet file ({error}): delete it and run again"
        ) from error
