//! `gst-upscale models`

use std::fs;
use std::path::Path;

use crate::run::run_in;

#[test]
fn the_built_in_models_are_listed() {
    let outcome = run_in(Path::new("."), ["models"]).expect_ok();
    assert!(outcome.stdout.contains("lanczos2x"), "{}", outcome.stdout);
}

#[test]
fn files_are_analysed_also_beside_ones_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join("../models/lanczos2x.onnx"), folder.path().join("good.onnx")).unwrap();
    fs::copy(root.join("../tests/data/unknown_operator.onnx"), folder.path().join("odd.onnx")).unwrap();
    fs::write(folder.path().join("page.onnx"), "<html></html>").unwrap();
    let outcome = run_in(folder.path(), ["models", "--analyse", "none.onnx", "page.onnx", "good.onnx", "odd.onnx"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    for text in ["none.onnx: No such file", "page.onnx: it is a web page", "2 files could not be analysed"] {
        assert!(outcome.stderr.contains(text), "{}", outcome.stderr);
    }
    let rows: Vec<Vec<&str>> = outcome
        .stdout
        .lines()
        .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect())
        .collect();
    assert_eq!(
        rows[0],
        ["FILE", "CHANNELS", "SCALE", "RADIUS", "MULTIPLE", "ALIGNMENT", "NEEDS", "DETAIL", "OPERATORS"]
    );
    assert_eq!(rows[1], ["good.onnx", "1", "x2", "3", "1", "1", "3", "36", "Conv 1, DepthToSpace 1, Pad 1"]);
    assert!(rows[2][3].starts_with("not local: org.example:Sharpen"), "{}", outcome.stdout);
    run_in(folder.path(), ["models", "--analyse", "good.onnx"]).expect_ok();
}
