//! What GStreamer's Matroska muxer gets wrong: the luminance of a mastering display, five times too low.

use std::fs::OpenOptions;
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

/// The tracks are described before any frame: within this many bytes.
const HEADER: u64 = 1 << 16;
/// `LuminanceMax` and `LuminanceMin`, each followed by its length, 8 bytes.
const LUMINANCE: [[u8; 3]; 2] = [[0x55, 0xD9, 0x88], [0x55, 0xDA, 0x88]];
/// GStreamer counts luminance in 1/10000 cd/m2, Matroska in cd/m2.
const UNIT: f64 = 10_000.0;

/// Corrects the file at `path`, whose video has `display` (GStreamer's `mastering-display-info`).
pub fn complete(path: &Path, display: &str) -> Result<()> {
    let values: Vec<f64> = display.split(':').filter_map(|value| value.parse().ok()).collect();
    let [.., max, min] = values[..] else { return Ok(()) };
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut header = Vec::new();
    (&mut file).take(HEADER).read_to_end(&mut header)?;
    if correct(&mut header, [max / UNIT, min / UNIT]) {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header)?;
    }
    Ok(())
}

/// Replaces the first maximum and minimum in a header. Says whether they were there.
fn correct(header: &mut [u8], luminance: [f64; 2]) -> bool {
    let places = LUMINANCE.map(|id| header.windows(11).position(|window| window.starts_with(&id)));
    for (place, value) in places.into_iter().zip(luminance) {
        let Some(place) = place else { return false };
        header[place + 3..place + 11].copy_from_slice(&value.to_be_bytes());
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luminance_is_replaced_where_it_is() {
        let mut header = vec![1, 2, 0x55, 0xD9, 0x88];
        header.extend(200f64.to_be_bytes());
        assert!(!correct(&mut header.clone(), [1000.0, 0.005]), "there is no minimum");
        header.extend([0x55, 0xDA, 0x88]);
        header.extend(0.001f64.to_be_bytes());
        assert!(correct(&mut header, [1000.0, 0.005]));
        assert_eq!(header[5..13], 1000f64.to_be_bytes());
        assert_eq!(header[16..24], 0.005f64.to_be_bytes());
    }
}
