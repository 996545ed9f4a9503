//! `gst-upscale compare IN OUT`: frames of both, side by side in a picture and with a slider in a page.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::args::{Compare, Selection};
use crate::av::{self, Frame};
use crate::console::Console;
use crate::failure::{Context, Result, failed};
use crate::filters::{self, InputFilters};
use crate::input::Input;
use crate::pictures::png;
use crate::preview::{scaled, side_by_side};
use crate::progress::clock;
use crate::reader::{Event, Reader};
use crate::signals;

/// Frames that are shown if no times are given.
const FRAMES: u32 = 4;
/// The longer side of a frame in the picture; the page has full size.
const SHEET_SIDE: i32 = 960;
const PAGE: &str = include_str!("compare.html");

/// A frame of each at the same time.
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
        let size = (result.width, result.height);
        pairs.push(Pair { seconds, source: scaled(source, size)?, result: scaled(result, size)? });
        signals::check()?;
    }
    write(&sheet, &png(&join(&pairs)?)?)?;
    write(&page, html(args, &pairs)?.as_bytes())?;
    let console = Console::new(args.quiet, false);
    console.note(&format!("{} frames: {} and {}", pairs.len(), sheet.display(), page.display()));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).context(format_args!("cannot write {}", path.display()))
}

fn open(path: &Path) -> Result<Reader> {
    Reader::open(&Input::open(path, None)?, &Selection::default(), &Default::default())
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

/// The frame on screen at a time: the last one that has started.
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
    let frame = shown.context(format_args!("{}: no frame could be decoded", path.display()))?;
    let Some(turn) = matrix.as_deref().and_then(filters::turn) else { return Ok(frame) };
    let selection = Selection { fit: true, ..Selection::default() };
    let mut filters = InputFilters::new(&selection, reader.timing(), Some(turn), path.display().to_string());
    let mut turned = filters.filter(Some(frame))?;
    turned.extend(filters.filter(None)?);
    turned.pop().context(format_args!("{}: a frame cannot be turned", path.display()))
}

/// All pairs, one below the other, the source on the left.
fn join(pairs: &[Pair]) -> Result<Frame> {
    const WRONG: &str = "the sheet cannot be made";
    let mut rows = Vec::new();
    for pair in pairs {
        let (source, result) = (pair.source.share().context(WRONG)?, pair.result.share().context(WRONG)?);
        rows.push(side_by_side(source, result, SHEET_SIDE)?);
    }
    let width = rows.iter().map(|row| row.width).max().unwrap_or(0);
    let height = rows.iter().map(|row| row.height).sum();
    let format = rows.first().context(WRONG)?.pixel_format();
    let mut sheet = Frame::picture(format, width, height).context(WRONG)?;
    let all = rows.iter().flat_map(|row| row.rows(0));
    for (to, from) in sheet.rows_mut(0).zip(all) {
        to.fill(0);
        to[..from.len()].copy_from_slice(from);
    }
    Ok(sheet)
}

/// The page, with all pictures in it.
fn html(args: &Compare, pairs: &[Pair]) -> Result<String> {
    let mut figures = String::new();
    for pair in pairs {
        let tenths = (pair.seconds.max(0.0) * 10.0).floor() as u64;
        let time = format!("{}.{}", clock(std::time::Duration::from_secs(tenths / 10)), tenths % 10);
        let encoded = |frame| Ok(BASE64_STANDARD.encode(png(frame)?));
        let (source, result) = (encoded(&pair.source)?, encoded(&pair.result)?);
        writeln!(
            figures,
            "<figure><div class=\"pair\" style=\"--at:50%\">\
             <img class=\"result\" alt=\"upscaled\" src=\"data:image/png;base64,{result}\">\
             <img class=\"source\" alt=\"source\" src=\"data:image/png;base64,{source}\">\
             <input type=\"range\" min=\"0\" max=\"100\" value=\"50\" step=\"0.1\" aria-label=\"source or upscaled\"></div>\
             <figcaption>{time}</figcaption></figure>"
        )
        .context("the page")?;
    }
    let title = format!("{} | {}", args.input.display(), args.output.display());
    Ok(PAGE.replace("{{title}}", &escape(&title)).replace("{{figures}}", &figures))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_become_markup() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
