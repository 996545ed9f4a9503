//! One budget per device and process, shared by all who run networks on the device.
//!
//! Memory is divided: sessions keep their memory between runs, so what one member holds is not available to the others
//! whether it runs or not. Runs are counted together: a busy member among idle ones gets the whole device.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use super::permits::Permits;
use crate::device::Id;

/// What all members use of a device together. It is dropped with its last member; the next one measures the total
/// again.
#[derive(Debug)]
pub struct Budget {
    inner: Mutex<Inner>,
    /// Permits for what the device can do at a time, in units: on a CPU, its cores.
    runs: Arc<Permits>,
}

#[derive(Debug)]
struct Inner {
    /// Bytes available to members without a limit of their own.
    total: u64,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    id: u64,
    share: Weak<Share>,
    permits: Arc<Permits>,
    limit: Option<u64>,
    watchers: Vec<Weak<dyn Watch>>,
}

/// Notified when a share changes.
pub trait Watch: std::fmt::Debug + Send + Sync {
    /// The limit of the share's permits may have changed. Called without a lock held, from any thread.
    fn share_changed(&self);
}

/// What a member requests.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The maximum number of bytes, if a limit was set.
    pub limit: Option<u64>,
    /// The maximum number of units that the member keeps busy on its own.
    pub runs: usize,
}

/// A member's share of a budget. It goes back to the others on drop.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    permits: Arc<Permits>,
}

/// The budgets in use.
static BUDGETS: LazyLock<Mutex<HashMap<Id, Weak<Budget>>>> = LazyLock::new(Mutex::default);

impl Budget {
    /// The budget of a device. If it is not in use yet, it has `total` bytes and `runs` units; a member that asks for
    /// more units raises their number.
    pub fn of(device: Id, total: u64, runs: usize) -> Arc<Self> {
        let mut budgets = BUDGETS.lock();
        budgets.retain(|_, budget| budget.strong_count() > 0);
        if let Some(budget) = budgets.get(&device).and_then(Weak::upgrade) {
            return budget;
        }
        let inner = Mutex::new(Inner { total, members: Vec::new() });
        let budget = Arc::new(Budget { inner, runs: Permits::new(runs as u64) });
        budgets.insert(device, Arc::downgrade(&budget));
        budget
    }

    /// Returns the share of member `id`; its claim replaces an earlier one of the same member. Notifies the watchers of
    /// all members, so call it without holding a lock.
    pub fn join(self: &Arc<Self>, id: u64, claim: Claim) -> Arc<Share> {
        self.runs.raise_limit(claim.runs as u64);
        let mut inner = self.inner.lock();
        let known = inner.members.iter_mut().find(|member| member.id == id && member.share.strong_count() > 0);
        let share = known.and_then(|member| {
            member.limit = claim.limit;
            member.share.upgrade()
        });
        let share = share.unwrap_or_else(|| {
            let permits = Permits::new(0);
            let share = Arc::new(Share { budget: Arc::clone(self), permits: Arc::clone(&permits) });
            let limit = claim.limit;
            inner.members.push(Member { id, share: Arc::downgrade(&share), permits, limit, watchers: Vec::new() });
            share
        });
        let watchers = inner.divide();
        drop(inner);
        notify(watchers);
        share
    }

    /// Permits for the units of what the device can do at a time.
    pub fn runs(&self) -> &Arc<Permits> {
        &self.runs
    }
}

impl Inner {
    /// Sets each member's limit. Returns the watchers to notify.
    fn divide(&mut self) -> Vec<Weak<dyn Watch>> {
        let limits: Vec<_> = self.members.iter().map(|member| member.limit).collect();
        let parts = divide(self.total, &limits);
        // Lower limits first, so that the limits never add up to more than the total.
        let (less, more): (Vec<_>, Vec<_>) =
            self.members.iter().zip(parts).partition(|(member, part)| *part < member.permits.limit());
        for (member, part) in less.into_iter().chain(more) {
            member.permits.set_limit(part);
        }
        self.members.iter().flat_map(|member| member.watchers.iter().cloned()).collect()
    }
}

fn notify(watchers: Vec<Weak<dyn Watch>>) {
    watchers.iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.share_changed());
}

/// Divides `total` bytes evenly; what a member with a lower limit leaves goes to the others. A limit above the total
/// raises the total: whoever set it knows the device better.
fn divide(total: u64, limits: &[Option<u64>]) -> Vec<u64> {
    let total = limits.iter().flatten().copied().fold(total, u64::max);
    let mut order: Vec<usize> = (0..limits.len()).collect();
    order.sort_by_key(|place| limits[*place].unwrap_or(u64::MAX));
    let (mut left, mut parts) = (total, vec![0; limits.len()]);
    for (done, place) in order.into_iter().enumerate() {
        // A device whose memory is unknown is not divided.
        let even = if total == u64::MAX { total } else { left / (limits.len() - done) as u64 };
        parts[place] = limits[place].map_or(even, |limit| limit.min(even));
        left = left.saturating_sub(parts[place]);
    }
    parts
}

impl Share {
    /// The permits that keep the member's runs within its share of the memory.
    pub fn permits(&self) -> &Arc<Permits> {
        &self.permits
    }

    /// See [`Budget::runs`].
    pub fn runs(&self) -> &Arc<Permits> {
        self.budget.runs()
    }

    /// Notifies `watcher` of changes from now on.
    pub fn watch(&self, watcher: Weak<dyn Watch>) {
        let mut inner = self.budget.inner.lock();
        if let Some(member) = inner.members.iter_mut().find(|member| Arc::ptr_eq(&member.permits, &self.permits)) {
            member.watchers.retain(|watcher| watcher.strong_count() > 0);
            member.watchers.push(watcher);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut inner = self.budget.inner.lock();
        inner.members.retain(|member| !Arc::ptr_eq(&member.permits, &self.permits));
        let watchers = inner.divide();
        drop(inner);
        notify(watchers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget(total: u64) -> Arc<Budget> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        // Indices that no GPU of this machine has.
        let id = Id::Gpu(1000 + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let budget = Budget::of(id, total, 2);
        assert!(Arc::ptr_eq(&budget, &Budget::of(id, 7, 7)));
        budget
    }

    fn claim(limit: Option<u64>) -> Claim {
        Claim { limit, runs: 1 }
    }

    fn limits<const N: usize>(shares: [&Arc<Share>; N]) -> [u64; N] {
        shares.map(|share| share.permits().limit())
    }

    #[test]
    fn members_come_and_go() {
        let budget = budget(1200);
        let first = budget.join(1, claim(None));
        assert_eq!(limits([&first]), [1200]);
        let second = budget.join(2, claim(None));
        let third = budget.join(3, claim(Some(100)));
        assert_eq!(limits([&first, &second, &third]), [550, 550, 100]);
        drop(second);
        assert_eq!(limits([&first, &third]), [1100, 100]);
        drop(third);
        assert_eq!(limits([&first]), [1200]);
    }

    #[test]
    fn a_member_that_joins_again_keeps_its_share() {
        let budget = budget(1000);
        let other = budget.join(1, claim(None));
        let first = budget.join(2, claim(None));
        let again = budget.join(2, claim(Some(200)));
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(limits([&other, &again]), [800, 200]);
        drop(first);
        assert_eq!(limits([&other]), [800]);
        drop(again);
        assert_eq!(limits([&other]), [1000]);
    }

    #[test]
    fn watchers_are_notified() {
        #[derive(Debug, Default)]
        struct Count(std::sync::atomic::AtomicUsize);
        impl Watch for Count {
            fn share_changed(&self) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let budget = budget(10);
        let first = budget.join(1, claim(None));
        let watcher = Arc::new(Count::default());
        first.watch(Arc::downgrade(&watcher) as Weak<dyn Watch>);
        drop(budget.join(2, claim(None)));
        assert_eq!(watcher.0.load(std::sync::atomic::Ordering::Relaxed), 2);
    }

    #[test]
    fn units_follow_the_largest_claim() {
        let budget = budget(10);
        assert_eq!(budget.runs().limit(), 2);
        let share = budget.join(1, Claim { limit: None, runs: 5 });
        drop(budget.join(2, Claim { limit: None, runs: 3 }));
        assert_eq!(share.runs().limit(), 5);
    }

    proptest! {
        #[test]
        fn parts_keep_to_the_limits_and_use_the_whole_total(
            total in 0u64..10_000,
            limits in prop::collection::vec(prop::option::of(0u64..20_000), 1..8),
        ) {
            let most = limits.iter().flatten().copied().fold(total, u64::max);
            let parts = divide(total, &limits);
            let sum: u64 = parts.iter().sum();
            prop_assert!(sum <= most);
            let content = parts.iter().zip(&limits).all(|(part, limit)| Some(*part) == *limit);
            prop_assert!(content || sum > most - limits.len() as u64, "{parts:?}");
            // A member that leaves never shrinks the shares of the others.
            let fewer = divide(total, &limits[1..]);
            let larger_limit = limits[0].is_some_and(|limit| limit > total);
            prop_assert!(larger_limit || fewer.iter().zip(&parts[1..]).all(|(now, before)| now >= before));
        }

        #[test]
        fn unknown_memory_is_not_divided(limits in prop::collection::vec(prop::option::of(0u64..20), 1..5)) {
            let parts = divide(u64::MAX, &limits);
            prop_assert!(parts.iter().zip(&limits).all(|(part, limit)| *part == limit.unwrap_or(u64::MAX)));
        }
    }
}
