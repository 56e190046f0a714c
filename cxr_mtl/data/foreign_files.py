"""Files that are no picture but often stand where one should, told by how they begin."""

import re

HEAD = 4096
"""Bytes from a file's beginning that tell what it is."""

_CONVERT = "save it as PNG"
_EXPORT = "export the picture in it as PNG"
_UNPACK = "unpack it and name the picture in it"
# Any white space and a byte order mark may stand before text.
_KINDS = [
    (rb"version https://git-lfs", "a Git LFS pointer, not the picture", "run git lfs pull"),
    (rb"(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body)\b", "an HTML page, not the picture",
     "open it to see what the server said, and download the picture again"),
    (rb"(?:<\?xml.*?)?(?:<!.*?>\s*)*<svg\b", "an SVG drawing", _CONVERT),
    (rb"<\?xml", "an XML file, not the picture", "name the picture"),
    (rb"%PDF", "a PDF document", _EXPORT),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file", _EXPORT),
    (rb"\x00\x00\x00.ftyp(?:avif|avis)", "an AVIF picture", _CONVERT),
    (rb"\x00\x00\x00.ftyp(?:hei|hev|mif1|msf1)", "a HEIC picture", _CONVERT),
    (rb"....ftyp", "a film", _EXPORT),
    (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "a JPEG XL picture", _CONVERT),
    (rb"\xff\xd8\xff\xf7", "a JPEG-LS picture", _CONVERT),
    (rb"8BPS", "a Photoshop file", _CONVERT),
    (rb"\x00\x00\x01\x00[^\x00]\x00", "an icon", _CONVERT),
    (rb"PK\x03\x04", "a ZIP archive or an office document", _UNPACK),
    (rb"\x1f\x8b|BZh|\xfd7zXZ\x00|\x28\xb5\x2f\xfd", "a compressed file", "unpack it"),
    (rb"Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|.{257}ustar", "an archive", _UNPACK),
    (rb"\x93NUMPY", "a NumPy array", _CONVERT),
    (rb".{344}(?:n\+1|ni1)\x00", "a NIfTI volume", _EXPORT),
    (rb"NRRD000", "an NRRD volume", _EXPORT),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _EXPORT),
]  # fmt: skip
_PATTERNS = [
    (re.compile(rb"(?:\xef\xbb\xbf)?" + pattern, re.DOTALL | re.IGNORECASE), what, remedy)
    for pattern, what, remedy in _KINDS
]


def what_it_is(head: bytes) -> str | None:
    """What a file is that begins so, and what to do with it; None where a picture may be in it.

    >>> what_it_is(b"%PDF-1.7")
    'a PDF document: export the picture in it as PNG'
    """
    for pattern, what, remedy in _PATTERNS:
        if pattern.match(head.lstrip()) or pattern.match(head):
            return f"{what}: {remedy}"
    return None
