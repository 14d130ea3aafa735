//! How long the rest of a scan takes.
//!
//! A run's time is made of what each run takes (starting a process, sending its result), of seeding,
//! and of its iterations times the time of one. Seeding, the time of an iteration and the number of
//! iterations each follow a power of k, fitted to the runs that have finished; runs of other k are
//! therefore foreseen, where their plain average would count all k alike. What is left is then dealt
//! to the slots as the dispatcher does, so that the last runs, when slots stand empty, count too.
//!
//! A fit takes the median of each k, which no single odd run moves, on logarithms. From a few
//! neighbouring k no exponent can be told, so it begins with one that is likely and leaves it as the k
//! spread: this is ridge regression, the mean of the posterior under a normal prior.

use kscan_protocol::RunRecord;
use kscan_results::Dispatch;
use std::collections::BTreeMap;

/// A run that has finished, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Finished {
    pub(crate) k: u32,
    pub(crate) n_iter: u32,
    pub(crate) seed_s: f64,
    pub(crate) iterate_s: f64,
    pub(crate) wall_s: f64,
}

impl From<&RunRecord> for Finished {
    fn from(record: &RunRecord) -> Self {
        let usage = &record.usage;
        Self {
            k: record.run.k,
            n_iter: record.n_iter,
            seed_s: usage.seed_s,
            iterate_s: usage.iterate_s,
            wall_s: usage.wall_s,
        }
    }
}

/// A run that has begun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Begun {
    pub(crate) k: u32,
    /// Seconds since.
    pub(crate) elapsed_s: f64,
    /// Iterations done; 0 while it is seeding.
    pub(crate) iterations: u32,
}

/// `scale * k^exponent`
#[derive(Debug, Clone, Copy, PartialEq)]
struct PowerLaw {
    exponent: f64,
    scale: f64,
}

impl PowerLaw {
    /// Through the medians of each k. `likely` is the exponent to begin with, and `weight` how much
    /// spread of ln k, summed over the runs, counts as much as that beginning.
    fn fit(points: impl Iterator<Item = (u32, f64)>, likely: f64, weight: f64) -> Self {
        let mut by_k: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (k, value) in points {
            // Clocks may say that something took no time.
            by_k.entry(k).or_default().push(value.max(1e-9).ln());
        }
        let medians: Vec<(f64, f64, f64)> = by_k
            .into_iter()
            .map(|(k, mut logs)| (f64::from(k).ln(), median(&mut logs), logs.len() as f64))
            .collect();
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            medians.iter().map(|&(x, y, count)| count * of(x, y)).sum()
        };
        let count = sum(&|_, _| 1.0);
        let (x_mean, y_mean) = (sum(&|x, _| x) / count, sum(&|_, y| y) / count);
        let spread = sum(&|x, _| (x - x_mean).powi(2));
        let together = sum(&|x, y| (x - x_mean) * (y - y_mean));
        let exponent = (together + weight * likely) / (spread + weight);
        Self { exponent, scale: (y_mean - exponent * x_mean).exp() }
    }

    /// The same exponent, so that the mean over `points` is theirs.
    fn with_mean(self, points: &[(u32, f64)]) -> Self {
        let ratios = points.iter().map(|&(k, value)| value / f64::from(k).powf(self.exponent));
        Self { scale: ratios.sum::<f64>() / points.len() as f64, ..self }
    }

    fn at(self, k: u32) -> f64 {
        self.scale * f64::from(k).powf(self.exponent)
    }
}

/// The median. `values` has some.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// What runs that have finished say of others.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// Seconds of an iteration.
    iteration: PowerLaw,
    /// Seconds of seeding.
    seeding: PowerLaw,
    iterations: PowerLaw,
    /// Seconds that each run takes beside.
    beside: f64,
    /// Iterations of each finished run, as a multiple of what is foreseen for its k.
    spread: Vec<f64>,
    max_iter: f64,
}

impl Model {
    /// `None` where no run has finished yet.
    pub(crate) fn fit(finished: &[Finished], max_iter: u32) -> Option<Self> {
        if finished.is_empty() {
            return None;
        }
        let n_iter: Vec<(u32, f64)> =
            finished.iter().map(|run| (run.k, f64::from(run.n_iter))).collect();
        // An index makes iterations nearly independent of k; how many there are hardly depends on
        // it at all, and varies much. Seeding draws k times.
        let of_iteration = |run: &Finished| (run.k, run.iterate_s / f64::from(run.n_iter.max(1)));
        let iteration = PowerLaw::fit(finished.iter().map(of_iteration), 0.0, 1.0);
        let seeding = PowerLaw::fit(finished.iter().map(|run| (run.k, run.seed_s)), 1.0, 1.0);
        // Their sum counts, and the few long runs are much of it: the mean, not the median.
        let iterations = PowerLaw::fit(n_iter.iter().copied(), 0.0, 3.0).with_mean(&n_iter);
        let mut beside: Vec<f64> =
            finished.iter().map(|run| run.wall_s - run.seed_s - run.iterate_s).collect();
        let spread = n_iter.iter().map(|&(k, n_iter)| n_iter / iterations.at(k)).collect();
        let (beside, max_iter) = (median(&mut beside).max(0.0), max_iter.into());
        Some(Self { iteration, seeding, iterations, beside, spread, max_iter })
    }

    /// Seconds of a run with this k.
    pub(crate) fn run_s(&self, k: u32) -> f64 {
        self.before_iterating(k) + self.iterations.at(k).min(self.max_iter) * self.iteration.at(k)
    }

    /// Seconds until a run that has begun has finished.
    fn rest_s(&self, run: Begun) -> f64 {
        if run.iterations == 0 {
            return (self.run_s(run.k) - run.elapsed_s).max(0.0);
        }
        // What those finished runs still had to do that came as far.
        let done = f64::from(run.iterations);
        let foreseen = self.iterations.at(run.k);
        let further = self.spread.iter().map(|ratio| ratio * foreseen - done);
        let further: Vec<f64> = further.filter(|&more| more > 0.0).collect();
        let more = match further.len() {
            // None did: who has come so far may well go on as far again as a quarter of it.
            0 => done / 4.0,
            count => further.iter().sum::<f64>() / count as f64,
        };
        more.min(self.max_iter - done).max(0.0) * self.iteration.at(run.k)
    }

    fn before_iterating(&self, k: u32) -> f64 {
        self.beside + self.seeding.at(k)
    }

    /// Seconds until all runs have finished: those that have `begun`, and those `waiting`, whose k
    /// come in the order they are to be started.
    pub(crate) fn remaining_s(
        &self,
        begun: impl Iterator<Item = Begun>,
        waiting: impl Iterator<Item = u32>,
        n_proc: usize,
        dispatch: Dispatch,
    ) -> f64 {
        let mut slots: Vec<f64> = begun.map(|run| self.rest_s(run)).collect();
        slots.resize(slots.len().max(n_proc), 0.0);
        let last = |slots: &[f64]| slots.iter().copied().fold(0.0, f64::max);
        for (index, k) in waiting.enumerate() {
            if dispatch == Dispatch::Batch && index % n_proc == 0 {
                let barrier = last(&slots);
                slots.fill(barrier);
            }
            let free = slots.iter_mut().min_by(|a, b| a.total_cmp(b));
            *free.expect("there is at least one") += self.run_s(k);
        }
        last(&slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A scan of 110 runs of MNIST with two processes, and one of 104 of the digits, k from 2 to 102.
    /// Seconds are the processor's, so that what else the machine did does not count.
    fn recorded(name: &str) -> Vec<Finished> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/coord/progress/recorded");
        let rows = csv::Reader::from_path(folder.join(name)).unwrap();
        let rows = rows.into_deserialize::<(u32, u32, f64, f64, f64)>();
        rows.map(|row| {
            let (k, n_iter, seed_s, iterate_s, wall_s) = row.unwrap();
            Finished { k, n_iter, seed_s, iterate_s, wall_s }
        })
        .collect()
    }

    /// Begin and end of each run in turn on `n_proc` slots, and the end of all.
    fn played(runs: &[Finished], n_proc: usize) -> (Vec<(f64, f64)>, f64) {
        let mut slots = vec![0.0; n_proc];
        let mut times = Vec::new();
        for run in runs {
            let slot = slots.iter_mut().min_by(|a: &&mut f64, b| a.total_cmp(b)).unwrap();
            times.push((*slot, *slot + run.wall_s));
            *slot += run.wall_s;
        }
        (times, slots.into_iter().fold(0.0, f64::max))
    }

    /// How far the estimate, and plain averaging, are from the truth, as a share of the whole: the
    /// mean over moments all through the scan.
    fn errors(runs: &[Finished], n_proc: usize) -> (f64, f64) {
        let (times, end) = played(runs, n_proc);
        let (mut model_error, mut plain_error, mut moments) = (0.0, 0.0, 0.0);
        for step in 2..38 {
            let now = end * f64::from(step) / 40.0;
            let with = |is: &dyn Fn((f64, f64)) -> bool| -> Vec<(Finished, (f64, f64))> {
                let pairs = runs.iter().copied().zip(times.iter().copied());
                pairs.filter(|&(_, time)| is(time)).collect()
            };
            let finished: Vec<Finished> = with(&|time| time.1 <= now).iter().map(|p| p.0).collect();
            let begun = with(&|time| time.0 <= now && now < time.1);
            let waiting = with(&|time| time.0 > now);
            let Some(model) = Model::fit(&finished, 300) else { continue };
            let foreseen = model.remaining_s(
                begun.iter().map(|&(run, (begin, _))| {
                    let iterating = now - begin - (run.wall_s - run.iterate_s);
                    let done = iterating / run.iterate_s * f64::from(run.n_iter);
                    Begun { k: run.k, elapsed_s: now - begin, iterations: done.max(0.0) as u32 }
                }),
                waiting.iter().map(|(run, _)| run.k),
                n_proc,
                Dispatch::Rolling,
            );
            let mean = finished.iter().map(|run| run.wall_s).sum::<f64>() / finished.len() as f64;
            let plain = mean * (begun.len() + waiting.len()) as f64 / n_proc as f64;
            model_error += (foreseen - (end - now)).abs() / end;
            plain_error += (plain - (end - now)).abs() / end;
            moments += 1.0;
        }
        (model_error / moments, plain_error / moments)
    }

    #[test]
    fn it_is_nearer_to_what_was_recorded_than_plain_averaging() {
        for (name, most) in [("mnist.csv", 0.05), ("digits.csv", 0.10)] {
            for n_proc in [1, 2, 8] {
                let (model, plain) = errors(&recorded(name), n_proc);
                println!("{name}, {n_proc} at a time: {model:.3} of the whole, plain {plain:.3}");
                assert!(model < most, "{name}, {n_proc}: {model}");
                assert!(model < plain * 0.7, "{name}, {n_proc}: {model}, plain averaging {plain}");
            }
        }
    }

    /// Twelve runs of k = 5, and one more that stood still for an hour.
    fn odd() -> Vec<Finished> {
        let run = Finished { k: 5, n_iter: 50, seed_s: 0.1, iterate_s: 1.0, wall_s: 1.2 };
        let mut runs = vec![run; 13];
        runs[12] = Finished { k: 5, iterate_s: 3600.0, wall_s: 3600.2, ..run };
        runs
    }

    #[test]
    fn one_odd_run_moves_nothing() {
        let model = Model::fit(&odd(), 300).unwrap();
        assert!((model.run_s(5) - 1.2).abs() < 1e-6, "{}", model.run_s(5));
    }

    #[test]
    fn exponents_are_found_where_there_is_enough_to_tell() {
        let run = |k: u32| {
            let iterate_s = 0.01 * f64::from(k).powi(2);
            Finished { k, n_iter: 10, seed_s: 0.0, iterate_s, wall_s: iterate_s }
        };
        let of = |ks: &[u32]| Model::fit(&ks.iter().copied().map(run).collect::<Vec<_>>(), 300);
        let wide = of(&[2, 4, 8, 16, 32].repeat(4)).unwrap().run_s(64) / run(64).wall_s;
        assert!((0.6..1.0).contains(&wide), "{wide}");
        // Two neighbours tell little: nothing wild is made of them.
        let narrow = of(&[100, 101]).unwrap().run_s(400) / run(100).wall_s;
        assert!((0.9..1.2).contains(&narrow), "{narrow}");
    }

    #[test]
    fn batches_wait_for_their_slowest_and_begun_runs_for_what_is_left_of_them() {
        let run = Finished { k: 5, n_iter: 10, seed_s: 0.0, iterate_s: 1.0, wall_s: 1.0 };
        let model = Model::fit(&[run], 300).unwrap();
        let begun = |iterations| Begun { k: 5, elapsed_s: 0.2, iterations };
        let remaining = |begun: &[Begun], waiting: usize, dispatch| {
            let waiting = std::iter::repeat_n(5, waiting);
            model.remaining_s(begun.iter().copied(), waiting, 2, dispatch)
        };
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-6;
        assert!(near(remaining(&[], 3, Dispatch::Rolling), 2.0));
        let two = [begun(2), begun(9)];
        assert!(near(remaining(&two, 0, Dispatch::Rolling), 0.8));
        assert!(near(remaining(&two, 1, Dispatch::Rolling), 1.1));
        assert!(near(remaining(&two, 1, Dispatch::Batch), 1.8));
        // Further than any that has finished.
        assert!(near(remaining(&[begun(20)], 0, Dispatch::Rolling), 0.5));
        assert!(near(remaining(&[begun(0)], 0, Dispatch::Rolling), 0.8));
        assert!(Model::fit(&[], 300).is_none());
    }
}
