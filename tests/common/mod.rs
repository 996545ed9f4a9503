//! What the element's tests share.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

mod check;
pub mod clip;
mod environment;
mod fixture;
pub mod process;

use std::sync::{Arc, Once};
use std::time::Duration;

use gst::prelude::*;
use gstupscale::model::dummy::DummyModel;
use gstupscale::types::Channels;
use gstupscale::upscalefilter::UpscaleFilter;

pub use check::*;
pub use environment::*;
pub use fixture::*;

/// Starts GStreamer with the plugin; warnings of GLib are fatal.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        // SAFETY: this runs before GStreamer starts any thread, and Rust's own reads of the environment take the same lock.
        unsafe { std::env::set_var("G_DEBUG", "fatal_warnings") };
        gst::init().expect("GStreamer starts");
        gstupscale::plugin_register_static().expect("the plugin registers");
    });
}

/// A new element with properties set from text.
pub fn element(properties: &[(&str, &str)]) -> gst::Element {
    init();
    let element = gst::ElementFactory::make("upscalefilter").build().expect("the element is registered");
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    element
}

/// A new element that runs `model`.
pub fn dummy_element(model: &Arc<DummyModel>, properties: &[(&str, &str)]) -> gst::Element {
    let element = element(properties);
    let typed = element.downcast_ref::<UpscaleFilter>().expect("the factory makes this type");
    typed.set_test_model(Arc::clone(model) as _);
    element
}

pub fn harness(element: &gst::Element) -> gst_check::Harness {
    gst_check::Harness::with_element(element, Some("sink"), Some("src"))
}

pub const GRAY: &str = "video/x-raw,format=GRAY8,width=4,height=2,framerate=25/1";

/// Frame number `n` of [`GRAY`]: every pixel has the value `mark`, the PTS is n * 40 ms.
pub fn gray_frame(n: u64, mark: u8) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![mark; 8]);
    let frame = buffer.get_mut().expect("it is new");
    frame.set_pts(gst::ClockTime::from_mseconds(40 * n));
    frame.set_duration(gst::ClockTime::from_mseconds(40));
    buffer
}

/// The first visible byte, which identifies a frame.
pub fn mark(buffer: &gst::Buffer) -> u8 {
    buffer.map_readable().expect("it can be read")[0]
}

pub fn pts_ms(buffer: &gst::BufferRef) -> u64 {
    buffer.pts().expect("it has a PTS").mseconds()
}

/// Runs `f` on a thread, and fails the test if it takes longer than `limit`.
#[track_caller]
pub fn completes_within<T: Send + 'static>(limit: Duration, what: &str, f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = f();
        // The test may have stopped waiting.
        sender.send(()).ok();
        result
    });
    match receiver.recv_timeout(limit) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("{what} took longer than {limit:?}"),
        // A panic on the thread is passed on to the test.
        _ => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// Whether `OPENVINO_DYLIB_PATH` names an OpenVINO to test with, which `script/setup` fetches on x86-64 and aarch64.
#[track_caller]
pub fn have_openvino() -> bool {
    have("OpenVINO (OPENVINO_DYLIB_PATH, which script/test sets)", std::env::var_os("OPENVINO_DYLIB_PATH").is_some())
}

/// A network that doubles luma.
pub fn model() -> Arc<DummyModel> {
    Arc::new(DummyModel::new(Channels::Luma, 2))
}

/// Records what the element pushes, as text: a buffer as its PTS in ms ("40"), an event as the name of its type.
pub fn record(element: &gst::Element) -> std::sync::mpsc::Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let pad = element.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let text = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => pts_ms(buffer).to_string(),
            Some(gst::PadProbeData::Event(event)) => event.type_().name().to_string(),
            _ => unreachable!(),
        };
        sender.send(text).ok();
        gst::PadProbeReturn::Ok
    });
    receiver
}

/// Third-party networks in the shared test data whose receptive field is local, each with a format to test it with.
pub const LOCAL_MODELS: [(&str, &str); 6] = [
    ("animejanai/2x_AnimeJaNai_HD_V3.1_Performance_SPANF3_b5f48_unshuffle_fp16", "NV12"),
    ("animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32", "RGB"),
    ("esr/eSR-CNN_s4_C4_D7_S12", "I420_10LE"),
    ("esr/eSR-TM_s2_K7_C16", "GRAY8"),
    ("nn-upscaler/2xNomosUni_span_multijpg_ldl", "I420"),
    ("qualityscaler/RealESR_Animex4_fp16", "Y42B"),
];

/// The process's resident memory, in bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux reports VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
