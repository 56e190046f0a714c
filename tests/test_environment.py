"""The ways to install say the same thing."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cxr_mtl

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch"}


def required() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(line) for line in chain(PROJECT["dependencies"], *extras)]


def locked() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", text, flags=re.MULTILINE))


def test_conda_gets_the_same_packages_within_the_same_bounds():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    lines = environment["dependencies"]
    conda = [line for line in lines if isinstance(line, str)] + lines[-1]["pip"]
    found = {line.name: str(line.specifier) for line in map(Requirement, conda)}
    expected = {CONDA_NAMES.get(line.name, line.name): str(line.specifier) for line in required()}
    expected.pop("faiss-cpu")  # conda users choose by hand: the file says how
    assert found.pop("pip") == ""
    assert found.pop("python") == PROJECT["requires-python"]
    assert found == expected


def test_the_lock_holds_every_requirement_within_its_bounds():
    versions = locked()
    for line in required():
        assert line.specifier.contains(versions[canonicalize_name(line.name)]), line


def test_the_lock_names_no_index_and_hashes_every_package():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(re.findall(r"^[a-z0-9._-]+==", text, flags=re.MULTILINE))
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_version_is_said_alike_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == cxr_mtl.__version__ == citation["version"]
    assert PROJECT["license"] == citation["license"]
    assert "Apache License" in (ROOT / "LICENSE").read_text()
