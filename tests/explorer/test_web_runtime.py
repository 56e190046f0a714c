"""The runtime in the pages is the published package's, byte for byte, or nothing is written."""

import base64
import gzip
import hashlib
import io
import json
import tarfile

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.explorer.web_runtime import INTEGRITY, TARBALL, VERSION, assignment, write_runtime

FILES = {
    "ort.wasm.min.js": b"// loader",
    "ort-wasm-simd-threaded.mjs": "export default 'é</script>';".encode(),
    "ort-wasm-simd-threaded.wasm": b"\0asm\1\0\0\0",
}


def runtime_in(folder):
    script = (folder / "runtime.js").read_text()
    assert script.startswith("window.CXR_ORT = ")
    return json.loads(script.partition(" = ")[2].removesuffix(";\n"))


def packed(path, files):
    """A package as npm packs it; returns its integrity."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def test_the_scripts_hold_the_packages_files(tmp_path):
    integrity = packed(tmp_path / "ort.tgz", FILES)
    write_runtime(tmp_path / "pages", tmp_path / "ort.tgz", integrity)
    assert (tmp_path / "pages/ort.wasm.min.js").read_bytes() == b"// loader"
    runtime = runtime_in(tmp_path / "pages")
    assert runtime["version"] == VERSION
    assert runtime["glue"].encode() == FILES["ort-wasm-simd-threaded.mjs"]
    wasm = gzip.decompress(base64.b64decode(runtime["wasm"]))
    assert wasm == FILES["ort-wasm-simd-threaded.wasm"]


def test_a_package_that_is_not_the_published_one_is_refused_and_nothing_is_written(tmp_path):
    packed(tmp_path / "ort.tgz", FILES)
    with pytest.raises(InputError, match=r"ort\.tgz is not the published.*npm pack onnx") as error:
        write_runtime(tmp_path / "pages", tmp_path / "ort.tgz")
    assert f"onnxruntime-web@{VERSION}" in str(error.value)
    assert not (tmp_path / "pages").exists()


def test_a_missing_package_is_named_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match=r"none\.tgz is missing: fetch it.*npm pack"):
        write_runtime(tmp_path, tmp_path / "none.tgz")


def test_a_package_without_a_file_is_refused(tmp_path):
    integrity = packed(tmp_path / "ort.tgz", dict(list(FILES.items())[:2]))
    with pytest.raises(InputError, match=r"lacks a file.*simd-threaded\.wasm"):
        write_runtime(tmp_path / "pages", tmp_path / "ort.tgz", integrity)
    assert not (tmp_path / "pages").exists()


@pytest.mark.skipif(not TARBALL.exists(), reason="onnxruntime-web was not fetched: no npm")
def test_the_package_of_this_environment_is_the_published_one_and_runs_offline(tmp_path):
    write_runtime(tmp_path, TARBALL, INTEGRITY)
    runtime = runtime_in(tmp_path)
    assert gzip.decompress(base64.b64decode(runtime["wasm"])).startswith(b"\0asm")
    assert (tmp_path / "runtime.js").stat().st_size < 6_000_000


HOSTILE = 'a</script><!-- "quoted" \\ \u2028 \u2029 é 肺\n'


def value_of(script, variable):
    head = f"window.{variable} = "
    assert script.startswith(head)
    assert script.endswith(";\n")
    return json.loads(script.removeprefix(head).removesuffix(";\n"))


def test_the_value_comes_back_whatever_its_texts_hold():
    value = {"report": HOSTILE, HOSTILE: [1, 0.5, None, True]}
    assert value_of(assignment("X", value), "X") == value


def test_a_script_is_ascii_on_one_line_and_opens_no_tag():
    script = assignment("X", [HOSTILE])
    assert script.isascii()
    assert "<" not in script
    assert script.count("\n") == 1


def test_a_number_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        assignment("X", float("nan"))
