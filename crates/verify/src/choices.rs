//! What the rules choose, how sure the elbow is, and the verdict, found again from what
//! `scan.json` says of runs and criteria.

use crate::arithmetic::r_squared;
use crate::document::FILE;
use crate::random::Stream;
use crate::violation::{Violation, ensure, equal, equal_lists, impossible};
use kscan_results::{
    Choice, Criteria, ElbowDocument, FoundElbow, Rule, ScanDocument, Verdict, VerdictKind,
};

const RESAMPLES: usize = 1000;

/// Scores that differ by less may tie by rounding.
const TIE: f64 = 1e-9;

/// What an elbow has to have to stand out: as `kscan_select` documents it.
const ENOUGH_RESAMPLES: f64 = 0.5;
const ENOUGH_BEND: f64 = 0.5;

/// That everything that is chosen follows.
pub(crate) fn check(document: &ScanDocument) -> Result<(), Violation> {
    if let ElbowDocument::Found(found) = &document.elbow {
        check_confidence(document, found)?;
    }
    let expected = expected(document);
    let names = |choices: &[Choice]| -> Vec<String> {
        choices.iter().map(|choice| format!("{:?}", choice.rule)).collect()
    };
    let (found_names, expected_names) = (names(&document.choices), names(&expected));
    equal_lists(FILE, "choices: the rule", found_names.iter(), expected_names.iter())?;
    let shown = |k: Option<usize>| k.map_or_else(|| "null".to_owned(), |k| k.to_string());
    for (index, (found, expected)) in document.choices.iter().zip(&expected).enumerate() {
        let name = |field| format!("choices[{index}].{field}");
        equal(FILE, name("k"), shown(found.k), shown(expected.k))?;
        equal(FILE, name("at_edge"), found.at_edge, expected.at_edge)?;
        let has_reason = found.reason.is_some();
        ensure(has_reason == found.k.is_none(), FILE, name("reason is there, or not, beside k"))?;
    }
    let Some(verdict) = &document.verdict else {
        return Err(impossible(FILE, "verdict is null, but the scan has ended"));
    };
    check_verdict(document, verdict)
}

fn ks(document: &ScanDocument) -> Vec<usize> {
    document.best.iter().map(|best| best.k as usize).collect()
}

fn curve(document: &ScanDocument) -> Vec<f64> {
    document.best.iter().map(|best| best.inertia).collect()
}

/// The shares of the resamples, but for those that rounding decides.
fn check_confidence(document: &ScanDocument, found: &FoundElbow) -> Result<(), Violation> {
    let Some(confidence) = &found.confidence else {
        return Err(impossible(FILE, "elbow.confidence is not there"));
    };
    let ks = ks(document);
    let of_k = |&k: &usize| -> Vec<f64> {
        let runs = document.runs.iter().filter(|run| run.k as usize == k);
        runs.filter_map(|run| run.inertia).collect()
    };
    let runs: Vec<Vec<f64>> = ks.iter().map(of_k).collect();
    let name = |field: &str| format!("elbow.confidence.{field}");
    let has_reason = confidence.reason.is_some();
    ensure(
        has_reason == (confidence.resamples == 0),
        FILE,
        name("reason is there, or not, beside resamples"),
    )?;
    if runs.iter().all(|runs| runs.len() < 2) {
        equal(FILE, name("resamples"), confidence.resamples, 0)?;
        return equal(FILE, name("shares: their number"), confidence.shares.len(), 0);
    }
    equal(FILE, name("resamples"), confidence.resamples, RESAMPLES)?;
    let x: Vec<f64> = ks.iter().map(|&k| k as f64).collect();
    let candidates = ks.len() - 3;
    equal(FILE, name("shares: their number"), confidence.shares.len(), candidates)?;
    let mut stream = Stream::new(document.config.seed, 0);
    let (mut sure, mut possible) = (vec![0; candidates], vec![0; candidates]);
    for _ in 0..RESAMPLES {
        let best: Vec<f64> = runs
            .iter()
            .map(|runs| {
                let drawn: Vec<f64> = runs.iter().map(|_| runs[stream.index(runs.len())]).collect();
                drawn.into_iter().fold(f64::INFINITY, f64::min)
            })
            .collect();
        let score = |t: usize| {
            f64::midpoint(r_squared(&x[..t], &best[..t]), r_squared(&x[t..], &best[t..]))
        };
        let scores: Vec<f64> = (0..candidates).map(|i| score(i + 2)).collect();
        let largest = scores.iter().copied().fold(0.0, f64::max);
        let near = |score: &&f64| **score > largest - TIE;
        let alone = scores.iter().filter(near).count() == 1;
        for (i, score) in scores.iter().enumerate() {
            if near(&score) {
                possible[i] += 1;
                sure[i] += usize::from(alone);
            }
        }
    }
    let mut total = 0;
    for (i, &share) in confidence.shares.iter().enumerate() {
        let times = (share * RESAMPLES as f64).round();
        let what = name(&format!("shares[{i}]"));
        let is_count = (times / RESAMPLES as f64).to_bits() == share.to_bits();
        let times = times as usize;
        let fits = is_count && (sure[i]..=possible[i]).contains(&times);
        let range = (sure[i], possible[i]);
        ensure(fits, FILE, format_args!("{what} is {share}, but it is {range:?} thousandths"))?;
        total += times;
    }
    equal(FILE, name("shares: their sum"), total, RESAMPLES)
}

/// Every choice, without reasons.
fn expected(document: &ScanDocument) -> Vec<Choice> {
    let ks = ks(document);
    let choice = |rule, k: Option<usize>, at_edge| Choice {
        rule,
        k,
        at_edge: k.is_some() && at_edge,
        reason: None,
    };
    let elbow = document.elbow.found();
    let at_edge = elbow.is_some_and(|elbow| {
        let ends = [elbow.threshold_k.first(), elbow.threshold_k.last()];
        ends.contains(&Some(&elbow.k))
    });
    let criteria = &document.criteria;
    let best = |rule, value: &dyn Fn(&Criteria) -> Option<f64>| {
        let mut values: Vec<(usize, f64)> =
            criteria.iter().filter_map(|of| value(of).map(|value| (of.k, value))).collect();
        let defined = values.len();
        // Stable: of equal ones the smallest k stays first.
        values.sort_by(|a, b| b.1.total_cmp(&a.1));
        let k = values.first().map(|first| first.0).filter(|_| defined >= 2);
        let low = k.is_some() && k == ks.first().copied() && k != Some(2) && k != Some(1);
        choice(rule, k, low || k == ks.last().copied())
    };
    let mut choices = vec![
        choice(Rule::Elbow, elbow.map(|elbow| elbow.k), at_edge),
        choice(Rule::Kneedle, knee(&ks, &curve(document)), false),
        best(Rule::CalinskiHarabasz, &|of| of.calinski_harabasz),
        best(Rule::DaviesBouldin, &|of| of.davies_bouldin.map(|value| -value)),
        best(Rule::Silhouette, &|of| of.silhouette.map(|value| value.mean)),
    ];
    if document.config.gap.is_some() {
        let k = by_gap(criteria);
        choices.push(choice(Rule::Gap, k, k == ks.first().copied() && k != Some(1)));
    }
    choices
}

/// The first k whose gap the next does not exceed by more than its s; none beyond a gap that is not
/// known.
fn by_gap(criteria: &[Criteria]) -> Option<usize> {
    for pair in criteria.windows(2) {
        let (this, next) = (pair[0].gap?, pair[1].gap?);
        if this.gap >= next.gap - next.s {
            return Some(pair[0].k);
        }
    }
    None
}

/// Kneedle's knee of a falling convex curve, but for those that are none.
fn knee(ks: &[usize], inertia: &[f64]) -> Option<usize> {
    let n = ks.len();
    if n < 3 || inertia[n - 1] >= inertia[0] {
        return None;
    }
    let unit = |values: &[f64]| -> Vec<f64> {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        values.iter().map(|value| (value - low) / (high - low)).collect()
    };
    let x = unit(&ks.iter().map(|&k| k as f64).collect::<Vec<f64>>());
    let height: Vec<f64> = unit(inertia).iter().zip(&x).map(|(y, x)| (1.0 - y) - x).collect();
    let step = 1.0 / (n - 1) as f64;
    let rises = |i: usize| i > 0 && height[i - 1] > height[i];
    let falls = |i: usize| i + 1 < n && height[i + 1] > height[i];
    let is_maximum = |i: usize| !rises(i) && !falls(i);
    let is_minimum =
        |i: usize| !(i > 0 && height[i - 1] < height[i] || i + 1 < n && height[i + 1] < height[i]);
    // From every maximum on, until the next extremum, the curve may come down by a step.
    for top in (0..n - 1).filter(|&i| is_maximum(i) && !is_minimum(i)) {
        let mut i = top;
        loop {
            if height[i + 1] < height[top] - step {
                let is_knee = top > 0 && height[top] > step;
                return is_knee.then_some(ks[top]);
            }
            i += 1;
            if i + 1 >= n || is_maximum(i) || is_minimum(i) {
                break;
            }
        }
    }
    None
}

fn check_verdict(document: &ScanDocument, verdict: &Verdict) -> Result<(), Violation> {
    let Some(elbow) = document.elbow.found() else {
        return check_kind(verdict, VerdictKind::NoElbow, None);
    };
    let ks = ks(document);
    let x: Vec<f64> = ks.iter().map(|&k| k as f64).collect();
    let one_line = r_squared(&x, &curve(document));
    let at = elbow.threshold_k.iter().position(|&k| k == elbow.k).unwrap_or(0);
    let share = match &document.elbow {
        ElbowDocument::Found(FoundElbow { confidence: Some(confidence), .. }) => {
            confidence.shares.get(at).copied()
        }
        _ => None,
    };
    let choices = &document.choices;
    let stands_out = !choices[0].at_edge
        && 1.0 - elbow.scores[at] <= ENOUGH_BEND * (1.0 - one_line)
        && share.is_none_or(|share| share >= ENOUGH_RESAMPLES);
    if !stands_out {
        return check_kind(verdict, VerdictKind::NoElbow, None);
    }
    let place = |k: usize| ks.iter().position(|&other| other == k).unwrap_or(usize::MAX);
    let mut others = choices[1..].iter().filter_map(|choice| choice.k).peekable();
    let agree = others.peek().is_some() && others.all(|k| place(k).abs_diff(place(elbow.k)) <= 1);
    let kind = if agree { VerdictKind::Agree } else { VerdictKind::Disagree };
    check_kind(verdict, kind, Some(elbow.k))
}

fn check_kind(verdict: &Verdict, kind: VerdictKind, k: Option<usize>) -> Result<(), Violation> {
    let shown = |kind: VerdictKind| format!("{kind:?}");
    equal(FILE, "verdict.kind", shown(verdict.kind), shown(kind))?;
    equal(FILE, "verdict.k", format!("{:?}", verdict.k), format!("{k:?}"))?;
    let has_reasons = !verdict.reasons.is_empty();
    let needs_reasons = kind != VerdictKind::Agree;
    ensure(has_reasons == needs_reasons, FILE, "verdict.reasons are there, or not, beside kind")
}
