//! What each rule chooses, and whether they agree.

use crate::confidence::Confidence;
use crate::criteria::Criteria;
use crate::elbow::{Elbow, NoElbow};
use crate::kneedle::NoKnee;
use crate::line::fit_line;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A way to choose k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Two straight lines that fit the curve best: [`crate::find_elbow`].
    Elbow,
    /// The point farthest from the chord: [`crate::kneedle()`].
    Kneedle,
    /// The largest Calinski-Harabasz index.
    CalinskiHarabasz,
    /// The smallest Davies-Bouldin index.
    DaviesBouldin,
    /// The largest mean silhouette.
    Silhouette,
    /// The smallest k with gap(k) >= gap(next k) - s(next k).
    Gap,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elbow => "elbow",
            Self::Kneedle => "Kneedle",
            Self::CalinskiHarabasz => "Calinski-Harabasz",
            Self::DaviesBouldin => "Davies-Bouldin",
            Self::Silhouette => "silhouette",
            Self::Gap => "gap",
        })
    }
}

/// What a rule chooses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Which rule.
    pub rule: Rule,
    /// The k it chooses.
    pub k: Option<usize>,
    /// Whether that is an end of the scanned range beyond which a better one
    /// may lie. No index is defined for fewer than 2 clusters, so k = 2 is no
    /// such end.
    pub at_edge: bool,
    /// Why it chooses none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl Choice {
    fn none(rule: Rule, reason: impl fmt::Display) -> Self {
        Self { rule, k: None, at_edge: false, reason: Some(reason.to_string()) }
    }
}

/// What the rules choose, in the order of [`Rule`]; the gap rule only where
/// `criteria` have gaps.
///
/// `criteria` are those of every k, ascending; `elbow` and `knee` what
/// [`crate::find_elbow`] and [`crate::kneedle()`] say of the same k. Of equally
/// good k an index chooses the smallest.
#[must_use]
pub fn choices(
    criteria: &[Criteria],
    elbow: Result<&Elbow, &NoElbow>,
    knee: &Result<usize, NoKnee>,
) -> Vec<Choice> {
    let ks: Vec<usize> = criteria.iter().map(|criteria| criteria.k).collect();
    let chosen = |rule, k: usize, at_edge| Choice { rule, k: Some(k), at_edge, reason: None };
    let at_end = |k: usize| (ks.first() == Some(&k) && k > 2) || ks.last() == Some(&k);
    let by_elbow = match elbow {
        Ok(elbow) => {
            let can_be = &elbow.threshold_k;
            let at_edge = can_be.first() == Some(&elbow.k) || can_be.last() == Some(&elbow.k);
            chosen(Rule::Elbow, elbow.k, at_edge)
        }
        Err(none) => Choice::none(Rule::Elbow, none),
    };
    let by_knee = match knee {
        Ok(k) => chosen(Rule::Kneedle, *k, false),
        Err(none) => Choice::none(Rule::Kneedle, none),
    };
    let by_largest = |rule, value: fn(&Criteria) -> Option<f64>| {
        let values: Vec<(usize, f64)> =
            criteria.iter().filter_map(|of| Some((of.k, value(of)?))).collect();
        match values.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best })
        {
            Some((k, _)) if values.len() >= 2 => chosen(rule, k, at_end(k)),
            _ => Choice::none(
                rule,
                format_args!(
                    "it is defined for {} of {} k: nothing to compare",
                    values.len(),
                    ks.len()
                ),
            ),
        }
    };
    let mut choices = vec![
        by_elbow,
        by_knee,
        by_largest(Rule::CalinskiHarabasz, |of| of.calinski_harabasz),
        by_largest(Rule::DaviesBouldin, |of| of.davies_bouldin.map(|index| -index)),
        by_largest(Rule::Silhouette, |of| of.silhouette.map(|silhouette| silhouette.mean)),
    ];
    if criteria.iter().any(|of| of.gap.is_some()) {
        choices.push(match by_gap(criteria) {
            Some(k) => chosen(Rule::Gap, k, ks.first() == Some(&k) && k > 1),
            None => Choice::none(Rule::Gap, "the gap rises up to the largest k"),
        });
    }
    choices
}

/// Tibshirani, Walther and Hastie's rule (2001), with the next k of the scan for k + 1.
fn by_gap(criteria: &[Criteria]) -> Option<usize> {
    criteria.windows(2).find_map(|pair| {
        let (this, next) = (pair[0].gap?, pair[1].gap?);
        (this.gap >= next.gap - next.s).then_some(pair[0].k)
    })
}

/// How far the rules can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// The elbow stands out, and every other rule that chooses a k chooses it
    /// or one of its two neighbours in the scan.
    Agree,
    /// The elbow stands out, and some other rule chooses another k.
    Disagree,
    /// There is no elbow, or it does not stand out.
    NoElbow,
}

/// What the choices come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// How far they can be relied on.
    pub kind: VerdictKind,
    /// The elbow, where it stands out.
    pub k: Option<usize>,
    /// What speaks against it, each a sentence without its end. Empty where
    /// the rules agree.
    pub reasons: Vec<String>,
}

/// Share of the resamples that an elbow has to win to stand out.
pub const ENOUGH_RESAMPLES: f64 = 0.5;

/// How much of what a single straight line leaves unexplained two may leave
/// for an elbow to stand out.
pub const ENOUGH_BEND: f64 = 0.5;

/// Judges `choices`.
///
/// An elbow *stands out* when all of these hold:
///
/// - it is not the first or last k that can be one: beyond that the curve may
///   bend more;
/// - two lines explain clearly more than one: 1 minus its score is at most
///   [`ENOUGH_BEND`] of 1 minus the R² of one straight line through all points;
/// - it does not hang on a lucky initialisation: it wins at least
///   [`ENOUGH_RESAMPLES`] of the resamples, where there are any.
///
/// `k` and `inertia` are the curve that `elbow` is of.
#[must_use]
pub fn verdict(
    k: &[usize],
    inertia: &[f64],
    elbow: Result<&Elbow, &NoElbow>,
    confidence: &Confidence,
    choices: &[Choice],
) -> Verdict {
    let elbow = match elbow {
        Ok(elbow) => elbow,
        Err(none) => {
            return Verdict {
                kind: VerdictKind::NoElbow,
                k: None,
                reasons: vec![none.to_string()],
            };
        }
    };
    let mut reasons = Vec::new();
    // The elbow's is the largest score.
    let score = elbow.scores.iter().copied().fold(0.0, f64::max);
    let mut shares = elbow.threshold_k.iter().zip(&confidence.shares);
    let share = shares.find_map(|(&k, &share)| (k == elbow.k).then_some(share));
    if choices.iter().any(|choice| choice.rule == Rule::Elbow && choice.at_edge) {
        reasons.push(format!(
            "k = {} is at the edge of what can be an elbow: scan a wider range of k",
            elbow.k
        ));
    }
    let x: Vec<f64> = k.iter().map(|&k| k as f64).collect();
    let one_line = fit_line(&x, inertia).r_squared;
    if 1.0 - score > ENOUGH_BEND * (1.0 - one_line) {
        reasons.push(format!(
            "one straight line fits the curve nearly as well as two (R² {one_line:.4} and {score:.4})"
        ));
    }
    if let Some(share) = share
        && share < ENOUGH_RESAMPLES
    {
        reasons.push(format!(
            "the elbow hangs on single initialisations: it is at k = {} in {:.0}% of resamples",
            elbow.k,
            share * 100.0
        ));
    }
    if !reasons.is_empty() {
        return Verdict { kind: VerdictKind::NoElbow, k: None, reasons };
    }
    let near = |other: usize| {
        let place = |wanted: usize| k.iter().position(|&k| k == wanted);
        place(other).zip(place(elbow.k)).is_some_and(|(a, b)| a.abs_diff(b) <= 1)
    };
    let others = choices.iter().filter(|choice| choice.rule != Rule::Elbow);
    let chosen: Vec<(Rule, usize)> =
        others.filter_map(|choice| Some((choice.rule, choice.k?))).collect();
    if chosen.is_empty() {
        reasons.push("no other rule chooses a k".to_owned());
    }
    for &(rule, other) in chosen.iter().filter(|(_, other)| !near(*other)) {
        reasons.push(format!("{rule} chooses k = {other}"));
    }
    let kind = if reasons.is_empty() { VerdictKind::Agree } else { VerdictKind::Disagree };
    Verdict { kind, k: Some(elbow.k), reasons }
}
