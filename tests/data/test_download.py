"""The download, against a server on this machine: whole or absent, and safe."""

import errno
import fcntl
import gzip
import hashlib
import io
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.data import download as archives
from cxr_mtl.data import resumed_download
from cxr_mtl.data.download import fetch
from cxr_mtl.data.openi import installed_file, read_reports
from cxr_mtl.data.resumed_download import download

NOWHERE = "http://127.0.0.1:1/none"
REPORTS = installed_file("NLMCXR_reports.tgz").read_bytes()


class Server(ThreadingHTTPServer):
    """Serves `files` by name, with ranges and `headers` if it has any; breaks after `cut` bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: int | None = None
        self.ranges = False
        self.keeps_asked_content = True
        self.tells_size = True
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/collections"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, name, asked = self.server, Path(self.path).name, self.headers.get("Range")
        server.requests.append(f"{name} {asked}" if asked else name)
        content = server.files.get(name)
        if content is None or server.status:
            self.send_error(server.status or 404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        condition = self.headers.get("If-Range")
        same = condition in (None, *server.headers.values()) or not server.keeps_asked_content
        if not (server.ranges and asked and same):
            self.send_response(200)
            start = 0
        elif start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            content = b""
        else:
            self.send_response(206)
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        for header, value in server.headers.items():
            self.send_header(header, value)
        if server.tells_size:
            self.send_header("Content-Length", str(len(content[start:])))
        self.end_headers()
        self.wfile.write(content[start:][: server.cut])

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


def negative(archive: bytes) -> bytes:
    """The archive with a first member of a size below 0, in base 256."""
    content = bytearray(gzip.decompress(archive))
    content[124:136] = b"\xff" * 11 + b"\x00"
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    return gzip.compress(bytes(content))


def headers_of_headers() -> bytes:
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    return gzip.compress(header.tobuf() * 5000)


@pytest.fixture
def five_images(monkeypatch) -> None:
    """An official archive of five images, so that tests need not unpack 7,470."""
    monkeypatch.setattr(archives, "IMAGES", replace(archives.IMAGES, count=5, max_bytes=1000))


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


BAD_IMAGES = {
    "too few": (tgz(*images(4)), "holds 4 .png files instead of 5"),
    "too many": (tgz(*images(6)), "holds 6"),
    "none": (tgz(), "holds 0"),
    "a header of 2 MiB": (tgz(("x" * (2 << 20) + ".png", b"x")), "a header claims 2,097,1"),
    "a negative size": (negative(tgz(*images(5))), "a header claims -"),
    "endless members": (
        tgz(*(link(tarfile.DIRTYPE, f"{n}", "") for n in range(2000))),
        "more than 1,006 members",
    ),
    "headers of headers": (headers_of_headers(), "damaged or unsafe"),
    "a name too long": (tgz(("x" * 252 + ".png", b"1")), "name is no file's name"),
    "endless": (gzip.compress(bytes(10240 + (1 << 26)), 1), "holds 0|goes on after its end"),
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
def test_a_bad_download_is_refused_and_removed(server, tmp_path, content, message):
    folder = tmp_path / "data"
    server.files = {"NLMCXR_png.tgz": content}
    with pytest.raises(InputError, match=message):
        fetch(folder, reports=False, base_url=server.url)
    assert list(folder.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    server.files = {"NLMCXR_png.tgz": tgz(*images(5))}
    fetch(folder, reports=False, base_url=server.url)
    assert unpacked(folder) == dict(images(5))


@pytest.mark.usefixtures("five_images")
@pytest.mark.parametrize(("content", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_a_bad_archive_that_a_user_brought_is_named_and_kept(tmp_path, content, message):
    (tmp_path / "NLMCXR_png.tgz").write_bytes(content)
    with pytest.raises(InputError, match=rf"{message}|is empty") as error:
        fetch(tmp_path, reports=False, base_url=NOWHERE)
    assert str(tmp_path / "NLMCXR_png.tgz") in str(error.value)
    assert "replace it" in str(error.value)
    assert (tmp_path / "NLMCXR_png.tgz").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["NLMCXR_png.tgz"]


@pytest.mark.usefixtures("five_images")
def test_an_archive_that_a_user_brought_is_unpacked_and_kept(tmp_path):
    content = tgz(*images(5))
    (tmp_path / "NLMCXR_png.tgz").write_bytes(content)
    said = []
    fetch(tmp_path, reports=False, base_url=NOWHERE, report=said.append)
    assert unpacked(tmp_path) == dict(images(5))
    assert (tmp_path / "NLMCXR_png.tgz").read_bytes() == content
    assert said == [
        f"{tmp_path}/NLMCXR_png.tgz is unpacked, and kept since it was not downloaded by this "
        "program"
    ]
    digest = hashlib.sha256(content).hexdigest()
    record = {"NLMCXR_png.tgz": {"sha256": digest, "files": 5}}
    assert read_json(tmp_path / "archives.json") == record


def test_reports_that_a_user_brought_are_checked_and_kept(tmp_path):
    (tmp_path / "NLMCXR_reports.tgz").write_bytes(tgz(("ecgen-radiology/1.xml", b"<x/>")))
    with pytest.raises(InputError, match=r"is not the archive with sha256 8fb6de7e.*it was left"):
        fetch(tmp_path, images=False, base_url=NOWHERE)
    (tmp_path / "NLMCXR_reports.tgz").write_bytes(REPORTS)
    fetch(tmp_path, images=False, base_url=NOWHERE)
    assert (tmp_path / "NLMCXR_reports.tgz").read_bytes() == REPORTS
    assert len(read_reports(tmp_path)[0]) == 3955


@pytest.mark.usefixtures("five_images")
def test_a_folder_that_a_user_unpacked_is_taken_if_it_is_whole_and_never_replaced(tmp_path):
    folder = tmp_path / "NLMCXR_png"
    folder.mkdir()
    for name, content in images(4):
        (folder / name).write_bytes(content)
    message = (
        r"NLMCXR_png is there, .* holds 4 \.png files instead of 5: move it away and run again"
    )
    with pytest.raises(InputError, match=message):
        fetch(tmp_path, reports=False, base_url=NOWHERE)
    assert unpacked(tmp_path) == dict(images(4))
    (folder / "CXR4_IM-1.png").write_bytes(b"4")
    fetch(tmp_path, reports=False, base_url=NOWHERE)
    assert unpacked(tmp_path) == dict(images(5))
    assert read_json(tmp_path / "archives.json") == {"NLMCXR_png.tgz": {"files": 5}}


def test_a_reports_archive_with_another_hash_is_refused(server, tmp_path):
    server.files = {"NLMCXR_reports.tgz": tgz(("ecgen-radiology/1.xml", b"<x/>"))}
    with pytest.raises(InputError, match="is not the archive with sha256 8fb6de7e"):
        fetch(tmp_path, images=False, base_url=server.url)
    assert list(tmp_path.iterdir()) == []


def test_a_record_of_another_kind_is_told(tmp_path):
    (tmp_path / "archives.json").write_text("[1]")
    with pytest.raises(InputError, match=r"archives\.json is damaged .*: delete it and run again"):
        fetch(tmp_path, base_url=NOWHERE)


def test_a_folder_that_cannot_be_written_is_told_before_the_download(server, read_only_folder):
    with pytest.raises(InputError, match=r"archives\.json cannot be written \(Permission denied\)"):
        fetch(read_only_folder / "data", base_url=server.url)
    assert server.requests == []


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
    with pytest.raises(
        InputError, match=r"tgz could not be downloaded \(the server answers 404 Not"
    ):
        fetch(tmp_path, base_url=server.url)
    with pytest.raises(InputError, match="check the connection"):
        fetch(tmp_path, base_url=NOWHERE)
    assert list(tmp_path.iterdir()) == []


# A broken download ------------------------------------------------------------------------------

CONTENT = np.random.default_rng(0).bytes(50_000)
OTHER = np.random.default_rng(1).bytes(60_000)
ETAG = {"ETag": '"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
DATE = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(resumed_download, "CHUNK", 100)


@pytest.fixture
def broken(server, tmp_path, small_chunks):
    """A download of `CONTENT` that broke after 20,000 bytes, as `url, path`."""
    server.files = {"x.tgz": CONTENT}
    server.ranges, server.headers, server.cut = True, dict(ETAG), 20_000
    return f"{server.url}/x.tgz", tmp_path / "x.tgz.download"


def break_off(server, url, path):
    with pytest.raises(
        InputError, match=r"could not be downloaded .* the 20,000 bytes that came are"
    ):
        download(url, path)
    assert path.read_bytes() == CONTENT[:20_000]
    server.cut = None


@pytest.mark.parametrize("headers", [ETAG, DATE])
def test_a_broken_download_goes_on_where_it_stopped(server, broken, headers, capsys):
    url, path = broken
    server.headers = headers
    break_off(server, url, path)
    capsys.readouterr()
    download(url, path)
    assert path.read_bytes() == CONTENT
    assert server.requests == ["x.tgz", "x.tgz bytes=20000-"]
    assert "going on at 20,000 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"ranges": False},
        {"headers": {}},
        {"headers": {"ETag": 'W/"1"'}},
    ],
)
def test_where_the_server_cannot_go_on_a_download_begins_anew(server, broken, change):
    url, path = broken
    for name, value in change.items():
        setattr(server, name, value)
    break_off(server, url, path)
    download(url, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("other", [OTHER, CONTENT[:10_000]])
def test_content_that_changed_in_between_is_never_mixed(server, broken, keeps, other):
    url, path = broken
    break_off(server, url, path)
    server.files = {"x.tgz": other}
    server.headers = {"ETag": '"2"', "Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT"}
    server.keeps_asked_content = keeps
    download(url, path)
    assert path.read_bytes() == other


def test_another_address_begins_anew(server, broken):
    url, path = broken
    break_off(server, url, path)
    server.files["y.tgz"] = OTHER
    download(url.replace("x.tgz", "y.tgz"), path)
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_server_in_trouble_costs_nothing_of_what_came(server, broken, status):
    url, path = broken
    break_off(server, url, path)
    server.status = status
    with pytest.raises(
        InputError, match=f"the server answers {status} .*20,000 bytes that came are"
    ):
        download(url, path)
    server.status = None
    download(url, path)
    assert path.read_bytes() == CONTENT
    assert server.requests[-1] == "x.tgz bytes=20000-"


@pytest.mark.parametrize("about", [b"", b"[]", b"{}", b'{"url": 3}', b"\xff"])
def test_without_its_record_a_download_begins_anew(server, broken, about):
    url, path = broken
    break_off(server, url, path)
    path.with_name("x.tgz.download.json").write_bytes(about)
    download(url, path)
    assert path.read_bytes() == CONTENT
    assert server.requests == ["x.tgz", "x.tgz"]


@pytest.mark.parametrize("tells_size", [True, False])
def test_a_whole_download_is_not_asked_for_again(server, broken, tells_size):
    url, path = broken
    server.cut, server.tells_size = None, tells_size
    for _ in range(2):
        download(url, path)
    assert path.read_bytes() == CONTENT
    assert server.requests == ["x.tgz"]


def test_two_processes_do_not_write_one_download(server, broken):
    url, path = broken
    with open(path, "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"another process is downloading .*: wait for it"):
            download(url, path)
    assert server.requests == []


@pytest.mark.usefixtures("five_images", "small_chunks")
def test_a_killed_fetch_goes_on_where_it_stopped(server, tmp_path):
    server.ranges, server.headers = True, ETAG
    content = tgz(*images(5))
    server.files, server.cut = {"NLMCXR_png.tgz": content}, 100
    with pytest.raises(InputError, match="the 100 bytes that came are kept"):
        fetch(tmp_path, reports=False, base_url=server.url)
    server.cut = None
    fetch(tmp_path, reports=False, base_url=server.url)
    assert unpacked(tmp_path) == dict(images(5))
    assert server.requests[1] == "NLMCXR_png.tgz bytes=100-"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["NLMCXR_png", "archives.json"]
