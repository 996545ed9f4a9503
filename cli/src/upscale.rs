//! `gst-upscale IN OUT`

use std::path::Path;
use std::sync::Arc;

use gstupscale::plan::check_writable;
use indicatif::HumanBytes;

use crate::args::{Encoding, Upscale};
use crate::chain::{Chain, Target};
use crate::container::Container;
use crate::failure::{Failure, Result, failed};
use crate::input::Input;
use crate::interrupt;
use crate::matroska;
use crate::mp4;
use crate::output::{Claim, Output};
use crate::pictures::Numbers;
use crate::plan;
use crate::progress::{Console, Counts, Progress};
use crate::run::Run;
use crate::shared::Shared;
use crate::source;
use crate::upscaler;

/// Upscales IN to OUT.
pub fn run(args: &Upscale, encoding: &Encoding, fps: Option<gst::Fraction>) -> Result<()> {
    let input = Input::open(&args.input, fps)?;
    let output = Output::parse(&args.output, &input)?;
    check_plan(args)?;
    let console = Console::new(args.quiet);
    let claim = Arc::new(output.claim(&input, args.overwrite)?);
    interrupt::check()?;
    let names = args.plan.as_ref().map(|_| plan::Names::of(&input, &output));
    let mut progress = Progress::new(&console);
    let outcome = upscale(args, input, (&output, encoding), &claim, &console, &mut progress);
    progress.finish();
    let (frames, counts) = outcome?;
    if let (Some(path), Some(names)) = (&args.plan, &names) {
        plan::rename(path, names)?;
    }
    let claim = Arc::into_inner(claim).ok_or_else(|| Failure::Failed("the pipeline did not let go of OUT".into()))?;
    let (size, remark) = claim.finish()?;
    if let Some(remark) = remark {
        console.note(&remark);
    }
    let seconds = progress.elapsed().as_secs_f64();
    console.note(&format!(
        "{}: {frames} frames in {seconds:.1} s ({:.1} fps), {counts}, {}",
        output.path().display(),
        frames as f64 / seconds.max(1e-3),
        HumanBytes(size),
    ));
    Ok(())
}

/// Builds and runs the pipeline; afterwards it is gone. Returns the number of frames written, and what was found in them.
fn upscale(
    args: &Upscale,
    input: Input,
    (output, encoding): (&Output, &Encoding),
    claim: &Arc<Claim>,
    console: &Console,
    progress: &mut Progress,
) -> Result<(u64, Counts)> {
    if let Input::Pictures(pictures) = &input
        && let Some(gap) = pictures.first_gap()
    {
        console.note(&format!("no picture has number {gap}: the next one follows without a gap"));
    }
    let (numbers, total) = match &input {
        Input::File(_) => (Numbers::Counted, None),
        Input::Pictures(pictures) => (Numbers::of(&input), Some(pictures.files.len() as u64)),
    };
    let pipeline = gst::Pipeline::new();
    let shared = Arc::new(Shared::default());
    let element = upscaler::make(args)?;
    let target = Target::new(output, encoding)?;
    let chain = Chain::add(&pipeline, &element, target, (claim, numbers), args, (&shared, console))?;
    source::add(&pipeline, input, Arc::new(chain), &shared)?;
    let run = Run { pipeline: &pipeline, shared: &shared, input: &args.input, output: output.path(), total, console };
    run.to_the_end(progress, || upscaler::counts(&element))?;
    if let Output::Video { container, .. } = output {
        complete(*container, claim.part(), &shared)
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", output.path().display())))?;
    }
    Ok((shared.frames(), upscaler::counts(&element)))
}

/// Writes what the muxer left out.
fn complete(container: Container, path: &Path, shared: &Shared) -> std::io::Result<()> {
    let video = shared.video();
    if container.has_edit_lists() {
        return mp4::result::complete(path, video.orientation.as_deref(), video.delay, shared.end());
    }
    video.mastering_display.map_or(Ok(()), |display| matroska::complete(path, &display))
}

/// The plan is worth as much as the video: that it cannot be written is said before the work, not after.
fn check_plan(args: &Upscale) -> Result<()> {
    let Some(path) = &args.plan else { return Ok(()) };
    let same = |other: &Path| crate::output::same_file(path, other) || path == other;
    if same(&args.input) || same(&args.output) {
        return crate::failure::usage("--plan names the same file as IN or OUT");
    }
    check_writable(path).or_else(|error| failed(format!("the plan cannot be written to {}: {error}", path.display())))
}
