//! Reads picture files as the frames of a video.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Damage, Event, Source, Timing};
use crate::av::{Decoder, Demuxer, Frame, Rational, rational};
use crate::failure::{Context, Failure, Result};
use crate::input::{Pictures, demuxer_for_picture, file_url};
use crate::signals::{self, Stop};

pub struct PictureReader {
    files: std::vec::IntoIter<(u64, PathBuf)>,
    rate: Rational,
    total: u64,
    read: i64,
    stop: Arc<Stop>,
    damage: Damage,
    last_error: Option<Failure>,
}

impl PictureReader {
    pub fn new(pictures: &Pictures, stop: &Arc<Stop>) -> Self {
        PictureReader {
            files: pictures.files.clone().into_iter(),
            rate: pictures.fps,
            total: pictures.files.len() as u64,
            read: 0,
            stop: Arc::clone(stop),
            damage: Damage::default(),
            last_error: None,
        }
    }
}

impl Source for PictureReader {
    fn timing(&self) -> Timing {
        let base = rational(self.rate.den, self.rate.num);
        Timing { base, rate: self.rate, is_constant: true, total: Some(self.total) }
    }

    fn next(&mut self) -> Result<Option<Event>> {
        for (_, path) in self.files.by_ref() {
            signals::check()?;
            let index = self.read;
            self.read += 1;
            match decode(&path, &self.stop) {
                Ok(mut frame) => {
                    (frame.pts, frame.time_base) = (index, rational(self.rate.den, self.rate.num));
                    frame.set_ticks(1);
                    self.damage.frames += u64::from(frame.is_damaged());
                    return Ok(Some(Event::Frame(frame)));
                }
                Err(error) => {
                    self.damage.pictures += 1;
                    self.damage.first_picture.get_or_insert_with(|| error.to_string());
                    self.last_error = Some(error);
                }
            }
        }
        // If nothing could be decoded, the reason says more than a count.
        match self.last_error.take() {
            Some(error) if self.damage.pictures == self.total => Err(error),
            _ => Ok(None),
        }
    }

    fn damage(&self) -> Damage {
        self.damage.clone()
    }
}

fn decode(path: &Path, stop: &Arc<Stop>) -> Result<Frame> {
    let (format, url) = (demuxer_for_picture(path)?, file_url(path)?);
    let first = || -> crate::av::Result<Option<Frame>> {
        let mut demuxer = Demuxer::open(&url, Some(format), stop)?;
        let stream = demuxer.stream(0);
        let mut decoder = Decoder::open(stream.parameters(), stream.base())?;
        while let Some(packet) = demuxer.read()? {
            decoder.send(Some(&packet))?;
            if let Some(frame) = decoder.receive()? {
                return Ok(Some(frame));
            }
        }
        decoder.send(None)?;
        decoder.receive()
    };
    let frame = first().context(format_args!("{} cannot be decoded", path.display()))?;
    frame.context(format_args!("{} holds no picture", path.display()))
}
