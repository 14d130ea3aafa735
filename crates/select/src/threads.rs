//! Doing parts of a job on several threads.

use kscan_kmeans::side_by_side;

/// Lets `work` make something of each of `items`, on at most so many threads: each takes consecutive
/// ones. What they make comes back in order.
pub(crate) fn on_threads<I: Sync, T: Send>(
    items: &[I],
    threads: usize,
    work: impl Fn(&[I]) -> T + Sync,
) -> Vec<T> {
    let share = items.len().div_ceil(threads.max(1)).max(1);
    let work = &work;
    side_by_side(items.chunks(share).map(|items| move || work(items)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_comes_back_in_order() {
        let items: Vec<u32> = (0..23).collect();
        for threads in [0, 1, 2, 3, 22, 23, 100] {
            assert_eq!(on_threads(&items, threads, <[u32]>::to_vec).concat(), items);
        }
        assert!(on_threads(&[], 3, <[u32]>::to_vec).is_empty());
    }
}
