//! The raw video formats that the plugin supports, described without GStreamer.

use crate::types::Size;

pub use super::colour::{ChromaSite, Colour, Matrix, Range};
pub use super::view::{PictureError, PictureMut, PictureRef};

/// A raw video format, with GStreamer's name and memory layout (`GstVideoFormat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    Gray8,
    Gray16Le,
    I420,
    Yv12,
    Nv12,
    Nv21,
    Y42b,
    Y444,
    I42010Le,
    I42210Le,
    Y44410Le,
    P01010Le,
    I42012Le,
    Rgb,
    Bgr,
    Rgbx,
    Bgrx,
    Xrgb,
    Xbgr,
    Rgba,
    Bgra,
    Argb,
    Abgr,
    Gbr,
    Gbr10Le,
    Rgbp,
    Rgba64Le,
}

/// What the components of a format are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Luma alone.
    Gray,
    /// Y'CbCr.
    Yuv,
    /// R'G'B'.
    Rgb,
}

/// The position of one component in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    pub plane: usize,
    /// Bytes from the plane's start to the first sample.
    pub offset: usize,
    /// Bytes from one sample to the next in a row; the size of one pixel of the plane.
    pub step: usize,
}

/// A format's memory layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub kind: Kind,
    /// Significant bits of a sample.
    pub depth: u32,
    /// The position of the sample's lowest bit in its bytes (6 for P010, otherwise 0).
    pub shift: u32,
    /// Bytes per sample: 1, or 2 (little endian).
    pub bytes: usize,
    /// Whether chroma has half the luma's columns (rounded up).
    pub h_sub: bool,
    /// Whether chroma has half the luma's rows (rounded up).
    pub v_sub: bool,
    pub planes: usize,
    /// Y, Cb, Cr or R, G, B; for gray, three times the same component.
    pub components: [Component; 3],
    pub alpha: Option<Component>,
    /// An unused byte in each pixel.
    pub padding: Option<Component>,
}

const fn component(plane: usize, offset: usize, step: usize) -> Component {
    Component { plane, offset, step }
}

const fn gray(depth: u32, bytes: usize) -> Layout {
    Layout {
        kind: Kind::Gray,
        depth,
        shift: 0,
        bytes,
        h_sub: false,
        v_sub: false,
        planes: 1,
        components: [component(0, 0, bytes); 3],
        alpha: None,
        padding: None,
    }
}

/// Three planes; `order` gives the plane of each component.
const fn planar(kind: Kind, depth: u32, sub: (bool, bool), order: [usize; 3]) -> Layout {
    let bytes = if depth > 8 { 2 } else { 1 };
    Layout {
        kind,
        depth,
        shift: 0,
        bytes,
        h_sub: sub.0,
        v_sub: sub.1,
        planes: 3,
        components: [component(order[0], 0, bytes), component(order[1], 0, bytes), component(order[2], 0, bytes)],
        alpha: None,
        padding: None,
    }
}

/// 4:2:0 with one plane of luma and one of chroma pairs; `cb` and `cr` are 0 or 1.
const fn semi_planar(depth: u32, shift: u32, cb: usize, cr: usize) -> Layout {
    let bytes = if depth > 8 { 2 } else { 1 };
    Layout {
        kind: Kind::Yuv,
        depth,
        shift,
        bytes,
        h_sub: true,
        v_sub: true,
        planes: 2,
        components: [component(0, 0, bytes), component(1, cb * bytes, 2 * bytes), component(1, cr * bytes, 2 * bytes)],
        alpha: None,
        padding: None,
    }
}

/// One plane of whole pixels of `samples` samples; `rgb`, `alpha` and `padding` are sample indices in the pixel.
const fn packed(depth: u32, samples: usize, rgb: [usize; 3], alpha: Option<usize>, padding: Option<usize>) -> Layout {
    let bytes = if depth > 8 { 2 } else { 1 };
    let step = samples * bytes;
    Layout {
        kind: Kind::Rgb,
        depth,
        shift: 0,
        bytes,
        h_sub: false,
        v_sub: false,
        planes: 1,
        components: [
            component(0, rgb[0] * bytes, step),
            component(0, rgb[1] * bytes, step),
            component(0, rgb[2] * bytes, step),
        ],
        alpha: match alpha {
            Some(a) => Some(component(0, a * bytes, step)),
            None => None,
        },
        padding: match padding {
            Some(x) => Some(component(0, x * bytes, step)),
            None => None,
        },
    }
}

const SUB_420: (bool, bool) = (true, true);
const SUB_422: (bool, bool) = (true, false);
const SUB_444: (bool, bool) = (false, false);

impl PixelFormat {
    /// Every format, in the element's order of preference.
    pub const ALL: &'static [PixelFormat] = &[
        PixelFormat::I420,
        PixelFormat::Nv12,
        PixelFormat::Yv12,
        PixelFormat::Nv21,
        PixelFormat::P01010Le,
        PixelFormat::I42010Le,
        PixelFormat::I42012Le,
        PixelFormat::Y42b,
        PixelFormat::I42210Le,
        PixelFormat::Y444,
        PixelFormat::Y44410Le,
        PixelFormat::Rgba,
        PixelFormat::Bgra,
        PixelFormat::Argb,
        PixelFormat::Abgr,
        PixelFormat::Rgbx,
        PixelFormat::Bgrx,
        PixelFormat::Xrgb,
        PixelFormat::Xbgr,
        PixelFormat::Rgb,
        PixelFormat::Bgr,
        PixelFormat::Gbr,
        PixelFormat::Gbr10Le,
        PixelFormat::Rgbp,
        PixelFormat::Rgba64Le,
        PixelFormat::Gray8,
        PixelFormat::Gray16Le,
    ];

    /// GStreamer's name, as used in caps.
    pub const fn name(self) -> &'static str {
        match self {
            PixelFormat::Gray8 => "GRAY8",
            PixelFormat::Gray16Le => "GRAY16_LE",
            PixelFormat::I420 => "I420",
            PixelFormat::Yv12 => "YV12",
            PixelFormat::Nv12 => "NV12",
            PixelFormat::Nv21 => "NV21",
            PixelFormat::Y42b => "Y42B",
            PixelFormat::Y444 => "Y444",
            PixelFormat::I42010Le => "I420_10LE",
            PixelFormat::I42210Le => "I422_10LE",
            PixelFormat::Y44410Le => "Y444_10LE",
            PixelFormat::P01010Le => "P010_10LE",
            PixelFormat::I42012Le => "I420_12LE",
            PixelFormat::Rgb => "RGB",
            PixelFormat::Bgr => "BGR",
            PixelFormat::Rgbx => "RGBx",
            PixelFormat::Bgrx => "BGRx",
            PixelFormat::Xrgb => "xRGB",
            PixelFormat::Xbgr => "xBGR",
            PixelFormat::Rgba => "RGBA",
            PixelFormat::Bgra => "BGRA",
            PixelFormat::Argb => "ARGB",
            PixelFormat::Abgr => "ABGR",
            PixelFormat::Gbr => "GBR",
            PixelFormat::Gbr10Le => "GBR_10LE",
            PixelFormat::Rgbp => "RGBP",
            PixelFormat::Rgba64Le => "RGBA64_LE",
        }
    }

    /// The format with GStreamer's name `name`, if the plugin supports it.
    pub fn from_name(name: &str) -> Option<Self> {
        PixelFormat::ALL.iter().copied().find(|format| format.name() == name)
    }

    /// The memory layout.
    pub const fn layout(self) -> Layout {
        const YUV: [usize; 3] = [0, 1, 2];
        match self {
            PixelFormat::Gray8 => gray(8, 1),
            PixelFormat::Gray16Le => gray(16, 2),
            PixelFormat::I420 => planar(Kind::Yuv, 8, SUB_420, YUV),
            PixelFormat::Yv12 => planar(Kind::Yuv, 8, SUB_420, [0, 2, 1]),
            PixelFormat::Nv12 => semi_planar(8, 0, 0, 1),
            PixelFormat::Nv21 => semi_planar(8, 0, 1, 0),
            PixelFormat::Y42b => planar(Kind::Yuv, 8, SUB_422, YUV),
            PixelFormat::Y444 => planar(Kind::Yuv, 8, SUB_444, YUV),
            PixelFormat::I42010Le => planar(Kind::Yuv, 10, SUB_420, YUV),
            PixelFormat::I42210Le => planar(Kind::Yuv, 10, SUB_422, YUV),
            PixelFormat::Y44410Le => planar(Kind::Yuv, 10, SUB_444, YUV),
            PixelFormat::P01010Le => semi_planar(10, 6, 0, 1),
            PixelFormat::I42012Le => planar(Kind::Yuv, 12, SUB_420, YUV),
            PixelFormat::Rgb => packed(8, 3, [0, 1, 2], None, None),
            PixelFormat::Bgr => packed(8, 3, [2, 1, 0], None, None),
            PixelFormat::Rgbx => packed(8, 4, [0, 1, 2], None, Some(3)),
            PixelFormat::Bgrx => packed(8, 4, [2, 1, 0], None, Some(3)),
            PixelFormat::Xrgb => packed(8, 4, [1, 2, 3], None, Some(0)),
            PixelFormat::Xbgr => packed(8, 4, [3, 2, 1], None, Some(0)),
            PixelFormat::Rgba => packed(8, 4, [0, 1, 2], Some(3), None),
            PixelFormat::Bgra => packed(8, 4, [2, 1, 0], Some(3), None),
            PixelFormat::Argb => packed(8, 4, [1, 2, 3], Some(0), None),
            PixelFormat::Abgr => packed(8, 4, [3, 2, 1], Some(0), None),
            PixelFormat::Gbr => planar(Kind::Rgb, 8, SUB_444, [2, 0, 1]),
            PixelFormat::Gbr10Le => planar(Kind::Rgb, 10, SUB_444, [2, 0, 1]),
            PixelFormat::Rgbp => planar(Kind::Rgb, 8, SUB_444, [0, 1, 2]),
            PixelFormat::Rgba64Le => packed(16, 4, [0, 1, 2], Some(3), None),
        }
    }

    /// Number of planes.
    pub const fn planes(self) -> usize {
        self.layout().planes
    }

    /// The visible part of a plane of a picture of `size`: bytes per row, and rows. The rest is padding.
    ///
    /// Both are zero for a plane that the format does not have.
    pub fn visible(self, plane: usize, size: Size) -> (usize, usize) {
        let layout = self.layout();
        match layout.plane_step(plane) {
            Some(step) => {
                let (columns, rows) = layout.plane_size(plane, size);
                (columns * step, rows)
            }
            None => (0, 0),
        }
    }
}

impl Layout {
    /// The largest sample value.
    pub const fn max_code(&self) -> u32 {
        (1 << self.depth) - 1
    }

    /// Bytes per pixel of a plane; `None` for a plane that the format does not have.
    pub fn plane_step(&self, plane: usize) -> Option<usize> {
        self.components.iter().find(|component| component.plane == plane).map(|component| component.step)
    }

    /// Columns and rows of a plane of a picture of `size`.
    pub fn plane_size(&self, plane: usize, size: Size) -> (usize, usize) {
        let chroma = self.kind == Kind::Yuv && plane > 0;
        let halve = |length: u32, sub: bool| if chroma && sub { length.div_ceil(2) } else { length } as usize;
        (halve(size.width, self.h_sub), halve(size.height, self.v_sub))
    }
}
