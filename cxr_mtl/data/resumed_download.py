"""A file from a web server: a broken download goes on where it stopped, if the server allows."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import requests
from pydantic import BaseModel
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import check_writable, read_json_as, write_json
from cxr_mtl.base.terminal import PlainConsole

TIMEOUT = 60
CHUNK = 1 << 14
"""Bytes asked of the connection at a time: less than that of what came is lost when it breaks."""
REFUSED_RANGE = (
    requests.codes.partial_content,
    requests.codes.requested_range_not_satisfiable,
)


class _About(BaseModel):
    """Beside a download: where it is from, of which content, and its whole size."""

    url: str
    validator: str | None = None
    size: int | None = None


def about_file(path: Path) -> Path:
    """Where it is kept what the download `path` is of."""
    return path.with_name(f"{path.name}.json")


def discard(path: Path) -> None:
    """Remove a download and what is kept of it."""
    path.unlink(missing_ok=True)
    about_file(path).unlink(missing_ok=True)


def download(url: str, path: Path) -> None:
    """Bring the content of `url` to `path`, with a progress bar; a whole one is not asked for.

    What lies at `path` is a beginning of the content, of which `about_file` tells: the next call
    asks for the rest, provided that the server still has the same content by its ETag or date, and
    begins anew where it has not, or gives no rest.

    Raises:
        InputError: no connection, one that breaks, another answer than the content, another
            process at the same download, or nothing can be written there.
    """
    check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(path) as file:
            if _about(url, path).size != os.fstat(file.fileno()).st_size:
                _go_on(url, path, file)
    except requests.RequestException as error:
        kept = path.stat().st_size
        if not kept:
            discard(path)
        raise InputError(
            f"{url} could not be downloaded ({_reason(error)}): check the connection and run again"
            + f", the {kept:,} bytes that came are kept" * bool(kept)
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot take the download ({error.strerror}): free some space and run again, "
            "what came is kept"
        ) from error


@contextmanager
def _alone(path: Path) -> Iterator[BinaryIO]:
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another process is downloading {path}: wait for it") from None
        yield file


def _about(url: str, path: Path) -> _About:
    """What is known of the download `path`: nothing where it is of another address, or damaged."""
    try:
        about = read_json_as(_About, about_file(path))
    except InputError:
        return _About(url=url)
    return about if about.url == url else _About(url=url)


def _go_on(url: str, path: Path, file: BinaryIO) -> None:
    """Ask for what is missing, and for all where what is there is not its beginning."""
    about, have = _about(url, path), os.fstat(file.fileno()).st_size
    headers = {"Accept-Encoding": "identity"}
    if have and about.validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": about.validator}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        continues = _continues(answer, have, about)
        if "Range" in headers and answer.status_code in REFUSED_RANGE and not continues:
            about_file(path).unlink()
            _go_on(url, path, file)
            return
        answer.raise_for_status()
        if not continues:
            have = 0
            file.truncate(0)
        rest = answer.headers.get("Content-Length", "")
        size = have + int(rest) if rest.isdecimal() else None
        about = _About(url=url, validator=_validator(answer), size=size)
        write_json(about_file(path), about.model_dump())
        _receive(answer, file, path.name, have, size)
    if size is None:  # a server that does not tell it ends the content otherwise
        about.size = os.fstat(file.fileno()).st_size
        write_json(about_file(path), about.model_dump())


def _validator(answer: requests.Response) -> str | None:
    """What tells this content from a changed one, byte for byte."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _continues(answer: requests.Response, have: int, about: _About) -> bool:
    """Whether the answer is the rest of the same content, from the byte that was asked for."""
    if answer.status_code != requests.codes.partial_content:
        return False
    span = answer.headers.get("Content-Range", "")
    same_size = about.size is None or span.endswith((f"/{about.size}", "/*"))
    same_content = _validator(answer) in (None, about.validator)
    return span.startswith(f"bytes {have}-") and same_size and same_content


def _receive(
    answer: requests.Response, file: BinaryIO, name: str, have: int, size: int | None
) -> None:
    console = PlainConsole(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console) as bar:
        told = f"{name}, going on at {have:,} bytes" if have else name
        task = bar.add_task(told, total=size, completed=have)
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
            bar.advance(task, len(chunk))
        file.flush()
    if size is not None and os.fstat(file.fileno()).st_size < size:
        raise requests.ConnectionError("the connection broke")


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    return type(error).__name__
