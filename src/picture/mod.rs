//! Pictures in memory: formats, planes, regions, and conversion between pixels and tensors.
//!
//! | module | contents |
//! |---|---|
//! | [`mod@format`] | the formats' names and memory layouts |
//! | [`view`] | checked views of a picture's planes |
//! | [`colour`] | matrix, range, chroma siting |
//! | [`region`], `span` | division of a frame into regions, and its arithmetic |
//! | [`convert`] | the [`Converter`](convert::Converter); its methods are in the next four modules |
//! | `to_tensor`, `from_tensor` | pixels to the network's input; the network's output to pixels |
//! | `passthrough_planes` | alpha, and chroma beside a luma network: resized by `lanczos` |
//! | `unchanged` | copies unchanged pixels from the previous result |
//! | [`device_conversion`], [`device_tensors`] | raw samples as integer tensors, for devices that convert |
//! | `samples`, `matrix`, `siting` | row loops: samples to and from `f32`, colour matrix, chroma resampling |
//! | [`paint`] | outlines for `show-updates` |
//! | [`feather`] | blends adjacent regions whose results differ |
//! | [`detail`] | how much detail each block of a picture has |
//! | [`smooth`] | resizing parts of a frame by Lanczos instead of the network |

pub mod colour;
pub mod convert;
pub mod detail;
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
pub mod smooth;
mod span;
mod to_tensor;
mod unchanged;

#[cfg(test)]
pub(crate) mod tests;
