"""Where the built pages are, which there must be, and the browser that opens them."""

import shutil
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "_build/html"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

needs_pages = pytest.mark.skipif(
    not (PAGES / "index.html").exists(), reason="no built pages: `make book` builds them"
)


def toc_pages() -> list[str]:
    """The pages of the contents, relative to `PAGES`, the front page first."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    sections = [section for chapter in chapters for section in chapter.get("sections", ())]
    files = [entry["file"] for entry in chapters]
    for section in sections:
        files += sorted(
            str(p.relative_to(ROOT).with_suffix("")) for p in ROOT.glob(section["glob"])
        )
    return [f"{name}.html" for name in [toc["root"], *files]]


PAGE_NAMES = toc_pages()
