#!/bin/bash
# BuildKit itself: buildkitd --oci-worker-binary. Debian has no buildkitd:
# ENGINES_PATH must hold it and buildctl.
suite=buildkit
. "$(dirname "$0")/lib.sh"
for tool in buildkitd buildctl; do
    command -v "$tool" >/dev/null || { say "FAIL  buildkit: there is no $tool on PATH (ENGINES_PATH=DIR names where)"; exit 1; }
done
counted_krun "$work/krun-counted"
sock=unix:///run/buildkit/buildkitd.sock
mkdir -p /run/buildkit /run/buildkit-root "$work/context"
buildkitd --addr $sock --root /run/buildkit-root --containerd-worker=false --oci-worker=true --oci-worker-net=host \
    --oci-worker-binary="$work/krun-counted" --oci-worker-snapshotter=overlayfs >"$work/buildkit.log" 2>&1 &
daemon=$!
until_ok buildctl --addr $sock debug workers || { say "buildkitd does not start: $(tail -3 "$work/buildkit.log")"; exit 1; }
cp "$work/image/layer.tar" "$work/context/"
# build LINE...: a Dockerfile on the test's layer, its result in $work/out.
build() {
    printf '%s\n' 'FROM scratch AS base' 'ADD layer.tar /' 'ENV PATH=/bin' "$@" >"$work/context/Dockerfile"
    rm -rf "$work/out"
    buildctl --addr $sock build --progress plain --frontend dockerfile.v0 --no-cache --local context="$work/context" \
        --local dockerfile="$work/context" --output type=local,dest="$work/out"
}
check "build with RUN steps" build 'RUN echo built > /built && id -u > /uid' 'RUN sh -c "cat /built /uid > /both"'
expect "what was built" $'built\n0' cat "$work/out/both"
check "krun ran the steps" [ "$(calls run)" = 2 ]
expect "a failing step is told" 'exit code: 9' build 'RUN exit 9'
expect "a missing program is told" 'not found' build 'RUN no-such-program'
check "as another user" build 'USER 1000' 'RUN id -u > /tmp/uid'
expect "its id" 1000 cat "$work/out/tmp/uid"
check "a cache mount and a secret-like tmpfs" build 'RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/t sh -c "echo x > /cache/x; echo y > /t/y; cat /cache/x /t/y > /z"'
expect "what they gave" $'x\ny' cat "$work/out/z"
check "without a network" build 'RUN --network=none ip addr > /addr'
check "only lo is there" bash -c "! grep -q ': eth' '$work/out/addr'"
check "steps side by side" build 'FROM base AS a' 'RUN sleep 1; echo a > /a' 'FROM base AS b' 'RUN sleep 1; echo b > /b' 'FROM base' 'COPY --from=a /a /a' 'COPY --from=b /b /b'
check "no container is left" bash -c "! pgrep -x sleep; ! ls -d /run/buildkit-root/runc-overlayfs/executor/*/config.json 2>/dev/null"
kill "$daemon"
wait "$daemon" 2>/dev/null
finish
