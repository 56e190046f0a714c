"""Checks of exercises: what they accept, what they refuse, and what they say."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from exercise_run import write_run
from exercise_trials import (
    ANSWERS,
    EXERCISES,
    check,
    functions_of,
    solve,
    space_of,
    unsolved,
    written_answers,
)

RIGHT, WRONG = written_answers("right"), written_answers("wrong")
SENTENCE = re.compile(r".+: expected .+, found .+", re.S)


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("exercises"))


@pytest.fixture
def start(values, monkeypatch, tmp_path):
    """The names that an exercise begins with, in a folder where nothing lies."""
    monkeypatch.chdir(tmp_path)
    return lambda label: space_of(label, values)


def test_every_exercise_has_wrong_answers_and_every_answer_its_exercise():
    assert {label for label, _, _ in WRONG} == set(EXERCISES)
    assert {label for label, _, _ in RIGHT} <= set(EXERCISES)
    headings = "".join(path.read_text(encoding="utf-8") for path in ANSWERS.glob("*.py"))
    assert headings.count("# %%") == len(WRONG) + len(RIGHT)


@pytest.mark.parametrize("label", EXERCISES)
def test_a_check_passes_on_the_books_solution_alone_and_changes_nothing_that_was_given(
    label, start, capsys
):
    space = start(label)
    given = {name: value for name, value in space.items() if name != "_"}
    assert solve(label, space) is None
    check(label, space)
    assert all(space[name] is value for name, value in given.items()), "the others need them"
    assert capsys.readouterr().out.endswith(f"{label}: passed\n")


@pytest.mark.parametrize("label", EXERCISES)
def test_a_check_passes_on_the_books_solution_in_single_precision(label, start):
    space = start(label)
    solve(label, space, "")
    for name in functions_of(label):
        space[name] = _in_single_precision(space[name])
    check(label, space)


@pytest.mark.parametrize("label", EXERCISES)
def test_a_check_of_an_unsolved_exercise_says_that_code_is_missing(label, start):
    for missing in [functions_of(label), *([name] for name in functions_of(label))]:
        space = start(label)
        error = solve(label, space, unsolved(label, missing))
        sentence = f"exercise {label}: your code belongs here"
        assert error is None or sentence in str(error), error
        with pytest.raises(NotImplementedError, match=sentence):
            check(label, space)


@pytest.mark.parametrize(
    ("label", "name"), [(label, name) for label in EXERCISES for name in functions_of(label)]
)
def test_a_check_says_what_it_expected_where_a_function_returns_nothing(label, name, start):
    space = start(label)
    solve(label, space, "")
    space[name] = lambda *_, **__: None
    with pytest.raises(AssertionError, match=SENTENCE):
        check(label, space)


@pytest.mark.parametrize(("label", "name", "code"), WRONG, ids=[" ".join(a[:2]) for a in WRONG])
def test_a_wrong_answer_is_refused_by_what_was_expected_and_found(label, name, code, start):
    space = start(label)
    solve(label, space, code)
    with pytest.raises(AssertionError, match=SENTENCE):
        check(label, space)


@pytest.mark.parametrize(("label", "name", "code"), RIGHT, ids=[" ".join(a[:2]) for a in RIGHT])
def test_a_right_answer_of_another_form_passes(label, name, code, start):
    space = start(label)
    assert solve(label, space, code) is None
    check(label, space)


def _in_single_precision(function):
    def call(*arguments, **named):
        if not any(isinstance(each, torch.nn.Module) for each in arguments):
            arguments = [_single(each) for each in arguments]
        return _single(function(*arguments, **named), also_numbers=True)

    return call


def _single(value, also_numbers=False):
    if isinstance(value, torch.Tensor) and value.dtype == torch.float64:
        return value.float()
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return value.astype(np.float32)
    if isinstance(value, pd.DataFrame):
        return value.astype({c: np.float32 for c in value if value[c].dtype == np.float64})
    if also_numbers and isinstance(value, float):
        return np.float32(value)
    if isinstance(value, tuple):
        return tuple(_single(each, also_numbers) for each in value)
    if isinstance(value, dict):
        return {key: _single(each, also_numbers) for key, each in value.items()}
    return value
