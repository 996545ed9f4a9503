//! Networks that are local only on a grid: with reuse, tiles and low latency, the output is the same bytes at sizes off that grid, too.
//!
//! Needs ONNX Runtime (`./script/env cargo test` finds it).

mod common;

use std::io::Write;

use gstupscale::model::graph::builder::Builder;

use common::clip::{Clip, Edit};
use common::{element, have_runtime};

/// Changes in the middle, at the edges that the network pads, and beyond the receptive field of both.
const EDITS: [Edit; 6] = [
    Edit::Box { plane: 0, at: (120, 90), size: (9, 7), by: 100 },
    Edit::Corner { right: true, bottom: true, by: 120 },
    Edit::Box { plane: 0, at: (252, 40), size: (20, 20), by: 80 },
    Edit::Box { plane: 0, at: (31, 252), size: (20, 20), by: 80 },
    Edit::Hold,
    Edit::Corner { right: false, bottom: false, by: 90 },
];

/// Fails if reuse, tiles or low latency change the output.
fn check(name: &str, graph: Builder, size: (u32, u32)) {
    let mut file = tempfile::Builder::new().suffix(".onnx").tempfile().unwrap();
    file.write_all(&graph.build()).unwrap();
    let clip = Clip::new("GRAY8", size, &EDITS);
    let with = |properties: &[(&str, &str)]| {
        let all = [&[("model", file.path().to_str().unwrap()), ("max-in-flight", "16")], properties].concat();
        clip.upscaled(&element(&all)).0
    };
    let whole = with(&[("duplicates", "off"), ("workers", "1")]);
    let modes: [(&str, &[(&str, &str)]); 4] = [
        ("reuse", &[("duplicates", "exact"), ("cache-size", "0")]),
        ("tiles", &[("duplicates", "off"), ("tile-size", "200")]),
        ("low latency", &[("duplicates", "off"), ("latency-mode", "low"), ("workers", "3")]),
        ("all of them", &[("duplicates", "exact"), ("tile-size", "200"), ("latency-mode", "low"), ("workers", "2")]),
    ];
    for (mode, properties) in modes {
        let frames = with(properties);
        for (n, (frame, whole)) in frames.iter().zip(&whole).enumerate() {
            let differ = frame.iter().zip(whole).filter(|(a, b)| a != b).count();
            let most = frame.iter().zip(whole).map(|(a, b)| a.abs_diff(*b)).max();
            assert_eq!(differ, 0, "{name} at {size:?}, {mode}: frame {n} differs by up to {most:?}");
        }
    }
}

#[test]
fn a_u_net_gives_the_same_bytes_at_odd_sizes() {
    if have_runtime() {
        check("U-Net", Builder::u_net(), (853, 481));
    }
}

#[test]
fn a_network_that_pads_itself_gives_the_same_bytes_at_every_remainder() {
    if !have_runtime() {
        return;
    }
    for mode in ["reflect", "edge", "constant"] {
        for size in [(853, 481), (855, 483)] {
            check(mode, Builder::self_padding(mode), size);
        }
    }
}
