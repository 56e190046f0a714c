"""Files that are no picture are told by what they are."""

import bz2
import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.foreign_files import HEAD, what_it_is
from cxr_mtl.data.images import FORMATS, read_image


def image_of(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, kind)
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", b"x")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((8, 8)))
    return file.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
KINDS = [
    (LFS, "a Git LFS pointer, not the picture: run git lfs pull"),
    (b"<!DOCTYPE html><html><body>404", "an HTML page, not the picture: open it to see what"),
    (b"\n\n<html lang='en'>", "an HTML page"),
    (b"<!-- saved -->\n<HTML>", "an HTML page"),
    (b"\xef\xbb\xbf<!doctype html>", "an HTML page"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing: save it as PNG"),
    (b"<?xml version='1.0'?>\n<!-- a -->\n<!DOCTYPE svg>\n<svg/>", "an SVG drawing"),
    (b"<?xml version='1.0'?><report/>", "an XML file, not the picture"),
    (b"%PDF-1.7\n", "a PDF document: export the picture in it as PNG"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript file"),
    (image_of("AVIF"), "an AVIF picture: save it as PNG"),
    (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", "a HEIC picture: save it as PNG"),
    (b"\0\0\0\x18ftypmp42\0\0\0\0", "a film"),
    (image_of("ICO"), "an icon"),
    (b"8BPS\0\1", "a Photoshop file"),
    (b"\xff\x0a\xfa\x1f", "a JPEG XL picture"),
    (b"\xff\xd8\xff\xf7\0\x0b", "a JPEG-LS picture"),
    (zipped(), "a ZIP archive or an office document: unpack it"),
    (gzip.compress(b"x"), "a compressed file: unpack it"),
    (bz2.compress(b"x"), "a compressed file: unpack it"),
    (tarred(), "an archive: unpack it and name the picture in it"),
    (array(), "a NumPy array"),
    (bytes(344) + b"n+1\0", "a NIfTI volume"),
]


@pytest.mark.parametrize(("content", "what"), KINDS, ids=[what for _, what in KINDS])
def test_a_file_is_named_for_what_it_is_with_a_remedy(tmp_path, content, what):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_image(tmp_path / "x.png")
    assert str(refused.value).startswith(f"{tmp_path / 'x.png'} is {what}")
    assert ": " in str(refused.value)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_is_none_of_them(kind):
    assert what_it_is(image_of(kind)[:HEAD]) is None


@pytest.mark.parametrize("content", [b"", b"text", bytes(HEAD), b"BM a bitmap or a word"])
def test_of_anything_else_nothing_is_said(content):
    assert what_it_is(content) is None
