//! `gst-upscale models`

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use gstupscale::model::graph::{self, Analysis, Locality, ReceptiveField};
use gstupscale::model::{self, LoadOptions, Source, builtin};
use gstupscale::reuse::Sensitivity;
use gstupscale::types::{Provider, Size};

use crate::failure::{Result, failed};

/// Prints a table of the built-in models.
pub fn list() -> Result<()> {
    let rows: Vec<[String; 5]> = builtin::BUILTINS
        .iter()
        .map(|model| {
            let default = if model.name == builtin::DEFAULT { " (the default)" } else { "" };
            [
                model.name.to_owned(),
                format!("x{}", model.scale),
                model.speed.name().to_owned(),
                format!("{:.0} kB", model.onnx.len() as f64 / 1000.0),
                format!("{}{default}", model.summary),
            ]
        })
        .collect();
    print(&table(&["NAME", "SCALE", "SPEED", "SIZE", "FOR"], &rows))
}

/// The `detail-tolerance` for which the table says what the network needs.
const TOLERANCE: u32 = 2;

/// Prints a table of what these files' graphs contain, and of what the networks do to sample pictures. Reports files that cannot be read, and fails if there are any.
pub fn analyse(files: &[PathBuf]) -> Result<()> {
    let mut rows = Vec::new();
    let mut unread = 0;
    for file in files {
        match read(file) {
            Ok(analysis) => rows.push(row(file, &analysis, sensitivity(file).as_ref())),
            Err(reason) => {
                crate::console::say(&format!("{}: {reason}", file.display()));
                unread += 1;
            }
        }
    }
    if !rows.is_empty() {
        print(&table(
            &["FILE", "CHANNELS", "SCALE", "RADIUS", "MULTIPLE", "ALIGNMENT", "NEEDS", "DETAIL", "OPERATORS"],
            &rows,
        ))?;
    }
    match unread {
        0 => Ok(()),
        1 => failed("one file could not be analysed"),
        _ => failed(format!("{unread} files could not be analysed")),
    }
}

/// Reads a model's graph; nothing runs.
pub fn read(file: &Path) -> std::result::Result<Analysis, String> {
    let bytes = match Source::parse(file) {
        Source::Builtin(builtin) => Bytes::from_static(builtin.onnx),
        Source::File(path) => fs::read(path).map_err(|error| error.to_string())?.into(),
    };
    graph::analyse(bytes, None)
}

/// What the network makes of sample pictures; `None` if it does not run on the CPU, or not on parts of frames.
fn sensitivity(file: &Path) -> Option<Sensitivity> {
    let options = LoadOptions { provider: Provider::Cpu, ..LoadOptions::default() };
    let model = model::load(&Source::parse(file), options).ok()?;
    if model.info().fixed_size.is_some() || model.info().local().is_none() {
        return None;
    }
    Sensitivity::measure(model.info(), &mut *model.open_session().ok()?).ok()
}

/// NEEDS are the pixels around a part that matter within [`TOLERANCE`], DETAIL is the threshold for it.
fn row(file: &Path, analysis: &Analysis, sensitivity: Option<&Sensitivity>) -> [String; 9] {
    let known = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let operators: Vec<String> =
        analysis.operators.iter().map(|(operator, count)| format!("{operator} {count}")).collect();
    let (multiple, alignment, radius) = match &analysis.locality {
        Locality::Local(local) => (size(analysis.multiple), size(local.alignment), reach(local.receptive_field)),
        Locality::Global { reason } => ("?".into(), "?".into(), format!("not local: {reason}")),
    };
    let scale = analysis.scale.map_or_else(|| "?".to_owned(), |scale| format!("x{scale}"));
    let needs = known(sensitivity.map(|sensitivity| sensitivity.radius(TOLERANCE)));
    let detail = sensitivity.map_or_else(
        || "?".to_owned(),
        |sensitivity| {
            let threshold = sensitivity.threshold(TOLERANCE);
            threshold.map_or_else(|| "none".to_owned(), |threshold| threshold.enter.to_string())
        },
    );
    let channels = known(analysis.channels);
    let file = file.display().to_string();
    [file, channels, scale, radius, multiple, alignment, needs, detail, operators.join(", ")]
}

/// One number where both are the same.
fn size(size: Size) -> String {
    if size.width == size.height { size.width.to_string() } else { format!("{}x{}", size.width, size.height) }
}

/// One number where all sides are the same.
fn reach(reach: ReceptiveField) -> String {
    let ReceptiveField { left, right, top, bottom } = reach;
    if [left, right, top].iter().all(|side| *side == bottom) {
        return bottom.to_string();
    }
    format!("{} (left {left}, right {right}, top {top}, bottom {bottom})", reach.radius())
}

pub fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // The reader closed the pipe: it has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => failed(format!("cannot print: {error}")),
        _ => Ok(()),
    }
}

/// Columns wide enough for what they hold, two blanks apart.
pub fn table<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(heads[column].len());
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |cells: [&str; N]| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let rows = rows.iter().map(|row| line(std::array::from_fn(|column| row[column].as_str())));
    std::iter::once(line(*heads)).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["long-name".to_owned(), "x2".to_owned()], ["a".to_owned(), "x4".to_owned()]];
        assert_eq!(table(&["N", "S"], &rows), "N          S\nlong-name  x2\na          x4\n");
    }
}
