//! What GStreamer expects of every element: checks like those of its generic element tests, written from their documentation.

#[path = "../common/mod.rs"]
mod common;

mod neighbours;
mod properties;
mod states;
mod tools;

mod events;
mod negotiation;
mod queries;
