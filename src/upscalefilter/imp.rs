//! The element's object: pads, metadata, properties and state changes. `pads/` has the pad functions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::{Condvar, Mutex};

use crate::model;
use crate::plan::{self, Numbered, Recorder, Reuse};
use crate::reuse::Fingerprinter;
use crate::schedule::completion::CompletionEstimate;

use crate::upscalefilter::CAT;
use crate::upscalefilter::engine::swap::Swap;
use crate::upscalefilter::engine::{Engine, describe};
use crate::upscalefilter::errors::{OpenError, open_error};
use crate::upscalefilter::frame::lookup::PreviousFrame;
use crate::upscalefilter::negotiation::caps;
use crate::upscalefilter::progress;
use crate::upscalefilter::progress::Runs;
use crate::upscalefilter::properties::{Effect, PROPERTIES, Property, Settings};
use crate::upscalefilter::state::{Plan, State};

pub struct UpscaleFilter {
    pub(in crate::upscalefilter) sinkpad: gst::Pad,
    pub(in crate::upscalefilter) srcpad: gst::Pad,
    pub(in crate::upscalefilter) settings: Mutex<Settings>,
    /// The model and its workers, from READY on.
    engine: Mutex<Option<Arc<Engine>>>,
    /// Replaces the engine while the stream runs.
    pub(in crate::upscalefilter) swap: Swap,
    pub(in crate::upscalefilter) state: Mutex<State>,
    /// Signalled when the front of the queue may have become ready, or waiting must stop.
    pub(in crate::upscalefilter) ready: Condvar,
    /// Signalled when a frame has left the queue, or waiting must stop.
    pub(in crate::upscalefilter) room: Condvar,
    /// The previous frame. Only the streaming thread uses it; others may discard it.
    pub(in crate::upscalefilter) previous: Mutex<Option<PreviousFrame>>,
    /// Identifies the element in the devices' budgets.
    member: u64,
    /// With a random seed, so that nobody can construct two frames with the same fingerprint.
    pub(in crate::upscalefilter) fingerprinter: Fingerprinter,
    #[cfg(feature = "test-support")]
    test_models: Mutex<Vec<Arc<dyn crate::model::Model>>>,
}

/// Number of elements created so far.
static MEMBERS: AtomicU64 = AtomicU64::new(0);

impl UpscaleFilter {
    pub(in crate::upscalefilter) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.lock().clone()
    }

    pub(in crate::upscalefilter) fn workers(&self) -> usize {
        self.engine().map_or(0, |engine| engine.pool.active())
    }

    #[cfg(feature = "test-support")]
    pub(in crate::upscalefilter) fn set_test_models(&self, models: Vec<Arc<dyn crate::model::Model>>) {
        *self.test_models.lock() = models;
    }

    #[cfg(feature = "test-support")]
    pub(in crate::upscalefilter) fn open_engine(&self, settings: &Settings) -> Result<Arc<Engine>, OpenError> {
        let models = self.test_models.lock().clone();
        if models.is_empty() {
            Engine::open(settings, self.member)
        } else {
            Engine::with_models(models, settings, self.member)
        }
    }

    #[cfg(not(feature = "test-support"))]
    pub(in crate::upscalefilter) fn open_engine(&self, settings: &Settings) -> Result<Arc<Engine>, OpenError> {
        Engine::open(settings, self.member)
    }

    /// Loads the model and starts the workers: from NULL to READY, and from READY to PAUSED if a property that requires
    /// another engine has changed.
    fn prepare(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().clone();
        if self.engine().is_some_and(|engine| engine.matches(&settings) || engine.stands_in_for(&settings)) {
            return Ok(());
        }
        let engine = match self.take_ready_engine(&settings) {
            Some(engine) => engine,
            None => {
                drop(self.engine.lock().take());
                self.open_first(&settings).map_err(|error| open_error(&error))?
            }
        };
        gst::info!(CAT, imp = self, "{}", describe(&engine));
        drop(self.replace_engine(engine));
        Ok(())
    }

    /// TensorRT takes minutes to build an engine; CUDA runs until it is ready, provided that TensorRT is available.
    fn open_first(&self, settings: &Settings) -> Result<Arc<Engine>, OpenError> {
        match settings.stand_in() {
            Some(stand_in) => {
                model::check(settings.execution_provider)?;
                self.open_engine(&stand_in)
            }
            None => self.open_engine(settings),
        }
    }

    pub(in crate::upscalefilter) fn replace_engine(&self, engine: Arc<Engine>) -> Option<Arc<Engine>> {
        self.engine.lock().replace(engine)
    }

    /// Whether the current engine does not match the properties.
    pub(in crate::upscalefilter) fn is_outdated(&self) -> bool {
        let settings = self.settings.lock();
        self.engine().is_some_and(|engine| !engine.matches(&settings))
    }

    /// From READY to PAUSED, before the pads are active.
    fn start_stream(&self) {
        let settings = self.settings.lock().clone();
        if let Some(location) = &settings.plan_location
            && let Err(error) = plan::check_writable(location)
        {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::OpenWrite,
                ("Cannot write the plan to {}: {error}. The video continues without it", location.display())
            );
        }
        let recorder = Recorder::new(self.workers());
        let pace = self.engine().map_or(0.0, |engine| engine.seconds_per_pixel());
        let plan = settings.plan_location.map(|location| Plan { location, recorder });
        let mut new = State { plan, completion: CompletionEstimate::new(pace), ..State::default() };
        let nothing = new.cache.set_limit(settings.cache_size);
        debug_assert!(nothing.is_empty(), "the cache is new");
        let old = {
            let mut state = self.state.lock();
            new.generation = state.generation;
            std::mem::replace(&mut *state, new)
        };
        drop(old);
    }

    /// From PAUSED to READY, after the pads are inactive: no upstream buffers are held afterwards.
    fn stop_stream(&self) {
        for engine in self.engines() {
            drop(engine.pool.cancel());
            engine.pool.wait_idle();
        }
        let (dropped, config) = {
            let mut state = self.state.lock();
            (state.cache.retain(|_| false), state.config.take())
        };
        let previous = self.previous.lock().take();
        drop((dropped, config, previous));
    }

    /// At the end of the stream, before the EOS event goes downstream.
    pub(in crate::upscalefilter) fn write_plan(&self) {
        // A copy, because more frames may arrive while it is written.
        let plan = {
            let state = self.state.lock();
            state.plan.clone().map(|plan| (plan, state.stats))
        };
        let Some((mut plan, stats)) = plan else { return };
        plan.recorder.set_reuse(Reuse {
            reused_percentage: stats.reused_percentage(),
            saved_seconds: Some(stats.saved_seconds()),
            predicted: None,
        });
        let location = plan.location.display();
        match plan.recorder.write(&plan.location, &Numbered) {
            Ok(()) => gst::info!(CAT, imp = self, "Wrote the plan to {location}"),
            Err(error) => gst::element_imp_warning!(
                self,
                gst::ResourceError::Write,
                ("Cannot write the plan to {location}: {error}")
            ),
        }
    }
}

fn only_push(mode: gst::PadMode) -> Result<(), gst::LoggableError> {
    if mode == gst::PadMode::Push { Ok(()) } else { Err(gst::loggable_error!(CAT, "Only push mode is supported")) }
}

/// The property with GObject's `id`, which counts from 1 in the order of `ObjectImpl::properties`.
fn property(id: usize) -> &'static Property {
    &PROPERTIES[id - 1]
}

#[glib::object_subclass]
impl ObjectSubclass for UpscaleFilter {
    const NAME: &'static str = "GstUpscaleFilter";
    type Type = crate::upscalefilter::UpscaleFilter;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("the class has this template");
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|_pad, parent, buffer| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |imp| imp.sink_chain(buffer))
            })
            .event_full_function(|pad, parent, event| {
                let panicked = || Err(gst::FlowError::Error);
                Self::catch_panic_pad_function(parent, panicked, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .activatemode_function(|_pad, parent, mode, active| {
                only_push(mode)?;
                let panicked = || Err(gst::loggable_error!(CAT, "Panic activating the sink pad"));
                Self::catch_panic_pad_function(parent, panicked, |imp| {
                    imp.sink_activate(active);
                    Ok(())
                })
            })
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_query(pad, query))
            })
            .activatemode_function(|pad, parent, mode, active| {
                only_push(mode)?;
                let panicked = || Err(gst::loggable_error!(CAT, "Panic activating the source pad"));
                Self::catch_panic_pad_function(parent, panicked, |imp| imp.src_activate(pad, active))
            })
            .build();
        UpscaleFilter {
            sinkpad,
            srcpad,
            settings: Mutex::default(),
            engine: Mutex::default(),
            swap: Swap::default(),
            state: Mutex::default(),
            ready: Condvar::new(),
            room: Condvar::new(),
            previous: Mutex::default(),
            member: MEMBERS.fetch_add(1, Ordering::Relaxed),
            fingerprinter: Fingerprinter::random(),
            #[cfg(feature = "test-support")]
            test_models: Mutex::default(),
        }
    }
}

impl ObjectImpl for UpscaleFilter {
    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj().downgrade();
        self.sinkpad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let (Some(element), Some(event)) = (element.upgrade(), info.event()) {
                element.imp().advise(event);
            }
            gst::PadProbeReturn::Ok
        });
        for pad in [&self.sinkpad, &self.srcpad] {
            self.obj().add_pad(pad).expect("a new element has no pad of this name");
        }
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> =
            LazyLock::new(|| PROPERTIES.iter().map(|property| property.spec.clone()).collect());
        &SPECS
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let property = property(id);
        let cache_size = {
            let mut settings = self.settings.lock();
            property.set(&mut settings, value);
            settings.cache_size
        };
        let streaming = self.obj().current_state() > gst::State::Ready;
        if streaming && property.effect == Effect::ReloadsEngine {
            self.request_engine();
        }
        if streaming && !pspec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
            gst::warning!(
                CAT,
                imp = self,
                "{} takes effect when the element next goes from READY to PAUSED",
                pspec.name()
            );
        }
        if property.effect == Effect::Renegotiates {
            self.state.lock().reconfigure = true;
        }
        if pspec.name() == "cache-size" {
            let dropped = self.state.lock().cache.set_limit(cache_size);
            drop(dropped);
        }
    }

    fn property(&self, id: usize, _pspec: &glib::ParamSpec) -> glib::Value {
        let setting = property(id).get(&self.settings.lock());
        setting.unwrap_or_else(|| {
            let runs = Runs::of(self.engine().as_deref());
            progress::structure(&self.state.lock(), &runs).to_value()
        })
    }
}

impl GstObjectImpl for UpscaleFilter {}

impl ElementImpl for UpscaleFilter {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Super-resolution upscaler",
                "Filter/Effect/Converter/Video/Scaler",
                "Upscales video with an ONNX super-resolution network: several frames in parallel, in order, and only what has changed",
                "The upscalefilter team",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps::TEMPLATE)
                        .expect("the name is valid")
                })
                .into()
        });
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        gst::debug!(CAT, imp = self, "{transition:?}");
        match transition {
            gst::StateChange::NullToReady | gst::StateChange::ReadyToPaused => self.prepare().map_err(|message| {
                self.post_error_message(message);
                gst::StateChangeError
            })?,
            _ => {}
        }
        if transition == gst::StateChange::ReadyToPaused {
            self.start_stream();
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            // A property may have changed since the engine was chosen.
            gst::StateChange::ReadyToPaused if self.is_outdated() => self.request_engine(),
            gst::StateChange::PausedToReady => self.stop_stream(),
            gst::StateChange::ReadyToNull => {
                self.finish_swaps();
                let engine = self.engine.lock().take();
                drop(engine);
            }
            _ => {}
        }
        Ok(success)
    }
}
