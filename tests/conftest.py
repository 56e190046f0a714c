"""Small shared things: a few drawn studies and an untrained model of the demo's architecture."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from dicom_files import dicom_bytes
from hypothesis import settings
from PIL import Image
from untrained import REPORTS, write_untrained_model

from cxr_mtl.base.files import sha256_of_file
from cxr_mtl.models.backbones import Backbone, load_backbone

torch.set_num_threads(1)  # the data are tiny: threads would only wait for each other

# The same inputs at every run, and no time limit: a loaded machine is no fault.
settings.register_profile("tests", derandomize=True, deadline=None, database=None)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def untrained_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrained model")
    write_untrained_model(folder)
    return folder


@pytest.fixture
def backbone(untrained_folder) -> Backbone:
    return load_backbone(f"local-dir:{untrained_folder}")


@pytest.fixture(scope="session")
def studies(tmp_path_factory) -> pd.DataFrame:
    """24 studies with noise images and reports of four kinds, half of them abnormal."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (112, 112), dtype=np.uint8)).save(path)
        text = f"{REPORTS[number % 4]} Study {number}."
        label = int(number % 4 in (1, 2))
        rows.append((str(number), str(path), text, label, sha256_of_file(path)))
    return pd.DataFrame(rows, columns=["study", "image", "text", "label", "image_sha256"])


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder in which this process may write nothing, nor read its file `closed.json`.

    It lies outside `tmp_path`, whose parents are closed to others: root, whom no permission
    binds, is another user for the time of the test.
    """
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "read only"
        folder.mkdir()
        (folder / "closed.json").write_text("{}")
        (folder / "closed.json").chmod(0)
        folder.chmod(0o555)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
            folder.chmod(0o755)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises, here and in new processes, even if a shell started the tests to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def dicom() -> Callable[..., bytes]:
    """A writer of DICOM files, as small as they may be."""
    return dicom_bytes


@pytest.fixture
def as_dicom(studies, dicom, tmp_path) -> pd.DataFrame:
    """The studies, their pictures kept as DICOM."""
    kept = studies.copy()
    for row, image in enumerate(studies["image"]):
        path = tmp_path / f"{row}.dcm"
        path.write_bytes(dicom(np.asarray(Image.open(image))))
        kept.loc[row, ["image", "image_sha256"]] = [str(path), sha256_of_file(path)]
    return kept
