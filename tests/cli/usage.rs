//! Wrong command lines, and places that cannot be written.

use crate::harness::Scratch;

#[test]
fn a_wrong_command_line_ends_with_2_and_touches_nothing() {
    for (options, words) in [
        ("--colour blue", "--colour"),
        ("--k-low 6 --k-high 5", "--k-low 6"),
        ("--k-low 0", "--k-low"),
        ("--k-high five", "--k-high"),
        ("--k-step 0", "--k-step"),
        ("--n-init 0", "--n-init"),
        ("--n-proc 0", "--n-proc"),
        ("--max-iter 0", "--max-iter"),
        ("--tol=-1", "--tol"),
        ("--tol nan", "--tol"),
        ("--tol inf", "--tol"),
        ("--timeout 0s", "--timeout"),
        ("--timeout soon", "--timeout"),
        ("--retries many", "--retries"),
        ("--seed=-1", "--seed"),
        ("--init best", "--init"),
        ("--dispatch later", "--dispatch"),
        ("--scale log", "--scale"),
        ("--launcher telnet", "--launcher"),
        ("--engine fastest", "--engine"),
        ("--simd mmx", "--simd"),
        ("--progress loud", "--progress"),
        ("--image-shape 8", "--image-shape"),
        ("--image-shape 8x9", "--image-shape"),
        ("-q -v", "--quiet"),
        ("more", "more"),
    ] {
        let scratch = Scratch::new();
        let refused = scratch.kscan(&format!("run digits --out scan {options}")).run().exits(2);
        let option = words.split(' ').next().expect("a word");
        assert!(refused.stderr.contains(option), "{options}: {}", refused.stderr);
        assert!(refused.stderr.starts_with("error: "), "{options}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{options}");
        assert!(scratch.contents().is_empty(), "{options}: {:?}", scratch.contents());
    }
    let scratch = Scratch::new();
    for line in ["", "scan", "resume", "predict scan digits", "data", "completions klingon"] {
        scratch.kscan(line).run().exits(2);
    }
}

#[test]
fn run_on_a_folder_that_holds_a_scan_is_refused_and_names_resume() {
    let scratch = Scratch::new();
    let line = "run digits --k-low 2 --k-high 2 --n-init 1 --out scan";
    scratch.kscan(line).run().exits(0);
    let before = std::fs::read(scratch.join("scan/scan.json")).expect("scan.json");
    let refused = scratch.kscan(line).run().exits(2);
    refused.names(&["scan"]);
    assert!(refused.stderr.contains("kscan-coord resume scan"), "{}", refused.stderr);
    let after = std::fs::read(scratch.join("scan/scan.json")).expect("scan.json");
    assert_eq!(before, after);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_environment_error() {
    let scratch = Scratch::new();
    scratch.write("file", "in the way");
    // Permissions do not bind root; these bind everyone.
    for out in ["file", "file/scan", "/proc/kscan/scan", "/dev/null/scan"] {
        let line = format!("run digits --k-low 2 --k-high 2 --n-init 1 --out {out}");
        scratch.kscan(&line).run().exits(6).names(&[out]);
    }
    assert_eq!(scratch.contents(), ["file"]);
}

#[test]
fn folders_on_the_way_are_made() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 2 --n-init 1 --out a/b/scan").run().exits(0);
    assert_eq!(scratch.scan("a/b/scan").status(), "complete");
}

#[test]
fn without_out_the_folder_has_the_time_and_the_data_in_its_name() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 2 --n-init 1").run().exits(0);
    let folders: Vec<_> = std::fs::read_dir(scratch.join("kscan-runs"))
        .expect("kscan-runs")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    let [name] = &folders[..] else {
        panic!("{folders:?}");
    };
    let (time, data) = name.split_once('-').expect("time-name");
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!((&*shape, data), ("00000000T000000Z", "digits"));
}
