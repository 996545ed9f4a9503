//! The command line.

mod segments;

use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::av::{Rational, rational};
use crate::size::{self, Size};

pub use segments::{JoinSegments, PlanSegments, RunSegment, Segments, SegmentsPlace, SegmentsStatus};

/// Upscales a video, a sequence of pictures or a single picture with an ONNX super-resolution network.
///
/// The video is decoded, upscaled and re-encoded; all other streams are copied. Anything the output cannot hold is reported.
/// Repeated frames are not computed again.
#[derive(Debug, Parser)]
#[command(
    name = "gst-upscale",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "gst-upscale [OPTIONS] <IN>... <OUT>\n       gst-upscale <COMMAND>",
    after_help = EXAMPLES,
    max_term_width = 120
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub upscale: Option<Upscale>,
    // Beside and not within `Upscale`: clap cannot tell that an optional group is there if the group holds another.
    #[command(flatten)]
    pub encoding: Encoding,
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub pictures: PictureRate,
}

const EXAMPLES: &str = "\
Examples:
  gst-upscale holiday.mp4 holiday-x2.mp4
  gst-upscale --model net.onnx --encoder h265 --crf 20 anime.mkv anime-x2.mkv
  gst-upscale --size 1080p --deinterlace tape.avi tape.mkv
  gst-upscale --start 1:30 --duration 20 film.mkv try.mp4
  gst-upscale *.mkv larger/                  each into the folder
  gst-upscale in.mp4 out/%05d.png            a picture for each frame
  gst-upscale --fps 24 in/%05d.png out.webm  and back
  gst-upscale photo.jpg photo-x2.png
  gst-upscale compare in.mp4 out.mp4         before and after, as a picture and a page
  gst-upscale --resume film.mkv film-x2.mkv  run it again after a crash, and it goes on
  gst-upscale plan in.mp4                    which frames are duplicates, and what reuse would save, as JSON
  gst-upscale -- -odd-name.mp4 out.mp4

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 done but the input was damaged,
75 another try may help (--resume, segments), 129, 130 or 143 interrupted.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Finds out which frames are duplicates and what reuse would save, without upscaling: a plan in JSON, and statistics
    Plan(Plan),
    /// Lists the built-in models, or tells how model files work
    Models(Models),
    /// Compares frames of both files: a picture with both side by side, and an HTML page with a slider
    Compare(Compare),
    /// Lists the devices that models can run on, their memory, and why others are unavailable
    Devices,
    /// Upscales in segments, which other machines or later runs can do
    #[command(subcommand)]
    Segments(Segments),
}

/// The element's names.
const PROVIDERS: [&str; 6] = ["auto", "cpu", "cuda", "tensorrt", "openvino", "webgpu"];
const PRECISIONS: [&str; 5] = ["auto", "fp32", "fp16", "bf16", "int8"];

fn duplicates() -> [PossibleValue; 3] {
    [
        PossibleValue::new("off").help("Compute every frame"),
        PossibleValue::new("exact")
            .help("Skip frames and parts of frames with the same pixels as before; same output as off"),
        PossibleValue::new("similar").help("Also skip what is nearly the same, for noisy sources"),
    ]
}

/// Everything about an upscaling run.
#[derive(Args, Debug)]
pub struct Upscale {
    /// IN (one or more): a video, a picture, numbered pictures (in/%05d.png), a folder, a URL, or - for standard input.
    /// OUT: a video (.mp4, .mkv, .webm, .mov), an animation (.gif, .webp, .avif), numbered pictures (out/%05d.png), a picture, a folder, or
    /// - for standard output
    #[arg(value_names = ["IN", "OUT"], required = true, num_args = 2..)]
    pub paths: Vec<PathBuf>,

    /// A built-in model's name (see `gst-upscale models`) or an ONNX file
    #[arg(long, value_name = "NAME|FILE", help_heading = "Upscaling")]
    pub model: Option<PathBuf>,
    /// Frames computed in parallel; 0 chooses automatically
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=256), help_heading = "Upscaling")]
    pub workers: u32,
    /// Whether repeated content is computed again
    #[arg(long, value_parser = duplicates(), default_value = "exact", value_name = "HOW", help_heading = "Upscaling")]
    pub duplicates: String,
    /// With --duplicates similar: how many code values (of 8 bits) a sample may differ
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=255), help_heading = "Upscaling")]
    pub similarity_tolerance: Option<u32>,
    /// Resize smooth areas that the model would change by no more than about this many code values (of 8 bits); 0: the
    /// model runs everywhere [default: 2 for lossy encoders, 0 for lossless ones and pictures]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=16), help_heading = "Upscaling")]
    pub detail_tolerance: Option<u32>,
    /// Where the model runs; auto chooses the best one available
    #[arg(long, value_parser = PROVIDERS, default_value = "auto", value_name = "NAME", help_heading = "Upscaling")]
    pub execution_provider: String,
    /// Number format the model computes in, if its provider offers a choice; auto: the fastest one without visible loss
    #[arg(long, value_parser = PRECISIONS, default_value = "auto", value_name = "NAME", help_heading = "Upscaling")]
    pub precision: String,
    /// Device of the execution provider, or several that share the frames: 0,1
    #[arg(long, value_name = "N[,N...]", default_value = "0", help_heading = "Upscaling")]
    pub device_id: String,
    /// Frames in the element at any time; 0 chooses automatically
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1024), help_heading = "Upscaling")]
    pub max_in_flight: u32,
    /// Memory for all runs of the model together: bytes, or with K, M, G [default: free memory minus a reserve]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Upscaling")]
    pub memory_limit: Option<u64>,
    /// Largest tile side in pixels; 0 chooses by available memory
    #[arg(long, value_name = "PIXELS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=65535), help_heading = "Upscaling")]
    pub tile_size: u32,
    /// Fall back to the CPU if the device runs out of memory or fails
    #[arg(long, help_heading = "Upscaling")]
    pub fallback: bool,
    /// Memory for upscaled frames that may repeat: bytes, or with K, M, G [default: the element's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Upscaling")]
    pub cache_size: Option<u64>,
    /// Output size: 1920x1080, 1080p (the height) or 2x [default: the size the model produces]
    #[arg(long, value_name = "SIZE", value_parser = size::parse, help_heading = "Upscaling")]
    pub size: Option<Size>,
    /// Write the plan (which frames were duplicates) as JSON
    #[arg(long, value_name = "FILE", help_heading = "Upscaling")]
    pub plan: Option<PathBuf>,

    /// Fail before any work if OUT cannot hold everything in IN
    #[arg(long, help_heading = "General")]
    pub strict: bool,
    /// Show source and result side by side in a window
    #[arg(long, help_heading = "General")]
    pub preview: bool,
    /// How to show progress; json prints one object per line to standard output
    #[arg(long, value_enum, default_value_t = ProgressKind::Auto, value_name = "KIND", help_heading = "General")]
    pub progress: ProgressKind,
    /// Replace OUT if it exists
    #[arg(short = 'y', long, help_heading = "General")]
    pub overwrite: bool,
    /// Keep finished segments beside OUT until it is complete, so that another run with --resume goes on from there; LENGTH is the shortest
    /// length of a segment [default: 60s]
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, num_args = 0..=1, require_equals = true, default_missing_value = "60s", help_heading = "General")]
    pub resume: Option<f64>,
    /// Print only errors
    #[arg(short, long, help_heading = "General")]
    pub quiet: bool,
    // The options that were given, for the manifest of segments.
    #[arg(skip)]
    pub settings: Vec<String>,
}

impl Upscale {
    /// All paths but the last one.
    pub fn inputs(&self) -> &[PathBuf] {
        &self.paths[..self.paths.len() - 1]
    }

    pub fn output(&self) -> &Path {
        &self.paths[self.paths.len() - 1]
    }
}

/// Which part of IN to use.
#[derive(Args, Clone, Debug, Default)]
pub struct Selection {
    /// Start at this time: seconds, or hours:minutes:seconds
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Input")]
    pub start: Option<f64>,
    /// Stop after this much time
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Input")]
    pub duration: Option<f64>,
    /// Deinterlace: one frame per two fields, one per field (double), or treat the video as progressive (off)
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "frame", help_heading = "Input")]
    pub deinterlace: Option<Deinterlace>,
    /// Inverse telecine: restore 24 frames per second from film broadcast at 30
    #[arg(long, conflicts_with = "deinterlace", help_heading = "Input")]
    pub inverse_telecine: bool,
    /// If the frame size changes, fit all frames into the first size with black borders
    #[arg(long, help_heading = "Input")]
    pub fit: bool,
    /// Which video stream, counted from 1 [default: the default or largest one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Input")]
    pub video_stream: Option<u32>,
    /// Which audio streams, by number or language: 1,3 or de [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Input")]
    pub audio_streams: Vec<String>,
    /// Which subtitle streams, by number or language, or none [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Input")]
    pub subtitle_streams: Vec<String>,
}

/// How the result is encoded.
#[derive(Args, Clone, Debug, Default)]
pub struct Encoding {
    /// h264, h265, av1, vp9, vp8, ffv1, a hardware encoder (h264_nvenc, hevc_vaapi, av1_qsv), or any other FFmpeg encoder
    /// [default: h264; vp9 for .webm]
    #[arg(long, value_name = "NAME", help_heading = "Encoding")]
    pub encoder: Option<String>,
    /// Quality on the encoder's own scale; lower is better
    #[arg(long, value_name = "N", conflicts_with = "quality", help_heading = "Encoding")]
    pub crf: Option<f32>,
    /// Quality from 0 to 100: about 50 small, 65 good, 80 hard to tell from the source [default: 65; 92 for .jpg]
    ///
    /// h264: CRF = 51 - N/2. h265: CRF = 53 - N/2. vp8, vp9, av1: CRF = 63 - 2N/3. JPEG, WebP: N itself.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Encoding")]
    pub quality: Option<u8>,
    /// Speed against size: ultrafast, superfast, veryfast, faster, fast, medium, slow, slower, veryslow [default: medium]
    #[arg(long, value_name = "NAME", help_heading = "Encoding")]
    pub preset: Option<String>,
    /// FFmpeg options of the encoder, set last: "g=50 tune=film" (see `ffmpeg -h encoder=libx264`)
    #[arg(long, value_name = "OPTIONS", help_heading = "Encoding")]
    pub encoder_options: Option<String>,
    /// How to handle audio [default: copy]
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Encoding")]
    pub audio: Option<Audio>,
    /// File type if OUT is a folder or standard output: mp4, mkv, webm, mov, png, ... [default: that of IN, or mkv]
    #[arg(long, value_name = "EXTENSION", help_heading = "Encoding")]
    pub format: Option<String>,
}

/// How fast pictures follow each other.
#[derive(Args, Clone, Debug, Default)]
pub struct PictureRate {
    /// Frames per second of numbered pictures: 25, 23.976 or 30000/1001 [default: 25]
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Input")]
    pub fps: Option<Rational>,
}

#[derive(Args, Debug)]
pub struct Plan {
    /// A video file, or numbered pictures (in/%05d.png)
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Where to write the plan [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// For which model: a built-in's name or an ONNX file. It is read, not run [default: fast2x]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub pictures: PictureRate,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args, Debug)]
pub struct Compare {
    /// The source
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The upscaled video
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// Where to write the picture; the page goes into the same folder [default: OUT's name with -compare.png]
    #[arg(short = 'o', long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
    /// Times to show: seconds, or hours:minutes:seconds [default: four, evenly spaced]
    #[arg(long, value_name = "TIME", value_delimiter = ',', value_parser = parse_time)]
    pub at: Vec<f64>,
    /// Replace what exists
    #[arg(short = 'y', long)]
    pub overwrite: bool,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args, Debug)]
pub struct Models {
    /// Tell what is found out about these ONNX files (or built-in models) by reading them: channels, scale, which sizes they take, and how many pixels
    /// around a pixel have a say in its result
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub analyse: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Deinterlace {
    /// One frame per two fields
    Frame,
    /// One frame per field, at twice the frame rate
    Double,
    /// Treat the video as progressive, whatever its flags say
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Audio {
    /// Copy it if OUT can hold it, otherwise re-encode it
    Copy,
    Aac,
    Opus,
    /// Leave it out
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressKind {
    /// A bar on a terminal, otherwise a line every ten seconds
    Auto,
    Json,
    None,
}

/// Reads `512M`, `2G`, `1048576`. The units are powers of 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "expected bytes, or a number with K, M or G".to_owned();
    let text = text.trim();
    let text = text.strip_suffix("iB").or_else(|| text.strip_suffix('B')).unwrap_or(text);
    let (number, shift) = match text.char_indices().last().ok_or_else(wrong)? {
        (at, 'k' | 'K') => (&text[..at], 10),
        (at, 'm' | 'M') => (&text[..at], 20),
        (at, 'g' | 'G') => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: u64 = number.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Reads `90`, `90.5`, `1:30` or `0:01:30.5` into seconds.
pub fn parse_time(text: &str) -> Result<f64, String> {
    let wrong = || "expected seconds, or hours:minutes:seconds".to_owned();
    let mut seconds = 0.0;
    for part in text.trim().split(':') {
        let part: f64 = part.parse().map_err(|_| wrong())?;
        seconds = seconds * 60.0 + part;
    }
    if (0.0..=1e9).contains(&seconds) { Ok(seconds) } else { Err(wrong()) }
}

/// Reads a time, which may end with an s.
fn parse_length(text: &str) -> Result<f64, String> {
    parse_time(text.strip_suffix('s').unwrap_or(text))
}

/// Reads `25`, `30000/1001` or `29.97`. The rates of television are written with two or three decimals but are n/1001.
fn parse_rate(text: &str) -> Result<Rational, String> {
    let wrong = || "expected frames per second such as 25, 23.976 or 30000/1001".to_owned();
    if let Some((numer, denom)) = text.split_once('/') {
        let numer: i32 = numer.trim().parse().map_err(|_| wrong())?;
        let denom: i32 = denom.trim().parse().map_err(|_| wrong())?;
        return if numer > 0 && denom > 0 { Ok(rational(numer, denom)) } else { Err(wrong()) };
    }
    let rate: f64 = text.trim().parse().map_err(|_| wrong())?;
    if !(0.001..=1000.0).contains(&rate) {
        return Err(wrong());
    }
    let television = (rate * 1.001).round();
    if rate.fract() != 0.0 && (television * 1000.0 / 1001.0 - rate).abs() < 0.005 {
        return Ok(rational(television as i32 * 1000, 1001));
    }
    Ok(if rate.fract() == 0.0 { rational(rate as i32, 1) } else { rational((rate * 1000.0).round() as i32, 1000) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn in_and_out_are_needed_but_not_with_a_subcommand() {
        assert!(Cli::try_parse_from(["gst-upscale"]).is_err());
        assert!(Cli::try_parse_from(["gst-upscale", "in.mp4"]).is_err());
        let cli = Cli::try_parse_from(["gst-upscale", "in.mp4", "out.mp4", "--quality", "70"]).unwrap();
        assert_eq!((cli.upscale.is_some(), cli.encoding.quality), (true, Some(70)));
        assert!(matches!(Cli::try_parse_from(["gst-upscale", "models"]).unwrap().command, Some(Command::Models(_))));
        assert!(Cli::try_parse_from(["gst-upscale", "models", "--analyse"]).is_err());
        assert!(Cli::try_parse_from(["gst-upscale", "in.mp4", "out.mp4", "--quality", "101"]).is_err());
    }

    #[test]
    fn names_with_a_leading_dash_come_after_two_dashes() {
        let cli = Cli::try_parse_from(["gst-upscale", "--", "-in.mp4", "-out.mp4"]).unwrap();
        let upscale = cli.upscale.unwrap();
        assert_eq!(upscale.inputs(), [PathBuf::from("-in.mp4")]);
        assert_eq!(upscale.output(), Path::new("-out.mp4"));
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("512M"), Ok(512 << 20));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("4096"), Ok(4096));
        for text in ["", "M", "-1", "1T", "99999999999G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("90.5"), Ok(90.5));
        assert_eq!(parse_time("1:30"), Ok(90.0));
        assert_eq!(parse_time("1:00:02.5"), Ok(3602.5));
        for text in ["", "-1", "x", "1:x", "inf", "nan"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates() {
        let rate = |text| parse_rate(text).map(|rate| (rate.num, rate.den));
        assert_eq!(rate("25"), Ok((25, 1)));
        assert_eq!(rate("12.5"), Ok((12500, 1000)));
        assert_eq!(rate("30000/1001"), Ok((30000, 1001)));
        assert_eq!(rate("23.976"), Ok((24000, 1001)));
        assert_eq!(rate("29.97"), Ok((30000, 1001)));
        assert_eq!(rate("59.94"), Ok((60000, 1001)));
        for text in ["0", "-1", "x", "1/0", "nan", "inf"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
