//! Divides a line of a frame into spans; columns and rows are divided independently and alike.
//!
//! The whole frame's tensor would be the line from 0 to [`Cut::padded`]: the frame, followed by padding up to a size
//! that the network accepts. Every span's tensor is a window of that line. A local network therefore sees the same
//! surroundings of each kept pixel as in the whole frame: the same pixels, the same padding, and the same edges at
//! which it pads internally.

/// One direction of a [`Region`](super::region::Region), in input pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub keep: u32,
    pub keep_length: u32,
    pub read: u32,
    pub read_length: u32,
    /// The tensor's size: the pixels read, plus padding.
    pub tensor: u32,
    /// Over how many pixels from the start of `keep` it is blended with the previous span.
    pub blend_before: u32,
    /// Over how many pixels from the end of `keep` the next span is blended with it.
    pub blend_behind: u32,
}

/// One direction of [`Limits`](super::region::Limits), and the frame's size in that direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// The frame's width or height.
    pub length: u32,
    pub fixed: Option<u32>,
    /// At least 1.
    pub multiple: u32,
    /// At least 1.
    pub align: u32,
    pub min: u32,
    pub halo: u32,
    pub tile: Option<u32>,
    pub overlap: u32,
    pub local: bool,
}

impl Cut {
    /// Spans that cover the line, in order. An empty line gives one empty span.
    pub fn spans(&self) -> Vec<Span> {
        if let Some(fixed) = self.fixed {
            return self.fixed_spans(fixed.max(1));
        }
        let tile = self.tile.map(|tile| tile.max(self.min_tile()));
        match tile {
            Some(tile) if self.padded() > tile => self.tiles(tile),
            _ => vec![self.single(self.padded())],
        }
    }

    /// The smallest tensor of an inner tile: the halo on both sides, the blended part and a step between them.
    pub fn min_tile(&self) -> u32 {
        self.before() + self.min_keep() + self.behind()
    }

    /// The span that keeps `keep_length` pixels from `keep` on.
    pub fn window(&self, keep: u32, keep_length: u32) -> Span {
        let (padded, unit) = (self.padded(), self.unit());
        let end = (keep + keep_length + self.halo()).next_multiple_of(unit).min(padded);
        let read = align_down(keep.saturating_sub(self.halo()), unit);
        // If the tensor is too small for the network, extend its end, and beyond the frame's end its start.
        let end = end.max((read + self.min).next_multiple_of(unit).min(padded));
        let read = read.min(align_down(end.saturating_sub(self.min), unit));
        Span {
            keep,
            keep_length,
            read,
            read_length: end.min(self.length) - read,
            tensor: end - read,
            blend_before: 0,
            blend_behind: 0,
        }
    }

    /// The whole line in a tensor of `tensor` pixels.
    fn single(&self, tensor: u32) -> Span {
        let length = self.length;
        Span { keep: 0, keep_length: length, read: 0, read_length: length, tensor, blend_before: 0, blend_behind: 0 }
    }

    /// The size of the whole line's tensor.
    fn padded(&self) -> u32 {
        self.length.max(self.min).next_multiple_of(self.multiple)
    }

    /// Tensors start, and end within the line, at multiples of this.
    fn unit(&self) -> u32 {
        lcm(self.multiple, self.align)
    }

    /// Kept parts meet at multiples of this: on the grid, and on even pixels, where chroma samples start.
    fn step(&self) -> u32 {
        lcm(2, self.unit())
    }

    /// The halo, limited to the line's length.
    fn halo(&self) -> u32 {
        self.halo.min(self.length)
    }

    fn overlap(&self) -> u32 {
        if self.local { 0 } else { self.overlap.min(self.length) }
    }

    /// Pixels read before the kept part.
    fn before(&self) -> u32 {
        self.halo().next_multiple_of(self.unit())
    }

    /// Pixels read after the kept part: the next span's blended part and its halo.
    fn behind(&self) -> u32 {
        (self.halo() + self.overlap()).next_multiple_of(self.unit())
    }

    /// The minimum number of pixels kept between two neighbours: blended parts must not meet, and the tensor must not
    /// be too small.
    fn min_keep(&self) -> u32 {
        let (unit, step) = (self.unit(), self.step());
        // The last tensor may be smaller by this much, because the line may end off the grid.
        let ragged = unit - self.multiple;
        let min = (self.min.next_multiple_of(unit) + ragged).saturating_sub(self.before() + self.behind());
        step.max(self.overlap().next_multiple_of(step)).max(min.next_multiple_of(step))
    }

    /// Tiles of at most `tile`, which is at least [`Cut::min_tile`] and less than the line.
    ///
    /// All tensors have the same size, the smallest one possible with that number of tiles: inference libraries plan
    /// anew for each new size. The outer spans keep more of their tensors, as they need a halo on one side only. The
    /// last one may be smaller by less than a step of the grid, if the line ends off the grid.
    fn tiles(&self, tile: u32) -> Vec<Span> {
        let (unit, step, padded) = (self.unit(), self.step(), self.padded());
        let (before, behind) = (self.before(), self.behind());
        // With n tiles that keep k pixels each, plus `extra` for the first and `behind` for the last, n * k must be
        // `rest`.
        let extra = align_down(before, step);
        let rest = padded - extra - behind;
        let most = align_down(tile - before - behind, step);
        let keep = rest.div_ceil(rest.div_ceil(most)).next_multiple_of(step).max(self.min_keep());
        let count = rest.div_ceil(keep);
        let tensor = before + keep + behind;
        let last = (padded - tensor).next_multiple_of(unit);
        let border = |index: u32| match index {
            0 => 0,
            index if index == count => self.length,
            index => extra + index * keep,
        };
        let span = |index: u32| {
            let (start, end) = (border(index), border(index + 1));
            let read = if index == 0 { 0 } else { (start - before).min(last) };
            let read_end = (read + tensor).min(padded);
            Span {
                keep: start,
                keep_length: end - start,
                read,
                read_length: read_end.min(self.length) - read,
                tensor: read_end - read,
                blend_before: if index == 0 { 0 } else { self.overlap() },
                blend_behind: if index + 1 == count { 0 } else { self.overlap() },
            }
        };
        (0..count).map(span).collect()
    }

    /// Spans that read `fixed` pixels each, or the whole line if it is shorter.
    fn fixed_spans(&self, fixed: u32) -> Vec<Span> {
        let length = self.length;
        if length <= fixed {
            return vec![self.single(fixed)];
        }
        let step = if fixed >= 2 { 2 } else { 1 };
        // At least one step must remain between the halos.
        let room = fixed - step;
        let overlap =
            if self.local && self.halo <= room / 2 { 0 } else { align_down(self.overlap.min(room / 4), step) };
        let halo = self.halo.min((fixed - overlap - overlap.max(step)) / 2);
        let mut spans: Vec<Span> = Vec::new();
        let mut keep = 0;
        while keep < length {
            // The last span is moved back into the frame: real pixels are better than padding.
            let read = keep.saturating_sub(halo).min(length - fixed);
            let end = read + fixed;
            let is_last = end == length;
            let keep_end = if is_last { length } else { align_down(end - halo - overlap, step) };
            spans.push(Span {
                keep,
                keep_length: keep_end - keep,
                read,
                read_length: fixed,
                tensor: fixed,
                blend_before: if keep == 0 { 0 } else { overlap },
                blend_behind: if is_last { 0 } else { overlap },
            });
            keep = keep_end;
        }
        spans
    }
}

fn align_down(value: u32, step: u32) -> u32 {
    value / step * step
}

/// The least common multiple of two positive integers.
fn lcm(a: u32, b: u32) -> u32 {
    let (mut divisor, mut rest) = (a, b);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    a / divisor * b
}
