//! Copies the unchanged part of the output from the previous output.

use std::ops::Range;

use super::convert::Converter;
use super::format::{Kind, PictureMut, PictureRef};
use crate::types::Channels;
use crate::types::Rect;

/// The radius of Lanczos-3 when it enlarges, plus one pixel for the siting of the resized plane.
const LANCZOS_RADIUS: u32 = 4;
/// How many pixels beyond its own a subsampled chroma sample affects when it is interpolated.
const CHROMA_RADIUS: u32 = 2;

impl Converter {
    /// How many input pixels around a changed pixel may change in the result, for a network with a receptive field
    /// radius of `radius`. Planes that [`Converter::resize_passthrough_planes`] makes as a whole are not considered.
    pub fn dilation(&self, radius: u32) -> u32 {
        let chroma = if self.halo() > 0 { CHROMA_RADIUS + self.halo() } else { 0 };
        let beside = self.channels == Channels::Luma && self.layout.kind == Kind::Rgb || self.layout.alpha.is_some();
        (radius + chroma).max(if beside { LANCZOS_RADIUS } else { 0 })
    }

    /// Whether a change of chroma alone does not need the network: it reads luma only, and
    /// [`Converter::resize_passthrough_planes`] makes the chroma.
    pub fn chroma_is_apart(&self) -> bool {
        self.channels == Channels::Luma && self.layout.kind == Kind::Yuv
    }

    /// Copies everything outside `parts` from the previous output `before` to `dst`. `parts` are the input pixels of
    /// the regions already [written](Converter::from_tensor) to `dst`; call [`Converter::resize_passthrough_planes`]
    /// first.
    pub fn copy_unchanged(&self, before: &PictureRef, parts: &[Rect], dst: &mut PictureMut) {
        self.check_result(dst);
        let planes = if self.chroma_is_apart() { 1 } else { self.layout.planes };
        for plane in 0..planes {
            let (columns, rows) = self.layout.plane_size(plane, self.output);
            let halved = |sub: bool| usize::from(sub && plane > 0 && self.layout.kind == Kind::Yuv) + 1;
            let sub = (halved(self.layout.h_sub), halved(self.layout.v_sub));
            // A chroma sample belongs to its first pixel.
            let span = |begin: u32, length: u32, sub: usize| {
                let at = |pixel: u32| (pixel as usize * self.scale as usize).div_ceil(sub);
                at(begin)..at(begin + length)
            };
            let parts: Vec<_> =
                parts.iter().map(|part| (span(part.x, part.width, sub.0), span(part.y, part.height, sub.1))).collect();
            let step = self.layout.plane_step(plane).expect("the plane is one of the format's");
            for (band, gaps) in bands(&parts, columns, rows) {
                for y in band {
                    let (from, to) = (before.row(plane, y), dst.row_mut(plane, y));
                    for gap in &gaps {
                        let bytes = gap.start * step..gap.end * step;
                        to[bytes.clone()].copy_from_slice(&from[bytes]);
                    }
                }
            }
        }
    }
}

/// Bands of rows that intersect the same parts, each with the columns outside all of them.
fn bands(
    parts: &[(Range<usize>, Range<usize>)],
    columns: usize,
    rows: usize,
) -> Vec<(Range<usize>, Vec<Range<usize>>)> {
    let mut edges: Vec<usize> = parts.iter().flat_map(|(_, y)| [y.start, y.end]).chain([0, rows]).collect();
    edges.retain(|edge| *edge <= rows);
    edges.sort_unstable();
    edges.dedup();
    let band = |edges: &[usize]| {
        let mut covered: Vec<_> = parts.iter().filter(|(_, y)| y.start <= edges[0] && edges[1] <= y.end).collect();
        covered.sort_unstable_by_key(|(x, _)| x.start);
        let mut gaps = Vec::new();
        let mut at = 0;
        for (x, _) in covered {
            if x.start > at {
                gaps.push(at..x.start);
            }
            at = at.max(x.end);
        }
        if at < columns {
            gaps.push(at..columns);
        }
        (edges[0]..edges[1], gaps)
    };
    edges.windows(2).map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_no_part_covers() {
        assert_eq!(bands(&[], 5, 3), [(0..3, Vec::from([0..5; 1]))]);
        let parts = [(1..3, 1..2), (2..4, 0..2), (0..5, 2..3)];
        assert_eq!(
            bands(&parts, 5, 4),
            [(0..1, vec![0..2, 4..5]), (1..2, vec![0..1, 4..5]), (2..3, vec![]), (3..4, Vec::from([0..5; 1]))]
        );
    }
}
