"""Any text can stand in any figure: it is drawn as it is written, without an error or a warning."""

import ast
import io
import warnings
from pathlib import Path

import jupytext
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.figures.classifier import roc_and_precision_recall
from cxr_mtl.figures.common import contact_sheet, embedding_maps, use_theme
from cxr_mtl.figures.intervals import answer_figure, difference_plot, interval_plot
from cxr_mtl.figures.lessons import heat_maps, pairs_on_circle
from cxr_mtl.figures.texts import drawable
from cxr_mtl.retrieval.tsne_maps import EmbeddingMap
from cxr_mtl.training.toy_batch import ToyBatch

ROOT = Path(__file__).parents[2]
TEXTS = [
    r"$\foo$",
    "cost $5 to $7",
    "$",
    r"\$5 $x_1^2$",
    "\x00\x1b[31m\r\x85",
    "\ud800",
    "\U000e0041\U0010ffff",
    "🫁 肺炎",
    "ריאה \u202e x",
    "\n" * 500,
    "x" * 5000,
    "a\tb",
    "",
]
OF_EACH = [TEXTS[0], "\x1b[31m\ud800 肺 $5 to $7", "x" * 5000 + "\n" * 500]
"""One text of each kind, for figures that draw no text but the names of models and variants."""
MAP = EmbeddingMap(np.zeros((4, 2)), 0.5, 0.5)
LABELS = np.array([0, 1, 0, 1])
BATCH = ToyBatch.from_degrees([0, 90], [10, 80], [0, 1])


def number(text, **fields):
    return {"model": text, "value": 0.5, "low": 0.4, "high": 0.6, "panel": "a", **fields}


def asked(text):
    question = {"metric": "recall", "k": 10, "relevance": "own_study"}
    return [
        number(model, protocol=protocol, direction="image_to_text", **question)
        for protocol in ("fused", "cross_modal")
        for model in ("random", text)
    ]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "x.png"
    Image.new("L", (8, 8)).save(path)
    return str(path)


CHAPTERS = sorted((ROOT / "book").rglob("[0-9][0-9]_*.py"))
FIGURES = {
    "contact_sheet": lambda text, image: contact_sheet([image], [text], 1),
    "embedding_maps": lambda text, _: embedding_maps({text: MAP}, LABELS),
    "heat_maps": lambda text, _: heat_maps(
        {text: (np.eye(6), np.eye(6, dtype=bool))}, [text] * 6, [text] * 6, (0, 1)
    ),
    "pairs_on_circle": lambda text, _: pairs_on_circle({text: BATCH}),
    "interval_plot": lambda text, _: interval_plot(
        [number(text), number("b"), number(text, panel="b")], "panel", 0, text
    ),
    "difference_plot": lambda text, _: difference_plot(
        [number(text, group=text, variant="v", p=0.01)], 0.1
    ),
    "answer_figure": lambda text, _: answer_figure(asked(text)),
    "roc": lambda text, _: roc_and_precision_recall(
        {text: np.linspace(0, 1, 4)}, LABELS, Bootstrap(4, seed=0, resamples=100)
    ),
}


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name in FIGURES for text in (TEXTS if name == "contact_sheet" else OF_EACH)],
)
def test_any_text_is_drawn_as_it_is_written(name, text, image):
    plt.switch_backend("agg")
    with warnings.catch_warnings(), plt.rc_context():
        warnings.simplefilter("error")
        use_theme()
        figure = FIGURES[name](text, image)
        figure.savefig(io.BytesIO(), format="png", dpi=30, bbox_inches="tight")
    width, height = figure.get_size_inches()
    assert max(width, height) < 20
    shown = [found.get_text() for found in figure.findobj(Text)]
    assert any(drawable(text)[:20] in label for label in shown)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "book").rglob("[0-9][0-9]_*.py")), ids=lambda p: p.stem
)
def test_no_label_of_a_chapter_is_mathematics(path):
    code = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    assert not [source for source in code if "$" in source]


@pytest.mark.parametrize("path", sorted((ROOT / "cxr_mtl").rglob("*.py")), ids=lambda p: p.stem)
def test_every_figure_is_made_where_no_text_is_mathematics(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and ast.unparse(node.returns or node) == "Figure":
            decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
            assert decorators == ["shown_once"] or node.name == "closed", node.name
