"""A file of weights from anywhere: recognised by its first bytes, and read as tensors only."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from open_clip.factory import load_checkpoint
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import check_regular_file

SAFETENSORS = ".safetensors"
ENDINGS = (SAFETENSORS, ".bin", ".pth", ".pt")
OTHER_ENDINGS = {
    ".onnx": "ONNX",
    ".h5": "Keras",
    ".keras": "Keras",
    ".pb": "TensorFlow",
    ".tflite": "TensorFlow",
    ".index": "TensorFlow",
    ".msgpack": "Flax",
    ".gguf": "llama.cpp",
    ".npz": "NumPy",
    ".engine": "TensorRT",
    ".ckpt": "PyTorch Lightning",
}
"""Files of other programs, which hold weights that are not read."""

_POINTER = b"version https://git-lfs"
_AGAIN = "copy or download it again"
_CONVERT = "save the tensors alone as open_clip_model.safetensors"
_MARKS = (
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"BZh", "a bzip2 archive", "unpack it"),
    (b"\xfd7zXZ", "an xz archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it"),
    (b"\x89HDF", "a Keras file (HDF5)", _CONVERT),
    (b"\x93NUMPY", "a NumPy array", _CONVERT),
    (b"GGUF", "a llama.cpp file (GGUF)", "take the model in OpenCLIP's form"),
)


def check_no_pointer(path: Path) -> None:
    """Refuse what stands where a large file should: a Git LFS pointer or an HTML page.

    Raises:
        InputError: the file is such, or is missing, empty, no regular file or not to be read.
    """
    head = _head(path)
    if head.startswith(_POINTER):
        size = re.search(rb"\nsize (\d+)", head)
        of = f" of {int(size[1]):,} bytes" if size else ""
        raise InputError(
            f"{path} is a Git LFS pointer to a file{of}, not that file: run `git lfs pull` in "
            f"{path.parent}"
        )
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|error)", head, re.IGNORECASE):
        raise InputError(
            f"{path} is a page of HTML that a server sent in the file's place: download the file "
            "itself"
        )


def check_weights(path: Path) -> list[str]:
    """The names of the tensors in a file, of which no code is run and no claimed size believed.

    Raises:
        InputError: it is no whole safetensors file or PyTorch file by its ending, or holds
            anything else than tensors by their names: what it is, and what to do.
    """
    check_no_pointer(path)
    head = _head(path)
    is_safetensors = head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40
    for mark, what, remedy in _MARKS:
        if head.startswith(mark):
            raise InputError(f"{path} is {what}, not a file of weights for PyTorch: {remedy}")
    if head[:1] in b"{[" and not is_safetensors:
        raise InputError(f"{path} is JSON, not weights: {_AGAIN}")
    if path.suffix == SAFETENSORS:
        if head.startswith((b"PK", b"\x80")) and not is_safetensors:
            raise InputError(f"{path} is a PyTorch file: give it the ending .bin")
        return _names_in_safetensors(path)
    if is_safetensors:
        raise InputError(f"{path} is a safetensors file: give it the ending {SAFETENSORS}")
    return _names_in_pickle(path, is_zip=head.startswith(b"PK"))


def read_tensors(path: Path, mend: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What is said of the tensors in a safetensors file, and they by their names.

    Raises:
        InputError: the file is missing or damaged; `mend` says what to do.
    """
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}, {n: file.get_tensor(n) for n in list(file.keys())}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is missing or damaged ({error}): {mend}") from error


def load_weights(model: nn.Module, path: Path, names: Sequence[str]) -> None:
    """Put the weights of a checked file, whose tensors have these names, into an open_clip model.

    Raises:
        InputError: the model lacks a tensor of the file or the file one of the model, or a tensor
            has another shape.
    """
    try:
        load_checkpoint(model, str(path), strict=True, weights_only=True)
    # Shapes and names of a foreign file can break any step of open_clip's conversions.
    except Exception as error:
        raise InputError(
            f"the weights {path} do not fit open_clip_config.json, {_misfit(error, names)}: "
            "bring the two that belong together"
        ) from error


def _head(path: Path) -> bytes:
    check_regular_file(path, "model's file")
    try:
        with open(path, "rb") as file:
            return file.read(512)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give yourself the right to read it"
        ) from error


def _names_in_safetensors(path: Path) -> list[str]:
    size, header = path.stat().st_size, int.from_bytes(_head(path)[:8], "little")
    if header > size - 8:
        raise InputError(
            f"{path} is cut short or no safetensors file (its header would take {header:,} of its "
            f"{size:,} bytes): {_AGAIN}"
        )
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is a truncated or damaged safetensors file ({error}): {_AGAIN}"
        ) from error
    if not names:
        raise InputError(f"{path} holds no tensor: {_AGAIN}")
    return names


def _names_in_pickle(path: Path, is_zip: bool) -> list[str]:
    if is_zip:
        _check_zip(path)
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"holds more than tensors ({found[1]})" if found else "is damaged or no PyTorch file"
        raise InputError(
            f"{path} {what} and is not unpickled, for that could run code: copy it again or, where "
            f"you trust it, {_CONVERT}"
        ) from error
    # A damaged file breaks PyTorch's reader in any way.
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path} is no whole PyTorch file ({reason[0]}): {_AGAIN}") from error
    return _names_of(held, path)


def _names_of(held: Any, path: Path) -> list[str]:
    if isinstance(held, dict) and isinstance(held.get("state_dict"), dict):
        held = held["state_dict"]
    if not isinstance(held, dict) or not held:
        raise InputError(
            f"{path} holds {type(held).__name__}, no tensors by their names: {_CONVERT}"
        )
    others = [str(name) for name, value in held.items() if not isinstance(value, Tensor)]
    if others or not all(isinstance(name, str) for name in held):
        some = ", ".join(others[:5] or map(str, list(held)[:5]))
        raise InputError(f"{path} holds {some}, which are no tensors by their names: {_CONVERT}")
    return list(held)


def _check_zip(path: Path) -> None:
    """Refuse other archives than PyTorch's, which holds its tensors uncompressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path} is cut short or damaged ({error}): {_AGAIN}") from error
    names = [member.filename.rpartition("/")[2] for member in members]
    if "data.pkl" not in names:
        raise InputError(f"{path} is a zip archive, but none of PyTorch's: unpack it")
    if "constants.pkl" in names:
        raise InputError(
            f"{path} is a TorchScript archive, which holds code and is not run: {_CONVERT}"
        )
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise InputError(f"{path} would unpack to more than its own size: {_CONVERT}")


def _misfit(error: Exception, names: Sequence[str]) -> str:
    """What an error of `load_state_dict` says is wrong, the first of each kind."""
    said = str(error)
    shape = r"(?:torch\.Size\()?(\[[\d, ]*\])\)?"
    sizes = re.findall(
        rf"size mismatch for (\S+): .*? shape {shape} from .*? model is {shape}", said
    )
    if sizes:
        name, found, wanted = sizes[0]
        return f"{name} has the shape {found}, not {wanted}{_more(sizes)}"
    parts = []
    for kind, words in (("Missing", "lack"), ("Unexpected", "have, and the model has not,")):
        listed = re.search(rf"{kind} key\(s\) in state_dict: (.*?)\. *$", said, re.MULTILINE)
        if listed:
            keys = re.findall(r'"([^"]+)"', listed[1])
            parts.append(f"they {words} {keys[0]}{_more(keys)}")
    if any(name.startswith(("vision_model.", "text_model.")) for name in names):
        parts.append("their names are those of Hugging Face transformers")
    return ", ".join(parts) or f"{type(error).__name__}: {said.strip().splitlines()[:1]}"


def _more(found: Sequence[Any]) -> str:
    return f" and {len(found) - 1} more" * (len(found) > 1)
