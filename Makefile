# Every target works from a fresh clone: the virtual environment is made on demand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What an install is made from; the rest is read where it stands.
BUILD := pyproject.toml hatch_build.py $(foreach folder,instrumentation/native collector/native,$(wildcard $(folder)/*.cc $(folder)/*.h $(folder)/CMakeLists.txt))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help install demo test native-check fuzz lint typecheck docs package bench bench-faults bench-faults-beside bench-verdicts bench-kernels bench-repair clean

help:
	@echo "make demo       install what the demo needs, run it, print what it found"
	@echo "make test       install everything, run the tests"
	@echo "make interop-clients    other clients of OpenTelemetry, for the tests"
	@echo "make native-check   the native libraries' own tests, under the sanitizers"
	@echo "make fuzz       changed requests, each read by both decoders"
	@echo "make fuzz-collector   changed and hostile requests sent to a collector"
	@echo "make interop    the OpenTelemetry Collector and Java's exporters against the collector"
	@echo "make crash      collectors killed under load, and what is in the lake then"
	@echo "make picture    the README's picture, taken anew"
	@echo "make soak       ten minutes at half of what a collector can take; MINUTES says otherwise"
	@echo "make lint typecheck docs package bench"

# What `make demo` needs: LiteRT, no TensorFlow.
$(VENV)/demo.stamp: $(BUILD)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -e '.[lake,litert,playback,report]'
	@touch $@

# Everything, for development.
$(VENV)/dev.stamp: $(BUILD)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install -e '.[all]' --group dev
	@touch $@

install: $(VENV)/dev.stamp

demo: $(VENV)/demo.stamp
	@$(BIN)/exray demo

# A process for each core, but four at most: each with TensorFlow takes 2 GB. A file stays in one,
# for what its tests share.
test: install
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# Clients of OpenTelemetry that tests send to the collector and that are no part of this
# Python: skipped where they are missing.
INTEROP := build/interop
.PHONY: interop-clients
interop-clients: $(INTEROP)/node/node_modules $(INTEROP)/otel-cli/bin/otel

$(INTEROP)/node/node_modules: tests/collector/interop/node/package-lock.json
	command -v npm >/dev/null || { echo "not installed: npm, for Node's exporters"; exit 0; }; \
	mkdir -p $(@D) && cp $(<D)/package*.json $(@D) && \
	npm ci --prefix $(@D) --no-audit --no-fund --ignore-scripts && touch $@

# Its libraries are of 2022, so it has an environment of its own.
$(INTEROP)/otel-cli/bin/otel:
	$(PYTHON) -m venv $(INTEROP)/otel-cli
	$(INTEROP)/otel-cli/bin/pip --disable-pip-version-check --quiet install 'otel-cli==0.4.0' 'setuptools<81'

NATIVE_CHECK := -DCMAKE_BUILD_TYPE=RelWithDebInfo -DEXRAY_WERROR=ON -DEXRAY_NATIVE_TESTS=ON

# The native tests under the address and undefined-behaviour sanitizers; those for 64-bit
# Arm under emulation, where its compiler and emulator are.
native-check:
	cmake -S instrumentation/native -B build/native-check $(NATIVE_CHECK) -DEXRAY_SANITIZE=ON
	cmake --build build/native-check
	ctest --test-dir build/native-check --output-on-failure
	cmake -S collector/native -B build/native-check-otlp $(NATIVE_CHECK) -DEXRAY_SANITIZE=ON
	cmake --build build/native-check-otlp
	ctest --test-dir build/native-check-otlp --output-on-failure
ifneq ($(and $(shell command -v aarch64-linux-gnu-g++),$(shell command -v qemu-aarch64-static)),)
	cmake -S instrumentation/native -B build/native-check-aarch64 $(NATIVE_CHECK) \
	  --toolchain $(CURDIR)/tests/native/aarch64.cmake
	cmake --build build/native-check-aarch64
	ctest --test-dir build/native-check-aarch64 --output-on-failure
else
	@echo "not checked for 64-bit Arm: needs g++-aarch64-linux-gnu and qemu-user-static"
endif

# Both decoders of what the collector receives, held against each other.
fuzz: install
	$(BIN)/python tests/collector/fuzz.py 100000
	EXRAY_NATIVE=off $(BIN)/python tests/collector/fuzz.py 20000
	$(BIN)/python tests/collector/quick_fuzz.py 300000

# Trials of the collector, whole; the tests take a small sample of each.
.PHONY: fuzz-collector crash soak

# Bad requests to a running collector, its answers checked and its memory watched.
fuzz-collector: install
	PYTHONPATH=. $(BIN)/python -m tests.collector.bad_requests 100000 1000

# Collectors killed at random and at every step: what was acknowledged is in the lake, once.
crash: install
	PYTHONPATH=. $(BIN)/python -m tests.collector.crash 240

# Half of what a collector can take, for MINUTES; its memory must not grow.
soak: install
	PYTHONPATH=. $(BIN)/python -m tests.collector.soak $(or $(MINUTES),10)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --disable-progress-bar queries
	$(BIN)/python -m exray.schema.generate --check
	$(BIN)/python -m exray.grafana.generate --check

typecheck: install
	$(BIN)/mypy
	$(BIN)/pyright

docs: install
	$(BIN)/python -m exray.schema.generate
	$(BIN)/python -m exray.queries.generate
	$(BIN)/python -m exray.grafana.generate

# The OpenTelemetry Collector, telemetrygen and Java's exporters against the collector: builds
# them from their registries first (go, mvn; ten minutes once), outside the checkout.
INTEROP_TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/exray-interop
OTELCOL_VERSION := v0.165.0
TELEMETRYGEN_VERSION := v0.161.0
INTEROP_SOURCES := tests/collector/interop
.PHONY: interop
interop: install $(INTEROP_TOOLS)/otelcol/otelcol $(INTEROP_TOOLS)/bin/telemetrygen $(INTEROP_TOOLS)/java/classpath
	PYTHONPATH=. $(BIN)/python -m tests.collector.interop.forwarding $(INTEROP_TOOLS)

$(INTEROP_TOOLS)/bin/builder:
	GOBIN=$(@D) go install go.opentelemetry.io/collector/cmd/builder@$(OTELCOL_VERSION)

$(INTEROP_TOOLS)/otelcol/otelcol: $(INTEROP_SOURCES)/otelcol/builder.yaml | $(INTEROP_TOOLS)/bin/builder
	sed 's|^dist:|dist:\n  output_path: $(@D)|' $< > $(INTEROP_TOOLS)/builder.yaml
	$(INTEROP_TOOLS)/bin/builder --config $(INTEROP_TOOLS)/builder.yaml

$(INTEROP_TOOLS)/bin/telemetrygen:
	GOBIN=$(@D) go install github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@$(TELEMETRYGEN_VERSION)

$(INTEROP_TOOLS)/java/classpath: $(INTEROP_SOURCES)/java/pom.xml $(wildcard $(INTEROP_SOURCES)/java/src/main/java/*.java)
	mvn -B -q -f $< -Dinterop.build=$(@D) compile dependency:build-classpath -Dmdep.outputFile=$@

# The README's picture of the demo's report: needs Chromium and its driver.
.PHONY: picture
picture: install
	PYTHONPATH=. $(BIN)/python -m tests.diagnosis.page.picture docs/report.png

# The wheel is built from the sdist, so both are proven.
package: install
	rm -rf dist && $(BIN)/python -m build --outdir dist .
	$(BIN)/python tests/check_wheel.py dist

bench: install
	$(BIN)/python benchmarks/capture.py
	$(BIN)/python benchmarks/summary.py
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/diagnose.py
	$(BIN)/python benchmarks/host.py
	$(BIN)/python benchmarks/emit.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/wire.py

# Faults planted into the networks that EXRAY_TEST_DATA names: hours, unless SAMPLE is small.
# What was interrupted goes on where it stopped; delete FAULTS to begin anew.
FAULTS ?= build/faults
bench-faults: install
	$(BIN)/python benchmarks/faults.py --sample $(or $(SAMPLE),0) --work $(FAULTS) \
	  --keep $(FAULTS)/cases.jsonl --resume

# Beside it: images before a model, and other tools (pip install --group bench-tools) on the same faults.
bench-faults-beside: install
	$(BIN)/python benchmarks/preprocessing.py --data $(EXRAY_TEST_DATA) --keep $(FAULTS)/images.jsonl --resume
	$(BIN)/python benchmarks/fault_tools.py --work $(FAULTS)/tools --resume

# How often a build fails against itself, and what ends as unexplained: needs EXRAY_TEST_DATA.
bench-verdicts: install
	$(BIN)/python benchmarks/self_compare.py
	$(BIN)/python benchmarks/unexplained.py

# Minutes on a quiet machine; see docs/kernels.md.
KERNELS ?= build/kernels
bench-kernels: install
	$(BIN)/python benchmarks/kernels.py --work $(KERNELS)
	$(BIN)/python benchmarks/kernels.py --work $(KERNELS) --report

# An hour; a row for each case. See docs/repair.md.
bench-repair: install
	$(BIN)/python benchmarks/repair.py --planted $(or $(PLANTED),2)

clean:
	rm -rf $(VENV) dist build exray-demo
