//! Tests of the degradation controller.

use super::*;

use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const BOUNDS: Bounds = Bounds { workers: 4, max_workers: 4, tile: None, efficient_tile: 128, min_tile_size: 32 };

fn tensors(tile: Option<u32>) -> u64 {
    let side = |length: u32| u64::from(tile.map_or(length, |tile| tile.min(length)));
    side(640) * side(360)
}

/// For frames of 640x360 at 1 KiB per pixel: 225 MiB each.
fn controller(bounds: Bounds, limit: u64) -> DegradationController {
    controller_with(bounds, limit, None)
}

fn controller_with(bounds: Bounds, limit: u64, fallback: Option<u64>) -> DegradationController {
    let fallback = fallback.map(|limit| (Permits::new(limit), 1024));
    let mut controller =
        DegradationController::new(bounds, Footprints::remembered(None, 1024), Permits::new(limit), fallback);
    controller.set_frame(640, Box::new(tensors), bounds);
    controller
}

fn level(workers: usize, tile: impl Into<Option<u32>>) -> DegradationLevel {
    DegradationLevel { workers, tile: tile.into(), fallback: false }
}

/// Reports one more successful frame, with `free` bytes available.
fn succeed(controller: &mut DegradationController, free: Option<u64>) -> Option<(DegradationLevel, DegradationLevel)> {
    if controller.succeeded() { controller.climb(free) } else { None }
}

#[test]
fn the_start_is_what_the_limit_allows() {
    for (limit, expected) in [
        (2048 * MIB, level(4, None)),
        (900 * MIB, level(4, None)),
        // 64 MiB each are 256x256.
        (256 * MIB, level(4, 256)),
        (64 * MIB, level(4, 128)),
        // With all four, tiles would be 126 pixels: three workers with larger tiles instead.
        (63 * MIB, level(3, 146)),
        // Not even the smallest tile fits: it is tried anyway.
        (MIB / 2, level(1, 32)),
    ] {
        assert_eq!(controller(BOUNDS, limit).level().0, expected, "{limit}");
    }
    let set = Bounds { tile: Some(256), ..BOUNDS };
    assert_eq!(controller(set, 2048 * MIB).level().0, level(4, 256));
    // A tile size that is set is the maximum.
    assert_eq!(controller(set, 100 * MIB).level().0, level(4, 160));
    assert_eq!(controller(set, 16 * MIB).level().0, level(1, 128));
    let fixed = Bounds { tile: Some(512), min_tile_size: u32::MAX, ..BOUNDS };
    assert_eq!(controller(fixed, 400 * MIB).level().0, level(2, 512));
    assert_eq!(controller(fixed, MIB).level().0, level(1, 512));
}

#[test]
fn degradation_goes_to_fewer_workers_smaller_tiles_and_the_fallback() {
    let mut controller = controller_with(Bounds { min_tile_size: 100, ..BOUNDS }, u64::MAX, Some(u64::MAX));
    let mut seen = Vec::new();
    loop {
        let (at, epoch) = controller.level();
        match controller.failed(epoch, true) {
            Verdict::Down { from, to } => {
                assert_eq!(from, at);
                seen.push(to);
            }
            Verdict::GiveUp => break,
            Verdict::Again => unreachable!("the epoch is current"),
        }
    }
    let fallback = DegradationLevel { workers: 4, tile: None, fallback: true };
    assert_eq!(seen, [level(2, None), level(1, None), level(1, 320), level(1, 160), level(1, 100), fallback]);
    assert_eq!(controller.steps(), (6, 0));
}

#[test]
fn failures_of_runs_that_began_before_a_step_count_once() {
    let mut controller = controller(BOUNDS, u64::MAX);
    let (_, epoch) = controller.level();
    assert_eq!(controller.failed(epoch, true), Verdict::Down { from: level(4, None), to: level(2, None) });
    assert_eq!(controller.failed(epoch, true), Verdict::Again);
    assert_eq!(controller.level().0, level(2, None));
}

#[test]
fn it_steps_up_when_memory_is_free_and_waits_longer_after_a_relapse() {
    let mut controller = controller(BOUNDS, u64::MAX);
    let fail = |controller: &mut DegradationController| {
        let (_, epoch) = controller.level();
        controller.failed(epoch, true)
    };
    fail(&mut controller);
    fail(&mut controller);
    let wait = |controller: &mut DegradationController, frames: u32| {
        (1..frames).for_each(|_| assert_eq!(succeed(controller, None), None));
    };
    wait(&mut controller, PATIENCE);
    // It needs 225 MiB more.
    assert_eq!(succeed(&mut controller, Some(224 * MIB)), None);
    wait(&mut controller, PATIENCE);
    assert_eq!(succeed(&mut controller, Some(226 * MIB)), Some((level(1, None), level(2, None))));
    // It does not last.
    fail(&mut controller);
    wait(&mut controller, 2 * PATIENCE);
    assert_eq!(succeed(&mut controller, None), Some((level(1, None), level(2, None))));
    wait(&mut controller, 2 * PATIENCE);
    assert_eq!(succeed(&mut controller, None), Some((level(2, None), level(4, None))));
    // At the top, patience is reset once the level has lasted; the steps of one incident count once.
    wait(&mut controller, 2 * PATIENCE + 1);
    assert_eq!(controller.patience, PATIENCE);
    fail(&mut controller);
    fail(&mut controller);
    assert_eq!(controller.patience, PATIENCE);
    assert_eq!(controller.steps(), (5, 3));
}

#[test]
fn a_level_that_cannot_fit_is_not_returned_to() {
    let mut controller = controller(Bounds { workers: 1, max_workers: 1, ..BOUNDS }, 64 * MIB);
    assert_eq!(controller.level().0, level(1, 256));
    let (_, epoch) = controller.level();
    controller.levels[0].tile = Some(400);
    controller.failed(epoch, true);
    for _ in 0..10 * PATIENCE {
        assert_eq!(succeed(&mut controller, None), None);
    }
}

#[test]
fn frames_of_an_earlier_size_get_tiles_of_their_own() {
    let controller = controller(BOUNDS, 1000 * MIB);
    assert_eq!(controller.level().0.tile, None);
    let large = |tile: Option<u32>| u64::from(tile.map_or(4000, |tile| tile.min(4000))).pow(2);
    assert_eq!(controller.tile_for(large), Some(504));
}

#[test]
fn the_bottom_level_tries_a_run_whatever_the_estimate() {
    let controller = controller(BOUNDS, MIB / 2);
    assert_eq!(controller.footprint(controller.level().0, 32 * 32).1, MIB / 2);
}

#[test]
fn what_was_measured_decides_what_fits() {
    let mut controller = controller(BOUNDS, 256 * MIB);
    assert_eq!(controller.level().0, level(4, 256));
    // A quarter of the estimate: whole frames fit.
    assert!(controller.measured(256 * 256, 16 * MIB));
    assert_eq!(controller.level().0, level(4, None));
    // Whole frames take more than in proportion.
    assert!(controller.measured(640 * 360, 100 * MIB));
    let now = controller.level().0;
    assert!(now.tile.is_some_and(|tile| tile < 400) && now.workers == 4, "{now:?}");
    assert!(!controller.measured(256 * 256, 15 * MIB));
    assert_eq!(controller.level().0, now);
    // A small tensor changes nothing.
    assert!(!controller.measured(64 * 64, 90 * MIB));
    assert_eq!(controller.level().0, now);
}

#[test]
fn workers_are_added_while_that_pays_and_fits() {
    let bounds = Bounds { workers: 2, max_workers: 8, ..BOUNDS };
    for (limit, best, expected) in [(u64::MAX, 5, 5), (u64::MAX, 2, 2), (3 * 225 * MIB, 8, 3)] {
        let mut controller = controller(bounds, limit);
        let mut now = Instant::now();
        for _ in 0..2000 {
            now += std::time::Duration::from_secs(1) / 60 / controller.level().0.workers.min(best) as u32;
            controller.ran(now, 640 * 360, true);
        }
        assert_eq!(controller.level().0, level(expected, None), "{limit} {best}");
    }
}

#[test]
fn a_failure_ends_the_trial_of_more_workers() {
    let mut controller = controller(Bounds { workers: 1, max_workers: 8, ..BOUNDS }, u64::MAX);
    let (_, epoch) = controller.level();
    controller.failed(epoch, true);
    let mut now = Instant::now();
    for _ in 0..2000 {
        now += std::time::Duration::from_millis(10);
        assert!(!controller.ran(now, 640 * 360, true));
    }
}

#[test]
fn a_changed_limit_changes_the_level() {
    let mut controller = controller(BOUNDS, 2048 * MIB);
    assert!(!controller.limit_changed());
    controller.permits().set_limit(500 * MIB);
    assert!(controller.limit_changed());
    assert_eq!(controller.level().0, level(4, 356));
    controller.permits().set_limit(2048 * MIB);
    assert!(controller.limit_changed());
    assert_eq!(controller.level().0, level(4, None));
    // Below the top: a level that fits stays; one that does not restarts at the top.
    let fail = |controller: &mut DegradationController| controller.failed(controller.level().1, true);
    fail(&mut controller);
    controller.permits().set_limit(500 * MIB);
    assert!(!controller.limit_changed());
    assert_eq!(controller.level().0, level(2, None));
    controller.permits().set_limit(100 * MIB);
    assert!(controller.limit_changed());
    assert_eq!(controller.level().0, level(4, 160));
}

#[test]
fn the_fallback_has_a_limit_of_its_own() {
    let bounds = Bounds { workers: 1, max_workers: 1, min_tile_size: 200, ..BOUNDS };
    let mut controller = controller_with(bounds, 10 * MIB, Some(100 * MIB));
    while !controller.level().0.fallback {
        let epoch = controller.level().1;
        assert_ne!(controller.failed(epoch, true), Verdict::GiveUp);
    }
    let level = controller.level().0;
    assert_eq!(level.tile, Some(320));
    assert_eq!(controller.footprint(level, 320 * 320).1, 100 * MIB);
    assert_eq!(controller.permits().limit(), 100 * MIB);
    controller.permits().set_limit(40 * MIB);
    assert!(controller.limit_changed() && controller.level().0 == DegradationLevel { tile: Some(202), ..level });
    assert!(!controller.limit_changed());
}

proptest! {
    /// For any order of failures and successes: it never loops, stays within its bounds, and returns to the top.
    #[test]
    fn any_script_ends_and_recovers(
        script in prop::collection::vec(any::<bool>(), 0..200),
        workers in 1usize..9,
        limit in (MIB / 4)..(4096 * MIB),
        fallback in any::<bool>(),
    ) {
        let bounds = Bounds { workers, max_workers: workers, ..BOUNDS };
        let mut controller = controller_with(bounds, limit, fallback.then_some(limit));
        let top = controller.level().0;
        for fails in script {
            let (at, epoch) = controller.level();
            prop_assert!(at.workers >= 1 && at.workers <= workers);
            prop_assert!(at.tile.is_none_or(|tile| tile >= BOUNDS.min_tile_size));
            if fails {
                let verdict = controller.failed(epoch, true);
                prop_assert_ne!(verdict, Verdict::Again);
                if verdict == Verdict::GiveUp {
                    prop_assert!(at.fallback == fallback && (fallback || at.workers == 1));
                }
            } else {
                succeed(&mut controller, None);
            }
        }
        for _ in 0..MAX_PATIENCE * MAX_LEVELS as u32 {
            if controller.level().0 == top {
                break;
            }
            succeed(&mut controller, None);
        }
        prop_assert_eq!(controller.level().0, top);
    }
}
