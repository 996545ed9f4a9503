//! The size of the result.

/// A size as given by the user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    Exact {
        width: i32,
        height: i32,
    },
    /// The number of rows; the width follows from the shape.
    Rows(i32),
    /// A multiple of the input size.
    Times(f64),
}

/// The longest side that FFmpeg supports.
const MAX_SIDE: i32 = 65535;

/// Reads `1920x1080`, `1080p` or `2x`.
pub fn parse(text: &str) -> Result<Size, String> {
    let wrong = || "expected a size such as 1920x1080, 1080p or 2x".to_owned();
    let side = |text: &str| text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side)).ok_or_else(wrong);
    let text = text.trim().to_ascii_lowercase();
    if let Some(rows) = text.strip_suffix('p') {
        return Ok(Size::Rows(side(rows)?));
    }
    if let Some(times) = text.strip_suffix('x') {
        let times: f64 = times.parse().map_err(|_| wrong())?;
        return if (0.01..=64.0).contains(&times) { Ok(Size::Times(times)) } else { Err(wrong()) };
    }
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    Ok(Size::Exact { width: side(width)?, height: side(height)? })
}

impl Size {
    /// The width and height for an input of this size.
    pub fn of(self, width: i32, height: i32) -> (i32, i32) {
        let times = |side: i32, factor: f64| (f64::from(side) * factor).round().clamp(1.0, f64::from(MAX_SIDE)) as i32;
        match self {
            Size::Exact { width, height } => (width, height),
            // 4:2:0 needs an even width.
            Size::Rows(rows) => (times(width, f64::from(rows) / f64::from(height) / 2.0) * 2, rows),
            Size::Times(factor) => (times(width, factor), times(height, factor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_applied() {
        for (text, expected) in
            [("1920x1080", (1920, 1080)), ("1080p", (1920, 1080)), ("2x", (1280, 720)), ("1.5X", (960, 540))]
        {
            assert_eq!(parse(text).unwrap().of(640, 360), expected, "{text}");
        }
        assert_eq!(parse("1080p").unwrap().of(161, 121), (1438, 1080));
        for text in ["", "x", "0x10", "1080", "-1p", "99999x2", "nanx", "1x2x3"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
