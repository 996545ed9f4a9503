//! The options of a run, as texts that another run reads again.

use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, Parser};

use super::manifest::Manifest;
use crate::args::Cli;
use crate::failure::{Context, Result, failed};
use crate::upscale::{Options, Stage};

/// Options that say how to run, and nothing about the result.
const OF_THE_RUN: [&str; 5] = ["overwrite", "progress", "quiet", "resume", "strict"];
/// Options that may differ between machines: the result is the same.
const OF_THE_MACHINE: [&str; 7] =
    ["cache-size", "device-id", "fallback", "max-in-flight", "memory-limit", "tile-size", "workers"];

/// The options that were given, in a fixed order: `--size=2x`.
pub fn given(matches: &ArgMatches) -> Vec<String> {
    let mut all = Vec::new();
    for argument in Cli::command().get_arguments() {
        let (id, Some(name)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
        let is_there = matches.try_contains_id(id).unwrap_or(false);
        if OF_THE_RUN.contains(&name) || !is_there || matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        if !argument.get_action().takes_values() {
            all.push(format!("--{name}"));
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            let path = (name == "model").then(|| std::fs::canonicalize(value).ok()).flatten();
            let value = path.as_deref().map_or(value, Path::as_os_str).to_string_lossy();
            all.push(format!("--{name}={value}"));
        }
    }
    all
}

/// Leaves out what may differ between machines. The model has a hash of its own.
pub fn of_the_result(settings: &[String]) -> Vec<String> {
    let name = |text: &String| text.trim_start_matches('-').split('=').next().unwrap_or_default().to_owned();
    let is_kept = |text: &&String| !OF_THE_MACHINE.contains(&name(text).as_str()) && name(text) != "model";
    settings.iter().filter(is_kept).cloned().collect()
}

/// Options that were read again.
pub struct Settings(Cli);

impl Settings {
    pub fn parse(manifest: &Manifest, input: Option<&Path>, model: Option<&Path>, quiet: bool) -> Result<Self> {
        let input = input.unwrap_or(&manifest.input.path).to_string_lossy().into_owned();
        // What is in the place of a segment is no segment if it has no record.
        let mut words = vec!["gst-upscale".to_owned(), "--overwrite".to_owned()];
        words.extend(manifest.settings.iter().filter(|text| model.is_none() || !text.starts_with("--model=")).cloned());
        words.extend(model.map(|model| format!("--model={}", model.display())));
        words.extend(quiet.then(|| "--quiet".to_owned()));
        words.extend(["--".to_owned(), input, format!("out.{}", manifest.format)]);
        let cli = Cli::try_parse_from(words).context("the manifest's settings are not those of this version")?;
        if cli.upscale.is_none() { failed("the manifest has no settings") } else { Ok(Settings(cli)) }
    }

    pub fn options<'a>(&'a self, stage: Stage<'a>) -> Result<Options<'a>> {
        let upscale = self.0.upscale.as_ref().context("the manifest has no settings")?;
        Ok(Options { upscale, encoding: &self.0.encoding, selection: &self.0.selection, fps: None, stage })
    }

    pub fn input(&self) -> Result<&Path> {
        Ok(&self.options(Stage::Whole)?.upscale.inputs()[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Vec<String> {
        given(&Cli::command().try_get_matches_from(words.split(' ')).unwrap())
    }

    #[test]
    fn settings_are_those_that_were_given_in_one_order() {
        let all = of("gst-upscale --crf 20 -q --size 2x --workers 3 --audio-streams 1,de a.mkv b.mkv");
        assert_eq!(all, ["--workers=3", "--size=2x", "--crf=20", "--audio-streams=1", "--audio-streams=de"]);
        assert_eq!(all, of("gst-upscale --size=2x --audio-streams 1,de --workers=3 --crf=20 --strict a.mkv b.mkv"));
        assert_eq!(of_the_result(&all), all[1..]);
        let again: Vec<String> =
            ["gst-upscale".into()].into_iter().chain(all.clone()).chain(["a".into(), "b".into()]).collect();
        assert_eq!(of(&again.join(" ")), all);
    }
}
