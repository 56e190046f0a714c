"""What pages say of how a chapter and an edition came about."""

from dataclasses import replace

import pytest

from cxr_mtl.pages.provenance_page import chapter_footer, edition_line, edition_table, lesson_line
from cxr_mtl.runs.freshness import StageState
from cxr_mtl.runs.manifest import Record
from cxr_mtl.runs.stages import Chapter

FIELDS = {
    "parts": {
        "code": "c",
        "parameters": {},
        "inputs": {},
        "library": {},
        "needs": {"studies.parquet": "2e0a8c17cb5e1b06", "split.csv": "99aa88bb77cc66dd"},
        "lock": "l",
        "python": "3.11",
    },
    "parameters": {"dataset": "phantom", "rule": "a|b", "seed": 3, "seeds": 5},
    "left": {},
    "started": "2026-01-02T03:04:05+00:00",
    "wall_seconds": 49.4,
    "peak_memory_bytes": 3 * 2**30 // 2,
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "versions": {"python": "3.11.7", "torch": "2.15.0"},
    "hardware": {"cpu": "Intel(R) Chip(TM)", "cores": 2, "memory_gib": 23.5, "gpu": None},
}
CHAPTERS = [
    Chapter("01_data", None, {}, [], ["studies.parquet", "split.csv"]),
    Chapter("02_model", None, {}, ["studies.parquet", "split.csv"], []),
]


def record(**changes):
    return Record.model_validate({**FIELDS, **changes})


def footer(**changes):
    return chapter_footer(CHAPTERS[1], record(**changes), "runs/demo/02_model.ipynb", CHAPTERS)


def test_a_chapter_that_runs_alone_has_had_none_beside_it():
    alone = replace(CHAPTERS[1], alone=True)
    table = chapter_footer(alone, record(), "runs/demo/02_model.ipynb", CHAPTERS)
    assert "| wall time | 49.4 s, not counting work kept from earlier executions |" in table


def states(*records, reason=None):
    named = {f"0{n}_x": one for n, one in enumerate(records)}
    return {name: StageState(name, one, reason) for name, one in named.items()}


def test_the_line_of_a_lesson_tells_time_memory_machine_and_date():
    assert lesson_line(record()) == (
        "*The last execution of this page took 49 s, not counting work kept from earlier ones, and "
        "at most 1.5 GiB of memory, on 2 cores (Intel Chip, no GPU), 2 January 2026.*"
    )


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89.0, "89 s"), (90.0, "1.5 min"), (5400.0, "1.5 h")]
)
def test_a_time_has_the_unit_that_suits_it(seconds, words):
    assert f"took {words}, " in lesson_line(record(wall_seconds=seconds))


@pytest.mark.parametrize(
    "words",
    [
        "| wall time | 49.4 s, not counting work kept from earlier executions; another chapter or "
        "set of exercises may have run beside it |",
        "| peak memory | 1.50 GiB |",
        "| source | commit 0123456789ab with uncommitted changes |",
        "Intel(R) Chip(TM), 2 cores, 23.5 GiB of memory",
        "python 3.11.7, torch 2.15.0",
        "| data | `studies.parquet`, sha256 2e0a8c17cb5e… |",
        "{doc}`01_data </book/01_data>` (`studies.parquet` 2e0a8c17cb5e…, ",
        "`split.csv` 99aa88bb77cc…)",
        "| seeds | `seed` = 3, `seeds` = 5 |",
        "{download}`02_model.ipynb </runs/demo/02_model.ipynb>`",
        "| `rule` | `'a\\|b'` |",
    ],
)
def test_the_footer_of_a_chapter_holds(words):
    assert words in footer()


def test_the_chapter_that_makes_the_data_knows_their_hash_and_rests_on_nothing():
    parts = {**FIELDS["parts"], "needs": {}}
    text = footer(parts=parts, left={"studies.parquet": "0badc0de0badc0de"}, git=None)
    assert "| data | `studies.parquet`, sha256 0badc0de0bad… |" in text
    assert "| rests on | no other chapter |" in text
    assert "| source | not in a git repository |" in text


def test_the_line_of_an_edition_tells_each_thing_once_and_the_newest_source_first():
    other = record(started="2026-02-03T00:00:00+00:00", git={"commit": "f" * 40, "dirty": False})
    model = {"backbone": "big", "general_model": "small"}
    line = edition_line("mine", states(record(), other, record(parameters=model)))
    assert (
        "*Edition: run mine; Open-I reports, drawn phantoms as images; "
        "big fine-tuned, beside big and small as they are; 2 cores (Intel Chip, no GPU); "
        "commit ffffffffffff, and 1 before it; 2 January 2026 to 3 February 2026. "
    ) in line
    assert "{doc}`Running it yourself </book/rerun>`" in line


def test_an_edition_without_a_record_says_so():
    nothing = {"01_data": StageState("01_data", None, "not run yet")}
    assert "run mine, which has not been made yet" in edition_line("mine", nothing)
    assert edition_table("mine", nothing, "cxr-mtl book --run mine")[2:] == [
        "| run | `mine` |",
        "| shown | 0 of 1 chapters and sets of exercises |",
        "| not shown | 01_data (not run yet): `cxr-mtl book --run mine` computes them |",
    ]


def test_the_table_of_an_edition_adds_up_time_and_takes_the_most_memory():
    more = record(wall_seconds=70.6, peak_memory_bytes=4 * 2**30)
    table = edition_table("mine", states(record(), more), "")
    assert (
        "| time | 2.0 min, added up over the last executions of 2 chapters and sets of exercises, "
        "of which two may have run at once |"
    ) in table
    assert "| memory | at most 4.0 GiB for one of them |" in table
    assert "| shown | 2 of 2 chapters and sets of exercises |" in table
    assert not [line for line in table if "not shown" in line or "models" in line]
