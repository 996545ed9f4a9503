//! What the caps and tags of decoded frames say, and what follows from it for the encoder.

use gst::prelude::*;

use crate::output::PictureFormat;

/// From this quality on JPEGs keep colour at full resolution.
const FULL_CHROMA_QUALITY: u8 = 90;
/// Full range, BT.601 matrix; transfer and primaries are not said in a JPEG.
const JPEG_COLORIMETRY: &str = "1:4:0:0";

/// Whether frames hold two fields, or may.
pub fn is_interlaced(caps: &gst::Caps) -> bool {
    caps.structure(0)
        .and_then(|structure| structure.get::<&str>("interlace-mode").ok())
        .is_some_and(|mode| mode != "progressive")
}

/// How the picture is to be turned for viewing, if it is: the value of the `image-orientation` tag.
pub fn orientation(pad: &gst::Pad) -> Option<String> {
    let mut found = None;
    pad.sticky_events_foreach(|event| {
        if let gst::EventView::Tag(event) = event.view()
            && let Some(orientation) = event.tag().get::<gst::tags::ImageOrientation>()
        {
            found = Some(orientation.get().to_owned());
        }
        std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
    found.filter(|orientation| orientation != "rotate-0")
}

/// What frames of `format` are encoded in a video as; `None` leaves it to encoder and converter, which keep the format or
/// take the nearest to it.
///
/// Pictures and screen recordings come as RGB or grey. The nearest format an encoder takes would be 4:4:4 or monochrome,
/// which hardly any player shows.
pub fn video_caps(format: &str) -> Option<gst::Caps> {
    let deep = ["10", "12", "16", "64"].iter().any(|depth| format.contains(depth));
    let rgb = ["RGB", "BGR", "xRGB", "xBGR", "ARGB", "ABGR", "GBR", "r210"].iter().any(|name| format.starts_with(name));
    let formats = match (rgb || format.starts_with("GRAY"), deep) {
        (true, true) => gst::List::new(["I420_10LE", "P010_10LE", "I420", "NV12"]),
        (true, false) => gst::List::new(["I420", "NV12"]),
        (false, _) => return None,
    };
    Some(gst::Caps::builder("video/x-raw").field("format", formats).build())
}

/// What frames of `format` are stored in a picture as.
///
/// `quality` is that of a JPEG: where it is high, colour has the resolution of brightness.
pub fn picture_caps(format: &str, picture: PictureFormat, quality: u8) -> gst::Caps {
    let alpha = format.contains('A') && !format.starts_with("GRAY");
    let caps = gst::Caps::builder("video/x-raw");
    match picture {
        PictureFormat::Png if alpha => caps.field("format", "RGBA").build(),
        PictureFormat::Png if format.starts_with("GRAY16") => caps.field("format", "GRAY16_BE").build(),
        PictureFormat::Png if format == "GRAY8" => caps.field("format", "GRAY8").build(),
        PictureFormat::Png => caps.field("format", "RGB").build(),
        PictureFormat::Jpeg if format == "GRAY8" => caps.field("format", "GRAY8").build(),
        PictureFormat::Jpeg => {
            // The encoder takes YCbCr as it comes, but in a JPEG it is of full range and of BT.601, as video rarely is.
            let format = if quality >= FULL_CHROMA_QUALITY { "Y444" } else { "I420" };
            caps.field("format", format).field("colorimetry", JPEG_COLORIMETRY).build()
        }
    }
}

/// The HDR10 metadata of `video/x-raw` caps as x264's options: its GStreamer element does not pass them on.
pub fn x264_hdr_options(structure: &gst::StructureRef) -> Option<String> {
    let mut options = Vec::new();
    if let Some(display) = structure.get::<&str>("mastering-display-info").ok().and_then(x264_mastering_display) {
        options.push(format!("mastering-display={display}"));
    }
    if let Ok(light) = structure.get::<&str>("content-light-level") {
        options.push(format!("cll={}", light.replace(':', ",")));
    }
    (!options.is_empty()).then(|| options.join(":"))
}

/// GStreamer writes R, G, B and white point as x:y, then maximum and minimum luminance, all joined by colons; x264 wants
/// G, B, R. Both count chromaticity in 1/50000 and luminance in 1/10000 cd/m2.
fn x264_mastering_display(text: &str) -> Option<String> {
    let values: Vec<u32> = text.split(':').map(|value| value.parse().ok()).collect::<Option<_>>()?;
    let [rx, ry, gx, gy, bx, by, wx, wy, max, min] = values[..] else { return None };
    Some(format!("G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({max},{min})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn interlaced_caps_are_told() {
        gst::init().unwrap();
        for (mode, expected) in [("progressive", false), ("interleaved", true), ("mixed", true), ("fields", true)] {
            let caps = gst::Caps::from_str(&format!("video/x-raw, interlace-mode={mode}")).unwrap();
            assert_eq!(is_interlaced(&caps), expected);
        }
        assert!(!is_interlaced(&gst::Caps::new_empty_simple("video/x-raw")));
    }

    #[test]
    fn rgb_and_grey_are_encoded_in_a_format_players_know() {
        gst::init().unwrap();
        for (format, expected) in
            [("RGBA", "I420"), ("GRAY8", "I420"), ("GBR_10LE", "I420_10LE"), ("ARGB64", "I420_10LE")]
        {
            let caps = video_caps(format).unwrap();
            let formats = caps.structure(0).unwrap().get::<gst::List>("format").unwrap();
            assert_eq!(formats[0].get::<&str>(), Ok(expected), "{format}");
        }
        for format in ["I420", "NV12", "Y444", "I420_10LE", "P010_10LE", "YUY2"] {
            assert_eq!(video_caps(format), None, "{format}");
        }
    }

    #[test]
    fn pictures_keep_alpha_and_depth_where_they_can() {
        use PictureFormat::{Jpeg, Png};
        gst::init().unwrap();
        for (format, picture, expected) in [
            ("RGBA", Png, "RGBA"),
            ("ARGB64", Png, "RGBA"),
            ("A420", Png, "RGBA"),
            ("GRAY8", Png, "GRAY8"),
            ("GRAY16_LE", Png, "GRAY16_BE"),
            ("I420", Png, "RGB"),
            ("RGBA", Jpeg, "Y444"),
            ("GRAY8", Jpeg, "GRAY8"),
            ("GRAY16_LE", Jpeg, "Y444"),
        ] {
            let caps = picture_caps(format, picture, 92);
            assert_eq!(caps.structure(0).unwrap().get::<&str>("format"), Ok(expected), "{format} {picture:?}");
        }
        assert!(picture_caps("I420", Jpeg, 75).to_string().contains("I420"));
    }

    #[test]
    fn hdr_metadata_is_written_as_x264_reads_it() {
        gst::init().unwrap();
        let caps = gst::Caps::from_str(
            "video/x-raw, content-light-level=(string)1000:400, \
             mastering-display-info=(string)34000:16000:13250:34500:7500:3000:15635:16450:10000000:50",
        )
        .unwrap();
        assert_eq!(
            x264_hdr_options(caps.structure(0).unwrap()).unwrap(),
            "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):cll=1000,400"
        );
    }
}
