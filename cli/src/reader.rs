//! From IN to decoded frames and the packets of everything else, in the order in which they stand there.

mod damage;
mod media;
mod pictures;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use damage::Damage;
pub use media::{MICROSECONDS, MediaReader};

use crate::args::Selection;
use crate::av::{Frame, Packet};
use crate::failure::{Result, failed};
use crate::input::Input;

/// What a reader gives.
pub enum Event {
    /// A decoded video frame; its time counts ticks of its `time_base`.
    Frame(Frame),
    /// A packet of another stream, in that stream's ticks.
    Packet(Packet),
}

/// What is known of the video beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub base: ffi::AVRational,
    /// Frames per second; 0/1 where it is not known.
    pub rate: ffi::AVRational,
    /// Whether all frames take as long.
    pub is_constant: bool,
    /// The number of frames, if known.
    pub total: Option<u64>,
}

/// Reads IN from the beginning to the end.
pub struct Reader {
    source: Source,
    /// What was read ahead.
    ahead: VecDeque<Event>,
}

enum Source {
    Media(Box<MediaReader>),
    Pictures(pictures::PictureReader),
}

impl Reader {
    /// Opens IN. Reading ends early when `stop` is set.
    pub fn open(input: &Input, selection: &Selection, stop: &Arc<AtomicBool>) -> Result<Self> {
        let source = match input {
            Input::Media(media) => Source::Media(Box::new(MediaReader::open(media, selection, stop)?)),
            Input::Pictures(pictures) => Source::Pictures(pictures::PictureReader::new(pictures, stop)),
        };
        Ok(Reader { source, ahead: VecDeque::new() })
    }

    /// The container behind it; `None` for pictures.
    pub fn media(&mut self) -> Option<&mut MediaReader> {
        match &mut self.source {
            Source::Media(media) => Some(media),
            Source::Pictures(_) => None,
        }
    }

    pub fn timing(&self) -> Timing {
        match &self.source {
            Source::Media(media) => media.timing(),
            Source::Pictures(pictures) => pictures.timing(),
        }
    }

    /// The first frame, shared; reads ahead until it comes.
    pub fn first_frame(&mut self) -> Result<Frame> {
        loop {
            if let Some(Event::Frame(frame)) = self.ahead.back() {
                return frame.share().or_else(|error| failed(error.to_string()));
            }
            match self.read()? {
                Some(event) => self.ahead.push_back(event),
                None => {
                    let reason = if self.damage().is_any() { ": it is damaged" } else { "" };
                    return failed(format!("no frame could be decoded{reason}"));
                }
            }
        }
    }

    /// What comes next; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Event>> {
        match self.ahead.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Option<Event>> {
        match &mut self.source {
            Source::Media(media) => media.next(),
            Source::Pictures(pictures) => pictures.next(),
        }
    }

    /// What could not be read so far.
    pub fn damage(&self) -> Damage {
        match &self.source {
            Source::Media(media) => media.damage(),
            Source::Pictures(pictures) => pictures.damage(),
        }
    }
}
