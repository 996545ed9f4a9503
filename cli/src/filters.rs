//! The filters between the decoder and the element.

use crate::args::{Deinterlace, Selection};
use crate::av::{Frame, Graph, PictureInput, PixelFormat};
use crate::colour::{self, Colour};
use crate::failure::{Context, Result, failed};
use crate::reader::Timing;
use crate::upscaler;

/// A rotation or flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    filters: &'static str,
    pub swaps_sides: bool,
}

/// The rotation in a display matrix; `None` if there is none.
///
/// The matrix has nine native-endian 32-bit numbers; the upper left 2x2 are 16.16 fixed point.
pub fn turn(matrix: &[u8]) -> Option<Turn> {
    let number = |index: usize| {
        let bytes = matrix.get(index * 4..index * 4 + 4)?;
        Some(i64::from(i32::from_ne_bytes(bytes.try_into().ok()?)).signum())
    };
    let (filters, swaps_sides) = match [number(0)?, number(1)?, number(3)?, number(4)?] {
        [0, 1, -1, 0] => ("transpose=clock", true),
        [0, -1, 1, 0] => ("transpose=cclock", true),
        [-1, 0, 0, -1] => ("hflip,vflip", false),
        [-1, 0, 0, 1] => ("hflip", false),
        [1, 0, 0, -1] => ("vflip", false),
        [0, 1, 1, 0] => ("transpose=cclock_flip", true),
        [0, -1, -1, 0] => ("transpose=clock_flip", true),
        _ => return None,
    };
    Some(Turn { filters, swaps_sides })
}

/// Turns decoded frames into frames that the element takes.
pub struct InputFilters {
    deinterlace: Option<Deinterlace>,
    inverse_telecine: bool,
    fit: bool,
    turn: Option<Turn>,
    name: String,
    timing: Timing,
    /// The first frame's size.
    size: Option<(i32, i32)>,
    /// The kind of frames that the graph was made for.
    kind: Option<Kind>,
    graph: Option<Graph>,
}

type Kind = (i32, i32, PixelFormat, Colour);

fn kind(frame: &Frame) -> Kind {
    (frame.width, frame.height, frame.pixel_format(), Colour::of(frame))
}

impl InputFilters {
    pub fn new(selection: &Selection, timing: Timing, turn: Option<Turn>, name: String) -> Self {
        InputFilters {
            deinterlace: selection.deinterlace.filter(|how| *how != Deinterlace::Off),
            inverse_telecine: selection.inverse_telecine,
            fit: selection.fit,
            turn,
            name,
            timing,
            size: None,
            kind: None,
            graph: None,
        }
    }

    /// The timing after these filters.
    pub fn timing(&self) -> Timing {
        let mut timing = self.timing;
        let (times, of) = match self.deinterlace {
            _ if self.inverse_telecine => (4, 5),
            Some(Deinterlace::Double) => (2, 1),
            _ => return timing,
        };
        timing.total = timing.total.map(|total| total * times / of);
        timing.rate.num *= times as i32;
        timing.rate.den *= of as i32;
        // A field needs a finer tick than a frame.
        timing.base.den = timing.base.den.saturating_mul(2);
        timing
    }

    /// The size that a frame has after these filters.
    pub fn size_of(&self, frame: &Frame) -> (i32, i32) {
        let turned = self.turn.is_some_and(|turn| turn.swaps_sides);
        if turned { (frame.height, frame.width) } else { (frame.width, frame.height) }
    }

    /// Takes the next frame (`None` at the end) and returns those that are ready.
    pub fn filter(&mut self, frame: Option<Frame>) -> Result<Vec<Frame>> {
        let Some(frame) = frame else { return self.run(None) };
        let size = (frame.width, frame.height);
        let first = *self.size.get_or_insert(size);
        if size != first && !self.fit {
            return failed(format!(
                "{}: the frame size changes from {}x{} to {}x{}: add --fit to bring all to the first size",
                self.name, first.0, first.1, size.0, size.1
            ));
        }
        let mut ready = Vec::new();
        if self.kind != Some(kind(&frame)) {
            ready = self.run(None)?;
            self.kind = Some(kind(&frame));
            let filters = self.filters(&frame, first);
            let input = PictureInput { base: frame.time_base, rate: self.timing.rate, out_base: self.timing().base };
            let graph = || Graph::video(None, &filters, &frame, input);
            self.graph = (!filters.is_empty())
                .then(graph)
                .transpose()
                .context(format_args!("{}: the frames cannot be filtered", self.name))?;
        }
        if self.graph.is_none() {
            ready.push(frame);
        } else {
            ready.extend(self.run(Some(&frame))?);
        }
        Ok(ready)
    }

    fn run(&mut self, frame: Option<&Frame>) -> Result<Vec<Frame>> {
        let (Some(graph), Some((_, rows, format, colour))) = (&mut self.graph, self.kind) else {
            return Ok(Vec::new());
        };
        let mut frames = graph.filter(frame).context(format_args!("{}: the frames cannot be filtered", self.name))?;
        for frame in &mut frames {
            colour::converted(colour, format, frame.pixel_format(), rows).describe(frame);
            if self.deinterlace.is_some() || self.inverse_telecine {
                frame.interlaced_frame = 0;
            }
        }
        Ok(frames)
    }

    fn filters(&self, frame: &Frame, first: (i32, i32)) -> String {
        let mut filters: Vec<String> = Vec::new();
        match self.deinterlace {
            // Combed frames without matching fields are deinterlaced; with yadif, because decimate miscounts after bwdif.
            _ if self.inverse_telecine => {
                filters.push("fieldmatch=combmatch=full,yadif=deint=interlaced,decimate".into())
            }
            Some(Deinterlace::Double) => filters.push("bwdif=mode=send_field:deint=all".into()),
            Some(_) => filters.push("bwdif=mode=send_frame:deint=all".into()),
            None => {}
        }
        if (frame.width, frame.height) != first {
            let (width, height) = first;
            filters.push(format!(
                "scale={width}:{height}:force_original_aspect_ratio=decrease:flags=lanczos,\
                 pad={width}:{height}:(ow-iw)/2:(oh-ih)/2,setsar={}/{}",
                frame.sample_aspect_ratio.num,
                frame.sample_aspect_ratio.den.max(1)
            ));
        }
        filters.extend(self.turn.map(|turn| turn.filters.to_owned()));
        let (from, colour) = (frame.pixel_format(), Colour::of(frame));
        let to = upscaler::format_for(from);
        if to != from {
            let wanted = colour::converted(colour, from, to, frame.height);
            filters.push(colour::conversion((from, colour), (to, wanted), frame.height));
        } else if !filters.is_empty() {
            filters.push(format!("format={}", from.name()));
        }
        filters.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(numbers: [i32; 9]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
    }

    #[test]
    fn display_matrices_are_understood() {
        let one = 1 << 16;
        assert_eq!(turn(&matrix([one, 0, 0, 0, one, 0, 0, 0, 1 << 30])), None);
        let clock = turn(&matrix([0, one, 0, -one, 0, 0, 0, 0, 1 << 30])).unwrap();
        assert_eq!((clock.filters, clock.swaps_sides), ("transpose=clock", true));
        assert_eq!(turn(&matrix([-one, 0, 0, 0, -one, 0, 0, 0, 1 << 30])).unwrap().filters, "hflip,vflip");
        assert_eq!(turn(&[0; 7]), None);
    }
}
