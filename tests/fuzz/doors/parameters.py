"""What a command line and a profile say: values of parameters, grids, stages and names of runs."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from door import Door
from hostile import plain, seeds, texts
from hypothesis import strategies as st
from mutation import mutated

from cxr_mtl.runs import planning, sweep
from cxr_mtl.runs.parameters import Parameter, merge_declarations, resolve
from cxr_mtl.runs.profiles import read_profile
from cxr_mtl.runs.run import named_run
from cxr_mtl.runs.stages import Chapter, chosen_stages, read_stages

ROOT = Path(__file__).parents[3]
PROFILES = [path.read_bytes() for path in sorted((ROOT / "book/profiles").glob("*.yml"))]
NAMES = (
    "seed",
    "dataset",
    "pairs_csv",
    "test_per_class",
    "validation_fraction",
    "batch_size",
    "learning_rate",
    "temperature",
    "tau",
    "weights",
    "depths",
    "epochs",
    "threads",
    "pruning",
    "tsne_perplexity",
    "device",
    "duplicates",
)
VALUES = (
    *(
        "0",
        "1",
        "-1",
        "2",
        "0.5",
        "1e-3",
        "1e308",
        "1e309",
        "NaN",
        "Infinity",
        "-0.0",
        "4294967296",
    ),
    *(
        "9" * 400,
        "0x10",
        "1_000",
        "true",
        "True",
        "yes",
        "null",
        "None",
        "~",
        "[]",
        "[0]",
        "[0, 99]",
    ),
    *("[1, 1, 1]", "[0, 0, 0]", "[1e308, 1e308, 1e308]", "[" * 2000, "{}", '"x"', "phantom"),
    *("pairs", "cpu", "auto", "together", "a\0b", "/dev/zero", "../secret", "1" * 5000),
)
names = st.sampled_from(NAMES) | texts
values = st.sampled_from(VALUES) | texts


@cache
def stages() -> list[Chapter]:
    """All chapters and exercises, read once."""
    return read_stages(ROOT / "book")


@cache
def declared() -> dict[str, Parameter]:
    """The parameters of all chapters and exercises."""
    found = merge_declarations({stage.name: stage.parameters for stage in stages()})
    found.pop("run_dir")
    return found


def _lay_nothing(folder: Path, value: Any) -> Any:
    return value


honest = st.sampled_from(
    ("seed=7", "epochs=3", "tau=0.2", "weights=[0, 0, 1]", "dataset=pairs", "pruning=true")
)
overrides = st.lists(
    honest | st.tuples(names, values).map("=".join) | texts, min_size=1, max_size=3
)


def _resolve(words: list[str]) -> dict[str, Any]:
    return resolve(declared(), {}, "profile", words)


def _check_values(argument: Any, value: Any, result: dict[str, Any]) -> None:
    """All parameters have a value, and the values are JSON, as the manifest must hold them."""
    assert result.keys() == declared().keys()
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@st.composite
def _profiles(draw: st.DrawFn) -> bytes:
    """The bytes of a profile: odd values, YAML's own marks, or a real one that is damaged."""
    if draw(st.integers(0, 3)) == 0:
        return mutated(draw(st.sampled_from(PROFILES)), random.Random(draw(seeds)))
    mapping = draw(st.dictionaries(names, values, max_size=4))
    if draw(st.booleans()):
        return yaml.safe_dump(mapping, allow_unicode=True).encode("utf-8", "surrogatepass")
    odd = st.sampled_from(
        (
            *("&a [*a]", "!!python/name:os.system", "? [1]\n: 2", "- 1", "<<: {seed: 1}"),
            *("seed: 2026-13-45", "seed: !!bool x", "seed: !!int ''", "seed: !!set x", "<<: 3"),
        )
    )
    lines = [f"{name}: {value}" for name, value in mapping.items()]
    lines.insert(0, draw(odd | texts))
    bomb = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    if draw(st.integers(0, 19)) == 0:
        lines = [bomb]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _lay_profile(folder: Path, content: bytes) -> Path:
    (folder / "profile.yml").write_bytes(content)
    return folder / "profile.yml"


def _read_profile(path: Path) -> dict[str, Any]:
    return resolve(declared(), read_profile(path), path.name)


honest_grids = st.sampled_from(
    ("seed=1,2", "epochs=20,40,80", "weights=[1,0,0],[0,1,0]", "tau=0.1,0.2", "device=cpu,auto")
)
grids = st.lists(
    honest_grids
    | st.tuples(names, st.lists(values, max_size=4).map(",".join)).map("=".join)
    | texts,
    max_size=3,
)


def _plan(value: tuple[list[str], str, list[str]]) -> sweep.Sweep:
    grid, name, words = value
    planning.read_stages = stages
    here = f"benchmarks_dir={ROOT / 'benchmarks'}"
    return sweep.plan_sweep(grid, name, str(ROOT / "book/profiles/demo.yml"), [here, *words])


def _check_plan(argument: Any, value: Any, planned: sweep.Sweep) -> None:
    expected = 1
    for column in planned.grid.values():
        expected *= len(column)
    assert len(planned.points) == expected
    assert len({point.run for point in planned.points}) == expected


STAGES = tuple(
    f"{folder}{number:02}_{name}"
    for folder in ("", "exercises/")
    for number, name in enumerate(("data", "model", "weight_search"), 1)
)


def _choose(words: list[str]) -> set[str]:
    return chosen_stages(words, STAGES)


def _check_chosen(argument: Any, words: list[str], chosen: set[str]) -> None:
    assert chosen
    assert chosen <= set(STAGES)


stage_words = st.sampled_from(
    ("01", "1", "data", "01_data", "01_data.py", "book/01_data.py", "exercises/01", "exercises")
) | st.sampled_from(("chapters", "99", "..", "/", "exercises/", "*", "01 ", "0１"))


def _name(word: str) -> Path:
    return named_run(word)


def _check_name(argument: Any, word: str, folder: Path) -> None:
    assert folder.parent == Path("runs")
    assert folder.name == word


HEAVY = ["weights=[0, 0, 1]", "device=cpu"]
"""Values whose check imports all that any check imports."""

DOORS = [
    Door("-p", overrides, _lay_nothing, _resolve, HEAVY, 1000, _check_values),
    Door("profile", _profiles(), _lay_profile, _read_profile, b"seed: 1\n", 1000, _check_values),
    Door(
        "grid",
        st.tuples(grids, plain | texts, st.just([]) | overrides),
        _lay_nothing,
        _plan,
        (["seed=1,2"], "name", HEAVY),
        800,
        _check_plan,
    ),
    Door(
        "stages",
        st.lists(stage_words | texts, min_size=1, max_size=3),
        _lay_nothing,
        _choose,
        ["01"],
        800,
        _check_chosen,
    ),
    Door("name of a run", plain | texts, _lay_nothing, _name, "demo", 500, _check_name),
]
