//! What other people's programs say of a file: ffprobe and mkvinfo.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Everything ffprobe knows, with a hash of each packet.
pub fn probe(path: &Path) -> Value {
    let args =
        ["-v", "error", "-show_streams", "-show_format", "-show_chapters", "-show_packets", "-show_data_hash", "md5"];
    let output = Command::new("ffprobe").args(args).args(["-of", "json"]).arg(path).output().expect("ffprobe is there");
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON")
}

/// The streams of a kind.
pub fn streams<'a>(probed: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = probed["streams"].as_array().expect("there are streams");
    all.iter().filter(|stream| stream["codec_type"] == kind).collect()
}

/// A tag of a stream or of the whole, whatever the case of its name.
pub fn tag(of: &Value, name: &str) -> Option<String> {
    let tags = of["tags"].as_object()?;
    let (_, value) = tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(value.as_str()?.to_owned())
}

/// The hashes of a stream's packets, in their order.
pub fn packets(probed: &Value, stream: &Value) -> Vec<String> {
    let all = probed["packets"].as_array().expect("there are packets");
    let of = all.iter().filter(|packet| packet["stream_index"] == stream["index"]);
    of.map(|packet| packet["data_hash"].as_str().expect("a hash").to_owned()).collect()
}

/// A rational such as "30000/1001".
pub fn ratio(text: &Value) -> f64 {
    let (above, below) = text.as_str().expect("a ratio").split_once('/').expect("a ratio");
    above.parse::<f64>().unwrap() / below.parse::<f64>().unwrap()
}

/// What mkvinfo prints; it must not complain.
pub fn mkvinfo(path: &Path) -> String {
    let output = Command::new("mkvinfo").env("LC_ALL", "C.UTF-8").arg(path).output().expect("mkvinfo is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !text.contains("(MKVInfo) Error"), "{}: {text}", path.display());
    text
}

/// Whether these programs are there; says loudly what is left out if not.
pub fn have_programs(names: &[&str]) -> bool {
    let missing = names.iter().find(|name| {
        let version = if **name == "mkvinfo" { "--version" } else { "-version" };
        Command::new(name).arg(version).output().is_err()
    });
    if let Some(missing) = missing {
        eprintln!("*** SKIPPED: {missing} is not installed ***");
    }
    missing.is_none()
}

/// Runs ffmpeg with these arguments in a folder.
#[track_caller]
pub fn ffmpeg(folder: &Path, args: &[&str]) {
    let output = Command::new("ffmpeg").current_dir(folder).args(["-v", "error", "-y"]).args(args).output();
    let output = output.expect("ffmpeg is there");
    assert!(output.status.success(), "ffmpeg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
