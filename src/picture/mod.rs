//! Pictures in memory: formats, planes, regions, and the way from pixels to tensors and back.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@format`] | the formats' names and their layout in memory |
//! | [`view`] | checked views of a picture's planes |
//! | [`colour`] | matrix, range, chroma siting |
//! | [`region`] | cutting a frame into regions |
//! | [`convert`] | the converter: pixels to tensors and back |
//! | [`codes`], [`exchange`] | pixels for a device that converts |
//! | [`paint`] | marks for people who want to see what is done |
//! | [`feather`] | blending of regions that do not fit together by themselves |
//!
//! Within the converter, `gather` goes from pixels to the tensor, `scatter` from the tensor to pixels, and `begin` makes
//! what the network has no say in; `unchanged` copies what is as it was before, and `codes` stands in for `gather` and `scatter` where a
//! device converts. The others work row by row on planar `f32`, with the loops of `samples` (codes to and from `f32`), `matrix` (colour) and `siting` (chroma to and from luma's grid); `lanczos` holds the resizing
//! of planes that the network does not see. `span` is the arithmetic behind `region`.

pub mod codes;
pub mod colour;
pub mod convert;
pub mod exchange;
pub mod feather;
pub mod format;
pub mod paint;
pub mod region;
pub mod view;

mod begin;
mod gather;
mod lanczos;
pub(crate) mod matrix;
pub(crate) mod samples;
mod scatter;
pub(crate) mod siting;
mod span;
mod unchanged;

#[cfg(test)]
pub(crate) mod tests;
