"""How a chapter or an edition came about, as Markdown for the pages."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from babel.dates import format_date

from cxr_mtl.base.markdown_text import Markdown, code_span, markdown_text
from cxr_mtl.base.table_text import markdown_table
from cxr_mtl.data.sources import SOURCES
from cxr_mtl.runs.freshness import StageState
from cxr_mtl.runs.manifest import Git, Hardware, Record
from cxr_mtl.runs.stages import Chapter, producer

_STUDIES = "studies.parquet"
_DIGITS = 12
_LISTED = 3


def lesson_line(record: Record) -> str:
    """One line for the top of a chapter: time, memory, machine and date of its last execution."""
    machine = markdown_text(_machine(record.hardware))
    return (
        f"*The last execution of this page took {_time(record.wall_seconds)}, not counting work "
        f"kept from earlier ones, and at most "
        f"{record.peak_memory_bytes / 2**30:.1f} GiB of memory, on {machine}, "
        f"{_day(record.started)}.*"
    )


def chapter_footer(
    chapter: Chapter, record: Record, executed: str, all_chapters: Sequence[Chapter]
) -> str:
    """Markdown of a collapsed table: how a chapter was run, by its entry in the manifest.

    Args:
        executed: the executed notebook's path from the book's root.
        all_chapters: among which those are found that it rests on.
    """
    hardware = record.hardware
    rows = {
        "run at": record.started.isoformat(),
        "wall time": f"{record.wall_seconds:.1f} s, not counting work kept from earlier executions"
        + ("" if chapter.alone else "; another chapter or set of exercises may have run beside it"),
        "peak memory": f"{record.peak_memory_bytes / 2**30:.2f} GiB",
        "source": _source(record.git),
        "processor": f"{hardware.cpu}, {hardware.cores} cores, {hardware.memory_gib} GiB of memory",
        "GPU": hardware.gpu or "none",
        "versions": ", ".join(f"{name} {number}" for name, number in record.versions.items()),
        "data": _data(record),
        "rests on": _upstream(chapter, record, all_chapters),
        "seeds": _seeds(record.parameters),
        "executed notebook": Markdown(f"{{download}}`{executed.rpartition('/')[2]} </{executed}>`"),
    }
    parameters = {code_span(name): code_span(repr(v)) for name, v in record.parameters.items()}
    table = "\n".join(markdown_table(["what", "value"], {**rows, **parameters}.items()))
    return f"````{{dropdown}} How this chapter was run\n{table}\n````"


def edition_line(run_name: str, states: Mapping[str, StageState]) -> str:
    """One line for the foot of a prose page: run, data, models, machine, commit and date."""
    records = _records(states)
    if not records:
        return _EDITION.format(f"run {run_name}, which has not been made yet")
    facts = [
        _data_set(records),
        _models(records),
        *_distinct(_machine(r.hardware) for r in records),
    ]
    facts += [_sources(records), _days(records)]
    return _EDITION.format(markdown_text("; ".join([f"run {run_name}", *filter(None, facts)])))


def edition_table(run_name: str, states: Mapping[str, StageState], mend: str) -> list[str]:
    """Markdown of a table: what this edition was made of, from its manifest.

    Args:
        mend: the command that makes what is stale.
    """
    records = _records(states)
    stale = [f"{state.name} ({state.reason})" for state in states.values() if state.reason]
    rows = {"run": code_span(run_name)}
    if records:
        rows |= {
            "data": _data_set(records),
            "models": _models(records),
            "machine": "; ".join(_distinct(_machine(record.hardware) for record in records)),
            "source": _sources(records),
            "run on": _days(records),
            "time": f"{_time(sum(record.wall_seconds for record in records))}, added up over the "
            f"last executions of {len(records)} chapters and sets of exercises, of which two "
            "may have run at once",
            "memory": f"at most {max(one.peak_memory_bytes for one in records) / 2**30:.1f} GiB "
            "for one of them",
        }
    rows["shown"] = f"{len(states) - len(stale)} of {len(states)} chapters and sets of exercises"
    if stale:
        more = f" and {len(stale) - _LISTED} more" if len(stale) > _LISTED else ""
        told = markdown_text("; ".join(stale[:_LISTED]) + more)
        rows["not shown"] = Markdown(f"{told}: {code_span(mend)} computes them")
    return markdown_table(["this edition", ""], [row for row in rows.items() if row[1]])


_EDITION = """\
:::{{container}} edition
*Edition: {}. {{doc}}`Running it yourself </book/rerun>` tells how another is made.*
:::"""


def _records(states: Mapping[str, StageState]) -> list[Record]:
    return [state.record for state in states.values() if state.record]


def _time(seconds: float) -> str:
    """Seconds in words: exact to about a hundredth."""
    for unit, length in {"h": 3600, "min": 60}.items():
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _day(moment: datetime) -> str:
    return format_date(moment, "d MMMM yyyy", locale="en")


def _days(records: Iterable[Record]) -> str:
    moments = sorted(record.started for record in records)
    return " to ".join(_distinct([_day(moments[0]), _day(moments[-1])]))


def _machine(hardware: Hardware) -> str:
    cpu = re.sub(r"\((R|TM|tm)\)", "", hardware.cpu)
    return f"{hardware.cores} cores ({cpu}, {hardware.gpu or 'no GPU'})"


def _source(git: Git | None) -> str:
    if git is None:
        return "not in a git repository"
    return f"commit {git.commit[:_DIGITS]}" + (" with uncommitted changes" if git.dirty else "")


def _sources(records: Iterable[Record]) -> str:
    """The source of all chapters, or of the one run last and how many there are."""
    in_time = sorted(records, key=lambda record: record.started)
    sources = _distinct(_source(record.git) for record in reversed(in_time))
    others = len(sources) - 1
    return sources[0] + (f", and {others} before it" if others else "")


def _data(record: Record) -> Markdown:
    digest = {**record.left, **record.parts.needs}.get(_STUDIES)
    if not digest:
        return Markdown("none")
    return Markdown(f"`{_STUDIES}`, sha256 {markdown_text(digest[:_DIGITS])}…")


def _upstream(chapter: Chapter, record: Record, chapters: Sequence[Chapter]) -> Markdown:
    """Links to the chapters whose files this one read, with the files and their digests."""
    files = defaultdict(list)
    for need, digest in record.parts.needs.items():
        file = f"{code_span(need)} {markdown_text(digest[:_DIGITS])}…"
        files[producer(need, chapters, chapter.name)].append(file)
    links = [f"{{doc}}`{name} </book/{name}>` ({', '.join(files[name])})" for name in sorted(files)]
    return Markdown("; ".join(links) or "no other chapter")


def _seeds(parameters: Mapping[str, object]) -> Markdown:
    seeds = {name: value for name, value in parameters.items() if "seed" in name}
    found = [f"{code_span(name)} = {markdown_text(str(value))}" for name, value in seeds.items()]
    return Markdown(", ".join(found) or "none")


def _parameter(records: Iterable[Record], name: str) -> str:
    values = _distinct(str(r.parameters[name]) for r in records if name in r.parameters)
    return " or ".join(values)


def _data_set(records: Sequence[Record]) -> str:
    name = _parameter(records, "dataset")
    return SOURCES[name].title if name in SOURCES else name


def _models(records: Sequence[Record]) -> str:
    tuned, general = (_parameter(records, name) for name in ("backbone", "general_model"))
    return f"{tuned} fine-tuned, beside {tuned} and {general} as they are" if tuned else ""


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
