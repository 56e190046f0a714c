"""Typed texts in a page of the Explorer's own scripts: read, refused and noted as Python does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built_pages import ROOT

from cxr_mtl.base.errors import InputError
from cxr_mtl.explorer.bundle import base64_of
from cxr_mtl.explorer.example_queries import TRIED
from cxr_mtl.explorer.page import SCRIPTS
from cxr_mtl.explorer.text_tower_onnx import tokenizer_card
from cxr_mtl.models.reading import check_query
from cxr_mtl.models.tokenizers import LONGEST_TEXT, Tokenizer, load_tokenizer, read_texts
from tests.models.written_tokenizer import write_tokenizer

ASSETS = ROOT / "book/_assets/explorer"
CONTEXT = 12
PIECES = "lungs clear effusion pneumo ##thorax ##s opacite don ' t a b i n . , ; 2 5 ##cm ( )"
TEXTS = [
    "",
    " \n\t ",
    "?! …",
    "Lungs clear.",
    "LUNGS, Pneumothorax; pneumothoraxs",
    "Pneumothorax",
    "Pneumothorax 2",
    "Opacité ☃ in a Lobe",
    "Ждать ☃Ж lungs ждать",
    "肺炎 lungs 🙂 שלום عربي",
    "肺炎",
    "[MASK] [PAD] [UNK] effusion",
    "[MASK]",
    "don't ﬁ “a” lungs clear in 2.5cm",
    "lungs clear effusion " * 40,
    "lungs " * 9 + "pneumothorax clear",
    "lungs " * 10,
    "foo " * 20 + "lungs",
    f"{'x' * 150} lungs {'clear ' * 30}",
    "lungs c d e f g h j k l m",
    "Σίσυφος lungs İstanbul",
    "lungs \u0000clear\u200b \u202eeffusion",
    *TRIED,
]


@pytest.fixture(scope="module")
def tokenize(tmp_path_factory) -> Tokenizer:
    return load_tokenizer(write_tokenizer(tmp_path_factory.mktemp("words"), PIECES, CONTEXT))


@pytest.fixture(scope="module")
def page(browser, tokenize) -> Iterator[Any]:
    page = browser.new_page()
    page.add_script_tag(path=ASSETS / "tokenizer.js")
    page.evaluate(
        "card => { window.read = CxrExplorer.tokenizer(card); }", tokenizer_card(tokenize)
    )
    yield page
    page.close()


def in_python(tokenize: Tokenizer, text: str) -> dict[str, Any]:
    """The refusal and the notes, the former written as a sentence of a page."""
    try:
        return {"refusal": "", "notes": check_query(tokenize, text)}
    except InputError as error:
        sentence = str(error)
        return {"refusal": f"{sentence[0].upper()}{sentence[1:]}.", "notes": []}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_as_python_reads_it(page, tokenize, text):
    ours = page.evaluate("text => read(text)", text)
    (theirs,) = read_texts(tokenize, [text])
    padded = tokenize([text])[0].tolist()
    assert ours["ids"] == padded[: theirs.read]
    assert (ours["tokens"], ours["read"]) == (theirs.tokens, theirs.read)
    assert ours["rest"] == theirs.rest
    assert [(word["text"], word["tokens"]) for word in ours["words"]] == list(theirs.words)


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_said_of_a_text_is_what_python_says(page, tokenize, text):
    assert page.evaluate("text => CxrExplorer.judge(read(text))", text) == in_python(tokenize, text)


@pytest.fixture
def app(browser, tokenize, tmp_path) -> Iterator[Any]:
    """The Explorer over two studies, with a text tower that always gives one vector."""
    vectors = base64_of(np.array([[1, 0], [1, 0]]))
    model = {"key": "m", "name": "M", "size": 2, "image": vectors, "text": vectors}
    model["map"] = [[0, 0], [1, 1]]
    data = {
        "run": "r",
        "labels": ["normal", "abnormal"],
        "studies": [{"study": s, "label": 0, "report": "Clear."} for s in ("1", "2")],
        "thumbnails": {"file": "none.jpg", "size": 112, "columns": 2},
        "models": [model],
        "textTower": {"model": "m", "files": ["none.js"], **tokenizer_card(tokenize)},
        "attribution": "",
        "licence": "",
        "licenceUrl": "",
    }
    page = browser.new_page()
    page.goto(blank(tmp_path).as_uri())
    page.evaluate("data => { window.CXR_EXPLORER = data; }", data)
    for script in SCRIPTS[1:]:
        if script == "app.js":
            page.evaluate(
                "CxrExplorer.openTower = async () => async () => new Float32Array([1, 0])"
            )
        page.add_script_tag(path=ASSETS / script)
    yield page
    page.close()


def blank(folder: Path) -> Path:
    file = folder / "page.html"
    file.write_text('<div id="cxr-explorer" data-root="" data-runtime="present"></div>')
    return file


def type_text(page: Any, text: str) -> None:
    page.get_by_role("radio", name="a report you type").check()
    page.get_by_label("Your report").fill(text)
    page.get_by_role("button", name="Retrieve").click()
    page.wait_for_selector(".cxr-message:not(:empty)")


def test_the_page_says_what_it_did_not_read_above_its_results(app):
    type_text(app, "effusion ☃Ж " + "lungs " * 20)
    app.wait_for_selector(".cxr-result")
    told = app.locator(".cxr-message:not(:empty)").inner_text()
    assert "Read 12 of 24 tokens: the rest, from “lungs lungs" in told
    assert "nothing of it was read: ☃Ж." in told


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("肺炎", "The model's vocabulary holds no word of the text (肺, 炎)"),
        ("?!", "The text to search for holds no word: describe a finding."),
        ("x" * (LONGEST_TEXT + 1), "A text of 100,001 characters is longer than the 100,000"),
    ],
)
def test_a_text_of_which_nothing_is_known_finds_nothing(app, text, sentence):
    type_text(app, "lungs foo")
    app.wait_for_selector(".cxr-result")
    type_text(app, text)
    app.get_by_text(sentence).wait_for()
    assert app.locator(".cxr-result").count() == 0
