"""The reports of the Open-I chest X-ray collection, as they are.

Demner-Fushman et al., "Preparing a collection of radiology examinations for distribution and
retrieval", JAMIA 2016. The package torchxrayvision carries the official reports archive.
"""

import importlib.util
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from lxml import etree

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import normalise_text

REPORTS_FOLDER = "ecgen-radiology"
IMAGES_FOLDER = "NLMCXR_png"
MAX_REPORT_BYTES = 1_000_000
NORMAL, NOT_INDEXED = "normal", "No Indexing"
DEIDENTIFIED = "XXXX"
SECTIONS = ("indication", "comparison", "findings", "impression")


def installed_file(name: str) -> Path:
    """Path of a data file of the installed torchxrayvision, which is not imported for it.

    Raises:
        InputError: the package or the file is not there.
    """
    package = importlib.util.find_spec("torchxrayvision")
    if package is None or package.origin is None:
        raise InputError("torchxrayvision is not installed: install the project's dependencies")
    path = Path(package.origin).parent / "data" / name
    if not path.is_file():
        raise InputError(f"{path} is missing: install torchxrayvision 1.5.7 or later again")
    return path


def read_reports(source: Path | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read every report of the collection.

    Args:
        source: a folder holding `ecgen-radiology/*.xml`, or the archive `NLMCXR_reports.tgz`;
            None reads the archive in the installed torchxrayvision.

    Returns:
        Reports, by study number: `study`, `pmcid`, `indication`, `comparison`, `findings`,
        `impression` (str, "" where absent), `mesh_major`, `mesh_automatic`, `image_ids`,
        `captions` (lists of str, the last two in one order); and the files that could not be read:
        `file`, `reason`.

    Raises:
        InputError: the source is missing, holds no XML, or is a damaged archive.
    """
    source = Path(source) if source else installed_file("NLMCXR_reports.tgz")
    reports: dict[str, dict] = {}
    unreadable: list[tuple[str, str]] = []
    for file, content in _xml_files(source):
        try:
            report = _parse_report(content)
        except (ValueError, etree.XMLSyntaxError) as error:
            unreadable.append((file, str(error)))
            continue
        if report["study"] in reports:
            unreadable.append((file, f"study {report['study']} is already in another file"))
        else:
            reports[report["study"]] = report
    if not reports and not unreadable:
        raise InputError(f"{source} holds no {REPORTS_FOLDER}/*.xml: name the Open-I folder")
    columns = ["study", "pmcid", *SECTIONS, "mesh_major", "mesh_automatic", "image_ids", "captions"]
    table = pd.DataFrame([reports[s] for s in sorted(reports, key=int)], columns=columns)
    return table, pd.DataFrame(unreadable, columns=["file", "reason"])


def _xml_files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in sorted((source / REPORTS_FOLDER).glob("*.xml")):
            with open(path, "rb") as file:
                yield path.name, file.read(MAX_REPORT_BYTES + 1)
        return
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".xml"):
                    content = archive.extractfile(member).read(MAX_REPORT_BYTES + 1)
                    yield Path(member.name).name, content
    except FileNotFoundError:
        raise InputError(f"{source} is missing: name an Open-I folder or archive") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{source} is a damaged archive ({error}): download it again") from error


def _parse_report(content: bytes) -> dict:
    if len(content) > MAX_REPORT_BYTES:
        raise ValueError(f"it is larger than {MAX_REPORT_BYTES:,} bytes")
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False
    )
    root = etree.fromstring(content, parser)
    if root.getroottree().docinfo.doctype:
        raise ValueError("it declares a document type, which no Open-I report does")
    number = re.fullmatch(r"CXR(\d+)", _attribute(root, "uId"))
    if number is None:
        raise ValueError("its uId is not CXR followed by a number")
    images = [
        (image.get("id", ""), _text(image.find("caption"))) for image in root.iter("parentImage")
    ]
    for image_id, _ in images:
        # The id becomes a file name.
        if not re.fullmatch(r"[\w-]+", image_id, re.ASCII):
            raise ValueError(f"its image id '{image_id}' is not a plain name")
    abstract = {name: [] for name in SECTIONS}
    for section in root.iter("AbstractText"):
        abstract.setdefault(section.get("Label", "").lower(), []).append(_text(section))
    return {
        "study": number[1],
        "pmcid": _attribute(root, "pmcId"),
        **{name: " ".join(filter(None, abstract[name])) for name in SECTIONS},
        "mesh_major": _headings(root, "major"),
        "mesh_automatic": _headings(root, "automatic"),
        "image_ids": [image_id for image_id, _ in images],
        "captions": [caption for _, caption in images],
    }


def _headings(root: etree._Element, kind: str) -> list[str]:
    return [(heading.text or "").strip() for heading in root.iterfind(f"MeSH/{kind}")]


def _attribute(root: etree._Element, tag: str) -> str:
    element = root.find(tag)
    return "" if element is None else element.get("id", "")


def _text(element: etree._Element | None) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())


def collection_counts(reports: pd.DataFrame) -> dict[str, int]:
    """Count what the collection holds; `imaged_…` counts only studies that reference an image.

    The paper's 3,955 are the reports, and its 38 % normal are `imaged_normal` and
    `imaged_not_indexed` among `imaged`. Words and texts are those of findings and impression
    together; `imaged_abnormal_no_acute` are indexed abnormal though their impression says
    "no acute …" or "no active …".
    """
    findings, impression = reports["findings"], reports["impression"]
    text = (findings + " " + impression).str.strip()
    words = text.str.split().str.len()
    images = reports["image_ids"].str.len()
    imaged = images > 0
    normal = reports["mesh_major"].map(lambda headings: NORMAL in headings)
    not_indexed = reports["mesh_major"].map(lambda headings: NOT_INDEXED in headings)
    abnormal = ~normal & ~not_indexed
    no_acute = impression.str.contains("no (?:acute|active)", case=False)
    counts = {
        "reports": len(reports),
        "images": images.sum(),
        "imaged": imaged.sum(),
        "not_imaged": (~imaged).sum(),
        "without_findings": (findings == "").sum(),
        "without_impression": (impression == "").sum(),
        "without_both": (text == "").sum(),
        "with_text": (text != "").sum(),
        "deidentified": text.str.contains(DEIDENTIFIED).sum(),
        "median_words": words.median(),
        "imaged_over_58_words": (imaged & (words > 58)).sum(),
        "imaged_over_180_words": (imaged & (words > 180)).sum(),
        "normal": normal.sum(),
        "not_indexed": not_indexed.sum(),
        "abnormal": abnormal.sum(),
        "imaged_normal": (imaged & normal).sum(),
        "imaged_not_indexed": (imaged & not_indexed).sum(),
        "imaged_abnormal_no_acute": (imaged & abnormal & no_acute).sum(),
        "imaged_with_text": (imaged & (text != "")).sum(),
        "imaged_distinct_texts": text[imaged & (text != "")].map(normalise_text).nunique(),
        "headings": reports["mesh_major"].explode().str.split("/").str[0].nunique(),
    }
    return {name: int(count) for name, count in counts.items()}
