"""Classic scripts, all that a page opened from disk may load: any value, and onnxruntime-web.

The package, under the MIT licence, is checked and read without unpacking it; its WebAssembly module
and the glue that this needs become strings of one script.
"""

import base64
import gzip
import hashlib
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from cxr_mtl.base.errors import InputError

VERSION = "1.30.0"
INTEGRITY = (
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZ"
    "ClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
TARBALL = Path(sys.prefix) / f"share/cxr-mtl/onnxruntime-web-{VERSION}.tgz"
RUNTIME, LOADER = "runtime.js", "ort.wasm.min.js"
_GLUE, _WASM = "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"


def write_runtime(folder: Path, tarball: Path = TARBALL, integrity: str = INTEGRITY) -> None:
    """Write what a page needs to run ONNX models: `runtime.js` and `ort.wasm.min.js`.

    `runtime.js` sets `window.CXR_ORT` to `version`, `glue` (the text of a JavaScript module) and
    `wasm` (base64 of the gzipped WebAssembly module).

    Args:
        integrity: the package's `dist.integrity` at npm, sha512 in base64.

    Raises:
        InputError: the package is missing, is another one, or lacks one of its files.
    """
    loader, glue, wasm = _members(tarball, integrity)
    runtime = {
        "version": VERSION,
        "glue": glue.decode(),
        "wasm": base64.b64encode(gzip.compress(wasm, mtime=0)).decode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOADER).write_bytes(loader)
    (folder / RUNTIME).write_text(assignment("CXR_ORT", runtime), encoding="ascii")


def assignment(variable: str, value: Any) -> str:
    """A script that sets `window.<variable>` to a JSON value, in ASCII.

    No text in the value can end a script element, also where the script is put inside a page.

    Raises:
        ValueError: the value holds NaN or infinity.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    escaped = text.replace("<", r"\u003c")
    return f"window.{variable} = {escaped};\n"


def _members(tarball: Path, integrity: str) -> list[bytes]:
    again = f"fetch it again with `npm pack onnxruntime-web@{VERSION}` into {tarball.parent}"
    try:
        with open(tarball, "rb") as file:
            found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    except FileNotFoundError:
        raise InputError(f"{tarball} is missing: {again}") from None
    if f"sha512-{found}" != integrity:
        raise InputError(f"{tarball} is not the published package, its sha512 is {found}: {again}")
    with tarfile.open(tarball) as archive:
        try:
            return [
                archive.extractfile(f"package/dist/{name}").read()
                for name in (LOADER, _GLUE, _WASM)
            ]
        except KeyError as error:
            raise InputError(f"{tarball} lacks a file ({error.args[0]}): {again}") from error
