//! What a buffer carries besides its pixels: timestamps, flags and metas.

use std::ops::ControlFlow;

use crate::upscalefilter::negotiation::config::StreamConfig;

/// Maps positions in the input to positions in the output.
struct Placement<'a> {
    /// The scaling from the input to the picture in the output. It points into `config`.
    scale: gst_video::video_meta::VideoMetaTransformScale,
    config: &'a StreamConfig,
}

impl<'a> Placement<'a> {
    fn new(config: &'a StreamConfig) -> Self {
        let scale = gst_video::video_meta::VideoMetaTransformScale::new(&config.in_info, config.shown_picture_info());
        Placement { scale, config }
    }

    /// Whether scaling alone is not enough, because of bars.
    fn moves(&self) -> bool {
        let picture = self.config.shown_picture();
        (picture.x, picture.y) != (0, 0)
    }
}

/// The output buffer for `input` without its memory: timestamps and flags are copied, metas scaled.
pub(in crate::upscalefilter) fn header(input: &gst::BufferRef, config: &StreamConfig) -> gst::Buffer {
    let mut header = gst::Buffer::new();
    let out = header.get_mut().expect("nobody else has it yet");
    let kept = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    input.copy_into(out, kept, ..).expect("without memory there is nothing that could fail");
    // This flag describes the memory, which is not copied.
    out.unset_flags(gst::BufferFlags::TAG_MEMORY);
    let placement = Placement::new(config);
    let copy = gst::meta::MetaTransformCopy::new(..);
    input.foreach_meta(|meta| {
        copy_meta(&meta, out, &placement, &copy);
        ControlFlow::Continue(())
    });
    let picture = config.shown_picture();
    for mut region in out.iter_meta_mut::<gst_video::VideoRegionOfInterestMeta>() {
        let (x, y, width, height) = region.rect();
        region.set_rect((picture.x.saturating_add(x), picture.y.saturating_add(y), width, height));
    }
    header
}

/// Copies one meta, scaled if its values are in pixels. Drops metas that describe the memory layout, and those that
/// cannot be scaled or copied: a wrong meta is worse than none.
fn copy_meta(
    meta: &gst::MetaRef<'_, gst::Meta>,
    out: &mut gst::BufferRef,
    placement: &Placement,
    copy: &gst::meta::MetaTransformCopy,
) {
    if meta.has_tag::<gst::meta::tags::Memory>() || meta.has_tag::<gst::meta::tags::MemoryReference>() {
        return;
    }
    if let Some(overlay) = meta.downcast_ref::<gst_video::VideoOverlayCompositionMeta>() {
        if let Some(composition) = place_overlay(overlay.overlay(), placement) {
            gst_video::VideoOverlayCompositionMeta::add(out, &composition);
        }
        return;
    }
    let in_pixels = meta.has_tag::<gst_video::video_meta::tags::Size>();
    if in_pixels && placement.moves() && meta.downcast_ref::<gst_video::VideoRegionOfInterestMeta>().is_none() {
        gst::trace!(crate::upscalefilter::CAT, "Meta {} stays behind: it can be scaled, not moved", meta.api().name());
        return;
    }
    let done = if in_pixels { meta.transform(out, &placement.scale) } else { meta.transform(out, copy) };
    if done.is_err() {
        gst::trace!(crate::upscalefilter::CAT, "Meta {} stays behind", meta.api().name());
    }
}

/// Places overlays such as subtitles in the larger picture. This meta has no tag that says that its values are in
/// pixels.
fn place_overlay(
    overlay: &gst_video::VideoOverlayCompositionRef,
    placement: &Placement,
) -> Option<gst_video::VideoOverlayComposition> {
    let (from, to) = (&placement.config.in_info, placement.config.shown_picture());
    let scaled = |at: i64, from: u32, to: u32| at * i64::from(to) / i64::from(from.max(1));
    let rectangles = overlay.iter().map(|rectangle| {
        let mut scaled_rectangle = rectangle.copy();
        let (x, y, width, height) = scaled_rectangle.render_rectangle();
        let across = |at: i64| scaled(at, from.width(), to.width);
        let down = |at: i64| scaled(at, from.height(), to.height);
        scaled_rectangle.make_mut().set_render_rectangle(
            to.x as i32 + across(x.into()) as i32,
            to.y as i32 + down(y.into()) as i32,
            across(width.into()) as u32,
            down(height.into()) as u32,
        );
        scaled_rectangle
    });
    gst_video::VideoOverlayComposition::new(rectangles.collect::<Vec<_>>().iter()).ok()
}

/// Adds the pixels of `result` to `header`. The memory is shared, not copied, and therefore read-only for the receiver.
pub(in crate::upscalefilter) fn share(mut header: gst::Buffer, result: &gst::Buffer) -> gst::Buffer {
    let out = header.make_mut();
    let copied = gst::BufferCopyFlags::MEMORY | gst::BufferCopyFlags::META;
    result.copy_into(out, copied, ..).expect("a whole buffer can be shared");
    // As usual for shared memory: the pool does not get `result` back while this frame lives.
    gst::ParentBufferMeta::add(out, result);
    header
}

/// Adds timestamps, flags and metas of `header` to `result`, which is not shared.
pub(in crate::upscalefilter) fn attach_metadata(header: &gst::BufferRef, mut result: gst::Buffer) -> gst::Buffer {
    let copied = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::META;
    header.copy_into(result.make_mut(), copied, ..).expect("without memory there is nothing that could fail");
    result
}
