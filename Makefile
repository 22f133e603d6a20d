# The one entry point. `make` alone lists what there is.
ARCH ?= $(shell uname -m)
KERNEL ?= stable
PREFIX ?= /usr/local
SECONDS ?= 60
BUNDLE ?= build/demo/bundle
HOST := $(shell uname -m)
VM := runtime-tests/vm
# A compiler's environment and where its programs lie; asked when used, `deps` may have installed one.
CROSS = sh $(VM)/cross.sh
RELEASE = $$(sh $(VM)/target.sh $(HOST) dir)/release

.PHONY: help deps demo build check test test-native test-vm test-vm-all test-engines test-engines-vm test-mutants \
        bench bench-shim aarch64 install fuzz miri fixtures vm-shell

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{ printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  variables: ARCH=x86_64|aarch64 KERNEL=stable|newest ROOT=systemd PREFIX=/usr/local SECONDS=60"
	@echo "             ENGINES=\"containerd crio ...\" ENGINES_SUITE=sid ENGINES_PATH=DIR"

deps: ## install what building and testing need (Debian), or say what is missing
	@sh $(VM)/deps.sh

demo: deps ## build krun and run a container from a fresh busybox bundle
	$(CROSS) $(HOST) cargo build --release -p krun
	rm -rf $(BUNDLE)
	sh rootfs-fixtures/make-bundle.sh busybox $(BUNDLE)
	$(RELEASE)/krun run $(BUNDLE)/

build: deps ## krun and its containerd shim, release
	$(CROSS) $(HOST) cargo build --release --bins -p krun -p containerd-shim-krun-v2

check: ## format and lints, warnings are errors, with either C library
	@sh $(VM)/deps.sh lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(CROSS) $(HOST) cargo clippy --workspace --all-targets -- -D warnings
	$(CROSS) $(HOST) cargo clippy -p krun-spawner --bin krun-init --features program -- -D warnings
	cargo fmt --manifest-path runtime-tests/fuzz/Cargo.toml --check

test: deps ## everything natively and in both architectures' virtual machines
	sh $(VM)/test-all.sh native x86_64-stable aarch64-stable x86_64-full $(HOST)-systemd:systemd x86_64-newest:namespaces::,mount,rootfs::,terminal::,process::,masked

test-native: deps ## unit tests and the runtime suite on this machine
	sh $(VM)/test-all.sh native

test-vm: deps ## the suite in a virtual machine: ARCH= KERNEL= ROOT=
	sh $(VM)/test-all.sh $(if $(filter systemd,$(ROOT)),$(ARCH)-systemd,$(ARCH)-$(KERNEL))

test-vm-all: deps ## test, the newest kernels, the systemd root and the engines
	sh $(VM)/test-all.sh native x86_64-stable aarch64-stable x86_64-full x86_64-newest aarch64-newest $(HOST)-systemd
	$(MAKE) test-engines

test-engines: build ## containerd, docker, podman, conmon and the CRI with krun as their runtime: ENGINES= ENGINES_SUITE= ENGINES_PATH=
	KRUN_PROFILE=release bash runtime-tests/engines/run.sh $(ENGINES)

test-engines-vm: build ## the same in a virtual machine, for what needs controllers that cgroup v2 lacks here
	KRUN_PROFILE=release bash runtime-tests/engines/vm.sh $(ENGINES)

test-mutants: deps ## check that the suite notices deliberate mistakes
	sh runtime-tests/mutants/run.sh

bench: deps ## krun against the floor and the peers that are installed
	sh runtime-tests/bench/run.sh

bench-shim: build ## the shim against runc's
	KRUN_PROFILE=release bash runtime-tests/engines/run.sh bench-shim

aarch64: deps ## krun and the shim for ARM servers, in build/aarch64
	$(CROSS) aarch64 cargo build --release --workspace --bins
	mkdir -p build/aarch64
	for program in krun containerd-shim-krun-v2; do \
	    cp "$$(sh $(VM)/target.sh aarch64 dir)/release/$$program" build/aarch64/ || exit 1; \
	done

install: build ## put krun and the shim into PREFIX/bin
	install -D -m 755 $(RELEASE)/krun $(DESTDIR)$(PREFIX)/bin/krun
	install -D -m 755 $(RELEASE)/containerd-shim-krun-v2 $(DESTDIR)$(PREFIX)/bin/containerd-shim-krun-v2

fuzz: ## every parser with libFuzzer, SECONDS= each: TARGETS="config dbus ..."
	@sh $(VM)/deps.sh fuzz
	sh runtime-tests/fuzz/run.sh $(SECONDS) $(TARGETS)

miri: ## the unsafe code and the codecs in Miri (nightly toolchain), else with AddressSanitizer
	sh runtime-tests/fuzz/miri.sh

fixtures: deps ## busybox root file systems of both architectures
	for arch in x86_64 aarch64; do rm -rf build/fixtures/bundle-$$arch; \
	    sh rootfs-fixtures/make-bundle.sh busybox build/fixtures/bundle-$$arch $$arch || exit 1; done

vm-shell: deps ## a shell in the test machine, with krun in PATH: ARCH= KERNEL=
	$(CROSS) $(ARCH) cargo build -p krun
	$(VM)/run.sh --arch $(ARCH) --kernel $(KERNEL) --shell \
	    --add $$(sh $(VM)/target.sh $(ARCH) dir)/debug/krun
