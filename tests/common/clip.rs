//! Synthetic clips, in which each frame is an edited copy of the previous one, and their output.

use gst::prelude::*;
use gst_video::VideoFrameExt;
use proptest::prelude::*;

use super::harness;

/// How a frame differs from the previous one. Positions are in 1/256 of the frame.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Adds `by` to a box of bytes in one plane.
    Box { plane: usize, at: (u8, u8), size: (usize, usize), by: u8 },
    /// Adds `by` to a line along a border of the blocks in which changes are tracked.
    Line { down: bool, at: u8, by: u8 },
    /// Adds `by` to a corner byte.
    Corner { right: bool, bottom: bool, by: u8 },
    /// One of 16 boxes appears or disappears. Boxes from number [`TALL`] on are as high as the frame.
    Toggle(u8),
    /// No change.
    Hold,
    /// Repeats the frame this many before.
    Back(usize),
    /// New noise.
    Cut,
}

pub fn edit() -> impl Strategy<Value = Edit> {
    let by = 1u8..255;
    prop_oneof![
        6 => (0usize..3, any::<(u8, u8)>(), (1usize..24, 1usize..24), by.clone())
            .prop_map(|(plane, at, size, by)| Edit::Box { plane, at, size, by }),
        2 => (any::<bool>(), any::<u8>(), by.clone()).prop_map(|(down, at, by)| Edit::Line { down, at, by }),
        2 => (any::<bool>(), any::<bool>(), by).prop_map(|(right, bottom, by)| Edit::Corner { right, bottom, by }),
        6 => (0u8..16).prop_map(Edit::Toggle),
        2 => Just(Edit::Hold),
        1 => (1usize..5).prop_map(Edit::Back),
        1 => Just(Edit::Cut),
    ]
}

/// See [`Edit::Toggle`].
pub const TALL: u8 = 12;

/// The frames of a clip: noise, then one frame per edit.
pub struct Clip {
    pub info: gst_video::VideoInfo,
    pub frames: Vec<Vec<u8>>,
}

impl Clip {
    pub fn new(format: &str, (width, height): (u32, u32), edits: &[Edit]) -> Self {
        super::init();
        let caps = format!("video/x-raw,format={format},width={width},height={height},framerate=25/1");
        let info = gst_video::VideoInfo::from_caps(&caps.parse::<gst::Caps>().unwrap()).unwrap();
        let mut clip = Clip { frames: vec![noise(info.size(), 1)], info };
        for edit in edits {
            let next = clip.edited(edit);
            clip.frames.push(next);
        }
        clip
    }

    /// Clears the bits above a sample's ten, which are zero in real video.
    pub fn with_valid_samples(mut self) -> Self {
        let name = self.info.format().to_str();
        if name.ends_with("_10LE") && !name.starts_with("P010") {
            self.frames.iter_mut().for_each(|frame| frame.iter_mut().skip(1).step_by(2).for_each(|byte| *byte &= 3));
        }
        self
    }

    pub fn edited(&self, edit: &Edit) -> Vec<u8> {
        let mut frame = self.frames.last().unwrap().clone();
        let planes = self.info.n_planes() as usize;
        match *edit {
            Edit::Hold => {}
            Edit::Toggle(number) => {
                // So close that the receptive fields of neighbours overlap, in rows and columns.
                let (bytes, rows) = self.plane(0);
                let (column, row) = (usize::from(number % 4) * 27 % bytes, usize::from(number / 4) * 21 % rows);
                let (at, size) = if number < TALL { ((column, row), (4, 7)) } else { ((column, 0), (9, rows)) };
                self.change(&mut frame, 0, at, size, |byte| byte ^ 0x55);
            }
            Edit::Back(frames) => frame.clone_from(&self.frames[self.frames.len().saturating_sub(frames)]),
            Edit::Cut => frame = noise(frame.len(), self.frames.len() as u64 + 1),
            Edit::Box { plane, at, size, by } => {
                let plane = plane % planes;
                let (bytes, rows) = self.plane(plane);
                let place = |at: u8, length: usize| usize::from(at) * length / 256;
                self.add(&mut frame, plane, (place(at.0, bytes), place(at.1, rows)), size, by);
            }
            Edit::Line { down, at, by } => {
                let (bytes, rows) = self.plane(0);
                let place = |length: usize| usize::from(at) * length / 256 / 8 * 8;
                let size = if down { (1, rows) } else { (bytes, 1) };
                let at = if down { (place(bytes), 0) } else { (0, place(rows)) };
                self.add(&mut frame, 0, at, size, by);
            }
            Edit::Corner { right, bottom, by } => {
                let (bytes, rows) = self.plane(0);
                let at = (if right { bytes - 1 } else { 0 }, if bottom { rows - 1 } else { 0 });
                self.add(&mut frame, 0, at, (1, 1), by);
            }
        }
        frame
    }

    /// Visible bytes per row, and number of rows.
    pub fn plane(&self, plane: usize) -> (usize, usize) {
        let component =
            (0..self.info.n_components()).find(|c| self.info.comp_plane(*c as u8) as usize == plane).unwrap();
        let bytes = self.info.comp_width(component as u8) as usize * self.info.comp_pstride(component as u8) as usize;
        (bytes, self.info.comp_height(component as u8) as usize)
    }

    fn add(&self, frame: &mut [u8], plane: usize, at: (usize, usize), size: (usize, usize), by: u8) {
        self.change(frame, plane, at, size, |byte| byte.wrapping_add(by));
    }

    fn change(
        &self,
        frame: &mut [u8],
        plane: usize,
        at: (usize, usize),
        size: (usize, usize),
        change: impl Fn(u8) -> u8,
    ) {
        let (bytes, rows) = self.plane(plane);
        let (offset, stride) = (self.info.offset()[plane], self.info.stride()[plane] as usize);
        for y in at.1..(at.1 + size.1).min(rows) {
            for x in at.0..(at.0 + size.0).min(bytes) {
                let byte = &mut frame[offset + y * stride + x];
                *byte = change(*byte);
            }
        }
    }

    /// Runs the clip through an element; returns the visible bytes of each output frame, and the statistics at the end.
    pub fn upscaled(&self, element: &gst::Element) -> (Vec<Vec<u8>>, gst::Structure) {
        let mut harness = harness(element);
        harness.set_src_caps(self.info.to_caps().unwrap());
        for (n, bytes) in self.frames.iter().enumerate() {
            let mut buffer = gst::Buffer::from_slice(bytes.clone());
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(40 * n as u64));
            harness.push(buffer).unwrap();
        }
        let mut info = None;
        let frames = (0..self.frames.len()).map(|n| {
            let buffer = harness.pull().unwrap();
            assert_eq!(buffer.pts(), Some(gst::ClockTime::from_mseconds(40 * n as u64)));
            let info = info.get_or_insert_with(|| {
                gst_video::VideoInfo::from_caps(&harness.sinkpad().unwrap().current_caps().unwrap()).unwrap()
            });
            visible(&buffer, info)
        });
        (frames.collect(), element.property("stats"))
    }

    /// Fails if reuse changes the output, for several numbers of workers. Returns the percentage reused.
    pub fn check(&self, make: impl Fn(&[(&str, &str)]) -> gst::Element, extra: &[(&str, &str)]) -> f64 {
        fn with<'a>(more: [(&'a str, &'a str); 2], extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
            [&more[..], &[("max-in-flight", "64")], extra].concat()
        }
        let (whole, _) = self.upscaled(&make(&with([("workers", "2"), ("duplicates", "off")], extra)));
        let mut reused = 0.0;
        for workers in ["1", "2", "4"] {
            let (parts, stats) = self.upscaled(&make(&with([("workers", workers), ("duplicates", "exact")], extra)));
            for (n, (part, whole)) in parts.iter().zip(&whole).enumerate() {
                assert!(part == whole, "frame {n} of {}, {workers} workers", self.info.to_caps().unwrap());
            }
            reused = stats.get::<f64>("reused-percentage").unwrap();
        }
        reused
    }
}

/// The largest difference between samples of two outputs.
pub fn worst(a: &[u8], b: &[u8], format: &str) -> u16 {
    assert_eq!(a.len(), b.len());
    // P010 has its samples in the upper bits.
    let unit = if format.starts_with("P010") { 64 } else { 1 };
    let samples = |bytes: &[u8]| -> Vec<u16> {
        if format.contains("10LE") {
            bytes.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes) / unit).collect()
        } else {
            bytes.iter().map(|byte| u16::from(*byte)).collect()
        }
    };
    samples(a).iter().zip(samples(b)).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
}

/// Pseudo-random bytes (Knuth's MMIX generator), each close to the previous one, as in a picture.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut value = 128i32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value = (value + (state >> 58) as i32 - 32).clamp(0, 255);
        value as u8
    })
    .take(length)
    .collect()
}

/// The visible bytes, plane by plane and row by row, without padding.
pub fn visible(buffer: &gst::Buffer, info: &gst_video::VideoInfo) -> Vec<u8> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let mut bytes = Vec::new();
    for plane in 0..frame.n_planes() {
        let component = (0..info.n_components()).find(|c| info.comp_plane(*c as u8) == plane).unwrap();
        let (rows, stride) = (frame.comp_height(component), frame.plane_stride()[plane as usize] as usize);
        let length = frame.comp_width(component) as usize * frame.comp_pstride(component) as usize;
        let data = frame.plane_data(plane).unwrap();
        (0..rows as usize).for_each(|row| bytes.extend(&data[row * stride..row * stride + length]));
    }
    bytes
}

/// A GRAY8 clip of 64x64, drawn by a function of frame, column and row.
pub fn drawn(frames: u64, level: impl Fn(u64, u32, u32) -> u8) -> Clip {
    let mut clip = Clip::new("GRAY8", (64, 64), &[]);
    let pixels = |n| (0..64).flat_map(|y| (0..64).map(move |x| (x, y))).map(|(x, y)| level(n, x, y)).collect();
    clip.frames = (0..frames).map(pixels).collect();
    clip
}

/// The output of the dummy network for a GRAY8 frame of 64x64: each pixel four times.
pub fn enlarged(buffer: &gst::Buffer) -> Vec<u8> {
    let map = buffer.map_readable().unwrap();
    map.chunks_exact(64)
        .flat_map(|row| {
            let wide: Vec<u8> = row.iter().flat_map(|&value| [value, value]).collect();
            [wide.clone(), wide]
        })
        .flatten()
        .collect()
}
