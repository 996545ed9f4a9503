//! Making elements, and saying which package brings one that is missing.

use crate::failure::{Failure, Result};

/// Makes an element, or says which package it is in.
pub fn make(factory: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(factory).build().map_err(|_| missing(factory))
}

/// What to say when an element is not there.
pub fn missing(factory: &str) -> Failure {
    Failure::Failed(format!("GStreamer's element {factory} is missing: {}", advice(factory)))
}

/// How to get an element.
fn advice(factory: &str) -> String {
    match package(factory) {
        Some(package) => format!("sudo apt install {package}"),
        None => "install the GStreamer plugin that has it".to_owned(),
    }
}

/// The package of Debian and Ubuntu an element is in.
fn package(factory: &str) -> Option<&'static str> {
    Some(match factory {
        "filesrc" | "filesink" | "multiqueue" | "capsfilter" => "libgstreamer1.0-0",
        "parsebin" | "decodebin" | "videoconvert" | "appsrc" | "appsink" => "gstreamer1.0-plugins-base",
        "mp4mux" | "qtmux" | "matroskamux" | "webmmux" | "vp8enc" | "vp9enc" | "pngenc" | "jpegenc" | "deinterlace"
        | "videoflip" | "aacparse" | "ac3parse" | "flacparse" | "mpegaudioparse" | "dcaparse" => {
            "gstreamer1.0-plugins-good"
        }
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "x265enc" | "av1enc" | "svtav1enc" | "h264parse" | "h265parse" | "av1parse" | "vp9parse" | "opusparse"
        | "openh264enc" => "gstreamer1.0-plugins-bad",
        _ if factory.starts_with("av") => "gstreamer1.0-libav",
        _ if factory.starts_with("nv") || factory.starts_with("va") || factory.starts_with("qsv") => {
            "gstreamer1.0-plugins-bad"
        }
        _ => return None,
    })
}

/// What to say when no decoder or demuxer is there; `description` is GStreamer's, as in "H.265 (Main Profile) decoder".
pub fn missing_for(input: &std::path::Path, description: &str) -> Failure {
    let packages = if description.contains("decoder") {
        "gstreamer1.0-libav gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
    } else {
        "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
    };
    Failure::Failed(format!(
        "{} needs a GStreamer plugin that is not installed ({description}): sudo apt install {packages}",
        input.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_element_names_its_package() {
        assert!(missing("x264enc").to_string().ends_with("sudo apt install gstreamer1.0-plugins-ugly"));
        assert!(missing("avenc_ffv1").to_string().contains("gstreamer1.0-libav"));
        assert!(missing("nosuchthing").to_string().contains("install the GStreamer plugin"));
    }
}
