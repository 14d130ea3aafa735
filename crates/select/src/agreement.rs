//! How clusters agree with known labels, from the table of their counts.

use crate::contingency::Contingency;
use crate::criteria::LabelAgreement;

impl Contingency {
    /// What scikit-learn's `adjusted_rand_score`, `normalized_mutual_info_score`
    /// (arithmetic mean) and `homogeneity_completeness_v_measure` give for the
    /// labels and clusters that were counted, and [`Contingency::purity`].
    ///
    /// The Rand index is that of Hubert and Arabie, "Comparing partitions"
    /// (1985), from exact integers; the others are those of Rosenberg and
    /// Hirschberg, "V-Measure" (2007), with natural logarithms. No rows agree
    /// fully: all are 1.
    #[must_use]
    pub fn agreement(&self) -> LabelAgreement {
        let (labels, clusters) = (self.row_totals(), self.column_totals());
        let information = self.mutual_information(&labels, &clusters);
        let (h_labels, h_clusters) = (entropy(&labels), entropy(&clusters));
        let share = |entropy: f64| if entropy > 0.0 { information / entropy } else { 1.0 };
        let (homogeneity, completeness) = (share(h_labels), share(h_clusters));
        let v_measure = if homogeneity + completeness == 0.0 {
            0.0
        } else {
            2.0 * homogeneity * completeness / (homogeneity + completeness)
        };
        let normalized_mutual_information = if h_labels == 0.0 && h_clusters == 0.0 {
            1.0
        } else {
            information / f64::midpoint(h_labels, h_clusters)
        };
        LabelAgreement {
            adjusted_rand: self.adjusted_rand(&labels, &clusters),
            normalized_mutual_information,
            homogeneity,
            completeness,
            v_measure,
            purity: self.purity(),
        }
    }

    fn adjusted_rand(&self, labels: &[u64], clusters: &[u64]) -> f64 {
        // Ordered pairs of rows, the same row twice among them: exact, as n² fits 128 bits.
        let pairs = |counts: &[u64]| -> i128 {
            counts.iter().map(|&count| i128::from(count) * i128::from(count)).sum()
        };
        let rows: i128 = labels.iter().map(|&count| i128::from(count)).sum();
        let both = pairs(&self.counts);
        let together = both - rows;
        let only_clusters = pairs(clusters) - both;
        let only_labels = pairs(labels) - both;
        let apart = rows * rows - both - only_clusters - only_labels;
        if only_clusters == 0 && only_labels == 0 {
            return 1.0;
        }
        // The products have up to four times the digits of n: past 128 bits they are rounded.
        let product = |a: i128, b: i128| a as f64 * b as f64;
        let numerator =
            together.checked_mul(apart).zip(only_labels.checked_mul(only_clusters)).map_or_else(
                || product(together, apart) - product(only_labels, only_clusters),
                |(same, other)| (same - other) as f64,
            );
        2.0 * numerator
            / (product(together + only_labels, only_labels + apart)
                + product(together + only_clusters, only_clusters + apart))
    }

    fn mutual_information(&self, labels: &[u64], clusters: &[u64]) -> f64 {
        let rows: u64 = labels.iter().sum();
        let kinds = |totals: &[u64]| totals.iter().filter(|&&total| total > 0).count();
        // Exactly nothing, whatever logarithms round to.
        if kinds(labels) <= 1 || kinds(clusters) <= 1 {
            return 0.0;
        }
        let ln = |count: u64| (count as f64).ln();
        let mut sum = 0.0;
        for (label, &label_total) in labels.iter().enumerate() {
            for (&count, &cluster_total) in self.row(label).iter().zip(clusters) {
                if count > 0 {
                    let expected = ln(label_total) + ln(cluster_total) - ln(rows);
                    sum += count as f64 / rows as f64 * (ln(count) - expected);
                }
            }
        }
        // Independent to the last digit: what is left is rounding.
        if sum < f64::EPSILON { 0.0 } else { sum }
    }
}

/// In nats; exactly 0 for a single kind, and for no rows.
fn entropy(totals: &[u64]) -> f64 {
    let rows: u64 = totals.iter().sum();
    let used: Vec<f64> =
        totals.iter().filter(|&&total| total > 0).map(|&total| total as f64).collect();
    if used.len() <= 1 {
        return 0.0;
    }
    let rows = rows as f64;
    -used.iter().map(|total| total / rows * (total.ln() - rows.ln())).sum::<f64>()
}
