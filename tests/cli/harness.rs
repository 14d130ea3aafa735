//! What every test needs: a folder of its own, a command that cannot hang, and readers of what a
//! scan leaves behind that share no code with the program.

use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::{Array1, Array2, Array3};
use ndarray_npy::NpzReader;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that anything here takes, on the slowest machine: what takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The digest of every run, by (k, `init_id`).
pub(crate) type Digests = BTreeMap<(u64, u64), String>;

/// Users that [`Scratch::hand_over`] has made up.
static USERS: AtomicU32 = AtomicU32::new(0);

/// A folder for one test, gone with it.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("scratch-").tempdir();
        Self(folder.expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, bytes).expect("a file in the scratch folder");
        path
    }

    /// A command in this folder: words of `line` between spaces.
    pub(crate) fn kscan(&self, line: &str) -> Kscan {
        self.program(Path::new(env!("CARGO_BIN_EXE_kscan-coord")), line)
    }

    /// The same of a copy of the program.
    pub(crate) fn program(&self, program: &Path, line: &str) -> Kscan {
        let mut command = Command::new(program);
        command.args(line.split_whitespace());
        Kscan { command }.in_folder(self.path())
    }

    /// The same through a shell that first does `setup`, for limits and masks.
    pub(crate) fn kscan_after(&self, setup: &str, line: &str) -> Kscan {
        self.program_after(setup, Path::new(env!("CARGO_BIN_EXE_kscan-coord")), line)
    }

    /// The same of a copy of the program.
    pub(crate) fn program_after(&self, setup: &str, program: &Path, line: &str) -> Kscan {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("{setup}; exec \"$0\" \"$@\"")])
            .arg(program)
            .args(line.split_whitespace());
        Kscan { command }.in_folder(self.path())
    }

    /// The scan in the folder `name`.
    pub(crate) fn scan(&self, name: &str) -> Scan {
        Scan::read(&self.join(name))
    }

    /// Everything in this folder, by relative path, in order.
    pub(crate) fn contents(&self) -> Vec<String> {
        contents(self.path())
    }

    /// Gives all that is here, and a copy of the program, to a user who has no other process and owns
    /// nothing else; tells both. `None`, and says so, where only root could.
    pub(crate) fn hand_over(&self) -> Option<(PathBuf, u32)> {
        // Processes are counted by user, and no limit on them holds for root.
        if !rustix::process::geteuid().is_root() {
            eprintln!("not tested: only root can act as a user who has no other process");
            return None;
        }
        let user = USERS.fetch_add(1, Ordering::Relaxed);
        let uid = 1_000_000 + std::process::id() * 16 + user;
        // Where the tests are built others may not look.
        let program = self.join("kscan-coord");
        fs::copy(env!("CARGO_BIN_EXE_kscan-coord"), &program).expect("a copy");
        let paths = self.contents().into_iter().map(|name| self.join(name));
        for path in paths.chain([self.path().to_owned()]) {
            chown(&path, Some(uid), None).expect("root may");
        }
        Some((program, uid))
    }

    /// Writes the data of the slow job.
    pub(crate) fn slow_data(&self) {
        let (n, d) = (8_000, 24);
        let bytes: Vec<u8> = noise(n * d, 1).flat_map(f32::to_le_bytes).collect();
        self.write("slow.npy", npy("<f4", false, &[n, d], &bytes));
    }
}

/// Three runs of about half a second each, long enough to be disturbed in the middle: clusters in noise
/// never settle soon.
pub(crate) const SLOW: &str = "run slow.npy --k-low 24 --k-high 26 --n-init 1 --tol 0 --n-proc 2 \
                               --progress json --out scan";

/// The same, one run after the other.
pub(crate) fn slow_in_turn() -> String {
    SLOW.replace("--n-proc 2", "--n-proc 1")
}

/// What the slow job ends with when nothing disturbs it.
pub(crate) fn undisturbed() -> &'static Digests {
    static DIGESTS: OnceLock<Digests> = OnceLock::new();
    DIGESTS.get_or_init(|| {
        let scratch = Scratch::new();
        scratch.slow_data();
        scratch.kscan(SLOW).run().exits(0);
        let digests = scratch.scan("scan").digests();
        assert_eq!(digests.len(), 3);
        digests
    })
}

/// All files and folders below `folder`, by relative path, in order.
pub(crate) fn contents(folder: &Path) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder to list") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(folder).expect("it is below");
            found.insert(name.to_string_lossy().into_owned());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.into_iter().collect()
}

/// A call of the program that is yet to be made.
pub(crate) struct Kscan {
    command: Command,
}

impl Kscan {
    fn in_folder(mut self, folder: &Path) -> Self {
        self.command
            .current_dir(folder)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// As this user, who owns nothing.
    pub(crate) fn user(mut self, uid: u32) -> Self {
        self.command.uid(uid).gid(uid);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Outcome {
        self.spawn().finish()
    }

    /// Starts it.
    pub(crate) fn spawn(mut self) -> Live {
        let name = format!("{:?}", self.command);
        let mut child = self.command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("a pipe");
        let mut stderr = child.stderr.take().expect("a pipe");
        let (line_sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while let Ok(1..) = reader.read_until(b'\n', &mut line) {
                if line_sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        let (stderr_sender, stderr_text) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            let _ = stderr_sender.send(String::from_utf8_lossy(&bytes).into_owned());
        });
        Live {
            child,
            name,
            lines,
            stdout: String::new(),
            stderr: stderr_text,
            started: BTreeMap::new(),
            deadline: Instant::now() + PATIENCE,
        }
    }
}

/// A call of the program that is running. Killed where a test fails.
pub(crate) struct Live {
    child: Child,
    name: String,
    lines: Receiver<String>,
    stdout: String,
    stderr: Receiver<String>,
    /// The process of each attempt that has been told of.
    started: BTreeMap<(u64, u64, u64), u32>,
    deadline: Instant,
}

impl Live {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for an event of `--progress json`.
    pub(crate) fn wait_for(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next_event();
            let event = event.unwrap_or_else(|| panic!("{}: no {what} came", self.name));
            if is(&event) {
                return event;
            }
        }
    }

    /// The next event of `--progress json`; `None` after the last.
    pub(crate) fn next_event(&mut self) -> Option<Value> {
        let line = self.next_line()?;
        let event: Value = serde_json::from_str(&line).expect("a line is an event");
        if kind(&event) == "run_started" {
            self.started.insert(attempt_of(&event), pid_of(&event));
        }
        Some(event)
    }

    /// The same of a process that may be killed while it writes: `None` too where a line is torn.
    pub(crate) fn next_whole_event(&mut self) -> Option<Value> {
        serde_json::from_str(&self.next_line()?).ok()
    }

    /// Waits until a worker has done an iteration, and tells its process id.
    pub(crate) fn wait_for_worker(&mut self) -> u32 {
        let event = self.wait_for("run_progress", |event| kind(event) == "run_progress");
        self.started[&attempt_of(&event)]
    }

    /// Which k a worker works at.
    pub(crate) fn k_of(&self, pid: u32) -> u64 {
        let mut started = self.started.iter();
        let found = started.find(|&(_, &started)| started == pid);
        found.expect("a worker that was started").0.0
    }

    /// Whether it has ended by now.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// The next line on stdout; `None` after the last.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.stdout.push_str(&line);
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{} hangs; so far it said:\n{}", self.name, self.stdout)
            }
        }
    }

    /// Waits until it ends.
    pub(crate) fn finish(mut self) -> Outcome {
        while self.next_line().is_some() {}
        let left = self.deadline.saturating_duration_since(Instant::now());
        let stderr = self.stderr.recv_timeout(left);
        let stderr = stderr.unwrap_or_else(|_| panic!("{} hangs", self.name));
        eventually("the end of the process", || self.has_ended());
        Outcome {
            name: self.name.clone(),
            status: self.child.wait().expect("a child"),
            stdout: std::mem::take(&mut self.stdout),
            stderr,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Nothing to do where it has ended long since.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}: {}\n--- stdout\n{}\n--- stderr\n{}",
            self.name,
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that it was ended by a signal.
    #[track_caller]
    pub(crate) fn killed_by(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal as i32), "{self:?}");
        self
    }

    /// Asserts that stderr is an error message in the house's form, one line of cause and one of
    /// what to do next, and returns the cause.
    #[track_caller]
    pub(crate) fn cause(&self) -> &str {
        let lines: Vec<&str> = self.stderr.lines().collect();
        let [cause, hint] = lines[..] else {
            panic!("not two lines: {:?}", self.stderr);
        };
        let cause = cause.strip_prefix("error: ");
        let hint = hint.strip_prefix("  ");
        assert!(hint.is_some_and(|hint| !hint.trim().is_empty()), "{lines:?}");
        assert!(!has_controls(&self.stderr), "{:?}", self.stderr);
        cause.unwrap_or_else(|| panic!("{lines:?}"))
    }

    /// Asserts that the cause has all of `words` in it.
    #[track_caller]
    pub(crate) fn names(&self, words: &[&str]) {
        let cause = self.cause();
        for word in words {
            assert!(cause.contains(word), "no {word:?} in {cause:?}");
        }
    }

    /// The events on stdout, where every line must be one.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(event) if event["event"].is_string() => event,
            _ => panic!("no event: {line:?}"),
        };
        self.stdout.lines().map(parse).collect()
    }
}

/// Whether there is anything in `text` that a terminal would obey, but for ends of lines.
pub(crate) fn has_controls(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && c != '\n')
}

/// The kind of an event.
pub(crate) fn kind(event: &Value) -> &str {
    event["event"].as_str().expect("an event has a kind")
}

/// Run and attempt of an event.
pub(crate) fn attempt_of(event: &Value) -> (u64, u64, u64) {
    let number = |name: &str| event[name].as_u64().unwrap_or_else(|| panic!("{event}"));
    (number("k"), number("init_id"), number("attempt"))
}

/// The process id in a `run_started`.
pub(crate) fn pid_of(event: &Value) -> u32 {
    let pid = event["pid"].as_u64().expect("a process id");
    u32::try_from(pid).expect("a process id")
}

/// The process ids of all workers that were started.
pub(crate) fn pids(events: &[Value]) -> Vec<u32> {
    let started = events.iter().filter(|event| kind(event) == "run_started");
    started.map(pid_of).collect()
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id"));
    kill(pid, signal).unwrap_or_else(|error| panic!("{signal} to {pid}: {error}"));
}

/// Stops a process, and waits until all of its threads stand still.
#[track_caller]
pub(crate) fn stop(pid: u32) {
    send(pid, Signal::SIGSTOP);
    eventually("a process that stands still", || stands_still(pid));
}

/// Whether all threads of a process are stopped.
pub(crate) fn stands_still(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it is there");
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which stands in brackets.
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
    })
}

/// Sets a limit on a process that runs, for what it does from now on; `None` is none.
pub(crate) fn limit(pid: u32, resource: Resource, most: Option<u64>) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed());
    // What may be raised again is the limit that this process has too.
    let maximum = rustix::process::getrlimit(resource).maximum;
    rustix::process::prlimit(pid, resource, Rlimit { current: most.or(maximum), maximum })
        .expect("a soft limit can be set");
}

/// Whether `pid` is a worker that has not ended. A zombie has no command line any more.
pub(crate) fn is_live_worker(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|&byte| byte == 0).any(|word| word == b"worker"))
}

/// The workers of a coordinator that have not ended.
pub(crate) fn live_workers(coordinator: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{coordinator}/task")) else {
        return Vec::new();
    };
    let children = |thread: std::io::Result<fs::DirEntry>| {
        let children = fs::read_to_string(thread.ok()?.path().join("children"));
        children.ok()
    };
    let children: String = threads.filter_map(children).collect();
    let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|&pid| is_live_worker(pid)).collect()
}

/// The workers of a coordinator that have not ended, also where it has: by what their command lines
/// say.
pub(crate) fn workers_of(coordinator: u32) -> Vec<u32> {
    let coordinator = coordinator.to_string();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.filter(|&pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|&byte| byte == 0).skip(1);
        words.next() == Some(b"worker")
            && words.next() == Some(b"--coordinator")
            && words.next() == Some(coordinator.as_bytes())
    })
    .collect()
}

/// Asserts that no shared file is left of scans in this folder.
#[track_caller]
pub(crate) fn assert_no_shared_file(scratch: &Scratch) {
    assert!(!scratch.join("scan/shared.bin").exists());
    let shared = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let ours = shared.filter(|entry| entry.file_name().to_string_lossy().contains("kscan"));
    assert_eq!(ours.count(), 0, "something is left in /dev/shm");
}

/// Waits until `holds`, looking again and again.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A scan's folder, as a script would read it.
pub(crate) struct Scan {
    pub(crate) folder: PathBuf,
    pub(crate) json: Value,
}

impl Scan {
    pub(crate) fn read(folder: &Path) -> Self {
        let text = fs::read(folder.join("scan.json")).expect("scan.json");
        Self {
            folder: folder.to_owned(),
            json: serde_json::from_slice(&text).expect("scan.json is JSON"),
        }
    }

    pub(crate) fn status(&self) -> &str {
        self.json["status"].as_str().expect("a status")
    }

    pub(crate) fn runs(&self) -> &[Value] {
        self.json["runs"].as_array().expect("runs")
    }

    pub(crate) fn run(&self, k: u64, init_id: u64) -> &Value {
        let mut runs = self.runs().iter();
        let run = runs.find(|run| run["k"] == k && run["init_id"] == init_id);
        run.unwrap_or_else(|| panic!("no run k = {k}, init_id = {init_id}"))
    }

    pub(crate) fn best(&self, k: u64) -> &Value {
        let mut best = self.json["best"].as_array().expect("best").iter();
        best.find(|best| best["k"] == k).expect("a best run")
    }

    /// Of all runs that succeeded.
    pub(crate) fn digests(&self) -> Digests {
        let number = |run: &Value, name: &str| run[name].as_u64().expect("a number");
        let ok = self.runs().iter().filter(|run| run["status"] == "ok");
        ok.map(|run| {
            let digest = run["digest"].as_str().expect("a digest").to_owned();
            ((number(run, "k"), number(run, "init_id")), digest)
        })
        .collect()
    }

    pub(crate) fn model(&self, k: u64) -> Model {
        Model::read(&self.folder.join(format!("best/k{k:02}.npz")))
    }

    /// A CSV file of it: the header, and the rows.
    pub(crate) fn table(&self, name: &str) -> (Vec<String>, Vec<Vec<String>>) {
        let mut table = csv::Reader::from_path(self.folder.join(name)).expect("a table");
        let fields = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
        let header = fields(table.headers().expect("a header"));
        let rows = table.records().map(|row| fields(&row.expect("a row")));
        (header, rows.collect())
    }
}

/// An npz of `best/`.
pub(crate) struct Model {
    pub(crate) centers: Array2<f64>,
    pub(crate) centers_raw: Array2<f64>,
    pub(crate) labels: Array1<i32>,
    pub(crate) init_centers: Array2<f32>,
    pub(crate) scale_mean: Array1<f64>,
    pub(crate) scale_std: Array1<f64>,
    pub(crate) nearest_rows: Array2<i64>,
    pub(crate) nearest_raw: Array3<f32>,
}

impl Model {
    /// Reads it: reading asserts every array's dtype and number of dimensions.
    fn read(path: &Path) -> Self {
        let mut npz = NpzReader::new(File::open(path).expect("a model")).expect("an npz");
        let names: BTreeSet<String> = npz.names().expect("names").into_iter().collect();
        let names: Vec<&str> = names.iter().map(|name| name.trim_end_matches(".npy")).collect();
        let expected = [
            "centers",
            "centers_raw",
            "init_centers",
            "labels",
            "nearest_raw",
            "nearest_rows",
            "scale_mean",
            "scale_std",
            "silhouette_rows",
            "silhouettes",
        ];
        assert_eq!(names, expected);
        Self {
            centers: npz.by_name("centers").expect("centers: f64 [k, d]"),
            centers_raw: npz.by_name("centers_raw").expect("centers_raw: f64 [k, d]"),
            labels: npz.by_name("labels").expect("labels: i32 [n]"),
            init_centers: npz.by_name("init_centers").expect("init_centers: f32 [k, d]"),
            scale_mean: npz.by_name("scale_mean").expect("scale_mean: f64 [d]"),
            scale_std: npz.by_name("scale_std").expect("scale_std: f64 [d]"),
            nearest_rows: npz.by_name("nearest_rows").expect("nearest_rows: i64 [k, m]"),
            nearest_raw: npz.by_name("nearest_raw").expect("nearest_raw: f32 [k, m, d]"),
        }
    }
}

/// A file of the golden folder.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The digits and their labels, as scikit-learn has them.
pub(crate) fn digits() -> (Array2<u8>, Array1<i64>) {
    let file = File::open(golden("kmeans/raw/digits.npz")).expect("the golden digits");
    let mut npz = NpzReader::new(file).expect("an npz");
    (npz.by_name("x").expect("x"), npz.by_name("y").expect("y"))
}

/// A `.npy` file, written by hand.
pub(crate) fn npy(descr: &str, fortran: bool, shape: &[usize], values: &[u8]) -> Vec<u8> {
    let mut sizes = String::new();
    for size in shape {
        write!(sizes, "{size}, ").expect("strings take all");
    }
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({sizes}), }}");
    npy_with_header(&header, values)
}

/// The same with any header.
pub(crate) fn npy_with_header(header: &str, values: &[u8]) -> Vec<u8> {
    // Magic, version and length take 10 bytes; values start at a multiple of 64.
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(length).expect("a short header").to_le_bytes());
    bytes.extend(format!("{header:<width$}\n", width = length - 1).as_bytes());
    bytes.extend(values);
    bytes
}

/// Rows of f64 as a `.npy` file.
pub(crate) fn npy_f64<const D: usize>(rows: &[[f64; D]]) -> Vec<u8> {
    let bytes: Vec<u8> = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    npy("<f8", false, &[rows.len(), D], &bytes)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// Numbers between 0 and 1, the same for the same seed.
pub(crate) fn noise(count: usize, seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed;
    (0..count).map(move |_| {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1_u32 << 24) as f32
    })
}
