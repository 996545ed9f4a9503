//! Checked views of a picture's planes.

use super::format::PixelFormat;
use crate::types::Size;

/// Why planes do not form a picture of a format and size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    #[error("a picture of {width}x{height} has no pixels")]
    Empty { width: u32, height: u32 },
    #[error("{format} has {expected} planes, not {got}")]
    PlaneCount { format: &'static str, expected: usize, got: usize },
    #[error("plane {plane} of {format}: a stride of {stride} bytes is less than a row's {row_bytes}")]
    Stride { format: &'static str, plane: usize, stride: usize, row_bytes: usize },
    #[error("plane {plane} of {format} holds {got} bytes, but {expected} are needed")]
    Short { format: &'static str, plane: usize, expected: usize, got: usize },
}

/// The largest number of planes of any format.
const MAX_PLANES: usize = 3;

/// The visible part of one plane.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    stride: usize,
    row_bytes: usize,
    rows: usize,
}

/// Checks a plane against its format and size. The last row may end with its last pixel.
fn check(format: PixelFormat, size: Size, plane: usize, length: usize, stride: usize) -> Result<Extent, PictureError> {
    let (row_bytes, rows) = format.visible(plane, size);
    if rows > 1 && stride < row_bytes {
        return Err(PictureError::Stride { format: format.name(), plane, stride, row_bytes });
    }
    let expected = stride.saturating_mul(rows - 1).saturating_add(row_bytes);
    if length < expected {
        return Err(PictureError::Short { format: format.name(), plane, expected, got: length });
    }
    Ok(Extent { stride, row_bytes, rows })
}

fn check_frame(format: PixelFormat, size: Size, planes: usize) -> Result<(), PictureError> {
    if size.width == 0 || size.height == 0 {
        return Err(PictureError::Empty { width: size.width, height: size.height });
    }
    if planes != format.planes() {
        return Err(PictureError::PlaneCount { format: format.name(), expected: format.planes(), got: planes });
    }
    Ok(())
}

/// A picture for reading.
#[derive(Clone, Copy, Debug)]
pub struct PictureRef<'a> {
    format: PixelFormat,
    size: Size,
    planes: [(&'a [u8], Extent); MAX_PLANES],
}

/// A picture for writing.
#[derive(Debug)]
pub struct PictureMut<'a> {
    format: PixelFormat,
    size: Size,
    planes: [(&'a mut [u8], Extent); MAX_PLANES],
}

impl<'a> PictureRef<'a> {
    /// A picture of `size` pixels over `planes`: for each plane its bytes, starting at the first pixel, and its stride
    /// in bytes.
    ///
    /// # Errors
    /// If the number of planes is wrong for the format, a stride is less than a row, or a plane is too short.
    pub fn new(format: PixelFormat, size: Size, planes: &[(&'a [u8], usize)]) -> Result<Self, PictureError> {
        check_frame(format, size, planes.len())?;
        let mut checked: [(&'a [u8], Extent); MAX_PLANES] = Default::default();
        for (index, &(bytes, stride)) in planes.iter().enumerate() {
            checked[index] = (bytes, check(format, size, index, bytes.len(), stride)?);
        }
        Ok(Self { format, size, planes: checked })
    }

    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Size in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The visible bytes of a row of a plane.
    ///
    /// # Panics
    /// If the picture has no such plane or row.
    #[inline]
    pub fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        let (bytes, extent) = self.planes[plane];
        assert!(y < extent.rows, "row {y} of {}", extent.rows);
        &bytes[y * extent.stride..][..extent.row_bytes]
    }

    /// The visible bytes of a plane as one slice, if its rows are contiguous.
    ///
    /// # Panics
    /// If the picture has no such plane.
    pub fn contiguous(&self, plane: usize) -> Option<&'a [u8]> {
        let (bytes, extent) = self.planes[plane];
        (extent.stride == extent.row_bytes).then(|| &bytes[..extent.row_bytes * extent.rows])
    }
}

impl<'a> PictureMut<'a> {
    /// A picture for writing, otherwise like [`PictureRef::new`].
    ///
    /// # Errors
    /// Like [`PictureRef::new`].
    pub fn new(
        format: PixelFormat,
        size: Size,
        planes: impl IntoIterator<Item = (&'a mut [u8], usize)>,
    ) -> Result<Self, PictureError> {
        let mut checked: [(&'a mut [u8], Extent); MAX_PLANES] = Default::default();
        let mut count = 0;
        let mut strides = [0; MAX_PLANES];
        for (bytes, stride) in planes {
            if count < MAX_PLANES {
                checked[count].0 = bytes;
                strides[count] = stride;
            }
            count += 1;
        }
        check_frame(format, size, count)?;
        for (index, plane) in checked.iter_mut().enumerate().take(count) {
            plane.1 = check(format, size, index, plane.0.len(), strides[index])?;
        }
        Ok(Self { format, size, planes: checked })
    }

    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Size in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The visible bytes of a row of a plane.
    ///
    /// # Panics
    /// If the picture has no such plane or row.
    #[inline]
    pub fn row_mut(&mut self, plane: usize, y: usize) -> &mut [u8] {
        let (bytes, extent) = &mut self.planes[plane];
        assert!(y < extent.rows, "row {y} of {}", extent.rows);
        &mut bytes[y * extent.stride..][..extent.row_bytes]
    }
}
