//! The memory of NVIDIA's GPUs, as a mock of the driver reports it: `tests/nvidia/mock.c`, loaded by a child process.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use gstupscale::device;
use gstupscale::schedule::worker_counts::WorkerCounts;
use gstupscale::types::Provider;

/// Names the file of GPUs. Set in the child process alone.
const GPUS: &str = "MOCK_NVIDIA";
const SLOW: &str = "00112233445566778899aabbccddeeff";
const FAST: &str = "ffeeddccbbaa99887766554433221100";
const GB: u64 = 1_000_000_000;

/// Compiles the mock into `folder`, under the names of the driver's two libraries.
fn make_driver(folder: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvidia/mock.c");
    let [nvml, cuda] = ["libnvidia-ml.so.1", "libcuda.so.1"].map(|name| folder.join(name));
    let compiler = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&nvml).arg(source).status();
    assert!(compiler.unwrap().success());
    fs::copy(nvml, cuda).unwrap();
}

/// A GPU of the mock: UUID, total and free bytes.
type Gpu = (&'static str, u64, u64);

fn write(path: &Path, gpus: &[Gpu]) {
    let lines = gpus.iter().fold(String::new(), |mut lines, (uuid, total, free)| {
        writeln!(lines, "{uuid} {total} {free}").unwrap();
        lines
    });
    fs::write(path, lines).unwrap();
}

/// Runs `test` of this binary in a process with the mocked driver, and returns the lines that it prints behind "> ".
fn in_child(test: &str, gpus: &[Gpu], visible: Option<&str>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gpus");
    write(&path, gpus);
    make_driver(folder.path());
    let paths = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let paths =
        std::env::join_paths(std::iter::once(folder.path().to_owned()).chain(std::env::split_paths(&paths))).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(GPUS, &path).env("LD_LIBRARY_PATH", paths);
    command.env_remove("CUDA_VISIBLE_DEVICES").envs(visible.map(|list| ("CUDA_VISIBLE_DEVICES", list)));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().filter_map(|line| line.split_once("> ")).map(|(_, line)| line.to_owned()).collect()
}

fn print(provider: Provider, index: u32) {
    match device::memory(provider, index) {
        Some(memory) => println!("\n> {} {}", memory.total, memory.free),
        None => println!("\n> none"),
    }
}

/// Only works in a child process: memory and worker counts of the first GPU.
#[test]
fn child_counts_workers() {
    if std::env::var_os(GPUS).is_none() {
        return;
    }
    let total = device::memory(Provider::Cuda, 0).map(|memory| memory.total);
    let WorkerCounts { initial, max } = WorkerCounts::choose(0, None, total);
    println!("\n> {initial} {max}");
}

/// Only works in a child process: the memory of CUDA's first three GPUs, and of the first by bus address.
#[test]
fn child_prints_memories() {
    if std::env::var_os(GPUS).is_none() {
        return;
    }
    (0..3).for_each(|index| print(Provider::Cuda, index));
    print(Provider::WebGpu, 0);
}

/// Only works in a child process: the memory while another program takes some and gives it back.
#[test]
fn child_follows_the_free_memory() {
    let Some(path) = std::env::var_os(GPUS) else { return };
    for free in [7 * GB, GB, 7 * GB] {
        write(path.as_ref(), &[(SLOW, 8 * GB, free)]);
        print(Provider::Cuda, 0);
    }
}

#[test]
fn the_memory_decides_the_workers() {
    for (memory, workers) in [(4, "1 2"), (6, "2 4"), (8, "3 6"), (12, "4 8"), (80, "4 8")] {
        assert_eq!(
            in_child("child_counts_workers", &[(SLOW, memory * GB, memory * GB)], None),
            [workers],
            "{memory} GB"
        );
    }
    assert_eq!(in_child("child_counts_workers", &[], None), ["1 2"], "no GPU");
}

#[test]
fn free_memory_is_read_anew() {
    let lines = in_child("child_follows_the_free_memory", &[], None);
    assert_eq!(lines, ["8000000000 7000000000", "8000000000 1000000000", "8000000000 7000000000"]);
}

#[test]
fn gpus_are_matched_by_uuid() {
    let gpus = [(SLOW, 8 * GB, 7 * GB), (FAST, 24 * GB, 20 * GB)];
    let [slow, fast, none] = ["8000000000 7000000000", "24000000000 20000000000", "none"];
    let memories = |visible| in_child("child_prints_memories", &gpus, visible);
    assert_eq!(memories(None), [slow, fast, none, slow]);
    assert_eq!(memories(Some("1,0")), [fast, slow, none, slow]);
    assert_eq!(memories(Some("1")), [fast, none, none, slow]);
}
