//! Loads a model once for all its concurrent users.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use super::network::Forms;
use super::{LoadOptions, Model, ModelError};

/// Identifies a loaded model.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    contents: u128,
    name: String,
    options: LoadOptions,
}

static LOADED: LazyLock<Mutex<HashMap<Key, Weak<dyn Model>>>> = LazyLock::new(Mutex::default);

/// Returns the model that another user has loaded with the same options and still holds, or else loads it. The file is
/// held, analysed and probed once; sessions are not shared.
pub(super) fn load(forms: Forms, options: LoadOptions) -> Result<Arc<dyn Model>, ModelError> {
    let network = forms.any();
    let options = LoadOptions { intra_threads: options.intra_threads.max(1), ..options };
    let key = || Key { contents: xxh3_128(&network.bytes), name: network.name.clone(), options };
    let known = LOADED.lock().get(&key()).and_then(Weak::upgrade);
    if let Some(model) = known {
        return Ok(model);
    }
    // Without the lock: a concurrent load of the same file gets its own model.
    let model = super::load_forms(&forms, options)?;
    let mut loaded = LOADED.lock();
    loaded.retain(|_, model| model.strong_count() > 0);
    loaded.insert(key(), Arc::downgrade(&model));
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Source;

    #[test]
    fn a_model_in_use_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let write = |name: &str| std::fs::write(&path, crate::model::builtin::find(name).unwrap().onnx).unwrap();
        let load = |threads: usize| {
            let options = LoadOptions { intra_threads: threads, ..LoadOptions::default() };
            crate::model::load(&Source::File(path.clone()), options).unwrap()
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
