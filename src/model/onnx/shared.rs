//! Loads a model once for all its concurrent users.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use super::{OnnxModel, Opener};
use crate::model::{LoadOptions, ModelError, Source};

/// Identifies a loaded model: contents and options ([`Opener::key`]), threads, name.
type Key = (u128, usize, String);

static LOADED: LazyLock<Mutex<HashMap<Key, Weak<OnnxModel>>>> = LazyLock::new(Mutex::default);

impl OnnxModel {
    /// Returns the model that another user has loaded with the same options and still holds, or else loads it like
    /// [`OnnxModel::load`]. The file is held, analysed and probed once; sessions are not shared.
    pub fn shared(source: &Source, options: LoadOptions) -> Result<Arc<Self>, ModelError> {
        let opener = Opener::read(source, options)?;
        let key = (opener.key(), opener.settings.threads, opener.name.clone());
        let known = LOADED.lock().get(&key).and_then(Weak::upgrade);
        if let Some(model) = known {
            return Ok(model);
        }
        // Without the lock: a concurrent load of the same file gets its own model.
        let model = Arc::new(Self::load_from(opener, options)?);
        let mut loaded = LOADED.lock();
        loaded.retain(|_, model| model.strong_count() > 0);
        loaded.insert(key, Arc::downgrade(&model));
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_in_use_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let write = |name: &str| std::fs::write(&path, crate::model::builtin::find(name).unwrap().onnx).unwrap();
        let load = |threads: usize| {
            let options = LoadOptions { intra_threads: threads, ..LoadOptions::default() };
            OnnxModel::shared(&Source::File(path.clone()), options).unwrap()
        };
        write("lanczos2x");
        let first = load(1);
        assert!(Arc::ptr_eq(&first, &load(1)));
        assert!(!Arc::ptr_eq(&first, &load(2)));
        // Another file under the same name is another model.
        write("fast2x");
        let other = load(1);
        assert!(!Arc::ptr_eq(&first, &other));
        let gone = Arc::downgrade(&other);
        drop(other);
        assert_eq!(gone.strong_count(), 0);
        load(1);
    }
}
