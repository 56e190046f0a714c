"""Download of the official Open-I archives: verified, unpacked safely, whole or absent."""

import gzip
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import (
    check_regular_file,
    check_writable,
    read_json_as,
    sha256_of_file,
    write_beside,
    write_json,
)
from cxr_mtl.data.openi import IMAGES_FOLDER, REPORTS_FOLDER
from cxr_mtl.data.resumed_download import discard, download

OFFICIAL_URL = "https://openi.nlm.nih.gov/imgs/collections"
RECORD = "archives.json"
BAD_ARCHIVE = (
    tarfile.TarError,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    RecursionError,  # extended headers of extended headers
)
EXTENDED = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
LONGEST_HEADER, LONGEST_NAME = 1 << 20, 255
MOST_OTHERS = 1000
"""Members of an archive besides the files that count: folders, readmes."""
CHUNK, MOST_PADDING = 1 << 20, 1 << 26

Entry = dict[str, Any]
"""What the record holds of an archive."""


@dataclass(frozen=True)
class Archive:
    """An official archive: `count` files ending in `suffix`, unpacked flat into `folder`.

    `sha256` is None where none is published; `max_bytes` bounds the unpacked size.
    """

    name: str
    folder: str
    suffix: str
    count: int
    max_bytes: int
    sha256: str | None


REPORTS = Archive(
    name="NLMCXR_reports.tgz",
    folder=REPORTS_FOLDER,
    suffix=".xml",
    count=3955,
    max_bytes=200_000_000,
    sha256="8fb6de7eec73d8c3665067ad4bb003ccd57f971ae316d2642e1627ac7268667a",
)
IMAGES = Archive(
    name="NLMCXR_png.tgz",
    folder=IMAGES_FOLDER,
    suffix=".png",
    count=7470,
    max_bytes=20_000_000_000,
    sha256=None,
)


def fetch(
    folder: Path,
    *,
    reports: bool = True,
    images: bool = True,
    base_url: str = OFFICIAL_URL,
    report: Callable[[str], None] = print,
) -> None:
    """Download and unpack the official archives into `folder`, with a progress bar.

    Leaves `ecgen-radiology/`, `NLMCXR_png/` and `archives.json` (url, sha256 and number of files
    of each). What that record names is not downloaded again, nor is an archive that the user has
    put into `folder`, which stays there, or a folder of as many files. A broken download goes on
    where it stopped, as in `download`.

    Args:
        report: is told what is taken as it lies there.

    Raises:
        InputError: as in `download`; an archive with another sha256 or number of files, or with a
            member that is a link or a device or leaves its folder; a folder of other files in the
            place of one of these; or nothing can be written there.
    """
    folder = Path(folder)
    check_writable(folder / RECORD)
    for archive in [REPORTS] * reports + [IMAGES] * images:
        record = _read_record(folder / RECORD)
        if archive.name in record and (folder / archive.folder).is_dir():
            continue
        if os.path.lexists(folder / archive.folder):
            entry = _unpacked_before(archive, folder / archive.folder, report)
        elif os.path.lexists(folder / archive.name):
            entry = _take_brought(archive, folder, report)
        else:
            entry = _take_from_server(archive, folder, f"{base_url}/{archive.name}")
        write_json(folder / RECORD, record | {archive.name: entry})
        discard(_download_of(archive, folder))


def _read_record(path: Path) -> dict[str, Any]:
    return read_json_as(dict[str, dict[str, Any]], path) if path.exists() else {}


def _download_of(archive: Archive, folder: Path) -> Path:
    """Where the program's own download lies, under another name than one that a user brings."""
    return folder / f"{archive.name}.download"


def _unpacked_before(archive: Archive, target: Path, report: Callable[[str], None]) -> Entry:
    """Take a folder that was unpacked by hand, or before an interruption, if it is whole."""
    count = len(list(target.glob(f"*{archive.suffix}"))) if target.is_dir() else 0
    if count != archive.count:
        raise InputError(
            f"{target} is there, was not unpacked by this program and holds {count:,} "
            f"{archive.suffix} files instead of {archive.count:,}: move it away and run again"
        )
    report(f"{target} holds all {count:,} {archive.suffix} files and is taken as it is")
    return {"files": count}


def _take_brought(archive: Archive, folder: Path, report: Callable[[str], None]) -> Entry:
    path = folder / archive.name
    check_regular_file(path, "archive")
    report(f"{path} is unpacked, and kept since it was not downloaded by this program")
    digest = sha256_of_file(path)
    mend = "replace it, or move it away to have it downloaded; it was left as it is"
    if archive.sha256 not in (None, digest):
        raise InputError(f"{path} is not the archive with sha256 {archive.sha256}: {mend}")
    try:
        _unpack(archive, path, folder / archive.folder)
    except BAD_ARCHIVE as error:
        raise InputError(f"{path} is damaged or unsafe ({error}): {mend}") from error
    return {"sha256": digest, "files": archive.count}


def _take_from_server(archive: Archive, folder: Path, url: str) -> Entry:
    path = _download_of(archive, folder)
    download(url, path)
    digest = sha256_of_file(path)
    if archive.sha256 not in (None, digest):
        discard(path)
        raise InputError(
            f"{url} is not the archive with sha256 {archive.sha256}: the download was damaged or "
            "the archive has changed, run again"
        )
    try:
        _unpack(archive, path, folder / archive.folder)
    except BAD_ARCHIVE as error:
        discard(path)
        raise InputError(
            f"the download of {url} is damaged or unsafe ({error}): it was deleted, run again"
        ) from error
    return {"url": url, "sha256": digest, "files": archive.count}


def _unpack(archive: Archive, path: Path, target: Path) -> None:
    """Unpack into a new folder, whole or not at all.

    Raises:
        InputError: nothing can be written there.
        BAD_ARCHIVE: a bad archive.
    """
    with write_beside(target) as beside, tarfile.open(path, tarinfo=_Member) as members:
        beside.mkdir()
        count = _unpack_members(archive, members, beside)
        if count != archive.count:
            raise tarfile.ExtractError(
                f"it holds {count} {archive.suffix} files instead of {archive.count}"
            )


def _unpack_members(archive: Archive, members: tarfile.TarFile, folder: Path) -> int:
    count = size = 0
    for number, member in enumerate(members):
        if number > MOST_OTHERS + archive.count:
            raise tarfile.ExtractError(f"it has more than {number:,} members")
        # Refuses absolute names, names and links that leave the folder, and devices.
        tarfile.data_filter(member, str(folder))
        if member.isdir():
            continue
        if not member.isfile():
            raise tarfile.ExtractError(f"its member {member.name} is a link")
        if not member.name.endswith(archive.suffix):
            continue
        count += 1
        size += max(0, member.size)
        if size > archive.max_bytes:
            raise tarfile.ExtractError(f"it unpacks to more than {archive.max_bytes:,} bytes")
        # The official archives differ in whether they wrap their files in a folder.
        path = folder / PurePosixPath(member.name).name
        if "\0" in path.name or len(os.fsencode(path.name)) > LONGEST_NAME:
            raise tarfile.ExtractError("a member's name is no file's name")
        if path.exists():
            raise tarfile.ExtractError(f"it holds {path.name} twice")
        with open(path, "wb") as file:
            shutil.copyfileobj(members.extractfile(member), file)
    # Read on to the end of the file, where gzip checks its checksum.
    for _ in range(MOST_PADDING // CHUNK):
        if not members.fileobj.read(CHUNK):
            return count
    raise tarfile.ExtractError("it goes on after its end")


class _Member(tarfile.TarInfo):
    """A member whose extended header, read in one piece, is `LONGEST_HEADER` long at most."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "_Member":
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type in EXTENDED and member.size > LONGEST_HEADER):
            raise tarfile.ReadError(f"a header claims {member.size:,} bytes")
        return member
