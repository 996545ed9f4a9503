//! Reads IN: decoded video frames, and the packets of all other streams, in file order.

mod damage;
mod media;
mod pictures;

use std::collections::VecDeque;
use std::sync::Arc;

pub use damage::Damage;
pub use media::{MICROSECONDS, MediaReader, cut};

use crate::args::Selection;
use crate::av::{Frame, Packet, Rational};
use crate::failure::{Context, Result, failed};
use crate::input::Input;
use crate::signals::Stop;

/// What a reader returns.
pub enum Event {
    /// A decoded video frame, with its time base set.
    Frame(Frame),
    /// A packet of another stream, in that stream's time base.
    Packet(Packet),
}

/// What is known about the video beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub base: Rational,
    /// Frames per second; 0/1 if unknown.
    pub rate: Rational,
    /// Whether the frame rate is constant.
    pub is_constant: bool,
    /// The number of frames, if known.
    pub total: Option<u64>,
}

/// A kind of IN.
trait Source: Send {
    fn timing(&self) -> Timing;
    /// The next event; `None` at the end.
    fn next(&mut self) -> Result<Option<Event>>;
    /// The damage found so far.
    fn damage(&self) -> Damage;
    /// The container behind it; `None` for pictures.
    fn media(&mut self) -> Option<&mut MediaReader> {
        None
    }
}

/// Reads IN from the beginning to the end.
pub struct Reader {
    name: String,
    source: Box<dyn Source>,
    /// Events read ahead of the first frame.
    ahead: VecDeque<Event>,
}

impl Reader {
    /// Opens IN. Reading ends early when `stop` is set.
    pub fn open(input: &Input, selection: &Selection, stop: &Arc<Stop>) -> Result<Self> {
        let source: Box<dyn Source> = match input {
            Input::Media(media) => Box::new(MediaReader::open(media, selection, stop)?),
            Input::Pictures(pictures) => Box::new(pictures::PictureReader::new(pictures, stop)),
        };
        Ok(Reader { name: input.name().display().to_string(), source, ahead: VecDeque::new() })
    }

    pub fn media(&mut self) -> Option<&mut MediaReader> {
        self.source.media()
    }

    pub fn timing(&self) -> Timing {
        self.source.timing()
    }

    pub fn damage(&self) -> Damage {
        self.source.damage()
    }

    /// A reference to the first frame; reads ahead to find it.
    pub fn first_frame(&mut self) -> Result<Frame> {
        loop {
            if let Some(Event::Frame(frame)) = self.ahead.back() {
                return frame.share().context("the first frame");
            }
            match self.source.next()? {
                Some(event) => self.ahead.push_back(event),
                None => {
                    let reason = if self.damage().is_any() { ": it is damaged" } else { "" };
                    return failed(format!("{}: no frame could be decoded{reason}", self.name));
                }
            }
        }
    }

    /// The next event; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Event>> {
        self.ahead.pop_front().map_or_else(|| self.source.next(), |event| Ok(Some(event)))
    }
}
