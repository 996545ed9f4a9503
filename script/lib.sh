# Sourced by the other scripts: where things lie, and how to speak. No command of its own, so that script/env stays quick.
# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those that source it
set -euo pipefail

root=${BASH_SOURCE[0]%/*}
root=$(cd "$root/.." && pwd -P)
deps=$root/.deps
target=${CARGO_TARGET_DIR:-$root/target}
[[ $target == /* ]] || target=$PWD/$target

# Must agree with script/onnxruntime.txt, which pip reads.
ort_version=1.31.1
ort_lib=$deps/onnxruntime/libonnxruntime.so.$ort_version

# ONNX Runtime shall tell nobody of what runs here; the plugin sees to that by itself, other programs that use it do not.
export ORT_DISABLE_TELEMETRY=${ORT_DISABLE_TELEMETRY-1}

say() { printf '%s\n' "$*" >&2; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Rust that rustup installed is found also where the shell has not been started anew since.
if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
fi

# The ONNX Runtime to use: the plain one, or that of UPSCALE_RUNTIME.
runtime() {
    if [[ -n ${UPSCALE_RUNTIME:-} ]]; then
        printf '%s' "$deps/onnxruntime-$UPSCALE_RUNTIME/libonnxruntime.so.1"
    else
        printf '%s' "$ort_lib"
    fi
}

# use_built PROFILE: exports what makes GStreamer find the plugin of that profile, and the plugin ONNX Runtime.
# The plugin is reached through a link in a folder of its own: beside it in target/ lie files that GStreamer's scanner
# would have to look through. The registry is our own: that of the user does not change.
use_built() {
    local profile=$1 folder=$deps/plugin/$1
    if [[ $(readlink "$folder/libgstupscale.so" || true) != "$target/$profile/libgstupscale.so" ]]; then
        mkdir -p "$folder"
        ln -sfn "$target/$profile/libgstupscale.so" "$folder/libgstupscale.so"
    fi
    export GST_PLUGIN_PATH=$folder${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
    export GST_REGISTRY=$deps/registry.$profile.bin
    export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$(runtime)}
    export PATH=$target/$profile:$PATH
    if [[ ${UPSCALE_RUNTIME:-} == gpu ]]; then use_cuda; fi
}

# The CUDA and cuDNN of script/setup --cuda, where they are.
use_cuda() {
    if [[ -d $deps/cuda ]]; then export LD_LIBRARY_PATH=$deps/cuda${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
}
