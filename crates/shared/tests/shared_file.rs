//! The shared file as its users see it: made, opened, refused, gone.

use kscan_dataset::{Source, Table, Values};
use kscan_kmeans::index::Layout as IndexLayout;
use kscan_kmeans::{
    CodedRows, Data, Engine, Init, Magnitudes, Parameters, RowIndex, Rows, Simd, SimdLevel,
    Statistics, fit,
};
use kscan_shared::{
    HeaderError, Place, Scaler, Scaling, Shape, SharedError, SharedFile, SharedMap,
};
use ndarray::Array2;
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where sections begin, and the bytes of header before that hold something.
const HEADER_LEN: usize = 4096;
const HEADER_FIELDS: usize = 368;

fn table(values: Array2<f32>) -> Table {
    Table::from_values(&Source::File("test".into()), Values::F32(values)).expect("finite values")
}

/// 300 rows of 19 columns, so a row has padding, and one column is constant.
fn example() -> Table {
    table(Array2::from_shape_fn((300, 19), |(row, column)| {
        if column == 4 {
            2.5
        } else {
            ((row * 7919 + column * 104_729) % 1009) as f32 / 331.0 - 1.5
        }
    }))
}

const EXAMPLE: Shape = Shape { n: 300, d: 19 };

fn create(place: Place<'_>, table: &Table, scaling: Scaling) -> Result<SharedFile, SharedError> {
    let scaler = Scaler::fit(table, scaling, 2);
    SharedFile::create(place, table, &scaler, None, Simd::detect(), 2)
}

fn example_file(place: Place<'_>) -> SharedFile {
    create(place, &example(), Scaling::Standard).expect("there is room for it")
}

/// A folder, and the path in it of a file that is not there yet.
fn unused_path() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("kept.shared");
    (folder, path)
}

fn bits_of<'a>(values: impl IntoIterator<Item = &'a f64>) -> Vec<u64> {
    values.into_iter().map(|x| x.to_bits()).collect()
}

/// Everything in `data` is what scaling and `Statistics` make of `table`, to the bit.
fn assert_holds(data: Data<'_>, table: &Table, scaling: Scaling) {
    let (n, d) = (table.rows(), table.cols());
    let stride = Rows::stride_of(d);
    let mut scaled = vec![0.0; n * stride];
    Scaler::fit(table, scaling, 1).transform(table, 0..n, &mut scaled, stride);
    let rows = Rows::new(&scaled, n, d);

    assert_eq!((data.rows.n(), data.rows.d()), (n, d));
    assert_eq!(data.rows.stride(), stride);
    for (row, (found, expected)) in data.rows.iter().zip(rows.iter()).enumerate() {
        let found: Vec<u32> = found.iter().map(|x| x.to_bits()).collect();
        let expected: Vec<u32> = expected.iter().map(|x| x.to_bits()).collect();
        assert_eq!(found, expected, "row {row}, with its padding of zeros");
    }
    let expected = Statistics::compute(Simd::detect(), rows, Magnitudes::of(&scaled), 1);
    assert_eq!(data.grid, expected.grid);
    assert_eq!(bits_of(data.center), bits_of(&expected.center));
    assert_eq!(bits_of(data.spread), bits_of(&expected.spread));
    assert_eq!(bits_of(data.spread_cumulative), bits_of(&expected.spread_cumulative));
}

/// A file in memory that holds `bytes`, sealed, and its path.
fn sealed(bytes: &[u8]) -> (File, PathBuf) {
    let file = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
    let mut file = File::from(file);
    file.write_all(bytes).unwrap();
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    (file, path)
}

/// The header's error where opening `path` fails for that.
fn header_error(path: &Path, shape: Shape) -> Option<HeaderError> {
    match SharedMap::open(path, shape) {
        Err(SharedError::Header { path: named, source }) => {
            assert_eq!(named, path);
            Some(source)
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => None,
    }
}

#[test]
fn an_anonymous_file_holds_the_scaled_rows_and_their_statistics() {
    for scaling in [Scaling::Standard, Scaling::None] {
        let table = example();
        let shared = create(Place::Anonymous, &table, scaling).unwrap();
        assert_holds(shared.map().data(), &table, scaling);
        assert_eq!(shared.map().verify(), Ok(()));
        let opened = SharedMap::open(shared.path(), EXAMPLE).unwrap();
        assert_holds(opened.data(), &table, scaling);
        assert_eq!(opened.verify(), Ok(()));
    }
}

#[test]
fn any_shape_comes_back_whatever_the_number_of_threads() {
    // One row; one column; a row that fills its padding; more rows than a part that is scaled at a
    // time has; a range of magnitudes that takes many limbs.
    for (n, d) in [(1, 1), (2, 16), (3, 33), (9000, 15)] {
        let table = table(Array2::from_shape_fn((n, d), |(row, column)| {
            ((row * 31 + column * 7) % 59) as f32 - 20.0
        }));
        let scaler = Scaler::fit(&table, Scaling::Standard, 1);
        for threads in [0, 1, 2, 3, 7] {
            let simd = Simd::detect();
            let shared =
                SharedFile::create(Place::Anonymous, &table, &scaler, None, simd, threads).unwrap();
            assert_holds(shared.map().data(), &table, Scaling::Standard);
        }
    }
    let wide = table(Array2::from_shape_fn((40, 2), |(row, column)| {
        (row as f32 * 4.0 - 80.0 + column as f32).exp2()
    }));
    let shared = create(Place::Anonymous, &wide, Scaling::None).unwrap();
    assert!(shared.map().data().grid.limbs() > 3);
    assert_holds(shared.map().data(), &wide, Scaling::None);

    // The largest and the smallest value stand in parts of their own, neither in the last.
    let mut apart = Array2::from_elem((20_000, 15), 1.0);
    apart[(0, 0)] = 1e20;
    apart[(6000, 1)] = 1e-20;
    let apart = table(apart);
    let scaler = Scaler::fit(&apart, Scaling::None, 1);
    for threads in [1, 3] {
        let simd = Simd::detect();
        let shared =
            SharedFile::create(Place::Anonymous, &apart, &scaler, None, simd, threads).unwrap();
        assert_holds(shared.map().data(), &apart, Scaling::None);
    }
}

#[test]
fn rows_start_at_cache_lines() {
    let shared = example_file(Place::Anonymous);
    let data = shared.map().data();
    for row in 0..EXAMPLE.n {
        let address = data.rows.row(RowIndex::new(row)).as_ptr().addr();
        assert_eq!(address % 64, 0, "row {row}");
    }
    for section in [data.center, data.spread, data.spread_cumulative] {
        assert_eq!(section.as_ptr().addr() % 64, 0);
    }
}

#[test]
fn another_shape_is_refused() {
    let shared = example_file(Place::Anonymous);
    for expected in [Shape { n: 299, d: 19 }, Shape { n: 300, d: 20 }] {
        assert_eq!(
            header_error(shared.path(), expected),
            Some(HeaderError::Shape { found: EXAMPLE, expected })
        );
    }
}

#[test]
fn what_is_no_shared_file_is_refused() {
    let (_folder, path) = unused_path();
    let open = || SharedMap::open(&path, EXAMPLE);
    assert!(matches!(
        open(),
        Err(SharedError::Open { path: named, source })
            if named == path && source.kind() == ErrorKind::NotFound
    ));
    for (text, expected) in [
        (String::new(), HeaderError::Short(0)),
        ("a,b,c\n".to_owned(), HeaderError::Short(6)),
        ("1.0,2.0\n".repeat(1000), HeaderError::Magic),
    ] {
        let (_file, path) = sealed(text.as_bytes());
        assert_eq!(header_error(&path, EXAMPLE), Some(expected));
    }
    assert!(matches!(
        SharedMap::open(path.parent().unwrap(), EXAMPLE),
        Err(SharedError::NotSealed { .. })
    ));
}

#[test]
fn nobody_can_change_an_anonymous_file() {
    let shared = example_file(Place::Anonymous);
    let before = fs::read(shared.path()).unwrap();
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(shared.path())
        .expect("its owner may open it: what follows is refused by the seals, not by its mode");
    for at in [0, HEADER_LEN as u64, before.len() as u64] {
        file.seek(SeekFrom::Start(at)).unwrap();
        let error = file.write(&[1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "at {at}");
    }
    for len in [0, before.len() as u64 - 1, before.len() as u64 + 1] {
        let error = file.set_len(len).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "to {len}");
    }
    // Not even seals can be added: the set of them is sealed as well.
    let error = rustix::fs::fcntl_add_seals(&file, rustix::fs::SealFlags::empty()).unwrap_err();
    assert_eq!(error, rustix::io::Errno::PERM);
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(fs::read(shared.path()).unwrap(), before);
    assert_eq!(shared.map().verify(), Ok(()));
}

/// Whether this process has the file with this inode open or mapped.
fn is_held(inode: u64) -> bool {
    let open = fs::read_dir("/proc/self/fd")
        .unwrap()
        // A descriptor of another test may be closed between listing and looking.
        .filter_map(|entry| fs::metadata(entry.unwrap().path()).ok())
        .any(|metadata| metadata.ino() == inode);
    let mapped = fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .filter(|line| line.contains("memfd:kscan-shared"))
        .any(|line| line.split_whitespace().nth(4) == Some(&inode.to_string()));
    open || mapped
}

#[test]
fn an_anonymous_file_is_gone_with_the_last_who_has_it() {
    let shared = example_file(Place::Anonymous);
    let inode = fs::metadata(shared.path()).unwrap().ino();
    let worker = SharedMap::open(shared.path(), EXAMPLE).unwrap();
    assert!(is_held(inode));
    drop(shared);
    // A worker goes on with what it has mapped.
    assert_holds(worker.data(), &example(), Scaling::Standard);
    assert!(is_held(inode));
    drop(worker);
    assert!(!is_held(inode));
}

/// Runs the test called `name` in a process of its own, which finds `argument` in
/// `KSCAN_TEST_CHILD`: without that, such a test does nothing.
fn run_in_child(name: &str, argument: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("KSCAN_TEST_CHILD", argument)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("done in a child"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn child_argument() -> Option<PathBuf> {
    std::env::var_os("KSCAN_TEST_CHILD").map(PathBuf::from)
}

#[test]
fn another_process_opens_the_path() {
    let shared = example_file(Place::Anonymous);
    run_in_child("child_opens_the_path", shared.path());
}

#[test]
fn child_opens_the_path() {
    let Some(path) = child_argument() else { return };
    let own = format!("/proc/{}/", std::process::id());
    assert!(!path.starts_with(&own), "this is another process");
    let map = SharedMap::open(&path, EXAMPLE).unwrap();
    assert_holds(map.data(), &example(), Scaling::Standard);
    assert_eq!(map.verify(), Ok(()));
    println!("done in a child");
}

#[test]
fn a_named_copy_stays_and_is_not_what_is_mapped() {
    let (_folder, path) = unused_path();
    let shared = example_file(Place::Named(&path));
    assert_ne!(shared.path(), path, "nobody maps what could be cut");
    assert_holds(shared.map().data(), &example(), Scaling::Standard);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
    assert_eq!(shared.map().verify(), Ok(()), "the copy may be cut");
    drop(shared);
    fs::remove_file(&path).unwrap();
    drop(example_file(Place::Named(&path)));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert!(matches!(
        SharedMap::open(&path, EXAMPLE),
        Err(SharedError::NotSealed { path: named }) if named == path
    ));
    let anonymous = example_file(Place::Anonymous);
    assert_eq!(
        fs::read(&path).unwrap(),
        fs::read(anonymous.path()).unwrap(),
        "the place does not show in the file"
    );
}

#[test]
fn a_file_that_is_there_already_is_left_alone() {
    let (folder, path) = unused_path();
    fs::write(&path, "precious").unwrap();
    let error = create(Place::Named(&path), &example(), Scaling::Standard).unwrap_err();
    assert!(matches!(
        &error,
        SharedError::Create { place, source, .. }
            if *place == path.display().to_string() && source.kind() == ErrorKind::AlreadyExists
    ));
    assert_eq!(fs::read(&path).unwrap(), b"precious");

    // Not through a link either, whether or not it leads somewhere.
    let link = folder.path().join("link");
    for target in [path.clone(), folder.path().join("nowhere")] {
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(create(Place::Named(&link), &example(), Scaling::Standard).is_err());
        assert_eq!(fs::read_link(&link).unwrap(), target);
        fs::remove_file(&link).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn a_file_that_is_there_survives_every_other_failure_to_make_one() {
    let (_folder, path) = unused_path();
    fs::write(&path, "precious").unwrap();
    run_in_child("child_runs_out_of_descriptors", &path);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn child_runs_out_of_descriptors() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let Some(path) = child_argument() else { return };
    let table = example();
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Nofile, none).unwrap();
    let error = create(Place::Named(&path), &table, Scaling::Standard).unwrap_err();
    let SharedError::Create { source, .. } = error else { panic!("another error: {error}") };
    // The file's being there is not even noticed: descriptors are looked for first.
    assert_eq!(source.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
    println!("done in a child");
}

#[test]
fn a_place_that_cannot_be_is_an_error_that_names_it() {
    let (_folder, path) = unused_path();
    let path = path.join("below/a/file");
    let error = create(Place::Named(&path), &example(), Scaling::Standard).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()));
    assert!(matches!(error, SharedError::Create { bytes, .. } if bytes > 300 * 32 * 4));
}

#[test]
fn a_damaged_file_is_refused() {
    let (_folder, path) = unused_path();
    drop(example_file(Place::Named(&path)));
    let whole = fs::read(&path).unwrap();
    let refusal = |bytes: &[u8]| {
        let (_file, path) = sealed(bytes);
        header_error(&path, EXAMPLE)
    };
    assert_eq!(refusal(&whole), None);

    for len in [0, HEADER_FIELDS - 1] {
        assert_eq!(refusal(&whole[..len]), Some(HeaderError::Short(len)));
    }
    for len in [HEADER_FIELDS, HEADER_LEN, whole.len() / 2, whole.len() - 1] {
        assert_eq!(
            refusal(&whole[..len]),
            Some(HeaderError::Length { found: len as u64, expected: whole.len() as u64 })
        );
    }
    let longer = [&whole[..], &[0]].concat();
    assert!(matches!(refusal(&longer), Some(HeaderError::Length { .. })));

    for bit in 0..HEADER_FIELDS * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0..8 => HeaderError::Magic,
            8..12 => HeaderError::Version { found: 1 ^ (1 << (bit - 64)) },
            _ => HeaderError::Checksum,
        };
        assert_eq!(refusal(&flipped), Some(expected), "bit {bit}");
    }
}

/// Bytes of which so many in a hundred are not 0, with an index for them; whether they are kept without
/// zeros, and what the index has instead.
#[test]
fn pictures_are_kept_without_zeros_where_most_are() {
    for (share, is_sparse) in [(10, true), (30, true), (95, false)] {
        let values = Array2::from_shape_fn((1200, 300), |(row, column)| {
            let mixed = row * 7919 + column / 4 * 104_729;
            if mixed % 100 < share { (mixed % 251 + column % 4 + 1) as u8 } else { 0 }
        });
        let table = Table::from_values(&Source::File("test".into()), Values::U8(values)).unwrap();
        let scaler = Scaler::fit(&table, Scaling::Standard, 2);
        let layout = IndexLayout::of(1200, 300);
        for simd in [SimdLevel::Portable, SimdLevel::Avx512].into_iter().filter_map(Simd::new) {
            let place = Place::Anonymous;
            let file = SharedFile::create(place, &table, &scaler, Some(layout), simd, 3).unwrap();
            let (data, index) = (file.map().data(), file.map().index().unwrap());
            let is_sparse = is_sparse && CodedRows::pay(simd);
            assert_eq!(index.sparse.is_some(), is_sparse, "{share} % and {simd:?}");
            let levels = if is_sparse { 1 } else { layout.levels() };
            assert_eq!(index.layout.levels(), levels, "{share} % and {simd:?}");
            let parameters = |engine| Parameters {
                k: 6,
                init_id: 0,
                seed: 3,
                init: Init::KMeansPlusPlus,
                max_iter: 20,
                tol: 0.0,
                engine,
                simd,
            };
            let fit = |index, engine| fit(data, index, &parameters(engine), &mut ()).unwrap();
            let (plain, fast) = (fit(None, Engine::Plain), fit(Some(index), Engine::Fast));
            assert!(plain.labels == fast.labels && plain.init_rows == fast.init_rows);
            assert_eq!(plain.inertia.to_bits(), fast.inertia.to_bits(), "{share} % and {simd:?}");
        }
    }
}

#[test]
fn damaged_data_is_seen_when_it_is_verified() {
    let shared = example_file(Place::Anonymous);
    let whole = fs::read(shared.path()).unwrap();
    let mut flipped = 0;
    for at in (HEADER_LEN..whole.len()).step_by(997).chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        let (_file, sealed) = sealed(&damaged);
        // One that damage makes impossible may be refused at once; none is taken for good.
        if let Ok(map) = SharedMap::open(&sealed, EXAMPLE) {
            assert_eq!(map.verify(), Err(HeaderError::Data), "byte {at}");
        }
        flipped += 1;
    }
    assert!(flipped > 20, "all sections are tried");
}

/// Makes a file of values that do not stay finite, and tells row and column of the error.
fn not_finite(place: Place<'_>, values: Array2<f32>, threads: usize) -> (usize, usize) {
    let table = table(values);
    let scaler = Scaler::fit(&table, Scaling::Standard, 1);
    let error =
        SharedFile::create(place, &table, &scaler, None, Simd::detect(), threads).unwrap_err();
    let SharedError::NotFinite { row, column } = error else { panic!("another error: {error}") };
    assert_eq!(
        error.to_string(),
        format!("row {row}, column {column} (from 0) does not fit float32 after scaling")
    );
    (row, column)
}

#[test]
fn values_that_do_not_stay_finite_are_refused_by_row_and_column() {
    for threads in [1, 2, 3, 7] {
        // The deviation is 0 as a binary32: row 333 becomes 1e-45 / 0, all others 0 / 0.
        assert_eq!(not_finite(Place::Anonymous, tiny(), threads), (0, 0));

        // The difference from the mean is beyond binary32 in two rows, which are not the first.
        let mut huge = Array2::from_elem((500, 3), 1.0);
        huge.column_mut(1).fill(-3e38);
        huge[(400, 1)] = 3e38;
        huge[(450, 1)] = 3e38;
        assert_eq!(not_finite(Place::Anonymous, huge, threads), (400, 1));
    }
}

/// A column that is not constant, with a deviation that binary32 does not have.
fn tiny() -> Array2<f32> {
    let mut values = Array2::zeros((501, 1));
    values[(333, 0)] = 1e-45;
    values
}

#[test]
fn a_single_nan_is_refused_wherever_the_rows_are_split() {
    // An infinite deviation makes 0 of all values but those whose difference is infinite too.
    let scaler = Scaler::from_parts(Scaling::Standard, vec![0.0, -3e38], vec![1.0, 1e300]);
    for bad in [0, 1, 49, 50, 99] {
        let mut values = Array2::from_elem((100, 2), 3.0);
        values[(bad, 1)] = 3e38;
        let table = table(values);
        for threads in [1, 2, 3, 7, 100] {
            let made = SharedFile::create(
                Place::Anonymous,
                &table,
                &scaler,
                None,
                Simd::detect(),
                threads,
            );
            assert!(
                matches!(made, Err(SharedError::NotFinite { row, column: 1 }) if row == bad),
                "row {bad}, {threads} threads: {made:?}"
            );
        }
    }
}

#[test]
fn values_near_the_largest_are_taken_where_they_stay_finite() {
    let values =
        Array2::from_shape_fn((500, 2), |(row, _)| if row % 2 == 0 { 3e38 } else { -3e38 });
    for scaling in [Scaling::Standard, Scaling::None] {
        let table = table(values.clone());
        let shared = create(Place::Anonymous, &table, scaling).unwrap();
        assert_holds(shared.map().data(), &table, scaling);
    }
}

#[test]
fn a_named_file_that_was_begun_is_removed_again() {
    let (folder, path) = unused_path();
    not_finite(Place::Named(&path), tiny(), 2);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    // Nothing stands in the way of a second try.
    example_file(Place::Named(&path));
    assert!(File::open(&path).is_ok());
}
