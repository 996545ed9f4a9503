//! How a picture's sample values map to colour.

/// Matrix, range and chroma siting of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colour {
    pub matrix: Matrix,
    pub range: Range,
    pub chroma_site: ChromaSite,
}

/// The luma weights of red and blue, which determine the whole Y'CbCr matrix.
///
/// The constants are those of ITU-T H.273, table 4 (MatrixCoefficients), and of GStreamer's
/// `gst_video_color_matrix_get_Kr_Kb`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    pub kr: f64,
    pub kb: f64,
}

impl Matrix {
    /// ITU-R BT.601-7, 2.5.1 (H.273: 5 and 6).
    pub const BT601: Matrix = Matrix { kr: 0.299, kb: 0.114 };
    /// ITU-R BT.709-6, 3.2 (H.273: 1).
    pub const BT709: Matrix = Matrix { kr: 0.2126, kb: 0.0722 };
    /// ITU-R BT.2020-2, table 4, non-constant luminance (H.273: 9).
    pub const BT2020: Matrix = Matrix { kr: 0.2627, kb: 0.0593 };
    /// SMPTE ST 240 (H.273: 7).
    pub const SMPTE240M: Matrix = Matrix { kr: 0.212, kb: 0.087 };
    /// United States FCC, Title 47 CFR 73.682 (a) (20) (H.273: 4).
    pub const FCC: Matrix = Matrix { kr: 0.30, kb: 0.11 };

    /// The luma weight of green.
    pub const fn kg(&self) -> f64 {
        1.0 - self.kr - self.kb
    }
}

/// The sample values of black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// 0 to 2^depth - 1.
    Full,
    /// 16 to 235 (chroma: 16 to 240), times 2^(depth - 8), with footroom and headroom.
    Limited,
}

/// Chroma sample positions relative to luma, per subsampled direction.
///
/// Cosited samples lie on every second luma sample, starting with the first. Others lie midway between two luma
/// samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChromaSite {
    pub h_cosited: bool,
    pub v_cosited: bool,
}

impl ChromaSite {
    /// Midway in both directions: MPEG-1, JPEG; GStreamer's `jpeg` and `none`.
    pub const JPEG: ChromaSite = ChromaSite { h_cosited: false, v_cosited: false };
    /// On luma columns, midway between rows: MPEG-2, H.264; GStreamer's `mpeg2`.
    pub const MPEG2: ChromaSite = ChromaSite { h_cosited: true, v_cosited: false };
    /// On luma samples: BT.2020; GStreamer's `cosited`.
    pub const COSITED: ChromaSite = ChromaSite { h_cosited: true, v_cosited: true };
}

/// Converts between sample values and normalised values: `sample = value * scale + offset`, within 0 to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Levels {
    /// Sample steps per unit.
    pub scale: f32,
    /// The sample value that represents zero.
    pub offset: f32,
    /// The largest sample value.
    pub max: f32,
}

impl Levels {
    /// Luma, R', G' and B': 0 is black, 1 is white (BT.601-7, 2.5.3; BT.2100-2, table 9).
    pub fn luma(range: Range, depth: u32) -> Levels {
        let max = max_code(depth);
        match range {
            Range::Full => Levels { scale: max, offset: 0.0, max },
            Range::Limited => Levels { scale: scaled(219, depth), offset: scaled(16, depth), max },
        }
    }

    /// Cb and Cr: 0 is neutral; the nominal range is -0.5 to 0.5.
    pub fn chroma(range: Range, depth: u32) -> Levels {
        let max = max_code(depth);
        match range {
            Range::Full => Levels { scale: max, offset: scaled(128, depth), max },
            Range::Limited => Levels { scale: scaled(224, depth), offset: scaled(128, depth), max },
        }
    }
}

impl Levels {
    /// Sample values without normalisation.
    pub fn codes(depth: u32) -> Levels {
        Levels { scale: 1.0, offset: 0.0, max: max_code(depth) }
    }

    /// Integer luma that a device returns, to be combined with the chroma of an R'G'B' picture of `depth` bits.
    ///
    /// It is finer than the picture's samples and covers values outside 0 to 1, because the chroma may bring those back
    /// into the gamut. Values outside the range become 0 or `max`; NaN becomes 0.
    ///
    /// Up to a depth of 12 it has 16 bits (-1 to 2), otherwise 24 bits (-4 to 12): see [`Levels::crosses_as_u16`].
    pub fn crossing(depth: u32) -> Levels {
        if Levels::crosses_as_u16(depth) {
            Levels { scale: 21_845.0, offset: 21_845.0, max: max_code(16) }
        } else {
            Levels { scale: 1_048_576.0, offset: 4_194_304.0, max: max_code(24) }
        }
    }

    pub fn crosses_as_u16(depth: u32) -> bool {
        depth <= 12
    }
}

fn max_code(depth: u32) -> f32 {
    ((1u32 << depth) - 1) as f32
}

fn scaled(code: u32, depth: u32) -> f32 {
    (code << (depth - 8)) as f32
}
