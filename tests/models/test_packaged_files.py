"""Weights that ride in packages: found by the list of files, checked, or refused with a remedy."""

import hashlib
from dataclasses import replace
from importlib import metadata

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.models import packaged_files
from cxr_mtl.models.packaged_files import EFFICIENTNET_LITE0, MINILM, PackagedFiles


@pytest.fixture
def package(tmp_path, monkeypatch) -> PackagedFiles:
    """An installed package of one file of weights."""
    (tmp_path / "some_weights").mkdir()
    (tmp_path / "some_weights/model.bin").write_bytes(b"weights")
    info = tmp_path / "some_weights-0.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: some-weights\nVersion: 0.2\n")
    (info / "RECORD").write_text("some_weights/model.bin,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256(b"weights").hexdigest()
    return PackagedFiles(
        "some-weights", "0.2", "some_weights", "card", "MIT", {"model.bin": digest}
    )


def test_the_file_is_found_by_the_list_of_the_package(package, tmp_path):
    assert package.path("model.bin") == tmp_path / "some_weights/model.bin"


def test_a_missing_package_is_named_with_the_version_to_install():
    absent = PackagedFiles("no-such-weights", "1.2", "folder", "card", "MIT", {"model.bin": ""})
    with pytest.raises(InputError, match=r"no-such-weights is not .*install no-such-weights==1\.2"):
        absent.path("model.bin")


def test_a_missing_file_is_named_with_the_version_to_install(package, tmp_path):
    (tmp_path / "some_weights/model.bin").unlink()
    with pytest.raises(InputError, match=r"some_weights/model.bin .*install some-weights==0\.2"):
        package.path("model.bin")


def test_another_file_is_refused_by_both_checksums(package, tmp_path):
    (tmp_path / "some_weights/model.bin").write_bytes(b"weights of another")
    found = hashlib.sha256(b"weights of another").hexdigest()
    with pytest.raises(InputError) as refusal:
        package.path("model.bin")
    for part in (found[:12], package.sha256["model.bin"][:12], "install some-weights==0.2"):
        assert part in str(refusal.value)


def test_a_file_of_another_folder_of_the_package_is_not_taken(package):
    elsewhere = replace(package, folder="other")
    with pytest.raises(InputError, match=r"other/model\.bin of some-weights is missing"):
        elsewhere.path("model.bin")


@pytest.mark.parametrize("packaged", [EFFICIENTNET_LITE0, MINILM], ids=lambda p: p.package)
def test_the_locked_packages_hold_the_files(packaged):
    for name in packaged.sha256:
        assert packaged.path(name).name == name
    assert metadata.version(packaged.package) == packaged.version


def test_no_list_of_files_is_a_missing_file(package, monkeypatch):
    monkeypatch.setattr(packaged_files, "files", lambda _: None)
    with pytest.raises(InputError, match="is missing"):
        package.path("model.bin")
