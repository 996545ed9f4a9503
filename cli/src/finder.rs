//! Predicts what reuse finds in a video, without running a network.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use gst_video::prelude::*;
use gstupscale::model::builtin;
use gstupscale::model::graph::Analysis;
use gstupscale::picture::format::PixelFormat;
use gstupscale::picture::view::PictureRef;
use gstupscale::plan::{Prediction, Recorder, Reuse};
use gstupscale::reuse::{
    Classifier, DEFAULT_MAX_AGE, DEFAULT_TOLERANCE, Fingerprint, Fingerprinter, Known, Mode, ResultSource,
};
use gstupscale::types::Size;

use crate::av::{self, Frame};
use crate::failure::{Context, Result};
use crate::models;
use crate::progress::Counts;
use crate::upscaler::{self, NANOSECONDS};

/// The element's defaults.
const SIMILAR: Mode = Mode::Similar { tolerance: DEFAULT_TOLERANCE, max_age: DEFAULT_MAX_AGE };

/// Looks for frames, and parts of frames, that were seen before.
pub struct Finder {
    fingerprinter: Fingerprinter,
    network: Analysis,
    recorder: Recorder,
    /// The first frame with each fingerprint.
    seen: HashMap<Fingerprint, u64>,
    /// Of the last frames.
    kind: Option<(PixelFormat, Size)>,
    exact: Share,
    similar: Share,
    /// Of all frames.
    pixels: u64,
}

/// What one mode would upscale.
#[derive(Default)]
struct Share {
    /// `None` until the first frame comes.
    classifier: Option<Classifier>,
    /// What the last frame shows.
    shown: Option<Fingerprint>,
    /// Which frames were, or would be, upscaled as they are.
    upscaled: HashSet<Fingerprint>,
    pixels: u64,
}

impl Finder {
    /// `parallel_jobs` is for the plan. The model is read, not run.
    pub fn new(parallel_jobs: usize, model: Option<&Path>) -> Result<Self> {
        let model = model.unwrap_or(Path::new(builtin::DEFAULT));
        Ok(Finder {
            fingerprinter: Fingerprinter::random(),
            network: models::read(model).context(format_args!("{} cannot be analysed", model.display()))?,
            recorder: Recorder::new(parallel_jobs),
            seen: HashMap::new(),
            kind: None,
            exact: Share::default(),
            similar: Share::default(),
            pixels: 0,
        })
    }

    /// What was found so far; as reused counts what `exact` would reuse.
    pub fn counts(&self) -> Counts {
        let unique = self.seen.len() as u64;
        let duplicates = self.recorder.frames() - unique;
        Counts { unique, duplicates, reused: self.predicted().exact, resized: 0.0, saved: None }
    }

    /// The plan, and what each mode would reuse.
    pub fn recorder(&self) -> (Recorder, Prediction) {
        let (mut recorder, predicted) = (self.recorder.clone(), self.predicted());
        let (reused_percentage, saved_seconds) = (predicted.exact, None);
        recorder.set_reuse(Reuse { reused_percentage, saved_seconds, predicted: Some(predicted) });
        (recorder, predicted)
    }

    fn predicted(&self) -> Prediction {
        let percent = |share: &Share| 100.0 * (1.0 - share.pixels as f64 / self.pixels.max(1) as f64);
        if self.pixels == 0 {
            return Prediction::default();
        }
        Prediction { off: 0.0, exact: percent(&self.exact), similar: percent(&self.similar) }
    }

    /// Takes the next frame.
    pub fn take(&mut self, frame: &Frame) -> Result<()> {
        let info = upscaler::video_info(frame)?;
        let buffer = upscaler::to_buffer(frame, &info)?;
        let pts = u64::try_from(av::rescale(frame.pts, frame.time_base, NANOSECONDS)).ok();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).context("there is no memory")?;
        let format = PixelFormat::from_name(info.format().to_str()).context("the frames have an unknown format")?;
        let strides = frame.plane_stride().iter().map(|stride| usize::try_from(*stride).unwrap_or(0));
        let planes: Vec<_> = frame.planes_data().into_iter().zip(strides).take(format.planes()).collect();
        let size = Size { width: info.width(), height: info.height() };
        let picture = PictureRef::new(format, size, &planes).context("a frame cannot be read")?;
        let fingerprint = self.fingerprinter.fingerprint(&picture);

        let index = self.recorder.frames();
        let unique = *self.seen.entry(fingerprint).or_insert(index);
        self.recorder.record(pts, unique);
        if self.kind != Some((format, size)) {
            self.kind = Some((format, size));
            self.exact.begin(Classifier::of_graph(&self.network, format, size, Mode::Exact));
            self.similar.begin(Classifier::of_graph(&self.network, format, size, SIMILAR));
        }
        self.pixels += size.pixels();
        self.exact.take(&picture, fingerprint);
        self.similar.take(&picture, fingerprint);
        Ok(())
    }
}

impl Share {
    /// Starts over for frames of another kind.
    fn begin(&mut self, classifier: Classifier) {
        self.classifier = Some(classifier);
        self.upscaled.clear();
        self.shown = None;
    }

    /// As the element does, with a cache that holds all frames.
    fn take(&mut self, picture: &PictureRef, fingerprint: Fingerprint) {
        let Some(classifier) = &mut self.classifier else { return };
        let work = classifier.work(picture);
        let known = if self.upscaled.contains(&fingerprint) { Known::Shown } else { Known::No };
        let source = Classifier::classify(known, &work, self.shown.is_some());
        let shows = match (&source, known) {
            (ResultSource::Duplicate, Known::No) => self.shown,
            _ => Some(fingerprint),
        };
        let whole = picture.size().pixels();
        self.pixels += source.work().pixels(whole).min(whole);
        if matches!(source, ResultSource::New(_)) && classifier.is_kept(&source) {
            self.upscaled.insert(fingerprint);
        }
        classifier.note(picture, &source, &work, shows == self.shown);
        self.shown = shows;
    }
}
