//! `examples/ray` on a real Ray: a local cluster of two nodes. The package is PyPI's `ray`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::robust::clip;
use crate::run::run_in;
use crate::segments::{can_run, frames, plan};

/// A cluster of two nodes of one core, on which the program in the first argument runs with the others.
const CLUSTER: &str = "
import subprocess, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1})
cluster.add_node(num_cpus=1)
code = subprocess.run([sys.executable, *sys.argv[1:], '--address', cluster.address]).returncode
cluster.shutdown()
sys.exit(code)
";

/// A command `gst-upscale` that kills the worker that starts it for the third segment, the first time.
fn command_that_kills_its_worker(folder: &Path) {
    let script = format!(
        "#!/bin/sh\nif [ \"$2 $5\" = 'run 2' ] && mkdir '{}' 2>/dev/null; then\n  kill -9 $PPID\n  exit 1\nfi\nexec {} \"$@\"\n",
        folder.join("killed").display(),
        env!("CARGO_BIN_EXE_gst-upscale")
    );
    let path = folder.join("gst-upscale");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn tasks_upscale_all_segments_though_a_worker_is_killed() {
    if !can_run() {
        return;
    }
    let python = std::env::var_os("UPSCALE_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    if !Command::new(&python).args(["-c", "import ray"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("*** SKIPPED: no Ray (pip install ray; UPSCALE_TEST_PYTHON names the interpreter) ***");
        return;
    }
    let (folder, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    clip(folder.path(), "6", "in.mkv");
    let args = ["-q", "--model", "lanczos2x", "--encoder", "ffv1", "in.mkv", "whole.mkv"];
    run_in(folder.path(), args).expect_ok();
    plan(folder.path(), "--encoder ffv1 in.mkv parts").expect_ok();
    command_that_kills_its_worker(bin.path());
    let mut path = OsString::from(bin.path());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ray/upscale.py");
    let mut command = Command::new(&python);
    command.args(["-c", CLUSTER]).arg(example).args(["parts", "out.mkv"]).current_dir(folder.path());
    let command = command.envs([("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_AUTH_MODE", "disabled")]).env("PATH", path);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("is done, 6 of 6"), "{said}");
    assert!(bin.path().join("killed").exists());
    assert_eq!(frames(&folder.path().join("whole.mkv")), frames(&folder.path().join("out.mkv")));
}
