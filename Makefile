# book    the demo edition: environment, chapters, pages in _build/html
# test    the same environment, lint, all tests
# fuzz    a million odd inputs at all doors that read what users give; a stopped one resumes
# faults  100 kills of a run at random moments, full disks, closed folders, clocks that jump
# serve   the pages at http://127.0.0.1:8000
# site    where the finished pages lie, for any static web server
# teach   the exercises as notebooks in _build/teach: student, without solutions; instructor
# pdf     one PDF per page in _build/pdf, printed by Chromium
# alignment  the demo's models aligned anew: what ships in cxr_mtl/training/aligned
# lock    requirements.lock anew from pyproject.toml
# clean   removes the pages; runs and environment stay

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
# Without bytecode every kernel spends ten seconds more on compiling PyTorch's sources.
unexport PYTHONDONTWRITEBYTECODE

# What reads typed reports in the browser; its checksum is checked when the pages are built.
WEB_RUNTIME = mkdir -p $(VENV)/share/cxr-mtl && \
  { npm pack --silent --pack-destination $(VENV)/share/cxr-mtl onnxruntime-web@1.30.0 \
    > /dev/null 2>&1 || \
    echo "npm did not bring onnxruntime-web, so the explorer will not read typed reports:" \
      "install npm, then rm $(READY) and run make again"; }

HAVE_PAGES = test -f _build/html/index.html || \
  { echo "no pages yet: run make book first" >&2; exit 2; }

.PHONY: book test fuzz faults serve site teach pdf alignment lock clean

book: $(READY)
	@$(RUN) -m cxr_mtl book

test: $(READY)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(VENV)/bin/lint-imports --no-logo --no-cache
	@$(RUN) -m pytest -n auto --dist worksteal

fuzz: $(READY)
	@PYTHONPATH=.:tests/fuzz $(RUN) tests/fuzz/campaign.py

faults: $(READY)
	@CXR_MTL_KILLS=$${CXR_MTL_KILLS:-100} $(RUN) -m pytest -n auto --dist worksteal tests/faults
	@echo "what was killed when: _build/faults"

serve:
	@$(HAVE_PAGES)
	@$(RUN) -m http.server --bind 127.0.0.1 --directory _build/html 8000

site:
	@$(HAVE_PAGES)
	@echo "_build/html is the whole site: $$(find _build/html/book -name '*.html' | wc -l) pages," \
	  "$$(du -sh _build/html | cut -f1); copy it to any static web server"

teach: $(READY)
	@$(RUN) -m cxr_mtl teach

# Printed beside and renamed: a page that fails leaves the old PDFs as they were.
pdf:
	@$(HAVE_PAGES)
	@browser=$$(command -v chromium || command -v google-chrome) || \
	  { echo "Chromium is not on the path: install chromium" >&2; exit 2; }; \
	rm -rf _build/.pdf && mkdir -p _build/.pdf && \
	for page in $$(find _build/html/book -name '*.html' | sort); do \
	  pdf=$${page#_build/html/book/}; pdf=$${pdf%.html}.pdf; \
	  mkdir -p "$$(dirname "_build/.pdf/$$pdf")"; \
	  "$$browser" --headless --no-sandbox --disable-gpu --no-pdf-header-footer \
	    --virtual-time-budget=10000 --user-data-dir="$$PWD/_build/.pdf/.browser" \
	    --print-to-pdf="$$PWD/_build/.pdf/$$pdf" "$$PWD/$$page" 2> _build/.pdf/.said; \
	  test -s "_build/.pdf/$$pdf" || { tail -n 5 _build/.pdf/.said >&2; \
	    echo "$$page could not be printed: see what Chromium says above" >&2; exit 1; }; \
	  echo "$$pdf"; \
	done && \
	rm -rf _build/.pdf/.browser _build/.pdf/.said _build/pdf && mv _build/.pdf _build/pdf && \
	echo "in _build/pdf"

alignment: $(READY)
	@$(RUN) -m cxr_mtl.training.alignment

lock: $(READY)
	$(RUN) -m uv pip compile --quiet --generate-hashes --universal \
	  --python-version 3.11 --all-extras --no-emit-index-url --no-annotate --no-header \
	  pyproject.toml -o requirements.lock

clean:
	rm -rf _build

$(READY): requirements.lock pyproject.toml
	@command -v "$(PYTHON)" > /dev/null || \
	  { echo "$(PYTHON) is not installed: install Python 3.11 or newer" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; old = sys.version_info < (3, 11); \
	  print(f"Python {sys.version.split()[0]} is too old: make PYTHON=python3.11", \
	  file=sys.stderr) if old else None; sys.exit(2 if old else 0)'
	@start=$$(date +%s) && \
	{ "$(RUN)" -c "" 2> /dev/null || "$(PYTHON)" -m venv --clear $(VENV); } && \
	{ "$(RUN)" -c "import uv" 2> /dev/null || "$(RUN)" -m pip install --quiet "uv>=0.9"; } && \
	"$(RUN)" -m uv pip sync --quiet --python "$(RUN)" requirements.lock && \
	"$(RUN)" -m uv pip install --quiet --python "$(RUN)" --no-deps --no-build-isolation \
	  --editable . && \
	$(WEB_RUNTIME) && \
	echo "environment: $$(( $$(date +%s) - start )) s" && \
	touch $(READY)
