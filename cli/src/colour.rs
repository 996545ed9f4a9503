//! Colour descriptions: range, matrix, primaries, transfer, chroma siting.

use ffi::AVColorRange::AVCOL_RANGE_JPEG;
use ffi::AVColorSpace::{AVCOL_SPC_BT709, AVCOL_SPC_RGB, AVCOL_SPC_SMPTE170M, AVCOL_SPC_UNSPECIFIED};
use ffi::{AVChromaLocation, AVColorPrimaries, AVColorRange, AVColorSpace, AVColorTransferCharacteristic};

use crate::av::{Encoder, Frame, PixelFormat};

/// Players take unspecified video with more rows than this for BT.709.
const MAX_SD_ROWS: i32 = 576;

/// The description in a frame or stream; each part may be unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    pub range: AVColorRange,
    pub matrix: AVColorSpace,
    pub primaries: AVColorPrimaries,
    pub transfer: AVColorTransferCharacteristic,
    pub site: AVChromaLocation,
}

impl Colour {
    pub fn of(frame: &Frame) -> Self {
        Colour {
            range: frame.color_range,
            matrix: frame.colorspace,
            primaries: frame.color_primaries,
            transfer: frame.color_trc,
            site: frame.chroma_location,
        }
    }

    /// Applies it to a frame.
    pub fn describe(self, frame: &mut Frame) {
        frame.color_range = self.range;
        frame.colorspace = self.matrix;
        frame.color_primaries = self.primaries;
        frame.color_trc = self.transfer;
        frame.chroma_location = self.site;
    }

    /// Applies it to an encoder that is not open yet.
    pub fn describe_encoder(self, encoder: &mut Encoder) {
        encoder.color_range = self.range;
        encoder.colorspace = self.matrix;
        encoder.color_primaries = self.primaries;
        encoder.color_trc = self.transfer;
        encoder.chroma_sample_location = self.site;
    }

    pub fn is_full(self) -> bool {
        self.range == AVCOL_RANGE_JPEG
    }

    /// The matrix, guessed from the number of rows if unspecified.
    pub fn known_matrix(self, rows: i32) -> AVColorSpace {
        match self.matrix {
            AVCOL_SPC_UNSPECIFIED if rows > MAX_SD_ROWS => AVCOL_SPC_BT709,
            AVCOL_SPC_UNSPECIFIED => AVCOL_SPC_SMPTE170M,
            matrix => matrix,
        }
    }

    /// The description after upscaling: an unspecified matrix is specified if players would guess another one from the
    /// larger size.
    pub fn enlarged(self, format: PixelFormat, rows: i32, enlarged_rows: i32) -> Self {
        let known = self.known_matrix(rows);
        let guessed = format.is_rgb() || known == self.known_matrix(enlarged_rows);
        Colour { matrix: if guessed { self.matrix } else { known }, ..self }
    }
}

/// Applies the container's description to a frame: if both are specified, players prefer the container's. VP8, for example, can
/// signal only one value.
pub fn describe_by_container(frame: &mut Frame, parameters: &ffi::AVCodecParameters) {
    if parameters.color_range != AVColorRange::AVCOL_RANGE_UNSPECIFIED {
        frame.color_range = parameters.color_range;
    }
    if parameters.color_space != AVCOL_SPC_UNSPECIFIED {
        frame.colorspace = parameters.color_space;
    }
    if parameters.color_primaries != AVColorPrimaries::AVCOL_PRI_UNSPECIFIED {
        frame.color_primaries = parameters.color_primaries;
    }
    if parameters.color_trc != AVColorTransferCharacteristic::AVCOL_TRC_UNSPECIFIED {
        frame.color_trc = parameters.color_trc;
    }
    if parameters.chroma_location != AVChromaLocation::AVCHROMA_LOC_UNSPECIFIED {
        frame.chroma_location = parameters.chroma_location;
    }
}

/// Replaces the deprecated yuvj formats, which imply full range, by the yuv formats with the range in the frame.
pub fn without_jpeg_format(frame: &mut Frame) {
    let name = frame.pixel_format().name();
    if let Some(plain) = name.strip_prefix("yuvj").and_then(|rest| PixelFormat::from_name(&format!("yuv{rest}"))) {
        frame.format = plain.0 as i32;
        frame.color_range = AVCOL_RANGE_JPEG;
    }
}

/// A filter that converts pixels from one format and colour description to another.
pub fn conversion(from: (PixelFormat, Colour), to: (PixelFormat, Colour), rows: i32) -> String {
    let matrix = |(format, colour): (PixelFormat, Colour)| {
        // RGB has no matrix; swscale needs that of the other side.
        let colour = if format.is_rgb() { None } else { Some(colour) };
        colour.and_then(|colour| matrix_name(colour.known_matrix(rows)))
    };
    let range = |(format, colour): (PixelFormat, Colour)| {
        if format.is_rgb() || colour.is_full() { "full" } else { "limited" }
    };
    let (inner, outer) = (matrix(from).or(matrix(to)), matrix(to).or(matrix(from)));
    let mut filter = format!("scale=in_range={}:out_range={}", range(from), range(to));
    if let (Some(inner), Some(outer)) = (inner, outer) {
        filter += &format!(":in_color_matrix={inner}:out_color_matrix={outer}");
    }
    filter + &format!(":flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format={}", to.0.name())
}

/// The name of a matrix in the filter `scale`, if it has one.
fn matrix_name(matrix: AVColorSpace) -> Option<&'static str> {
    match matrix {
        AVCOL_SPC_BT709 => Some("bt709"),
        AVCOL_SPC_SMPTE170M | AVColorSpace::AVCOL_SPC_BT470BG => Some("smpte170m"),
        AVColorSpace::AVCOL_SPC_FCC => Some("fcc"),
        AVColorSpace::AVCOL_SPC_SMPTE240M => Some("smpte240m"),
        AVColorSpace::AVCOL_SPC_BT2020_NCL | AVColorSpace::AVCOL_SPC_BT2020_CL => Some("bt2020"),
        _ => None,
    }
}

/// The description after a conversion between R'G'B' and Y'CbCr.
pub fn converted(colour: Colour, from: PixelFormat, to: PixelFormat, rows: i32) -> Colour {
    match (from.is_rgb(), to.is_rgb()) {
        (false, true) => Colour { range: AVCOL_RANGE_JPEG, matrix: AVCOL_SPC_RGB, ..colour },
        (true, false) => {
            let unspecified = Colour { matrix: AVCOL_SPC_UNSPECIFIED, ..colour };
            let range = AVColorRange::AVCOL_RANGE_MPEG;
            Colour { range, matrix: unspecified.known_matrix(rows), ..colour }
        }
        _ => colour,
    }
}

/// GStreamer's form of it.
pub fn colorimetry(colour: Colour, format: PixelFormat, rows: i32) -> gst_video::VideoColorimetry {
    use gst_video::{VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoTransferFunction};
    let matrix = if format.is_rgb() {
        VideoColorMatrix::Rgb
    } else {
        VideoColorMatrix::from_iso(colour.known_matrix(rows) as u32)
    };
    let full = format.is_rgb() || colour.is_full();
    let range = if full { VideoColorRange::Range0_255 } else { VideoColorRange::Range16_235 };
    gst_video::VideoColorimetry::new(
        range,
        if matrix == VideoColorMatrix::Unknown { VideoColorMatrix::Bt709 } else { matrix },
        VideoTransferFunction::from_iso(colour.transfer as u32),
        VideoColorPrimaries::from_iso(colour.primaries as u32),
    )
}

/// GStreamer's form of the chroma siting; the default is MPEG-2's, as for decoders.
pub fn chroma_site(colour: Colour) -> gst_video::VideoChromaSite {
    use AVChromaLocation::{
        AVCHROMA_LOC_BOTTOM, AVCHROMA_LOC_BOTTOMLEFT, AVCHROMA_LOC_CENTER, AVCHROMA_LOC_TOP, AVCHROMA_LOC_TOPLEFT,
    };
    use gst_video::VideoChromaSite as Site;
    match colour.site {
        AVCHROMA_LOC_CENTER => Site::JPEG,
        AVCHROMA_LOC_TOPLEFT => Site::COSITED,
        AVCHROMA_LOC_TOP => Site::V_COSITED,
        AVCHROMA_LOC_BOTTOMLEFT => Site::H_COSITED | Site::ALT_LINE,
        AVCHROMA_LOC_BOTTOM => Site::JPEG | Site::ALT_LINE,
        _ => Site::MPEG2,
    }
}
