//! Videos to videos: times, sound, subtitles and what else is kept.

use std::path::Path;

use crate::common::have_runtime;
use crate::make::{self, SOUND, VIDEO, X264, have};
use crate::probe::{ffmpeg, have_programs};
use crate::read::{self, assert_same_times, tolerance};
use crate::run::{names, upscale};

/// Upscales `input` to each kind of file, and checks that no frame is lost or moved.
fn check_times(input: &Path, expected: &[gst::ClockTime], folder: &Path, extensions: &[&str]) {
    assert!(!expected.is_empty(), "{}", input.display());
    for extension in extensions {
        let output = folder.join(format!("out.{extension}"));
        upscale(input, &output, &["-y"]).expect_ok();
        let what = format!("{} to .{extension}", input.display());
        assert_eq!(read::frames(&output).field::<i32>("width"), Some(128), "{what}");
        assert_same_times(expected, &read::times(&output), tolerance(&output), &what);
    }
}

/// The times of the frames of [`VIDEO`].
fn regular_times() -> Vec<gst::ClockTime> {
    (0..30).map(|index| gst::ClockTime::from_mseconds(40 * index)).collect()
}

/// Whether ONNX Runtime, ffprobe and these elements are there.
fn can_run(factories: &[&str]) -> bool {
    have_runtime() && read::have_ffprobe() && have(factories)
}

#[test]
fn every_frame_keeps_its_time() {
    if !can_run(&["x264enc", "vp9enc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for muxer in ["mp4mux", "matroskamux"] {
        let input = make::with_sound(&folder.path().join("in"), muxer, &[]);
        check_times(&input, &regular_times(), folder.path(), &["mp4", "mkv", "webm", "mov"]);
    }
}

#[test]
fn irregular_frame_times_are_kept() {
    if !can_run(&["x264enc", "vp9enc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, muxer) in [("in.mkv", "matroskamux"), ("in.mp4", "mp4mux movie-timescale=1000 trak-timescale=1000")] {
        let input = make::irregular(&folder.path().join(name), X264, muxer);
        check_times(&input, &make::irregular_times(), folder.path(), &["mp4", "mkv", "webm", "mov"]);
    }
}

#[test]
fn every_encoder_keeps_irregular_frame_times() {
    if !can_run(&["x264enc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::irregular(&folder.path().join("in.mkv"), X264, "matroskamux");
    for (encoder, element) in
        [("x265", "x265enc"), ("vp8", "vp8enc"), ("vp9", "vp9enc"), ("av1", "av1enc"), ("ffv1", "avenc_ffv1")]
    {
        if !have(&[element]) {
            continue;
        }
        for extension in ["mkv", "mp4"] {
            let output = folder.path().join(format!("{encoder}.{extension}"));
            let outcome = upscale(&input, &output, &["--encoder", encoder]);
            if extension == "mp4" && matches!(encoder, "vp8" | "ffv1") {
                outcome.expect_failure(2, &format!(".mp4 cannot hold what {encoder} makes"));
                continue;
            }
            outcome.expect_ok();
            let got = read::times(&output);
            assert_same_times(&make::irregular_times(), &got, tolerance(&output), &format!("{encoder} in {extension}"));
        }
    }
}

#[test]
fn sound_is_kept_to_the_bit() {
    if !can_run(&["x264enc", "opusenc", "vorbisenc", "avenc_aac", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let aac = make::with_sound(&folder.path().join("aac.mp4"), "mp4mux", &["avenc_aac ! aacparse"]);
    let opus = make::with_sound(&folder.path().join("opus.mkv"), "matroskamux", &["opusenc", "opusenc bitrate=16000"]);
    let vorbis = make::with_sound(&folder.path().join("vorbis.mkv"), "matroskamux", &["vorbisenc"]);
    for (input, extensions) in
        [(&aac, &["mp4", "mov", "mkv"][..]), (&opus, &["mkv", "webm", "mp4"]), (&vorbis, &["mkv", "webm"])]
    {
        let expected = read::sound(input);
        assert!(!expected.is_empty() && expected.iter().all(|packets| packets.len() > 20), "{expected:?}");
        check_times(input, &regular_times(), folder.path(), extensions);
        for extension in extensions {
            let got = read::sound(&folder.path().join(format!("out.{extension}")));
            assert_eq!(got, expected, "{} to .{extension}", input.display());
        }
    }
}

#[test]
fn sound_that_does_not_fit_is_encoded_anew_and_said() {
    if !can_run(&["x264enc", "vp9enc", "avenc_aac", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::with_sound(&folder.path().join("in.mp4"), "mp4mux", &["avenc_aac ! aacparse"]);
    let output = folder.path().join("out.webm");
    let outcome = upscale(&input, &output, &["--strict"]).expect_ok();
    let line = outcome.stderr.lines().find(|line| line.contains("becomes")).expect("it is said");
    assert!(line.contains("audio stream 2 (aac) becomes Opus: .webm cannot hold it"), "{line}");
    let (before, after) = (read::sound_duration(&input), read::sound_duration(&output));
    assert!((before - after).abs() < 0.05, "{before} s of sound become {after}");
}

#[test]
fn sound_may_end_before_the_video_or_after_it() {
    if !can_run(&["x264enc", "opusenc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Far more frames, or far more sound, than is read ahead.
    for (frames, buffers) in [(400, 20), (20, 2000)] {
        let input = folder.path().join("in.mkv");
        make::render(
            &input,
            &format!(
                "matroskamux name=mux ! filesink name=out \
                 videotestsrc num-buffers={frames} pattern=black ! video/x-raw,width=32,height=32,framerate=25/1 ! {X264} ! \
                 queue max-size-time=0 max-size-buffers=0 ! mux. \
                 audiotestsrc num-buffers={buffers} ! audio/x-raw,rate=48000,channels=1 ! opusenc ! \
                 queue max-size-time=0 max-size-buffers=0 ! mux."
            ),
        );
        let expected = read::sound(&input);
        for extension in ["mkv", "mp4"] {
            let output = folder.path().join(format!("out.{extension}"));
            upscale(&input, &output, &["-y"]).expect_ok();
            assert_eq!(read::times(&output).len(), frames);
            assert_eq!(read::sound(&output), expected);
        }
    }
}

#[test]
fn subtitles_are_kept() {
    if !can_run(&["x264enc", "subparse", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.srt");
    let first = "1\n00:00:00,200 --> 00:00:00,400\nTom <i>&</i> Jerry\n\n";
    std::fs::write(&text, format!("{first}2\n00:00:00,900 --> 00:00:01,100\nThe end\n")).unwrap();
    let input = folder.path().join("in.mkv");
    make::render(
        &input,
        &format!(
            "matroskamux name=mux ! filesink name=out {VIDEO} ! {X264} ! queue ! mux. \
             filesrc location={} ! subparse ! text/x-raw,format=pango-markup ! capssetter caps=text/x-raw,format=utf8 ! mux.",
            text.display()
        ),
    );
    for extension in ["mkv", "mp4", "mov"] {
        let output = folder.path().join(format!("out.{extension}"));
        upscale(&input, &output, &[]).expect_ok();
        assert_eq!(read::subtitles(&output), [200, 900], "{extension}");
    }
    let outcome = upscale(&input, &folder.path().join("out.webm"), &[]).expect_ok();
    assert!(outcome.stderr.contains("subtitle stream 2"), "{}", outcome.stderr);
}

#[test]
fn what_an_edit_list_cuts_off_stays_cut_off() {
    if !can_run(&["x264enc", "avenc_aac", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::with_sound(
        &folder.path().join("in.mp4"),
        "mp4mux trak-timescale=48000 movie-timescale=1000",
        &["avenc_aac ! aacparse"],
    );
    let sound = read::sound(&input)[0].len();
    // The first 400 ms of every track are skipped, as after a trim without encoding.
    make::patch_boxes(&input, b"elst", |contents| {
        // Version and flags, number of entries, duration, and then where in the track it starts.
        let time = u32::from_be_bytes(contents[12..16].try_into().unwrap());
        contents[12..16].copy_from_slice(&(time + 19_200).to_be_bytes());
        let duration = u32::from_be_bytes(contents[8..12].try_into().unwrap());
        contents[8..12].copy_from_slice(&(duration - 400).to_be_bytes());
    });
    let expected = &regular_times()[..20];
    for extension in ["mp4", "mkv"] {
        let output = folder.path().join(format!("out.{extension}"));
        upscale(&input, &output, &[]).expect_ok();
        assert_same_times(expected, &read::times(&output), tolerance(&output), extension);
        // 400 ms are 18.75 packets of 1024 samples. MP4 keeps them behind an edit list, Matroska 100 ms of them as a lead-in.
        let skipped = sound - read::sound(&output)[0].len();
        let expected = if extension == "mp4" { 0..=0 } else { 14..=15 };
        assert!(expected.contains(&skipped), "{skipped} of {sound} packets are left out of .{extension}");
    }
}

#[test]
fn pixel_aspect_and_title_are_kept() {
    if !can_run(&["x264enc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::render(
        &folder.path().join("in.mkv"),
        &format!(
            "{VIDEO},pixel-aspect-ratio=64/45 ! taginject tags=title=Holiday ! {X264} ! matroskamux ! \
             filesink name=out"
        ),
    );
    for extension in ["mp4", "mkv", "webm", "mov"] {
        let output = folder.path().join(format!("out.{extension}"));
        upscale(&input, &output, &[]).expect_ok();
        assert_eq!(read::title(&output), "Holiday", "{extension}");
        let aspect = read::frames(&output).field::<gst::Fraction>("pixel-aspect-ratio").unwrap();
        let error = f64::from(aspect.numer()) / f64::from(aspect.denom()) - 64.0 / 45.0;
        // Matroska stores the size the picture is shown at, in whole pixels.
        assert!(error.abs() < 0.01, "{aspect} in .{extension}");
    }
}

#[test]
fn a_picture_that_is_to_be_turned_stays_so_or_is_turned() {
    if !can_run(&["x264enc", "mp4mux", "videoflip"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::with_sound(&folder.path().join("in.mp4"), "mp4mux", &[]);
    make::patch_boxes(&input, b"tkhd", |contents| {
        // By 90 degrees clockwise: x' = -y + 48, y' = x.
        let matrix: [i32; 9] = [0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30];
        for (place, value) in contents[40..76].chunks_exact_mut(4).zip(matrix) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    });
    assert_eq!(read::tag::<gst::tags::ImageOrientation>(&input).as_deref(), Some("rotate-90"));
    for (extension, tag, width) in
        [("mp4", Some("rotate-90"), 128), ("mov", Some("rotate-90"), 128), ("mkv", None, 96), ("webm", None, 96)]
    {
        let output = folder.path().join(format!("out.{extension}"));
        upscale(&input, &output, &[]).expect_ok();
        assert_eq!(read::tag::<gst::tags::ImageOrientation>(&output).as_deref(), tag, "{extension}");
        assert_eq!(read::frames(&output).field::<i32>("width"), Some(width), "{extension}");
    }
}

#[test]
fn depth_colour_and_hdr_are_kept() {
    if !can_run(&["x265enc", "vp9enc", "avenc_ffv1", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let display = "34000:16000:13250:34500:7500:3000:15635:16450:10000000:50";
    let light = "1000:400";
    let input = make::render(
        &folder.path().join("in.mp4"),
        &format!(
            "videotestsrc num-buffers=5 ! video/x-raw,format=I420_10LE,width=64,height=48,framerate=25/1 ! \
             capssetter caps=\"video/x-raw,colorimetry=(string)bt2100-pq,mastering-display-info=(string){display},\
             content-light-level=(string){light}\" ! x265enc ! h265parse ! mp4mux ! filesink name=out"
        ),
    );
    for (name, args) in [
        ("x265.mp4", &["--encoder", "x265"][..]),
        ("x265.mkv", &["--encoder", "x265"]),
        ("x264.mkv", &["--encoder", "x264"]),
        ("vp9.webm", &[]),
    ] {
        let output = folder.path().join(name);
        upscale(&input, &output, args).expect_ok();
        let frames = read::frames(&output);
        assert_eq!(frames.field::<String>("format").as_deref(), Some("I420_10LE"), "{name}");
        assert_eq!(frames.field::<String>("colorimetry").as_deref(), Some("bt2100-pq"), "{name}");
        assert_eq!(frames.field::<String>("content-light-level").as_deref(), Some(light), "{name}");
        if gst::version() >= (1, 24, 0, 0) {
            // Later versions mix up the primaries of MP4; `kept` reads them with ffprobe.
            continue;
        }
        let got = frames.field::<String>("mastering-display-info").expect("it is there");
        let values = |text: &str| text.split(':').map(|value| value.parse().unwrap()).collect::<Vec<i64>>();
        // GStreamer cuts the fractions of Matroska's numbers off.
        let close = values(&got).iter().zip(values(display)).all(|(got, expected)| (got - expected).abs() <= 1);
        assert!(close, "{got} in {name}");
    }
}

#[test]
fn interlaced_video_is_refused_or_made_progressive() {
    if !can_run(&["x264enc", "interlace", "deinterlace"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::render(
        &folder.path().join("in.mkv"),
        "videotestsrc num-buffers=40 pattern=ball ! video/x-raw,format=I420,width=64,height=64,framerate=50/1 ! \
         interlace field-pattern=1:1 top-field-first=true ! x264enc interlaced=true bframes=0 ! matroskamux ! \
         filesink name=out",
    );
    let output = folder.path().join("out.mkv");
    upscale(&input, &output, &[]).expect_failure(1, "is interlaced: add --deinterlace");
    assert_eq!(names(folder.path()), ["in.mkv"]);
    let expected = read::times(&input);
    upscale(&input, &output, &["--deinterlace"]).expect_ok();
    assert_same_times(&expected, &read::times(&output), tolerance(&output), "deinterlaced");
}

#[test]
fn a_lossless_encoder_gets_what_the_upscaler_makes() {
    if !can_run(&["avenc_ffv1", "x264enc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::with_sound(&folder.path().join("in.mkv"), "matroskamux", &[]);
    let hashes: Vec<Vec<u64>> = [("exact", "1"), ("exact", "2"), ("off", "2")]
        .iter()
        .map(|(duplicates, workers)| {
            let output = folder.path().join(format!("{duplicates}{workers}.mkv"));
            upscale(&input, &output, &["--encoder", "ffv1", "--duplicates", duplicates, "--workers", workers])
                .expect_ok();
            read::frames(&output).hashes
        })
        .collect();
    assert_eq!(hashes[0].len(), 30);
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], hashes[2]);
}

#[test]
fn options_reach_the_encoder() {
    if !can_run(&["x264enc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::with_sound(&folder.path().join("in.mkv"), "matroskamux", &[]);
    let size = |args: &[&str]| {
        let output = folder.path().join("out.mp4");
        upscale(&input, &output, &[args, &["-y"]].concat()).expect_ok();
        std::fs::metadata(output).unwrap().len()
    };
    let (low, high) = (size(&["--quality", "30"]), size(&["--quality", "90"]));
    assert!(high > 2 * low, "{low} bytes at quality 30, {high} at 90");
    let all_intra = size(&["--encoder-options", "g=1"]);
    assert!(all_intra > size(&[]), "with g=1 every frame is a key frame");
}

#[test]
fn several_sound_streams_keep_their_languages() {
    if !can_run(&["x264enc", "opusenc", "mp4mux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let encoders = ["taginject tags=language-code=de ! opusenc", "taginject tags=language-code=fr ! opusenc"];
    let input = make::with_sound(&folder.path().join("in.mkv"), "matroskamux", &encoders);
    let languages = |path: &Path| -> Vec<_> {
        let streams = read::discover(path).audio_streams();
        streams.iter().map(|stream| stream.language().map(|language| language.to_string())).collect()
    };
    let expected = languages(&input);
    assert_eq!(expected.iter().flatten().count(), 2, "{expected:?}");
    for extension in ["mkv", "mp4", "webm"] {
        let output = folder.path().join(format!("out.{extension}"));
        upscale(&input, &output, &[]).expect_ok();
        assert_eq!(languages(&output), expected, "{extension}");
    }
}

#[test]
fn a_transport_stream_keeps_its_sound() {
    if !can_run(&["x264enc", "avenc_aac", "mpegtsmux", "tsdemux"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = make::render(
        &folder.path().join("in.ts"),
        &format!(
            "mpegtsmux name=mux ! filesink name=out {VIDEO} ! {X264} ! h264parse ! queue ! mux. \
             {SOUND} ! audioconvert ! avenc_aac ! aacparse ! queue ! mux."
        ),
    );
    let output = folder.path().join("out.mp4");
    upscale(&input, &output, &[]).expect_ok();
    assert_eq!(read::times(&output).len(), 30);
    // The packets lose their ADTS headers, so that their hashes differ.
    let (before, after) = (read::sound(&input)[0].len(), read::sound(&output)[0].len());
    assert!(after + 2 >= before, "{before} packets, then {after}");
}

#[test]
fn telecined_film_goes_back_to_its_frames() {
    if !have_runtime() || !have_programs(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source =
        "-f lavfi -i testsrc2=s=320x240:r=24000/1001:d=2 -vf telecine -c:v ffv1 -flags +ildct+ilme -top 1 in.mkv";
    ffmpeg(folder.path(), &source.split_whitespace().collect::<Vec<_>>());
    let (input, output) = (folder.path().join("in.mkv"), folder.path().join("out.mkv"));
    upscale(&input, &output, &["--model", "lanczos2x", "--inverse-telecine"]).expect_ok();
    let expected: Vec<_> = (0..48).map(|frame| gst::ClockTime::from_nseconds(frame * 1_001_000_000 / 24)).collect();
    assert_same_times(&expected, &read::times(&output), gst::ClockTime::from_mseconds(1), "film");
}
