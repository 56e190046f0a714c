"""CSV files: pairs, splits, projections, CheXbert's labels."""

import csv
import io
import random
import re
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from door import Door
from hostile import plain, seeds, texts
from hypothesis import strategies as st
from mutation import mutated
from PIL import Image
from watch import BESIDE

from cxr_mtl.base.ids import id_of_file, read_id
from cxr_mtl.data.given_splits import read_split
from cxr_mtl.data.loaded import DROPPED_COLUMNS, Dataset
from cxr_mtl.data.pairs import read_pairs
from cxr_mtl.data.views import read_views
from cxr_mtl.retrieval.chexbert import OBSERVATIONS, VALUES, read_chexbert

PART_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
DIALECTS = ({}, {"delimiter": ";"}, {"delimiter": "\t"}, {"quoting": csv.QUOTE_ALL})
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1")


def _written(rows: list[list[str]], dialect: dict[str, Any] | None = None) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, **(dialect or {})).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


@st.composite
def _files(draw: st.DrawFn, header: list[str], rows: list[tuple[str, ...]]) -> tuple[bytes, None]:
    """The bytes of a CSV of some of `rows` that is wrong in some ways, or in none.

    Wrong can be single fields, a column's name, the dialect, the encoding, and any bytes.
    """
    table = [header.copy(), *map(list, draw(st.lists(st.sampled_from(rows), max_size=6)))]
    places = st.tuples(st.integers(0, len(table) - 1), st.integers(0, len(header) - 1), texts)
    for row, column, text in draw(st.lists(places, max_size=3)):
        if row or draw(st.booleans()):  # with a wrong header nothing behind it is read
            table[row][column] = text
    written = _written(table, draw(st.sampled_from(DIALECTS)))
    if draw(st.integers(0, 2)) == 0:
        written = mutated(written, random.Random(draw(seeds)), 3)
    if draw(st.integers(0, 9)) == 0:
        code = draw(st.sampled_from(ENCODINGS))
        written = written.decode("utf-8", "replace").encode(code, "replace")
    return written, None


@st.composite
def _sound_pairs(draw: st.DrawFn) -> tuple[bytes, None]:
    """A CSV that `csv.writer` wrote, whatever its texts hold."""
    columns = draw(st.permutations(["image", "text", "label", "study", "split", "patient"]))
    columns = [name for name in columns if name in ("image", "text") or draw(st.booleans())]
    words = draw(st.lists(plain | texts, min_size=1, max_size=6))
    unseen = st.sampled_from(["", " ", "\u200b", "\ufeff", "\u00a0"])
    rows = [
        {
            "image": ("a.png", "b.png", "absent.png", "empty.png")[draw(st.integers(0, 3))],
            "text": word.encode("utf-8", "ignore").decode().replace("\0", ""),
            "label": str(draw(st.integers(0, 1))),
            "study": f"s{number}" + draw(unseen),
            "split": draw(st.sampled_from(list(PART_NAMES))),
            "patient": f"p{draw(st.integers(0, 2))}" + draw(unseen),
        }
        for number, word in enumerate(words)
    ]
    return _written([columns, *([row[name] for name in columns] for row in rows)]), None


def _lay_pairs(folder: Path, value: tuple[bytes, Any]) -> Path:
    for number, name in enumerate(("a.png", "b.png")):
        Image.new("L", (8, 8 + number), 100 * number).save(folder / name)
    (folder / "empty.png").touch()
    return _lay(folder, value)


def _lay(folder: Path, value: tuple[bytes, Any]) -> Path:
    (folder / "table.csv").write_bytes(value[0])
    return folder / "table.csv"


def _by_csv(path: Path) -> list[dict[str, str]]:
    """The rows as the module csv reads them, which knows nothing of the door's own grammar."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if len(row) > 1 or any(row.values())]
    return rows


def _check_pairs(path: Path, value: Any, data: Any) -> None:
    """Every row is kept as it is written, or named with a reason."""
    rows = {
        read_id(row["study"]) if "study" in row else id_of_file(row["image"].strip()): row
        for row in _by_csv(path)
    }
    assert sorted([*data.studies["study"], *data.dropped["study"]]) == sorted(rows)
    assert (data.dropped["reason"] != "").all()
    for study in data.studies.to_dict("records"):
        row = rows[study["study"]]
        assert study["image"] == str(path.parent / row["image"].strip())
        assert study["text"] == " ".join(row["text"].split())
        assert study["label"] == int(float(row.get("label", "-1").strip()))
        assert study.get("patient") == (read_id(row["patient"]) if "patient" in row else None)
        if "split" in row:
            assert study["split"] == PART_NAMES[row["split"].strip().lower()]


STUDIES = pd.DataFrame(
    {"study": [str(n) for n in range(1, 13)], "label": [0, 1] * 6, "text": "t", "image": "i"}
)
PARTS = ["train"] * 4 + ["val"] * 4 + ["test"] * 4


def _enter_split(path: Path) -> Any:
    return read_split(path, Dataset(STUDIES.copy(), pd.DataFrame(columns=DROPPED_COLUMNS)))


def _check_split(path: Path, value: Any, data: Any) -> None:
    """Every study is in the part that its row names, or dropped with a reason."""
    part = {}
    for row in _by_csv(path):
        name = read_id(row["study"])
        openi = re.match(r"CXR(\d+)_", name)
        part[openi[1] if openi else name] = PART_NAMES[row["split"].strip().lower()]
    for study in data.studies.to_dict("records"):
        assert study["split"] == part[study["study"]]
    assert set(data.studies["split"]) == {"train", "validation", "test"}
    assert sorted([*data.studies["study"], *data.dropped["study"]]) == sorted(STUDIES["study"])
    assert set(data.dropped["study"]) == set(STUDIES["study"]) - part.keys()


def _split_files() -> st.SearchStrategy[tuple[bytes, None]]:
    ids = [*STUDIES["study"], "CXR3_IM-1", "0001", "1.png", "13"]
    parts = ["train", "validation", "valid", "val", "test", "Test", "dev"]
    sound = st.lists(st.sampled_from(PARTS), min_size=12, max_size=12).map(_split_file)
    return _files(["study", "split"], list(product(ids, parts))) | sound


def _split_file(parts: list[str]) -> tuple[bytes, None]:
    return _written([["study", "split"], *zip(STUDIES["study"], parts, strict=True)]), None


def _enter_chexbert(path: Path) -> Any:
    return read_chexbert(path, ["1", "2"])


def _chexbert_files() -> st.SearchStrategy[tuple[bytes, None]]:
    header = ["study", *OBSERVATIONS]
    values = st.sampled_from([*VALUES, *VALUES, "2", "nan"])
    row = st.lists(values, min_size=14, max_size=14)
    sound = row.map(lambda row: (_written([header, ["1", *row], ["2", *[""] * 14]]), None))
    rows = [(study, *["", "1", "0", "-1.0"] * 3, "", "1") for study in "1123"]
    return _files(header, rows) | sound


def _enter_projections(path: Path) -> Any:
    return read_views("projections", path)


def _projection_files() -> st.SearchStrategy[tuple[bytes, None]]:
    names = ["1_IM-0001-4001.dcm.png", "2_IM-0652-1001.dcm.png", "3.png", "4.dcm.png"]
    rows = [(n[0], n, view) for n in names for view in ("Frontal", "Lateral")]
    return _files(["uid", "filename", "projection"], rows)


_IMAGES = ["a.png", "b.png", "absent.png", "empty.png", "/etc/passwd", "a.png ", ".", "..\\a.png"]
_PAIRS = list(product(_IMAGES, ["clear lungs", "a, b", ""], ["0", "1"]))

DOORS = [
    Door(
        "pairs CSV",
        _files(["image", "text", "label"], _PAIRS) | _sound_pairs(),
        _lay_pairs,
        read_pairs,
        (b"image,text,label\na.png,clear lungs,0\nb.png,effusion,1\n", None),
        900,
        _check_pairs,
        may=frozenset({BESIDE}),
    ),
    Door(
        "split CSV",
        _split_files(),
        _lay,
        _enter_split,
        _split_file(PARTS),
        1000,
        _check_split,
    ),
    Door(
        "projections CSV",
        _projection_files(),
        _lay,
        _enter_projections,
        (b"uid,filename,projection\n1,1_IM-0001-4001.dcm.png,Frontal\n", None),
        800,
    ),
    Door(
        "CheXbert CSV",
        _chexbert_files(),
        _lay,
        _enter_chexbert,
        (_written([["study", *OBSERVATIONS], ["1", *["1"] * 14], ["2", *[""] * 14]]), None),
        600,
    ),
]
