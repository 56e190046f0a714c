# book   the demo edition: environment, chapters, pages in _build/html
# test   the same environment, lint, all tests
# serve  the pages at http://127.0.0.1:8000
# lock   requirements.lock anew from pyproject.toml
# clean  removes the pages; runs and environment stay

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
# Without bytecode every kernel spends ten seconds more on compiling PyTorch's sources.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: book test serve lock clean

book: $(READY)
	@$(RUN) -m cxr_mtl book

test: $(READY)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m pytest

serve:
	@test -f _build/html/index.html || { echo "no pages yet: run make book first" >&2; exit 2; }
	@$(RUN) -m http.server --bind 127.0.0.1 --directory _build/html 8000

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
	echo "environment: $$(( $$(date +%s) - start )) s" && \
	touch $(READY)
