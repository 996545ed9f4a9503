//! Complete networks: those of the project, and third-party ones if available.

use std::path::{Path, PathBuf};

use super::perturb::{assert_parts_like_whole, assert_tight, here_and_there, perturb};
use crate::model::graph::{Locality, ReceptiveField, analyse};
use crate::model::{self, Source, builtin};
use crate::types::Size;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A network from the test data next to the project, if available.
fn shared(name: &str) -> Option<PathBuf> {
    let path = root().join(format!("../shared/data/models/{name}.onnx"));
    if !path.exists() {
        eprintln!("SKIPPED: {} does not exist", path.display());
        return None;
    }
    Some(path)
}

fn square(radius: u32) -> ReceptiveField {
    ReceptiveField { left: radius, right: radius, top: radius, bottom: radius }
}

/// Derives the receptive field, checks it against the running network, and compares parts with the whole.
fn check(source: &Source, derived: ReceptiveField, size: Size) {
    let model = model::load(source, super::on_cpu()).unwrap();
    let name = &model.info().name;
    match &model.info().locality {
        Locality::Local(local) => assert_eq!(local.receptive_field, derived, "{name}"),
        Locality::Global { reason } => panic!("{name} is not local: {reason}"),
    }
    let size = model.info().fixed_size.unwrap_or(size);
    // A large picture gets one run for all places.
    let far = 4 * derived.radius();
    let places = if size.width > 1000 {
        let [right, bottom] = [size.width - 2, size.height - 1];
        vec![vec![(1, 0), (right, 2), (far, bottom), (right, bottom - far), (size.width / 2, size.height / 2)]]
    } else {
        here_and_there(size)
    };
    let seen = perturb(&*model, size, &places);
    assert_tight(name, derived, seen, 2);
    if model.info().fixed_size.is_none() {
        assert_parts_like_whole(&*model, size);
    }
}

#[test]
fn the_receptive_fields_of_the_projects_networks_are_correct() {
    let size = Size { width: 48, height: 40 };
    for builtin in builtin::BUILTINS {
        let local = match analyse(bytes::Bytes::from_static(builtin.onnx), None).unwrap().locality {
            Locality::Local(local) => local,
            Locality::Global { reason } => panic!("{}: {reason}", builtin.name),
        };
        check(&Source::Builtin(builtin), local.receptive_field, size);
    }
    check(&Source::parse("lanczos2x"), square(3), size);
    check(&Source::File(root().join("benches/data/plain_luma.onnx")), square(6), Size { width: 49, height: 37 });
}

#[test]
fn the_receptive_fields_of_third_party_networks_are_correct() {
    let (even, odd) = (Size { width: 48, height: 40 }, Size { width: 61, height: 47 });
    for (name, radius, size) in [
        ("acnet/ACNetHDNL0", 9, even),
        ("animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp16", 10, even),
        ("animejanai/2x_AnimeJaNai_HD_V3_SuperUltraCompact-fp32", 10, odd),
        ("esr/eSR-CNN_s4_C4_D7_S12", 4, odd),
        ("esr/eSR-TM_s2_K7_C16", 3, even),
        ("nn-upscaler/2xNomosUni_span_multijpg_ldl", 21, even),
        ("qualityscaler/RealESR_Animex4_fp16", 18, even),
        ("subpixel-cnn/super_resolution", 5, even),
    ] {
        if let Some(path) = shared(name) {
            check(&Source::File(path), square(radius), size);
        }
    }
}

#[test]
fn a_network_that_folds_pixels_is_local_on_its_grid() {
    let name = "animejanai/2x_AnimeJaNai_HD_V3.1_Performance_SPANF3_b5f48_unshuffle_fp16";
    let Some(path) = shared(name) else { return };
    let analysis = analyse(std::fs::read(&path).unwrap().into(), None).unwrap();
    let two = Size { width: 2, height: 2 };
    assert_eq!(analysis.multiple, Size { width: 1, height: 1 }, "it pads odd sizes itself");
    assert!(matches!(analysis.locality, Locality::Local(local) if local.alignment == two));
    check(&Source::File(path), square(35), Size { width: 85, height: 78 });
}

#[test]
fn a_network_with_unknown_operators_is_not_local() {
    let Some(path) = shared("microsoft/supres") else { return };
    let analysis = analyse(std::fs::read(path).unwrap().into(), None).unwrap();
    assert!(
        matches!(&analysis.locality, Locality::Global { reason }
            if reason.contains("ai.onnx.contrib:SuperResolutionPreProcess")),
        "{:?}",
        analysis.locality
    );
}

#[test]
fn the_unusual_networks_of_other_tests_are_classified() {
    let found = |name: &str| {
        let path = root().join("tests/data").join(name).with_extension("onnx");
        analyse(std::fs::read(path).unwrap().into(), None).unwrap()
    };
    for (name, radius, multiple) in [
        ("uint8_x2", 0, 1),
        ("fixed_8x6_x3", 1, 1),
        ("same_size", 0, 1),
        ("multiple_of_4", 3, 4),
        ("at_least_5", 4, 1),
        ("free_channels", 0, 1),
        ("missing_data", 1, 1),
    ] {
        let analysis = found(name);
        assert_eq!(analysis.locality.radius(), Some(radius), "{name}: {:?}", analysis.locality);
        assert_eq!(analysis.multiple, Size { width: multiple, height: multiple }, "{name}");
    }
    let Locality::Local(local) = found("at_least_5").locality else { panic!() };
    assert_eq!(local.least, Size { width: 5, height: 5 });
    for (name, reason) in [
        ("cuts_at_64_rows", "not the input times a whole number"),
        ("channels_last", "NHWC"),
        ("scale_1_5", "not the input times a whole number"),
        ("two_outputs", "2 outputs"),
        ("unknown_operator", "org.example:Sharpen"),
    ] {
        let path = root().join("tests/data").join(name).with_extension("onnx");
        let said = match analyse(std::fs::read(path).unwrap().into(), None) {
            Ok(analysis) => format!("{:?}", analysis.locality),
            Err(reason) => reason,
        };
        assert!(said.contains(reason), "{name}: {said}");
    }
}
