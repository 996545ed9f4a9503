//! Pictures, each a file, as the frames of a video.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Damage, Event, Timing};
use crate::args::Rate;
use crate::av::{Decoder, Demuxer, Frame};
use crate::failure::{Failure, Result, failed};
use crate::input::{Pictures, file_url, first_bytes, picture_demuxer};
use crate::signals;

pub struct PictureReader {
    files: std::vec::IntoIter<(u64, PathBuf)>,
    fps: Rate,
    total: usize,
    read: i64,
    stop: Arc<AtomicBool>,
    damage: Damage,
    last_error: Option<Failure>,
}

impl PictureReader {
    pub fn new(pictures: &Pictures, stop: &Arc<AtomicBool>) -> Self {
        PictureReader {
            files: pictures.files.clone().into_iter(),
            fps: pictures.fps,
            total: pictures.files.len(),
            read: 0,
            stop: Arc::clone(stop),
            damage: Damage::default(),
            last_error: None,
        }
    }

    pub fn timing(&self) -> Timing {
        let rate = ffi::AVRational { num: self.fps.numer, den: self.fps.denom };
        let base = ffi::AVRational { num: self.fps.denom, den: self.fps.numer };
        Timing { base, rate, is_constant: true, total: Some(self.total as u64) }
    }

    pub fn next(&mut self) -> Result<Option<Event>> {
        for (_, path) in self.files.by_ref() {
            signals::check()?;
            let index = self.read;
            self.read += 1;
            match decode(&path, &self.stop) {
                Ok(mut frame) => {
                    frame.pts = index;
                    frame.time_base = ffi::AVRational { num: self.fps.denom, den: self.fps.numer };
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
        // Of a single picture the reason is worth more than a count.
        match self.last_error.take() {
            Some(error) if self.damage.pictures == self.total as u64 => Err(error),
            _ => Ok(None),
        }
    }

    pub fn damage(&self) -> Damage {
        self.damage.clone()
    }
}

fn decode(path: &std::path::Path, stop: &Arc<AtomicBool>) -> Result<Frame> {
    let wrong = |error| Failure::Failed(format!("{} cannot be decoded: {error}", path.display()));
    let Some(format) = picture_demuxer(&first_bytes(path)?) else {
        return failed(format!("{} is no picture of a known kind (PNG, JPEG, WebP, BMP, TIFF)", path.display()));
    };
    let mut demuxer = Demuxer::open(&file_url(path)?, Some(format), stop).map_err(wrong)?;
    let stream = demuxer.stream(0);
    let mut decoder = Decoder::open(stream.parameters(), stream.base()).map_err(wrong)?;
    while let Some(packet) = demuxer.read().map_err(wrong)? {
        decoder.send(Some(&packet)).map_err(wrong)?;
        if let Some(frame) = decoder.receive().map_err(wrong)? {
            return Ok(frame);
        }
    }
    decoder.send(None).map_err(wrong)?;
    match decoder.receive().map_err(wrong)? {
        Some(frame) => Ok(frame),
        None => failed(format!("{} holds no picture", path.display())),
    }
}
