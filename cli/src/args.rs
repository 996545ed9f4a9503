//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Upscales a video, a sequence of pictures or a single picture with an ONNX super-resolution network.
///
/// The video is decoded, upscaled and encoded again; sound and subtitles are kept as they are. Frames that were seen
/// before are not computed again.
#[derive(Debug, Parser)]
#[command(
    name = "gst-upscale",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
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
    pub pictures: PictureRate,
}

const EXAMPLES: &str = "\
Examples:
  gst-upscale holiday.mp4 holiday-x2.mp4
  gst-upscale --model net.onnx --quality 80 anime.mkv anime-x2.mkv
  gst-upscale in.mp4 out/%05d.png            a picture for each frame
  gst-upscale --fps 24 in/%05d.png out.webm  and back
  gst-upscale photo.jpg photo-x2.png
  gst-upscale plan in.mp4                    which frames are duplicates, and what reuse would save, as JSON
  gst-upscale -- -odd-name.mp4 out.mp4

Exit codes: 0 done, 1 failed, 2 wrong command line, 130 interrupted.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Finds out which frames are duplicates and what reuse would save, without upscaling: a plan in JSON, and statistics
    Plan(Plan),
    /// Lists the built-in models, or tells how model files work
    Models(Models),
    /// Lists where models can run here, with the memory of each, and why they cannot elsewhere
    Devices,
}

/// Everything about an upscaling run.
#[derive(Args, Debug)]
pub struct Upscale {
    /// A video file, numbered pictures (in/%05d.png), or a picture
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// A video file (.mp4, .mkv, .webm, .mov), numbered pictures (out/%05d.png, .jpg), or a picture
    #[arg(value_name = "OUT")]
    pub output: PathBuf,

    /// A built-in model's name (see `gst-upscale models`) or an ONNX file
    #[arg(long, value_name = "NAME|FILE", help_heading = "Upscaling")]
    pub model: Option<PathBuf>,
    /// Frames computed at the same time; 0 chooses by the machine
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=256), help_heading = "Upscaling")]
    pub workers: u32,
    /// Whether what was seen before is computed again
    #[arg(long, value_enum, default_value_t = Duplicates::Exact, help_heading = "Upscaling")]
    pub duplicates: Duplicates,
    /// With --duplicates similar: how many code values (of 8 bits) a sample may differ
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=255), help_heading = "Upscaling")]
    pub similarity_tolerance: Option<u32>,
    /// Where the model runs
    #[arg(long, value_enum, default_value_t = Provider::Auto, value_name = "NAME", help_heading = "Upscaling")]
    pub execution_provider: Provider,
    /// In which numbers the model computes, where its provider offers a choice
    #[arg(long, value_enum, default_value_t = Precision::Auto, value_name = "NAME", help_heading = "Upscaling")]
    pub precision: Precision,
    /// Which device of the execution provider, or several that share the frames: 0,1
    #[arg(long, value_name = "N[,N...]", default_value = "0", help_heading = "Upscaling")]
    pub device_id: String,
    /// Frames between the decoder and the encoder at any time; 0 chooses
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1024), help_heading = "Upscaling")]
    pub max_in_flight: u32,
    /// Memory that runs of the model may take together: bytes, or with K, M, G [default: what is free, less a reserve]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Upscaling")]
    pub memory_limit: Option<u64>,
    /// Largest side of what goes through the model at once, in pixels; 0 chooses by the memory
    #[arg(long, value_name = "PIXELS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=65535), help_heading = "Upscaling")]
    pub tile_size: u32,
    /// Let the CPU take over when the device has run out of memory or failed
    #[arg(long, help_heading = "Upscaling")]
    pub fallback: bool,
    /// Memory for upscaled frames that may come again: bytes, or with K, M, G [default: the element's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Upscaling")]
    pub cache_size: Option<u64>,
    /// Make an interlaced video progressive first (one frame for each two fields)
    #[arg(long, help_heading = "Upscaling")]
    pub deinterlace: bool,
    /// Write which frames were duplicates, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Upscaling")]
    pub plan: Option<PathBuf>,

    /// Replace OUT if it exists
    #[arg(short = 'y', long, help_heading = "General")]
    pub overwrite: bool,
    /// Say nothing but errors
    #[arg(short, long, help_heading = "General")]
    pub quiet: bool,
}

/// How the result is encoded.
#[derive(Args, Debug, Default)]
pub struct Encoding {
    /// x264, x265, vp8, vp9, av1, ffv1, or a GStreamer encoder such as nvh264enc [default: x264; vp9 for .webm]
    #[arg(long, value_name = "NAME", help_heading = "Encoding")]
    pub encoder: Option<String>,
    /// Quality from 0 to 100: about 50 small, 65 good, 80 hard to tell from the source [default: 65; 92 for .jpg]
    ///
    /// x264: CRF = 51 - N/2. x265: CRF = 53 - N/2. vp8, vp9, av1: quantizer = 63 - 2N/3. JPEG: N itself.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Encoding")]
    pub quality: Option<u8>,
    /// Speed against size: ultrafast, superfast, veryfast, faster, fast, medium, slow, slower, veryslow [default: veryfast]
    #[arg(long, value_name = "NAME", help_heading = "Encoding")]
    pub preset: Option<String>,
    /// Properties of the encoder element, set last: "key-int-max=50 tune=film" (see `gst-inspect-1.0 x264enc`)
    #[arg(long, value_name = "PROPERTIES", help_heading = "Encoding")]
    pub encoder_options: Option<String>,
}

/// How fast pictures follow each other.
#[derive(Args, Debug, Default)]
pub struct PictureRate {
    /// Frames per second of numbered pictures: 25, 23.976 or 30000/1001 [default: 25]
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Pictures")]
    pub fps: Option<gst::Fraction>,
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
    pub pictures: PictureRate,
    /// Say nothing but errors
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
pub enum Duplicates {
    /// Compute every frame
    Off,
    /// Compute only frames, and parts of frames, whose pixels are not the same as before: the result is that of `off`
    Exact,
    /// Nor those that are nearly the same: for sources with noise
    Similar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// As fast as the hardware does it without a loss that is seen
    Auto,
    Fp32,
    Fp16,
    Bf16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// The best one that is to be had
    Auto,
    Cpu,
    Cuda,
    Tensorrt,
    Openvino,
    Webgpu,
}

/// The nick of the element's enum value: clap names the values the same way.
pub fn nick(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
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

/// Reads `25`, `30000/1001` or `29.97`. The rates of television are written with two or three decimals but are n/1001.
fn parse_rate(text: &str) -> Result<gst::Fraction, String> {
    let wrong = || "expected frames per second such as 25, 23.976 or 30000/1001".to_owned();
    if let Some((numer, denom)) = text.split_once('/') {
        let numer: i32 = numer.trim().parse().map_err(|_| wrong())?;
        let denom: i32 = denom.trim().parse().map_err(|_| wrong())?;
        return if numer > 0 && denom > 0 { Ok(gst::Fraction::new(numer, denom)) } else { Err(wrong()) };
    }
    let rate: f64 = text.trim().parse().map_err(|_| wrong())?;
    if !(0.001..=1000.0).contains(&rate) {
        return Err(wrong());
    }
    let television = (rate * 1.001).round();
    if rate.fract() != 0.0 && (television * 1000.0 / 1001.0 - rate).abs() < 0.005 {
        return Ok(gst::Fraction::new(television as i32 * 1000, 1001));
    }
    Ok(gst::Fraction::new((rate * 1000.0).round() as i32, 1000))
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
        assert_eq!(cli.upscale.unwrap().input, PathBuf::from("-in.mp4"));
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
    fn rates() {
        let rate = |text| parse_rate(text).map(|rate| (rate.numer(), rate.denom()));
        assert_eq!(rate("25"), Ok((25, 1)));
        assert_eq!(rate("12.5"), Ok((25, 2)));
        assert_eq!(rate("30000/1001"), Ok((30000, 1001)));
        assert_eq!(rate("23.976"), Ok((24000, 1001)));
        assert_eq!(rate("29.97"), Ok((30000, 1001)));
        assert_eq!(rate("59.94"), Ok((60000, 1001)));
        for text in ["0", "-1", "x", "1/0", "nan", "inf"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
