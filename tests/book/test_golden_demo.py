"""The demo run gives the golden numbers."""

from pathlib import Path

import pytest
from golden_numbers import check_golden

from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import read_chapters

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "runs/demo"

pytestmark = pytest.mark.skipif(
    not any(DEMO.glob("results/*.json")), reason="no demo run: `make book` makes it"
)


def test_the_demo_run_gives_the_golden_numbers():
    run = Run(DEMO)
    chapters = {chapter.name for chapter in read_chapters(ROOT / "book")}
    complete = chapters <= run.manifest.keys()
    misses = [
        miss.message
        for miss in check_golden(run, ROOT / "tests/golden/demo.json")
        if complete or miss.golden.stage in run.manifest
    ]
    assert not misses, "\n".join(misses)
