//! Models that are loaded once for all who use them at the same time.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use super::{OnnxModel, Opener};
use crate::model::{LoadOptions, ModelError, Source};

/// What makes two loads give the same model: its contents and options ([`Opener::key`]), threads and name.
type Key = (u128, usize, String);

static LOADED: LazyLock<Mutex<HashMap<Key, Weak<OnnxModel>>>> = LazyLock::new(Mutex::default);

impl OnnxModel {
    /// The same as [`OnnxModel::load`], or the model that somebody has loaded so and still uses: its file is in memory once, and is analysed
    /// and probed once. Sessions are each user's own.
    pub fn shared(source: &Source, options: LoadOptions) -> Result<Arc<Self>, ModelError> {
        let opener = Opener::read(source, options)?;
        let key = (opener.key(), opener.settings.threads, opener.name.clone());
        let known = LOADED.lock().get(&key).and_then(Weak::upgrade);
        if let Some(model) = known {
            return Ok(model);
        }
        // Without the lock: who loads the same meanwhile has a model of its own.
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
