"""The tokenizers of the demo's models, learnt from the captions they are pretrained on."""

from collections.abc import Sequence
from pathlib import Path

from cxr_mtl.base.files import content_key, write_beside
from cxr_mtl.base.fingerprints import library_sources
from cxr_mtl.data.openi import read_reports
from cxr_mtl.models.demo_architecture import IMAGE_SIZE, DemoName, write_untrained
from cxr_mtl.phantoms.captioned_images import (
    Drawer,
    captioned_phantom,
    captioned_shapes,
    captions,
)

PAIRS: dict[DemoName, tuple[Drawer, int]] = {
    "demo-biomed": (captioned_phantom, 10_000),
    "demo-general": (captioned_shapes, 4_000),
}
"""What each is pretrained on, and how many pairs of it."""


def tokenizer_source(name: str, cache: Path, seed: int = 0) -> str:
    """The `load_tokenizer` source of a name: that of a demo model becomes a local folder.

    The folder under `cache` is made in seconds, without pretraining a model or drawing a picture.
    """
    if name not in PAIRS:
        return name
    code = library_sources(["from cxr_mtl.training.demo_tokenizers import tokenizer_source"])
    folder = cache / "tokenizers" / f"{name}-{content_key(name, seed, code)}"
    if not folder.is_dir():
        draw_one, count = PAIRS[name]
        with write_beside(folder) as beside:
            beside.mkdir()
            write_configuration(beside, captions(draw_one, count, IMAGE_SIZE, seed))
    return f"local-dir:{folder}"


def write_configuration(folder: Path, pretraining: Sequence[str]) -> None:
    """A demo model's configuration and its tokenizer, learnt from captions and Open-I's reports."""
    reports, _ = read_reports()
    write_untrained(folder, [*pretraining, *reports["findings"], *reports["impression"]])
