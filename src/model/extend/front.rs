//! The operators before the network, which convert samples to its input.

use super::super::graph::proto::data_type;
use super::nodes::Nodes;
use super::{Recipe, sample_type};
use crate::model::Element;
use crate::picture::colour::Levels;
use crate::picture::format::Kind;
use crate::picture::siting;
use crate::types::Channels;

/// The shape of a plane's window. The samples of a pixel, if there are several, are the last dimension, as in memory.
fn plane_shape(samples: i64, size: [Option<i64>; 2]) -> [Option<i64>; 4] {
    let [height, width] = size;
    if samples == 1 { [Some(1), Some(1), height, width] } else { [Some(1), height, width, Some(samples)] }
}

impl Recipe {
    /// Adds the operators that compute `input`, the network's input. Declares as inputs the planes' windows, then the
    /// chroma indices.
    pub(super) fn front(&self, nodes: &mut Nodes, input: &str) {
        let values = match (self.layout.kind, self.channels) {
            (Kind::Rgb, Channels::Rgb) => self.load_rgb(nodes),
            (Kind::Rgb, Channels::Luma) => {
                let rgb = self.load_rgb(nodes);
                let rgb = nodes.split::<3>(&rgb);
                self.luma_of(nodes, &rgb)
            }
            (Kind::Gray | Kind::Yuv, Channels::Luma) => self.load_luma(nodes),
            (Kind::Gray, Channels::Rgb) => {
                let luma = self.load_luma(nodes);
                nodes.concat(&[luma.clone(), luma.clone(), luma])
            }
            (Kind::Yuv, Channels::Rgb) => self.load_yuv(nodes),
        };
        match self.input {
            Element::Float32 => nodes.write("Identity", &[&values], input, vec![]),
            Element::Float16 => {
                let halves = nodes.cast(&values, data_type::FLOAT16);
                nodes.write("Identity", &[&halves], input, vec![]);
            }
            Element::Uint8 => {
                // Rounds to nearest: adds 0.5, and the cast truncates.
                let samples = nodes.times(&values, 255.0);
                let samples = nodes.plus(&samples, 0.5);
                let samples = nodes.clamp(&samples, 255.0);
                let samples = nodes.cast(&samples, data_type::UINT8);
                nodes.write("Identity", &[&samples], input, vec![]);
            }
        }
    }

    /// Declares the window of a plane as an input.
    fn plane(&self, nodes: &mut Nodes, plane: usize) -> String {
        let chroma = self.layout.kind == Kind::Yuv && plane > 0;
        let side = |length: u32, sub: bool| Some(i64::from(length)).filter(|_| !(chroma && sub));
        let size = self
            .size
            .map_or([None; 2], |size| [side(size.height, self.layout.v_sub), side(size.width, self.layout.h_sub)]);
        nodes.input("plane", sample_type(&self.layout), &plane_shape(self.samples(plane) as i64, size))
    }

    fn load_luma(&self, nodes: &mut Nodes) -> String {
        let samples = self.plane(nodes, 0);
        self.decode(nodes, &samples, self.luma)
    }

    /// R, G and B as channels.
    fn load_rgb(&self, nodes: &mut Nodes) -> String {
        let planes: Vec<String> = (0..self.layout.planes).map(|plane| self.plane(nodes, plane)).collect();
        let samples = self.pick(nodes, &planes, &[0, 1, 2]);
        self.decode(nodes, &samples, self.luma)
    }

    /// The `components` (indices) as channels, from `planes`, which are the planes that hold them, in order.
    fn pick(&self, nodes: &mut Nodes, planes: &[String], components: &[usize]) -> String {
        let components = components.iter().map(|&component| self.layout.components[component]);
        if let [packed] = planes {
            let samples = nodes.transpose(packed, [0, 3, 1, 2]);
            let offsets: Vec<usize> = components.map(|component| component.offset / self.layout.bytes).collect();
            return nodes.channels(&samples, &offsets);
        }
        let first = self.layout.planes - planes.len();
        let planes: Vec<String> = components.map(|component| planes[component.plane - first].clone()).collect();
        nodes.concat(&planes)
    }

    /// R, G and B as channels, from luma and subsampled chroma.
    fn load_yuv(&self, nodes: &mut Nodes) -> String {
        let luma = self.load_luma(nodes);
        let planes: Vec<String> = (1..self.layout.planes).map(|plane| self.plane(nodes, plane)).collect();
        let chroma = self.pick(nodes, &planes, &[1, 2]);
        let mut chroma = self.decode(nodes, &chroma, self.chroma);
        let site = self.site;
        for (sub, axis, cosited) in [(self.layout.v_sub, 2, site.v_cosited), (self.layout.h_sub, 3, site.h_cosited)] {
            if sub {
                chroma = upsample(nodes, &chroma, axis, siting::other_weight(cosited));
            }
        }
        let [cb, cr] = nodes.split::<2>(&chroma);
        let matrix = &self.matrix;
        let red = nodes.times(&cr, matrix.cr_to_r);
        let green = nodes.weighted(&[(&cb, matrix.cb_to_g), (&cr, matrix.cr_to_g)]);
        let blue = nodes.times(&cb, matrix.cb_to_b);
        let rgb = [red, green, blue].map(|difference| nodes.add(&luma, &difference));
        nodes.concat(&rgb)
    }

    /// Converts samples to normalised values.
    fn decode(&self, nodes: &mut Nodes, samples: &str, levels: Levels) -> String {
        let mut values = nodes.cast(samples, data_type::FLOAT);
        if self.layout.shift > 0 {
            values = nodes.times(&values, 1.0 / (1u32 << self.layout.shift) as f32);
            // The low bits are not part of the sample.
            values = nodes.floor(&values);
        }
        let values = nodes.minus(&values, levels.offset);
        nodes.times(&values, 1.0 / levels.scale)
    }
}

/// Interpolates chroma at luma positions along an axis. Two index lists are inputs: the nearest sample, and the other
/// one.
fn upsample(nodes: &mut Nodes, chroma: &str, axis: i64, weight: f32) -> String {
    let near = nodes.input("near", data_type::INT32, &[None]);
    let other = nodes.input("other", data_type::INT32, &[None]);
    let near = nodes.gather(chroma, &near, axis);
    let other = nodes.gather(chroma, &other, axis);
    let difference = nodes.sub(&other, &near);
    let part = nodes.times(&difference, weight);
    nodes.add(&near, &part)
}
