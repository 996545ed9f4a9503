//! From IN to decoded frames: a media file through its demuxer, or picture files one by one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gst::prelude::*;
use parking_lot::Mutex;

use crate::elements;
use crate::failure::{Failure, Result, failed};
use crate::frames;
use crate::input::{Input, Pictures, media_type};
use crate::shared::Shared;
#[cfg(doc)]
use crate::shared::VideoFacts;
use crate::streams::{self, Markup, Stream};
use crate::subtitles;
use crate::timing::Timing;

/// Packets of a stream that are read ahead while every stream has some. Where one has none the others may have more.
const READ_AHEAD_PACKETS: u32 = 50;

/// Where decoded frames and the other streams go. Called from streaming threads, before data flows.
pub trait Consumer: Send + Sync + 'static {
    /// Links the decoder's output.
    fn video(&self, pad: &gst::Pad) -> Result<()>;
    /// Where a stream that is not the video goes; `None` leaves it out.
    fn other(&self, stream: &Stream) -> Result<Option<Kept>>;
    /// Whether sound may start with a lead-in that is not to be heard: [`VideoFacts::delay`] is then to be taken back.
    fn takes_lead_in(&self) -> bool;
}

/// The place of a stream that is kept.
pub struct Kept {
    /// The pad it is to be linked to.
    pub pad: gst::Pad,
    /// What is to be done to it before, if it is text.
    pub markup: Option<Markup>,
}

/// Adds everything up to the decoder to `pipeline`.
pub fn add(pipeline: &gst::Pipeline, input: Input, consumer: Arc<dyn Consumer>, shared: &Arc<Shared>) -> Result<()> {
    match input {
        Input::File(path) => add_file(pipeline, &path, consumer, shared),
        Input::Pictures(pictures) => add_pictures(pipeline, pictures, consumer, shared),
    }
}

fn add_file(pipeline: &gst::Pipeline, path: &Path, consumer: Arc<dyn Consumer>, shared: &Arc<Shared>) -> Result<()> {
    let source = elements::make("filesrc")?;
    source.set_property("location", path);
    let timing = Timing::new(path, &source);
    let parser = elements::make("parsebin")?;
    add_linked(pipeline, &[&source, &parser])?;

    let demuxed = Arc::new(Demuxed {
        pipeline: pipeline.downgrade(),
        path: path.to_owned(),
        timing,
        consumer,
        shared: shared.clone(),
        streams: Mutex::new(Some(Vec::new())),
    });
    parser.connect_pad_added(move |parser, pad| {
        if pad.direction() == gst::PadDirection::Src {
            demuxed.clone().take(parser, pad);
        }
    });
    Ok(())
}

/// The streams of a file while they are being found.
struct Demuxed {
    pipeline: glib::WeakRef<gst::Pipeline>,
    path: PathBuf,
    timing: Timing,
    consumer: Arc<dyn Consumer>,
    shared: Arc<Shared>,
    /// Those found so far; `None` once they are linked.
    streams: Mutex<Option<Vec<gst::Pad>>>,
}

impl Demuxed {
    /// Notes a stream, and links all of them as soon as data flows through this one.
    ///
    /// parsebin adds the pads of all streams before it lets data through, but does not say when it has added the last
    /// one. Its caps and tags, which come as events, are known by then.
    fn take(self: Arc<Self>, parser: &gst::Element, pad: &gst::Pad) {
        // A file may change its streams half-way (chained Ogg); what comes after the first set has no place to go.
        let mut streams = self.streams.lock();
        let Some(streams) = streams.as_mut() else { return };
        streams.push(pad.clone());
        let (parser, demuxed) = (parser.downgrade(), self.clone());
        let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(mask, move |_, info| {
            // Events that describe the stream stay with the pad, and are sent on when it is linked.
            if let Some(event) = info.event()
                && event.is_sticky()
                && event.type_() != gst::EventType::Eos
            {
                return gst::PadProbeReturn::Ok;
            }
            if let (Err(failure), Some(parser)) = (demuxed.connect(), parser.upgrade()) {
                demuxed.shared.fail(&parser, failure);
            }
            gst::PadProbeReturn::Remove
        });
    }

    /// Links the streams, if that is not done yet. The lock is held meanwhile: the other streams have to wait for it.
    fn connect(&self) -> Result<()> {
        let mut streams = self.streams.lock();
        match (streams.take(), self.pipeline.upgrade()) {
            (Some(pads), Some(pipeline)) => {
                let streams: Vec<Stream> =
                    pads.into_iter().zip(1..).map(|(pad, number)| Stream::new(pad, number)).collect();
                self.connect_streams(&pipeline, &streams)
            }
            _ => Ok(()),
        }
    }

    /// Links the video to a decoder and the other streams to the consumer, all through one queue.
    fn connect_streams(&self, pipeline: &gst::Pipeline, streams: &[Stream]) -> Result<()> {
        let Some(video) = streams::choose_video(streams) else {
            let what: Vec<String> = streams.iter().map(Stream::describe).collect();
            return failed(format!("{} has no video: only {}", self.path.display(), what.join(", ")));
        };
        let mut kept = Vec::new();
        for stream in streams.iter().filter(|stream| stream.number != video.number) {
            kept.extend(self.consumer.other(stream)?.map(|place| (stream.pad.clone(), place)));
        }
        let pads: Vec<gst::Pad> = kept.iter().map(|(pad, _)| pad.clone()).collect();
        let delay = self.timing.correct(&video.pad, &pads, self.consumer.takes_lead_in());
        self.shared.update_video(|facts| {
            facts.delay = delay;
            facts.duration = self.timing.duration(&video.pad).map(|duration| duration + delay);
            facts.orientation = frames::orientation(&video.pad);
        });

        let queue = add_queue(pipeline)?;
        let decoder = add_decoder(pipeline, self.consumer.clone(), &self.shared)?;
        link_through(&queue, &video.pad, &static_pad(&decoder, "sink")?)?;
        for (pad, place) in kept {
            match place.markup {
                None => link_through(&queue, &pad, &place.pad)?,
                // Before the queue, which asks its other end whether it takes the caps.
                Some(markup) => {
                    let converter = subtitles::add_converter(pipeline, markup)?;
                    link_through(&queue, &static_pad(&converter, "src")?, &place.pad)?;
                    link_unchecked(&pad, &static_pad(&converter, "sink")?)?;
                }
            }
        }
        Ok(())
    }
}

fn add_queue(pipeline: &gst::Pipeline) -> Result<gst::Element> {
    let queue = elements::make("multiqueue")?;
    // A slow upscaler must stop the reader, but never while another stream waits for a packet that is not read yet: the
    // count of packets is the one limit that multiqueue lifts in that case. The others would make it a deadlock.
    queue.set_property("max-size-buffers", READ_AHEAD_PACKETS);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    add_running(pipeline, &queue)?;
    Ok(queue)
}

/// Adds a decoder that hands its output to the consumer.
fn add_decoder(pipeline: &gst::Pipeline, consumer: Arc<dyn Consumer>, shared: &Arc<Shared>) -> Result<gst::Element> {
    let decoder = elements::make("decodebin")?;
    let (shared, linked) = (shared.clone(), AtomicBool::new(false));
    decoder.connect_pad_added(move |decoder, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let video = caps.structure(0).is_some_and(|structure| structure.name() == "video/x-raw");
        if pad.direction() != gst::PadDirection::Src || !video || linked.swap(true, Ordering::SeqCst) {
            return;
        }
        shared.update_video(|facts| facts.pad = Some(pad.clone()));
        if let Err(failure) = consumer.video(pad) {
            shared.fail(decoder, failure);
        }
    });
    add_running(pipeline, &decoder)?;
    Ok(decoder)
}

fn add_pictures(
    pipeline: &gst::Pipeline,
    pictures: Pictures,
    consumer: Arc<dyn Consumer>,
    shared: &Arc<Shared>,
) -> Result<()> {
    let caps = gst::Caps::builder(pictures.media_type).field("framerate", pictures.fps).build();
    let source = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
    // One file at a time: the decoder takes it before the next one is read.
    source.set_max_buffers(1);
    source.set_max_bytes(0);
    let decoder = add_decoder(pipeline, consumer, shared)?;
    add_running(pipeline, source.upcast_ref())?;
    source.link(&decoder).map_err(|_| Failure::Failed("cannot link the picture decoder".into()))?;

    let (shared, next) = (shared.clone(), AtomicUsize::new(0));
    source.set_callbacks(
        gst_app::AppSrcCallbacks::builder()
            .need_data(move |source, _| {
                let index = next.fetch_add(1, Ordering::SeqCst);
                if let Err(failure) = push_picture(source, &pictures, index, &shared) {
                    shared.fail(source, failure);
                }
            })
            .build(),
    );
    Ok(())
}

/// Feeds file `index` to the decoder, or the end after the last one.
fn push_picture(source: &gst_app::AppSrc, pictures: &Pictures, index: usize, shared: &Shared) -> Result<()> {
    let Some((_, path)) = pictures.files.get(index) else {
        // Refused only when the pipeline is on its way down.
        source.end_of_stream().ok();
        return Ok(());
    };
    let bytes =
        std::fs::read(path).map_err(|error| Failure::Failed(format!("cannot read {}: {error}", path.display())))?;
    if media_type(&bytes) != Some(pictures.media_type) {
        let kind = pictures.media_type.trim_start_matches("image/").to_uppercase();
        return failed(format!("{} is no {kind} picture as the first one is", path.display()));
    }
    shared.set_current_file(path.clone());
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    if let Some(buffer) = buffer.get_mut() {
        let pts = pictures.pts(index);
        buffer.set_pts(pts);
        buffer.set_dts(pts);
        buffer.set_duration(pictures.pts(index + 1) - pts);
    }
    // A refusal means a flush or an error further down, which is posted there.
    source.push_buffer(buffer).ok();
    Ok(())
}

/// Links `source` to `sink` through a pair of the queue's pads.
fn link_through(queue: &gst::Element, source: &gst::Pad, sink: &gst::Pad) -> Result<()> {
    let error = || Failure::Failed("cannot link a stream to the queue".into());
    let queue_sink = queue.request_pad_simple("sink_%u").ok_or_else(error)?;
    let number = queue_sink.name().trim_start_matches("sink_").to_owned();
    // Downstream first: data may flow as soon as the upstream side is linked.
    static_pad(queue, &format!("src_{number}"))?.link(sink).map_err(|_| error())?;
    link_unchecked(source, &queue_sink)
}

/// Links pads of which it is known that they fit, though their caps as yet may not look so.
fn link_unchecked(source: &gst::Pad, sink: &gst::Pad) -> Result<()> {
    let linked = source.link_full(sink, gst::PadLinkCheck::HIERARCHY);
    linked.map(|_| ()).map_err(|_| Failure::Failed(format!("cannot link stream {} to {}", source.name(), sink.name())))
}

/// Adds elements in the pipeline's state.
pub fn add_running(pipeline: &gst::Pipeline, element: &gst::Element) -> Result<()> {
    let error = || Failure::Failed(format!("{} cannot be started", element.name()));
    pipeline.add(element).map_err(|_| error())?;
    element.sync_state_with_parent().map_err(|_| error())
}

/// Adds elements and links them one to the next.
pub fn add_linked(pipeline: &gst::Pipeline, elements: &[&gst::Element]) -> Result<()> {
    let names = || elements.iter().map(|element| element.name().to_string()).collect::<Vec<_>>().join(" ! ");
    let error = |_| Failure::Failed(format!("cannot link {}", names()));
    pipeline.add_many(elements.iter().copied()).map_err(error)?;
    gst::Element::link_many(elements.iter().copied()).map_err(error)
}

/// A pad that the element always has.
pub fn static_pad(element: &gst::Element, name: &str) -> Result<gst::Pad> {
    element.static_pad(name).ok_or_else(|| Failure::Failed(format!("{} has no pad {name}", element.name())))
}
