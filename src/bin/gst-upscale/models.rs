//! `gst-upscale models`

use std::io::Write;

use gstupscale::model::builtin;

use crate::failure::{Result, failed};

/// Prints a table of the built-in models.
pub fn list() -> Result<()> {
    let rows: Vec<[String; 3]> = builtin::BUILTINS
        .iter()
        .map(|model| [model.name.to_owned(), format!("x{}", model.scale), model.summary.to_owned()])
        .collect();
    let table = table(&["NAME", "SCALE", "WHAT IT IS"], &rows);
    match std::io::stdout().write_all(table.as_bytes()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => failed(format!("cannot print: {error}")),
        _ => Ok(()),
    }
}

/// Columns wide enough for what they hold, two blanks apart.
fn table<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> String {
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
