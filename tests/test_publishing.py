"""What surrounds the code says what is there: guide, changelog, workflow, hooks, citation."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from cxr_mtl.pages.launch import BRANCH, REPOSITORY_VARIABLE

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, flags=re.MULTILINE)[1].split())
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MADE_BY_THE_READER = ("runs/", "results/", "_build/", ".venv/")
PLACEHOLDER = "NN_name"

FAKE_BROWSER = """#!/bin/sh
for word do case "$word" in --print-to-pdf=*) pdf="${word#*=}";; esac; done
case "$word" in *broken*) echo "it is broken" >&2; exit 0;; esac
cp "$word" "$pdf"
"""


def named_targets(text):
    """The make targets in the shell blocks and code spans of a Markdown text."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL))
    lines = [*re.findall(r"^make (.*)$", blocks, flags=re.MULTILINE)]
    lines += re.findall(r"`make ([^`]*)`", text)
    words = [word for line in lines for word in line.split("#")[0].split()]
    return {word for word in words if "=" not in word}


def test_every_target_of_the_makefile_is_explained_and_has_a_rule():
    explained = re.findall(r"^# (\w+)  ", MAKEFILE, flags=re.MULTILINE)
    rules = re.findall(r"^(\w+):(?!=)", MAKEFILE, flags=re.MULTILINE)
    assert set(explained) == set(rules) == TARGETS


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "book/rerun.md", "book/cite.md"])
def test_the_make_targets_a_text_names_exist(name):
    assert named_targets((ROOT / name).read_text()) <= TARGETS


def test_the_readme_names_the_targets_that_publish():
    assert {"book", "test", "serve", "site", "pdf"} <= named_targets(
        (ROOT / "README.md").read_text()
    )


def steps():
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_the_workflow_builds_the_pages_and_notebooks_and_uploads_both():
    commands = [step["run"] for step in WORKFLOW["jobs"]["build"]["steps"] if "run" in step]
    assert commands == ["make book", "make site", ".venv/bin/cxr-mtl notebooks _build/notebooks"]
    assert {"book", "site"} <= TARGETS
    uploads = [step["with"]["path"] for step in steps() if "upload-" in step.get("uses", "")]
    assert uploads == ["_build/html", "_build/notebooks"]


def test_the_pages_link_to_the_branch_that_the_workflow_pushes():
    assert WORKFLOW["env"] == {REPOSITORY_VARIABLE: "${{ github.repository }}"}
    (push,) = (step["run"] for step in WORKFLOW["jobs"]["notebooks"]["steps"] if "run" in step)
    assert f"git push --force origin {BRANCH}\n" in push


def test_the_branch_of_notebooks_is_one_commit_of_what_was_built(tmp_path):
    """The workflow's commands, run on a repository whose origin is a folder beside it."""

    def git(*words):
        done = subprocess.run(
            ["git", *words], cwd=tmp_path / "work", capture_output=True, text=True
        )
        return done.stdout.split()

    origin, work = tmp_path / "origin", tmp_path / "work"
    subprocess.run(["git", "init", "--quiet", "--bare", origin], check=True)
    subprocess.run(["git", "clone", "--quiet", origin, work], check=True, capture_output=True)
    (work / "source.py").touch()
    (work / ".gitignore").write_text("_build\n")
    git("add", ".")
    git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", "source")
    (push,) = (step["run"] for step in WORKFLOW["jobs"]["notebooks"]["steps"] if "run" in step)
    for name in ("01_data.ipynb", "02_model.ipynb"):
        git("checkout", "--quiet", "--force", "-B", "main")
        (work / "_build/notebooks/exercises").mkdir(parents=True)
        (work / "_build/notebooks/exercises" / name).touch()
        git("branch", "-D", BRANCH)
        words = ["bash", "-e", "-c", push]
        subprocess.run(words, cwd=work, check=True, capture_output=True)
        assert git("ls-tree", "-r", "--name-only", f"origin/{BRANCH}") == [f"exercises/{name}"]
        assert git("rev-list", "--count", f"origin/{BRANCH}") == ["1"]


def test_the_workflow_uses_official_actions_of_a_named_major_version():
    actions = [step["uses"] for step in steps() if "uses" in step]
    assert len(actions) == 7
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)


def test_the_workflow_publishes_main_one_at_a_time_with_no_right_it_does_not_need():
    triggers = WORKFLOW[True]  # YAML 1.1 reads the key `on` as true
    assert triggers == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert WORKFLOW["concurrency"]["group"]
    assert WORKFLOW["permissions"] == {}
    jobs = WORKFLOW["jobs"]
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert jobs["deploy"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert jobs["notebooks"]["permissions"] == {"contents": "write"}
    assert jobs["deploy"]["needs"] == jobs["notebooks"]["needs"] == "build"
    assert all(job["timeout-minutes"] > 0 for job in jobs.values())


def test_the_workflow_takes_a_python_that_the_project_supports():
    (setup,) = (s["with"] for s in steps() if "setup-python" in s.get("uses", ""))
    assert f">={setup['python-version']}" == PROJECT["requires-python"]


def hook(name):
    (repository,) = HOOKS
    assert repository["repo"] == "local"
    return next(hook for hook in repository["hooks"] if hook["id"] == name)


@pytest.mark.parametrize("name", ["ruff-check", "ruff-format"])
def test_the_hooks_lint_as_make_test_does(name):
    entry = hook(name)["entry"]
    assert entry.startswith(".venv/bin/python -m ruff ")
    command = entry.removeprefix(".venv/bin/python ").removesuffix(" --force-exclude")
    assert f"{command} ." in MAKEFILE


def test_the_hook_finds_merge_markers_and_no_underlined_heading():
    pattern = re.compile(hook("merge-markers")["entry"])
    for line, found in {
        "<<<<<<< HEAD": True,
        ">>>>>>> theirs": True,
        "=======": False,
        "a <<<<<<< b": False,
    }.items():
        assert bool(pattern.search(line)) == found


def test_the_hook_refuses_large_files_alone(tmp_path):
    large = hook("large-files")
    (tmp_path / "a small one").write_bytes(b"x" * 500_000)
    (tmp_path / "a large one").write_bytes(b"x" * 500_001)

    def run(*names):
        words = [*large["entry"].split(), *large["args"], *names]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run("a small one").returncode == 0
    refused = run("a small one", "a large one")
    assert (refused.returncode, refused.stdout) == (1, "a large one has more than 500 kB\n")


def test_no_file_of_the_repository_is_refused_for_its_size():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    sizes = {name: (ROOT / name).stat().st_size for name in listed.stdout.splitlines()}
    exempt = re.compile(hook("large-files")["exclude"])
    assert max(size for name, size in sizes.items() if not exempt.match(name)) <= 500_000
    assert max(sizes.values()) <= 4_000_000


def test_the_newest_version_of_the_changelog_is_the_projects_or_unreleased():
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[([^\]]+)\]", text, flags=re.MULTILINE)
    assert versions[0] in ("Unreleased", PROJECT["version"])
    kinds = set(re.findall(r"^### (\w+)$", text, flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_guide_names_only_paths_that_exist():
    spans = re.findall(r"`([^`\n]+)`", CONTRIBUTING) + re.findall(r"\]\(([^)]+)\)", CONTRIBUTING)
    words = {word for span in spans for word in span.split()}
    paths = {
        word
        for word in words
        if re.fullmatch(r"[\w.-]+(/[\w.-]*)+|[\w-]+\.(py|md|yml|toml|cff|json)", word)
        and PLACEHOLDER not in word
        and not word.startswith(MADE_BY_THE_READER)
    }
    assert len(paths) > 30
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_readmes_table_names_every_package_and_every_chapter():
    rows = re.findall(r"^\| `cxr_mtl/(\w+)/` \| [^|]+ \|([^|]*)\|$", README, flags=re.MULTILINE)
    packages = [path.parent.name for path in (ROOT / "cxr_mtl").glob("*/__init__.py")]
    assert sorted(name for name, _ in rows) == sorted(packages)
    chapters = {path for _, cell in rows for path in re.findall(r"`book/([^`]+)`", cell)}
    assert chapters == {path.name for path in (ROOT / "book").glob("[0-9][0-9]_*.py")}


def test_the_guides_names_of_code_are_defined_in_the_library_or_its_tests():
    code = "\n".join(
        path.read_text()
        for folder in ("cxr_mtl", "tests")
        for path in (ROOT / folder).rglob("*.py")
    )
    guide = CONTRIBUTING.split("## Adding things")[1].split("## Tests")[0]
    names = set(re.findall(r"`(_?[A-Z][A-Z_]+|[A-Z][a-z]+[A-Za-z]+|[a-z]+_[a-z_]+)`", guide))
    assert {"HUB_NAMES", "LossWeights", "by_loops"} <= names
    defined = r"(^\s*(def|class) {0}\b|^{0}\b.* = |^\s+{0}: )"
    missing = [n for n in names if not re.search(defined.format(n), code, flags=re.MULTILINE)]
    assert set(missing) <= {"cxr_mtl", "run_dir"}


def test_the_page_on_citing_repeats_the_citation_file():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    page = (ROOT / "book/cite.md").read_text()
    entry = re.search(r"```bibtex\n(.*?)```", page, flags=re.DOTALL)[1]
    fields = dict(re.findall(r"^  (\w+)\s*= \{(.*)\},$", entry, flags=re.MULTILINE))
    plain = {name: re.sub(r"[{}]", "", value) for name, value in fields.items()}
    assert plain["title"] == citation["title"]
    assert plain["author"] == citation["authors"][0]["name"]
    assert (plain["version"], plain["license"]) == (citation["version"], citation["license"])


def test_the_page_on_citing_quotes_one_whole_reference_in_each_block():
    page = (ROOT / "book/cite.md").read_text()
    bibliography = (ROOT / "book/references.bib").read_text()
    cited = {key for keys in re.findall(r"\{cite\}`([^`]+)`", page) for key in keys.split(",")}
    assert cited <= set(re.findall(r"^@\w+\{(\w+),", bibliography, flags=re.MULTILINE))
    for start, end in re.findall(r':start-at: "(.+)"\n:end-before: "(.+)"', page):
        quoted = bibliography[bibliography.index(start) : bibliography.index(end)]
        assert quoted.count("\n@") == 0
        assert quoted.count("{") == quoted.count("}")


@pytest.fixture
def make(tmp_path):
    """Run a target of the Makefile in a folder of its own, with the browser given, if any."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cp", "cut", "dirname", "du", "find", "mkdir", "mv", "rm", "sort", "tail", "wc"):
        (tools / name).symlink_to(shutil.which(name))

    def run(target, browser=None):
        if browser:
            (tools / "chromium").write_text(browser)
            (tools / "chromium").chmod(0o755)
        environment = {**os.environ, "PATH": str(tools)}
        words = [shutil.which("make"), "--no-print-directory", target]
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def pages(tmp_path):
    """Built pages, as far as the Makefile looks at them."""
    folder = tmp_path / "_build/html/book"
    folder.mkdir(parents=True)
    (folder.parent / "index.html").write_text("")
    (folder / "exercises").mkdir()
    for name in ("index", "01_data", "exercises/01_data"):
        (folder / f"{name}.html").write_text(name)
    return folder


def printed(folder):
    """The PDFs by their names, with what is in them."""
    made = folder / "_build/pdf"
    files = (path for path in made.rglob("*") if path.is_file())
    return {path.relative_to(made).as_posix(): path.read_text() for path in files}


@pytest.mark.parametrize("target", ["serve", "site", "pdf"])
def test_without_pages_a_target_that_needs_them_says_what_to_run(make, target):
    done = make(target, FAKE_BROWSER)
    assert done.returncode == 2
    assert "no pages yet: run make book first" in done.stderr


def test_the_site_is_counted_where_it_lies(make, pages):
    done = make("site")
    assert done.returncode == 0
    assert re.match(r"_build/html is the whole site: +3 pages, +\S+; copy it to", done.stdout)


def test_without_a_browser_no_page_is_printed(make, pages, tmp_path):
    done = make("pdf")
    assert done.returncode == 2
    assert "Chromium is not on the path" in done.stderr
    assert not (tmp_path / "_build/pdf").exists()


def test_every_page_is_printed_to_a_pdf_of_its_name_and_nothing_else_is_left(make, pages, tmp_path):
    stale = tmp_path / "_build/pdf/99_gone.pdf"
    stale.parent.mkdir()
    stale.touch()
    done = make("pdf", FAKE_BROWSER)
    assert done.returncode == 0, done.stderr
    assert printed(tmp_path) == {
        "01_data.pdf": "01_data",
        "exercises/01_data.pdf": "exercises/01_data",
        "index.pdf": "index",
    }
    assert not (tmp_path / "_build/.pdf").exists()


def test_a_page_that_cannot_be_printed_is_named_and_the_old_pdfs_stay(make, pages, tmp_path):
    assert make("pdf", FAKE_BROWSER).returncode == 0
    (pages / "broken.html").touch()
    done = make("pdf")
    assert done.returncode == 2
    assert "it is broken" in done.stderr
    assert "_build/html/book/broken.html could not be printed" in done.stderr
    assert printed(tmp_path).keys() == {"01_data.pdf", "exercises/01_data.pdf", "index.pdf"}


def test_the_banner_that_the_theme_takes_off_paper_is_put_back():
    style = (ROOT / "book/_assets/study.css").read_text()
    on_paper = style[style.index("@media print") :]
    assert re.search(r"\.bd-header-announcement\.noprint \{\s+display: flex !important;", on_paper)
