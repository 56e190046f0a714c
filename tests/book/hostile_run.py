"""A run whose ids, texts, file names, parameters and numbers try to be more than text."""

import ast
import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from built_pages import ROOT
from nbformat.v4 import new_output
from PIL import Image

from cxr_mtl.base import styled_tables
from cxr_mtl.base.file_hashes import digest
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.explorer import model_entry, write_bundle
from cxr_mtl.runs.driver import run_chapters
from cxr_mtl.runs.freshness import stage_parts
from cxr_mtl.runs.planning import plan
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stages import executed_copy

CALL = "document.cxrHostile=1;alert(1)"
"""What runs where a text is taken for a script."""
AWAY = "http://evil.invalid"
IDS = [
    f"<script>{CALL}</script>",
    f"<svg onload={CALL}>",
    f'"><img src=x onerror={CALL}>',
    f"' onmouseover='{CALL}' autofocus onfocus='{CALL}",
    f"</script><script src={AWAY}/x.js></script>",
    f"<iframe src=javascript:{CALL}></iframe>",
    f"[a](javascript:{CALL})",
    f"![a]({AWAY}/x.png) <{AWAY}>",
    "$\\href{javascript:alert(1)}{x}$",
    "\\(\\frac{1}{2}\\) $$x^2$$",
    "{{ x }} {num}`01_data?metric=studies` {raw}`x`",
    "`` ` ``` \\` | a | b |",
    "%s {0} {x!r} &lt;b&gt; &#60;i&#62;",
    "a\u2028b \u202egnp.exe \U000e0041",
    "\x1b[31mred\x1b]8;;http://evil.invalid\x1b\\x\x07",
    f"<style>@import '{AWAY}/x.css'</style>",
]
FOLDER = f"films of `aliceprivate` <img src=x onerror={CALL.replace('.', '&period;')}> $x_1$"
VERSION = f"1 | `x` <svg onload={CALL}> $\\foo$ [a](javascript:{CALL})"


SILENT = "a study whose text says nothing"
RECORDS = [{"metric": text, "model": text, "table": text, "value": text} for text in IDS]


def write_pairs(folder: Path) -> Path:
    """A CSV of 32 pairs with hostile ids and texts and one without a text, in a hostile folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(32):
        Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(
            folder / f"{number}.png"
        )
        hostile = IDS[number % len(IDS)]
        text = f"Study {number}: cost $5 to $7, $\\foo$, {hostile} The lungs are clear."
        rows.append((f"{number}.png", text, number % 2, f"{hostile} {number}"))
    rows.append(("0.png", "nan", 0, SILENT))
    path = folder / "pairs.csv"
    pd.DataFrame(rows, columns=["image", "text", "label", "study"]).to_csv(path, index=False)
    return path


def make_book(root: Path) -> None:
    """The real front page, chapters 1 and 11, and what they name, with the real configuration."""
    shutil.copytree(ROOT / "book", root / "book")
    for name in ("_config.yml", "requirements.lock"):
        shutil.copy(ROOT / name, root)
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n"
        + "".join(f"- file: book/{page}\n" for page in ("01_data", "11_explorer", "rerun"))
    )


def make_run(pairs: Path, model: Path) -> Run:
    """Execute chapter 1 in the current directory's book, and leave what chapter 11 would."""
    overrides = [
        "dataset=pairs",
        f"pairs_csv={pairs}",
        f"backbone=local-dir:{model}",
        f"general_model=local-dir:{model}",
        "test_per_class=8",
    ]
    with open("said.txt", "w", encoding="utf-8") as said:
        run_chapters("demo", "mine", overrides, ["01"], console=PlainConsole(file=said, width=200))
    run = Run("runs/mine")
    _explore(run, overrides)
    run.write_results("01_data", [*run.results("01_data"), *RECORDS])
    manifest = run.manifest
    manifest["01_data"]["left"]["results/01_data.json"] = digest(run / "results/01_data.json")
    for record in manifest.values():
        record["versions"] = {"python": VERSION, VERSION: "2"}
        record["hardware"] |= {"cpu": VERSION, "gpu": IDS[0]}
        record["git"] = {"commit": IDS[2][:11], "dirty": True}
    (run / "manifest.json").write_text(json.dumps(manifest))
    shutil.copytree(run.path, "runs/demo")
    del manifest["11_explorer"]["parameters"][IDS[1]]
    Path("runs/demo/manifest.json").write_text(json.dumps(manifest))
    return run


def _explore(run: Run, overrides: list[str]) -> None:
    """Chapter 11 as if it had been executed: its bundle, its tables by its own code, its record."""
    chapter, values = plan("demo", "mine", overrides).stages["11_explorer"]
    studies = pd.read_parquet(run / "studies.parquet")
    test = studies[studies["split"] == "test"].reset_index(drop=True)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, len(test), 8)).astype(np.float32)
    maps = pd.DataFrame({"model": "fine_tuned", "study": test["study"]})
    maps[["x", "y"]] = rng.normal(size=(len(test), 2))
    sizes = write_bundle(
        run / "explorer",
        run="mine",
        dataset="pairs",
        test=test,
        models=[model_entry("fine_tuned", tuple(vectors), maps, test)],
        tower=None,
        text_tower=None,
        examples=[],
    )
    for need in chapter.needs:
        if not (run / need).exists():
            (run / need).write_text("there")
    rows = [{"typed": text, "why": text, "first studies": ", ".join(IDS)} for text in IDS]
    known = {"pd": pd, "styled_tables": styled_tables, "rows": rows, "sizes": sizes}
    notebook = chapter.notebook_with(values)
    for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
        shown = ast.parse(cell.source).body[-1]
        if isinstance(shown, ast.Expr) and "pd.DataFrame" in ast.unparse(shown):
            table = eval(ast.unparse(shown), known)
            data = {"text/html": table.to_html(), "text/plain": repr(IDS)}
            cell.outputs = [new_output("execute_result", data=data, execution_count=count)]
    nbformat.write(notebook, executed_copy(run, chapter.name))
    numbers = {"studies": len(test), "onnx_difference": None}
    run.write_results(
        "11_explorer", [{"metric": name, "value": value} for name, value in numbers.items()]
    )
    record = run.manifest["01_data"] | {
        "parts": stage_parts(chapter, values, run),
        "parameters": values | {IDS[1]: IDS, "general_model": IDS[4]},
        "left": {leaf: digest(run / leaf) for leaf in chapter.leaves},
        "executed": digest(executed_copy(run, chapter.name)),
    }
    run.write_stage(chapter.name, record)
