//! Behind the network: from its output to codes.

use super::super::graph::proto::data_type;
use super::nodes::Nodes;
use super::{Recipe, sample_type};
use crate::model::Element;
use crate::picture::colour::Levels;
use crate::picture::format::Kind;
use crate::types::Channels;

impl Recipe {
    /// Writes what makes codes of `output`, the network's output; declares the places of the pixels that make chroma as inputs, and
    /// the planes as outputs.
    pub(super) fn back(&self, nodes: &mut Nodes, output: &str) {
        let values = match self.output {
            Element::Float32 => output.to_owned(),
            Element::Float16 => nodes.cast(output, data_type::FLOAT),
            Element::Uint8 => {
                let codes = nodes.cast(output, data_type::FLOAT);
                nodes.over(&codes, 255.0)
            }
        };
        match (self.layout.kind, self.channels) {
            (Kind::Rgb, Channels::Luma) => {
                let codes = encode(nodes, &values, Levels::crossing(self.layout.depth), 0);
                let wide = !Levels::crosses_as_u16(self.layout.depth);
                let element = if wide { data_type::INT32 } else { data_type::UINT16 };
                let codes = nodes.cast(&codes, element);
                nodes.output(&codes, element);
            }
            (Kind::Gray | Kind::Yuv, Channels::Luma) => self.store(nodes, &values, self.luma),
            (Kind::Rgb, Channels::Rgb) => self.store_rgb(nodes, &values),
            (Kind::Gray | Kind::Yuv, Channels::Rgb) => {
                let rgb = nodes.split::<3>(&values);
                let luma = self.luma_of(nodes, &rgb);
                self.store(nodes, &luma, self.luma);
                if self.layout.kind == Kind::Yuv {
                    self.store_chroma(nodes, &values);
                }
            }
        }
    }

    /// One channel as a plane.
    fn store(&self, nodes: &mut Nodes, values: &str, levels: Levels) {
        let codes = self.codes(nodes, values, levels);
        nodes.output(&codes, sample_type(&self.layout));
    }

    fn codes(&self, nodes: &mut Nodes, values: &str, levels: Levels) -> String {
        let codes = encode(nodes, values, levels, self.layout.shift);
        nodes.cast(&codes, sample_type(&self.layout))
    }

    /// R, G and B: three planes, or one of their samples alone in the order in which they lie in memory.
    fn store_rgb(&self, nodes: &mut Nodes, rgb: &str) {
        let codes = self.codes(nodes, rgb, self.luma);
        self.place(nodes, &codes, &[0, 1, 2], 0);
    }

    fn store_chroma(&self, nodes: &mut Nodes, rgb: &str) {
        let (mut rgb, site) = (rgb.to_owned(), self.site);
        if self.layout.v_sub {
            rgb = downsample(nodes, &rgb, 2, site.v_cosited);
        }
        let rgb = nodes.split::<3>(&rgb);
        let luma = self.luma_of(nodes, &rgb);
        let [red, _, blue] = rgb;
        let cb = nodes.sub(&blue, &luma);
        let cb = nodes.times(&cb, self.matrix.to_cb);
        let cr = nodes.sub(&red, &luma);
        let cr = nodes.times(&cr, self.matrix.to_cr);
        let mut chroma = nodes.concat(&[cb, cr]);
        if self.layout.h_sub {
            chroma = downsample(nodes, &chroma, 3, site.h_cosited);
        }
        let codes = self.codes(nodes, &chroma, self.chroma);
        self.place(nodes, &codes, &[1, 2], 1);
    }

    /// Channels that are the components of these numbers, as the planes from `first` on.
    fn place(&self, nodes: &mut Nodes, codes: &str, components: &[usize], first: usize) {
        let mut order: Vec<usize> = (0..components.len()).collect();
        order.sort_by_key(|&channel| {
            let component = self.layout.components[components[channel]];
            (component.plane, component.offset)
        });
        let element = sample_type(&self.layout);
        if self.layout.planes - first == 1 {
            let codes = nodes.channels(codes, &order);
            let codes = nodes.transpose(&codes, [0, 2, 3, 1]);
            nodes.output(&codes, element);
            return;
        }
        for channel in order {
            let plane = nodes.channels(codes, &[channel]);
            nodes.output(&plane, element);
        }
    }

    /// Y' of R', G' and B'.
    pub(super) fn luma_of(&self, nodes: &mut Nodes, [r, g, b]: &[String; 3]) -> String {
        nodes.weighted(&[(r, self.matrix.kr), (g, self.matrix.kg), (b, self.matrix.kb)])
    }
}

/// Whole numbers: the code nearest to each value, `shift` bits up; NaN is 0.
fn encode(nodes: &mut Nodes, values: &str, levels: Levels, shift: u32) -> String {
    let codes = nodes.times(values, levels.scale);
    let codes = nodes.plus(&codes, levels.offset);
    let codes = nodes.clamp(&codes, levels.max);
    let codes = nodes.round(&codes);
    if shift == 0 { codes } else { nodes.times(&codes, (1u32 << shift) as f32) }
}

/// Pixels to chroma's places along an axis: the lists of the pixels that make a sample are inputs.
fn downsample(nodes: &mut Nodes, values: &str, axis: i64, cosited: bool) -> String {
    let weights: &[f32] = if cosited { &[0.25, 0.5, 0.25] } else { &[0.5, 0.5] };
    let taps: Vec<String> = weights
        .iter()
        .map(|_| {
            let places = nodes.input("tap", data_type::INT32, &[None]);
            nodes.to_tensor(values, &places, axis)
        })
        .collect();
    let terms: Vec<(&str, f32)> = taps.iter().map(String::as_str).zip(weights.iter().copied()).collect();
    nodes.weighted(&terms)
}
