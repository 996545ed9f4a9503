//! `examples/slurm` on a real Slurm: a controller and two nodes on this machine. The packages are Debian's `slurm-wlm`.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::common::have;
use crate::read;
use crate::robust::clip;
use crate::run::{names, run_in};
use crate::segments::{can_run, frames, plan};

const DAEMONS: [&str; 3] = ["munged", "slurmctld", "slurmd"];

/// Whether Slurm can be started; says loudly what is left out if not.
fn have_slurm() -> bool {
    let missing = DAEMONS.iter().find(|name| !Path::new("/usr/sbin").join(name).exists());
    // SAFETY: a plain question.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        eprintln!("*** SKIPPED: Slurm needs root ***");
    }
    is_root && have("Slurm (Debian's slurm-wlm and munge)", missing.is_none())
}

/// The daemons; they end with this.
struct Cluster {
    folder: PathBuf,
    daemons: Vec<Child>,
}

impl Cluster {
    fn start(folder: &Path) -> Self {
        let mut cluster = Cluster { folder: folder.to_owned(), daemons: Vec::new() };
        let listeners: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let host = Command::new("hostname").arg("-s").output().unwrap().stdout;
        let (host, here) = (String::from_utf8(host).unwrap(), folder.display());
        let host = host.trim();
        let node = |name: &str, port: u16| {
            format!("NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 State=UNKNOWN\n")
        };
        let text = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\nAuthType=auth/munge\nCryptoType=crypto/munge\n\
             AuthInfo=socket={here}/munge.socket\nSlurmUser=root\nSlurmdUser=root\nStateSaveLocation={here}/state\n\
             SlurmdSpoolDir={here}/spool-%n\nSlurmctldPidFile={here}/controller.pid\nSlurmdPidFile={here}/%n.pid\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\nSwitchType=switch/none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nReturnToService=2\n\
             SchedulerParameters=batch_sched_delay=0,sched_interval=1\n{}{}\
             PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP\n",
            ports[0],
            node("n1", ports[1]),
            node("n2", ports[2]),
        );
        fs::create_dir(folder.join("state")).unwrap();
        fs::write(folder.join("slurm.conf"), text).unwrap();
        cluster.munge(&["--force"]);
        cluster.daemon("slurmctld", &["-D"]);
        cluster.daemon("slurmd", &["-D", "-N", "n1"]);
        cluster.daemon("slurmd", &["-D", "-N", "n2"]);
        // Waits for both nodes.
        cluster.run(Command::new("srun").args(["-N2", "true"]));
        cluster
    }

    fn munge(&self, args: &[&str]) {
        let key = self.folder.join("munge.key");
        fs::write(&key, [7; 128]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let mut munged = Command::new("/usr/sbin/munged");
        for (option, name) in
            [("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed")]
        {
            munged.arg(format!("--{option}={}/munge.{name}", self.folder.display()));
        }
        assert!(munged.args(args).stdin(Stdio::null()).status().unwrap().success());
    }

    fn daemon(&mut self, name: &str, args: &[&str]) {
        let log = fs::File::create(self.folder.join(format!("{name}-{}.log", self.daemons.len()))).unwrap();
        let mut command = Command::new(Path::new("/usr/sbin").join(name));
        command.args(args).arg("-f").arg(self.folder.join("slurm.conf"));
        let command = command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        self.daemons.push(command.spawn().unwrap());
    }

    /// Runs one of Slurm's commands; it must succeed.
    #[track_caller]
    fn run(&self, command: &mut Command) -> Output {
        let output = command.env("SLURM_CONF", self.folder.join("slurm.conf")).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            daemon.kill().ok();
            daemon.wait().ok();
        }
        let socket = format!("--socket={}/munge.socket", self.folder.display());
        Command::new("/usr/sbin/munged").arg("--stop").arg(socket).status().ok();
    }
}

/// A command `gst-upscale` that is killed -9 while it works on the third segment, the first time.
fn command_that_is_killed(folder: &Path) {
    let script = format!(
        "#!/bin/sh\nreal={}\nif [ \"$2 $5\" = 'run 2' ] && mkdir killed 2>/dev/null; then\n  $real \"$@\" &\n  \
         while [ ! -e parts/00002.lock ]; do :; done\n  kill -9 $!\n  wait $!\n  exit $?\nfi\nexec $real \"$@\"\n",
        env!("CARGO_BIN_EXE_gst-upscale")
    );
    let path = folder.join("gst-upscale");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_job_array_upscales_all_segments_though_one_is_killed_and_joins_them() {
    if !can_run() || !have_slurm() {
        return;
    }
    let (folder, bin, slurm) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    clip(folder.path(), "6", "in.mkv");
    let args = ["-q", "--model", "lanczos2x", "--encoder", "ffv1", "in.mkv", "whole.mkv"];
    run_in(folder.path(), args).expect_ok();
    plan(folder.path(), "--encoder ffv1 in.mkv parts").expect_ok();
    command_that_is_killed(bin.path());
    let cluster = Cluster::start(slurm.path());
    let mut path = OsString::from(bin.path());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/slurm");
    let mut submit = Command::new(examples.join("submit"));
    let submitted = cluster.run(submit.args(["parts", "out.mkv"]).current_dir(folder.path()).env("PATH", path));
    let text = String::from_utf8(submitted.stdout).unwrap();
    let job = text.split_whitespace().last().expect("the number of the job that joins");
    // Waits for it.
    cluster.run(Command::new("srun").arg(format!("--dependency=afterany:{job}")).arg("true"));
    drop(cluster);
    assert!(folder.path().join("killed").exists());
    let out = folder.path().join("out.mkv");
    assert!(out.exists(), "{:?}", names(folder.path()));
    assert_eq!(frames(&folder.path().join("whole.mkv")), frames(&out));
    assert_eq!(read::times(&out).len(), 150);
}
