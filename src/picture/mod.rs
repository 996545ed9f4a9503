//! Pictures in memory: formats, planes, regions, and the conversion from pixels to tensors and back.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@format`] | the formats' names and their layout in memory |
//! | [`view`] | checked views of a picture's planes |
//! | [`colour`] | matrix, range, chroma siting |
//! | [`region`], `span` | cutting a frame into regions, and the arithmetic of it |
//! | [`convert`] | the [`Converter`](convert::Converter), with its parts in the next four modules |
//! | `to_tensor`, `from_tensor` | pixels to the network's input; its output to pixels |
//! | `passthrough_planes` | chroma beside a luma network, and alpha: resized by `lanczos` |
//! | `unchanged` | copying what has not changed from the previous result |
//! | [`device_conversion`], [`device_tensors`] | the samples themselves as integer tensors, for a device that converts |
//! | `samples`, `matrix`, `siting` | loops over rows: samples to and from `f32`, colour, chroma to and from luma's grid |
//! | [`paint`] | the outlines of `show-updates` |
//! | [`feather`] | blending of regions whose results differ where they meet |

pub mod colour;
pub mod convert;
pub mod device_conversion;
pub mod device_tensors;
pub mod feather;
pub mod format;
pub mod paint;
pub mod region;
pub mod view;

mod from_tensor;
mod lanczos;
pub(crate) mod matrix;
mod passthrough_planes;
pub(crate) mod samples;
pub(crate) mod siting;
mod span;
mod to_tensor;
mod unchanged;

#[cfg(test)]
pub(crate) mod tests;
