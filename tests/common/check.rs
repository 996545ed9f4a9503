//! Assertions that name what differs.

use gst::prelude::*;

use super::{mark, pts_ms};

/// Fails unless the frame has this PTS, in ms, and this mark.
#[track_caller]
pub fn assert_frame(buffer: &gst::Buffer, expected_pts: u64, expected_mark: u8) {
    assert_eq!(pts_ms(buffer), expected_pts, "PTS in ms");
    assert_eq!(mark(buffer), expected_mark, "mark of the frame at {expected_pts} ms");
}

/// An unsigned field of the element's `stats`.
#[track_caller]
pub fn stat(element: &gst::Element, name: &str) -> u64 {
    unsigned(&element.property::<gst::Structure>("stats"), name)
}

/// Fails with the name of each unsigned field of the element's `stats` that differs.
#[track_caller]
pub fn assert_stats(element: &gst::Element, expected: &[(&str, u64)]) {
    assert_fields(&element.property::<gst::Structure>("stats"), expected);
}

/// As [`assert_stats`], for any structure.
#[track_caller]
pub fn assert_fields(structure: &gst::StructureRef, expected: &[(&str, u64)]) {
    let differing: Vec<_> = expected
        .iter()
        .map(|(name, expected)| (name, expected, unsigned(structure, name)))
        .filter(|(_, expected, actual)| *expected != actual)
        .map(|(name, expected, actual)| format!("{name} is {actual}, expected {expected}"))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("; "));
}

#[track_caller]
fn unsigned(structure: &gst::StructureRef, name: &str) -> u64 {
    let number = structure.get::<u64>(name).or_else(|_| structure.get::<u32>(name).map(u64::from));
    number.unwrap_or_else(|error| panic!("{name}: {error}"))
}
