//! A scan of the built-in digits, made by the engine and written by the writers of the real one.

use jiff::Timestamp;
use kscan_dataset::{Builtin, Dataset, Source, Table, Values, load};
use kscan_kmeans::{DEFINITION_VERSION, Data, Engine, Fit, Init, Parameters, RowIndex, Simd, fit};
use kscan_protocol::{Attempt, Placement, RunId, RunRecord, Usage};
use kscan_results::{
    BestModel, BestRun, DataDocument, Dispatch, ElbowDocument, Entry, Environment, FailedRun, Gap,
    ImageShape, InitMethod, Journal, JournalKey, LabelsDocument, Launcher, Nearest,
    ReferenceDocument, RunDocument, RunFolder, ScaleMethod, ScanConfig, ScanDocument, ScanStatus,
    Timing, tables,
};
use kscan_select::{
    Chosen, ColumnRanges, Contingency, Criteria, CurvePoint, NoGap, Partition, best_per_k, choose,
    contingency, gap, silhouettes, survey,
};
use kscan_shared::{Place, Scaler, Scaling, SharedFile};
use kscan_verify::{Options, Verified, Violation, verify};
use ndarray::{Array1, Array2, Array3, s};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What differs between the scans of the tests.
pub(crate) struct Plan {
    pub(crate) dataset: Dataset,
    pub(crate) ks: (u32, u32),
    pub(crate) init: InitMethod,
    /// Those of every run, for `InitMethod::File`.
    pub(crate) given: Option<fn(u32, usize) -> Array2<f32>>,
    pub(crate) max_iter: u32,
    pub(crate) tol: f64,
    pub(crate) scale: ScaleMethod,
    /// A run that fails, also on the first reference data.
    pub(crate) fails: Option<RunId>,
    /// Reference scans.
    pub(crate) gap: Option<u32>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            dataset: load(&Source::Builtin(Builtin::Digits), None).unwrap(),
            ks: (2, 6),
            init: InitMethod::KMeansPlusPlus,
            given: None,
            max_iter: 300,
            tol: 0.0,
            scale: ScaleMethod::Standard,
            fails: None,
            gap: None,
        }
    }
}

/// A scan on disk.
pub(crate) struct Scan {
    pub(crate) temp: TempDir,
    pub(crate) folder: RunFolder,
    pub(crate) dataset: Dataset,
}

const N_INIT: u32 = 2;
const SEED: u64 = 7;
const NEAREST_ROWS: usize = 5;

impl Scan {
    pub(crate) fn make(plan: Plan) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(temp.path());
        folder.create().unwrap().keep();
        let table = &plan.dataset.table;
        let scaling = match plan.scale {
            ScaleMethod::Standard => Scaling::Standard,
            ScaleMethod::None => Scaling::None,
        };
        let scaler = Scaler::fit(table, scaling, 2);
        let simd = Simd::detect();
        let shared = SharedFile::create(Place::Anonymous, table, &scaler, None, simd, 2).unwrap();
        let data = shared.map().data();

        let runs: Vec<RunId> = (plan.ks.0..=plan.ks.1)
            .flat_map(|k| (0..N_INIT).map(move |init_id| RunId { k, init_id }))
            .collect();
        let (done, failed) = do_runs(&folder, &plan, &key(&plan), data, &runs, plan.fails);
        let records = done.iter().map(|(record, _)| RunDocument::from(record));
        let mut documents: Vec<RunDocument> =
            records.chain(failed.iter().map(RunDocument::from)).collect();
        documents.sort_by_key(RunDocument::run);
        let (best, mut criteria) = write_models(&folder, &plan, &scaler, data, &done);
        let references: Vec<ReferenceDocument> = (0..plan.gap.unwrap_or(0))
            .map(|reference| make_reference(&folder, &plan, data, &runs, reference))
            .collect();
        let gaps = plan.gap.map(|_| gaps(&best, &references));
        for (index, gap) in gaps.iter().flatten().enumerate() {
            criteria[index].gap = gap.ok();
        }
        let points: Vec<CurvePoint> = done.iter().map(|(record, _)| point(record)).collect();
        let Chosen { elbow, confidence, choices, verdict } =
            choose(&points, &criteria, gaps.as_deref(), SEED);
        let elbow = ElbowDocument::new(elbow, confidence);
        tables::write_runs(&folder.runs_csv(), &documents).unwrap();
        tables::write_curve(&folder.curve_csv(), &best).unwrap();
        tables::write_elbow(&folder.elbow_csv(), &elbow).unwrap();
        tables::write_criteria(&folder.criteria_csv(), &criteria).unwrap();
        let constant_cols = scaler.constant_columns().len() as u64;
        let document = ScanDocument {
            runs: documents,
            best,
            elbow,
            criteria,
            choices,
            verdict: Some(verdict),
            references,
            ..document(&plan, constant_cols)
        };
        document.write(&folder).unwrap();
        Self { temp, folder, dataset: plan.dataset }
    }

    pub(crate) fn verify(&self) -> Result<Verified, Violation> {
        self.verify_with(Options::default())
    }

    pub(crate) fn verify_with(&self, options: Options) -> Result<Verified, Violation> {
        verify(&self.folder, &self.dataset, options, &mut |_| ())
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.temp.path().join(file)
    }

    /// Changes `file` for the time of a verification, and returns what that finds.
    pub(crate) fn verify_changed(
        &self,
        file: &str,
        change: impl FnOnce(&Path),
    ) -> Option<Violation> {
        self.verify_changed_with(file, Options::default(), change)
    }

    pub(crate) fn verify_changed_with(
        &self,
        file: &str,
        options: Options,
        change: impl FnOnce(&Path),
    ) -> Option<Violation> {
        let path = self.path(file);
        let before = std::fs::read(&path).unwrap();
        change(&path);
        let found = self.verify_with(options).err();
        std::fs::write(&path, before).unwrap();
        found
    }
}

/// Runs that have a result, with their labels.
type Done = Vec<(RunRecord, Vec<u32>)>;

/// Does `runs`, all but `fails`, and writes their journal into `folder`.
fn do_runs(
    folder: &RunFolder,
    plan: &Plan,
    key: &JournalKey,
    data: Data<'_>,
    runs: &[RunId],
    fails: Option<RunId>,
) -> (Done, Vec<FailedRun>) {
    let mut journal = Journal::create(&folder.journal(), key).unwrap();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for &run in runs {
        if fails == Some(run) {
            let this = FailedRun {
                run,
                attempt: Attempt(3),
                placement: Placement { slot: 1, started_s: 2.0 },
                wall_s: 0.75,
                error: "killed by SIGKILL".to_owned(),
            };
            journal.append(&Entry::Failed(this.clone())).unwrap();
            failed.push(this);
            continue;
        }
        let (record, labels) = do_run(plan, data, run);
        journal.append(&Entry::Finished(Box::new(record.clone()))).unwrap();
        done.push((record, labels));
    }
    (done, failed)
}

/// Does a reference scan.
fn make_reference(
    folder: &RunFolder,
    plan: &Plan,
    data: Data<'_>,
    runs: &[RunId],
    reference: u32,
) -> ReferenceDocument {
    let (n, d) = (data.rows.n(), data.rows.d());
    let values = ColumnRanges::of(data.rows).draw(n, SEED, reference);
    let values = Values::F32(Array2::from_shape_vec((n, d), values).unwrap());
    let table = Table::from_values(&Source::File("reference".into()), values).unwrap();
    let scaler = Scaler::fit(&table, Scaling::None, 2);
    let simd = Simd::detect();
    let shared = SharedFile::create(Place::Anonymous, &table, &scaler, None, simd, 2).unwrap();
    let key = key(plan);
    let key =
        JournalKey { fingerprint: format!("reference {reference} of {}", key.fingerprint), ..key };
    let folder = folder.create_reference(reference).unwrap();
    let fails = plan.fails.filter(|_| reference == 0);
    let (done, failed) = do_runs(&folder, plan, &key, shared.map().data(), runs, fails);
    let records: Vec<&RunRecord> = done.iter().map(|(record, _)| record).collect();
    let best = best_per_k(records.iter().map(|record| point(record)));
    let of = |best| records.iter().find(|record| point(record) == best).copied().unwrap();
    ReferenceDocument {
        folder: RunFolder::reference_name(reference),
        best: best.into_iter().map(|best| of(best).into()).collect(),
        failed: failed.iter().map(Into::into).collect(),
    }
}

fn gaps(best: &[BestRun], references: &[ReferenceDocument]) -> Vec<Result<Gap, NoGap>> {
    let of = |best: &BestRun| {
        let inertia = |reference: &ReferenceDocument| {
            let whole = reference.failed.iter().all(|run| run.k != best.k);
            let found = reference.best.iter().find(|found| found.k == best.k);
            found.filter(|_| whole).map(|found| found.inertia)
        };
        gap(best.inertia, &references.iter().map(inertia).collect::<Vec<_>>())
    };
    best.iter().map(of).collect()
}

fn do_run(plan: &Plan, data: Data<'_>, run: RunId) -> (RunRecord, Vec<u32>) {
    let parameters = Parameters {
        k: run.k as usize,
        init_id: run.init_id.into(),
        seed: SEED,
        init: match (&plan.init, plan.given) {
            (_, Some(given)) => Init::Centroids(given(run.k, data.rows.d())),
            (InitMethod::Random, None) => Init::Random,
            _ => Init::KMeansPlusPlus,
        },
        max_iter: plan.max_iter,
        tol: plan.tol,
        engine: Engine::Plain,
        simd: Simd::detect(),
    };
    let fit: Fit = fit(data, None, &parameters, &mut ()).unwrap();
    let record = RunRecord {
        run,
        attempt: Attempt::FIRST,
        placement: Placement { slot: 0, started_s: 0.5 },
        digest: fit.digest(),
        centroids: fit.centroids.into_raw_vec_and_offset().0,
        init_centers: fit.init_centers.into_raw_vec_and_offset().0,
        init_rows: fit.init_rows,
        inertia: fit.inertia,
        n_iter: fit.n_iter,
        stop: fit.stop,
        distinct_clusters: fit.distinct_clusters as u32,
        relocated: fit.relocated,
        counters: fit.counters,
        usage: Usage {
            wall_s: 0.25,
            cpu_s: 0.125,
            load_s: 0.01,
            seed_s: 0.02,
            iterate_s: 0.2,
            peak_rss_bytes: 5 << 20,
            private_bytes: 1 << 20,
        },
    };
    (record, fit.labels)
}

fn point(record: &RunRecord) -> CurvePoint {
    CurvePoint {
        k: record.run.k as usize,
        inertia: record.inertia,
        init_id: record.run.init_id as usize,
    }
}

fn write_models(
    folder: &RunFolder,
    plan: &Plan,
    scaler: &Scaler,
    data: Data<'_>,
    done: &[(RunRecord, Vec<u32>)],
) -> (Vec<BestRun>, Vec<Criteria>) {
    let (mut best, mut criteria) = (Vec::new(), Vec::new());
    let simd = Simd::detect();
    for best_point in best_per_k(done.iter().map(|(record, _)| point(record))) {
        let (record, labels) = done.iter().find(|(record, _)| point(record) == best_point).unwrap();
        let k = best_point.k;
        let known = plan.dataset.labels.as_ref();
        let table = known.map(|known| contingency(known.values(), labels, k));
        if let Some(table) = &table {
            tables::write_contingency(&folder.contingency_csv(record.run.k), table).unwrap();
        }
        let partition = Partition { labels, centroids: &record.centroids };
        let survey = survey(simd, data, &[partition], NEAREST_ROWS, 2).remove(0);
        let silhouettes = silhouettes(simd, data.rows, &[partition], SEED, 2);
        criteria.push(Criteria {
            k,
            calinski_harabasz: survey.calinski_harabasz,
            davies_bouldin: survey.davies_bouldin,
            silhouette: silhouettes.summary(0),
            gap: None,
            labels: table.as_ref().map(Contingency::agreement),
            clusters: survey.clusters,
        });
        let shape = (k, scaler.mean().len());
        let raw = record.centroids.chunks(shape.1);
        let raw: Vec<f64> = raw.flat_map(|center| scaler.inverse(center)).collect();
        let model = BestModel {
            centers: Array2::from_shape_vec(shape, record.centroids.clone()).unwrap(),
            centers_raw: Array2::from_shape_vec(shape, raw).unwrap(),
            labels: labels.iter().map(|&label| label.cast_signed()).collect(),
            init_centers: Array2::from_shape_vec(shape, record.init_centers.clone()).unwrap(),
            scale_mean: Array1::from(scaler.mean().to_vec()),
            scale_std: Array1::from(scaler.std().to_vec()),
            nearest: nearest(&plan.dataset.table, &survey.nearest),
            silhouette_rows: silhouettes.rows.iter().map(|row| row.0.cast_signed()).collect(),
            silhouettes: silhouettes.values[0].as_ref().map_or_else(
                || Array1::from_elem(silhouettes.rows.len(), f64::NAN),
                |values| Array1::from(values.clone()),
            ),
        };
        let run = BestRun::from(record);
        model.write(&folder.path().join(&run.file)).unwrap();
        best.push(run);
    }
    (best, criteria)
}

fn nearest(table: &Table, clusters: &[Vec<RowIndex>]) -> Nearest {
    let mut rows = Array2::from_elem((clusters.len(), NEAREST_ROWS), -1);
    let mut raw = Array3::from_elem((clusters.len(), NEAREST_ROWS, table.cols()), f32::NAN);
    for (j, cluster) in clusters.iter().enumerate() {
        for (m, row) in cluster.iter().enumerate() {
            rows[(j, m)] = row.0.cast_signed();
            let mut values = vec![0.0; table.cols()];
            table.copy_rows_f32(row.get()..row.get() + 1, &mut values, table.cols());
            raw.slice_mut(s![j, m, ..]).assign(&Array1::from(values));
        }
    }
    Nearest { rows, raw }
}

fn key(plan: &Plan) -> JournalKey {
    JournalKey {
        definition_version: DEFINITION_VERSION,
        fingerprint: plan.dataset.table.fingerprint().to_string(),
        scale: match plan.scale {
            ScaleMethod::Standard => "standard".to_owned(),
            ScaleMethod::None => "none".to_owned(),
        },
        seed: SEED,
        init: match plan.init {
            InitMethod::KMeansPlusPlus => "k-means++".to_owned(),
            InitMethod::Random => "random".to_owned(),
            InitMethod::File(_) => "given 00".to_owned(),
        },
        max_iter: plan.max_iter,
        tol: plan.tol,
        k: (plan.ks.0..=plan.ks.1).collect(),
        n_init: N_INIT,
    }
}

/// All of `scan.json` that is no result.
fn document(plan: &Plan, constant_cols: u64) -> ScanDocument {
    let Dataset { name, table, labels } = &plan.dataset;
    ScanDocument {
        format: ScanDocument::FORMAT.to_owned(),
        status: match plan.fails {
            Some(_) => ScanStatus::Partial,
            None => ScanStatus::Complete,
        },
        config: ScanConfig {
            data: name.clone(),
            labels: None,
            k_low: plan.ks.0,
            k_high: plan.ks.1,
            k_step: 1,
            n_init: N_INIT,
            n_proc: 2,
            seed: SEED,
            init: plan.init.clone(),
            max_iter: plan.max_iter,
            tol: plan.tol,
            scale: plan.scale,
            dispatch: Dispatch::Rolling,
            launcher: Launcher::Local,
            retries: 2,
            timeout_s: Some(60.0),
            engine: Engine::Plain,
            table: kscan_results::TableFormat::Csv,
            image_shape: None,
            gap: plan.gap,
        },
        data: DataDocument {
            name: name.clone(),
            rows: table.rows() as u64,
            cols: table.cols() as u64,
            dtype: table.dtype().to_string(),
            constant_cols,
            image_shape: ImageShape::of_array(table.shape()),
            fingerprint: table.fingerprint().to_string(),
            labels: labels.as_ref().map(|labels| LabelsDocument {
                classes: labels.classes(),
                fingerprint: labels.fingerprint().to_string(),
            }),
        },
        environment: Environment {
            kscan_version: "0.1.0".to_owned(),
            definition_version: DEFINITION_VERSION,
            cpu: "a processor".to_owned(),
            cores: 2,
            simd: "portable".to_owned(),
        },
        runs: Vec::new(),
        best: Vec::new(),
        elbow: ElbowDocument::None { k: None, reason: "made later".to_owned() },
        criteria: Vec::new(),
        choices: Vec::new(),
        verdict: None,
        references: Vec::new(),
        timing: Timing {
            started_at: Timestamp::UNIX_EPOCH,
            resumed_at_s: 0.0,
            wall_s: 3.5,
            prepare_s: 0.5,
            scan_s: 2.5,
            reference_s: 0.0,
            cpu_s: 4.5,
        },
    }
}
