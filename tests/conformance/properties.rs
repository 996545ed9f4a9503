//! Properties keep their ranges, notify about changes, and may be read and written at any time.

use std::sync::atomic::{AtomicBool, Ordering};

use glib::translate::{ToGlibPtr, ToGlibPtrMut};
use gst::prelude::*;

use crate::common::process::{program, run};
use crate::common::{GRAY, dummy_element, gray_frame, harness, model};

const CHILD: &str = "UPSCALE_TEST_PROPERTIES_CHILD";
const OVER: &str = "all properties were tried";

/// Values of the property's type, each with whether it is within the range.
fn samples(spec: &glib::ParamSpec) -> Vec<(glib::Value, bool)> {
    fn numbers<T: Copy + Into<i128> + TryFrom<i128> + ToValue>(least: T, most: T) -> Vec<(glib::Value, bool)> {
        let (least, most) = (least.into(), most.into());
        [least - 1, least, (least + most) / 2, most, most + 1]
            .into_iter()
            .filter_map(|number| Some((T::try_from(number).ok()?.to_value(), (least..=most).contains(&number))))
            .collect()
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        numbers(spec.minimum(), spec.maximum())
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
        numbers(spec.minimum(), spec.maximum())
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
        numbers(spec.minimum(), spec.maximum())
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt64>() {
        numbers(spec.minimum(), spec.maximum())
    } else if spec.is::<glib::ParamSpecBoolean>() {
        [false, true].map(|value| (value.to_value(), true)).into()
    } else if spec.is::<glib::ParamSpecString>() {
        [Some("/nowhere"), Some(""), None].map(|value| (value.to_value(), true)).into()
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecEnum>() {
        let class = spec.enum_class();
        let known = class.values().iter().map(|value| (class.to_value(value.value()).unwrap(), true));
        let mut unknown = known.clone().next().unwrap();
        // SAFETY: the value holds an enumeration, for which GLib takes any number.
        unsafe { glib::gobject_ffi::g_value_set_enum(unknown.0.as_ptr(), 4711) };
        unknown.1 = false;
        known.collect::<Vec<_>>().into_iter().chain([unknown]).collect()
    } else {
        panic!("{} has a type that this test does not know", spec.name())
    }
}

/// Sets a property as C programs do: a value out of range is a warning, not a panic.
fn set(element: &gst::Element, name: &str, value: &glib::Value) {
    // SAFETY: object, name and value are valid, and stay so.
    unsafe {
        glib::gobject_ffi::g_object_set_property(
            element.as_ptr().cast(),
            name.to_glib_none().0,
            value.to_glib_none().0,
        );
    }
}

fn same(spec: &glib::ParamSpec, one: &glib::Value, other: &glib::Value) -> bool {
    // SAFETY: the values are of the property's type.
    unsafe {
        glib::gobject_ffi::g_param_values_cmp(spec.to_glib_none().0, one.to_glib_none().0, other.to_glib_none().0) == 0
    }
}

fn try_all() {
    gst::init().unwrap();
    gstupscale::plugin_register_static().unwrap();
    let element = gst::ElementFactory::make("upscalefilter").build().unwrap();
    for spec in element.list_properties() {
        let ours = spec.owner_type() == element.type_();
        if !ours || !spec.flags().contains(glib::ParamFlags::WRITABLE) {
            continue;
        }
        let name = spec.name();
        let default = element.property_value(name);
        assert!(spec.flags().contains(glib::ParamFlags::READABLE), "{name}");
        assert!(same(&spec, &default, spec.default_value()), "{name} starts with {default:?}");
        assert!(spec.blurb().is_some_and(|blurb| blurb.len() > 20), "{name}");
        for (value, allowed) in samples(&spec) {
            set(&element, name, &value);
            let now = element.property_value(name);
            // GLib clamps values that are out of range.
            assert!(!allowed || same(&spec, &now, &value) || is_text(&value), "{name}: {value:?} became {now:?}");
            let mut copy = now.clone();
            // SAFETY: the value is of the property's type.
            let changed =
                unsafe { glib::gobject_ffi::g_param_value_validate(spec.to_glib_none().0, copy.to_glib_none_mut().0) };
            let valid = changed == glib::ffi::GFALSE;
            assert!(valid, "{name} is out of its range: {now:?}");
        }
        set(&element, name, spec.default_value());
    }
    element.set_state(gst::State::Null).unwrap();
    eprintln!("{OVER}");
}

/// An empty string means the default.
fn is_text(value: &glib::Value) -> bool {
    value.get::<Option<String>>().is_ok_and(|text| text.is_none_or(|text| text.is_empty()))
}

#[test]
fn ranges_are_kept_and_no_value_causes_a_critical() {
    if std::env::var_os(CHILD).is_some() {
        return try_all();
    }
    let mut command = program(std::env::current_exe().unwrap());
    // Only criticals are fatal: values out of range cause warnings on purpose.
    command.args(["--exact", "properties::ranges_are_kept_and_no_value_causes_a_critical", "--nocapture"]);
    let ended = run(command.env(CHILD, "1").env("G_DEBUG", "fatal-criticals"));
    assert!(ended.code == Some(0) && ended.stderr.contains(OVER), "{ended:?}");
    let warnings = ended.stderr.lines().filter(|line| line.contains("WARNING")).count();
    let out_of_range = ended.stderr.lines().filter(|line| line.contains("invalid or out of range")).count();
    assert!(warnings > 0 && warnings == out_of_range, "{}", ended.stderr);
}

#[test]
fn a_change_is_notified() {
    let element = dummy_element(&model(), &[]);
    let (sender, changed) = std::sync::mpsc::channel();
    element.connect_notify(None, move |_, spec| sender.send(spec.name().to_owned()).unwrap());
    element.set_property("workers", 3u32);
    element.set_property("cache-size", 7u64);
    assert_eq!(changed.try_iter().collect::<Vec<_>>(), ["workers", "cache-size"]);
}

/// As the stress threads of GStreamer's harness do, which its binding lacks.
#[test]
fn properties_may_be_read_and_written_while_frames_flow_and_states_change() {
    let model = model();
    let element = dummy_element(&model, &[("workers", "2")]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let names: Vec<_> = element.list_properties().iter().map(|spec| spec.name().to_owned()).collect();
        let (element, done) = (&element, &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                for name in names.iter().filter(|name| *name != "parent") {
                    element.property_value(name);
                }
            }
        });
        scope.spawn(move || {
            for n in (0..u64::MAX).take_while(|_| !done.load(Ordering::Relaxed)) {
                element.set_property("cache-size", n % 3000);
                element.set_property_from_str("duplicates", ["off", "exact", "similar"][n as usize % 3]);
                element.set_property("show-updates", n % 2 == 0);
                element.set_property("progress-interval", n % 2);
            }
        });
        let stop = StopAtEnd(done);
        for _ in 0..10 {
            let mut harness = harness(element);
            harness.set_src_caps_str(GRAY);
            for n in 0..20 {
                harness.push(gray_frame(n, (n / 2) as u8)).unwrap();
            }
            for n in 0..20 {
                assert_eq!(harness.pull().unwrap().pts(), gray_frame(n, 0).pts());
            }
            drop(harness);
            element.set_state(gst::State::Null).unwrap();
        }
        drop(stop);
    });
}

/// Stops the threads even if the test fails, which would hang otherwise.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
