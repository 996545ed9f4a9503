//! Making a stream configuration and installing it: for new caps, another output size, or another engine.

use std::sync::Arc;

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::upscalefilter::CAT;
use crate::upscalefilter::engine::Engine;
use crate::upscalefilter::imp::UpscaleFilter;
use crate::upscalefilter::negotiation::caps;
use crate::upscalefilter::negotiation::config::StreamConfig;
use crate::upscalefilter::state::Serialized;

/// Why a stream gets another configuration.
#[derive(Clone, Copy, Debug)]
pub(in crate::upscalefilter) enum NewConfig {
    /// The CAPS event with this seqnum.
    Caps(gst::Seqnum),
    /// Downstream wants another size.
    Size,
    /// Another engine took over; the estimate of completion times starts again with its speed.
    Engine,
}

impl UpscaleFilter {
    /// Makes the configuration for caps on the sink pad and the sizes that downstream accepts; the error's text is for
    /// people.
    pub(in crate::upscalefilter) fn configure(
        &self,
        engine: &Engine,
        caps: &gst::CapsRef,
    ) -> Result<Arc<StreamConfig>, String> {
        if !self.settings.lock().fit {
            return engine.config(caps, |network, _| network.clone());
        }
        self.state.lock().reconfigure = false;
        engine.config(caps, |network, info| {
            let wanted = caps::transform_to_fit(network, Some(1), caps::Direction::Enlarge);
            caps::fit(network, info, &self.srcpad.peer_query_caps(Some(&wanted)))
        })
    }

    /// Uses `config`, made by `engine`, for the frames that arrive from now on, and queues its caps. On the streaming
    /// thread, between two frames. Fails only for a CAPS event, while flushing.
    pub(in crate::upscalefilter) fn install_config(
        &self,
        engine: &Engine,
        config: &Arc<StreamConfig>,
        reason: NewConfig,
    ) -> Result<(), gst::FlowError> {
        let same = self.is_current(config);
        if !same {
            engine.set_stream(config);
        }
        let pace = engine.seconds_per_pixel();
        let replaced = {
            let mut state = self.state.lock();
            let seqnum = match reason {
                NewConfig::Caps(_) if state.flushing => return Err(gst::FlowError::Flushing),
                NewConfig::Caps(seqnum) => Some(seqnum),
                NewConfig::Size => None,
                NewConfig::Engine => {
                    state.completion.relearn(pace);
                    None
                }
            };
            state.queue.push_event(Serialized::Caps(Arc::clone(config), seqnum));
            self.ready.notify_all();
            // Results of another configuration differ even for the same pixels.
            let results = if same { Vec::new() } else { state.cache.retain(|_| false) };
            (state.config.replace(Arc::clone(config)), results)
        };
        drop(replaced);
        Ok(())
    }

    /// Gives the output the size that downstream accepts now, if downstream has changed; returns the configuration in
    /// use. On the streaming thread, between two frames.
    pub(in crate::upscalefilter) fn renegotiate_size(
        &self,
        config: Arc<StreamConfig>,
    ) -> Result<Arc<StreamConfig>, gst::FlowError> {
        if !std::mem::take(&mut self.state.lock().reconfigure) {
            return Ok(config);
        }
        let Some(engine) = self.engine() else { return Ok(config) };
        let new = match self.configure(&engine, &config.in_caps) {
            Ok(new) if new.shown_caps() != config.shown_caps() => new,
            // The source pad's task renegotiates the buffer pool.
            Ok(_) => return Ok(config),
            Err(reason) => {
                gst::warning!(CAT, imp = self, "Keeping {}: {reason}", config.shown_caps());
                return Ok(config);
            }
        };
        gst::info!(CAT, imp = self, "Switching to {}", new.shown_caps());
        self.install_config(&engine, &new, NewConfig::Size)?;
        Ok(new)
    }
}
