"""The book's chapters and profiles as they stand: they parse, agree and fit together."""

import ast
import re
from pathlib import Path
from typing import get_args

import nbformat
import papermill
import pytest
import yaml

from cxr_mtl.base import DatasetName
from cxr_mtl.base.imports import code_cells
from cxr_mtl.data.sources import SOURCES
from cxr_mtl.runs.parameters import merge_declarations, resolve
from cxr_mtl.runs.planning import plan
from cxr_mtl.runs.profiles import read_profile
from cxr_mtl.runs.stages import read_chapter, read_chapters, read_exercises
from cxr_mtl.training.trainer import TrainingConfig

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "book"
PROFILES = sorted((BOOK / "profiles").glob("*.yml"))
NAMES = sorted(path.stem for path in BOOK.glob("[0-9][0-9]_*.py"))
STAGES = sorted(BOOK.rglob("[0-9][0-9]_*.py"))


@pytest.fixture(scope="module")
def chapters():
    return {chapter.name: chapter for chapter in read_chapters(BOOK)}


@pytest.fixture(scope="module")
def declared(chapters):
    return merge_declarations({name: c.parameters for name, c in chapters.items()})


def values_of(profile, declared):
    path = BOOK / "profiles" / f"{profile}.yml"
    return resolve(declared, read_profile(path), str(path))


def test_needs_and_leaves_put_the_chapters_in_the_order_of_their_numbers(chapters):
    assert list(chapters) == NAMES


def test_the_contents_and_the_front_page_name_every_chapter():
    contents, front = (ROOT / "_toc.yml").read_text(), (BOOK / "index.md").read_text()
    for name in NAMES:
        assert f"file: book/{name}\n" in contents
        assert re.search(rf"^\| \[[^]]+\]\({name}\) \|", front, flags=re.MULTILINE), name


def test_every_data_set_is_named_for_readers_and_attributed():
    assert set(SOURCES) == set(get_args(DatasetName))


def test_every_chapter_leaves_its_results(chapters):
    for name, chapter in chapters.items():
        assert f"results/{name}.json" in chapter.leaves
        assert f'"{name}"' in "\n".join(code_cells(chapter.notebook))


def test_what_a_chapter_says_it_needs_and_leaves_is_what_its_code_names(chapters):
    """`run / "name"` for every file, none undeclared, but for what only that chapter uses."""
    private = {
        "03_weight_search": {"search.db"},
        "04_training": {"checkpoints"},
        "09_ablations": {"ablations"},
    }
    for name, chapter in chapters.items():
        code = "\n".join(code_cells(chapter.notebook))
        used = set(re.findall(r'run / "([\w.]+)"', code))
        if "prepare_training(" in code:
            used |= {"studies.parquet", "models.json"}
        watched = f"watched/{name}.parquet"
        assert (f'watch(run, "{name}"' in code) == (watched in chapter.leaves), name
        files = {file for file in [*chapter.needs, *chapter.leaves] if "results/" not in file}
        files -= {watched}
        assert used - private.get(name, set()) == files, name


def test_models_are_loaded_by_their_source_only_where_they_are_recorded(chapters):
    """All later chapters take the models that 02 found, and are stale when it finds others."""
    exercises = {stage.name: stage for stage in read_exercises(BOOK)}
    for name, stage in {**chapters, **exercises}.items():
        code = "\n".join(code_cells(stage.notebook))
        assert ("load_backbone(" in code) == (name == "02_model"), name
        assert "load_recorded(" not in code or "models.json" in stage.needs, name


def test_every_code_cell_is_plain_python(chapters):
    for chapter in chapters.values():
        cells = code_cells(chapter.notebook)
        assert len(cells) > 3
        for source in cells:
            ast.parse(source)


def test_no_line_of_code_is_cut_at_the_edge_of_the_page(chapters):
    exercises = {stage.name: stage for stage in read_exercises(BOOK)}
    long = [
        (name, line)
        for name, stage in {**chapters, **exercises}.items()
        for source in code_cells(stage.notebook)
        for line in source.splitlines()
        if len(line) > 78
    ]
    assert long == []


def test_every_parameter_says_what_it_is_and_is_used(chapters):
    for name, chapter in chapters.items():
        code = code_cells(chapter.notebook)
        used = {
            node.id
            for source in code
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        for call in re.findall(r"from_parameters\((.*?)\n?\)\n", "\n".join(code) + "\n", re.DOTALL):
            given = set(re.findall(r"^\s*(\w+)=|, (\w+)=", call, flags=re.MULTILINE))
            used |= set(TrainingConfig.model_fields) - {name for pair in given for name in pair}
        for parameter in chapter.parameters.values():
            assert parameter.comment, (name, parameter.name)
            assert parameter.name in used, (name, parameter.name)


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_papermill_lists_every_parameter_with_its_type_and_help_and_calls_a_typo_alone_unknown(
    path, tmp_path, caplog
):
    stage = read_chapter(path)
    notebook = str(tmp_path / "chapter.ipynb")
    nbformat.write(stage.notebook, notebook)
    listed = {
        name: (one["inferred_type_name"], ast.literal_eval(one["default"]), one["help"])
        for name, one in papermill.inspect_notebook(notebook).items()
    }
    assert listed == {
        name: (one.annotation, one.default, one.comment) for name, one in stage.parameters.items()
    }
    given = {**{name: one.default for name, one in stage.parameters.items()}, "sead": 1}
    papermill.execute_notebook(notebook, None, given, prepare_only=True)
    assert [one for one in caplog.messages if "unknown" in one] == [
        "Passed unknown parameter: sead"
    ]


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_the_first_code_behind_the_parameters_checks_them(path):
    cells = code_cells(read_chapter(path).notebook)
    place = next(i for i, source in enumerate(cells) if source.startswith("run_dir: str"))
    assert cells[place + 1].startswith("check_parameters(globals())\n")


def test_exercises_declare_their_parameters_as_the_chapters_do(declared):
    pages = {page.name: page.parameters for page in read_exercises(BOOK)}
    names = {name for parameters in pages.values() for name in parameters}
    assert "run_dir" in names <= set(declared)
    assert merge_declarations({"chapters": declared, **pages}) == declared


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_name_of_a_profile_is_declared_and_of_the_declared_type(path, declared):
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(written) <= set(declared)
    values = resolve(declared, read_profile(path), str(path))
    assert set(values) == set(declared)
    for name, value in written.items():
        assert values[name] == value


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_plans_every_chapter_and_writes_nothing(path, tmp_path, monkeypatch):
    (tmp_path / "book").symlink_to(BOOK)
    monkeypatch.chdir(tmp_path)
    planned = plan(path.stem, "mine")
    exercises = [page.name for page in read_exercises(BOOK)]
    assert list(planned.stages) == NAMES + exercises
    assert all(values["run_dir"] == "runs/mine" for _, values in planned.stages.values())
    assert not planned.run.path.exists()


def test_the_editions_are_there():
    assert {path.stem for path in PROFILES} == {"demo", "pairs", "paper"}


def test_the_paper_profile_is_the_papers_run(declared):
    values = values_of("paper", declared)
    expected = {
        "dataset": "openi",
        "backbone": "biomedclip",
        "general_model": "clip",
        "unfrozen_blocks": 1,
        "batch_size": 128,
        "epochs": 20,
        "learning_rate": 1e-5,
        "head_learning_rate": 1e-4,
        "warmup_fraction": 0.1,
        "trials": 20,
        "search_epochs": 20,
        "test_per_class": 200,
        "validation_fraction": 0.1,
        "label_rule": "mesh-normal+no-indexing",
        "sections": "findings+impression",
        "weights": None,
    }
    assert {name: values[name] for name in expected} == expected


def test_the_chapters_defaults_are_those_of_the_trainer(declared):
    config = TrainingConfig()
    shared = set(TrainingConfig.model_fields) & set(declared) - {"weights"}
    assert len(shared) == 12
    for name in shared:
        assert declared[name].default == getattr(config, name), name


def test_the_demo_draws_phantoms_and_uses_the_small_models(declared):
    values = values_of("demo", declared)
    assert values["dataset"] == "phantom"
    assert {values["backbone"], values["general_model"]} == {"demo-biomed", "demo-general"}
