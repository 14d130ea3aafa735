use super::*;
use crate::Options;
use crate::sample::{document, sample, sample_of};
use crate::scan::Scan;
use kscan_results::ImageShape;
use serde_json::json;

/// How many marks have this start of a tag.
fn marks(plot: &Plot, start: &str) -> usize {
    plot.standalone().matches(start).count()
}

#[test]
fn inertia_has_a_dot_a_run_and_a_line_through_the_best() {
    let plot = inertia(&sample().scan());
    assert_eq!(marks(&plot, "<circle class=\"run\""), 14);
    assert_eq!(marks(&plot, "<circle class=\"run best\""), 7);
    assert_eq!(marks(&plot, "<rect class=\"band\""), 7);
    assert_eq!(marks(&plot, "<line class=\"elbow\""), 1);
    let text = plot.standalone();
    let line = text.split("<polyline class=\"best-line\" points=\"").nth(1).unwrap();
    assert_eq!(line.split('"').next().unwrap().split(' ').count(), 7);
}

#[test]
fn elbow_has_two_lines_a_threshold() {
    let scan = sample().scan();
    let fits = fits(&scan);
    assert_eq!(fits.iter().map(|fit| fit.k).collect::<Vec<_>>(), [4, 5, 6, 7]);
    assert_eq!(fits.iter().filter(|fit| fit.is_elbow).count(), 1);
    assert_eq!(fits[1].spans, [(2, 4), (5, 8)]);
    let plot = elbow(&scan, &fits);
    assert_eq!(marks(&plot, "<g class=\"fit\""), 3);
    assert_eq!(marks(&plot, "<g class=\"fit on\""), 1);
    assert_eq!(marks(&plot, "<line class=\"line left\""), 4);
    assert_eq!(marks(&plot, "<line class=\"line right\""), 4);
    assert_eq!(marks(&plot, "<circle class=\"curve\""), 7);
    assert_eq!(marks(&plot, "<circle class=\"score-at"), 4);
}

/// The sample is two straight lines, so the lines of the elbow go through the points of the curve.
#[test]
fn the_lines_of_the_elbow_lie_on_the_curve() {
    let scan = sample().scan();
    let text = elbow(&scan, &fits(&scan)).standalone();
    let shown = text.split("<g class=\"fit on\"").nth(1).unwrap();
    let attribute = |text: &str, name: &str| -> String {
        let value = text.split(&format!(" {name}=\"")).nth(1).unwrap();
        value.split('"').next().unwrap().to_owned()
    };
    let left = shown.split("<line class=\"line left\"").nth(1).unwrap();
    let first = text.split("<circle class=\"curve\"").nth(1).unwrap();
    assert_eq!(attribute(left, "x1"), attribute(first, "cx"));
    assert_eq!(attribute(left, "y1"), attribute(first, "cy"));
}

#[test]
fn a_scan_without_an_elbow_has_no_such_plot() {
    let sample = sample_of(&document((2, 3)));
    assert!(fits(&sample.scan()).is_empty());
    let plot = inertia(&sample.scan());
    assert_eq!(marks(&plot, "<circle class=\"run"), 6);
    assert_eq!(marks(&plot, "<line class=\"elbow\""), 0);
}

/// Changed by hand, scan.json may hold scores that do not fit its curve: no panic.
#[test]
fn scores_that_do_not_fit_the_curve() {
    let mut changed = document((2, 8));
    changed["elbow"]["thresholds"] = json!([0, 3, 7, 99]);
    changed["elbow"]["score_left"] = json!([0.5]);
    let scan = sample_of(&changed).scan();
    assert!(fits(&scan).is_empty());
    elbow(&scan, &[]);
}

#[test]
fn contingency_has_a_cell_a_label_and_cluster() {
    let scan = sample().scan();
    let of_k = &scan.ks[3];
    let plot = contingency(of_k, of_k.contingency.as_ref().unwrap());
    assert_eq!(marks(&plot, "<rect class=\"cell\""), 2 * 5);
    assert!(plot.standalone().contains(">35<"), "the total of label 7: 5 + 6 + 7 + 8 + 9");
}

#[test]
fn centroids_are_pictures_or_cells() {
    let sample = sample();
    let plot = centroids(&sample.scan().ks[3], sample.scan().image_shape);
    assert_eq!(marks(&plot, "<image class=\"picture\""), 5);
    assert_eq!(marks(&plot, "data:image/png;base64,"), 5);
    let plot = centroids(&sample.scan().ks[3], None);
    assert_eq!(marks(&plot, "<rect class=\"cell"), 5 * 4);
}

#[test]
fn timeline_has_a_slice_a_run_in_a_lane_a_worker() {
    let plot = timeline(&sample().scan()).unwrap();
    assert_eq!(marks(&plot, "<g class=\"slice\""), 21);
    assert_eq!(marks(&plot, ">worker "), 2);
    assert_eq!(marks(&plot, "<rect class=\"phase"), 3);
}

#[test]
fn runs_without_a_place_in_time_have_no_timeline() {
    let mut older = document((2, 3));
    for run in older["runs"].as_array_mut().unwrap() {
        run["slot"] = json!(null);
    }
    assert!(timeline(&sample_of(&older).scan()).is_none());
}

#[test]
fn initialisations_have_a_dot_each() {
    let plot = spread(&sample().scan().ks[0]);
    assert_eq!(marks(&plot, "<circle class=\"init\""), 2);
    assert_eq!(marks(&plot, "<circle class=\"init best\""), 1);
}

#[test]
fn another_shape_is_taken_only_where_it_fits() {
    let sample = sample();
    let read = |shape: Option<ImageShape>| {
        let options = Options { image_shape: shape, png: false };
        Scan::read(&sample.folder(), sample.document.clone(), &options).image_shape
    };
    assert_eq!(read(None), Some(ImageShape { height: 2, width: 2 }));
    assert_eq!(read("1x4".parse().ok()), Some(ImageShape { height: 1, width: 4 }));
    assert_eq!(read("3x4".parse().ok()), None);
}

#[test]
fn a_plot_by_itself_needs_nothing_else() {
    let scan = sample().scan();
    for plot in crate::plots(&scan) {
        let text = plot.standalone();
        assert!(text.starts_with("<svg class=\"plot\" xmlns="), "{}", plot.name);
        for outside in ["var(--", "url(", "<script", "@import", "NaN", "inf"] {
            assert!(!text.contains(outside), "{outside} in {}", plot.name);
        }
        let elsewhere = text.matches("http").count();
        assert_eq!(elsewhere, 1, "{}: the name space alone", plot.name);
    }
}
