//! Damage found in the input.

/// Counted while reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Damage {
    /// Video packets that the decoder rejected.
    pub packets: u64,
    /// Frames decoded with errors.
    pub frames: u64,
    /// Pictures of a sequence that could not be decoded.
    pub pictures: u64,
    pub first_picture: Option<String>,
    /// Seconds missing at the end, and the expected duration.
    pub missing: Option<(f64, f64)>,
    /// The error that ended reading.
    pub error: Option<String>,
}

impl Damage {
    pub fn is_any(&self) -> bool {
        *self != Damage::default()
    }
}

impl std::fmt::Display for Damage {
    /// As in "2 packets could not be decoded, 5 frames have errors, the last 3.1 of 10.0 s are missing".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{count} {many}")),
        };
        let parts = [
            plural(self.packets, "packet could not be decoded", "packets could not be decoded"),
            plural(self.pictures, "picture could not be decoded", "pictures could not be decoded"),
            self.first_picture.as_ref().map(|reason| format!("the first: {reason}")),
            plural(self.frames, "frame has errors", "frames have errors"),
            self.missing.map(|(missing, of)| format!("the last {missing:.1} of {of:.1} s are missing")),
            self.error.as_ref().map(|error| format!("reading ended with: {error}")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_in_words() {
        assert!(!Damage::default().is_any());
        let damage = Damage { packets: 2, frames: 1, missing: Some((3.06, 10.0)), ..Damage::default() };
        let text = "2 packets could not be decoded, 1 frame has errors, the last 3.1 of 10.0 s are missing";
        assert_eq!(damage.to_string(), text);
    }
}
