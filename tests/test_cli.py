"""The command line: what it calls, what it prints, how it ends."""

import io
import json
import os
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest

from cxr_mtl import cli
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.pages import build
from cxr_mtl.runs import driver, stage_runner, status
from cxr_mtl.runs.run import Run


@pytest.fixture
def command(monkeypatch):
    """Call the command line; returns its exit code."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["cxr-mtl", *words])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return exit_.value.code or 0

    return call


@pytest.fixture
def module(monkeypatch):
    """Put a stand-in for a library module in place."""

    def put(name, **functions):
        stand_in = types.SimpleNamespace(**functions)
        monkeypatch.setitem(sys.modules, f"cxr_mtl.{name}", stand_in)

    return put


def test_help_needs_neither_torch_nor_pandas():
    code = (
        "import sys; sys.argv = ['cxr-mtl', '--help']\nfrom cxr_mtl.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert not {'torch', 'pandas', 'papermill'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("run", "book", "status", "search", "query", "data"):
        assert f" {name} " in done.stdout


@pytest.mark.parametrize("name", ["run", "book", "status", "search", "query"])
def test_help_shows_the_defaults(command, capsys, name):
    assert command(name, "--help") == 0
    assert "[default: demo]" in capsys.readouterr().out


def test_run_passes_everything_on(command, monkeypatch, capsys):
    def run_chapters(*words):
        assert words[:5] == ("paper", "mine", ["lr=1e-4", "ks=[1]"], ["03", "04"], True)
        assert words[6] is True  # upstream
        return [driver.Outcome("03_search", "forced", 1.5, 2**30), driver.Outcome("04_x", None)]

    monkeypatch.setattr(driver, "run_chapters", run_chapters)
    options = ["--profile", "paper", "--run", "mine", "-p", "lr=1e-4", "-p", "ks=[1]"]
    assert command("run", "03", "04", *options, "--force", "--upstream") == 0
    table = capsys.readouterr().out
    assert "1.5" in table
    assert "1.00" in table
    assert "fresh" in table


def test_notebooks_takes_the_repository_from_the_variable(command, module, monkeypatch, capsys):
    written = []
    module(
        "pages.launch",
        write_notebooks=lambda *words: written.append(words) or [Path("out/01.ipynb")],
    )
    monkeypatch.setenv("CXR_MTL_REPOSITORY", "someone/cxr")
    assert command("notebooks", "out") == 0
    assert command("notebooks", "out", "--repository", "other/cxr") == 0
    assert written == [(Path("out"), "someone/cxr"), (Path("out"), "other/cxr")]
    assert "Written: out/01.ipynb" in capsys.readouterr().out


def test_book_runs_what_is_stale_and_then_builds_the_pages(command, monkeypatch, capsys, tmp_path):
    calls = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/old").mkdir(parents=True)
    monkeypatch.setattr(driver, "run_chapters", lambda *w, **k: calls.append("run") or [])
    monkeypatch.setattr(
        build, "build_html", lambda *names: calls.append(names) or Path("_build/html/index.html")
    )
    assert command("book", "--run", "mine") == 0
    assert command("book", "--name", "mine", "--reference", "old") == 0
    assert calls == ["run", ("mine", None), "run", ("mine", "old")]
    assert "_build/html/index.html" in capsys.readouterr().out


def test_book_refuses_a_bad_name_before_any_work(command, monkeypatch, capsys):
    monkeypatch.setattr(driver, "run_chapters", lambda *w, **k: pytest.fail("it ran"))
    assert command("book", "--reference", "a b") == 2
    assert command("book", "--reference", "absent") == 2
    monkeypatch.setenv("CXR_MTL_REFERENCE", "../x")
    assert command("book") == 2
    monkeypatch.delenv("CXR_MTL_REFERENCE")
    monkeypatch.setenv("CXR_MTL_REPOSITORY", "cxr")
    assert command("book") == 2
    monkeypatch.delenv("CXR_MTL_REPOSITORY")
    monkeypatch.setattr(build, "BUILD", Path(__file__) / "_build")
    assert command("book") == 2
    said = capsys.readouterr().err
    assert said.count("error: the run name") == 2
    assert "error: there is no run runs/absent" in said
    assert "error: 'cxr' names no repository at GitHub" in said
    assert "_build/html cannot be written (Not a directory)" in said


@pytest.mark.parametrize(
    ("error", "code", "start"),
    [
        (InputError("x.csv: row [3] is empty: delete it"), 2, "error: x.csv: row [3] is empty"),
        (stage_runner.ChapterError("04 failed in cell [3]"), 1, "failed: 04 failed in cell [3]"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_ends_with_its_code_and_one_message(
    command, monkeypatch, capsys, error, code, start
):
    def run_chapters(*_):
        raise error

    monkeypatch.setattr(driver, "run_chapters", run_chapters)
    assert command("run") == code
    printed = capsys.readouterr()
    assert printed.err.startswith(start)
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_outside_a_repository_and_with_a_bad_run_name_it_says_so(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert command("run") == 2
    assert "run this from the repository's root" in capsys.readouterr().err
    assert command("query", "--text", "effusion", "--run", "../x") == 2
    assert "the run name '../x' is not usable" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_status_asks_for_what_the_run_was_made_with_unless_a_profile_is_named(command, monkeypatch):
    asked = []
    monkeypatch.setattr(status, "print_status", lambda *words: asked.append(words[:3]))
    assert command("status", "--run", "own") == 0
    assert command("status", "--profile", "demo", "-p", "epochs=2") == 0
    assert asked == [(None, "own", ()), ("demo", "demo", ["epochs=2"])]


def test_status_of_a_run_that_is_not_there_says_so(command, tmp_path, monkeypatch, capsys):
    (tmp_path / "book").symlink_to(Path(__file__).parents[1] / "book")
    monkeypatch.chdir(tmp_path)
    assert command("status", "--run", "typo") == 2
    assert "there is no run runs/typo: make it with" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


@pytest.mark.parametrize("name", ["run", "book", "search"])
def test_a_value_out_of_range_ends_with_2_before_any_work(
    command, name, tmp_path, monkeypatch, capsys
):
    (tmp_path / "book").symlink_to(Path(__file__).parents[1] / "book")
    monkeypatch.chdir(tmp_path)
    assert command(name, "-p", "temperature=0", "--run", "mine") == 2
    said = "error: -p: temperature = 0.0 is out of range: input should be greater than "
    assert capsys.readouterr().err.startswith(said)
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


def test_search_runs_the_chapters_it_needs_with_as_many_workers(command, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(driver, "run_chapters", lambda *words: calls.append(words) or [])
    assert command("search", "--workers", "4", "--run", "mine", "-p", "trials=9") == 0
    assert command("search", "--profile", "paper") == 0
    assert [(*words[:5], words[6]) for words in calls] == [
        (None, "mine", ["trials=9", "workers=4"], ["03"], False, True),
        ("paper", "demo", [], ["03"], False, True),
    ]
    assert "Where the time went" in capsys.readouterr().out


def test_search_needs_a_worker(command):
    assert command("search", "--workers", "0") == 2


HITS = [{"study": "7", "score": 0.98765, "label": 1, "image": "7.png", "text": "Effusion [old]."}]


def test_query_prints_a_table_or_json(command, module, tmp_path, monkeypatch, capsys):
    asked = []

    def query_run(run, notice, **question):
        asked.append((str(run.path), question))
        notice("Read 3 of 5 tokens [all].")
        return HITS

    monkeypatch.chdir(tmp_path)
    Path("runs/demo").mkdir(parents=True)
    module(
        "explorer.query",
        query_run=query_run,
        hits_table=lambda hits: f"table of {hits[0]['study']}",
        describe_index=lambda run: f"Searched: {run.path} [all].",
    )
    assert command("query", "--text", "effusion", "-k", "3") == 0
    shown = capsys.readouterr()
    assert shown.out == "table of 7\nSearched: runs/demo [all].\n"
    assert shown.err == "Read 3 of 5 tokens [all].\n"
    assert command("query", "--image", "a b.png", "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == HITS
    assert shown.err == "Read 3 of 5 tokens [all].\n"
    assert asked == [
        ("runs/demo", {"image": None, "text": "effusion", "k": 3}),
        ("runs/demo", {"image": Path("a b.png"), "text": None, "k": 5}),
    ]


@pytest.mark.parametrize("words", [[], ["--text", "a", "--image", "b.png"]])
def test_query_takes_an_image_or_a_text(command, capsys, words):
    assert command("query", *words) == 2
    assert "give one of --image FILE and --text" in capsys.readouterr().err


def test_query_needs_a_run_that_is_there(command, module, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    module("explorer.query", query_run=None, hits_table=None, describe_index=None)
    assert command("query", "--text", "a", "--run", "mine") == 2
    assert "there is no run runs/mine" in capsys.readouterr().err


def test_k_below_one_is_refused(command):
    assert command("query", "--text", "a", "-k", "0") == 2


def test_data_fetch_fetches_into_the_folder(command, module):
    folders = []
    module("data.download", fetch=lambda folder, report: folders.append(folder))
    assert command("data", "fetch", "open i") == 0
    assert folders == [Path("open i")]


def test_python_dash_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "cxr_mtl", "query"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.startswith("error: give one of")) == (2, True)


def test_json_of_a_query_cannot_steer_a_terminal(command, module, tmp_path, monkeypatch, capsys):
    hits = [{"study": "\x1b]0;x\x07", "text": "\x7f\x9b31m \u202e − \U000e0041"}]
    monkeypatch.chdir(tmp_path)
    Path("runs/demo").mkdir(parents=True)
    module("explorer.query", query_run=lambda *_, **__: hits, hits_table=None, describe_index=None)
    assert command("query", "--text", "effusion", "--json") == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == hits


@pytest.mark.parametrize(
    "words",
    [
        ["\x1b]0;x\x07"],
        ["run", "--\x1b[31m"],
        ["run", "\x1b[31m[/red]"],
        ["query", "--text", "a", "--run", "\x9b31m"],
        ["query", "--text", "a", "--image", "\u202e"],
        ["compare", "a", "b", "c\rd"],
        ["bench", "--size", "\x1b[0m"],
        ["run", "--profile", "\x1b[0m.yml"],
    ],
)
def test_a_wrong_command_is_told_in_one_printable_sentence(command, capsys, words):
    assert command(*words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.removesuffix("\n").isprintable()


MODEL = "λ − \x1b[31m [red] \udcff"


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """A folder of two runs that differ in more numbers than a pipe holds, by keys of all kinds."""
    root = tmp_path_factory.mktemp("two runs")
    for name, value in {"a": 0.5, "b": 0.25}.items():
        many = [{"metric": "count", "i": i, "value": i + value} for i in range(900)]
        Run(root / f"runs/{name}").write_results(
            "05_x",
            [{"metric": "recall", "model": MODEL, "value": value}, *many],
        )
    return root


TERMINALS = [
    ("ascii", {"TERM": "dumb"}),
    ("cp1252", {"NO_COLOR": "1", "FORCE_COLOR": "1"}),
    ("latin-1", {"COLUMNS": "20"}),
]


def on_a_terminal(encoding, variables, monkeypatch):
    """Put streams of an encoding in place; returns a function that gives what was written."""
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(cli, "console", PlainConsole())
    monkeypatch.setattr(cli, "errors", PlainConsole(stderr=True, soft_wrap=True))

    def written():
        for stream in streams.values():
            stream.flush()
        return [stream.buffer.getvalue().decode(encoding) for stream in streams.values()]

    return written


@pytest.mark.parametrize(("encoding", "variables"), TERMINALS)
def test_no_command_ends_for_what_a_terminal_cannot_show(
    command, two_runs, monkeypatch, encoding, variables
):
    monkeypatch.chdir(two_runs)
    written = on_a_terminal(encoding, variables, monkeypatch)
    assert command("compare", "a", "b") == 0
    out, err = written()
    assert err == ""
    assert "\x1b[31m" not in out
    assert "recall" in out


@pytest.mark.parametrize(("encoding", "variables"), TERMINALS)
def test_help_and_errors_can_be_written_in_any_encoding(command, monkeypatch, encoding, variables):
    written = on_a_terminal(encoding, variables, monkeypatch)
    assert command("run", "--help") == 0
    assert command("compare", "−λ\udcff", "a") == 2
    out, err = written()
    assert out
    assert "the run name" in err


def test_compare_replaces_no_other_file_and_says_first_where_it_cannot_write(
    command, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr("cxr_mtl.runs.compare.compare_runs", lambda *_: pytest.fail("it compared"))
    (tmp_path / "notes.html").write_text("<!doctype html><p>mine")
    for place, said in (
        (tmp_path / "notes.html", "is there and is no page of `cxr-mtl compare`, so it is not"),
        (tmp_path / "notes.html/x.html", "cannot be written (Not a directory)"),
        (tmp_path, "is a folder: give the name of a file"),
    ):
        assert command("compare", "a", "b", "--html", str(place)) == 2
        assert f"error: {place} {said}" in capsys.readouterr().err
    assert (tmp_path / "notes.html").read_text() == "<!doctype html><p>mine"


def test_a_reader_who_has_enough_gets_no_traceback(two_runs):
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m cxr_mtl compare a b | head -1",
        shell=True,
        cwd=two_runs,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 1
