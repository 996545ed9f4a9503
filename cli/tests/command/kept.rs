//! Streams, metadata and colours are kept, or their loss is reported.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::have_runtime;
use crate::probe::{self, ffmpeg, have_programs, mkvinfo, probe, streams, tag};
use crate::read;
use crate::run::{run_in, upscale};

const STYLED: &str = "[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, \
    SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, \
    Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\nStyle: Default,Arial,20,&H00FFFFFF,&H000000FF,&H0,&H0,0,0,0,0,\
    100,100,0,0,1,2,2,2,10,10,10,1\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n\
    Dialogue: 0,0:00:00.20,0:00:00.90,Default,,0,0,0,,{\\i1}Hello{\\i0}\nDialogue: 0,0:00:01.00,0:00:01.50,Default,,0,0,0,,World\n";
const CHAPTERS: &str = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1000\n\
    START=1000\nEND=2000\ntitle=Two\n";

/// Two seconds of Matroska with all that it can hold: full-range video, two languages, styled text, a font, a cover, chapters, tags.
fn rich(folder: &Path) -> PathBuf {
    std::fs::write(folder.join("text.ass"), STYLED).unwrap();
    std::fs::write(folder.join("chapters.txt"), CHAPTERS).unwrap();
    std::fs::write(folder.join("font.ttf"), b"not really a font").unwrap();
    let sources = "-f lavfi -i testsrc2=s=64x48:r=25:d=2 -f lavfi -i sine=440:d=2 -f lavfi -i sine=880:d=2 -i text.ass -i chapters.txt";
    let video = "-map 0 -map 1 -map 2 -map 3 -map_chapters 4 -vf scale=out_range=full,format=yuv420p -c:v libx264 -color_range pc \
        -colorspace bt709 -color_primaries bt709 -color_trc bt709";
    let others = "-c:a:0 flac -c:a:1 aac -c:s copy -metadata:s:a:0 language=deu -metadata:s:a:0 title=Ton -metadata:s:a:1 language=fra \
        -metadata:s:s:0 language=eng -disposition:a:0 0 -disposition:a:1 default -disposition:s:0 forced \
        -metadata title=Film -metadata artist=Somebody -attach font.ttf -metadata:s:t mimetype=application/x-truetype-font rich.mkv";
    let all = format!("{sources} {video} {others}");
    ffmpeg(folder, &all.split_whitespace().collect::<Vec<_>>());
    folder.join("rich.mkv")
}

fn can_run() -> bool {
    have_runtime() && have_programs(&["ffmpeg", "ffprobe", "mkvinfo"])
}

#[test]
fn matroska_keeps_everything() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = rich(folder.path());
    let output = folder.path().join("out.mkv");
    let outcome = upscale(&input, &output, &["--strict", "-q"]).expect_ok();
    assert_eq!(outcome.stderr, "");
    let (before, after) = (probe(&input), probe(&output));
    let kinds = |probed: &Value| -> Vec<String> {
        let all = probed["streams"].as_array().unwrap();
        all.iter().map(|stream| format!("{} {}", stream["codec_type"], stream["codec_name"])).collect()
    };
    assert_eq!(kinds(&before), kinds(&after));
    for (from, to) in before["streams"].as_array().unwrap().iter().zip(after["streams"].as_array().unwrap()) {
        for name in ["language", "title", "filename", "mimetype"] {
            assert_eq!(tag(from, name), tag(to, name), "{name} of {}", from["index"]);
        }
        assert_eq!(from["disposition"], to["disposition"]);
        if from["codec_type"] != "video" {
            assert_eq!(probe::packets(&before, from), probe::packets(&after, to));
        }
    }
    assert_eq!(after["chapters"].as_array().unwrap().len(), 2);
    for (from, to) in before["chapters"].as_array().unwrap().iter().zip(after["chapters"].as_array().unwrap()) {
        assert_eq!(
            (&from["start_time"], &from["end_time"], tag(from, "title")),
            (&to["start_time"], &to["end_time"], tag(to, "title"))
        );
    }
    assert_eq!(
        (tag(&after["format"], "title"), tag(&after["format"], "artist")),
        (Some("Film".into()), Some("Somebody".into()))
    );
    let info = mkvinfo(&output);
    assert!(info.contains("font.ttf") && info.contains("Forced") || info.contains("forced"), "{info}");
}

#[test]
fn what_a_container_cannot_hold_is_encoded_anew_or_named() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = rich(folder.path());
    for (extension, sound, text) in [("mp4", "aac", "mov_text"), ("webm", "opus", "webvtt")] {
        let output = folder.path().join(format!("out.{extension}"));
        let refused = upscale(&input, &output, &["--strict"]).expect_failure(1, "--strict: ");
        assert!(refused.stderr.contains("font.ttf") && !output.exists(), "{}", refused.stderr);
        let outcome = upscale(&input, &output, &["-q"]).expect_ok();
        assert!(outcome.stderr.contains("attachment stream 5 (ttf, font.ttf) is left out"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("(ass, eng) becomes"), "{}", outcome.stderr);
        let after = probe(&output);
        let audio = streams(&after, "audio");
        assert_eq!(
            // Later versions of FFmpeg have FLAC in MP4.
            audio
                .iter()
                .map(|stream| stream["codec_name"].as_str().unwrap().replace("flac", "aac"))
                .collect::<Vec<_>>(),
            [sound, sound]
        );
        assert_eq!(audio.iter().filter_map(|stream| tag(stream, "language")).collect::<Vec<_>>(), ["deu", "fra"]);
        assert_eq!(streams(&after, "subtitle")[0]["codec_name"], text);
        assert_eq!(read::subtitles(&output), read::subtitles(&input), "{extension}");
        assert_eq!(after["chapters"].as_array().unwrap().len(), 2, "{extension}");
        assert_eq!(tag(&after["format"], "title").as_deref(), Some("Film"));
    }
}

#[test]
fn full_range_stays_full_range_and_blacks_stay_black() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A ramp over all 256 codes, coded without loss.
    ffmpeg(
        folder.path(),
        &[
            "-f",
            "lavfi",
            "-i",
            "color=s=256x16:d=0.2:r=25,format=yuv420p,geq=lum='X':cb=128:cr=128",
            "-c:v",
            "libx264",
            "-qp",
            "0",
            "-color_range",
            "pc",
            "-colorspace",
            "bt709",
            "-color_primaries",
            "bt709",
            "-color_trc",
            "bt709",
            "ramp.mp4",
        ],
    );
    let input = folder.path().join("ramp.mp4");
    for (name, args) in
        [("ffv1.mkv", &["--encoder", "ffv1"][..]), ("h264.mp4", &["--crf", "1"]), ("vp9.webm", &["--crf", "1"])]
    {
        let output = folder.path().join(name);
        upscale(&input, &output, args).expect_ok();
        let colour = |path: &Path| {
            let probed = probe(path);
            let video = streams(&probed, "video")[0];
            ["color_range", "color_space", "color_primaries", "color_transfer"]
                .map(|field| video[field].as_str().unwrap_or("").to_owned())
        };
        assert_eq!(colour(&output), colour(&input), "{name}");
        assert_eq!(colour(&output)[0], "pc", "{name}");
        let luma = read::first_luma_row(&output, 512);
        for (column, code) in luma.iter().enumerate() {
            let expected = (column as i32 - 1) / 2;
            assert!((i32::from(*code) - expected).abs() <= 3, "{name}: code {code} at column {column}");
        }
    }
    // As a picture: what was 0 is black, what was 255 is white.
    run_in(folder.path(), ["ramp.mp4", "out-%d.png"]).expect_ok();
    let rgb = read::first_rgb_row(&folder.path().join("out-1.png"), 512);
    assert!(rgb[0] <= 1 && rgb[3 * 511] >= 254, "{} to {}", rgb[0], rgb[3 * 511]);
    assert!((i32::from(rgb[3 * 256]) - 128).abs() <= 3, "{}", rgb[3 * 256]);
}

#[test]
fn hdr10_is_kept_in_stream_and_container() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let params = "log-level=none:hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:\
        master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400";
    ffmpeg(
        folder.path(),
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=64x48:d=0.4:r=25",
            "-pix_fmt",
            "yuv420p10le",
            "-c:v",
            "libx265",
            "-x265-params",
            params,
            "-color_primaries",
            "bt2020",
            "-color_trc",
            "smpte2084",
            "-colorspace",
            "bt2020nc",
            "-color_range",
            "tv",
            "hdr.mkv",
        ],
    );
    let input = folder.path().join("hdr.mkv");
    for (name, args) in [("h265.mp4", &["--encoder", "h265"][..]), ("h264.mkv", &[]), ("vp9.webm", &[])] {
        let output = folder.path().join(name);
        let outcome = upscale(&input, &output, &[args, &["--strict", "-q"]].concat()).expect_ok();
        assert_eq!(outcome.stderr, "", "{name}");
        let frame = read::first_frame_side_data(&output);
        for text in ["Mastering display", "Content light", "max_content\": 1000", "max_average\": 400"] {
            assert!(frame.contains(text), "{text} of {name}: {frame}");
        }
        for (field, expected) in [("red_x", 0.68), ("white_point_y", 0.329), ("max_luminance", 1000.0)] {
            let value =
                frame.split(&format!("\"{field}\": \"")).nth(1).expect("it is there").split('"').next().unwrap();
            // Matroska has fractions of its own.
            assert!((probe::ratio(&Value::from(value)) / expected - 1.0).abs() < 0.001, "{field} of {name}: {value}");
        }
        let probed = probe(&output);
        let video = streams(&probed, "video")[0];
        assert_eq!(video["color_transfer"], "smpte2084", "{name}");
        assert_eq!(video["pix_fmt"], "yuv420p10le", "{name}");
    }
}

#[test]
fn pictures_of_16_bits_stay_so() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for format in ["rgb48be", "rgba64be", "gray16be"] {
        ffmpeg(
            folder.path(),
            &["-f", "lavfi", "-i", "testsrc2=s=32x24", "-frames:v", "1", "-pix_fmt", format, "in.png"],
        );
        run_in(folder.path(), ["-y", "in.png", "out.png"]).expect_ok();
        let probed = probe(&folder.path().join("out.png"));
        let got = streams(&probed, "video")[0]["pix_fmt"].as_str().unwrap().to_owned();
        let expected = if format == "rgb48be" { "rgb48be" } else { format };
        assert_eq!(got, expected);
    }
}

#[test]
fn a_cover_stays_a_cover() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(folder.path(), &["-f", "lavfi", "-i", "testsrc2=s=32x32", "-frames:v", "1", "cover.jpg"]);
    ffmpeg(
        folder.path(),
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=64x48:d=0.4:r=25",
            "-i",
            "cover.jpg",
            "-map",
            "0",
            "-map",
            "1",
            "-c:v:0",
            "libx264",
            "-c:v:1",
            "copy",
            "-disposition:v:1",
            "attached_pic",
            "in.mp4",
        ],
    );
    for extension in ["mp4", "mkv"] {
        let output = folder.path().join(format!("out.{extension}"));
        upscale(&folder.path().join("in.mp4"), &output, &["--strict"]).expect_ok();
        let probed = probe(&output);
        let cover = streams(&probed, "video").into_iter().find(|stream| stream["disposition"]["attached_pic"] == 1);
        assert_eq!(cover.expect("there is a cover")["width"], 32, "{extension}");
        assert_eq!(read::times(&output).len(), 10, "{extension}");
    }
}
