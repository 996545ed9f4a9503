//! The networks that come with the plugin.
/// A network embedded in the library.
#[derive(Debug, PartialEq, Eq)]
pub struct Builtin {
    pub name: &'static str,
    /// One line for people: what it is for.
    pub summary: &'static str,
    pub scale: u32,
    pub onnx: &'static [u8],
}
pub const DEFAULT: &str = "lanczos2x";
pub static BUILTINS: &[Builtin] = &[];
pub fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|b| b.name == name)
}
