//! Shared rules for texts and counts.
//!
//! Texts are stored as typed. They are compared, searched and sorted by keys made by [`fold`].

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

use crate::library::error::Error;

/// Returns the key of a text: equal for texts that differ only in case or Unicode form, on both databases.
///
/// The key is in NFC (UAX #15). Each character is lowered separately, so that the key of a word is a substring of the key
/// of its text. (`str::to_lowercase` lowers a final sigma to another letter.)
pub(in crate::library) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let sigma = |letter| if letter == 'ς' { 'σ' } else { letter };
    let lower = text.nfc().flat_map(char::to_lowercase).map(sigma);
    // Normalised again, because a lowered letter may compose with the next character.
    lower.nfc().collect()
}

/// Trims a single-line text in place. It must contain a visible character, no control characters, and at most `max`
/// characters.
pub(in crate::library) fn line(
    field: &'static str,
    text: &mut String,
    max: usize,
) -> Result<(), Error> {
    let trimmed = trim(text);
    if trimmed.is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    if is_blank(trimmed) {
        return Err(Error::invalid(field, "must contain a visible character"));
    }
    if trimmed.chars().any(char::is_control) {
        let rule = "must be one line without control characters";
        return Err(Error::invalid(field, rule));
    }
    within(field, trimmed, max)?;
    if trimmed.len() != text.len() {
        *text = trimmed.to_owned();
    }
    Ok(())
}

/// Returns whether a text has no visible character: only spaces, control and format characters, and combining marks
/// without a base letter.
pub(in crate::library) fn is_blank(text: &str) -> bool {
    let is_visible = |letter: char| match letter.general_category_group() {
        GeneralCategoryGroup::Mark | GeneralCategoryGroup::Separator => false,
        // Unassigned characters may be visible in a later version of Unicode, and private-use ones in the user's font.
        GeneralCategoryGroup::Other => {
            use unicode_properties::GeneralCategory::{Control, Format};
            !matches!(letter.general_category(), Control | Format)
        }
        // Letters and symbols without a glyph: the Hangul fillers and the empty braille pattern.
        _ => !matches!(
            letter,
            '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{2800}'
        ),
    };
    !text.chars().any(is_visible)
}

/// Trims white space and zero-width characters, which copying from a page leaves at the ends.
fn trim(text: &str) -> &str {
    let is_padding = |letter: char| {
        // Zero-width space, word joiner, byte order mark. Not the joiners, which some emoji and scripts end with.
        letter.is_whitespace() || matches!(letter, '\u{200B}' | '\u{2060}' | '\u{FEFF}')
    };
    text.trim_matches(is_padding)
}

/// Returns the single-line text that is nearest to `text`: with spaces for control characters, trimmed, and cut at `max`
/// characters. `None` if it has no visible character.
pub fn repaired_line(text: &str, max: usize) -> Option<String> {
    let spaced = text.replace(char::is_control, " ");
    let cut: String = trim(&spaced).chars().take(max).collect();
    let line = trim(&cut);
    (!is_blank(line)).then(|| line.to_owned())
}

/// Checks a multi-line text. Rejects NUL, which PostgreSQL cannot store.
pub(in crate::library) fn prose(
    field: &'static str,
    text: Option<&str>,
    max: usize,
) -> Result<(), Error> {
    let Some(text) = text else { return Ok(()) };
    if text.contains('\0') {
        return Err(Error::invalid(field, "must not contain a NUL character"));
    }
    within(field, text, max)
}

/// Checks a count.
pub(in crate::library) fn count(field: &'static str, count: Option<i32>) -> Result<(), Error> {
    if count.is_some_and(i32::is_negative) {
        return Err(Error::invalid(field, "must not be negative"));
    }
    Ok(())
}

fn within(field: &'static str, text: &str, max: usize) -> Result<(), Error> {
    // Characters are at most as many as bytes, so short texts need no count.
    if text.len() > max && text.chars().count() > max {
        return Err(Error::invalid(field, format!("at most {max} characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_differ_in_case_or_form_share_a_key() {
        for (a, b) in [
            ("Caf\u{e9}", "CAFE\u{301}"),
            (
                "\u{d55c}\u{ae00}",
                "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}",
            ),
            ("\u{212b}ngstr\u{f6}m", "a\u{30a}ngstro\u{308}m"),
            ("\u{130}stanbul", "I\u{307}stanbul"),
            ("\u{1fbc}", "\u{3b1}\u{345}"),
            ("q\u{323}\u{307}", "Q\u{307}\u{323}"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("cafe"), fold("caf\u{e9}"));
    }

    #[test]
    fn invisible_text_is_blank_and_a_letter_of_any_script_is_not() {
        for blank in [
            "",
            " ",
            "\u{200b}",
            "\u{200b}\u{200d}\u{feff}",
            "\u{ad}",
            "\u{301}",
            "\u{fe0f}",
            "\u{3164}",
            "\u{2800}",
            "\u{202e}\u{2066}",
            "\u{e0061}",
            "\u{180e}",
            "\u{2028}",
            "\u{7f}",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for shown in [
            "a",
            "e\u{301}",
            "\u{915}\u{94d}\u{200d}",
            "❤\u{fe0f}",
            "本",
            "!",
            "\u{e000}",
            "\u{1faea}",
        ] {
            assert!(!is_blank(shown), "{shown:?}");
        }
    }

    #[test]
    fn a_line_keeps_its_spelling_without_padding() {
        let mut text = "\u{feff} \u{200b}Cafe\u{301} ❤\u{fe0f}\u{200b}\n".to_owned();
        line("name", &mut text, 100).unwrap();
        assert_eq!(text, "Cafe\u{301} ❤\u{fe0f}");
    }

    proptest! {
        #[test]
        fn a_key_does_not_depend_on_the_unicode_form(text in "\\PC*") {
            let (composed, decomposed): (String, String) = (text.nfc().collect(), text.nfd().collect());
            prop_assert_eq!(fold(&composed), fold(&text));
            prop_assert_eq!(fold(&decomposed), fold(&text));
        }
    }
}
