"""Download of the official Open-I archives: verified, unpacked safely, whole or absent."""

import gzip
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch
import requests

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json, sha256_of_file, write_beside, write_json
from cxr_mtl.data.openi import IMAGES_FOLDER, REPORTS_FOLDER

OFFICIAL_URL = "https://openi.nlm.nih.gov/imgs/collections"
RECORD = "archives.json"
TIMEOUT = 60


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
    folder: Path, *, reports: bool = True, images: bool = True, base_url: str = OFFICIAL_URL
) -> None:
    """Download and unpack the official archives into `folder`, with a progress bar.

    Leaves `ecgen-radiology/`, `NLMCXR_png/` and `archives.json` (url, sha256 and number of files
    of each). What that record names is not downloaded again. A broken download starts afresh; a
    folder is replaced only by a whole new one.

    Raises:
        InputError: no connection, a download that is cut short or has another sha256, an archive
            with another number of files, or one with a member that is a link or a device or
            leaves its folder.
    """
    folder = Path(folder)
    for archive in [REPORTS] * reports + [IMAGES] * images:
        record = read_json(folder / RECORD) if (folder / RECORD).exists() else {}
        if archive.name in record and (folder / archive.folder).is_dir():
            continue
        url = f"{base_url}/{archive.name}"
        path = _download(archive, url, folder)
        entry = {"url": url, "sha256": sha256_of_file(path), "files": archive.count}
        _unpack(archive, path, folder / archive.folder)
        write_json(folder / RECORD, record | {archive.name: entry})
        path.unlink()


def _download(archive: Archive, url: str, folder: Path) -> Path:
    known_hash = archive.sha256 and f"sha256:{archive.sha256}"
    # Pooch would tell the user to copy the hash into the source.
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    try:
        return Path(pooch.retrieve(url, known_hash, archive.name, folder, downloader=downloader))
    except requests.RequestException as error:
        raise InputError(
            f"{url} could not be downloaded ({type(error).__name__}): check the connection and "
            "run again, nothing was lost"
        ) from error
    except OSError as error:
        raise InputError(
            f"{folder} cannot take the download ({error.strerror}): free some space there or "
            "choose another folder"
        ) from error
    # Pooch's word for a wrong hash; the file is already gone then.
    except ValueError as error:
        raise InputError(
            f"{url} is not the archive with sha256 {archive.sha256}: the download was damaged or "
            "the archive has changed, run again"
        ) from error


def _unpack(archive: Archive, path: Path, target: Path) -> None:
    """Unpack into a new folder that replaces `target` when whole; a bad archive is deleted."""
    try:
        with write_beside(target) as beside, tarfile.open(path) as members:
            beside.mkdir()
            count = _unpack_members(archive, members, beside)
            if count != archive.count:
                raise tarfile.ExtractError(
                    f"it holds {count} {archive.suffix} files instead of {archive.count}"
                )
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        path.unlink()
        raise InputError(
            f"{path} is damaged or unsafe ({error}): it was deleted, run again"
        ) from error


def _unpack_members(archive: Archive, members: tarfile.TarFile, folder: Path) -> int:
    count = size = 0
    for member in members:
        # Refuses absolute names, names and links that leave the folder, and devices.
        tarfile.data_filter(member, str(folder))
        if member.isdir():
            continue
        if not member.isfile():
            raise tarfile.ExtractError(f"its member {member.name} is a link")
        if not member.name.endswith(archive.suffix):
            continue
        count += 1
        size += member.size
        if size > archive.max_bytes:
            raise tarfile.ExtractError(f"it unpacks to more than {archive.max_bytes:,} bytes")
        # The official archives differ in whether they wrap their files in a folder.
        path = folder / PurePosixPath(member.name).name
        if path.exists():
            raise tarfile.ExtractError(f"it holds {path.name} twice")
        with open(path, "wb") as file:
            shutil.copyfileobj(members.extractfile(member), file)
    # Read on to the end of the file, where gzip checks its checksum.
    while members.fileobj.read(1 << 20):
        pass
    return count
