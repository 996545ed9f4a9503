//! Cutting work into pieces of one size, for several workers.

use std::sync::Arc;

use crate::types::Rect;

/// Cuts `parts` into at most `count` pieces of about the same area, each of at least `least` pixels: rows of parts, in their order.
/// Cuts lie on even rows, where chroma begins.
///
/// No parts give no pieces. If the parts begin and end on even rows, or at the frame's edge, so do those of the pieces.
pub fn share(parts: &[Rect], count: usize, least: u64) -> Vec<Arc<[Rect]>> {
    let total: u64 = parts.iter().map(Rect::pixels).sum();
    let count = (total / least.max(1)).clamp(1, count.max(1) as u64);
    if total == 0 {
        return Vec::new();
    }
    let mut pieces: Vec<Vec<Rect>> = vec![Vec::new()];
    let (mut done, mut number) = (0, 1);
    for part in parts {
        let mut rest = *part;
        while rest.height > 0 {
            // What this piece may still take, in rows of this part.
            let due = (total * number / count).saturating_sub(done);
            let rows = due.div_ceil(u64::from(rest.width.max(1))).next_multiple_of(2);
            let taken = if number == count { rest.height } else { rest.height.min(rows as u32) };
            if taken == 0 {
                pieces.push(Vec::new());
                number += 1;
                continue;
            }
            let piece = Rect { height: taken, ..rest };
            done += piece.pixels();
            rest = Rect { y: rest.y + taken, height: rest.height - taken, ..rest };
            if let Some(last) = pieces.last_mut() {
                last.push(piece);
            }
            if number < count && done >= total * number / count {
                pieces.push(Vec::new());
                number += 1;
            }
        }
    }
    pieces.into_iter().filter(|piece| !piece.is_empty()).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn a_frame_is_cut_into_strips() {
        let pieces = share(&[rect(0, 0, 100, 101)], 2, 1);
        assert_eq!(pieces, [[rect(0, 0, 100, 52)].into(), Arc::from([rect(0, 52, 100, 49)])]);
        assert_eq!(share(&[rect(0, 0, 100, 101)], 1, 1).len(), 1);
        assert_eq!(share(&[rect(0, 0, 10, 10)], 4, 50).len(), 2);
        assert!(share(&[], 3, 1).is_empty());
    }

    #[test]
    fn small_parts_stay_whole() {
        let parts = [rect(0, 0, 8, 8), rect(16, 0, 8, 8), rect(0, 32, 8, 8), rect(64, 64, 8, 8)];
        let pieces = share(&parts, 2, 1);
        assert_eq!(pieces, [Arc::from(&parts[..2]), Arc::from(&parts[2..])]);
    }

    proptest! {
        #[test]
        fn pieces_are_all_of_it_and_about_the_same(
            sizes in proptest::collection::vec((1u32..200, 1u32..100), 1..12),
            count in 1usize..9,
        ) {
            // One below the other, on even rows.
            let mut y = 0;
            let parts: Vec<_> = sizes.iter().map(|(width, height)| {
                let part = rect(0, y, *width, 2 * height);
                y += 2 * height;
                part
            }).collect();
            let pieces = share(&parts, count, 1);
            prop_assert!(!pieces.is_empty() && pieces.len() <= count);
            let area = |parts: &[Rect]| parts.iter().map(Rect::pixels).sum::<u64>();
            let (total, widest) = (area(&parts), u64::from(sizes.iter().map(|(width, _)| *width).max().unwrap()));
            prop_assert_eq!(pieces.iter().map(|piece| area(piece)).sum::<u64>(), total);
            for piece in &pieces {
                prop_assert!(area(piece) <= total / count as u64 + 2 * widest + 2, "{pieces:?}");
                prop_assert!(piece.iter().all(|part| part.y.is_multiple_of(2) && part.height.is_multiple_of(2)));
            }
            // In order, each row once.
            let rows: Vec<_> = pieces.iter().flat_map(|piece| piece.iter()).map(|part| (part.y, part.y + part.height)).collect();
            prop_assert!(rows.windows(2).all(|pair| pair[0].1 == pair[1].0), "{rows:?}");
        }
    }
}
