use super::page;
use crate::sample::{document, sample, sample_of};
use serde_json::json;

#[test]
fn the_same_scan_gives_the_same_bytes() {
    let sample = sample();
    assert_eq!(page(&sample.scan()), page(&sample.scan()));
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let text = page(&sample().scan());
    assert!(text.contains("default-src 'none'"));
    for outside in ["http:", "https:", "src=\"/", "url(", "@import", "<link", "<iframe"] {
        assert!(!text.contains(outside), "{outside}");
    }
    let sources = text.split(" src=\"").skip(1);
    assert_eq!(sources.filter(|source| !source.starts_with("data:image/png;")).count(), 0);
}

#[test]
fn every_k_has_its_panel_and_its_choice() {
    let text = page(&sample().scan());
    for k in 2..=8 {
        assert_eq!(text.matches(&format!("<article class=\"panel\" id=\"k-{k}\"")).count(), 1);
        assert_eq!(text.matches(&format!("name=\"k\" value=\"{k}\"")).count(), 1);
    }
    assert!(text.contains("<html lang=\"en\" data-k=\"5\""), "the elbow is shown first");
    assert_eq!(text.matches("class=\"table").count(), 0);
    assert_eq!(text.matches("href=\"logs/k05-i02.a1.jsonl\"").count(), 1);
}

/// Ids are what labels and descriptions refer to: each one is there once.
#[test]
fn ids_are_unique_and_referred_to() {
    let text = page(&sample().scan());
    let mut ids: Vec<&str> =
        text.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    for references in text.split(" aria-labelledby=\"").skip(1) {
        for id in references.split('"').next().unwrap().split(' ') {
            assert!(ids.binary_search(&id).is_ok(), "{id}");
        }
    }
}

#[test]
fn what_comes_from_outside_is_text() {
    let hostile = "<script>alert(1)</script>\u{1b}[31m\u{202e}\"'&";
    let mut scan = document((2, 8));
    scan["data"]["name"] = json!(hostile);
    scan["data"]["dtype"] = json!(hostile);
    scan["data"]["fingerprint"] = json!(hostile);
    scan["config"]["data"] = json!(hostile);
    scan["config"]["labels"] = json!(hostile);
    scan["config"]["init"] = json!(hostile);
    scan["environment"]["cpu"] = json!(hostile);
    scan["environment"]["simd"] = json!(hostile);
    scan["environment"]["kscan_version"] = json!(hostile);
    scan["runs"][0]["status"] = json!("failed");
    scan["runs"][0]["error"] = json!(hostile);
    scan["runs"][1]["log"] = json!("javascript:alert(1)");
    scan["best"][0]["file"] = json!("best/k02.npz");
    let sample = sample_of(&scan);
    let table = format!("label,0,1,2,3\n\"{}\",1,2,3,4\n", hostile.replace('"', "\"\""));
    std::fs::write(sample.folder().contingency_csv(4), table).unwrap();
    let scan = sample.scan();
    let mut texts: Vec<String> =
        crate::plots(&scan).iter().map(crate::plot::Plot::standalone).collect();
    texts.push(page(&scan));
    let shown = texts.iter().filter(|text| text.contains("&lt;script&gt;alert(1)")).count();
    assert_eq!(shown, 2, "the page and the plot of labels show it");
    for text in texts {
        assert!(!text.contains("<script>alert"));
        assert!(!text.contains("javascript:"));
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'));
    }
    let mut scan = document((2, 3));
    scan["elbow"]["reason"] = json!(hostile);
    assert!(!page(&sample_of(&scan).scan()).contains("<script>alert"));
}

#[test]
fn an_empty_scan_has_a_page_too() {
    let mut scan = document((2, 8));
    scan["runs"] = json!([]);
    scan["best"] = json!([]);
    scan["elbow"] = json!({"k": null, "reason": "the scan has not ended"});
    let text = page(&sample_of(&scan).scan());
    assert!(text.contains("the scan has not ended"));
    assert!(text.contains("0 of 21 runs have ended"));
    assert!(!text.contains("NaN"));
}

#[test]
fn the_command_line_is_quoted() {
    let text = page(&sample().scan());
    assert!(
        text.contains("kscan-coord run &#39;/data/some rows.npy&#39; --k-low 2")
            || text.contains("kscan-coord run '/data/some rows.npy' --k-low 2")
    );
}
