//! Which backend runs a network, and in which number type: a rule over the network's form and operators and the
//! processor's features, never a stopwatch, so that one machine always gives the same bytes.
//!
//! `script/bench providers` shows that the rule picks the faster backend; docs/decisions/providers.md has the figures.

use std::collections::BTreeMap;

use super::network::{Forms, Network};
use super::processor::Features;
use crate::types::{Precision, Provider};

/// A way to run a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub provider: Provider,
    /// Never [`Precision::Auto`] on the CPU.
    pub precision: Precision,
    /// Follows "it runs in int8: ".
    pub reason: &'static str,
}

impl Attempt {
    /// The form of the network that it runs.
    pub fn network<'a>(&self, forms: &'a Forms) -> &'a Network {
        let int8 = forms.int8.as_ref().filter(|_| self.precision == Precision::Int8);
        int8.unwrap_or_else(|| forms.any())
    }
}

const NAMED: &str = "as asked for";

/// How a GPU's provider runs a network.
pub(super) fn of_gpu(provider: Provider, precision: Precision) -> Attempt {
    Attempt { provider, precision, reason: "its provider is there" }
}

/// How a network can run on the processor in this precision, best first. An error can follow "precision=NAME: ".
pub(super) fn attempts(forms: &Forms, precision: Precision, has: Features) -> Result<Vec<Attempt>, String> {
    let both = |precision, reason| {
        [Provider::OpenVino, Provider::Cpu].map(|provider| Attempt { provider, precision, reason }).to_vec()
    };
    let openvino = |precision, reason| vec![Attempt { provider: Provider::OpenVino, precision, reason }];
    match precision {
        Precision::Int8 => {
            let none = "the network has no int8 form; training/quantize.py makes one of most networks";
            forms.int8.as_ref().ok_or(none)?;
            needs(has.int8, "8-bit dot products (AVX-512 VNNI, AVX-VNNI, ARM dot product)")?;
            Ok(both(Precision::Int8, NAMED))
        }
        Precision::Bf16 => {
            float(forms)?;
            needs(has.bf16, "bfloat16 (AVX-512 BF16, ARM BF16)")?;
            Ok(openvino(Precision::Bf16, NAMED))
        }
        Precision::Fp16 => {
            float(forms)?;
            needs(has.fp16, "float16 arithmetic (AVX-512 FP16, ARM FP16)")?;
            Ok(openvino(Precision::Fp16, NAMED))
        }
        Precision::Fp32 => Ok(in_fp32(forms, NAMED)),
        Precision::Auto if forms.int8.is_some() && has.int8 => {
            Ok(both(Precision::Int8, "it has an int8 form, and the processor has 8-bit dot products"))
        }
        Precision::Auto if forms.float.is_some() && has.bf16 && bf16_pays(&forms.operators) => {
            let mut attempts = openvino(Precision::Bf16, "the processor has bfloat16");
            attempts.extend(in_fp32(forms, "only OpenVINO computes in bfloat16"));
            Ok(attempts)
        }
        Precision::Auto => Ok(in_fp32(forms, "nothing smaller would be faster")),
    }
}

fn needs(has: bool, what: &str) -> Result<(), String> {
    if has { Ok(()) } else { Err(format!("this processor has no {what}")) }
}

fn float(forms: &Forms) -> Result<(), String> {
    forms.float.as_ref().map(drop).ok_or_else(|| "the network is quantised and has no float form".into())
}

/// In fp32, ONNX Runtime is up to 1.3 times as fast with convolutions and ReLU, and OpenVINO 1.7 to 2.4 times as fast
/// with what ONNX Runtime computes value by value.
fn in_fp32(forms: &Forms, reason: &'static str) -> Vec<Attempt> {
    let attempt = |provider| Attempt { provider, precision: Precision::Fp32, reason };
    // OpenVINO always computes quantised convolutions in integers.
    if forms.float.is_none() {
        return vec![attempt(Provider::Cpu)];
    }
    let has_slow = ["PRelu", "Softmax"].iter().any(|operator| forms.operators.contains_key(*operator));
    let order = if has_slow { [Provider::OpenVino, Provider::Cpu] } else { [Provider::Cpu, Provider::OpenVino] };
    order.map(attempt).to_vec()
}

/// bfloat16 makes convolutions twice as fast, and nothing else. One convolution is a filter, whose time goes elsewhere;
/// of the exponentials in a softmax, bfloat16 leaves less than 50 dB.
fn bf16_pays(operators: &BTreeMap<String, usize>) -> bool {
    let convolutions: usize = ["Conv", "ConvTranspose"].iter().filter_map(|operator| operators.get(*operator)).sum();
    convolutions >= 2 && !operators.contains_key("Softmax")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Source, builtin};

    const ALL: Features = Features { int8: true, bf16: true, fp16: true };
    const NONE: Features = Features { int8: false, bf16: false, fp16: false };

    fn forms(name: &str) -> Forms {
        Forms::read(&Source::Builtin(builtin::find(name).unwrap())).unwrap()
    }

    fn chosen(forms: &Forms, precision: Precision, has: Features) -> Vec<(Provider, Precision)> {
        let attempts = attempts(forms, precision, has).unwrap();
        attempts.iter().map(|attempt| (attempt.provider, attempt.precision)).collect()
    }

    fn with_operator(operator: &str) -> Forms {
        let mut forms = Forms { int8: None, ..forms("fast2x") };
        forms.operators.insert(operator.to_owned(), 1);
        forms
    }

    #[test]
    fn auto_takes_the_smallest_number_type_that_the_processor_has() {
        use Precision::{Auto, Bf16, Fp32, Int8};
        use Provider::{Cpu, OpenVino};
        let fast2x = forms("fast2x");
        let without_int8 = Features { int8: false, ..ALL };
        assert_eq!(chosen(&fast2x, Auto, ALL), [(OpenVino, Int8), (Cpu, Int8)]);
        assert_eq!(chosen(&fast2x, Auto, without_int8), [(OpenVino, Bf16), (Cpu, Fp32), (OpenVino, Fp32)]);
        assert_eq!(chosen(&fast2x, Auto, NONE), [(Cpu, Fp32), (OpenVino, Fp32)]);
        // A single convolution; no int8 form.
        assert_eq!(chosen(&forms("lanczos2x"), Auto, ALL), [(Cpu, Fp32), (OpenVino, Fp32)]);
        assert_eq!(chosen(&with_operator("PRelu"), Auto, ALL)[0], (OpenVino, Bf16));
        assert_eq!(chosen(&with_operator("PRelu"), Auto, NONE)[0], (OpenVino, Fp32));
        assert_eq!(chosen(&with_operator("Softmax"), Auto, ALL)[0], (OpenVino, Fp32));
        let quantised = Forms { float: None, ..fast2x };
        assert_eq!(chosen(&quantised, Auto, NONE), [(Cpu, Fp32)]);
    }

    #[test]
    fn what_is_named_is_an_error_where_it_cannot_be() {
        use Precision::{Bf16, Fp16, Fp32, Int8};
        let fast2x = forms("fast2x");
        for (precision, says) in [(Int8, "VNNI"), (Bf16, "AVX-512 BF16"), (Fp16, "AVX-512 FP16")] {
            assert!(attempts(&fast2x, precision, NONE).unwrap_err().contains(says));
            assert_eq!(chosen(&fast2x, precision, ALL)[0], (Provider::OpenVino, precision));
        }
        assert_eq!(chosen(&fast2x, Fp32, ALL)[0], (Provider::Cpu, Fp32));
        assert!(attempts(&forms("lanczos2x"), Int8, ALL).unwrap_err().contains("training/quantize.py"));
        let quantised = Forms { float: None, ..fast2x };
        assert!(attempts(&quantised, Bf16, ALL).unwrap_err().contains("no float form"));
    }
}
