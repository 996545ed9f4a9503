//! The networks that come with the plugin.

/// A network embedded in the library.
#[derive(Debug, PartialEq, Eq)]
pub struct Builtin {
    /// What the `model` property calls it.
    pub name: &'static str,
    /// One line for people: what it is for.
    pub summary: &'static str,
    /// Output size over input size.
    pub scale: u32,
    /// The whole ONNX file.
    pub onnx: &'static [u8],
}

/// The one that is used where none is asked for.
pub const DEFAULT: &str = "lanczos2x";

/// All of them; `models/README.md` has their cards.
pub static BUILTINS: &[Builtin] = &[Builtin {
    name: "lanczos2x",
    summary: "Lanczos-3 enlargement by 2: no learning, for tests and comparison",
    scale: 2,
    onnx: include_bytes!("../../models/lanczos2x.onnx"),
}];

/// The built-in of that name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_there_and_names_are_unique() {
        assert!(find(DEFAULT).is_some());
        for (index, builtin) in BUILTINS.iter().enumerate() {
            assert!(BUILTINS[index + 1..].iter().all(|other| other.name != builtin.name), "{}", builtin.name);
        }
    }
}
