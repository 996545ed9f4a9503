//! The declared input and output of a network, and which declarations an upscaler cannot have.

use crate::model::Element;
use crate::types::Channels;

/// An input or output, as a backend describes it.
pub(super) struct Port {
    /// Its element type; the error names another type: "elements of type X".
    pub element: Result<Element, String>,
    /// -1 if a dimension is free; empty if the shape is not declared.
    pub shape: Vec<i64>,
}

/// The declared input and output of a network that takes one picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub input: Element,
    pub output: Element,
    /// `None` if the dimension is free.
    pub channels: Option<Channels>,
    /// `None` if the dimension is free.
    pub width: Option<u32>,
    /// `None` if the dimension is free.
    pub height: Option<u32>,
    /// Channels, height and width of the output; `None` if the dimension is free or the rank unknown.
    pub result: [Option<u32>; 3],
}

impl Signature {
    /// Reads the declaration. The error is a reason that can follow "FILE cannot upscale video: ".
    pub(super) fn read(inputs: &[Port], outputs: &[Port]) -> Result<Self, String> {
        let [input] = inputs else {
            return Err(format!("it has {} inputs; it must have one, a picture", inputs.len()));
        };
        let [output] = outputs else {
            return Err(format!("it has {} outputs; it must have one, a picture", outputs.len()));
        };
        let (input_element, input_shape) = tensor(input, "takes")?;
        let (output_element, output_shape) = tensor(output, "returns")?;
        if input_element == Element::Uint8 && input_shape.len() == 1 {
            return Err("it expects an encoded image (a row of bytes), not pixels".into());
        }
        let [batch, channels, height, width] = four(input_shape, "input")?;
        if batch.is_some_and(|batch| batch != 1) {
            return Err(format!("its batch size is {}; it must be 1", batch.unwrap_or_default()));
        }
        let channels = match channels {
            Some(1) => Some(Channels::Luma),
            Some(3) => Some(Channels::Rgb),
            _ if matches!(width, Some(1 | 3)) => {
                return Err(format!(
                    "its input {} is channels-last (NHWC); export it with channels before height and width (NCHW)",
                    show(input_shape)
                ));
            }
            None => None,
            Some(other) => return Err(format!("it has {other} input channels; it must have 1 (luma) or 3 (RGB)")),
        };
        let [_, result @ ..] = four(output_shape, "output")?;
        Ok(Self { input: input_element, output: output_element, channels, width, height, result })
    }
}

/// Element type and shape of a tensor; `verb` is "takes" or "returns", for messages.
fn tensor<'a>(port: &'a Port, verb: &str) -> Result<(Element, &'a [i64]), String> {
    match &port.element {
        Ok(element) => Ok((*element, &port.shape)),
        Err(other) => Err(format!("it {verb} {other}; they must be float32, float16 or uint8")),
    }
}

/// The four dimensions of a batch of pictures. All are free if the shape is not declared (rank 0).
fn four(shape: &[i64], what: &str) -> Result<[Option<u32>; 4], String> {
    match *shape {
        [] => Ok([None; 4]),
        [a, b, c, d] => {
            Ok([a, b, c, d].map(|dimension| u32::try_from(dimension).ok().filter(|&dimension| dimension > 0)))
        }
        _ => Err(format!(
            "its {what} {} has {} dimensions instead of 4 (batch, channels, height, width)",
            show(shape),
            shape.len()
        )),
    }
}

/// Formats a shape as `[1, 3, ?, ?]`.
pub(super) fn show(shape: &[i64]) -> String {
    let dimensions: Vec<String> =
        shape.iter().map(|&dimension| if dimension < 0 { "?".into() } else { dimension.to_string() }).collect();
    format!("[{}]", dimensions.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_four_dimensions() {
        assert_eq!(four(&[1, 3, -1, 240], "input"), Ok([Some(1), Some(3), None, Some(240)]));
        assert_eq!(four(&[], "input"), Ok([None; 4]));
        assert!(four(&[3, -1, -1], "input").unwrap_err().contains("[3, ?, ?] has 3 dimensions"));
    }
}
