# One command to start (make demo), one to check (make check). Everything lives in .venv,
# node_modules and $LABEL_AUDIT_HOME (default: var/); removing the three is uninstalling.
PYTHON ?= python3
VENV := .venv
# Test processes side by side; each has servers and databases of its own.
JOBS ?= 2
RUN := $(VENV)/bin/python manage.py
READY := $(VENV)/.ready

# Some machines forbid Python to keep its bytecode: importing torch and timm then takes three times
# as long, in every process.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench docs serve worker setup lock sbom
.DEFAULT_GOAL := demo

setup: $(READY)

$(READY): pyproject.toml constraints.txt package.json package-lock.json .ci/install
	PYTHON="$(PYTHON)" sh .ci/install

demo: $(READY)
	exec $(RUN) demo $(ARGS)

serve: $(READY)
	exec $(RUN) serve $(ARGS)

worker: $(READY)
	exec $(RUN) worker $(ARGS)

test: $(READY)
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/djlint --check --quiet templates
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(RUN) makemigrations --check --dry-run
	$(MAKE) test ARGS="--matrix-table $(ARGS)"

docs: $(READY)
	$(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build $(ARGS)

# What the image installs, each file by its hash. Run it after constraints.txt has changed.
lock: $(READY)
	echo setuptools | $(VENV)/bin/uv pip compile --quiet pyproject.toml - -c constraints.txt \
	    --generate-hashes --python-platform x86_64-manylinux_2_36 --python-version 3.11.14 \
	    --no-header --no-annotate -o requirements.lock

# Bills of materials of what is installed here, in CycloneDX: Python's packages, the front end's.
sbom: $(READY)
	mkdir -p sbom
	$(VENV)/bin/uvx --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py environment --pyproject \
	    pyproject.toml --output-reproducible --of JSON -o sbom/python.json $(VENV)/bin/python
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm sbom --package-lock-only --sbom-format cyclonedx \
	    > sbom/front_end.json

bench: $(READY)
	$(VENV)/bin/python -m tests.benchmarks $(ARGS)

.PHONY: coverage mutants

coverage: $(READY)
	$(VENV)/bin/python -m tests.gates.coverage $(ARGS)

mutants: $(READY)
	$(VENV)/bin/python -m tests.gates.mutants $(ARGS)
