//! The report of real scans, in a real browser.

use crate::browser::Browser;
use crate::harness::{Scratch, npy};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const DIGITS: &str = "run digits --k-low 2 --k-high 8 --n-init 3 --n-proc 2 --out scan";

/// Asserts what holds of every report: nothing is said on the console, nothing is asked for, and
/// nothing sticks out of a phone's screen.
#[track_caller]
fn assert_sound(browser: &mut Browser, report: &Path) {
    for width in [1280, 375] {
        browser.resize(width, 800, width < 500);
        browser.open(report);
        assert_eq!(browser.console(), [&Value::Null; 0], "on the console");
        let page = format!("file://{}", report.display());
        assert_eq!(browser.requests(), [page.as_str()], "requests");
        let wide = browser.value(
            "[...document.querySelectorAll('body *')].filter(element =>
                !element.closest('.scroll > *, .choices > *, .only-heard, .skip, svg *') &&
                element.getBoundingClientRect().right > innerWidth + 0.5
            ).map(element => element.outerHTML.slice(0, 120))",
        );
        assert_eq!(wide, json!([]), "wider than {width}");
        let scrolls = browser.value("document.documentElement.scrollWidth - innerWidth");
        assert!(scrolls.as_f64().expect("a width") <= 0.0, "{scrolls} wider than {width}");
    }
    browser.resize(1280, 800, false);
    browser.open(report);
}

#[test]
fn plots_are_png_too_where_asked_for() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 5 --n-init 1 --png --out scan").run().exits(0);
    let names = || {
        let names = crate::harness::contents(&scratch.join("scan/plots"));
        let of = |extension: &str| -> Vec<String> {
            names
                .iter()
                .filter_map(|name| name.strip_suffix(extension))
                .map(str::to_owned)
                .collect()
        };
        (of(".svg"), of(".png"))
    };
    let (svg, png) = names();
    assert_eq!(svg.len(), 3 + 2 * 4, "{svg:?}");
    assert_eq!(svg, png);
    fs::remove_dir_all(scratch.join("scan/plots")).expect("plots");
    scratch.kscan("report scan").run().exits(0);
    assert_eq!(names(), (svg.clone(), Vec::new()));
    scratch.kscan("report scan --png").run().exits(0);
    assert_eq!(names(), (svg, png));
}

/// The k of the panels that are shown.
fn shown(browser: &mut Browser) -> Value {
    browser.value(
        "[...document.querySelectorAll('.panel')].filter(panel => panel.checkVisibility())
            .map(panel => Number(panel.dataset.k))",
    )
}

/// What would be said and asked for is seen: without this, the other tests would say nothing.
#[test]
fn the_browser_tells_of_messages_and_requests() {
    let scratch = Scratch::new();
    let page = "<!doctype html><img src=missing.png><script>console.log('here')</script>";
    let page = scratch.write("page.html", page);
    let mut browser = Browser::start();
    browser.open(&page);
    assert!(browser.requests().iter().any(|url| url.ends_with("/missing.png")));
    let said = browser.console();
    assert!(said.iter().any(|event| event.to_string().contains("here")), "{said:?}");
}

#[test]
fn the_report_of_a_scan_shows_all_of_it() {
    let scratch = Scratch::new();
    scratch.kscan(&format!("{DIGITS} --gap 2")).run().exits(0);
    let mut browser = Browser::start();
    assert_sound(&mut browser, &scratch.join("scan/report.html"));
    for (selector, expected) in [
        ("#inertia .run", 21),
        ("#inertia .run.best", 7),
        ("#elbow .fit", 4),
        ("#elbow .score-at", 4),
        (".panel", 7),
        (".panel .init", 21),
        (".sizes tbody tr", 2 + 3 + 4 + 5 + 6 + 7 + 8),
        (".pictures > li > img", 2 + 3 + 4 + 5 + 6 + 7 + 8),
        (".nearest img", 5 * (2 + 3 + 4 + 5 + 6 + 7 + 8)),
        (".heat tbody td:not(.total)", 10 * (2 + 3 + 4 + 5 + 6 + 7 + 8)),
        ("#timeline .slice", 21),
        ("#criterion-davies-bouldin .value", 7),
        ("#criterion-gap .value", 7),
        ("#criterion-gap .error", 7),
        ("#criterion-purity .value", 7),
        ("#runs tbody tr", 21),
        ("#runs tbody a[href$='.a1.jsonl']", 21),
        ("#engine tbody tr", 21),
    ] {
        assert_eq!(browser.count(selector), expected, "{selector}");
    }
    // Pictures are loaded, and the logs that are linked to are there.
    let pictures = browser.value("[...document.images].every(image => image.naturalWidth === 8)");
    assert_eq!(pictures, true);
    let logs = browser.value(
        "[...document.querySelectorAll('#runs a')].map(link => decodeURI(link.href.slice(7)))",
    );
    for log in logs.as_array().expect("links") {
        assert!(Path::new(log.as_str().expect("a link")).is_file(), "{log}");
    }
}

#[test]
fn choosing_k_changes_the_panels() {
    let scratch = Scratch::new();
    scratch.kscan(DIGITS).run().exits(0);
    let elbow = scratch.scan("scan").json["elbow"]["k"].clone();
    let mut browser = Browser::start();
    browser.open(&scratch.join("scan/report.html"));
    assert_eq!(shown(&mut browser), json!([elbow]));
    let on = "[...new Set([...document.querySelectorAll('svg .on[data-k], tr.on')]
                .map(mark => Number(mark.dataset.k)))]";

    browser.click("input[name=k][value='3']");
    assert_eq!(shown(&mut browser), json!([3]));
    assert_eq!(browser.value(on), json!([3]));
    // By the keyboard, from there.
    browser.press("ArrowRight", 39);
    assert_eq!(shown(&mut browser), json!([4]));
    assert_eq!(browser.value("document.activeElement.value"), "4");
    let outline =
        browser.value("getComputedStyle(document.activeElement.nextElementSibling).outlineStyle");
    assert_eq!(outline, "solid", "the focus is seen");
    // By its place in a plot, and by the address.
    browser.click("#inertia .band[data-k='7']");
    assert_eq!(shown(&mut browser), json!([7]));
    assert_eq!(browser.value("location.hash"), "#k=7");
    browser.value("location.hash = '#k=2'; new Promise(done => setTimeout(done))");
    assert_eq!(shown(&mut browser), json!([2]));
    assert_eq!(browser.console(), [&Value::Null; 0]);
}

#[test]
fn the_lines_of_a_threshold_are_shown_under_the_pointer_and_by_the_keyboard() {
    let scratch = Scratch::new();
    scratch.kscan(DIGITS).run().exits(0);
    let elbow = scratch.scan("scan").json["elbow"].clone();
    let ks = elbow["threshold_k"].as_array().expect("thresholds").clone();
    let chosen = ks.iter().position(|k| *k == elbow["k"]).expect("the elbow is one");
    let mut browser = Browser::start();
    browser.open(&scratch.join("scan/report.html"));
    let visible = "[...document.querySelectorAll('#elbow .fit')]
        .filter(fit => getComputedStyle(fit).visibility === 'visible')
        .map(fit => Number(fit.dataset.threshold))";
    assert_eq!(browser.value(visible), json!([chosen]));

    let other = usize::from(chosen == 0);
    browser.point_at(&format!("#elbow .band[data-threshold='{other}']"));
    assert_eq!(browser.value(visible), json!([other]));
    let said = browser.value("document.querySelector('.thresholds output').value");
    assert!(said.as_str().is_some_and(|said| said.starts_with(&format!("k = {}:", ks[other]))));
    browser.point_at("h1");
    assert_eq!(browser.value(visible), json!([chosen]), "the pointer went away");

    browser.value("document.querySelector('input[name=threshold]:checked').focus()");
    browser.press("ArrowRight", 39);
    assert_eq!(browser.value(visible), json!([(chosen + 1) % ks.len()]));
}

#[test]
fn tables_are_sorted_by_their_numbers() {
    let scratch = Scratch::new();
    scratch.kscan(DIGITS).run().exits(0);
    let mut browser = Browser::start();
    browser.open(&scratch.join("scan/report.html"));
    // By the inertias of scan.json, not by the rounded texts.
    let scan = scratch.scan("scan");
    let mut inertias: Vec<f64> =
        scan.runs().iter().map(|run| run["inertia"].as_f64().expect("an inertia")).collect();
    inertias.sort_by(f64::total_cmp);
    let column = "[...document.querySelectorAll('#runs tbody tr')]
        .map(row => Number(row.cells[2].dataset.value))";
    let sorted = |browser: &mut Browser| -> Vec<f64> {
        let values = browser.value(column);
        values.as_array().expect("rows").iter().map(|value| value.as_f64().expect("one")).collect()
    };
    assert_ne!(sorted(&mut browser), inertias);
    browser.click("#runs th:nth-child(3) button");
    assert_eq!(sorted(&mut browser), inertias);
    let state = "document.querySelector('#runs th:nth-child(3)').ariaSort";
    assert_eq!(browser.value(state), "ascending");
    browser.click("#runs th:nth-child(3) button");
    inertias.reverse();
    assert_eq!(sorted(&mut browser), inertias);
    assert_eq!(browser.value(state), "descending");
}

#[test]
fn it_is_light_or_dark_as_the_person_prefers() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 3 --n-init 1 --out scan").run().exits(0);
    let mut browser = Browser::start();
    browser.open(&scratch.join("scan/report.html"));
    let lightness = "(() => {
        const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g);
        return (Number(r) + Number(g) + Number(b)) / 3;
    })()";
    browser.prefer("light");
    assert!(browser.value(lightness).as_f64().expect("a colour") > 240.0);
    browser.prefer("dark");
    assert!(browser.value(lightness).as_f64().expect("a colour") < 40.0);
}

#[test]
fn without_scripts_every_panel_is_shown() {
    let scratch = Scratch::new();
    scratch.kscan("run digits --k-low 2 --k-high 5 --n-init 1 --out scan").run().exits(0);
    let mut browser = Browser::start();
    let page = fs::read_to_string(scratch.join("scan/report.html")).expect("a report");
    // As where scripts are forbidden.
    let page = page.replace("script-src 'unsafe-inline'", "script-src 'none'");
    let page = scratch.write("scan/still.html", page);
    browser.open(&page);
    assert_eq!(shown(&mut browser), json!([2, 3, 4, 5]));
    assert_eq!(browser.value("document.querySelector('.chooser').checkVisibility()"), false);
}

#[test]
fn the_reports_of_odd_scans_are_sound() {
    let scratch = Scratch::new();
    let mut browser = Browser::start();
    let sound = |browser: &mut Browser, scratch: &Scratch| {
        assert_sound(browser, &scratch.join("scan/report.html"));
        browser.value("document.body.innerText").as_str().expect("a text").to_owned()
    };

    // No elbow, and no pictures: 40 columns of numbers.
    let values: Vec<u8> = crate::harness::noise(300 * 40, 1).flat_map(f32::to_le_bytes).collect();
    scratch.write("noise.npy", npy("<f4", false, &[300, 40], &values));
    scratch
        .kscan("run noise.npy --k-low 2 --k-high 3 --n-init 2 --max-iter 2 --out scan")
        .run()
        .exits(0);
    let text = sound(&mut browser, &scratch);
    assert!(text.contains("an elbow needs at least 4 values of k"), "{text}");
    assert!(text.contains("16 of 40 columns"), "{text}");
    assert!(text.contains("stopped at 2 iterations"), "{text}");

    // The same rows as pictures.
    scratch.kscan("report scan --image-shape 5x8").run().exits(0);
    let text = sound(&mut browser, &scratch);
    assert!(text.contains("(paper)"), "{text}");
    scratch.kscan("report scan --image-shape 5x9").run().exits(2).names(&["--image-shape", "40"]);

    // Runs that failed, labels and errors that are markup.
    let hostile = "<img src=x onerror=alert(1)>";
    let digits = Scratch::new();
    digits.kscan("run digits --k-low 2 --k-high 5 --n-init 2 --out scan").run().exits(0);
    let mut json = digits.scan("scan").json;
    json["status"] = json!("partial");
    for key in ["inertia", "n_iter", "stop", "digest", "counters", "relocated"] {
        json["runs"][3][key] = Value::Null;
    }
    json["runs"][3]["status"] = json!("failed");
    json["runs"][3]["error"] = json!(hostile);
    json["data"]["name"] = json!(hostile);
    digits.write("scan/scan.json", json.to_string());
    let path = digits.join("scan/contingency/k05.csv");
    let table = fs::read_to_string(&path).expect("a table");
    fs::write(&path, table.replacen("\n0,", &format!("\n{hostile},"), 1)).expect("a table");
    digits.kscan("report scan").run().exits(0);
    let text = sound(&mut browser, &digits);
    assert!(text.contains("1 run failed for good"), "{text}");
    assert_eq!(text.matches(hostile).count(), 2, "the name and the error: {text}");
    let label = "document.querySelector('#k-5 .heat tbody th').textContent";
    assert_eq!(browser.value(label), hostile);

    // Nothing has ended.
    json["runs"] = json!([]);
    json["best"] = json!([]);
    json["elbow"] = json!({"k": null, "reason": "the scan has not ended"});
    for key in ["criteria", "choices"] {
        json[key] = json!([]);
    }
    json["verdict"] = Value::Null;
    digits.write("scan/scan.json", json.to_string());
    fs::remove_file(digits.join("scan/journal.bin")).expect("a journal");
    digits.kscan("report scan").run().exits(0);
    let text = sound(&mut browser, &digits);
    assert!(text.contains("0 of 8 runs have ended"), "{text}");
}
