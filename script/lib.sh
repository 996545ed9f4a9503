# Sourced by the other scripts: paths and helper functions. Starts as few processes as possible, so that script/env is
# fast.
# shellcheck shell=bash
# shellcheck disable=SC2034  # used by the scripts that source it
set -euo pipefail

root=${BASH_SOURCE[0]%/*}
root=$(cd "$root/.." && pwd -P)
deps=$root/.deps
target=${CARGO_TARGET_DIR:-$root/target}
[[ $target == /* ]] || target=$PWD/$target

# Must match script/onnxruntime.txt, which pip reads.
ort_version=1.31.1
ort_lib=$deps/onnxruntime/libonnxruntime.so.$ort_version
# 2026.4.1, as in script/openvino.txt; the name has the version without its dots and century.
openvino_lib=$deps/openvino/libopenvino_c.so.2641

# Disable ONNX Runtime's telemetry. The plugin does that itself; other programs that use ONNX Runtime do not.
export ORT_DISABLE_TELEMETRY=${ORT_DISABLE_TELEMETRY-1}

say() { printf '%s\n' "$*" >&2; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Finds Rust from rustup even if the shell was started before the installation.
if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
fi

# The ONNX Runtime to use: the default one, or the one selected by UPSCALE_RUNTIME.
runtime() {
    if [[ -n ${UPSCALE_RUNTIME:-} ]]; then
        printf '%s' "$deps/onnxruntime-$UPSCALE_RUNTIME/libonnxruntime.so.1"
    else
        printf '%s' "$ort_lib"
    fi
}

# use_built PROFILE: exports the variables with which GStreamer finds the plugin of that profile, and the plugin finds
# ONNX Runtime and OpenVINO. The plugin is linked into a separate folder, because GStreamer's scanner would have to examine the other
# files in target/. A separate registry leaves the user's untouched.
use_built() {
    local profile=$1 folder=$deps/plugin/$1
    if [[ $(readlink "$folder/libgstupscale.so" || true) != "$target/$profile/libgstupscale.so" ]]; then
        mkdir -p "$folder"
        ln -sfn "$target/$profile/libgstupscale.so" "$folder/libgstupscale.so"
    fi
    export GST_PLUGIN_PATH=$folder${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
    export GST_REGISTRY=$deps/registry.$profile.bin
    export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$(runtime)}
    use_openvino
    export PATH=$target/$profile:$PATH
    if [[ ${UPSCALE_RUNTIME:-} == gpu ]]; then use_cuda; fi
}

# Uses the OpenVINO of script/setup, if it exists.
use_openvino() {
    if [[ -e $openvino_lib ]]; then export OPENVINO_DYLIB_PATH=${OPENVINO_DYLIB_PATH-$openvino_lib}; fi
}

# Uses the CUDA and cuDNN of script/setup --cuda, if they exist.
use_cuda() {
    if [[ -d $deps/cuda ]]; then export LD_LIBRARY_PATH=$deps/cuda${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
}
