//! GStreamer's own tools run the element without warnings.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::have_runtime;
use crate::common::process::{Ended, program, run};

/// A small source, so that the network runs fast.
const SMALL: &str = "videotestsrc num-buffers=12 ! video/x-raw,format=I420,width=16,height=12,framerate=25/1";

fn launch(variables: &[(&str, &str)], arguments: &[&str], pipeline: &str) -> Ended {
    let mut command = program("gst-launch-1.0");
    command.envs(variables.iter().copied()).args(arguments).args(pipeline.split_whitespace());
    run(&mut command)
}

#[test]
fn gst_inspect_shows_the_element_without_warnings() {
    for arguments in [&["upscalefilter"][..], &["upscale"], &["--print-plugin-auto-install-info", "upscale"]] {
        let ended = run(program("gst-inspect-1.0").args(arguments)).expect_clean();
        assert!(ended.stdout.contains("upscale"), "{arguments:?}: {}", ended.stdout);
    }
    let element = run(program("gst-inspect-1.0").arg("upscalefilter")).expect_clean().stdout;
    for text in
        ["Rank", "none (0)", "Pad Templates:", "SRC template: 'src'", "SINK template: 'sink'", "Element Properties:"]
    {
        assert!(element.contains(text), "{text} is not in {element}");
    }
}

#[test]
fn gst_launch_shows_caps_and_exits_without_warnings() {
    if !have_runtime() {
        return;
    }
    let pipeline = format!("{SMALL} ! upscalefilter ! video/x-raw,width=32,height=24 ! fakesink");
    let ended = launch(&[], &["-v"], &pipeline).expect_clean();
    // Without the pad's name: with two threads, gst-launch sometimes prints the wrong pad.
    assert!(ended.stdout.contains("width=(int)32, height=(int)24"), "{}", ended.stdout);
    assert!(ended.stdout.contains("Got EOS from element"), "{}", ended.stdout);
}

#[test]
fn gst_launch_shows_messages_and_tags_of_a_live_source() {
    if !have_runtime() {
        return;
    }
    let pipeline = SMALL.replace("videotestsrc", "videotestsrc is-live=true");
    let progress = "upscalefilter progress-interval=100000000";
    let ended = launch(&[], &["-v", "-m", "-t"], &format!("{pipeline} ! {progress} ! fakesink sync=true"));
    let ended = ended.expect_clean();
    assert!(ended.stdout.contains("upscalefilter-progress"), "{}", ended.stdout);
    assert!(ended.stdout.contains("latency"), "{}", ended.stdout);
}

#[test]
fn an_interrupted_gst_launch_ends_with_eos() {
    if !have_runtime() {
        return;
    }
    // `-e` turns the signal into EOS.
    let mut command = program("gst-launch-1.0");
    let endless = SMALL.replace("num-buffers=12", "is-live=true");
    command.args(["-e", "-v"]).args(endless.split_whitespace());
    command.args("! upscalefilter name=u ! fakesink sync=true".split_whitespace());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("u.GstPad:src: caps = ")).expect("frames flow");
    // SAFETY: the process is our child and has not been waited for yet.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    lines.find(|line| line.contains("EOS received - stopping pipeline")).expect("it ends");
    lines.for_each(drop);
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn gst_launch_says_why_it_cannot_start() {
    let ended = launch(&[], &["-q"], &format!("{SMALL} ! upscalefilter model=/nowhere.onnx ! fakesink"));
    assert_ne!(ended.code, Some(0));
    let output = ended.stdout + &ended.stderr;
    assert!(output.contains("/nowhere.onnx"), "{output}");
    assert!(!output.contains("CRITICAL") && !output.contains("WARNING **"), "{output}");
}

#[test]
fn the_leaks_tracer_finds_nothing_and_the_latency_tracer_sees_each_frame() {
    if !have_runtime() {
        return;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let variables = [
        ("GST_TRACERS", "leaks(check-refs=true);latency(flags=pipeline+element);stats"),
        ("GST_DEBUG", "GST_TRACER:7"),
        ("GST_DEBUG_FILE", log.path().to_str().unwrap()),
    ];
    launch(&variables, &["-q"], &format!("{SMALL} ! upscalefilter name=u ! fakesink")).expect_clean();
    let log = std::fs::read_to_string(log.path()).unwrap();
    let count = |text: &str| log.lines().filter(|line| line.contains(text) && !line.contains("format string")).count();
    assert_eq!(count("object-alive, "), 0, "{log}");
    // One entry per frame.
    let through = log.lines().filter(|line| line.contains("element-latency, ") && line.contains("element=(string)u,"));
    assert_eq!(through.count(), 12, "{log}");
    assert!(count("buffer, ") > 0 && count("new-element, ") > 0, "the tracer sees the stream: {log}");
}
