"""The page of the library: signatures as written, docstrings as reST, and where it is used."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path
from typing import get_args, get_origin

import pytest
import yaml
from lxml import html
from sphinx.application import Sphinx

from cxr_mtl.base import InputError
from cxr_mtl.data.sources import DatasetName
from cxr_mtl.models.backbones import Backbone
from cxr_mtl.pages import write_teaching_notebooks
from cxr_mtl.pages.library_page import docstring_text, library_types, types_text, used_in
from cxr_mtl.pages.public_names import names_taken, paths, public_names, public_thing, uses
from cxr_mtl.pages.written_types import definition, own_types, type_in_words, written_signature
from cxr_mtl.retrieval import Index, normalised
from cxr_mtl.runs.stages import read_chapters, read_exercises
from cxr_mtl.training import LossWeights, TrainingConfig

ROOT = Path(__file__).parents[2]
CHAPTER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder
# %%
from cxr_mtl.data import split_studies
"""
CALLABLES = [
    path
    for path in paths().values()
    if callable(public_thing(path)) and get_origin(public_thing(path)) is None
]


@pytest.fixture(scope="module")
def pages():
    return [*read_chapters(ROOT / "book"), *read_exercises(ROOT / "book")]


def test_the_public_names_are_those_of_every_door():
    doors = {
        file.parent.name: ast.literal_eval(re.search(r"__all__ = (\[.*\])", text, re.DOTALL)[1])
        for file in (ROOT / "cxr_mtl").glob("*/__init__.py")
        if (text := file.read_text())
    }
    assert public_names() == doors
    assert len(paths()) == sum(map(len, doors.values())), "a name is handed on by two doors"


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (normalised, ("(vectors: ArrayLike)", "Vectors")),
        (Index.save, ("(folder: Path | str)", "None")),
        (InputError, ("", "")),
    ],
)
def test_a_signature_is_that_of_the_source(thing, expected):
    assert written_signature(thing) == expected


def test_fields_of_a_class_are_its_arguments_and_a_short_constant_is_shown_by_its_value():
    assert written_signature(LossWeights)[0].startswith("(bce: float, supcon: float, clip: float")
    assert written_signature(TrainingConfig)[0].startswith("(*, weights: LossWeights = ")
    assert "epochs: int = 20" in written_signature(TrainingConfig)[0]
    assert "folder: Path=Path('_build/teach')" in written_signature(write_teaching_notebooks)[0]


@pytest.mark.parametrize("path", CALLABLES)
def test_a_signature_has_the_arguments_of_the_running_code(path):
    thing = public_thing(path)
    written = ast.parse(f"def f{written_signature(thing)[0] or '()'}: ...").body[0].args
    names = [one.arg for one in (*written.args, *written.kwonlyargs)]
    if not (inspect.isclass(thing) and issubclass(thing, BaseException)):
        assert names == list(inspect.signature(thing).parameters)


def test_a_type_is_told_by_its_choices_its_fields_or_what_it_is_short_for():
    choices = type_in_words(definition("cxr_mtl.data.sources", "DatasetName"))
    assert re.findall(r'`"([^"]+)"`', choices) == list(get_args(DatasetName))
    told = type_in_words(definition("cxr_mtl.models.features", "Backbone"))
    assert told.startswith(inspect.getdoc(Backbone).split("\n\n")[0][:40])
    fields = [field.name for field in dataclasses.fields(Backbone)]
    assert re.findall(r"`(\w+)`", told.rpartition("It holds")[2]) == fields
    assert (
        type_in_words(definition("cxr_mtl.retrieval.index", "Vectors")) == "`NDArray[np.float32]`"
    )


def test_types_that_are_public_or_not_the_librarys_are_not_listed():
    assert definition("cxr_mtl.retrieval.index", "ArrayLike") is None
    assert [one.name for one in own_types([normalised], known=())] == ["Vectors"]
    assert own_types([normalised], known=["Vectors"]) == []
    assert not {one.name for one in library_types()} & paths().keys()


def test_every_type_has_an_anchor_of_its_own():
    anchors = re.findall(r"^\[`\w+`\]\{#([\w-]+)\}$", types_text(library_types()), re.MULTILINE)
    assert len(anchors) == len(set(anchors)) == len(library_types())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Takes `a` and\n`b`.", "Takes ``a`` and\n``b``."),
        ("As `searches`.", "As :py:obj:`~cxr_mtl.retrieval.searches`."),
        ("|P| * f_ of f_p", r"\|P\| \* f\_ of f_p"),
        ("A *:\n\n>>> a * `b`\n2\n\n*", "A \\*:\n\n>>> a * `b`\n2\n\n\\*"),
        ("One.\n\nShapes: x [n],\n  y [n].\n\nTwo.", "One.\n\n\nTwo.\n\n:Shapes: x [n], y [n]."),
        ("One.\nSource: Youden.", "One.\n\n\n\n:Source: Youden."),
        ("Returns:\n    A: b.", "\n\nReturns:\n    : A: b."),
        (
            "Attributes:\n    a: one\n        or two.\n    b: three.",
            "\n\n:Attributes:\n\n    - **a** – one\n      or two.\n    - **b** – three.",
        ),
    ],
)
def test_a_docstring_becomes_rest_for_napoleon(written, expected):
    assert docstring_text(written).rstrip() == expected


def test_shapes_stand_before_the_arguments_and_a_name_does_not_link_to_itself():
    text = docstring_text("As `train`.\nShapes: [n].\n\nArgs:\n    x: y.", own_name="train")
    assert text.startswith("As ``train``.")
    assert text.index(":Shapes: [n].") < text.index("Args:")


def test_names_are_taken_from_a_door_or_out_of_a_module_that_it_hands_over():
    code = "from cxr_mtl.data import splits as s, load_dataset\n%matplotlib inline\ns.a(s.b.c)"
    modules = {"cxr_mtl.data.load_dataset", "cxr_mtl.data.splits"}
    assert names_taken(code) == {*modules, "cxr_mtl.data.splits.a", "cxr_mtl.data.splits.b"}


def test_what_a_page_imports_from_a_door_by_the_letters_of_its_source_is_a_use(pages):
    found = uses(pages)
    for page in pages:
        source = (ROOT / f"book/{page.name}.py").read_text()
        lines = re.findall(r"^from (cxr_mtl\.\w+) import (\([^)]*\)|[^\n]*)", source, re.MULTILINE)
        imported = {f"{door}.{name}" for door, names in lines for name in re.findall(r"\w+", names)}
        users = {path for path, names in found.items() if page.name in names}
        assert imported & found.keys() <= users
        assert all(re.search(rf"\b{path.rpartition('.')[2]}\b", source) for path in users)


def test_pages_that_use_a_name_are_named_and_linked():
    assert used_in([]) == "none directly"
    assert used_in(["03_weight_search", "exercises/10_classifier"]) == (
        ":doc:`3 Weight search </book/03_weight_search>`, "
        "exercises of :doc:`10 </book/exercises/10_classifier>`"
    )


def test_the_page_builds_without_a_warning_and_has_an_anchor_for_every_name(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book/01_one.py").write_text(CHAPTER)
    (tmp_path / "book/01_one.md").write_text("---\norphan: true\n---\n# One\n")
    (tmp_path / "index.md").write_text(
        "# Library\n\n```{library-names}\n```\n\n```{library}\n```\n"
    )
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    options = {
        **{name: settings[name] for name in settings if name.startswith(("autodoc", "napoleon"))},
        "extensions": ["myst_parser", "cxr_mtl.pages.library_page"],
        "myst_enable_extensions": ["attrs_inline", "deflist"],
        "nitpicky": True,
    }
    folders = [tmp_path, None, tmp_path / "html", tmp_path / "tree", "html"]
    Sphinx(*folders, options, status=None, warningiserror=True).build()
    page = html.parse(tmp_path / "html/index.html")
    ids = page.xpath("//@id")
    assert set(paths().values()) <= set(ids)
    links = page.xpath("//article//a/@href | //div[@class='body']//a/@href")
    assert {link[1:] for link in links if link.startswith("#")} <= {*ids, ""}
    entry = page.xpath("//dt[@id='cxr_mtl.data.split_studies']/following-sibling::dd[1]")[0]
    assert entry.xpath(".//a[@href='book/01_one.html']//text()") == ["1 One"]
