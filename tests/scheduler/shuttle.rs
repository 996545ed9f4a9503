//! The worker pool and the permits under Shuttle, which runs one thread at a time and picks the next at each lock: it tries thousands of
//! schedules, including ones that hardly ever occur, and reports the schedule that leads to a failure or a deadlock.
//!
//!     cargo run --example scheduler

#![allow(dead_code, reason = "the included code has more than is tested here")]

#[path = "../../src/schedule/permits.rs"]
mod permits;
#[path = "../../src/schedule/pool.rs"]
mod pool;
mod sync;

mod on_permits;
mod on_pool;

use std::time::Instant;

/// Schedules per scenario and method: random, and probabilistic concurrency testing (Burckhardt et al. 2010), which finds bugs that
/// depend on a few context switches.
const TIMES: usize = 25_000;
const SWITCHES: usize = 3;

fn main() {
    let scenarios: [(&str, fn()); 12] = [
        ("every job runs once, or cancel returns it", on_pool::every_job_runs_once_or_is_returned),
        ("an interrupt ends only running jobs", on_pool::an_interrupt_ends_only_running_jobs),
        ("a job that asks to run again is not lost", on_pool::a_job_that_asks_to_run_again_is_not_lost),
        ("a lone worker runs alone", on_pool::a_lone_worker_runs_alone),
        ("no job is lost while the number of workers changes", on_pool::workers_come_and_go),
        ("one group is inactive while the other continues", on_pool::one_group_is_inactive_while_the_other_continues),
        ("one of two failing groups is given up", on_pool::one_of_two_failing_groups_is_given_up),
        ("dropping the pool ends all workers", on_pool::dropping_the_pool_ends_all_workers),
        ("permits stay within the limit and all requests are granted", on_permits::permits_stay_within_the_limit),
        ("permits follow a changed limit", on_permits::permits_follow_a_changed_limit),
        ("a cancelled request blocks no other", on_permits::a_cancelled_request_blocks_no_other),
        ("permits that workers hold end with the pool", on_permits::permits_end_with_the_pool),
    ];
    // Silences the warning that Shuttle treats every atomic operation as sequentially consistent.
    // SAFETY: there are no other threads yet.
    unsafe { std::env::set_var("SHUTTLE_SILENCE_WARNINGS", "1") };
    for (name, scenario) in scenarios {
        let start = Instant::now();
        shuttle::check_random(scenario, TIMES);
        shuttle::check_pct(scenario, TIMES, SWITCHES);
        println!("{} schedules, {:.1} s: {name}", 2 * TIMES, start.elapsed().as_secs_f64());
    }
}
