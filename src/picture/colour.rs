//! What the codes of a picture mean as colour.

/// Matrix, range and chroma siting of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colour {
    pub matrix: Matrix,
    pub range: Range,
    pub chroma_site: ChromaSite,
}

/// The luma weights of red and blue, from which the whole Y'CbCr matrix follows.
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

/// Which codes stand for black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// 0 to 2^depth - 1.
    Full,
    /// 16 to 235 (chroma: 16 to 240), times 2^(depth - 8), with foot- and headroom beyond.
    Limited,
}

/// Where chroma samples lie between those of luma, in directions in which chroma is subsampled.
///
/// Cosited: on every second luma sample, from the first on. Otherwise in the middle of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChromaSite {
    pub h_cosited: bool,
    pub v_cosited: bool,
}

impl ChromaSite {
    /// In the middle of both directions: MPEG-1, JPEG; GStreamer's `jpeg` and `none`.
    pub const JPEG: ChromaSite = ChromaSite { h_cosited: false, v_cosited: false };
    /// On the luma's column, between its rows: MPEG-2, H.264; GStreamer's `mpeg2`.
    pub const MPEG2: ChromaSite = ChromaSite { h_cosited: true, v_cosited: false };
    /// On a luma sample: BT.2020; GStreamer's `cosited`.
    pub const COSITED: ChromaSite = ChromaSite { h_cosited: true, v_cosited: true };
}

/// How codes and normalised values relate: `code = value * scale + offset`, within 0 to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Levels {
    /// PixelEncoding per unit.
    pub scale: f32,
    /// The code of value zero.
    pub offset: f32,
    /// The largest code.
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

    /// Cb and Cr: 0 is neutral, the nominal range is -0.5 to 0.5.
    pub fn chroma(range: Range, depth: u32) -> Levels {
        let max = max_code(depth);
        match range {
            Range::Full => Levels { scale: max, offset: scaled(128, depth), max },
            Range::Limited => Levels { scale: scaled(224, depth), offset: scaled(128, depth), max },
        }
    }
}

impl Levels {
    /// PixelEncoding as they are.
    pub fn codes(depth: u32) -> Levels {
        Levels { scale: 1.0, offset: 0.0, max: max_code(depth) }
    }

    /// Luma that crosses from a device as an integer, to be put together with the chroma of an R'G'B' picture of `depth` bits: finer than
    /// the picture's codes, with room for values beyond 0 and 1, which that chroma may bring back into the gamut. Code 0 and the largest
    /// stand for all that is beyond, and 0 for what is no number.
    ///
    /// It is of 16 bits (-1 to 2) up to a depth of 12, else of 24 (-4 to 12): see [`Levels::crosses_as_u16`].
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
