//! `gst-upscale`: upscales a file from the command line with the element `upscalefilter`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`args`] | the command line |
//! | [`input`], [`pattern`], [`output`] | what IN and OUT are; the temporary place of the result |
//! | [`upscale`], [`plan`], [`models`], [`devices`] | what the command does |
//! | [`finder`] | what reuse would find, for a plan |
//! | [`source`], [`streams`], [`timing`], [`subtitles`], [`probes`] | from a file to decoded frames and kept streams |
//! | [`chain`], [`frames`], [`encoder`], [`container`], [`pictures`], [`mp4`], [`matroska`] | from decoded frames to the result |
//! | [`upscaler`] | the element, configured |
//! | [`mod@run`], [`shared`], [`progress`], [`interrupt`] | running it, watching it, ending it |
//! | [`failure`], [`elements`] | what to say when something is wrong |

mod args;
mod chain;
mod container;
mod devices;
mod elements;
mod encoder;
mod failure;
mod finder;
mod frames;
mod input;
mod interrupt;
mod matroska;
mod models;
mod mp4;
mod output;
mod pattern;
mod pictures;
mod plan;
mod probes;
mod progress;
mod run;
mod shared;
mod source;
mod streams;
mod subtitles;
mod timing;
mod upscale;
mod upscaler;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::{Failure, Result};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("gst-upscale: {failure}");
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    if let Some(Command::Models(models)) = &cli.command {
        return if models.analyse.is_empty() { models::list() } else { models::analyse(&models.analyse) };
    }
    if let Some(Command::Devices) = &cli.command {
        return devices::list();
    }
    gst::init().map_err(|error| Failure::Failed(format!("GStreamer cannot be started: {error}")))?;
    gstupscale::plugin_register_static()
        .map_err(|error| Failure::Failed(format!("the plugin cannot be registered: {error}")))?;
    interrupt::install()?;
    match (cli.command, cli.upscale) {
        (Some(Command::Plan(args)), _) => plan::run(&args),
        (_, Some(args)) => upscale::run(&args, &cli.encoding, cli.pictures.fps),
        // clap asks for IN and OUT where there is no subcommand.
        (_, None) => Cli::command().print_help().or_else(|error| failure::failed(error.to_string())),
    }
}
