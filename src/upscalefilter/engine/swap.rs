//! Another engine while the stream runs: loaded beside the one at work, and taken over between two frames.
//!
//! Frames that were given to the old one are finished by it. Until the new one is there, and if it cannot be had at all, everything
//! goes on as before.

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

/// What is being loaded, and what is on its way out.
#[derive(Default)]
pub(in crate::upscalefilter) struct Swap {
    inner: Mutex<Inner>,
    /// Signalled when nothing is loaded any more, or an engine has gone.
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// What is to be loaded next.
    wanted: Option<Settings>,
    /// A thread is loading.
    loading: bool,
    /// What the streaming thread is to take over.
    ready: Option<Arc<Engine>>,
    /// Those that still have frames to finish.
    retired: Vec<Weak<Engine>>,
    /// Threads that wait for them.
    retiring: usize,
}

impl UpscaleFilter {
    /// Has an engine loaded for the settings as they are now, to be taken over when it is there.
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

    /// Loads what is wanted until nothing is.
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
            // What has been changed again meanwhile is neither taken nor complained of.
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

    /// Opens an engine, if the one at work does not serve. One whose libraries build for each size has built for the stream's when this
    /// returns; before that is known there is none.
    fn load_beside(&self, settings: &Settings) -> Result<Option<Arc<Engine>>, OpenError> {
        let config = self.state.lock().config.clone();
        let at_work = self.engine();
        if at_work.as_ref().is_some_and(|engine| engine.serves(settings))
            || config.is_none() && at_work.is_some_and(|engine| engine.stands_in_for(settings))
        {
            return Ok(None);
        }
        let engine = self.open_engine(settings)?;
        if let Some(config) = config.as_ref().filter(|_| engine.may_convert()) {
            // Sessions that convert are opened here, not between two frames.
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

    /// Switches to the engine that is ready, if there is one, and returns the configuration in use. On the streaming thread, between
    /// two frames.
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

    /// Lets an engine go as soon as its frames are done.
    fn retire(&self, engine: Arc<Engine>) {
        {
            let mut inner = self.swap.inner.lock();
            inner.retired.retain(|retired| retired.strong_count() > 0);
            inner.retired.push(Arc::downgrade(&engine));
            inner.retiring += 1;
        }
        // Its last owner must not be one of its own workers: they could not be waited for then.
        self.obj().call_async(move |element| {
            engine.pool.wait_idle();
            drop(engine);
            let swap = &element.imp().swap;
            swap.inner.lock().retiring -= 1;
            swap.changed.notify_all();
        });
    }

    /// The engine at work, and those that still have frames to finish.
    pub(in crate::upscalefilter) fn engines(&self) -> Vec<Arc<Engine>> {
        let mut engines: Vec<_> = self.engine().into_iter().collect();
        engines.extend(self.swap.inner.lock().retired.iter().filter_map(Weak::upgrade));
        engines
    }

    /// An engine that is ready and serves `settings`, for a stream that begins; others are of no use to it.
    pub(in crate::upscalefilter) fn take_ready_engine(&self, settings: &Settings) -> Option<Arc<Engine>> {
        let ready = self.swap.inner.lock().ready.take();
        ready.filter(|engine| engine.serves(settings))
    }

    /// Waits until nothing is loaded and no engine but the one at work is left.
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
