"""Students' notebooks on the demo run: no check passes before its exercise is solved."""

from pathlib import Path

import pytest

from cxr_mtl.base.fingerprints import has_tag
from cxr_mtl.pages.plain_markdown import BookWords
from cxr_mtl.pages.student_notebooks import student_notebook
from cxr_mtl.runs.freshness import StageState
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import read_exercises, read_stages

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "runs/demo"
PAGES = {page.name: page for page in read_exercises(ROOT / "book")}

pytestmark = pytest.mark.skipif(
    not (DEMO / "manifest.json").exists(), reason="no run demo: `make book` computes it"
)


@pytest.fixture(scope="module")
def words() -> BookWords:
    stages = read_stages(ROOT / "book")
    return BookWords(ROOT / "book", stages, Run(DEMO), [stage.name for stage in stages])


@pytest.mark.parametrize("name", PAGES)
def test_no_check_passes_before_its_exercise_is_solved(name, words, monkeypatch):
    if missing := [need for need in PAGES[name].needs if not (DEMO / need).exists()]:
        pytest.skip(f"runs/demo has no {missing[0]}: `make book` computes it")
    monkeypatch.chdir(ROOT)
    state = StageState(name, None, "not run yet")
    notebook = student_notebook(PAGES[name], Run("runs/demo"), state, words)
    space = {"__name__": "student", "display": print, "In": []}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        failed = False
        space["In"].append(cell.source)  # as a kernel keeps what it executes
        try:
            exec(compile(cell.source, name, "exec"), space)
        except Exception:
            # What stands below the dots may use what they should give.
            assert has_tag(cell, "solution") or has_tag(cell, "check"), cell.source
            failed = True
        assert failed or not has_tag(cell, "check"), cell.source
