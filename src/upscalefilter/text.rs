//! Quantities and levels in words, for messages.

use crate::schedule::degradation_controller::DegradationLevel;

/// "512 MiB", or "unlimited memory".
pub(in crate::upscalefilter) fn mebibytes(bytes: u64) -> String {
    if bytes == u64::MAX { "unlimited memory".into() } else { format!("{} MiB", bytes >> 20) }
}

/// "2 workers, tiles of 256".
pub(in crate::upscalefilter) fn describe_level(level: DegradationLevel) -> String {
    let tiles = level.tile.map_or("whole frames".into(), |side| format!("tiles of {side}"));
    let place = if level.fallback { " on the CPU" } else { "" };
    let plural = if level.workers == 1 { "" } else { "s" };
    format!("{} worker{plural}, {tiles}{place}", level.workers)
}
