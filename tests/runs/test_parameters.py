"""Parameters: declared once, typed, and refused before any work."""

from pathlib import Path

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.runs.parameter_ranges import RANGES, UNITS, range_in_words
from cxr_mtl.runs.parameters import (
    merge_declarations,
    read_parameters,
    resolve,
    write_parameters,
)
from cxr_mtl.runs.profiles import read_profile
from cxr_mtl.runs.stages import read_chapters
from cxr_mtl.training.trainer import TrainingConfig, given_weights

ROOT = Path(__file__).parents[2]
CELL = """\
run_dir: str = "runs/demo"  # folder of the run
lr: float = 1e-4  # learning rate of the backbone
epochs: int = 20  # passes over the data
amp: bool = False
ks: list[int] = [1, 3]  # ranks
rule: Duplicates = "ignore"  # label rule
folder: Optional[Path] = None  # Open-I folder
temperature: Optional[float] = None
"""
DECLARED = read_parameters(CELL, "04_training")


def value_of(override: str):
    return resolve(DECLARED, {}, "", [override])[override.partition("=")[0]]


def test_the_cell_declares_name_type_default_and_comment():
    lr = DECLARED["lr"]
    assert (lr.annotation, lr.default, lr.comment) == (
        "float",
        1e-4,
        "learning rate of the backbone",
    )
    assert DECLARED["amp"].comment == ""
    assert [name for name, parameter in DECLARED.items() if parameter.is_path] == ["folder"]


def test_reading_a_cell_executes_nothing(tmp_path):
    trap = tmp_path / "executed"
    cell = f"x: list[open({str(trap)!r}, 'w')] = []"
    with pytest.raises(InputError, match="needs a type made of int"):
        read_parameters(cell, "01_data")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("x = 3", "only lines `name: type = default`, not `x = 3`"),
        ("import os", "only lines"),
        ("x: int", "only lines"),
        ("x: int = len('abc')", "a literal default"),
        ("x: dict = {}", "needs a type made of int"),
        ("x: int.__class__ = 1", "needs a type made of int"),
        ("x: int | None = 1", "needs a type made of int"),
        ('x: Literal["a"] = "a"', "needs a type made of int"),
        ("x: list[Optional] = []", "needs a type made of int"),
        ("x: list[int] = [\n    1,\n]", "write `x: list[int] = [1]` on one line"),
        ("x: int = (\n    1  # one\n)", "write `x: int = 1` on one line"),
        ("x: int = 'a'", "x = 'a' is not of type int"),
        ("x: int = 1\nx: int = 2", "x is declared twice"),
        ("x: int = (", "is not Python"),
    ],
)
def test_a_cell_that_declares_otherwise_is_refused(cell, sentence):
    with pytest.raises(InputError) as error:
        read_parameters(cell, "01_data")
    assert sentence in str(error.value)


def test_a_command_line_value_wins_over_the_profile_and_that_over_the_default():
    values = resolve(DECLARED, {"lr": 1e-3, "epochs": 5}, "demo.yml", ["epochs=7"])
    assert (values["amp"], values["lr"], values["epochs"]) == (False, 1e-3, 7)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("lr=1e-4", 1e-4),
        ("lr=2", 2.0),
        ("epochs=3", 3),
        ("amp=true", True),
        ("amp=False", False),
        ("ks=[1,3,5]", [1, 3, 5]),
        ("ks=1,3", [1, 3]),
        ("rule=together", "together"),
        ("run_dir=7", "7"),
        ("run_dir=", ""),
        ("folder=/data/open i", "/data/open i"),
        ("folder=None", None),
        ("folder=null", None),
        ("temperature=None", None),
        ("temperature=0.07", 0.07),
        ("run_dir=a=b", "a=b"),
    ],
)
def test_the_command_line_is_read_by_the_declared_type(override, value):
    assert value_of(override) == value
    assert type(value_of(override)) is type(value)


@pytest.mark.parametrize(
    "override", ["lr=fast", "epochs=1.5", "epochs=true", "ks=[1,'a']", "amp=1", "rule=guess"]
)
def test_a_command_line_value_of_another_type_is_refused(override):
    with pytest.raises(InputError, match=f"-p: {override.partition('=')[0]} = .* is not of type"):
        value_of(override)


@pytest.mark.parametrize(
    ("declaration", "override", "reason"),
    [
        ("epochs: int = 20", "epochs=-3", "input should be greater than or equal to 1"),
        ("temperature: Optional[float] = None", "temperature=0", "greater than or equal to 0.001"),
        ("validation_fraction: float = 0.1", "validation_fraction=1", "should be less than 1"),
        ("trials: int = 20", "trials=0", "greater than or equal to 1"),
        ("seed: int = 0", "seed=-1", "greater than or equal to 0"),
    ],
)
def test_a_value_out_of_its_range_is_refused(declaration, override, reason):
    declared = read_parameters(declaration, "04_training")
    assert resolve(declared, {}, "") == {name: p.default for name, p in declared.items()}
    name, _, text = override.partition("=")
    with pytest.raises(InputError, match=f"^-p: {name} = .* is out of range: .*{reason}"):
        resolve(declared, {}, "", [override])
    with pytest.raises(InputError, match=rf"^demo\.yml: {name} = .* is out of range"):
        resolve(declared, {name: declared[name].parse(text, "")}, "demo.yml")


@pytest.mark.parametrize("weights", [[1.0, 2.0], [1.0, -0.5, 1.0], [0.0, 0.0, 0.0], []])
def test_loss_weights_are_refused_where_the_trainer_refuses_them(weights):
    declared = read_parameters("weights: Optional[list[float]] = None", "04_training")
    for usable in (None, [0.0, 0.0, 1.0]):
        assert resolve(declared, {"weights": usable}, "demo.yml") == {"weights": usable}
    with pytest.raises(InputError, match="is out of range: give a number from 0 to 1000 for"):
        resolve(declared, {"weights": weights}, "demo.yml")
    with pytest.raises(InputError):
        given_weights(weights)


def test_the_ranges_of_training_are_the_trainers():
    fields = {n: field for n, field in TrainingConfig.model_fields.items() if field.metadata}
    assert len(fields) == 10
    for name, field in fields.items():
        assert RANGES[name].metadata == field.metadata, name
    assert RANGES["search_epochs"].metadata == fields["epochs"].metadata


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("epochs", "at least 1 and at most 10,000"),
        ("validation_fraction", "above 0 and below 1"),
        ("dropout", "at least 0 and below 1"),
        ("weights", "a number from 0 to 1000 for each loss, not all of them 0"),
        ("run_dir", ""),
    ],
)
def test_a_range_is_told_in_words(name, words):
    assert range_in_words(name) == words


def test_every_range_has_words():
    assert all(range_in_words(name) for name in RANGES)


def test_ranges_and_units_are_of_parameters_that_chapters_have():
    declared = {name for chapter in read_chapters(ROOT / "book") for name in chapter.parameters}
    assert RANGES.keys() | UNITS.keys() <= declared


def test_the_papers_symbol_stands_for_its_parameter_on_the_command_line_alone():
    assert resolve(DECLARED, {}, "", ["tau=0.05"])["temperature"] == 0.05
    with pytest.raises(InputError, match="no chapter has a parameter tau"):
        resolve(DECLARED, {"tau": 0.05}, "demo.yml")


@pytest.mark.parametrize("second", ["temperature=0.07", "tau=0.07"])
def test_a_parameter_given_twice_is_refused(second):
    said = f"-p gives temperature twice, the second time as {second}: give it once"
    with pytest.raises(InputError, match=said):
        resolve(DECLARED, {"temperature": 0.1}, "demo.yml", ["temperature=0.05", second])


def test_a_value_that_another_replaces_may_be_out_of_range():
    assert resolve(DECLARED, {"epochs": 0}, "demo.yml", ["epochs=5"])["epochs"] == 5


def test_an_unknown_name_is_refused_with_the_nearest_known_one():
    with pytest.raises(InputError, match="no chapter has a parameter epoch: did you mean epochs"):
        value_of("epoch=3")
    with pytest.raises(InputError, match=r"demo\.yml: no chapter has a parameter tempreture: did"):
        resolve(DECLARED, {"tempreture": 1}, "demo.yml")


def test_an_override_without_a_value_is_refused():
    with pytest.raises(InputError, match="-p epochs lacks its value"):
        value_of("epochs")


@pytest.mark.parametrize(
    ("yaml_text", "written"),
    [("1e-4", "1.0e-4"), ("1.5e4", "1.5e+4"), ("-2E3", "-2.0e+3"), ("1.e5", "1.0e+5")],
)
def test_a_number_that_yaml_reads_as_text_is_refused_with_its_right_spelling(
    tmp_path, yaml_text, written
):
    profile = tmp_path / "demo.yml"
    profile.write_text(f"lr: {yaml_text}\n")
    with pytest.raises(InputError) as error:
        resolve(DECLARED, read_profile(profile), "demo.yml")
    assert f"write {written}, since YAML reads {yaml_text} as text" in str(error.value)
    profile.write_text(f"lr: {written}\n")
    assert resolve(DECLARED, read_profile(profile), "")["lr"] == float(yaml_text)


@pytest.mark.parametrize(
    "value", ["3", True, 1.5, None, [3], {"a": 1}, float("inf"), __import__("datetime").date.min]
)
def test_a_profile_value_of_another_type_is_refused(value):
    with pytest.raises(InputError, match=r"epochs = .* is not of type int"):
        resolve(DECLARED, {"epochs": value}, "demo.yml")


def test_a_name_in_two_chapters_must_be_declared_alike():
    same = read_parameters("seed: int = 0", "a")
    other = read_parameters("seed: int = 1", "b")
    assert list(merge_declarations({"a": same, "b": same})) == ["seed"]
    with pytest.raises(InputError, match="b declares seed: int = 1, but a has int = 0"):
        merge_declarations({"a": same, "b": other})


def test_written_parameters_read_back_as_the_values_and_keep_their_comments():
    values = resolve(
        DECLARED, {"lr": 3e-5, "ks": [10], "folder": "/dätä/x", "rule": "together"}, "demo.yml"
    )
    cell = write_parameters(CELL, values)
    assert {name: p.default for name, p in read_parameters(cell, "x").items()} == values
    assert "lr: float = 3e-05  # learning rate of the backbone" in cell
    assert write_parameters(CELL, resolve(DECLARED, {}, "")) == CELL.rstrip("\n")


def test_a_list_in_a_cell_is_replaced_whole():
    cell = 'name: str = "ä"\nks: list[int] = [1, 2]  # ranks\nn: int = 1'
    assert write_parameters(cell, {"ks": [5], "n": 2}) == (
        'name: str = "ä"\nks: list[int] = [5]  # ranks\nn: int = 2'
    )


def test_a_path_of_the_users_home_is_found_wherever_it_is_given(monkeypatch):
    monkeypatch.setenv("HOME", "/home/reader")
    cell = (
        'own: Optional[Path] = None  # a file\ncache_dir: str = "runs/cache"  # shared\nx: str = ""'
    )
    declared = read_parameters(cell, "01_data")
    for values in (
        resolve(declared, {}, "", ["own=~/pairs.csv", "cache_dir=~/cache", "x=~/x"]),
        resolve(declared, {"own": "~/pairs.csv", "cache_dir": "~/cache", "x": "~/x"}, "demo.yml"),
    ):
        expected = {"own": "/home/reader/pairs.csv", "cache_dir": "/home/reader/cache", "x": "~/x"}
        assert values == expected
    with pytest.raises(InputError, match="there is no such home: write the path in full"):
        resolve(declared, {}, "", ["cache_dir=~nobody-of-this-name/cache"])


def test_what_no_other_value_would_let_be_read_is_refused():
    cell = """
dataset: DatasetName = "openi"  # where images and reports come from
view_source: ViewSource = "dicom+tsne"  # which image is frontal
openi_folder: Optional[Path] = None  # openi
pairs_csv: Optional[Path] = None  # pairs
patient_column: Optional[str] = None  # pairs
projections_csv: Optional[Path] = None  # projections
"""
    declared = read_parameters(cell, "01_data")
    for name in ("pairs_csv", "patient_column"):
        said = f"-p {name}=own would not be read, for dataset is 'phantom': add -p dataset=pairs"
        with pytest.raises(InputError, match=said):
            resolve(declared, {"dataset": "phantom"}, "demo.yml", [f"{name}=own"])
        given = resolve(declared, {"dataset": "phantom"}, "", [f"{name}=own", "dataset=pairs"])
        assert given[name] == "own"
        # A profile may hold what another data set would read.
        assert resolve(declared, {"dataset": "phantom", name: "own"}, "demo.yml")[name] == "own"
    with pytest.raises(InputError, match="add -p view_source=projections"):
        resolve(declared, {}, "", ["projections_csv=own"])
    with pytest.raises(InputError, match="add -p dataset=openi"):
        resolve(declared, {"dataset": "pairs"}, "", ["openi_folder=own"])
    assert resolve(declared, {}, "", ["pairs_csv=None"])["pairs_csv"] is None
