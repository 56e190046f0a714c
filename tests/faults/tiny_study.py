"""A study small enough to be made over and over: drawn pictures, random models, six chapters."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from untrained import REPORTS, write_untrained_model

ROOT = Path(__file__).parents[2]
CHAPTERS = ("01", "02", "03", "04", "05", "06")
STUDIES = 64
PATIENCE = 900  # seconds after which a run has hung
VALUES = {
    "dataset": "pairs",
    "pairs_csv": "own/pairs.csv",
    "backbone": "local-dir:models/a",
    "general_model": "local-dir:models/b",
    "test_per_class": "12",
    "epochs": "2",
    "batch_size": "8",
    "search_epochs": "1",
    "trials": "2",
    "workers": "1",
    "threads": "1",
    "tsne_perplexity": "4",
}


def prepare(folder: Path) -> Path:
    """Make `folder` a place to run the chapters from, with data and models; returns it."""
    for name in ("book", "requirements.lock", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    for seed, name in enumerate("ab"):
        (folder / "models" / name).mkdir(parents=True)
        write_untrained_model(folder / "models" / name, seed=seed)
    (folder / "own").mkdir()
    noise = np.random.default_rng(0)
    with open(folder / "own/pairs.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "text", "label"])
        for number in range(STUDIES):
            picture = noise.integers(0, 256, (112, 112), dtype=np.uint8)
            Image.fromarray(picture).save(folder / f"own/{number}.png")
            text = f"{REPORTS[number % 4]} Study {number}."
            rows.writerow([f"{number}.png", text, int(number % 4 in (1, 2))])
    return folder


def command(*words: str, run: str = "tiny") -> list[str]:
    """`cxr-mtl run` of the six chapters with the values of this study."""
    given = (word for name, value in VALUES.items() for word in ("-p", f"{name}={value}"))
    return [sys.executable, "-m", "cxr_mtl", "run", *(words or CHAPTERS), "--run", run, *given]


def environment() -> dict[str, str]:
    """The variables that a run is started with."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(folder: Path, *words: str, run: str = "tiny") -> subprocess.Popen[bytes]:
    """Begin a run in a session of its own; what it says goes to `said.txt`."""
    # A pipe would stay open for as long as a kernel outlives its driver.
    with open(folder / "said.txt", "wb") as said:
        return subprocess.Popen(
            command(*words, run=run),
            cwd=folder,
            env=environment(),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def finish(folder: Path, *words: str, run: str = "tiny") -> tuple[int, str]:
    """Run to the end; exit code and what was said."""
    code = start(folder, *words, run=run).wait(PATIENCE)
    return code, said(folder)


def said(folder: Path) -> str:
    """What the last run in a folder printed."""
    return (folder / "said.txt").read_text(encoding="utf-8", errors="replace")
