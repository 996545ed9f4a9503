//! GPUs whose kernel driver reports their memory in sysfs: AMD (amdgpu), and discrete Intel GPUs (i915 as shipped by
//! Intel).

use std::fs;
use std::path::{Path, PathBuf};

use super::Memory;

/// The memory of GPU number `index` among those that report it.
pub fn memory(index: u32) -> Option<Memory> {
    let cards = cards(Path::new("/sys/class/drm"));
    cards.iter().filter_map(|card| of_card(card)).nth(index as usize)
}

/// `card0`, `card1` and so on, in numerical order, without their connectors (`card0-HDMI-A-1`).
fn cards(folder: &Path) -> Vec<PathBuf> {
    let mut cards: Vec<(u32, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.strip_prefix("card")?.parse().ok()?, entry.path())))
        .collect();
    cards.sort();
    cards.into_iter().map(|(_, path)| path).collect()
}

/// Reads amdgpu's `mem_info_vram_*` (in the kernel's documentation: "GPU Memory Usage Information") or i915's
/// `lmem_*_bytes`, both in bytes.
fn of_card(card: &Path) -> Option<Memory> {
    let number = |name: &str| fs::read_to_string(card.join(name)).ok()?.trim().parse::<u64>().ok();
    let amd = || {
        let (total, used) = number("device/mem_info_vram_total").zip(number("device/mem_info_vram_used"))?;
        Some(Memory { total, free: total.saturating_sub(used) })
    };
    let intel = || {
        let (total, free) = number("lmem_total_bytes").zip(number("lmem_avail_bytes"))?;
        Some(Memory { total, free })
    };
    amd().or_else(intel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_that_report_memory_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let card = |name: &str, numbers: Option<(&str, &str)>| {
            let device = root.path().join(name).join("device");
            fs::create_dir_all(&device).unwrap();
            if let Some((total, used)) = numbers {
                fs::write(device.join("mem_info_vram_total"), total).unwrap();
                fs::write(device.join("mem_info_vram_used"), used).unwrap();
            }
        };
        card("card10", Some(("8000\n", "1000\n")));
        card("card2", Some(("4000\n", "500\n")));
        card("card0", None);
        card("card2-DP-1", Some(("1\n", "1\n")));
        card("card3", None);
        fs::write(root.path().join("card3/lmem_total_bytes"), "9000\n").unwrap();
        fs::write(root.path().join("card3/lmem_avail_bytes"), "8000\n").unwrap();
        let memories: Vec<_> = cards(root.path()).iter().filter_map(|card| of_card(card)).collect();
        let memory = |total, free| Memory { total, free };
        assert_eq!(memories, [memory(4000, 3500), memory(9000, 8000), memory(8000, 7000)]);
    }
}
