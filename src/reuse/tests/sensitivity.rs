//! What a network makes of pictures of known detail.

use std::sync::Arc;

use crate::model::dummy::DummyModel;
use crate::model::{Interrupt, LoadOptions, Model, ModelInfo, RunError, Source, Upscaler, load};
use crate::reuse::{MAX_DETAIL_TOLERANCE, Sensitivity};
use crate::types::{Channels, Size};

fn measured(model: &dyn Model) -> Sensitivity {
    Sensitivity::measure(model.info(), &mut *model.open_session().unwrap()).unwrap()
}

fn builtin(name: &str) -> Option<Sensitivity> {
    // As the element's tests: script/test sets it.
    std::env::var_os("ORT_DYLIB_PATH")?;
    Some(measured(&*load(&Source::parse(name), LoadOptions::default()).unwrap()))
}

/// Repeats pixels, and makes all of them brighter.
struct Brighter(Box<dyn Upscaler>);

impl Upscaler for Brighter {
    fn run(&mut self, input: &[f32], size: Size, output: &mut Vec<f32>) -> Result<(), RunError> {
        self.0.run(input, size, output)?;
        output.iter_mut().for_each(|value| *value += 0.03);
        Ok(())
    }

    fn held(&self) -> Option<u64> {
        None
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.0.interrupter()
    }
}

#[test]
fn a_network_that_changes_flat_areas_has_no_threshold() {
    for channels in [Channels::Luma, Channels::Rgb] {
        let model = DummyModel::new(channels, 2);
        let mut brighter = Brighter(model.open_session().unwrap());
        let sensitivity = Sensitivity::measure(model.info(), &mut brighter).unwrap();
        assert_eq!((sensitivity.threshold(2), sensitivity.threshold(3)), (None, None));
        assert!(sensitivity.threshold(MAX_DETAIL_TOLERANCE).is_some(), "7 codes are within that");
        let (mean, most) = sensitivity.in_flat_areas();
        assert!((6.0..10.0).contains(&mean) && most >= 7, "{mean} {most}");
        assert_eq!(sensitivity.radius(1), 0, "no pixel depends on another");
    }
}

#[test]
fn a_larger_tolerance_never_lowers_the_threshold_or_widens_the_surroundings() {
    let dummy = measured(&DummyModel::new(Channels::Rgb, 3));
    for sensitivity in [Some(dummy), builtin("fast2x"), builtin("quality3x-compressed")].into_iter().flatten() {
        let thresholds: Vec<_> =
            (0..20).map(|tolerance| sensitivity.threshold(tolerance).map(|found| (found.enter, found.leave))).collect();
        assert!(thresholds[0].is_none() && thresholds.is_sorted(), "{thresholds:?}");
        assert!(thresholds.iter().flatten().all(|(enter, leave)| leave < enter));
        assert!((0..20).map(|tolerance| sensitivity.radius(tolerance)).is_sorted_by(|one, other| one >= other));
    }
}

#[test]
fn built_in_networks_have_a_threshold_and_need_less_than_their_receptive_field() {
    for (name, radius) in [("fast2x", 8), ("quality2x", 9), ("quality2x-compressed", 9), ("quality4x", 9)] {
        let Some(sensitivity) = builtin(name) else { return };
        let threshold = sensitivity.threshold(2).unwrap().enter;
        assert!((8..=36).contains(&threshold), "{name}: {threshold}");
        assert!((3..radius).contains(&sensitivity.radius(2)), "{name}: {}", sensitivity.radius(2));
        assert_eq!(Some(&sensitivity), builtin(name).as_ref(), "{name} gives the same when measured again");
    }
}

#[test]
fn what_was_measured_is_remembered_by_key() {
    let model = DummyModel::new(Channels::Luma, 2);
    let get = |key| {
        let measure = || Sensitivity::measure(model.info(), &mut *model.open_session().unwrap());
        Sensitivity::remembered(key, model.info(), measure).unwrap().unwrap()
    };
    let key = Some(0x5e_45_17);
    assert!(Arc::ptr_eq(&get(key), &get(key)));
    assert!(!Arc::ptr_eq(&get(None), &get(None)));
}

#[test]
fn a_network_of_a_fixed_size_is_not_measured() {
    let size = Size { width: 32, height: 32 };
    let model = DummyModel::new(Channels::Luma, 2).with_info(|info: &mut ModelInfo| info.fixed_size = Some(size));
    let found = Sensitivity::remembered::<RunError>(None, model.info(), || panic!("it must not run"));
    assert_eq!(found.unwrap(), None);
}
