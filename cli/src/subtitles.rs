//! Subtitles whose markup has to be written another way for the new container.

use crate::elements;
use crate::failure::Result;
use crate::probes::{on_buffer, on_caps};
use crate::source::{add_running, static_pad};
use crate::streams::{Markup, convert_markup, plain_text};

/// Adds a converter to the pipeline.
pub fn add_converter(pipeline: &gst::Pipeline, markup: Markup) -> Result<gst::Element> {
    let element = elements::make("identity")?;
    let sink = static_pad(&element, "sink")?;
    // On the way in: the element then only ever sees what the muxer takes.
    on_caps(&sink, |caps| *caps = plain_text());
    on_buffer(&sink, move |buffer| convert_buffer(buffer, markup));
    add_running(pipeline, &element)?;
    Ok(element)
}

/// The same buffer with plain text in it; `None` if it holds no text.
fn convert_buffer(buffer: &gst::Buffer, markup: Markup) -> Option<gst::Buffer> {
    let text = {
        let map = buffer.map_readable().ok()?;
        convert_markup(std::str::from_utf8(&map).ok()?.trim_end_matches('\0'), markup)
    };
    let mut converted = gst::Buffer::from_mut_slice(text.into_bytes());
    let flags = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::META;
    buffer.copy_into(converted.get_mut()?, flags, ..).ok()?;
    Some(converted)
}
