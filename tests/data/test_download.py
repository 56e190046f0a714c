"""The download, against a server on this machine: whole or absent, and safe."""

import errno
import hashlib
import io
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.data import download as archive
from cxr_mtl.data.download import fetch
from cxr_mtl.data.openi import installed_file, read_reports

REPORTS = installed_file("NLMCXR_reports.tgz").read_bytes()


class Server(ThreadingHTTPServer):
    """Serves `files` by name; sends only `cut` bytes of each while `cut` is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: int | None = None
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/collections"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = Path(self.path).name
        self.server.requests.append(name)
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.server.cut])

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def tgz(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return file.getvalue()


def images(count: int, prefix: str = "") -> list[tuple[str, bytes]]:
    return [(f"{prefix}CXR{i}_IM-1.png", b"%d" % i) for i in range(count)]


def link(kind: bytes, name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


@pytest.fixture
def five_images(monkeypatch) -> None:
    """An official archive of five images, so that tests need not unpack 7,470."""
    monkeypatch.setattr(archive, "IMAGES", replace(archive.IMAGES, count=5, max_bytes=1000))


def unpacked(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "NLMCXR_png").iterdir()}


def test_archives_of_the_official_size_are_unpacked_and_recorded(server, tmp_path):
    folder = tmp_path / "Open I"
    pngs = tgz(*images(7470))
    server.files = {"NLMCXR_reports.tgz": REPORTS, "NLMCXR_png.tgz": pngs}
    fetch(folder, base_url=server.url)
    assert unpacked(folder) == dict(images(7470))
    assert len(read_reports(folder)[0]) == 3955
    assert read_json(folder / "archives.json") == {
        "NLMCXR_reports.tgz": {
            "url": f"{server.url}/NLMCXR_reports.tgz",
            "sha256": hashlib.sha256(REPORTS).hexdigest(),
            "files": 3955,
        },
        "NLMCXR_png.tgz": {
            "url": f"{server.url}/NLMCXR_png.tgz",
            "sha256": hashlib.sha256(pngs).hexdigest(),
            "files": 7470,
        },
    }
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["NLMCXR_png", "archives.json", "ecgen-radiology"]


@pytest.mark.usefixtures("five_images")
@pytest.mark.parametrize("prefix", ["./", "NLMCXR_png/", "a/b/"])
def test_images_are_unpacked_flat_wherever_the_archive_keeps_them(server, tmp_path, prefix):
    server.files = {"NLMCXR_png.tgz": tgz(*images(5, prefix), ("readme.txt", b"not an image"))}
    fetch(tmp_path, reports=False, base_url=server.url)
    assert unpacked(tmp_path) == dict(images(5))


def test_what_is_there_is_not_downloaded_again(server, tmp_path):
    server.files = {"NLMCXR_reports.tgz": REPORTS}
    for _ in range(2):
        fetch(tmp_path, images=False, base_url=server.url)
    assert server.requests == ["NLMCXR_reports.tgz"]


def with_old_images(folder: Path) -> Path:
    (folder / "NLMCXR_png").mkdir(parents=True)
    (folder / "NLMCXR_png" / "old.png").write_bytes(b"old")
    return folder


def assert_only_old_images(folder: Path) -> None:
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert files == ["NLMCXR_png/old.png"]


BAD_IMAGES = {
    "too few": (tgz(*images(4)), "holds 4 .png files instead of 5"),
    "too many": (tgz(*images(6)), "holds 6"),
    "none": (tgz(), "holds 0"),
    "too large": (tgz(("a.png", b"x" * 600), ("b.png", b"x" * 600)), "more than 1,000 bytes"),
    "bad checksum": (tgz(*images(5))[:-8] + bytes(8), "damaged or unsafe"),
    "truncated": (tgz(*images(5))[:100], "damaged or unsafe"),
    "not an archive": (b"<html>moved</html>", "damaged or unsafe"),
    "empty": (b"", "damaged or unsafe"),
    "leaves its folder": (tgz(("../../evil.png", b"x"), *images(4)), "unsafe .*outside"),
    "symbolic link": (tgz(link(tarfile.SYMTYPE, "a.png", "CXR1_IM-1.png")), "is a link"),
    "link outside": (tgz(link(tarfile.SYMTYPE, "a", "../../x")), "unsafe .*outside"),
    "hard link": (tgz(link(tarfile.LNKTYPE, "a.png", "CXR1_IM-1.png")), "is a link"),
    "device": (tgz(link(tarfile.CHRTYPE, "a.png", "")), "damaged or unsafe"),
    "name twice": (tgz(("a/x.png", b"1"), ("b/x.png", b"2")), "x.png twice"),
}


@pytest.mark.usefixtures("five_images")
@pytest.mark.parametrize(("content", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_a_bad_archive_is_refused_and_the_old_data_kept(server, tmp_path, content, message):
    folder = with_old_images(tmp_path / "data")
    server.files = {"NLMCXR_png.tgz": content}
    with pytest.raises(InputError, match=message):
        fetch(folder, reports=False, base_url=server.url)
    assert_only_old_images(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    server.files = {"NLMCXR_png.tgz": tgz(*images(5))}
    fetch(folder, reports=False, base_url=server.url)
    assert unpacked(folder) == dict(images(5))


def test_a_reports_archive_with_another_hash_is_refused(server, tmp_path):
    server.files = {"NLMCXR_reports.tgz": tgz(("ecgen-radiology/1.xml", b"<x/>"))}
    with pytest.raises(InputError, match="is not the archive with sha256 8fb6de7e"):
        fetch(tmp_path, images=False, base_url=server.url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("five_images")
def test_a_cut_connection_loses_nothing_and_the_next_call_succeeds(server, tmp_path):
    folder = with_old_images(tmp_path)
    server.files = {"NLMCXR_png.tgz": tgz(*images(5))}
    server.cut = 100
    with pytest.raises(InputError, match="could not be downloaded"):
        fetch(folder, reports=False, base_url=server.url)
    assert_only_old_images(folder)
    server.cut = None
    fetch(folder, reports=False, base_url=server.url)
    assert unpacked(folder) == dict(images(5))


@pytest.mark.usefixtures("five_images")
def test_a_full_disk_is_told_and_the_download_kept(server, tmp_path, monkeypatch):
    def no_space(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    server.files = {"NLMCXR_png.tgz": tgz(*images(5))}
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", no_space)
        with pytest.raises(InputError, match="disk is full"):
            fetch(tmp_path, reports=False, base_url=server.url)
    fetch(tmp_path, reports=False, base_url=server.url)
    assert unpacked(tmp_path) == dict(images(5))
    assert server.requests == ["NLMCXR_png.tgz"]


def test_no_server_and_no_file_are_told_in_one_sentence(server, tmp_path):
    with pytest.raises(InputError, match=r"NLMCXR_reports\.tgz could not be downloaded"):
        fetch(tmp_path, base_url=server.url)
    with pytest.raises(InputError, match="check the connection"):
        fetch(tmp_path, base_url="http://127.0.0.1:1/none")
