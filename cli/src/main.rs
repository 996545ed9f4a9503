//! `gst-upscale`: upscales videos and pictures with the element `upscalefilter`, between FFmpeg's libraries.
//!
//! | module | what it holds |
//! |---|---|
//! | [`args`], [`size`] | the command line |
//! | [`input`], [`pattern`], [`output`] | what IN and OUT are; the temporary place of the result |
//! | [`batch`], [`mod@upscale`] | several files; one file |
//! | [`reader`] | reading IN: decoded frames, and packets of other streams |
//! | [`stream_actions`] | whether a stream is copied, encoded or left out |
//! | [`filters`], [`colour`], [`hdr`] | frames before the element: deinterlacing, rotation, formats; colour descriptions |
//! | [`upscaler`] | the element |
//! | [`codecs`], [`encoder`], [`sound_encoder`], [`subtitles`] | encoding |
//! | [`container`], [`mod@file`], [`pictures`] | writing |
//! | [`segments`] | segments of a video, which other runs or machines upscale |
//! | [`plan`], [`finder`], [`models`], [`devices`], [`compare`] | the other commands |
//! | [`progress`], [`preview`], [`console`], [`signals`], [`failure`] | progress, messages, interruptions |
//! | [`av`] | FFmpeg's libraries |
//!
//! A run has three threads: one reads, decodes and filters, and pushes frames into the element; one pulls them out, encodes and writes;
//! the main thread shows progress and checks for signals. The element holds a bounded number of frames, so that memory does not
//! grow with the length of the video.

mod args;
mod av;
mod batch;
mod codecs;
mod colour;
mod compare;
mod console;
mod container;
mod devices;
mod encoder;
mod failure;
mod file;
mod filters;
mod finder;
mod hdr;
mod input;
mod models;
mod output;
mod pattern;
mod pictures;
mod plan;
mod preview;
mod progress;
mod reader;
mod segments;
mod signals;
mod size;
mod sound_encoder;
mod stream_actions;
mod subtitles;
mod upscale;
mod upscaler;

use std::io::Write;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use args::{Cli, Command, ProgressKind};
use console::{Console, say};
use failure::{Context, Result};

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli, &matches) {
        Ok(code) => code,
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

fn run(cli: Cli, matches: &ArgMatches) -> Result<ExitCode> {
    if let Some(Command::Models(models)) = &cli.command {
        let done = if models.analyse.is_empty() { models::list() } else { models::analyse(&models.analyse) };
        return done.map(|()| ExitCode::SUCCESS);
    }
    if let Some(Command::Devices) = &cli.command {
        return devices::list().map(|()| ExitCode::SUCCESS);
    }
    av::silence();
    signals::install()?;
    gst::init().context("GStreamer cannot be started")?;
    gstupscale::plugin_register_static().context("the plugin cannot be registered")?;
    match (cli.command, cli.upscale) {
        (Some(Command::Plan(args)), _) => plan::run(&args).map(|()| ExitCode::SUCCESS),
        (Some(Command::Compare(args)), _) => compare::run(&args).map(|()| ExitCode::SUCCESS),
        (Some(Command::Segments(action)), _) => {
            let given = |matches: &ArgMatches| matches.subcommand().map(|(_, matches)| segments::given(matches));
            let settings = matches.subcommand_matches("segments").and_then(given);
            segments::run(&action, settings.unwrap_or_default())
        }
        (_, Some(mut args)) => {
            args.settings = segments::given(matches);
            let console = Console::new(args.quiet, args.progress == ProgressKind::Auto);
            let (encoding, selection, fps) = (&cli.encoding, &cli.selection, cli.pictures.fps);
            let stage = upscale::Stage::Whole;
            batch::run(upscale::Options { upscale: &args, encoding, selection, fps, stage }, &console)
        }
        // Without a subcommand, clap requires IN and OUT.
        (_, None) => {
            let help = Cli::command().render_help();
            std::io::stdout().write_all(help.to_string().as_bytes()).ok();
            Ok(ExitCode::SUCCESS)
        }
    }
}
