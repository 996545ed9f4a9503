//! Which small number types this machine's processor multiplies in hardware.

/// What it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Dot products of 8-bit integers: AVX-512 VNNI, AVX-VNNI, ARM's dot product.
    pub int8: bool,
    /// Dot products of bfloat16: AVX-512 BF16, ARM's BF16.
    pub bf16: bool,
    /// Arithmetic in IEEE float16: AVX-512 FP16, ARM's FP16.
    pub fp16: bool,
}

/// Those of the processor that runs this.
pub fn features() -> Features {
    #[cfg(target_arch = "x86_64")]
    return Features {
        int8: std::arch::is_x86_feature_detected!("avx512vnni") || std::arch::is_x86_feature_detected!("avxvnni"),
        bf16: std::arch::is_x86_feature_detected!("avx512bf16"),
        fp16: std::arch::is_x86_feature_detected!("avx512fp16"),
    };
    #[cfg(target_arch = "aarch64")]
    return Features {
        int8: std::arch::is_aarch64_feature_detected!("dotprod"),
        bf16: std::arch::is_aarch64_feature_detected!("bf16"),
        fp16: std::arch::is_aarch64_feature_detected!("fp16"),
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Features::default()
}
