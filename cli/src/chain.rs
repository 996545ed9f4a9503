//! From decoded frames to encoded ones, and into the file.

use std::sync::Arc;

use gst::prelude::*;

use crate::args::{Encoding, Upscale};
use crate::container::{Container, MP4_TIMESCALE};
use crate::elements;
use crate::encoder::Encoder;
use crate::failure::{Failure, Result, failed};
use crate::frames;
use crate::output::{Claim, Output, PictureFormat};
use crate::pictures::{self, Numbers};
use crate::progress::Console;
use crate::shared::Shared;
use crate::source::{Consumer, Kept, add_linked, add_running, static_pad};
use crate::streams::{self, Fit, Kind, Stream};
use crate::timing;

/// Everything after the decoder.
pub struct Chain {
    pipeline: glib::WeakRef<gst::Pipeline>,
    shared: Arc<Shared>,
    console: Console,
    input: std::path::PathBuf,
    deinterlace: bool,
    /// The first element of the part that is there from the start.
    head: gst::Element,
    /// Between the upscaler and the encoder; its caps are chosen when the format is known.
    filter: gst::Element,
    target: Target,
}

/// What the frames are encoded for.
pub enum Target {
    Video { muxer: gst::Element, container: Container, encoder: Encoder },
    Pictures { format: PictureFormat, quality: u8, encoder: gst::Element },
}

impl Target {
    /// Makes encoder and muxer: a wrong option is found here.
    pub fn new(output: &Output, encoding: &Encoding) -> Result<Self> {
        match output {
            Output::Video { container, .. } => {
                let muxer = container.muxer()?;
                let encoder = Encoder::new(encoding, *container, &muxer)?;
                Ok(Target::Video { muxer, container: *container, encoder })
            }
            Output::Pictures { format, .. } | Output::Picture { format, .. } => Ok(Target::Pictures {
                format: *format,
                quality: pictures::quality(encoding),
                encoder: pictures::encoder(*format, encoding)?,
            }),
        }
    }

    fn encoder(&self) -> &gst::Element {
        match self {
            Target::Video { encoder, .. } => &encoder.element,
            Target::Pictures { encoder, .. } => encoder,
        }
    }
}

impl Chain {
    /// Adds the chain to `pipeline`, ready to be linked to a decoder.
    pub fn add(
        pipeline: &gst::Pipeline,
        upscaler: &gst::Element,
        target: Target,
        (claim, numbers): (&Arc<Claim>, Numbers),
        args: &Upscale,
        (shared, console): (&Arc<Shared>, &Console),
    ) -> Result<Self> {
        let head = elements::make("videoconvert")?;
        let convert = elements::make("videoconvert")?;
        let filter = elements::make("capsfilter")?;
        add_linked(pipeline, &[&head, upscaler, &convert, &filter, target.encoder()])?;
        match &target {
            Target::Video { muxer, container, encoder } => add_muxer(pipeline, encoder, muxer, *container, claim)?,
            Target::Pictures { encoder, .. } => {
                let sink = pictures::sink(claim, numbers, shared);
                add_after(pipeline, encoder, sink.upcast_ref())?;
            }
        }
        timing::fill_durations(&static_pad(&head, "sink")?);
        shared.count_frames(&static_pad(upscaler, "src")?);
        Ok(Chain {
            pipeline: pipeline.downgrade(),
            shared: shared.clone(),
            console: console.clone(),
            input: args.input.clone(),
            deinterlace: args.deinterlace,
            head,
            filter,
            target,
        })
    }

    /// Elements in front of the head, for what is special about this video.
    fn front(&self, orientation: Option<&str>) -> Result<Vec<gst::Element>> {
        let mut front = Vec::new();
        if self.deinterlace {
            let deinterlace = elements::make("deinterlace")?;
            // One frame for two fields keeps the frame times; yadif, the better method, gets them wrong.
            deinterlace.set_property_from_str("fields", "top");
            deinterlace.set_property_from_str("method", "greedyh");
            front.extend([elements::make("videoconvert")?, deinterlace]);
        }
        let keeps_rotation = matches!(&self.target, Target::Video { container, .. } if container.keeps_rotation());
        if !keeps_rotation && orientation.is_some() {
            let flip = elements::make("videoflip")?;
            flip.set_property_from_str("video-direction", "auto");
            front.extend([elements::make("videoconvert")?, flip]);
            self.console.note("the picture is turned upright: this kind of file cannot say that it is to be turned");
        }
        Ok(front)
    }

    /// Chooses the format that is encoded, and tells the encoder what it cannot find out itself.
    fn configure(&self, caps: &gst::Caps) -> Result<()> {
        let Some(structure) = caps.structure(0) else { return Ok(()) };
        let format = structure.get::<&str>("format").unwrap_or("");
        let wanted = match &self.target {
            Target::Video { encoder, .. } if encoder.lossless => None,
            Target::Video { .. } => frames::video_caps(format),
            Target::Pictures { format: picture, quality, .. } => Some(frames::picture_caps(format, *picture, *quality)),
        };
        if let Some(caps) = wanted {
            self.filter.set_property("caps", caps);
        }
        if let Some(options) = frames::x264_hdr_options(structure)
            && self.target.encoder().factory().is_some_and(|factory| factory.name() == "x264enc")
        {
            let encoder = self.target.encoder();
            let before = encoder.property::<Option<String>>("option-string").unwrap_or_default();
            let separator = if before.is_empty() { "" } else { ":" };
            let error = || Failure::Failed("the encoder cannot be started".into());
            // It takes options only before it starts. Nothing flows yet.
            encoder.set_state(gst::State::Ready).map_err(|_| error())?;
            encoder.set_property("option-string", format!("{before}{separator}{options}"));
            encoder.sync_state_with_parent().map_err(|_| error())?;
        }
        Ok(())
    }

    /// Links a stream that is kept as it is to the muxer.
    fn keep(&self, stream: &Stream, muxer: &gst::Element, fit: &Fit) -> Result<Kept> {
        let pipeline = self.pipeline.upgrade().ok_or(Failure::Interrupted)?;
        let error = || Failure::Failed(format!("the muxer has no place for {}", stream.describe()));
        let (caps, parser) = match fit {
            Fit::Direct => (stream.caps.clone(), None),
            Fit::Parser(parser) => {
                let parser = elements::make(parser)?;
                (static_pad(&parser, "src")?.pad_template_caps(), Some(parser))
            }
            Fit::Text(_) => (streams::plain_text(), None),
        };
        let template = Container::template_for(muxer, &caps).ok_or_else(error)?;
        let pad = muxer.request_pad(&template, None, None).ok_or_else(error)?;
        if stream.kind == Kind::Audio && self.takes_lead_in() {
            timing::fill_durations(&pad);
        }
        let markup = if let Fit::Text(markup) = fit { Some(*markup) } else { None };
        let Some(parser) = parser else { return Ok(Kept { pad, markup }) };
        add_running(&pipeline, &parser)?;
        static_pad(&parser, "src")?.link(&pad).map_err(|_| error())?;
        Ok(Kept { pad: static_pad(&parser, "sink")?, markup })
    }
}

impl Consumer for Chain {
    fn video(&self, pad: &gst::Pad) -> Result<()> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if frames::is_interlaced(&caps) && !self.deinterlace {
            return failed(format!("{} is interlaced: add --deinterlace", self.input.display()));
        }
        let orientation = self.shared.video().orientation.or_else(|| frames::orientation(pad));
        let structure = caps.structure(0);
        let display = structure.and_then(|structure| structure.get::<String>("mastering-display-info").ok());
        self.shared.update_video(|facts| {
            facts.orientation = orientation.clone();
            facts.mastering_display = display;
        });
        self.configure(&caps)?;
        let pipeline = self.pipeline.upgrade().ok_or(Failure::Interrupted)?;
        let error = || Failure::Failed(format!("frames of this kind cannot be upscaled: {caps}"));
        let mut next = static_pad(&self.head, "sink")?;
        for element in self.front(orientation.as_deref())?.into_iter().rev() {
            add_running(&pipeline, &element)?;
            static_pad(&element, "src")?.link(&next).map_err(|_| error())?;
            next = static_pad(&element, "sink")?;
        }
        pad.link(&next).map_err(|_| error())?;
        Ok(())
    }

    fn other(&self, stream: &Stream) -> Result<Option<Kept>> {
        let what = stream.describe();
        let reason = match (&self.target, stream.kind) {
            (Target::Pictures { .. }, _) => "pictures hold nothing else".to_owned(),
            (_, Kind::Video) => "only one video is upscaled".to_owned(),
            (Target::Video { muxer, container, .. }, _) => match streams::fit(&stream.caps, muxer) {
                Some(fit) => return self.keep(stream, muxer, &fit).map(Some),
                None => {
                    let others = Container::that_take(|muxer| streams::fit(&stream.caps, muxer).is_some());
                    let advice = match others.is_empty() {
                        true => "no kind of file that is written here can".to_owned(),
                        false => format!("{} can", others.join(" or ")),
                    };
                    format!("{} cannot hold it, {advice}", container.extension())
                }
            },
        };
        self.console.note(&format!("{what} is left out: {reason}"));
        Ok(None)
    }

    fn takes_lead_in(&self) -> bool {
        matches!(&self.target, Target::Video { container, .. } if container.has_edit_lists())
    }
}

/// Adds the muxer and the file behind it.
fn add_muxer(
    pipeline: &gst::Pipeline,
    encoder: &Encoder,
    muxer: &gst::Element,
    container: Container,
    claim: &Claim,
) -> Result<()> {
    let sink = elements::make("filesink")?;
    sink.set_property("location", claim.part());
    add_linked(pipeline, &[muxer, &sink])?;
    let last = match &encoder.parser {
        Some(parser) => {
            add_after(pipeline, &encoder.element, parser)?;
            parser
        }
        None => &encoder.element,
    };
    let last = static_pad(last, "src")?;
    let error = || Failure::Failed("cannot link the encoder to the muxer".into());
    let template = Container::template_for(muxer, &last.pad_template_caps()).ok_or_else(error)?;
    let pad = muxer.request_pad(&template, None, None).ok_or_else(error)?;
    if container.keeps_rotation() {
        pad.set_property("trak-timescale", MP4_TIMESCALE);
    }
    last.link(&pad).map_err(|_| error())?;
    Ok(())
}

fn add_after(pipeline: &gst::Pipeline, from: &gst::Element, to: &gst::Element) -> Result<()> {
    let error = |_| Failure::Failed(format!("cannot link {} ! {}", from.name(), to.name()));
    pipeline.add(to).map_err(error)?;
    from.link(to).map_err(error)
}
