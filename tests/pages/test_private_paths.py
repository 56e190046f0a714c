"""No page names a folder of the machine that made it."""

import html
import json
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from cxr_mtl.base.markdown_text import code_span, markdown_text
from cxr_mtl.base.terminal import filled
from cxr_mtl.pages.private_paths import PrivatePaths, private_paths
from cxr_mtl.runs.manifest import Record

FOLDER = "/home/someone/my_study/`x` <img src=x onerror=y()> 'a' \"b\" é"
HIDDEN = PrivatePaths({"/home/someone": "~/", "/srv/repository": "", FOLDER: ""})


def record(**parameters):
    return Record.model_construct(parameters=parameters)


@pytest.mark.parametrize(
    "spelt",
    [
        str,
        repr,
        json.dumps,
        html.escape,
        markdown_text,
        code_span,
        lambda path: f"File \x1b[0;32m{path}:12",
        lambda path: f"file://{path}",
        lambda path: filled(f"Some words before {path}", 20),
        lambda path: f"local-dir:{path}",
        lambda path: html.escape(repr(path)),
        lambda path: f"({path}), [{path}]; {path}.",
        lambda path: path.encode("unicode_escape").decode().replace('"', r"\""),
    ],
)
def test_a_file_is_shown_by_its_name_however_its_path_is_written(spelt):
    shown = HIDDEN.hide(spelt(f"{FOLDER}/pairs.csv"))
    assert "someone" not in shown
    assert "onerror" not in shown
    assert "pairs.csv" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/repository/runs/demo", "runs/demo"),
        ("in /srv/repository: no", "in .: no"),
        ("/home/someone/other/x.png", "~/other/x.png"),
        ("cd /home/someone", "cd ~"),
        ("/srv/repository-2/x", "/srv/repository-2/x"),
        ("/mnt/srv/repository/x", "/mnt/srv/repository/x"),
        ("https://example.org/srv/repository/x", "https://example.org/srv/repository/x"),
        ("runs/demo", "runs/demo"),
    ],
)
def test_the_repository_and_the_home_are_left_out_and_other_paths_stay(text, shown):
    assert HIDDEN.hide(text) == shown


def test_the_folders_of_what_a_run_was_given_are_private(tmp_path):
    given = record(
        pairs_csv="/data/hospital/pairs.csv",
        backbone="local-dir:/models/mine/big",
        sources=["/a/b/c.csv", {"x": "/d/e"}],
        split_csv=None,
        words="image/text or /",
        run_dir="runs/demo",
    )
    hidden = private_paths(tmp_path, [given])
    assert {"/data/hospital", "/models/mine", "/a/b", "/d", str(tmp_path)} <= set(hidden.shown)
    assert str(Path.home()) in hidden.shown
    assert "/" not in hidden.shown
    text = f"/data/hospital/films/1.png local-dir:/models/mine/big {tmp_path}/book"
    assert hidden.hide(text) == "films/1.png local-dir:big book"


def test_all_texts_of_a_notebook_are_looked_through_but_not_its_pictures():
    path = f"{FOLDER}/x"
    data = {"text/plain": repr(path), "text/html": html.escape(path), "image/png": path}
    outputs = [
        new_output("stream", text=path),
        new_output("display_data", data=data),
        new_output("error", ename="E", evalue=path, traceback=[path]),
    ]
    cell = new_code_cell(f"csv = {path!r}", outputs=outputs)
    shown = HIDDEN.hide_all(new_notebook(cells=[cell], metadata={"papermill": {"input": path}}))
    assert json.dumps(shown).count("someone") == 1
    assert shown.cells[0].outputs[1].data["image/png"] == path
    assert shown.cells[0].source.endswith("x'")
