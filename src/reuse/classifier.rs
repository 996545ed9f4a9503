//! Decides what work a frame requires, for the element as well as for a plan made without upscaling.

use super::detail::DetailFilter;
use super::rules::Rules;
use super::sensitivity::Threshold;
use super::tracker::{Mode, Tracker};
use super::work::FrameWork;
use crate::model::graph::{Analysis, Locality};
use crate::picture::convert::Converter;
use crate::picture::format::{ChromaSite, Colour, Matrix, PictureRef, PixelFormat, Range};
use crate::types::{Channels, Size};

/// What is known about frames with the same fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// No such frame is known.
    No,
    /// An output was kept over a flush; no frame of the current generation uses it yet.
    Kept,
    /// A frame of the current generation uses the output.
    Shown,
}

/// Where a frame's output comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultSource {
    /// A frame of the current generation looks the same.
    Duplicate,
    /// The frame was upscaled before a flush, and is the first of its kind since.
    Kept,
    /// The output has to be computed, with this work.
    New(FrameWork),
}

impl ResultSource {
    /// The work that is left.
    pub fn work(&self) -> &FrameWork {
        match self {
            ResultSource::Duplicate | ResultSource::Kept => &FrameWork::Nothing,
            ResultSource::New(work) => work,
        }
    }
}

/// What counts as nothing new, and what as not worth the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How frames are compared with earlier ones; `None` if they are not.
    pub mode: Option<Mode>,
    /// From which detail on blocks go through the network; `None` if all do.
    pub threshold: Option<Threshold>,
    /// How many pixels around a part the network has to see; `None` for its whole receptive field.
    pub radius: Option<u32>,
}

impl Policy {
    /// Parts with the network's whole receptive field.
    pub fn new(mode: Option<Mode>) -> Self {
        Policy { mode, ..Policy::default() }
    }
}

/// Classifies frames, one after the other.
#[derive(Debug)]
pub struct Classifier {
    policy: Policy,
    /// Constraints on regions.
    rules: Option<Rules>,
    /// `None` if every frame that differs is upscaled as a whole.
    tracker: Option<Tracker>,
}

impl Classifier {
    /// For frames of `frame` pixels in the format of `converter`. Without `rules`, only whole frames are upscaled.
    pub fn new(converter: &Converter, frame: Size, rules: Option<Rules>, policy: Policy) -> Self {
        let Policy { mode, threshold, radius } = policy;
        let detail = rules
            .zip(threshold)
            .map(|(rules, threshold)| DetailFilter::new(frame, converter.channels(), threshold, rules));
        let rules = rules.map(|rules| radius.map_or(rules, |radius| rules.within(radius, converter)));
        let tracker = Tracker::new(converter.format(), frame, rules, converter.chroma_is_apart(), mode, detail);
        Classifier { policy, rules, tracker }
    }

    /// For a network whose file has been read, but that is not loaded.
    pub fn of_graph(network: &Analysis, format: PixelFormat, frame: Size, mode: Mode) -> Self {
        let channels = if network.channels == Some(1) { Channels::Luma } else { Channels::Rgb };
        // The dilation does not depend on the colours.
        let chroma_site = ChromaSite { h_cosited: false, v_cosited: false };
        let colour = Colour { matrix: Matrix::BT709, range: Range::Limited, chroma_site };
        let converter = Converter::new(format, colour, frame, channels, network.scale.unwrap_or(2));
        let rules = match &network.locality {
            Locality::Local(local) if network.fixed_size.is_none() => {
                Rules::new(local, network.multiple, network.multiple, &converter, frame)
            }
            _ => None,
        };
        Classifier::new(&converter, frame, rules, Policy::new(Some(mode)))
    }

    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Constraints on the regions of the work it returns.
    pub fn rules(&self) -> Option<Rules> {
        self.rules
    }

    /// Forgets the previous frame, whose output is gone.
    pub fn forget(&mut self) {
        if let Some(tracker) = &mut self.tracker {
            tracker.forget();
        }
    }

    /// Whether frames are compared with the previous one.
    pub fn compares(&self) -> bool {
        self.tracker.is_some()
    }

    /// The work required for `picture`, provided that the output of the previous frame can be reused.
    pub fn work(&mut self, picture: &PictureRef) -> FrameWork {
        self.tracker.as_mut().map_or(FrameWork::Whole, |tracker| tracker.compare(picture))
    }

    /// Classifies a frame that would require `work`. `has_base` says whether the output of the previous frame can be
    /// reused.
    pub fn classify(known: Known, work: &FrameWork, has_base: bool) -> ResultSource {
        match (known, work) {
            (Known::Shown, _) => ResultSource::Duplicate,
            (Known::Kept, _) => ResultSource::Kept,
            (Known::No, FrameWork::Nothing) if has_base => ResultSource::Duplicate,
            (Known::No, FrameWork::Mixed(mixed)) if !mixed.needs_previous => ResultSource::New(work.clone()),
            (Known::No, work) if has_base => ResultSource::New(work.clone()),
            (Known::No, _) => ResultSource::New(FrameWork::Whole),
        }
    }

    /// Whether to cache the output for frames with the same fingerprint. An output that is only similar must not be
    /// cached: differences would add up.
    pub fn is_kept(&self, source: &ResultSource) -> bool {
        self.policy.mode == Some(Mode::Exact) || !source.work().needs_previous_frame()
    }

    /// Records the outcome for `picture`, for which [`Classifier::work`] has just returned `work`; the next frame is
    /// compared with the result. `same_output` says whether it shares the output of the previous frame.
    pub fn note(&mut self, picture: &PictureRef, source: &ResultSource, work: &FrameWork, same_output: bool) {
        let upscaled = match source {
            ResultSource::New(work) => work,
            // If nothing differs at all, nothing needs to be recorded, whichever output is used.
            ResultSource::Duplicate
                if *work == FrameWork::Nothing && (same_output || self.policy.mode == Some(Mode::Exact)) =>
            {
                work
            }
            ResultSource::Duplicate | ResultSource::Kept => &FrameWork::Whole,
        };
        if let Some(tracker) = &mut self.tracker {
            tracker.note(picture, upscaled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::graph::analyse;
    use crate::model::graph::builder::{Builder, ints, text};
    use crate::types::Rect;

    const SIZE: Size = Size { width: 96, height: 64 };

    /// A gray frame in which one pixel has this code value.
    fn frame(code: u8) -> Vec<u8> {
        let mut pixels = vec![16; 96 * 64];
        pixels[33 * 96 + 50] = code;
        pixels
    }

    /// The work for the second of two frames that differ in one pixel, with a network whose file has only been read.
    fn needed(graph: Builder, mode: Mode) -> FrameWork {
        let network = analyse(graph.build(), None).unwrap();
        let mut classifier = Classifier::of_graph(&network, PixelFormat::Gray8, SIZE, mode);
        let mut work = FrameWork::Nothing;
        for code in [16, 200] {
            let pixels = frame(code);
            let planes = [(pixels.as_slice(), 96)];
            let picture = PictureRef::new(PixelFormat::Gray8, SIZE, &planes).unwrap();
            work = classifier.work(&picture);
            let source = Classifier::classify(Known::No, &work, code != 16);
            classifier.note(&picture, &source, &work, false);
        }
        work
    }

    #[test]
    fn inexact_regions_are_not_upscaled_in_exact_mode() {
        let exact = || Builder::new(1).conv("x", "y", [1, 1], 3, &[ints("pads", &[1; 4])]);
        // The weights of a resize by 3 are rounded differently at each position.
        let inexact = || {
            let scales = [1.0, 1.0, 3.0, 3.0];
            Builder::new(1).floats("scales", &[4], &scales).node("Resize", "x - scales", "y", &[text("mode", "linear")])
        };
        let similar = Mode::Similar { tolerance: 2, max_age: 0 };
        assert!(matches!(needed(exact(), Mode::Exact), FrameWork::DirtyRects(_)));
        assert_eq!(needed(inexact(), Mode::Exact), FrameWork::Whole);
        assert!(matches!(needed(inexact(), similar), FrameWork::DirtyRects(_)));
    }

    #[test]
    fn a_frame_is_new_unless_its_output_exists() {
        let part = FrameWork::DirtyRects([Rect { x: 0, y: 0, width: 8, height: 8 }].into());
        for (known, work, has_base, source) in [
            (Known::No, &part, true, ResultSource::New(part.clone())),
            (Known::No, &part, false, ResultSource::New(FrameWork::Whole)),
            (Known::No, &FrameWork::Nothing, true, ResultSource::Duplicate),
            (Known::No, &FrameWork::Nothing, false, ResultSource::New(FrameWork::Whole)),
            (Known::Kept, &part, true, ResultSource::Kept),
            (Known::Shown, &part, true, ResultSource::Duplicate),
        ] {
            assert_eq!(Classifier::classify(known, work, has_base), source, "{known:?} {work:?} {has_base}");
        }
    }

    #[test]
    fn similar_outputs_are_not_cached() {
        let part = ResultSource::New(FrameWork::ChromaOnly);
        let network = analyse(Builder::new(1).node("Relu", "x", "y", &[]).build(), None).unwrap();
        let classifier = |mode| Classifier::of_graph(&network, PixelFormat::Gray8, SIZE, mode);
        assert!(classifier(Mode::Exact).is_kept(&part));
        let similar = classifier(Mode::Similar { tolerance: 2, max_age: 0 });
        assert!(!similar.is_kept(&part) && similar.is_kept(&ResultSource::New(FrameWork::Whole)));
    }
}
