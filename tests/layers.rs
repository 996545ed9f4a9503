//! The layers of `ARCHITECTURE.md`: a module uses only modules below it, and the element's files do not use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The top-level modules from the highest down; those of a row do not use each other.
const LAYERS: [&[&str]; 8] =
    [&["upscalefilter"], &["plan"], &["stats"], &["reuse"], &["schedule"], &["model"], &["picture"], &["device"]];
/// Below all others.
const BASE: &str = "types";

/// Names what the others use, and uses all of them: the GObject class, of which they are methods.
const CLASS: [&str; 2] = ["", "imp"];

/// A source file without comments and unit tests.
struct File {
    path: PathBuf,
    /// Its module's path below the crate.
    module: Vec<String>,
    code: String,
}

fn source_files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name == "tests" || name == "tests.rs" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let below = path.strip_prefix(&root).unwrap().with_extension("");
                let mut module: Vec<_> = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                if ["mod", "lib"].contains(&&**module.last().unwrap()) {
                    module.pop();
                }
                let code = code(&std::fs::read_to_string(&path).unwrap());
                files.push(File { path, module, code });
            }
        }
    }
    assert!(files.len() > 50, "the sources are at {}", root.display());
    files
}

/// Leaves out comments, what only tests have, and re-exports, which only pass names on.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.split(" // ").next().unwrap();
        if line == "#[cfg(test)]" {
            // The item ends here: `mod tests;`, or a block's brace.
            lines.by_ref().find(|line| line.ends_with(';') && !line.starts_with(' ') || *line == "}");
            continue;
        }
        let is_comment = line.trim_start().starts_with("//");
        let is_reexport = line.starts_with("pub") && line.contains(" use ");
        if !is_comment && !is_reexport {
            code += line;
            code.push('\n');
        }
    }
    code
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The paths below the crate that a file names, each as far as it goes; of `a::{b, c}` both.
fn used_paths(file: &File) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (start, _) in ["crate::", "super::", "self::"].iter().flat_map(|word| file.code.match_indices(word)) {
        let before = file.code[..start].chars().next_back();
        if before.is_none_or(|before| !is_name(before) && before != ':') {
            follow(&file.code[start..], Vec::new(), &mut found);
        }
    }
    found.into_iter().map(|path| absolute(&file.module, path)).collect()
}

/// Reads one path, or the braces that it ends in, and returns the rest of the text.
fn follow<'a>(mut text: &'a str, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    loop {
        if let Some(mut inner) = text.strip_prefix('{') {
            loop {
                inner = follow(inner.trim_start(), path.clone(), found).trim_start();
                let Some(next) = inner.strip_prefix(',') else { break };
                inner = next.trim_start();
                if inner.starts_with('}') {
                    break;
                }
            }
            return inner.strip_prefix('}').unwrap_or(inner);
        }
        let end = text.find(|letter| !is_name(letter)).unwrap_or(text.len());
        path.extend((end > 0).then(|| text[..end].to_owned()));
        text = &text[end..];
        let Some(next) = text.strip_prefix("::") else {
            found.push(path);
            return text;
        };
        text = next;
    }
}

/// Resolves `crate`, `self` and `super` at the start of a path.
fn absolute(module: &[String], path: Vec<String>) -> Vec<String> {
    let mut base = module.to_vec();
    let mut rest = path.into_iter().peekable();
    while let Some(word) = rest.next_if(|word| ["crate", "self", "super"].contains(&&**word)) {
        match &*word {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            _ => {}
        }
    }
    base.extend(rest);
    base
}

/// How far up a module is; 0 is the lowest.
fn height(module: &str) -> usize {
    let from_top = LAYERS.iter().position(|layer| layer.contains(&module));
    let height = from_top.map(|place| LAYERS.len() - place);
    height.or((module == BASE).then_some(0)).unwrap_or_else(|| panic!("`{module}` is in no layer: add it to LAYERS"))
}

#[test]
fn modules_use_only_those_below_them() {
    let mut upwards = BTreeSet::new();
    for file in source_files() {
        let Some(from) = file.module.first() else { continue };
        for used in used_paths(&file) {
            let Some(to) = used.first().filter(|to| *to != from) else { continue };
            if height(to) >= height(from) {
                upwards.insert(format!("{} uses {}", file.path.display(), used.join("::")));
            }
        }
    }
    assert!(upwards.is_empty(), "{upwards:#?}");
}

#[test]
fn the_elements_files_do_not_use_each_other_in_a_circle() {
    let files: Vec<_> = source_files()
        .into_iter()
        .filter(|file| file.module.first().is_some_and(|module| module == "upscalefilter"))
        .collect();
    let name = |module: &[String]| module[1..].join("::");
    let names: BTreeSet<_> = files.iter().map(|file| name(&file.module)).collect();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in &files {
        let used =
            used_paths(file).into_iter().filter(|used| used.first().is_some_and(|module| module == "upscalefilter"));
        // The longest beginning of the path that is a file; what follows is an item in it.
        let used = used
            .filter_map(|path| (1..=path.len()).rev().map(|end| name(&path[..end])).find(|name| names.contains(name)));
        let own = name(&file.module);
        let others = used.filter(|used| *used != own && !CLASS.contains(&&**used)).collect();
        if !CLASS.contains(&&*own) {
            uses.insert(own, others);
        }
    }
    assert!(uses["engine"].contains("engine::worker"), "{uses:#?}");
    // What uses no other file, or is used by none, is in no circle.
    let outside = |uses: &BTreeMap<String, BTreeSet<String>>| {
        let is_used = |file: &String| uses.values().any(|used| used.contains(file));
        uses.iter().find(|(file, used)| used.is_empty() || !is_used(file)).map(|(file, _)| file.clone())
    };
    while let Some(file) = outside(&uses) {
        uses.remove(&file);
        for used in uses.values_mut() {
            used.remove(&file);
        }
    }
    assert!(uses.is_empty(), "these files use each other: {uses:#?}");
}

#[test]
fn only_the_element_speaks_gstreamer() {
    for file in source_files() {
        let allowed = file.module.first().is_none_or(|module| module == "upscalefilter");
        // The enums of `types` are properties, which need GObject's registration.
        let code = file.code.replace("use gst::glib;", "");
        let mentions = ["gst::", "gst_video::", "gst_base::"].iter().any(|name| code.contains(name));
        assert!(allowed || !mentions, "{} mentions GStreamer", file.path.display());
    }
}
