//! Determines by trial what a network does not declare: its scale, the input sizes it accepts, and the smallest of
//! them.
//!
//! The pictures are tiny (16x8 if the network accepts that), so that even large networks answer quickly. This module
//! does not depend on ONNX Runtime: the caller passes a function that runs one picture.

use std::time::Instant;

use crate::types::Channels;
use crate::types::Size;

/// Runs the network on a picture with arbitrary content. Returns the shape of the output, or an error in one line.
pub(super) trait Run: FnMut(Channels, Size) -> Result<Vec<i64>, String> {}
impl<F: FnMut(Channels, Size) -> Result<Vec<i64>, String>> Run for F {}

/// The result of probing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Findings {
    pub channels: Channels,
    pub scale: u32,
    pub multiple: Size,
    pub min_size: Size,
}

impl Findings {
    /// Restricts the sizes to those that are also multiples of `multiple`.
    pub fn with_multiple(self, multiple: Size) -> Self {
        let common = |a: u32, b: u32| (1..=b).map(|times| a * times).find(|side| side.is_multiple_of(b)).unwrap_or(a);
        let multiple = Size {
            width: common(self.multiple.width, multiple.width),
            height: common(self.multiple.height, multiple.height),
        };
        let min_size = Size {
            width: self.min_size.width.next_multiple_of(multiple.width),
            height: self.min_size.height.next_multiple_of(multiple.height),
        };
        Findings { multiple, min_size, ..self }
    }
}

/// Heights tried until one runs; the width is twice the height. All are powers of two, as in the networks that
/// constrain their input (pixel-unshuffle, U-nets, windows). The last one bounds the time spent on a network that
/// accepts none.
const HEIGHTS: [u32; 5] = [8, 16, 32, 64, 128];

/// Approximate side lengths of the two pictures that separate the fixed cost of a run from the cost per pixel.
const SMALL: u32 = 16;
const LARGE: u32 = 64;
/// Upper bound of the fixed cost in pixels, because a busy machine distorts the measurement.
const MAX_FIXED: u64 = 16_384;

/// The cost of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunCost {
    /// Fixed cost, expressed in pixels of the tensor.
    pub fixed_pixels: u64,
    /// Cost of a pixel; 0 if it is too small to measure.
    pub seconds_per_pixel: f64,
}

/// Measures the cost of a run from two picture sizes, best of three runs each.
pub(super) fn cost(findings: &Findings, run: &mut impl Run) -> RunCost {
    let Findings { channels, multiple, min_size, .. } = *findings;
    let size = |side: u32| Size {
        width: side.max(min_size.width).next_multiple_of(multiple.width.max(1)),
        height: side.max(min_size.height).next_multiple_of(multiple.height.max(1)),
    };
    let mut time = |size: Size| {
        let mut once = || {
            let begin = Instant::now();
            run(channels, size).ok()?;
            Some(begin.elapsed().as_secs_f64())
        };
        // Warm-up: the first run of a size allocates its memory.
        once()?;
        (0..3).try_fold(f64::INFINITY, |best, _| Some(best.min(once()?)))
    };
    let (small, large) = (size(SMALL), size(LARGE));
    let Some((fast, slow)) = time(small).zip(time(large)) else { return RunCost::default() };
    // The fixed cost dominates; the cost per pixel cannot be measured.
    if slow <= fast {
        return RunCost { fixed_pixels: MAX_FIXED, seconds_per_pixel: 0.0 };
    }
    let seconds_per_pixel = (slow - fast) / (large.pixels() - small.pixels()).max(1) as f64;
    let fixed = (fast - seconds_per_pixel * small.pixels() as f64) / seconds_per_pixel;
    RunCost { fixed_pixels: (fixed.max(0.0) as u64).min(MAX_FIXED), seconds_per_pixel }
}

/// How the output size relates to the input size.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Scale(u32),
    /// The ratio is not an integer, or differs between the two directions.
    Ratio {
        input: Size,
        output: Size,
    },
}

/// Probes a network of free input size. The error is a reason that can follow "FILE cannot upscale video: ".
pub(super) fn free_size(channels: Option<Channels>, run: &mut impl Run) -> Result<Findings, String> {
    let candidates = match channels {
        Some(channels) => vec![channels],
        None => vec![Channels::Rgb, Channels::Luma],
    };
    let mut reason = String::new();
    for channels in candidates {
        match base(channels, run) {
            Ok((scale, height)) => return Ok(limits(channels, scale, height, run)),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

/// Finds the scale of a network of fixed input size with one run, or two if the channels are not declared.
pub(super) fn fixed_size(channels: Option<Channels>, size: Size, run: &mut impl Run) -> Result<Findings, String> {
    let rgb_failed = match channels {
        Some(channels) => return fixed_size_and_channels(channels, size, run),
        None => match fixed_size_and_channels(Channels::Rgb, size, run) {
            Ok(findings) => return Ok(findings),
            Err(reason) => reason,
        },
    };
    fixed_size_and_channels(Channels::Luma, size, run).map_err(|reason| format!("{reason}; and as RGB, {rgb_failed}"))
}

fn fixed_size_and_channels(channels: Channels, size: Size, run: &mut impl Run) -> Result<Findings, String> {
    let shape = run(channels, size)?;
    match outcome(channels, size, &shape)? {
        Outcome::Scale(scale) => Ok(Findings { channels, scale, multiple: ONE, min_size: ONE }),
        ratio @ Outcome::Ratio { .. } => Err(ratio.reason()),
    }
}

const ONE: Size = Size { width: 1, height: 1 };

/// Returns the scale and the smallest of [`HEIGHTS`] that runs.
fn base(channels: Channels, run: &mut impl Run) -> Result<(u32, u32), String> {
    let mut last_ratio: Option<Outcome> = None;
    let mut reason = String::new();
    for height in HEIGHTS {
        let size = Size { width: 2 * height, height };
        match run(channels, size) {
            Err(text) => reason = format!("no picture up to {}x{} runs ({text})", size.width, size.height),
            Ok(shape) => match outcome(channels, size, &shape)? {
                // The picture is not square, so a network that pads to a fixed size shows two different ratios.
                Outcome::Scale(scale) => return Ok((scale, height)),
                ratio => {
                    reason = ratio.reason();
                    if last_ratio.as_ref().is_some_and(|last| last.same_ratio(&ratio)) {
                        break;
                    }
                    last_ratio = Some(ratio).filter(|ratio| !ratio.is_empty());
                }
            },
        }
    }
    Err(reason)
}

/// Finds the smallest multiple and the smallest size, given that `2 * height` x `height` runs.
fn limits(channels: Channels, scale: u32, height: u32, run: &mut impl Run) -> Findings {
    let mut works = |width: u32, height: u32| {
        let size = Size { width, height };
        run(channels, size).is_ok_and(|shape| outcome(channels, size, &shape) == Ok(Outcome::Scale(scale)))
    };
    // Sides that are odd multiples of it, and not smaller than `height`, which is known to run.
    let multiple = (0..)
        .map(|shift| 1 << shift)
        .take_while(|&multiple| multiple < height)
        .find(|&multiple| works(height + 3 * multiple, height + multiple))
        .unwrap_or(height);
    // Bisection in units of the multiple: `fails` units do not run, `runs` units do.
    let (mut fails, mut runs) = (0, height / multiple);
    if runs > 1 && works(multiple, multiple) {
        runs = 1;
    }
    while runs - fails > 1 {
        let middle = (runs + fails) / 2;
        if works(middle * multiple, middle * multiple) {
            runs = middle;
        } else {
            fails = middle;
        }
    }
    let square = |side: u32| Size { width: side, height: side };
    Findings { channels, scale, multiple: square(multiple), min_size: square(runs * multiple) }
}

/// Compares the shape of the output with the input size.
fn outcome(channels: Channels, input: Size, shape: &[i64]) -> Result<Outcome, String> {
    let &[batch, got, height, width] = shape else {
        return Err(format!("its output has {} dimensions instead of 4", shape.len()));
    };
    if batch != 1 || got != channels.count() as i64 {
        return Err(format!(
            "it returns {} for a picture of {} channels; it must return one picture with as many channels",
            super::signature::show(shape),
            channels.count()
        ));
    }
    let side = |side: i64| u32::try_from(side).unwrap_or(0);
    let output = Size { width: side(width), height: side(height) };
    let scale = output.width / input.width;
    let whole = Size { width: input.width * scale, height: input.height * scale } == output;
    Ok(if scale >= 1 && whole { Outcome::Scale(scale) } else { Outcome::Ratio { input, output } })
}

impl Outcome {
    /// Whether the output has no pixels, as in networks that crop to a multiple.
    fn is_empty(&self) -> bool {
        matches!(self, Outcome::Ratio { output: Size { width, height }, .. } if *width == 0 || *height == 0)
    }

    fn same_ratio(&self, other: &Outcome) -> bool {
        match (self, other) {
            (Outcome::Ratio { input, output }, Outcome::Ratio { input: input2, output: output2 }) => {
                let same = |a: u32, b: u32, c: u32, d: u32| u64::from(a) * u64::from(d) == u64::from(b) * u64::from(c);
                same(output.width, input.width, output2.width, input2.width)
                    && same(output.height, input.height, output2.height, input2.height)
            }
            _ => false,
        }
    }

    /// Follows "FILE cannot upscale video: ".
    fn reason(&self) -> String {
        match self {
            Outcome::Scale(scale) => format!("it enlarges by {scale}"),
            Outcome::Ratio { input, output } => format!(
                "it turns {}x{} pixels into {}x{}, which is not an integer scale",
                input.width, input.height, output.width, output.height
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that takes `channels` and maps each side of the input with `side`.
    fn network(channels: Channels, side: impl Fn(u32) -> Option<u32>) -> impl Run {
        move |given: Channels, size: Size| {
            if given != channels {
                return Err("wrong channels".into());
            }
            match (side(size.height), side(size.width)) {
                (Some(height), Some(width)) => Ok(vec![1, channels.count() as i64, height.into(), width.into()]),
                _ => Err("bad size".into()),
            }
        }
    }

    fn found(side: impl Fn(u32) -> Option<u32>) -> Result<(u32, u32, u32), String> {
        let findings = free_size(Some(Channels::Luma), &mut network(Channels::Luma, side))?;
        assert_eq!(findings.multiple.width, findings.multiple.height);
        assert_eq!(findings.min_size.width, findings.min_size.height);
        Ok((findings.scale, findings.multiple.width, findings.min_size.width))
    }

    #[test]
    fn a_plain_network_takes_any_size() {
        assert_eq!(found(|n| Some(2 * n)), Ok((2, 1, 1)));
        assert_eq!(found(Some), Ok((1, 1, 1)));
    }

    #[test]
    fn multiples_are_found_whether_the_run_fails_pads_or_crops() {
        for multiple in [2, 4, 8, 16, 32, 64] {
            assert_eq!(found(|n| n.is_multiple_of(multiple).then_some(3 * n)), Ok((3, multiple, multiple)));
            assert_eq!(found(|n| Some(2 * n.next_multiple_of(multiple))), Ok((2, multiple, multiple)));
            assert_eq!(found(|n| Some(2 * (n / multiple * multiple))), Ok((2, multiple, multiple)));
        }
    }

    #[test]
    fn the_smallest_size_is_found() {
        for least in 2..=100 {
            assert_eq!(found(|n| (n >= least).then_some(2 * n)), Ok((2, 1, least)), "{least}");
        }
        assert_eq!(found(|n| (n >= 10 && n.is_multiple_of(4)).then_some(2 * n)), Ok((2, 4, 12)));
    }

    #[test]
    fn odd_ratios_are_refused_after_two_runs() {
        let mut runs = 0;
        let reason = free_size(Some(Channels::Luma), &mut |_, size: Size| {
            runs += 1;
            Ok(vec![1, 1, (size.height * 3 / 2).into(), (size.width * 3 / 2).into()])
        });
        assert!(reason.unwrap_err().contains("48x24, which is not an integer scale"));
        assert_eq!(runs, 2);
        assert!(found(|n| Some(n / 2)).is_err());
    }

    #[test]
    fn unequal_directions_are_refused() {
        let mut run = |_, size: Size| Ok(vec![1, 1, (size.height * 2).into(), size.width.into()]);
        assert!(free_size(Some(Channels::Luma), &mut run).is_err());
    }

    #[test]
    fn the_channels_are_found_by_trial() {
        for channels in [Channels::Luma, Channels::Rgb] {
            let findings = free_size(None, &mut network(channels, |n| Some(4 * n))).unwrap();
            assert_eq!((findings.channels, findings.scale), (channels, 4));
        }
        let mut grey_from_rgb = |_, size: Size| Ok(vec![1, 1, i64::from(size.height), i64::from(size.width)]);
        assert!(
            free_size(Some(Channels::Rgb), &mut grey_from_rgb)
                .unwrap_err()
                .contains("[1, 1, 8, 16] for a picture of 3 channels")
        );
    }

    #[test]
    fn a_network_that_never_runs_is_refused_with_its_own_message() {
        assert!(found(|_| None).unwrap_err().contains("bad size"));
        assert!(found(|n| (n == 224).then_some(n)).is_err());
    }

    #[test]
    fn multiples_of_graph_and_probe_are_combined() {
        let square = |side| Size { width: side, height: side };
        let findings = |multiple, least| Findings {
            channels: Channels::Luma,
            scale: 2,
            multiple: square(multiple),
            min_size: square(least),
        };
        for (tried, read, both) in [((1, 1), 16, (16, 16)), ((4, 12), 6, (12, 12)), ((8, 24), 16, (16, 32))] {
            let found = findings(tried.0, tried.1).with_multiple(square(read));
            assert_eq!(found, findings(both.0, both.1), "{tried:?} and {read}");
        }
        let sides = findings(2, 2).with_multiple(Size { width: 1, height: 16 });
        assert_eq!((sides.multiple, sides.min_size), (Size { width: 2, height: 16 }, Size { width: 2, height: 16 }));
    }

    #[test]
    fn a_fixed_size_is_run_unchanged() {
        let size = Size { width: 30, height: 20 };
        let findings = fixed_size(None, size, &mut network(Channels::Luma, |n| Some(3 * n))).unwrap();
        assert_eq!((findings.channels, findings.scale), (Channels::Luma, 3));
        assert!(fixed_size(Some(Channels::Luma), size, &mut network(Channels::Luma, |n| Some(n + 1))).is_err());
    }
}
