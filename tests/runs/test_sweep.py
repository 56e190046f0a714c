"""A sweep: what is checked before anything runs, which runs it makes, and what its summary says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html

from cxr_mtl import cli
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.terminal import PlainConsole
from cxr_mtl.runs import driver, sweep_runner
from cxr_mtl.runs.planning import plan
from cxr_mtl.runs.run import Run
from cxr_mtl.runs.stage_runner import ChapterError
from cxr_mtl.runs.sweep import COMPLETE, NUMBERS, plan_sweep, summarise
from cxr_mtl.runs.sweep_runner import ALL_CHAPTERS, FILL_THE_CACHE, run_sweep

QUIET = PlainConsole(quiet=True)
CHAPTER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of the run
temperature: Optional[float] = 0.07  # of the losses
epochs: int = 20  # passes
weights: Optional[list[float]] = None  # of the losses
sections: str = "findings+impression"  # of the reports
images: Optional[Path] = None  # folder
# %%
raise SystemExit("no chapter is executed here")
"""
RECORD = {"protocol": "cross_modal", "model": "fine_tuned", "low": 0.1, "high": 0.3}
RECORDS = [
    RECORD | {"direction": direction, "metric": metric, "k": k, "value": 0.2 + number / 1000}
    for number, (direction, metric, k) in enumerate(
        [
            ("image_to_text", "recall", 10),
            ("image_to_text", "mrr", None),
            ("text_to_image", "recall", 10),
            ("text_to_image", "mrr", None),
        ]
    )
]
SHOWN = [f"0.20{number} [0.100, 0.300]" for number in range(4)]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A repository of two chapters that share their parameters, as the current directory."""
    (tmp_path / "book/profiles").mkdir(parents=True)
    for name in FILL_THE_CACHE:
        (tmp_path / f"book/{name}.py").write_text(CHAPTER)
    (tmp_path / "book/profiles/demo.yml").write_text("epochs: 40\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """Stand in for the chapters: they leave `RECORDS`, 7.5 s; the calls of `run_chapters`."""
    made = []

    def run_chapters(profile, run_name, overrides, only, console=None):
        assert only == ALL_CHAPTERS
        made.append((profile, run_name, list(overrides)))
        leave(run_name)

    monkeypatch.setattr(sweep_runner, "run_chapters", run_chapters)
    return made


def leave(run_name, records=RECORDS):
    run = Run(f"runs/{run_name}")
    run.write_results("05_retrieval", records)
    run.write_stage("01_data", {"wall_seconds": 2.5})
    run.write_stage("02_model", {"wall_seconds": 5.0})


def failing(monkeypatch, run_name, error):
    """Let the point `run_name` alone fail."""
    succeed = sweep_runner.run_chapters

    def run_chapters(profile, name, *rest, **options):
        if name == run_name:
            raise error
        succeed(profile, name, *rest, **options)

    monkeypatch.setattr(sweep_runner, "run_chapters", run_chapters)


def test_points_are_all_combinations_the_last_parameter_changing_fastest(study):
    sweep = plan_sweep(["temperature=0.03,0.1", "epochs=5,10"], "taus", overrides=["weights=null"])
    assert [(point.run, point.values) for point in sweep.points] == [
        ("taus-1", {"temperature": 0.03, "epochs": 5}),
        ("taus-2", {"temperature": 0.03, "epochs": 10}),
        ("taus-3", {"temperature": 0.1, "epochs": 5}),
        ("taus-4", {"temperature": 0.1, "epochs": 10}),
    ]
    assert [path.name for path in study.iterdir()] == ["book"]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("temperature=0.03, null,1", [0.03, None, 1.0]),
        ("weights=[0, 0, 1],null,[1,1,1]", [[0, 0, 1], None, [1, 1, 1]]),
        ("weights=[0,0,1]", [[0, 0, 1]]),
        ("sections=findings,impression", ["findings", "impression"]),
        ('sections="a,b",c,"null","[1"', ["a,b", "c", "null", "[1"]),
        ("sections=a=b,1", ["a=b", "1"]),
    ],
)
def test_a_comma_outside_brackets_and_quotes_separates_values(study, line, values):
    sweep = plan_sweep([line], "s")
    (found,) = sweep.grid.values()
    assert found == values


def test_the_papers_symbol_means_the_parameter(study):
    assert [point.values for point in plan_sweep(["tau=0.03,0.1"], "taus").points] == [
        {"temperature": 0.03},
        {"temperature": 0.1},
    ]


def test_a_value_reaches_the_chapters_as_the_grid_gives_it(study):
    grid = ['sections="1",null', "weights=null,[0, 0, 1]", "temperature=1,0.1"]
    sweep = plan_sweep(grid, "s", overrides=["epochs=3"])
    for point in sweep.points:
        planned = plan("demo", point.run, sweep.overrides_of(point))
        for _, values in planned.stages.values():
            assert (
                values
                == {
                    "run_dir": f"runs/{point.run}",
                    "epochs": 3,
                    "images": None,
                }
                | point.values
            )


@pytest.mark.parametrize(
    ("grid", "complaint"),
    [
        ([], "the sweep has no grid: give --grid NAME=VALUE,VALUE"),
        (["epochs"], "--grid epochs lacks a value: write --grid epochs=VALUE,VALUE"),
        (["epochs="], "--grid epochs= lacks a value"),
        (["epochs=5,"], "--grid epochs=5, lacks a value"),
        (["epochs=5,,6"], "--grid epochs=5,,6 lacks a value"),
        (["epoch=5"], "--grid: no chapter has a parameter epoch: did you mean epochs?"),
        (["run_dir=a,b"], "--grid: no chapter has a parameter run_dir"),
        (["epochs=5,many"], "--grid: epochs = 'many' is not of type int"),
        (["epochs=5.5"], "--grid: epochs = '5.5' is not of type int"),
        (["epochs=5,0"], "--grid: epochs = 0 is out of range"),
        (["weights=[1,2]"], "--grid: weights = [1.0, 2.0] is out of range: give a number"),
        (["epochs=5", "epochs=6"], "--grid: epochs is given twice"),
        (["temperature=0.1,0.10"], "--grid: temperature = 0.1 is given twice"),
        (["weights=[1,0,0],[1.0, 0, 0]"], "--grid: weights = [1.0, 0.0, 0.0] is given twice"),
        (["temperature=0.1,1e-1"], "--grid: temperature = 0.1 is given twice: keep one"),
        (
            ["temperature=0.1,NaN"],
            "--grid: temperature = 'NaN' is not of type Optional[float]: input should be",
        ),
        (
            ["temperature=1e999"],
            "--grid: temperature = '1e999' is not of type Optional[float]: input should be",
        ),
        (["tau=0.1", "temperature=0.2"], "--grid: temperature is given twice"),
        (["epochs=1..5"], "--grid: epochs = '1..5' is not of type int"),
        (["epochs=range(1,5)"], "--grid: epochs = 'range(1' is not of type int"),
        ([f"epochs={','.join(map(str, range(1, 1002)))}"], "the grid has 1,001 points, a run each"),
        (["epochs=" + "1," * 100_000 + "1"], "the grid has 100,001 points, a run each, and a swe"),
        (["weights=" + "[" * 100_000], "--grid: weights = '[[["),
        (['sections="' + "a," * 50_000], "the grid has 50,001 points"),
        (
            [
                f"{name}={','.join(map(str, range(1, 10_001)))}"
                for name in ("epochs", "temperature")
            ],
            "the grid has 100,000,000 points (10000 x 10000), a run each, and a sweep takes at mos",
        ),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused_with_nothing_made(study, grid, complaint):
    with pytest.raises(InputError) as error:
        plan_sweep(grid, "s")
    assert str(error.value).startswith(complaint)
    assert [path.name for path in study.iterdir()] == ["book"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"overrides": ["epochs=3"]}, "epochs is given by --grid and by -p"),
        (
            {"grid": ["temperature=0.1,1"], "overrides": ["tau=0.5"]},
            "temperature is given by --grid and by -p",
        ),
        ({"grid": ["tau=0.1,1"], "overrides": ["temperature=0.5"]}, "temperature is given by --gr"),
        ({"grid": ["tau=0.1,1"], "overrides": ["tau=0.5"]}, "temperature is given by --grid and"),
        ({"grid": ["images=none"]}, "images = 'none': there is no such file or folder"),
        ({"overrides": ["images=none"]}, "images = 'none': there is no such file or folder"),
        ({"overrides": ["epoch=3"]}, "-p: no chapter has a parameter epoch"),
        ({"profile": "typo"}, "the profile .*typo.yml does not exist"),
        ({"name": "../s"}, "the run name '../s' is not usable"),
        ({"name": "cache"}, "the run name 'cache' is not usable"),
        ({"name": "s" * 63}, f"the run name '{'s' * 63}-1' is not usable"),
    ],
)
def test_what_all_points_share_is_checked_too(study, options, complaint):
    with pytest.raises(InputError, match=complaint):
        plan_sweep(**{"grid": ["epochs=5,6"], "name": "s"} | options)
    assert [path.name for path in study.iterdir()] == ["book"]


@pytest.mark.parametrize("there", ["s", "s-2"])
def test_a_name_that_a_run_has_already_is_refused(study, there):
    leave(there)
    with pytest.raises(InputError, match=f"runs/{there} is there and belongs to no sweep s: take"):
        plan_sweep(["epochs=5,6"], "s")


def test_a_name_stands_for_one_sweep(study, calls):
    run_sweep(plan_sweep(["epochs=5,6"], "s"), console=QUIET)
    plan_sweep(["epochs=5,6"], "s")
    for grid, overrides in ((["epochs=5,7"], []), (["epochs=5,6"], ["weights=null"])):
        with pytest.raises(InputError, match=r"runs/s/sweep.json tells of another grid, profile"):
            plan_sweep(grid, "s", overrides=overrides)
    with pytest.raises(InputError, match="runs/s-1 is there and belongs to no sweep s-1"):
        plan_sweep(["epochs=5"], "s-1")


def test_a_sweep_of_which_no_point_has_begun_leaves_its_name_free(study, monkeypatch):
    def refuse(*_, **__):
        raise InputError("there are no studies: give some")

    monkeypatch.setattr(sweep_runner, "run_chapters", refuse)
    run_sweep(plan_sweep(["epochs=5,6"], "s"), console=QUIET)
    leave("s-other")
    assert [point.run for point in plan_sweep(["epochs=7"], "s").points] == ["s-1"]


def test_every_point_is_an_ordinary_run(study, calls):
    sweep = plan_sweep(["epochs=5,6"], "s", overrides=["weights=null"])
    summary = run_sweep(sweep, console=QUIET)
    assert calls == [
        ("demo", "s-1", ["weights=null", "epochs=5"]),
        ("demo", "s-2", ["weights=null", "epochs=6"]),
    ]
    assert list(summary.columns) == ["run", "epochs", *NUMBERS, "seconds", "state"]
    assert summary.to_numpy().tolist() == [
        ["s-1", "5", *SHOWN, "8", COMPLETE],
        ["s-2", "6", *SHOWN, "8", COMPLETE],
    ]
    assert json.loads(Path("runs/s/sweep.json").read_text()) == {
        "profile": "demo",
        "parameters": ["weights=null"],
        "grid": {"epochs": [5, 6]},
        "points": [
            {"run": "s-1", "values": {"epochs": 5}},
            {"run": "s-2", "values": {"epochs": 6}},
        ],
    }


@pytest.mark.parametrize(
    "error", [ChapterError("04 failed in cell [3]\na\ntraceback"), InputError("04 failed in cell")]
)
def test_a_point_that_fails_is_named_and_the_others_run(study, calls, monkeypatch, error):
    sweep = plan_sweep(["epochs=5,6,7"], "s")
    leave("s-2")  # of an earlier attempt with other code: no longer the point's numbers
    failing(monkeypatch, "s-2", error)
    with (console := PlainConsole(width=200)).capture() as said:
        summary = run_sweep(sweep, console=console)
    assert [run for _, run, *_ in calls] == ["s-1", "s-3"]
    states = list(summary["state"])
    assert states == [COMPLETE, f"missing: {str(error).splitlines()[0]}", COMPLETE]
    assert summary.loc[1, list(NUMBERS)].tolist() == [""] * 4
    assert f"s-2  2 of 3 points  failed: {error}" in said.get()


def test_an_interrupted_sweep_says_what_is_missing_and_goes_on_with_the_same_command(
    study, calls, monkeypatch
):
    with monkeypatch.context() as patch:
        failing(patch, "s-2", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run_sweep(plan_sweep(["epochs=5,6,7"], "s"), console=QUIET)
    assert states_of_page() == [COMPLETE, "missing: not run yet", "missing: not run yet"]
    run_sweep(plan_sweep(["epochs=5,6,7"], "s"), console=QUIET)
    assert states_of_page() == [COMPLETE] * 3


def states_of_page():
    page = html.fromstring(Path("runs/s/summary.html").read_text(encoding="utf-8"))
    return [row.xpath("string(td[last()])") for row in page.xpath("//tbody/tr")]


def test_a_number_that_a_run_lacks_is_missing_with_the_reason(study):
    sweep = plan_sweep(["epochs=5,6"], "s")
    leave("s-1", RECORDS[:3])
    assert list(summarise(sweep, {})["state"]) == [
        "missing: no record has metric=mrr: there are recall",
        "missing: runs/s-2/results/05_retrieval.json is missing: run the step that writes it first",
    ]


def test_an_undefined_number_is_written_as_such(study):
    leave("s-1", [RECORDS[0] | {"value": None, "low": None, "high": None}, *RECORDS[1:]])
    row = summarise(plan_sweep_of_present_runs(), {}).iloc[0]
    assert row[list(NUMBERS)].tolist() == ["undefined", *SHOWN[1:]]


def plan_sweep_of_present_runs():
    hidden = Path("runs").rename("hidden")
    sweep = plan_sweep(["epochs=5"], "s")
    hidden.rename("runs")
    return sweep


def test_the_page_shows_every_point_escapes_texts_and_fetches_nothing(study, calls):
    long = "<b>&" + "x" * 100
    sweep = plan_sweep([f"sections={long},findings"], "s", overrides=["epochs=3"])
    summary = run_sweep(sweep, console=QUIET)
    text = Path("runs/s/summary.html").read_text(encoding="utf-8")
    page = html.fromstring(text)
    assert page.xpath("//th/text()") == list(summary.columns)
    shown = [row.xpath("td/text()") for row in page.xpath("//tbody/tr")]
    assert shown == summary.to_numpy().tolist()
    assert shown[0][1] == long
    assert page.xpath("string(//code)") == "--profile demo -p epochs=3"
    assert not page.xpath("//b | //script | //link | //img | //@src | //@href")
    assert "url(" not in text


def test_two_processes_do_not_run_one_sweep(study, calls):
    sweep = plan_sweep(["epochs=5"], "s")
    with Run("runs/s").locked(), pytest.raises(InputError, match="another process is writing"):
        run_sweep(sweep, console=QUIET)
    assert calls == []


# Several points at a time -----------------------------------------------------------------------

FIRST = """
import os, shutil, sys, time
from pathlib import Path

run, only = sys.argv[1], sys.argv[2:]
if only != ["chapters"]:
    {first}
    Path("first", run).write_text(" ".join([*only, os.environ["OMP_NUM_THREADS"]]))
    Path("runs", run, "results").mkdir(parents=True)
    shutil.copy("records.json", Path("runs", run, "results/05_retrieval.json"))
    sys.exit()
"""
REST = """
place = Path("beside")
(place / f"seen-{run}").touch()
(place / f"on-{run}").touch()
deadline = time.monotonic() + 20
while len(list(place.glob("seen-*"))) < 2 and time.monotonic() < deadline:
    time.sleep(0.01)
alone = time.monotonic() >= deadline
on = len(list(place.glob("on-*")))
time.sleep(0.05)
(place / f"on-{run}").unlink()
(place / f"ended-{run}").write_text(f"{on} {alone} {os.environ['OMP_NUM_THREADS']}")
"""


@pytest.fixture
def in_processes(study, monkeypatch):
    """Put scripts in the place of `cxr-mtl run` of the first chapters, and of all of them."""
    for folder in ("first", "beside"):
        (study / folder).mkdir()
    (study / "records.json").write_text(json.dumps(RECORDS))
    monkeypatch.setattr(sweep_runner, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)), raising=False)

    def put(rest, first="pass"):
        def command(sweep, point, only):
            script = FIRST.replace("{first}", first) + rest
            return [sys.executable, "-c", script, point.run, *only]

        monkeypatch.setattr(sweep_runner, "_command", command)

    return put


def test_as_many_points_run_at_a_time_as_there_are_workers(study, in_processes):
    in_processes(REST)
    summary = run_sweep(plan_sweep(["epochs=5,6,7"], "s"), workers=2, console=QUIET)
    told = [path.read_text().split() for path in (study / "beside").glob("ended-*")]
    assert len(told) == 3
    assert all(int(on) <= 2 and alone == "False" for on, alone, _ in told)
    assert {threads for *_, threads in told} == {"3"}
    assert list(summary["run"]) == ["s-1", "s-2", "s-3"]
    assert set(summary["state"]) == {COMPLETE}


def test_the_chapters_that_fill_the_cache_run_alone_with_all_cores(study, in_processes):
    once = "Path('filling').touch(exist_ok=False); time.sleep(0.05); Path('filling').unlink()"
    in_processes("", first=once)
    summary = run_sweep(plan_sweep(["epochs=5,6,7"], "s"), workers=3, console=QUIET)
    assert set(summary["state"]) == {COMPLETE}
    told = {path.name: path.read_text() for path in (study / "first").iterdir()}
    assert told == dict.fromkeys(["s-1", "s-2", "s-3"], " ".join([*FILL_THE_CACHE, "6"]))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("sys.exit('a warning\\nfailed: 04 failed in cell [3]\\ntraceback')", "04 failed in cell"),
        ("sys.exit('error: 04: row 3 is empty')", "04: row 3 is empty"),
        ("sys.exit('Traceback: bug')", "Traceback: bug"),
        ("os.kill(os.getpid(), 9)", "its process ended with exit code -9, perhaps for lack of mem"),
    ],
)
def test_a_process_that_fails_is_named_with_what_it_said(study, in_processes, script, reason):
    in_processes(f"if run == 's-1': {script}")
    summary = run_sweep(plan_sweep(["epochs=5,6"], "s"), workers=2, console=QUIET)
    assert summary["state"][0].startswith(f"missing: {reason}")
    assert summary["state"][1] == COMPLETE


def test_a_point_whose_first_chapters_fail_gets_no_further(study, in_processes):
    in_processes(
        "Path('beside', run).touch()", "if run == 's-1': sys.exit('error: 01_data: no image')"
    )
    summary = run_sweep(plan_sweep(["epochs=5,6"], "s"), workers=2, console=QUIET)
    assert list(summary["state"]) == ["missing: 01_data: no image", COMPLETE]
    assert [path.name for path in (study / "beside").iterdir()] == ["s-2"]


def test_an_interruption_ends_the_processes(study, in_processes, monkeypatch):
    started = []

    class Process(subprocess.Popen):
        def __init__(self, *words, **options):
            super().__init__(*words, **options)
            started.append(self)

    def interrupt(_):
        raise KeyboardInterrupt

    in_processes("time.sleep(60)")
    sweep = plan_sweep(["epochs=5,6"], "s")
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(sweep_runner.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, workers=2, console=QUIET)
    assert [process.returncode for process in started] == [0, -15, 0, -15]


# The command ------------------------------------------------------------------------------------


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["cxr-mtl", *words])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code or 0


def test_a_process_is_given_the_point_as_an_ordinary_run(study, monkeypatch):
    sweep = plan_sweep(["weights=[0, 0, 1]", 'sections="null"'], "s", overrides=["epochs=3"])
    called = []
    monkeypatch.setattr(driver, "run_chapters", lambda *words: called.append(words) or [])
    for only in (ALL_CHAPTERS, FILL_THE_CACHE):
        python, _, module, *words = sweep_runner._command(sweep, sweep.points[0], only)
        assert (python, module) == (sys.executable, "cxr_mtl")
        assert call(monkeypatch, *words) == 0
        *before, chapters, force, _, upstream = called.pop()
        assert before == ["demo", "s-1", sweep.overrides_of(sweep.points[0])]
        assert (tuple(chapters), force, upstream) == (only, False, False)


def test_the_command_runs_the_points_and_prints_the_summary(study, calls, monkeypatch, capsys):
    monkeypatch.setattr(cli, "console", PlainConsole(width=250))
    words = ["--grid", "temperature=0.1,null", "--grid", "epochs=5", "--name", "taus"]
    assert call(monkeypatch, "sweep", *words, "-p", "weights=null") == 0
    assert [overrides for *_, overrides in calls] == [
        ["weights=null", "temperature=0.1", "epochs=5"],
        ["weights=null", "temperature=null", "epochs=5"],
    ]
    out = capsys.readouterr().out
    for word in (
        "taus-2  temperature = null, epochs = 5",
        "taus-2  2 of 2 points  done",
        *SHOWN,
        COMPLETE,
    ):
        assert word in out
    assert "The summary: runs/taus/summary.html" in out


def test_the_command_ends_with_1_when_a_point_failed(study, calls, monkeypatch, capsys):
    failing(monkeypatch, "s-1", ChapterError("04 failed in cell [3]"))
    assert call(monkeypatch, "sweep", "--grid", "epochs=5,6", "--name", "s") == 1
    assert "s-1  1 of 2 points  failed: 04 failed in cell [3]" in capsys.readouterr().out
    assert len(calls) == 1


def test_the_command_refuses_bad_input_with_2_before_any_work(study, calls, monkeypatch, capsys):
    assert call(monkeypatch, "sweep", "--grid", "temperature=0.1,0", "--name", "s") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --grid: temperature = 0.0 is out of range: input should be gre")
    assert said.count("\n") == 1
    for words in (["--name", "s"], ["--grid", "epochs=5"]):
        assert call(monkeypatch, "sweep", *words) == 2
    assert call(monkeypatch, "sweep", "--grid", "epochs=5", "--name", "s", "--workers", "0") == 2
    assert calls == []
    assert [path.name for path in study.iterdir()] == ["book"]


def test_the_chapters_that_fill_the_cache_are_chapters():
    chapters = {path.stem for path in (Path(__file__).parents[2] / "book").glob("*.py")}
    assert chapters.issuperset(FILL_THE_CACHE)
