//! Changing the engine while the stream runs: the new one is loaded in the background and takes over between two
//! frames.
//!
//! The old engine finishes the frames it was given. It stays in use until the new one is ready, and if the new one
//! cannot be opened.

use std::sync::{Arc, Weak};

use gst::prelude::*;
use gst::subclass::prelude::*;
use parking_lot::{Condvar, Mutex};

use crate::types::Provider;

use crate::upscalefilter::CAT;
use crate::upscalefilter::engine::{Engine, describe};
use crate::upscalefilter::errors::OpenError;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::negotiation::install::NewConfig;
use crate::upscalefilter::properties::Settings;

/// The engine being loaded, and those being retired.
#[derive(Default)]
pub(in crate::upscalefilter) struct Swap {
    inner: Mutex<Inner>,
    /// Signalled when loading has ended, or an engine has been dropped.
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// The settings to load an engine for next.
    wanted: Option<Settings>,
    /// A thread is loading.
    loading: bool,
    /// The engine that the streaming thread takes over next.
    ready: Option<Arc<Engine>>,
    /// Engines that still have frames to finish.
    retired: Vec<Weak<Engine>>,
    /// Threads that wait for those.
    retiring: usize,
}

impl UpscaleFilter {
    /// Loads an engine for the current settings in the background; it takes over when it is ready.
    pub(in crate::upscalefilter) fn request_engine(&self) {
        let settings = self.settings.lock().clone();
        let mut inner = self.swap.inner.lock();
        inner.wanted = Some(settings);
        if std::mem::replace(&mut inner.loading, true) {
            return;
        }
        drop(inner);
        self.obj().call_async(|element| element.imp().load_engines());
    }

    /// Loads engines until none is wanted.
    fn load_engines(&self) {
        loop {
            let settings = {
                let mut inner = self.swap.inner.lock();
                let Some(settings) = inner.wanted.take() else {
                    inner.loading = false;
                    self.swap.changed.notify_all();
                    return;
                };
                settings
            };
            let loaded = self.load_beside(&settings);
            let mut inner = self.swap.inner.lock();
            // If the settings have changed again, neither the engine nor its error matters.
            let outdated = inner.wanted.is_some();
            let (unused, failed) = match loaded {
                Ok(engine) if !outdated => (std::mem::replace(&mut inner.ready, engine), None),
                Ok(engine) => (engine, None),
                Err(error) => (None, Some(error).filter(|_| !outdated)),
            };
            drop(inner);
            drop(unused);
            if let Some(error) = failed {
                self.warn_of_swap(&error.to_string());
            }
        }
    }

    /// Opens an engine, unless the current one matches `settings`. An engine that is built for each size has been built
    /// for the stream's size when this returns; before that size is known, none is opened.
    fn load_beside(&self, settings: &Settings) -> Result<Option<Arc<Engine>>, OpenError> {
        let config = self.state.lock().config.clone();
        let current = self.engine();
        if current.as_ref().is_some_and(|engine| engine.matches(settings))
            || config.is_none() && current.is_some_and(|engine| engine.stands_in_for(settings))
        {
            return Ok(None);
        }
        let engine = self.open_engine(settings)?;
        if let Some(config) = config.as_ref().filter(|_| engine.may_convert()) {
            // Opens the sessions that convert here, not between two frames.
            engine.config(&config.in_caps, |network, _| network.clone()).map_err(OpenError::Settings)?;
        }
        if engine.info().provider == Provider::TensorRt
            && let Some(config) = config
        {
            engine.build_for(&config)?;
        }
        Ok(Some(engine))
    }

    fn warn_of_swap(&self, reason: &str) {
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Settings,
            ("Cannot apply the changed properties: {reason}. The video continues as before")
        );
    }

    /// Switches to the engine that is ready, if there is one, and returns the configuration in use. On the streaming
    /// thread, between two frames.
    pub(in crate::upscalefilter) fn take_over(
        &self,
        config: Arc<StreamConfig>,
    ) -> Result<Arc<StreamConfig>, gst::FlowError> {
        let Some(engine) = self.swap.inner.lock().ready.take() else { return Ok(config) };
        let new_config = match self.configure(&engine, &config.in_caps) {
            Ok(config) => config,
            Err(reason) => {
                drop(engine);
                self.warn_of_swap(&reason);
                return Ok(config);
            }
        };
        gst::info!(CAT, imp = self, "Switching to {}", describe(&engine));
        if let Some(old) = self.replace_engine(Arc::clone(&engine)) {
            self.retire(old);
        }
        self.install_config(&engine, &new_config, NewConfig::Engine)?;
        self.post_latency();
        Ok(new_config)
    }

    /// Drops an engine as soon as its frames are finished.
    fn retire(&self, engine: Arc<Engine>) {
        {
            let mut inner = self.swap.inner.lock();
            inner.retired.retain(|retired| retired.strong_count() > 0);
            inner.retired.push(Arc::downgrade(&engine));
            inner.retiring += 1;
        }
        // Its last owner must not be one of its own workers, which cannot wait for itself.
        self.obj().call_async(move |element| {
            engine.pool.wait_idle();
            drop(engine);
            let swap = &element.imp().swap;
            swap.inner.lock().retiring -= 1;
            swap.changed.notify_all();
        });
    }

    /// The current engine, and those that still have frames to finish.
    pub(in crate::upscalefilter) fn engines(&self) -> Vec<Arc<Engine>> {
        let mut engines: Vec<_> = self.engine().into_iter().collect();
        engines.extend(self.swap.inner.lock().retired.iter().filter_map(Weak::upgrade));
        engines
    }

    /// The ready engine if it matches `settings`, for a stream that starts; drops any other.
    pub(in crate::upscalefilter) fn take_ready_engine(&self, settings: &Settings) -> Option<Arc<Engine>> {
        let ready = self.swap.inner.lock().ready.take();
        ready.filter(|engine| engine.matches(settings))
    }

    /// Waits until loading has ended and only the current engine is left.
    pub(in crate::upscalefilter) fn finish_swaps(&self) {
        let ready = {
            let mut inner = self.swap.inner.lock();
            inner.wanted = None;
            while inner.loading || inner.retiring > 0 {
                self.swap.changed.wait(&mut inner);
            }
            inner.ready.take()
        };
        drop(ready);
    }
}
