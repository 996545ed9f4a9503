use super::*;
use crate::input::Media;

fn media(path: &Path) -> Input {
    Input::Media(Media { name: path.to_owned(), url: String::new() })
}

fn file(path: &Path) -> Input {
    std::fs::write(path, b"video").unwrap();
    media(path)
}

#[test]
fn out_is_read_by_its_extension() {
    let input = media(Path::new("in.mp4"));
    let parse = |path: &str| Output::parse(Path::new(path), None, &input);
    assert!(matches!(parse("a.MP4"), Ok(Output { kind: Kind::Video(Container::Mp4), place: Place::File, .. })));
    assert!(matches!(
        parse("out/%05d.jpeg"),
        Ok(Output { kind: Kind::Pictures(PictureFormat::Jpeg), place: Place::Numbered(_), .. })
    ));
    for path in ["a", "a.xyz", "a.png", "a%s.png"] {
        assert!(matches!(parse(path), Err(Failure::Usage(_))), "{path}");
    }
}

#[test]
fn nothing_is_left_unless_the_run_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let input = file(&folder.path().join("in.mp4"));
    for out in ["out.mp4", "a/b/%03d.png"] {
        let output = Output::parse(&folder.path().join(out), None, &input).unwrap();
        let claim = output.claim(&input, false).unwrap();
        assert!(claim.file().unwrap().exists());
        std::fs::write(claim.picture(1), b"x").unwrap();
        drop(claim);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{out}");
    }
}

#[test]
fn a_finished_run_has_its_final_name() {
    let folder = tempfile::tempdir().unwrap();
    let input = file(&folder.path().join("in.mp4"));
    for (out, expected) in [("out.mp4", "out.mp4"), ("o/%03d.png", "o/001.png")] {
        let output = Output::parse(&folder.path().join(out), None, &input).unwrap();
        let claim = output.claim(&input, false).unwrap();
        std::fs::write(claim.picture(1), b"abc").unwrap();
        assert_eq!(claim.finish().unwrap(), (3, None));
        assert_eq!(std::fs::read(folder.path().join(expected)).unwrap(), b"abc");
    }
}

#[test]
fn what_exists_is_not_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let input = file(&folder.path().join("in.mp4"));
    std::fs::write(folder.path().join("out.mp4"), b"old").unwrap();
    let output = Output::parse(&folder.path().join("out.mp4"), None, &input).unwrap();
    let refused = output.claim(&input, false).err().unwrap();
    assert!(refused.to_string().contains("add -y"));
    let claim = output.claim(&input, true).unwrap();
    std::fs::write(claim.file().unwrap(), b"new").unwrap();
    assert_eq!(std::fs::read(folder.path().join("out.mp4")).unwrap(), b"old");
    claim.finish().unwrap();
    assert_eq!(std::fs::read(folder.path().join("out.mp4")).unwrap(), b"new");
}

#[test]
fn in_and_out_may_not_be_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let input = file(&folder.path().join("in.mp4"));
    let link = folder.path().join("link.mp4");
    std::os::unix::fs::symlink(folder.path().join("in.mp4"), &link).unwrap();
    for path in [folder.path().join("in.mp4"), folder.path().join(".").join("in.mp4"), link] {
        let output = Output::parse(&path, None, &input).unwrap();
        assert!(matches!(output.claim(&input, true), Err(Failure::Usage(_))), "{}", path.display());
    }
}

#[test]
fn a_name_of_full_length_has_a_temporary_name_too() {
    let folder = tempfile::tempdir().unwrap();
    let input = file(&folder.path().join("in.mp4"));
    let output = Output::parse(&folder.path().join(format!("{}.mp4", "x".repeat(251))), None, &input).unwrap();
    output.claim(&input, false).unwrap().finish().unwrap();
}

#[test]
fn what_a_killed_run_left_is_removed_and_what_a_running_one_has_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let input = file(&folder.path().join("in.mp4"));
    let stale = folder.path().join(format!(".out.mp4.abc123{SUFFIX}"));
    std::fs::write(&stale, b"half").unwrap();
    let output = Output::parse(&folder.path().join("out.mp4"), None, &input).unwrap();
    let running = output.claim(&input, false).unwrap();
    assert!(!stale.exists());
    let second = output.claim(&input, false).unwrap();
    assert!(running.file().unwrap().exists());
    // Of two runs with the same name the later one does not replace what the first one made.
    second.finish().unwrap();
    let failure = running.finish().err().unwrap();
    assert!(failure.to_string().contains("was created while this ran"), "{failure}");
}
