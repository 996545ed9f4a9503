//! The networks embedded in the plugin.

/// How expensive a network is, to help users choose one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// A resize filter: negligible cost.
    Filter,
    /// Real time for 360p video on a few CPU cores.
    Fast,
    /// Three to four times the cost of [`Speed::Fast`]: for a GPU, many cores, or offline processing.
    Quality,
}

impl Speed {
    /// The name shown to users.
    pub fn name(self) -> &'static str {
        match self {
            Speed::Filter => "filter",
            Speed::Fast => "fast",
            Speed::Quality => "quality",
        }
    }
}

/// A network embedded in the library.
#[derive(Debug, PartialEq, Eq)]
pub struct Builtin {
    /// The name used in the `model` property.
    pub name: &'static str,
    /// One line: what it is for.
    pub summary: &'static str,
    /// Output size divided by input size.
    pub scale: u32,
    pub speed: Speed,
    /// The contents of the ONNX file.
    pub onnx: &'static [u8],
    /// The same with its convolutions in 8-bit integers (QDQ), for processors with dot products of them.
    pub int8: Option<&'static [u8]>,
}

/// The model used if none is specified.
pub const DEFAULT: &str = "fast2x";

/// The built-in whose only file is `models/NAME.onnx`.
macro_rules! float_builtin {
    ($name:literal, $scale:literal, $speed:ident, $summary:literal) => {
        Builtin {
            name: $name,
            summary: $summary,
            scale: $scale,
            speed: Speed::$speed,
            onnx: include_bytes!(concat!("../../models/", $name, ".onnx")),
            int8: None,
        }
    };
}

/// The built-in whose files are `models/NAME.onnx` and `models/NAME-int8.onnx`.
macro_rules! builtin {
    ($name:literal, $scale:literal, $speed:ident, $summary:literal) => {
        Builtin {
            int8: Some(include_bytes!(concat!("../../models/", $name, "-int8.onnx"))),
            ..float_builtin!($name, $scale, $speed, $summary)
        }
    };
}

/// All built-in networks; `models/README.md` has the model cards.
pub static BUILTINS: &[Builtin] = &[
    builtin!("fast2x", 2, Fast, "clean sources: screens, animation, high-bitrate video"),
    builtin!("fast2x-compressed", 2, Fast, "compressed video: removes blocking and ringing too"),
    builtin!("quality2x", 2, Quality, "clean sources, the best picture"),
    builtin!("quality2x-compressed", 2, Quality, "compressed video, the best picture"),
    builtin!("quality3x", 3, Quality, "clean sources, the best picture"),
    builtin!("quality3x-compressed", 3, Quality, "compressed video, the best picture"),
    builtin!("quality4x", 4, Quality, "clean sources, the best picture"),
    builtin!("quality4x-compressed", 4, Quality, "compressed video, the best picture"),
    float_builtin!("lanczos2x", 2, Filter, "Lanczos-3 without learning, for tests and comparison"),
];

/// The built-in called `name`.
pub fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_exists_and_names_are_unique() {
        assert!(find(DEFAULT).is_some());
        for (index, builtin) in BUILTINS.iter().enumerate() {
            assert!(BUILTINS[index + 1..].iter().all(|other| other.name != builtin.name), "{}", builtin.name);
        }
    }
}
