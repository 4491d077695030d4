//! Parsers of cell values: counts, ratings, flags, statuses, lists and HTML, in the forms of people and other programs.
//!
//! Each function returns the parsed value or an error message. On an error the caller leaves an optional field empty
//! and reports a warning, so that an invalid optional cell does not refuse its row.

use serde::Serialize;
use strum::IntoEnumIterator;

use crate::library::{ProgressStatus, Rating, Source, StoryStatus};

/// A rating in stars out of five, and a remark to report about it.
pub(super) struct Stars {
    pub stars: f64,
    pub remark: Option<String>,
}

/// Returns a normalised name for comparison: lower case, without spaces and punctuation.
pub(super) fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// Parses a count: `12`, `12,345`, `1 234`, `12.0` or `1.2e4`. Chapters such as `12/30` or `12/?` are 12.
pub(super) fn count(cell: &str) -> Result<i32, String> {
    let unreadable = || format!("`{cell}` is not a count");
    let text = cell.trim();
    let text = match text.split_once('/') {
        Some((part, whole)) if whole.trim() == "?" || count(whole).is_ok() => part.trim(),
        _ => text,
    };
    let digits = without_thousands(text);
    let number: f64 = digits.parse().map_err(|_| unreadable())?;
    if !(0.0..=f64::from(i32::MAX)).contains(&number) || number.fract() != 0.0 {
        return Err(unreadable());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number within i32, by the check above"
    )]
    Ok(number as i32)
}

/// Removes thousands separators, as in `12,345`, `12.345`, `12 345` and `12'345`, if they separate groups of three
/// digits.
fn without_thousands(text: &str) -> String {
    for separator in [',', '.', ' ', '\u{a0}', '\u{202f}', '\''] {
        let mut groups = text.split(separator);
        let is_group = |group: &str| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit());
        let is_first = |group: &str| {
            (1..=3).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_digit())
        };
        if text.contains(separator) && groups.next().is_some_and(is_first) && groups.all(is_group) {
            return text.replace(separator, "");
        }
    }
    text.to_owned()
}

/// Parses a rating out of `best`: `4`, `4.5`, `4,5`, `4/5`, `8/10` or `★★★★`. Rounds to a tenth of a star out of five.
pub(super) fn stars(cell: &str, best: f64) -> Result<Stars, String> {
    let unreadable = || format!("`{cell}` is not a rating from 0 to {best}");
    let text = cell.trim();
    let (text, best) = match text.split_once('/') {
        Some((stars, of)) => (
            stars.trim(),
            of.trim()
                .parse()
                .ok()
                .filter(|of: &f64| *of > 0.0)
                .ok_or_else(unreadable)?,
        ),
        None => (text, best),
    };
    let given: f64 = if !text.is_empty()
        && text
            .chars()
            .all(|letter| matches!(letter, '★' | '⭐' | '\u{fe0f}'))
    {
        text.chars()
            .filter(|letter| *letter != '\u{fe0f}')
            .map(|_| 1.0)
            .sum()
    } else {
        text.replace(',', ".").parse().map_err(|_| unreadable())?
    };
    let exact = given / best * 5.0;
    let stars = (exact * 10.0).round() / 10.0;
    Rating::from_stars(stars).map_err(|_| unreadable())?;
    let is_rounded = (stars - exact).abs() > 1e-6;
    Ok(Stars {
        stars,
        remark: is_rounded.then(|| format!("`{cell}` was rounded to {stars}")),
    })
}

/// Parses a boolean.
pub(super) fn flag(cell: &str) -> Result<bool, String> {
    match plain(cell).as_str() {
        "true" | "t" | "yes" | "y" | "1" | "x" | "on" => Ok(true),
        "false" | "f" | "no" | "n" | "0" | "off" => Ok(false),
        _ if cell.trim() == "✓" => Ok(true),
        _ => Err(format!("`{cell}` is not true or false")),
    }
}

/// Parses content ratings separated by `;` or `,`. Returns whether one of them is for adults.
pub(super) fn is_adult(cell: &str) -> Result<bool, String> {
    let one = |rating: &str| match plain(rating).as_str() {
        "mature" | "explicit" | "m" | "e" | "ma" | "nc17" | "r" | "x" | "adult" | "18" | "nsfw" => {
            Ok(true)
        }
        "generalaudiences" | "general" | "gen" | "g" | "teenandupaudiences" | "teen" | "t"
        | "k" | "pg" | "pg13" | "notrated" | "unrated" | "none" | "everyone" => Ok(false),
        _ => Err(format!("`{}` is not a content rating", rating.trim())),
    };
    let ratings: Vec<_> = cell
        .split([';', ','])
        .filter(|rating| !rating.trim().is_empty())
        .collect();
    let adult = ratings
        .into_iter()
        .map(one)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(adult.contains(&true))
}

/// Parses the name of the site where a story is published.
pub(super) fn source(cell: &str) -> Result<Source, String> {
    let site = plain(cell);
    let site = site.trim_start_matches("www").trim_end_matches("org");
    Ok(match site.trim_end_matches("com") {
        "ao3" => Source::ArchiveOfOurOwn,
        "ffn" | "ffnet" | "fanfiction" => Source::FanFictionNet,
        "sb" => Source::SpaceBattles,
        "sv" => Source::SufficientVelocity,
        "qq" => Source::QuestionableQuesting,
        site => return named(cell).or_else(|error| named(site).map_err(|_: String| error)),
    })
}

/// Parses the publication status of a story, also in the terms of other sites.
pub(super) fn publication_status(cell: &str) -> Result<StoryStatus, String> {
    Ok(match plain(cell).as_str() {
        "inprogress" | "wip" | "workinprogress" | "updating" | "active" | "incomplete" => {
            StoryStatus::Ongoing
        }
        "complete" | "finished" | "done" | "oneshot" => StoryStatus::Completed,
        "onhiatus" | "onhold" | "paused" => StoryStatus::Hiatus,
        "discontinued" | "dropped" | "cancelled" | "canceled" | "dead" => StoryStatus::Abandoned,
        _ => return named(cell),
    })
}

/// Parses a reading status, also in the terms of Goodreads shelves and reading trackers.
pub(super) fn reading_status(cell: &str) -> Result<ProgressStatus, String> {
    Ok(match plain(cell).as_str() {
        "toread" | "wanttoread" | "unread" | "tbr" | "later" => ProgressStatus::NotStarted,
        "planned" => ProgressStatus::PlanToRead,
        "currentlyreading" | "inprogress" | "started" | "current" => ProgressStatus::Reading,
        "onhold" | "onpause" | "hold" => ProgressStatus::Paused,
        "read" | "finished" | "complete" | "done" => ProgressStatus::Completed,
        "didnotfinish" | "dnf" | "abandoned" | "quit" | "gaveup" => ProgressStatus::Dropped,
        _ => return named(cell),
    })
}

/// Parses the name of an enum value, as JSON and GraphQL spell it.
fn named<T: IntoEnumIterator + Serialize>(cell: &str) -> Result<T, String> {
    let known = T::iter().find(|value| plain(&name(value)) == plain(cell));
    known.ok_or_else(|| {
        let names: Vec<_> = T::iter().map(|value| name(&value)).collect();
        format!("`{cell}` is none of {}", names.join(", "))
    })
}

/// Returns the name of an enum value, as JSON and GraphQL spell it.
pub(super) fn name(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}

/// Joins the lines of a title or name, because spreadsheets allow line breaks within a cell.
pub(super) fn one_line(cell: &str) -> String {
    let parts = cell.split(char::is_control).map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// Splits a list of names at `separator`, and drops empty names.
pub(super) fn list(cell: &str, separator: char) -> Vec<String> {
    // AO3 names do not contain commas, and some scrapers separate them by commas instead of semicolons.
    let separator = match separator {
        ';' if !cell.contains(';') => ',',
        other => other,
    };
    let names = cell.split(separator).map(one_line);
    names.filter(|name| !name.is_empty()).collect()
}

/// Converts HTML to text: replaces `<br>` and the ends of blocks by line breaks, removes other tags, and decodes
/// entities. Plain text is unchanged.
pub(super) fn text_of_html(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    let mut rest = cell;
    let mut is_html = false;
    while let Some((before, tag, after)) = next_tag(rest) {
        is_html = true;
        text.push_str(before);
        let name = tag
            .trim_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap_or_default();
        match name.to_lowercase().as_str() {
            "br" => text.push('\n'),
            "p" | "div" | "li" | "blockquote" if tag.starts_with('/') => text.push_str("\n\n"),
            _ => {}
        }
        rest = after;
    }
    text.push_str(rest);
    if !is_html && !cell.contains('&') {
        return text;
    }
    let text = html_escape::decode_html_entities(&text);
    let mut lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.dedup_by(|next, last| next.is_empty() && last.is_empty());
    lines.join("\n").trim().to_owned()
}

/// The HTML tags that other programs export. Any other text between `<` and `>` belongs to the user.
const TAGS: [&str; 27] = [
    "a",
    "abbr",
    "b",
    "blockquote",
    "br",
    "center",
    "code",
    "del",
    "div",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "s",
    "span",
    "strong",
    "sub",
    "u",
    "ul",
];

/// Returns the text before the next tag, the content of the tag, and the text after it.
fn next_tag(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text[from..].find('<')?;
        let inside = &text[open + 1..];
        let end = inside
            .find(['<', '>'])
            .filter(|end| inside.as_bytes()[*end] == b'>');
        if let Some(end) = end {
            let tag = &inside[..end];
            let name = tag.strip_prefix('/').unwrap_or(tag);
            let name = name.split([' ', '/', '\n']).next().unwrap_or_default();
            if TAGS.contains(&name.to_lowercase().as_str()) {
                return Some((&text[..open], tag, &inside[end + 1..]));
            }
        }
        from = open + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_in_common_notations() {
        for (cell, expected) in [
            ("12", 12),
            (" 7 ", 7),
            ("12/?", 12),
            ("12/12", 12),
            ("12,345", 12_345),
            ("1.234.567", 1_234_567),
            ("12 345", 12_345),
            ("3.0", 3),
            ("1.2e4", 12_000),
            ("0", 0),
            ("2147483647", i32::MAX),
        ] {
            assert_eq!(count(cell), Ok(expected), "{cell}");
        }
        for cell in [
            "",
            "many",
            "-1",
            "1.5",
            "12,34",
            "2147483648",
            "1/x",
            "?",
            "NaN",
            "inf",
        ] {
            assert!(count(cell).is_err(), "{cell}");
        }
    }

    #[test]
    fn ratings_are_read_in_common_notations_and_rounded_to_tenths() {
        for (cell, best, expected, is_rounded) in [
            ("4", 5.0, 4.0, false),
            ("4.5", 5.0, 4.5, false),
            ("4,5", 5.0, 4.5, false),
            ("4/5", 5.0, 4.0, false),
            ("8/10", 5.0, 4.0, false),
            ("8", 10.0, 4.0, false),
            ("★★★", 5.0, 3.0, false),
            ("4.25", 5.0, 4.3, true),
            ("0", 5.0, 0.0, false),
        ] {
            let read = stars(cell, best).unwrap();
            assert!(
                (read.stars - expected).abs() < 1e-9,
                "{cell}: {}",
                read.stars
            );
            assert_eq!(read.remark.is_some(), is_rounded, "{cell}");
        }
        for cell in ["Mature", "6", "-1", "4/0", "4/x", "", "NaN"] {
            assert!(stars(cell, 5.0).is_err(), "{cell}");
        }
    }

    #[test]
    fn statuses_flags_and_ratings_are_read_in_the_words_of_other_programs() {
        assert_eq!(publication_status("In-Progress"), Ok(StoryStatus::Ongoing));
        assert_eq!(publication_status("Completed"), Ok(StoryStatus::Completed));
        assert_eq!(
            reading_status("currently-reading"),
            Ok(ProgressStatus::Reading)
        );
        assert_eq!(
            reading_status("did-not-finish"),
            Ok(ProgressStatus::Dropped)
        );
        assert_eq!(
            reading_status("NOT_STARTED"),
            Ok(ProgressStatus::NotStarted)
        );
        assert!(
            reading_status("shelf")
                .unwrap_err()
                .contains("none of NOT_STARTED, READING")
        );
        for (cell, expected) in [
            ("ao3", Source::ArchiveOfOurOwn),
            ("www.fanfiction.net", Source::FanFictionNet),
            ("Royal Road", Source::RoyalRoad),
        ] {
            assert_eq!(source(cell), Ok(expected), "{cell}");
        }
        assert_eq!(
            (flag("TRUE"), flag("y"), flag("0")),
            (Ok(true), Ok(true), Ok(false))
        );
        assert!(flag("maybe").is_err());
        assert_eq!(
            (is_adult("Teen; Mature"), is_adult("Not Rated")),
            (Ok(true), Ok(false))
        );
        assert!(is_adult("4 stars").is_err());
    }

    #[test]
    fn html_becomes_text_and_text_stays() {
        for (html, text) in [
            ("Good,<br/>very good", "Good,\nvery good"),
            (
                "<p>Blurb over\ntwo lines</p><p>and &amp; more</p>",
                "Blurb over\ntwo lines\n\nand & more",
            ),
            ("<div>a <b>bold</b> word</div>", "a bold word"),
            ("1 < 2 and 3 > 2, <3", "1 < 2 and 3 > 2, <3"),
            ("plain\n\n\ntext ", "plain\n\n\ntext "),
            (
                "broke me </3 and I cried<br/>Second",
                "broke me </3 and I cried\nSecond",
            ),
            (
                "sad </3 for Tom. Chapters 3 -> 7",
                "sad </3 for Tom. Chapters 3 -> 7",
            ),
            (
                "<Skill Acquired: Cooking> <i>nice</i>",
                "<Skill Acquired: Cooking> nice",
            ),
        ] {
            assert_eq!(text_of_html(html), text);
        }
    }
}
