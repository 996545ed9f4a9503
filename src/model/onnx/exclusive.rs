//! Sessions that take turns. All WebGPU sessions of a process share a command encoder and caches without locks, so that
//! concurrent runs crash or hang (<https://github.com/microsoft/onnxruntime/issues/32561>, as of ONNX Runtime 1.31).

use std::ops::{Deref, DerefMut};

use ort::session::Session;
use parking_lot::{Mutex, MutexGuard};

use crate::types::Provider;

static WEBGPU: Mutex<()> = Mutex::new(());

/// The right to open, use or close a session of a provider; nothing is locked if its sessions are independent.
pub(super) struct Turn {
    _guard: Option<MutexGuard<'static, ()>>,
}

/// Waits until no other session of `provider` that must not run at the same time is in use.
pub(super) fn turn(provider: Provider) -> Turn {
    Turn { _guard: (provider == Provider::WebGpu).then(|| WEBGPU.lock()) }
}

/// A session that is used and closed in turn.
pub(super) struct ExclusiveSession {
    /// `Some` until it is dropped.
    session: Option<Session>,
    provider: Provider,
}

/// A session in use.
pub(super) struct InUse<'a> {
    session: &'a mut Session,
    _turn: Turn,
}

impl ExclusiveSession {
    /// Opens a session with `open`.
    pub fn open<E>(provider: Provider, open: impl FnOnce() -> Result<Session, E>) -> Result<Self, E> {
        let _turn = turn(provider);
        Ok(ExclusiveSession { session: Some(open()?), provider })
    }

    /// Waits for the session's turn.
    pub fn wait(&mut self) -> InUse<'_> {
        InUse { _turn: turn(self.provider), session: self.session.as_mut().expect("it is not dropped") }
    }

    /// The session for what does not use the device, such as the names of its inputs.
    pub fn metadata(&self) -> &Session {
        self.session.as_ref().expect("it is not dropped")
    }
}

impl Drop for ExclusiveSession {
    fn drop(&mut self) {
        let _turn = turn(self.provider);
        self.session = None;
    }
}

impl Deref for InUse<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
    }
}

impl DerefMut for InUse<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.session
    }
}
