//! Draws debugging marks on a picture.

use super::format::PictureMut;
use crate::types::Rect;

/// Line width in pixels.
const LINE: u32 = 2;

/// Draws an outline just inside `rect` in inverted colours, visible on any background. In subsampled formats, only luma
/// is inverted.
///
/// # Panics
/// If the rectangle is not within the picture.
pub fn outline(picture: &mut PictureMut, rect: Rect) {
    let layout = picture.format().layout();
    let max = (layout.max_code() << layout.shift) as u16;
    let offsets: Vec<usize> = layout.components.iter().filter(|c| c.plane == 0).map(|c| c.offset).collect();
    let (step, deep) = (layout.components[0].step, layout.bytes == 2);
    let mut invert = |y: u32, columns: std::ops::Range<u32>| {
        let row = picture.row_mut(0, y as usize);
        for pixel in row[columns.start as usize * step..columns.end as usize * step].chunks_exact_mut(step) {
            let mut done = usize::MAX;
            for offset in offsets.iter().copied() {
                // For gray, the three components are the same sample.
                if offset != std::mem::replace(&mut done, offset) {
                    let max = max.to_le_bytes();
                    pixel[offset] ^= max[0];
                    if deep {
                        pixel[offset + 1] ^= max[1];
                    }
                }
            }
        }
    };
    let (left, right, bottom) = (rect.x, rect.x + rect.width, rect.y + rect.height);
    for y in rect.y..bottom {
        if y < rect.y + LINE || y + LINE >= bottom || rect.width <= 2 * LINE {
            invert(y, left..right);
        } else {
            invert(y, left..left + LINE);
            invert(y, right - LINE..right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::format::PixelFormat;
    use crate::types::Size;

    #[test]
    fn the_outline_stays_within_the_rectangle() {
        for format in PixelFormat::ALL {
            let size = Size { width: 16, height: 14 };
            let mut planes: Vec<(Vec<u8>, usize)> = (0..format.planes())
                .map(|plane| {
                    let (row_bytes, rows) = format.visible(plane, size);
                    (vec![0; row_bytes * rows], row_bytes)
                })
                .collect();
            {
                let views = planes.iter_mut().map(|(bytes, stride)| (bytes.as_mut_slice(), *stride));
                let mut picture = PictureMut::new(*format, size, views).unwrap();
                outline(&mut picture, Rect { x: 4, y: 2, width: 8, height: 10 });
            }
            let step = format.layout().components[0].step;
            let at =
                |x: usize, y: usize| planes[0].0[y * 16 * step..][x * step..][..step].iter().any(|byte| *byte != 0);
            for (x, y, drawn) in
                [(4, 2, true), (11, 11, true), (5, 6, true), (10, 6, true), (7, 7, false), (3, 6, false)]
            {
                assert_eq!(at(x, y), drawn, "{} {x},{y}", format.name());
            }
            assert!(planes[1..].iter().all(|(bytes, _)| bytes.iter().all(|byte| *byte == 0)));
        }
    }
}
