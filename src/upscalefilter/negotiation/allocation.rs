//! Buffer pools: what we propose upstream, what we accept from downstream, and our own.

use gst::prelude::*;

/// Answers upstream's ALLOCATION query.
///
/// The two sides differ in size, so the query is not forwarded downstream. The element holds up to `held` buffers: the
/// frames in flight and the one that waits for room. A decoder with a fixed pool must allocate that many in addition to
/// its own, otherwise it starves. Any stride is accepted, hence video meta.
pub(in crate::upscalefilter) fn propose(query: &mut gst::query::Allocation, held: usize) -> bool {
    let (caps, _) = query.get_owned();
    let Some(info) = caps.and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok()) else {
        return false;
    };
    let size = u32::try_from(info.size()).unwrap_or(u32::MAX);
    query.add_allocation_pool(None::<&gst::BufferPool>, size, u32::try_from(held).unwrap_or(u32::MAX), 0);
    query.add_allocation_meta::<gst_video::VideoMeta>(None);
    true
}

/// An active, unbounded pool of output buffers.
pub(in crate::upscalefilter) fn own_pool(
    caps: &gst::Caps,
    info: &gst_video::VideoInfo,
) -> Result<gst::BufferPool, glib::BoolError> {
    let pool = gst_video::VideoBufferPool::new();
    configure(pool.upcast_ref(), caps, info, 0, 0)?;
    Ok(pool.upcast())
}

fn configure(
    pool: &gst::BufferPool,
    caps: &gst::Caps,
    info: &gst_video::VideoInfo,
    size: u32,
    min: u32,
) -> Result<(), glib::BoolError> {
    let frame =
        u32::try_from(info.size()).map_err(|_| glib::bool_error!("A frame of {} bytes is too large", info.size()))?;
    let mut config = pool.config();
    config.set_params(Some(caps), size.max(frame), min, 0);
    if pool.has_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_str()) {
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_str());
    }
    pool.set_config(config)?;
    pool.set_active(true)
}

/// Asks downstream for a pool of buffers for `caps`, and returns it, active, if it is usable.
///
/// A bounded pool is not: the cache and frames that wait for their turn hold buffers, so it would run dry and stall the
/// pipeline. A pool with a layout of its own needs video meta, which downstream must support.
pub(in crate::upscalefilter) fn downstream_pool(
    srcpad: &gst::Pad,
    caps: &gst::Caps,
    info: &gst_video::VideoInfo,
) -> Option<gst::BufferPool> {
    let mut query = gst::query::Allocation::new(Some(caps), true);
    if !srcpad.peer_query(&mut query) || query.find_allocation_meta::<gst_video::VideoMeta>().is_none() {
        return None;
    }
    let pools: Vec<_> = query.allocation_pools().collect();
    pools.into_iter().find_map(|(pool, size, min, max)| {
        let pool = pool.filter(|_| max == 0)?;
        // A pool that is already active belongs to someone else and must not be reconfigured.
        if pool.is_active() {
            return None;
        }
        configure(&pool, caps, info, size, min).ok()?;
        Some(pool)
    })
}

pub(in crate::upscalefilter) fn set_inactive(pool: &gst::BufferPool) {
    // It fails only if the pool was never active.
    if let Err(error) = pool.set_active(false) {
        gst::debug!(crate::upscalefilter::CAT, obj = pool, "Cannot stop the pool: {error}");
    }
}
