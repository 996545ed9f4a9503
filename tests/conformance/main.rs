//! What every element has to keep to: GStreamer's own generic element tests, made anew from what they are documented to check.

#[path = "../common/mod.rs"]
mod common;

mod neighbours;
mod properties;
mod states;
mod tools;

mod events;
mod negotiation;
mod queries;
