//! The operators behind the network, which convert its output to samples.

use super::super::graph::proto::data_type;
use super::nodes::Nodes;
use super::{Recipe, sample_type};
use crate::model::Element;
use crate::picture::colour::Levels;
use crate::picture::format::Kind;
use crate::types::Channels;

impl Recipe {
    /// Adds the operators that convert `output`, the network's output, to samples. Declares as inputs the indices of
    /// the pixels averaged to chroma, and the planes as outputs.
    pub(super) fn back(&self, nodes: &mut Nodes, output: &str) {
        let values = match self.output {
            Element::Float32 => output.to_owned(),
            Element::Float16 => nodes.cast(output, data_type::FLOAT),
            Element::Uint8 => {
                let samples = nodes.cast(output, data_type::FLOAT);
                nodes.over(&samples, 255.0)
            }
        };
        match (self.layout.kind, self.channels) {
            (Kind::Rgb, Channels::Luma) => {
                let samples = encode(nodes, &values, Levels::crossing(self.layout.depth), 0);
                let wide = !Levels::crosses_as_u16(self.layout.depth);
                let element = if wide { data_type::INT32 } else { data_type::UINT16 };
                let samples = nodes.cast(&samples, element);
                nodes.output(&samples, element);
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

    /// Outputs one channel as a plane.
    fn store(&self, nodes: &mut Nodes, values: &str, levels: Levels) {
        let samples = self.to_samples(nodes, values, levels);
        nodes.output(&samples, sample_type(&self.layout));
    }

    fn to_samples(&self, nodes: &mut Nodes, values: &str, levels: Levels) -> String {
        let samples = encode(nodes, values, levels, self.layout.shift);
        nodes.cast(&samples, sample_type(&self.layout))
    }

    /// Outputs R, G and B: three planes, or one packed plane with only these samples, in memory order.
    fn store_rgb(&self, nodes: &mut Nodes, rgb: &str) {
        let samples = self.to_samples(nodes, rgb, self.luma);
        self.store_planes(nodes, &samples, &[0, 1, 2], 0);
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
        let samples = self.to_samples(nodes, &chroma, self.chroma);
        self.store_planes(nodes, &samples, &[1, 2], 1);
    }

    /// Outputs channels, which are the `components` (indices), as the planes from `first` on.
    fn store_planes(&self, nodes: &mut Nodes, samples: &str, components: &[usize], first: usize) {
        let mut order: Vec<usize> = (0..components.len()).collect();
        order.sort_by_key(|&channel| {
            let component = self.layout.components[components[channel]];
            (component.plane, component.offset)
        });
        let element = sample_type(&self.layout);
        if self.layout.planes - first == 1 {
            let samples = nodes.channels(samples, &order);
            let samples = nodes.transpose(&samples, [0, 2, 3, 1]);
            nodes.output(&samples, element);
            return;
        }
        for channel in order {
            let plane = nodes.channels(samples, &[channel]);
            nodes.output(&plane, element);
        }
    }

    /// Y' of R', G' and B'.
    pub(super) fn luma_of(&self, nodes: &mut Nodes, [r, g, b]: &[String; 3]) -> String {
        nodes.weighted(&[(r, self.matrix.kr), (g, self.matrix.kg), (b, self.matrix.kb)])
    }
}

/// The nearest sample value of each value, shifted up by `shift` bits; NaN becomes 0.
fn encode(nodes: &mut Nodes, values: &str, levels: Levels, shift: u32) -> String {
    let samples = nodes.times(values, levels.scale);
    let samples = nodes.plus(&samples, levels.offset);
    let samples = nodes.clamp(&samples, levels.max);
    let samples = nodes.round(&samples);
    if shift == 0 { samples } else { nodes.times(&samples, (1u32 << shift) as f32) }
}

/// Averages pixels to chroma samples along an axis. The index lists of the pixels are inputs.
fn downsample(nodes: &mut Nodes, values: &str, axis: i64, cosited: bool) -> String {
    let weights: &[f32] = if cosited { &[0.25, 0.5, 0.25] } else { &[0.5, 0.5] };
    let taps: Vec<String> = weights
        .iter()
        .map(|_| {
            let indices = nodes.input("tap", data_type::INT32, &[None]);
            nodes.gather(values, &indices, axis)
        })
        .collect();
    let terms: Vec<(&str, f32)> = taps.iter().map(String::as_str).zip(weights.iter().copied()).collect();
    nodes.weighted(&terms)
}
