//! Passes on which FFmpeg the bindings were made for: some fields have other names in each.

fn main() {
    for version in ["6_0", "6_1", "7_0"] {
        println!("cargo::rustc-check-cfg=cfg(ffmpeg_{version})");
        if std::env::var(format!("DEP_FFMPEG_FFMPEG_{version}")).is_ok_and(|found| found == "true") {
            println!("cargo::rustc-cfg=ffmpeg_{version}");
        }
    }
}
