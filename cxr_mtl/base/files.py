"""Files that are whole or absent: atomic writes, content hashes, JSON and Parquet."""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from cxr_mtl.base.errors import InputError

if TYPE_CHECKING:
    import pandas as pd  # at run time only where a table is read: the command line starts without

Kind = TypeVar("Kind")

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


def user_path(text: str) -> Path:
    """The path that a user wrote: blanks around it do not count, and `~` is the user's home."""
    return Path(text.strip()).expanduser()


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
        InputError: the disk is full, or as in `check_writable`, before anything is yielded.
    """
    path = Path(path)
    check_writable(path)
    beside = _beside(path)
    try:
        with _refusal_told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with _refusal_told(path):
            if beside.is_dir() and path.is_dir():
                _exchange(beside, path)
            else:
                os.replace(beside, path)
    except BaseException as error:
        with suppress(OSError):
            _remove(beside)
        if _is_full(error):
            raise InputError(_FULL.format(path=path)) from error
        raise


def check_writable(path: Path | str) -> None:
    """Refuse, before any work, a file or folder that could not be written; leaves no trace.

    Raises:
        InputError: where it would lie is no folder, is read-only or on a full disk, its name is
            too long, or a device, a pipe or a socket bears it.
    """
    path = Path(path)
    with _refusal_told(path):
        kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode)) if path.exists() else None
        if kind not in (None, "a folder"):
            raise InputError(f"{path} is {kind}: give another name")
        with suppress(FileNotFoundError):
            os.lstat(_beside(path))
        folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")


def check_output(path: Path | str, start: bytes, what: str) -> None:
    """Refuse, before any work, to write a file where another stands or none can.

    Args:
        start: how the files begin that may be replaced.
        what: what those are, in words.

    Raises:
        InputError: it is a folder or another file, or as in `check_writable`.
    """
    check_writable(path)
    if Path(path).is_dir():
        raise InputError(f"{path} is a folder: give the name of a file")
    if Path(path).exists():
        with open(path, "rb") as file:
            found = file.read(len(start))
        if found not in (start, b""):
            raise InputError(
                f"{path} is there and is no {what}, so it is not replaced: give another name"
            )


_FULL = "the disk is full while writing {path}: free some space and run again, nothing was lost"
_REMEDIES = {
    errno.ENOTDIR: "give a path on which every folder is one",
    errno.EEXIST: "give a path on which every folder is one",
    errno.EISDIR: "give the name of a file",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def _refusal_told(path: Path) -> Iterator[None]:
    """Tell in one sentence that the system does not let `path` be written."""
    try:
        yield
    except OSError as error:
        if _is_full(error):
            raise InputError(_FULL.format(path=path)) from error
        remedy = _REMEDIES.get(error.errno, "make it writable for you, or choose another place")
        raise InputError(f"{path} cannot be written ({error.strerror}): {remedy}") from error


def _is_full(error: BaseException) -> bool:
    # Rust, in which safetensors writes, puts the number into its text alone.
    numbers = (errno.ENOSPC, errno.EDQUOT)
    said = any(f"(os error {number})" in str(error) for number in numbers)
    return said or getattr(error, "errno", None) in numbers


def _beside(path: Path) -> Path:
    return path.parent / f".{path.name}.{os.getpid()}.partial"


def sweep(folder: Path | str) -> None:
    """Remove what killed processes had begun to write below a folder that no other now writes."""
    for path in list(Path(folder).rglob(".*")):
        begun = re.fullmatch(r"\..+\.(\d+)\.(partial|old)(-journal)?", path.name)
        if begun and not psutil.pid_exists(int(begun[1])):
            _remove(path)


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
        # Lone surrogates, which names of files may hold, become what JSON writes for them.
        beside.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def read_json(path: Path | str, mend: str | None = None) -> Any:
    """Read a JSON file.

    Args:
        mend: what to do where it is missing or damaged; by default to let the step that writes it
            do so again.

    Raises:
        InputError: the file is missing, may not be read, is no file, or is not JSON.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        check_regular_file(path, "JSON")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_number)
    except (FileNotFoundError, NotADirectoryError):
        remedy = mend or "run the step that writes it first"
        raise InputError(f"{path} is missing: {remedy}") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give yourself the right to read it"
        ) from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        remedy = mend or "delete it and run again"
        raise InputError(f"{path} is not valid JSON ({reason}): {remedy}") from error


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def read_json_as(kind: type[Kind], path: Path | str, mend: str | None = None) -> Kind:
    """Read a JSON file that must hold what a type says, such as a pydantic model.

    Raises:
        InputError: as in `read_json`, or the content is of another kind: where, and how.
    """
    from pydantic import TypeAdapter, ValidationError

    value = read_json(path, mend)
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        at = f" at {field}" * bool(field)
        remedy = mend or "delete it and run again"
        raise InputError(f"{path} is damaged{at} ({first['msg']}): {remedy}") from error


def write_table(path: Path | str, table: "pd.DataFrame") -> None:
    """Write a table as Parquet, whole or not at all."""
    with write_beside(path) as beside:
        table.to_parquet(beside, index=False)


def read_table(path: Path | str, mend: str | None = None) -> "pd.DataFrame":
    """Read a Parquet table.

    Args:
        mend: what to do where it is missing or damaged; by default to let its chapter write it.

    Raises:
        InputError: the file is missing, is no file or may not be read, is damaged, or claims more
            than its bytes can stand for.
    """
    import pyarrow.parquet as pq

    from cxr_mtl.base.parquet_size import check_parquet_size

    try:
        check_regular_file(path, "table")
        open(path, "rb").close()  # tells the reason in fewer words than pyarrow
        check_parquet_size(path)
        table = pq.read_table(path)
        table.validate(full=True)  # pandas would meet a damaged text when it is used
        return table.to_pandas()
    except InputError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        remedy = mend or "run the chapter that writes it first"
        raise InputError(f"{path} is missing: {remedy}") from None
    except PermissionError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give yourself the right to read it"
        ) from error
    # A damaged schema breaks pandas in any way.
    except Exception as error:
        remedy = mend or "delete it and run again"
        raise InputError(f"{path} is not a readable Parquet file ({error}): {remedy}") from error


def inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder, which neither its name nor a link may lead out of it.

    Raises:
        InputError: it leads out.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{path} leads out of {folder}, to {path.resolve()}: put the file there")
    return path
