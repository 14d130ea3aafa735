//! The colours, of light and of dark paper: one list for the page and for the plots by themselves.
//!
//! Text on paper has a contrast of at least 4.5 to 1 in either, marks one of 3 to 1 (WCAG 2.2, AA).
//! Blue and orange are told apart with every common colour blindness, and always differ in form
//! too.

use std::fmt::Write;

type Colour = (&'static str, &'static str, &'static str);

/// Each: its name in the style sheets, on light and on dark paper.
const COLOURS: [Colour; 9] = [
    ("paper", "#fdfdfc", "#15181c"),
    ("raised", "#f4f5f4", "#1d2127"),
    ("ink", "#1c2126", "#e6e8ea"),
    ("soft", "#59626c", "#a3acb6"),
    ("rule", "#dcdfe2", "#343a42"),
    ("mark", "#8a939c", "#78828d"),
    ("accent", "#0b5fa5", "#6cb4f5"),
    ("second", "#a8480a", "#f0a05a"),
    ("tint", "#e4eef7", "#1b3145"),
];

/// The declarations of all colours for a style sheet: light, and dark where that is preferred.
pub(crate) fn declarations() -> String {
    let of = |pick: fn(&Colour) -> &'static str| {
        COLOURS.iter().fold(String::new(), |mut text, colour| {
            // Writing to a string does not fail.
            let _ = write!(text, "--{}:{};", colour.0, pick(colour));
            text
        })
    };
    format!(
        ":root{{{}}}@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}",
        of(|colour| colour.1),
        of(|colour| colour.2)
    )
}

/// A style sheet with the light colours in it, for readers that know no variables.
pub(crate) fn resolve(css: &str) -> String {
    COLOURS
        .iter()
        .fold(css.to_owned(), |css, (name, light, _)| css.replace(&format!("var(--{name})"), light))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, as WCAG 2.2 defines it.
    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn contrast_is_sufficient() {
        let find = |name| COLOURS.iter().find(|colour| colour.0 == name).unwrap();
        let picks: [fn(&Colour) -> &'static str; 2] = [|colour| colour.1, |colour| colour.2];
        for pick in picks {
            for paper in ["paper", "raised", "tint"] {
                for ink in ["ink", "soft", "accent", "second"] {
                    let found = contrast(pick(find(paper)), pick(find(ink)));
                    assert!(found >= 4.5, "{ink} on {paper}: {found}");
                }
            }
            let found = contrast(pick(find("paper")), pick(find("mark")));
            assert!(found >= 3.0, "marks: {found}");
        }
    }

    #[test]
    fn nothing_is_left_to_resolve() {
        assert!(crate::plot::CSS.contains("var(--"));
        assert!(!resolve(crate::plot::CSS).contains("var("));
    }
}
