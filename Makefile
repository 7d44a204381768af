# The one entry point. `make` lists what there is; the work is done by native/CMakeLists.txt and tools/.

BUILD := build
CMAKE_FLAGS ?=
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
SETUP := $(BUILD)/stamps/setup
CONFIGURED := $(BUILD)/build.ninja

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-12s %s\n", $$1, $$2 }'

$(SETUP): tools/setup.sh
	@echo "== checking what the machine has"
	@tools/setup.sh $@

$(CONFIGURED): $(SETUP)
	@echo "== configuring"
	@cmake --preset release -S native $(CMAKE_FLAGS)

build: $(CONFIGURED) ## build everything
	@cmake --build $(BUILD) -j $(JOBS)

run: $(CONFIGURED) ## set up, build and run the quick start
	@cmake --build $(BUILD) -j $(JOBS) --target quick_start
	@$(BUILD)/bin/quick_start

clean: ## remove everything that was built (downloads included)
	rm -rf $(BUILD)
