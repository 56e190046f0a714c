"""Reports as XML, in folders and archives; and archives that are unpacked."""

import gzip
import io
import random
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from door import Door
from hostile import PIECES, seeds
from hypothesis import strategies as st
from mutation import NUMBERS, mutated

from cxr_mtl.data import download
from cxr_mtl.data.openi import IMAGES_FOLDER, REPORTS_FOLDER, read_reports

Members = list[tuple[str, bytes]]

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<eCitation>
<pmcId id={pmcid}/><uId id={uid}/>
<MedlineCitation><Article><Abstract>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">{impression}</AbstractText>
</Abstract></Article></MedlineCitation>
<MeSH><major>{heading}</major><automatic>lungs</automatic></MeSH>
<parentImage id={image}><caption>PA</caption></parentImage>
</eCitation>
"""
ENTITIES = (
    '<!DOCTYPE a [<!ENTITY b "bbbbbbbb">]>',
    '<!DOCTYPE a [<!ENTITY c SYSTEM "../secret">]>',
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>',
)


def report(study: str, **parts: str) -> bytes:
    """The XML of a report whose parts are text, not markup."""
    words = {"findings": "The lungs are clear.", "impression": "No acute disease."}
    words = {"heading": "normal", "image": f"CXR{study}_IM-1", "pmcid": "1"} | words | parts
    quoted = {"uid": quoteattr(parts.get("uid", f"CXR{study}"))}
    for name, text in words.items():
        quoted[name] = quoteattr(text) if name in ("image", "pmcid") else escape(text)
    return REPORT.format(**quoted).encode("utf-8", "replace")


def _reports(seed: int) -> Members:
    """Report files, some of them wrong: other texts and ids, entities, damaged bytes, nests."""
    rng = random.Random(seed)
    members = []
    for number in range(rng.randint(0, 4)):
        part = rng.choice(("findings", "impression", "heading", "image", "pmcid", "uid"))
        text = "".join(rng.choices(PIECES, k=rng.randint(0, 3)))
        parts = {part: text} if rng.random() < 0.5 else {}
        content = report(str(rng.choice((1, 2, 2, 3, number, 10**30))), **parts)
        if rng.random() < 0.1:
            content = content.replace(
                b"<eCitation>", rng.choice(ENTITIES).encode() + b"<eCitation>"
            )
            content = content.replace(b"The lungs", b"&c;&d;")
        if rng.random() < 0.05:
            deep = rng.choice((10, 300, 100_000))
            content = content.replace(b"clear", b"<b>" * deep + b"clear" + b"</b>" * deep)
        if rng.random() < 0.1:
            content = content.decode().encode(rng.choice(("utf-16", "latin-1", "cp037")), "replace")
        if rng.random() < 0.4:
            content = mutated(content, rng)
        members.append(
            (rng.choice((f"{number}.xml", f"{number}.xml", ".xml", "notes.txt")), content)
        )
    return members


def _lay_reports(folder: Path, members: Members) -> Path:
    (folder / REPORTS_FOLDER).mkdir()
    for name, content in members:
        (folder / REPORTS_FOLDER / name).write_bytes(content)
    return folder


def _check_reports(source: Path, members: Any, result: Any) -> None:
    """Every report is read or named."""
    files = {name for name, _ in members if name.endswith(".xml")}
    table, unreadable = result
    assert len(table) + len(unreadable) == len(files)
    assert set(unreadable["file"]) <= files
    assert (unreadable["reason"] != "").all()


def _archive(seed: int | None, suffix: str, honest: Members) -> bytes:
    """A gzipped archive with members that are links, devices, huge, elsewhere or damaged.

    Without a seed there is nothing wrong with it.
    """
    file = io.BytesIO()
    if seed is None:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, content in honest:
                _add(archive, name, content)
        return file.getvalue()
    rng = random.Random(seed)
    kinds = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)
    with tarfile.open(fileobj=file, mode="w", format=rng.choice(kinds)) as archive:
        for name, content in honest:
            if rng.random() < 0.95:
                _add(archive, rng.choice((name, name, f"folder/{name}", f"./{name}")), content)
        for _ in range(rng.choice((0, 0, 1, 2))):
            _add_odd(archive, rng, suffix)
    content = file.getvalue()
    if rng.random() < 0.3:
        content = mutated(content, rng)
    packed = gzip.compress(content, 1, mtime=0) if rng.random() < 0.9 else content
    return mutated(packed, rng, 2) if rng.random() < 0.3 else packed


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _add_odd(archive: tarfile.TarFile, rng: random.Random, suffix: str) -> None:
    places = ("a", "../a", "/tmp/a", "in/../../a", "x/" * 60 + "a", ".", "..", "a\nb", "肺", "")
    member = tarfile.TarInfo(rng.choice(places) + suffix)
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
    member.type = rng.choice((*kinds, tarfile.REGTYPE, tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE))
    member.linkname = rng.choice(("../secret", "/etc/passwd", "a" + suffix, ".", ""))
    member.mode = rng.choice((0, 0o644, 0o7777))
    member.size = rng.choice((0, 5, 5, *NUMBERS)) if member.isreg() else 0
    try:
        archive.addfile(member, io.BytesIO(b"12345") if member.size == 5 else None)
    except (ValueError, OSError, UnicodeError):  # this format of archives has no place for it
        archive.fileobj.seek(archive.offset)


def _lay_report_archive(folder: Path, value: tuple[int | None, Members]) -> Path:
    seed, members = value
    (folder / "reports.tgz").write_bytes(_archive(seed, ".xml", members))
    return folder / "reports.tgz"


IMAGES = [("CXR1_IM-1.png", b"one"), ("CXR2_IM-1.png", b"two")]


def _lay_images(folder: Path, seed: int | None) -> Path:
    """The archive lies where it is looked for, as if it had been put there by hand."""
    out = folder.parent / "out"
    (out / download.IMAGES.name).write_bytes(_archive(seed, ".png", IMAGES))
    return out


def _fetch_images(folder: Path) -> Path:
    official = download.IMAGES
    download.IMAGES = replace(official, count=len(IMAGES), max_bytes=1000)
    try:
        download.fetch(folder, reports=False, report=lambda line: None)
    finally:
        download.IMAGES = official
    return folder


def _check_images(folder: Path, seed: Any, result: Any) -> None:
    found = {path.name for path in (folder / IMAGES_FOLDER).iterdir()}
    assert len(found) == len(IMAGES)
    assert (folder / download.IMAGES.name).is_file()  # it is the user's
    assert all(path.is_file() and not path.is_symlink() for path in folder.glob("*/*"))


DOORS = [
    Door(
        "reports as XML",
        seeds.map(_reports),
        _lay_reports,
        read_reports,
        [("1.xml", report("1"))],
        2000,
        _check_reports,
    ),
    Door(
        "archive of reports",
        st.tuples(seeds, seeds.map(_reports)),
        _lay_report_archive,
        read_reports,
        (None, [("1.xml", report("1"))]),
        1000,
    ),
    Door("archive of images", seeds, _lay_images, _fetch_images, None, 1000, _check_images),
]
