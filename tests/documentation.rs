//! The documentation matches the element: `docs/properties.md` is generated from its properties.
//!
//! `script/docs` rewrites the page.

use std::fmt::Write as _;
use std::path::Path;

use gst::prelude::*;

const PATH: &str = "docs/properties.md";

const HEAD: &str = "\
# Properties

<!-- Made by `script/docs` from the element's properties. Do not edit. -->

What `gst-inspect-1.0 upscalefilter` shows. \"playing\" means that a new value takes effect while frames flow, \"ready\" that it takes effect when
the element next goes from READY to PAUSED.

";

fn page(element: &gst::Element) -> String {
    let mut page = HEAD.to_owned();
    for spec in element.list_properties().iter().filter(|spec| spec.owner_type() == element.type_()) {
        let playing = spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING);
        let when = match spec.flags().contains(glib::ParamFlags::WRITABLE) {
            true if playing => "playing",
            true => "ready",
            false => "read-only",
        };
        writeln!(page, "## {}\n", spec.name()).unwrap();
        writeln!(page, "{}.\n", spec.blurb().unwrap()).unwrap();
        writeln!(page, "{}, {when}\n", kind(spec)).unwrap();
        if let Some(spec) = spec.downcast_ref::<glib::ParamSpecEnum>() {
            page.push_str("| value | |\n|---|---|\n");
            for value in spec.enum_class().values() {
                writeln!(page, "| `{}` | {} |", value.nick(), value.name()).unwrap();
            }
            page.push('\n');
        }
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// The type, range and default.
fn kind(spec: &glib::ParamSpec) -> String {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        let most = if spec.maximum() == u32::MAX { "any".to_owned() } else { format!("0 to {}", spec.maximum()) };
        format!("Unsigned integer, {most}, default {}", spec.default_value())
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
        format!("Unsigned integer (64 bits), default {}", spec.default_value())
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecBoolean>() {
        format!("Boolean, default {}", spec.default_value())
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecString>() {
        spec.default_value()
            .map_or("String, not set by default".to_owned(), |default| format!("String, default `{default}`"))
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecEnum>() {
        let class = spec.enum_class();
        let default = class.value(spec.default_value_as_i32()).unwrap();
        format!("Enumeration, default `{}`", default.nick())
    } else if spec.is::<glib::ParamSpecBoxed>() {
        "Structure".to_owned()
    } else {
        panic!("{} has a type that this test does not know", spec.name())
    }
}

#[test]
fn the_properties_page_is_up_to_date() {
    gst::init().unwrap();
    gstupscale::plugin_register_static().unwrap();
    let page = page(&gst::ElementFactory::make("upscalefilter").build().unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PATH);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{PATH} is out of date: run UPDATE_DOCS=1 cargo test --test documentation");
}

#[test]
fn a_blurb_has_at_most_two_sentences() {
    gst::init().unwrap();
    gstupscale::plugin_register_static().unwrap();
    let element = gst::ElementFactory::make("upscalefilter").build().unwrap();
    for spec in element.list_properties().iter().filter(|spec| spec.owner_type() == element.type_()) {
        let blurb = spec.blurb().unwrap();
        assert!(blurb.matches(". ").count() <= 1, "{}: {blurb}", spec.name());
    }
}

#[test]
fn statistics_are_explained() {
    gst::init().unwrap();
    gstupscale::plugin_register_static().unwrap();
    let element = gst::ElementFactory::make("upscalefilter").build().unwrap();
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/statistics.md")).unwrap();
    for (field, _) in element.property::<gst::Structure>("stats").iter() {
        assert!(page.contains(&format!("`{field}`")), "docs/statistics.md does not explain {field}");
    }
}
