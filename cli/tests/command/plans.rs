//! The plan, and the lists.

use serde_json::Value;

use crate::common::have_runtime;
use crate::make::{self, have};
use crate::run::{names, run_in};

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a plan is JSON")
}

#[test]
fn a_plan_is_made_without_upscaling() {
    if !have(&["x264enc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make::render(
        &folder.path().join("in.mkv"),
        "videotestsrc num-buffers=10 pattern=black ! video/x-raw,width=64,height=48,framerate=25/1 ! x264enc ! \
         matroskamux ! filesink name=out",
    );
    let printed = run_in(folder.path(), ["plan", "in.mkv"]).expect_ok();
    let plan = read(&printed.stdout);
    assert_eq!(plan["stats"]["total_frames"], 10);
    assert_eq!(plan["stats"]["unique_frames"], 1);
    assert_eq!(plan["stats"]["duplicate_percentage"], 90.0);
    assert_eq!(plan["stats"]["predicted"], serde_json::json!({"off": 0.0, "exact": 90.0, "similar": 90.0}));
    assert!(printed.stderr.contains("of the area 90 % would be reused (exact), 90 % (similar)"), "{}", printed.stderr);
    assert_eq!(plan["frames_to_process"], serde_json::json!(["frame_00001"]));
    assert_eq!(plan["frame_output_mapping"]["3"]["pts"], 120_000_000);

    run_in(folder.path(), ["plan", "in.mkv", "--output", "plan.json", "--quiet"]).expect_ok();
    assert_eq!(read(&std::fs::read_to_string(folder.path().join("plan.json")).unwrap()), plan);
    assert_eq!(names(folder.path()), ["in.mkv", "plan.json"]);
}

#[test]
fn a_plan_predicts_no_parts_where_the_element_upscales_whole_frames() {
    let folder = tempfile::tempdir().unwrap();
    make::render(
        &folder.path().join("in.mkv"),
        "videotestsrc num-buffers=10 pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! \
         matroskamux ! filesink name=out",
    );
    // Its parts may differ from the whole in the last bit.
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/linear_x3.onnx");
    let printed = run_in(folder.path(), ["plan", "in.mkv", "--model", model]).expect_ok();
    let predicted = &read(&printed.stdout)["stats"]["predicted"];
    assert_eq!(predicted["exact"], 0.0, "{predicted}");
    assert!(predicted["similar"].as_f64().unwrap() > 20.0, "{predicted}");
}

#[test]
fn the_plan_of_a_run_says_the_same() {
    if !have_runtime() || !have(&["x264enc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make::with_sound(&folder.path().join("in.mkv"), "matroskamux", &[]);
    run_in(folder.path(), ["plan", "in.mkv", "--output", "before.json"]).expect_ok();
    run_in(folder.path(), ["in.mkv", "out.mp4", "--plan", "run.json"]).expect_ok();
    let [before, run] = ["before.json", "run.json"].map(|name| {
        let mut plan = read(&std::fs::read_to_string(folder.path().join(name)).unwrap());
        // How many workers there are, and what time was saved, is for the run to say.
        for figure in ["parallel_jobs", "saved_seconds", "predicted"] {
            plan["stats"].as_object_mut().unwrap().remove(figure);
        }
        // Which rectangles are best depends on the machine.
        let reused = plan["stats"]["reused_percentage"].take().as_f64().unwrap();
        assert!((0.0..=100.0).contains(&reused), "{reused}");
        plan
    });
    assert_eq!(before, run);
}

#[test]
fn the_plan_of_pictures_names_their_files() {
    if !have_runtime() || !have(&["pngenc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make::pictures(&folder.path().join("in"), 12, 5);
    std::fs::copy(folder.path().join("in/005.png"), folder.path().join("in/007.png")).unwrap();
    run_in(folder.path(), ["in/%03d.png", "out/%04d.png", "--plan", "plan.json"]).expect_ok();
    let text = std::fs::read_to_string(folder.path().join("plan.json")).unwrap();
    let plan = read(&text);
    assert_eq!(
        plan["frame_output_mapping"]["2"],
        serde_json::json!({"input_path": "in/007.png", "unique_frame": "in/005.png", "output_path": "out/0007.png",
                           "is_duplicate": true, "pts": 80_000_000})
    );
    assert_eq!(plan["frames_to_process"][0], "in/005.png");
    assert_eq!(plan["stats"]["duplicates"], 1);
    assert!(text.find("in/006.png").unwrap() < text.find("in/015.png").unwrap(), "frames are in order");
    let printed = run_in(folder.path(), ["plan", "in/%03d.png"]).expect_ok();
    assert_eq!(read(&printed.stdout)["frames_to_process"], plan["frames_to_process"]);
}

#[test]
fn models_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let listed = run_in(folder.path(), ["models"]).expect_ok().stdout;
    let line = listed.lines().find(|line| line.starts_with("lanczos2x")).expect("it is one of them");
    assert!(line.contains(" x2 "), "{line}");
}

#[test]
fn help_and_version_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let help = run_in(folder.path(), ["--help"]).expect_ok().stdout;
    for option in ["--model", "--workers", "--duplicates", "--plan", "--encoder", "--quality", "--deinterlace"] {
        assert!(help.contains(option), "{option}");
    }
    assert!(run_in(folder.path(), ["--version"]).expect_ok().stdout.contains(env!("CARGO_PKG_VERSION")));
}
