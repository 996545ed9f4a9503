//! What reuse would find in a video, without a network that runs.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use bytes::Bytes;
use gst_video::prelude::*;
use gstupscale::model::graph::{self, Analysis};
use gstupscale::model::{Source, builtin};
use gstupscale::picture::format::PixelFormat;
use gstupscale::picture::view::PictureRef;
use gstupscale::plan::{Prediction, Recorder, Reuse};
use gstupscale::reuse::{
    Classifier, DEFAULT_MAX_AGE, DEFAULT_TOLERANCE, Fingerprint, Fingerprinter, Known, Mode, ResultSource,
};
use gstupscale::types::Size;
use parking_lot::Mutex;

use crate::av::{self, Frame};
use crate::failure::{Failure, Result, failed};
use crate::progress::Counts;
use crate::upscaler;

/// The element's defaults.
const SIMILAR: Mode = Mode::Similar { tolerance: DEFAULT_TOLERANCE, max_age: DEFAULT_MAX_AGE };

/// Looks for frames, and parts of frames, that were seen before.
pub struct Finder {
    fingerprinter: Fingerprinter,
    network: Analysis,
    found: Mutex<Found>,
}

struct Found {
    recorder: Recorder,
    /// The first frame with each fingerprint.
    seen: HashMap<Fingerprint, u64>,
    /// Of the frames that came last.
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
        let bytes = match Source::parse(model.unwrap_or(Path::new(builtin::DEFAULT))) {
            Source::Builtin(builtin) => Bytes::from_static(builtin.onnx),
            Source::File(path) => std::fs::read(&path)
                .map_err(|error| Failure::Failed(format!("{} cannot be read: {error}", path.display())))?
                .into(),
        };
        let network =
            graph::analyse(bytes, None).or_else(|error| failed(format!("the model cannot be analysed: {error}")))?;
        let found = Found {
            recorder: Recorder::new(parallel_jobs),
            seen: HashMap::new(),
            kind: None,
            exact: Share::default(),
            similar: Share::default(),
            pixels: 0,
        };
        Ok(Finder { fingerprinter: Fingerprinter::random(), network, found: Mutex::new(found) })
    }

    /// What was found so far; as reused counts what `exact` would reuse.
    pub fn counts(&self) -> Counts {
        let found = self.found.lock();
        let unique = found.seen.len() as u64;
        let duplicates = found.recorder.frames() - unique;
        Counts { unique, duplicates, reused: found.predicted().exact, saved: None }
    }

    /// The plan, and what each mode would reuse.
    pub fn recorder(&self) -> (Recorder, Prediction) {
        let found = self.found.lock();
        let (mut recorder, predicted) = (found.recorder.clone(), found.predicted());
        recorder.set_reuse(Reuse {
            reused_percentage: predicted.exact,
            saved_seconds: None,
            predicted: Some(predicted),
        });
        (recorder, predicted)
    }

    /// Takes the next frame.
    pub fn take(&self, frame: &Frame) -> Result<()> {
        let error = |what: &str| Failure::Failed(format!("a frame cannot be read: {what}"));
        let info = upscaler::video_info(frame)?;
        let buffer = upscaler::to_buffer(frame, &info)?;
        let nanoseconds = ffi::AVRational { num: 1, den: 1_000_000_000 };
        let pts = u64::try_from(av::rescale(frame.pts, frame.time_base, nanoseconds)).ok();
        let frame =
            gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).map_err(|_| error("no memory"))?;
        let format = PixelFormat::from_name(info.format().to_str()).ok_or_else(|| error(info.format().to_str()))?;
        let strides = frame.plane_stride().iter().map(|stride| usize::try_from(*stride).unwrap_or(0));
        let planes: Vec<_> = frame.planes_data().into_iter().zip(strides).take(format.planes()).collect();
        let size = Size { width: info.width(), height: info.height() };
        let picture = PictureRef::new(format, size, &planes).map_err(|reason| error(&reason.to_string()))?;
        let fingerprint = self.fingerprinter.fingerprint(&picture);

        let mut found = self.found.lock();
        let index = found.recorder.frames();
        let unique = *found.seen.entry(fingerprint).or_insert(index);
        found.recorder.record(pts, unique);
        if found.kind != Some((format, size)) {
            found.kind = Some((format, size));
            found.exact.begin(Classifier::of_graph(&self.network, format, size, Mode::Exact));
            found.similar.begin(Classifier::of_graph(&self.network, format, size, SIMILAR));
        }
        found.pixels += size.pixels();
        found.exact.take(&picture, fingerprint);
        found.similar.take(&picture, fingerprint);
        Ok(())
    }
}

impl Found {
    fn predicted(&self) -> Prediction {
        let percent = |share: &Share| 100.0 * (1.0 - share.pixels as f64 / self.pixels.max(1) as f64);
        if self.pixels == 0 {
            return Prediction::default();
        }
        Prediction { off: 0.0, exact: percent(&self.exact), similar: percent(&self.similar) }
    }
}

impl Share {
    /// Frames of another kind come from now on.
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
