//! `gst-upscale compare IN OUT`: frames of both side by side, as a picture and as a page with a slider.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::args::{Compare, Encoding, Selection};
use crate::av::{self, Frame};
use crate::console::Console;
use crate::encoder::{Job, VideoEncoder};
use crate::failure::{Failure, Result, failed};
use crate::filters::{self, Before};
use crate::hdr::Hdr;
use crate::input::Input;
use crate::output::PictureFormat;
use crate::pictures;
use crate::preview::scaled;
use crate::progress::clock;
use crate::reader::{Event, Reader, Timing};
use crate::signals;

/// Frames that are shown if no times are given.
const FRAMES: u32 = 4;
/// The longer side of a picture on the sheet; the page has them whole.
const SHEET_SIDE: i32 = 960;
const PAGE: &str = include_str!("compare.html");

/// A moment of both.
struct Pair {
    seconds: f64,
    source: Frame,
    result: Frame,
}

pub fn run(args: &Compare) -> Result<()> {
    let sheet = args.sheet.clone().unwrap_or_else(|| {
        let stem = args.output.file_stem().unwrap_or_default().to_string_lossy();
        PathBuf::from(format!("{stem}-compare.png"))
    });
    let page = sheet.with_extension("html");
    for path in [&sheet, &page] {
        if path.symlink_metadata().is_ok() && !args.overwrite {
            return failed(format!("{} exists: add -y to replace it", path.display()));
        }
    }
    let times = if args.at.is_empty() { spread(&args.output)? } else { args.at.clone() };
    let mut pairs = Vec::new();
    for seconds in times {
        let (source, result) = (frame_at(&args.input, seconds)?, frame_at(&args.output, seconds)?);
        let (width, height) = (result.width, result.height);
        let wrong = |error| Failure::Failed(format!("a frame cannot be shown: {error}"));
        pairs.push(Pair {
            seconds,
            source: scaled(source, width, height).map_err(wrong)?,
            result: scaled(result, width, height).map_err(wrong)?,
        });
        signals::check()?;
    }
    write(&sheet, &png(&join(&pairs)?)?)?;
    write(&page, html(args, &pairs)?.as_bytes())?;
    let console = Console::new(args.quiet, false);
    console.note(&format!("{} frames: {} and {}", pairs.len(), sheet.display(), page.display()));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).or_else(|error| failed(format!("cannot write {}: {error}", path.display())))
}

fn open(path: &Path) -> Result<Reader> {
    let stop = Arc::new(AtomicBool::new(false));
    signals::on_signal(&stop);
    Reader::open(&Input::open(path, None)?, &Selection::default(), &stop)
}

/// Times in the middle of equal parts.
fn spread(path: &Path) -> Result<Vec<f64>> {
    let mut reader = open(path)?;
    let duration = reader.media().map_or(0, |media| media.demuxer().context().duration);
    if duration <= 0 {
        return Ok(vec![0.0]);
    }
    let seconds = duration as f64 / 1e6;
    Ok((0..FRAMES).map(|index| seconds * (f64::from(index) + 0.5) / f64::from(FRAMES)).collect())
}

/// The frame that is shown at a time: the last one that has begun.
fn frame_at(path: &Path, seconds: f64) -> Result<Frame> {
    let mut reader = open(path)?;
    let mut matrix = None;
    if let Some(media) = reader.media() {
        media.keep_only(&[]);
        matrix = media.video().side_data(ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX).map(<[u8]>::to_vec);
        media.seek(seconds);
    }
    let mut shown: Option<Frame> = None;
    while let Some(event) = reader.next()? {
        let Event::Frame(frame) = event else { continue };
        let begins = av::seconds(frame.pts, frame.time_base);
        if begins > seconds + 1e-6 && shown.is_some() {
            break;
        }
        shown = Some(frame);
    }
    let Some(frame) = shown else { return failed(format!("{}: no frame could be decoded", path.display())) };
    let Some(turn) = matrix.as_deref().and_then(filters::turn) else { return Ok(frame) };
    let selection = Selection { fit: true, ..Selection::default() };
    let mut before = Before::new(&selection, reader.timing(), Some(turn), path.display().to_string());
    let mut turned = None;
    let mut take = |frame| {
        turned = Some(frame);
        Ok(())
    };
    before.filter(Some(frame), &mut take)?;
    before.filter(None, &mut take)?;
    turned.ok_or_else(|| Failure::Failed(format!("{}: a frame cannot be turned", path.display())))
}

/// All pairs under each other, the source on the left.
fn join(pairs: &[Pair]) -> Result<Frame> {
    let wrong = |error: String| Failure::Failed(format!("the sheet cannot be made: {error}"));
    let mut rows = Vec::new();
    for pair in pairs {
        let (source, result) = (pair.source.share(), pair.result.share());
        let (source, result) = (source.map_err(|e| wrong(e.to_string()))?, result.map_err(|e| wrong(e.to_string()))?);
        rows.push(crate::preview::side_by_side(source, result, SHEET_SIDE).map_err(wrong)?);
    }
    let width = rows.iter().map(|row| row.width).max().unwrap_or(0);
    let height = rows.iter().map(|row| row.height).sum();
    let format = rows.first().map(|row| row.pixel_format());
    let format = format.ok_or_else(|| wrong("there are no frames".into()))?;
    let mut sheet = Frame::picture(format, width, height).map_err(|error| wrong(error.to_string()))?;
    let all = rows.iter().flat_map(|row| row.rows(0));
    for (to, from) in sheet.rows_mut(0).zip(all) {
        to.fill(0);
        to[..from.len()].copy_from_slice(from);
    }
    Ok(sheet)
}

fn png(frame: &Frame) -> Result<Vec<u8>> {
    let base = ffi::AVRational { num: 1, den: 25 };
    let rate = ffi::AVRational { num: 25, den: 1 };
    let job = Job {
        codec: pictures::codec(PictureFormat::Png)?,
        encoding: &Encoding::default(),
        timing: Timing { base, rate, is_constant: true, total: Some(1) },
        hdr: Hdr::default(),
        matrix: None,
        global_header: false,
        source_rows: frame.height,
        is_opaque: true,
    };
    let mut encoder = VideoEncoder::open(job, frame)?;
    let mut picture = frame.share().map_err(|error| Failure::Failed(error.to_string()))?;
    picture.pts = 0;
    let mut packets = encoder.take(Some(picture))?;
    packets.extend(encoder.take(None)?);
    packets.first().map(|packet| packet.bytes().to_vec()).ok_or_else(|| Failure::Failed("no PNG was made".into()))
}

/// The page, with all pictures in it.
fn html(args: &Compare, pairs: &[Pair]) -> Result<String> {
    let mut figures = String::new();
    for pair in pairs {
        let time = clock(std::time::Duration::from_secs_f64(pair.seconds.max(0.0)));
        let (source, result) = (base64(&png(&pair.source)?), base64(&png(&pair.result)?));
        writeln!(
            figures,
            "<figure><div class=\"pair\" style=\"--at:50%\">\
             <img class=\"result\" alt=\"upscaled\" src=\"data:image/png;base64,{result}\">\
             <img class=\"source\" alt=\"source\" src=\"data:image/png;base64,{source}\">\
             <input type=\"range\" min=\"0\" max=\"100\" value=\"50\" step=\"0.1\" aria-label=\"source or upscaled\"></div>\
             <figcaption>{time}</figcaption></figure>"
        )
        .or_else(|error| failed(error.to_string()))?;
    }
    let title = format!("{} | {}", args.input.display(), args.output.display());
    Ok(PAGE.replace("{{title}}", &escape(&title)).replace("{{figures}}", &figures))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_in_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn names_do_not_become_markup() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
