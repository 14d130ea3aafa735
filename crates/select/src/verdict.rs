//! What each rule chooses, and whether they agree.

use crate::confidence::Confidence;
use crate::criteria::{Criteria, Gap};
use crate::elbow::{Elbow, NoElbow};
use crate::gap::NoGap;
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
    /// The smallest k with gap(k) >= gap(next k) - s(next k): [`crate::gap()`].
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
    /// such end; of the gap, k = 1 is none.
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
/// there are `gaps`.
///
/// `criteria` are those of every k, ascending; `elbow`, `knee` and `gaps` what
/// [`crate::find_elbow`], [`crate::kneedle()`] and [`crate::gap()`] say of the
/// same k. Of equally good k an index chooses the smallest.
#[must_use]
pub fn choices(
    criteria: &[Criteria],
    elbow: Result<&Elbow, &NoElbow>,
    knee: &Result<usize, NoKnee>,
    gaps: Option<&[Result<Gap, NoGap>]>,
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
    choices.extend(gaps.map(|gaps| by_gap(&ks, gaps)));
    choices
}

/// Tibshirani, Walther and Hastie's rule (2001), with the next k of the scan for
/// k + 1. Where a k is met that has no gap before one is chosen, none is: it
/// might have been that.
fn by_gap(ks: &[usize], gaps: &[Result<Gap, NoGap>]) -> Choice {
    let unknown =
        |k: usize, none: NoGap| Choice::none(Rule::Gap, format_args!("k = {k} has no gap: {none}"));
    for (k, gaps) in ks.windows(2).zip(gaps.windows(2)) {
        match (gaps[0], gaps[1]) {
            (Err(none), _) => return unknown(k[0], none),
            (_, Err(none)) => return unknown(k[1], none),
            (Ok(this), Ok(next)) if this.gap >= next.gap - next.s => {
                let at_edge = ks.first() == Some(&k[0]) && k[0] > 1;
                return Choice { rule: Rule::Gap, k: Some(k[0]), at_edge, reason: None };
            }
            (Ok(_), Ok(_)) => {}
        }
    }
    let reason = if ks.len() < 2 {
        "there is no next k to compare with"
    } else {
        "the gap rises up to the largest k"
    };
    Choice::none(Rule::Gap, reason)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choose::{Chosen, choose};
    use crate::criteria::Silhouette;
    use crate::curve::CurvePoint;

    /// Three runs of every k from 2 on, all alike.
    fn runs(curve: &[f64]) -> Vec<CurvePoint> {
        let points = curve.iter().enumerate();
        points
            .flat_map(|(i, &inertia)| {
                (0..3).map(move |init_id| CurvePoint { k: i + 2, inertia, init_id })
            })
            .collect()
    }

    /// Criteria of every k from 2 on, whose silhouettes and indices are best at `best`.
    fn criteria(count: usize, best: usize) -> Vec<Criteria> {
        let of = |k: usize| {
            let worse = k.abs_diff(best) as f64;
            Criteria {
                k,
                calinski_harabasz: Some(100.0 - worse),
                davies_bouldin: Some(1.0 + worse),
                silhouette: Some(Silhouette { mean: -worse, standard_error: None, rows: 9 }),
                gap: None,
                labels: None,
                clusters: Vec::new(),
            }
        };
        (2..count + 2).map(of).collect()
    }

    const CORNER: [f64; 9] = [100.0, 80.0, 60.0, 40.0, 20.0, 19.2, 18.1, 17.0, 16.1];

    #[test]
    fn rules_agree_on_a_clear_corner() {
        let Chosen { choices, verdict, .. } = choose(&runs(&CORNER), &criteria(9, 6), None, 0);
        let ks: Vec<Option<usize>> = choices.iter().map(|choice| choice.k).collect();
        // k = 6 lies on both lines: the elbow is the first k of the right one.
        assert_eq!(ks, [Some(7), Some(6), Some(6), Some(6), Some(6)]);
        assert_eq!((verdict.kind, verdict.k), (VerdictKind::Agree, Some(7)));
        assert!(verdict.reasons.is_empty());
    }

    #[test]
    fn a_neighbour_agrees_and_others_do_not() {
        let verdict = |best| choose(&runs(&CORNER), &criteria(9, best), None, 0).verdict;
        assert_eq!(verdict(8).kind, VerdictKind::Agree);
        let found = verdict(10);
        assert_eq!((found.kind, found.k), (VerdictKind::Disagree, Some(7)));
        let reasons = ["Calinski-Harabasz", "Davies-Bouldin", "silhouette"]
            .map(|rule| format!("{rule} chooses k = 10"));
        assert_eq!(found.reasons, reasons);
    }

    #[test]
    fn a_straight_line_has_no_elbow_that_stands_out() {
        let noise = [0.3, -0.2, 0.1, 0.4, -0.3, 0.0, 0.2, -0.4, 0.1, 0.2];
        let line: Vec<f64> =
            (0..10).map(|i| 100.0 - 5.0 * f64::from(i) + noise[i as usize]).collect();
        let Verdict { kind, k, reasons } = choose(&runs(&line), &criteria(10, 6), None, 0).verdict;
        assert_eq!((kind, k), (VerdictKind::NoElbow, None));
        assert!(reasons.iter().any(|reason| reason.contains("one straight line")), "{reasons:?}");
    }

    #[test]
    fn an_elbow_that_few_resamples_have_does_not_stand_out() {
        let found = choose(&runs(&CORNER), &criteria(9, 6), None, 0);
        let k: Vec<usize> = (2..11).collect();
        let judge = |share: f64| {
            let mut confidence = found.confidence.clone();
            // Of k = 7, the fourth that can be an elbow.
            confidence.shares[3] = share;
            verdict(&k, &CORNER, found.elbow.as_ref(), &confidence, &found.choices)
        };
        assert_eq!(judge(0.5).kind, VerdictKind::Agree);
        let doubted = judge(0.49);
        assert_eq!((doubted.kind, doubted.k), (VerdictKind::NoElbow, None));
        assert!(doubted.reasons[0].contains("49% of resamples"), "{doubted:?}");
    }

    #[test]
    fn an_elbow_at_the_edge_and_too_few_k_do_not_stand_out() {
        let edge = [100.0, 50.0, 20.0, 19.0, 18.2, 17.1, 16.0];
        let found = choose(&runs(&edge), &criteria(7, 4), None, 0);
        assert_eq!(found.choices[0].k, Some(4));
        assert!(found.choices[0].at_edge);
        assert_eq!(found.verdict.kind, VerdictKind::NoElbow);
        assert!(found.verdict.reasons[0].contains("edge"), "{:?}", found.verdict);
        let few = choose(&runs(&edge[..3]), &criteria(3, 3), None, 0);
        assert_eq!(few.verdict.kind, VerdictKind::NoElbow);
        assert_eq!(few.choices[0].k, None);
        assert!(few.choices[0].reason.is_some());
    }

    #[test]
    fn edges_and_undefined_indices_are_told() {
        let found = choose(&runs(&CORNER), &criteria(9, 10), None, 0).choices;
        assert!(found[2..].iter().all(|choice| choice.k == Some(10) && choice.at_edge));
        // Two clusters are the fewest that an index is defined for.
        let found = choose(&runs(&CORNER), &criteria(9, 2), None, 0).choices;
        assert!(found[2..].iter().all(|choice| choice.k == Some(2) && !choice.at_edge));
        let mut undefined = criteria(9, 4);
        for of in &mut undefined[1..] {
            of.silhouette = None;
        }
        let silhouette = &choose(&runs(&CORNER), &undefined, None, 0).choices[4];
        assert_eq!(silhouette.k, None);
        let reason = "it is defined for 1 of 9 k: nothing to compare";
        assert_eq!(silhouette.reason.as_deref(), Some(reason));
    }

    /// What the gap rule chooses of every k from 2 on.
    fn by_gaps(gaps: &[Result<f64, NoGap>]) -> Choice {
        let gaps: Vec<Result<Gap, NoGap>> =
            gaps.iter().map(|gap| gap.map(|gap| Gap { gap, s: 0.1 })).collect();
        let (runs, criteria) = (runs(&CORNER[..gaps.len()]), criteria(gaps.len(), 4));
        let choices = choose(&runs, &criteria, Some(&gaps), 0).choices;
        assert_eq!(choices.len(), 6);
        choices[5].clone()
    }

    #[test]
    fn the_gap_rule_takes_the_first_that_is_good_enough() {
        let chosen = by_gaps(&[Ok(0.1), Ok(0.5), Ok(0.9), Ok(0.95), Ok(2.0)]);
        assert_eq!((chosen.rule, chosen.k, chosen.at_edge), (Rule::Gap, Some(4), false));
        // Of k = 1 nothing is smaller; of 2 it is.
        let chosen = by_gaps(&[Ok(0.9), Ok(0.9), Ok(2.0)]);
        assert_eq!((chosen.k, chosen.at_edge), (Some(2), true));
        // What comes after it need not be known.
        let chosen = by_gaps(&[Ok(0.1), Ok(0.5), Ok(0.4), Err(NoGap::Zero)]);
        assert_eq!(chosen.k, Some(3));
    }

    #[test]
    fn the_gap_rule_says_why_it_chooses_none() {
        let none = |gaps: &[Result<f64, NoGap>]| {
            let choice = by_gaps(gaps);
            assert_eq!((choice.rule, choice.k, choice.at_edge), (Rule::Gap, None, false));
            choice.reason.unwrap()
        };
        assert_eq!(none(&[Ok(0.1), Ok(0.5), Ok(0.9)]), "the gap rises up to the largest k");
        assert_eq!(none(&[Ok(0.1)]), "there is no next k to compare with");
        let zero = none(&[Ok(0.1), Ok(0.5), Err(NoGap::Zero)]);
        assert!(zero.starts_with("k = 4 has no gap: its inertia"), "{zero}");
        let missing = none(&[Err(NoGap::Missing), Ok(0.5), Ok(0.1)]);
        assert!(missing.starts_with("k = 2 has no gap: not all"), "{missing}");
    }
}
