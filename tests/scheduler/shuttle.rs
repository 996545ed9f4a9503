//! The worker pool and the permits under Shuttle, which runs threads one at a time and chooses anew at each lock who goes on: thousands of
//! orders, also those that a processor would hardly ever show. It ends with the order that led to a failure or a deadlock.
//!
//!     cargo run --example scheduler

#![allow(dead_code, reason = "the code included has more than is tried here")]

#[path = "../../src/schedule/permits.rs"]
mod permits;
#[path = "../../src/schedule/pool.rs"]
mod pool;
mod sync;

mod on_permits;
mod on_pool;

use std::time::Instant;

/// Orders tried of each scene: at random, and by probabilistic concurrency testing (Burckhardt et al. 2010), which finds what takes few
/// particular switches.
const TIMES: usize = 25_000;
const SWITCHES: usize = 3;

fn main() {
    let scenes: [(&str, fn()); 12] = [
        ("every job runs once, or cancel returns it", on_pool::every_job_runs_once_or_is_returned),
        ("an interrupt ends what runs, and hits nothing later", on_pool::an_interrupt_hits_only_what_runs),
        ("a job to be run again is not lost", on_pool::a_job_to_be_run_again_is_not_lost),
        ("who is to run alone does", on_pool::who_is_to_run_alone_does),
        ("workers come and go, and no job is left", on_pool::workers_come_and_go),
        ("a group is inactive, and the other goes on", on_pool::a_group_is_inactive_and_the_other_goes_on),
        ("of two groups that fail one is left out, for good", on_pool::one_group_is_left_out_for_good),
        ("dropping the pool ends all of it", on_pool::dropping_the_pool_ends_all),
        ("permits keep to the limit, and all are served", on_permits::permits_keep_to_the_limit),
        ("permits follow another limit", on_permits::permits_follow_another_limit),
        ("who is cancelled gets nothing, and holds up nobody", on_permits::who_is_cancelled_holds_up_nobody),
        ("permits that workers hold end with the pool", on_permits::permits_end_with_the_pool),
    ];
    // Shuttle says that it takes every atomic for a sequentially consistent one.
    // SAFETY: there are no other threads yet.
    unsafe { std::env::set_var("SHUTTLE_SILENCE_WARNINGS", "1") };
    for (name, scene) in scenes {
        let begin = Instant::now();
        shuttle::check_random(scene, TIMES);
        shuttle::check_pct(scene, TIMES, SWITCHES);
        println!("{} orders, {:.1} s: {name}", 2 * TIMES, begin.elapsed().as_secs_f64());
    }
}
